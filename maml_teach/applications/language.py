"""Which language is this? Names in many languages, their letter n-grams, and the tasks they make.

The names are those that the Unicode CLDR gives to languages, countries, scripts, currencies,
units, months and days, as the package ``babel`` brings them along. A sample is two names of one
language; a task is five languages. Only letters count, in runs of one to three, sorted into
buckets by a hash, so that any text becomes a vector of fixed length without a dictionary.
"""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from ..data import load
from ..inputs import check_counts, check_rate
from ..mlp import MLP
from ..tasks import Task

N_BUCKETS = 1024
LONGEST = 3  # letters in an n-gram
MODEL = MLP((N_BUCKETS, 64, 5), "tanh", "cross_entropy")
SCALE = 12.0  # length of a feature vector

# Parts of CLDR with names in them.
PARTS = (
    "languages",
    "territories",
    "scripts",
    "currency_names",
    "unit_display_names",
    "months",
    "days",
    "date_fields",
)
SHORTEST = 6  # letters in a name: shorter ones say too little
FEWEST = 120  # names that a language must have
TOO_ALIKE = 0.25  # share of names in common from which on two languages count as one


def words(text: str) -> list[str]:
    """Lower-case words of Latin letters; all that is no letter, mark or apostrophe separates.

    Raises:
        ValueError: If there is no word, or a letter that is not Latin.

    >>> words("Côte d'Ivoire (2)")
    ['côte', "d'ivoire"]
    """
    lower = unicodedata.normalize("NFKC", text).lower().replace("i\u0307", "i")  # Turkish capital
    kept = (c if unicodedata.category(c)[0] in "LM" or c in "'\u2019" else " " for c in lower)
    found = [word for word in "".join(kept).split() if any(map(str.isalpha, word))]
    if not found:
        raise ValueError(f"text must hold at least one word, got {text!r}")
    for c in "".join(found):
        if not _is_latin(c):
            raise ValueError(f"text must be in Latin letters, but {text!r} holds {c!r}")
    return found


def _is_latin(c: str) -> bool:
    """Whether ``c`` is a Latin letter, or a mark or apostrophe that goes with any script."""
    return unicodedata.category(c) not in ("Ll", "Lo", "Lu") or "LATIN" in unicodedata.name(c, "")


@cache
def fnv1a(text: str) -> int:
    """The 32-bit FNV-1a hash of the text's UTF-8 bytes.

    Source:
        Fowler, Noll and Vo; RFC 9923.

    >>> hex(fnv1a("a"))
    '0xe40c292c'
    """
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 % 2**32
    return value


def counts(text: str) -> NDArray:
    """How many n-grams of the text's words fall into each bucket, ``(N_BUCKETS,)`` of uint8.

    A word is taken with a space before and behind, so that an n-gram knows where a word begins.

    Raises:
        ValueError: As :func:`words`.
    """
    padded = [f" {word} " for word in words(text)]
    grams = [
        word[at : at + n]
        for word in padded
        for n in range(1, LONGEST + 1)
        for at in range(len(word) - n + 1)
    ]
    buckets = [fnv1a(gram) % N_BUCKETS for gram in grams]
    return np.minimum(np.bincount(buckets, minlength=N_BUCKETS), 255).astype(np.uint8)


def features(text: str) -> NDArray:
    """What the network sees of a text, ``(N_BUCKETS,)``: see :func:`scaled`.

    Raises:
        ValueError: As :func:`words`.
    """
    return scaled(counts(text))


def scaled(sums: ArrayLike) -> NDArray:
    """Square roots of counts ``(..., N_BUCKETS)``, as a vector of length ``SCALE``.

    Without the root, spaces and frequent vowels would outweigh all the rest.
    """
    roots = np.sqrt(np.asarray(sums, float))
    return SCALE * roots / np.linalg.norm(roots, axis=-1, keepdims=True)


@dataclass(frozen=True)
class WhichLanguage:
    """Episodes of N-way K-shot classification: ``n_ways`` languages, samples of two names.

    Args:
        names: Names by language: ``{"fi": ("ranska", ...), ...}``.
        n_ways: Languages per task; within a task they are labelled 0 to ``n_ways - 1``.
        n_names: Names per sample.

    Raises:
        ValueError: If there are fewer languages than ``n_ways``.
    """

    names: dict[str, tuple[str, ...]]
    n_ways: int = 5
    n_names: int = 2

    def __post_init__(self) -> None:
        check_counts(n_ways=self.n_ways, n_names=self.n_names)
        if len(self.names) < self.n_ways:
            raise ValueError(
                f"n_ways is {self.n_ways}, but there are only {len(self.names)} languages"
            )

    @cached_property
    def _counts(self) -> list[NDArray]:
        """Counts of all names of each language, in a list."""
        return [np.stack([counts(name) for name in some]) for some in self.names.values()]

    def sample(self, rng: Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """A batch of tasks: ``x`` ``(n_tasks, n_ways * n_shots, N_BUCKETS)``, ``y`` its labels.

        ``n_shots`` and ``n_queries`` count samples per language; no name comes twice in a task.

        Raises:
            ValueError: If a language that is drawn has too few names.
        """
        check_counts(n_tasks=n_tasks, n_shots=n_shots, n_queries=n_queries)
        n_each = n_shots + n_queries
        x = self.samples_of(rng, self.ways(rng, n_tasks).ravel(), n_each)
        return Task.by_class(x.reshape(n_tasks, -1, n_each, N_BUCKETS), n_shots)

    def ways(self, rng: Generator, n_tasks: int) -> NDArray:
        """Numbers of the languages of each task, ``(n_tasks, n_ways)``, as :meth:`sample` draws."""
        numbers = len(self.names)
        return np.array([rng.choice(numbers, self.n_ways, replace=False) for _ in range(n_tasks)])

    def samples_of(self, rng: Generator, languages: Iterable[int], n: int) -> NDArray:
        """``n`` samples of each language in a list of numbers, ``(n_languages, n, N_BUCKETS)``."""
        return scaled([self._one_language(rng, number, n) for number in languages])

    def _one_language(self, rng: Generator, number: int, n: int) -> NDArray:
        """Counts of ``n`` samples of one language, ``(n, N_BUCKETS)``."""
        own, needed = self._counts[number], n * self.n_names
        if len(own) < needed:
            raise ValueError(
                f"language {list(self.names)[number]!r} has {len(own)} names, but {n} samples of "
                f"{self.n_names} names need {needed}"
            )
        picked = rng.choice(len(own), (n, self.n_names), replace=False)
        return own[picked].sum(axis=1, dtype=float)


@cache
def _shipped() -> tuple[dict, dict]:
    return json.loads(load("language")["names"].tobytes())


def shipped_names(part: str) -> dict[str, tuple[str, ...]]:
    """Some names of each language, as they come with this package: babel is not needed.

    Args:
        part: ``"train"``, ``"choice"`` or ``"test"``.

    Returns:
        ``{locale: names}``.

    Raises:
        ValueError: If there is no such part.
    """
    names = _shipped()[0]
    if part not in names:
        raise ValueError(f"part must be one of {sorted(names)}, got {part!r}")
    return {locale: tuple(some) for locale, some in names[part].items()}


def shipped_titles() -> dict[str, str]:
    """What English calls each language, by locale: ``{"fi": "Finnish", ...}``."""
    return _shipped()[1]


def relatives(
    names: Mapping[str, Iterable[str]], known: Mapping[str, Iterable[str]]
) -> dict[str, tuple[str, float]]:
    """The known language that each language is most like.

    Args:
        names: Names by language.
        known: Names by language; those of the training.

    Returns:
        ``{locale: (known locale, cosine)}`` of the n-grams of all names of a language, the closest
        first.
    """
    mine, others = _profiles(names), _profiles(known)
    cosines = mine @ others.T
    best, keys = cosines.argmax(axis=1), list(known)
    found = [(keys[k], float(row[k])) for k, row in zip(best, cosines, strict=True)]
    pairs = zip(names, found, strict=True)
    return dict(sorted(pairs, key=lambda pair: pair[1][1], reverse=True))


def _profiles(names: Mapping[str, Iterable[str]]) -> NDArray:
    """One vector of length one for each language, ``(n_languages, N_BUCKETS)``."""
    return scaled([np.sum([counts(name) for name in own], 0) for own in names.values()]) / SCALE


def nearest_centroid(tasks: Task) -> NDArray:
    """Baseline without any training: the language whose support samples point the same way.

    Returns:
        Labels ``(n_tasks, n_queries)``: the largest cosine between a query sample's n-grams and
        the mean of each language's support samples.
    """
    ways = np.arange(tasks.y_support.max() + 1)
    member = (tasks.y_support[:, None] == ways[:, None]).astype(float)
    means = member @ tasks.x_support
    means = means / np.linalg.norm(means, axis=-1, keepdims=True)
    return (tasks.x_query @ means.mT).argmax(axis=-1)


def whitening(samples: NDArray, share: float) -> NDArray:
    """The matrix that makes samples vary alike in every direction *within* a language.

    What varies much between two samples of one language says little of the language, and is made
    small. The matrix comes from languages of the training; no test language is needed for it.

    Args:
        samples: ``(n_languages, n, N_BUCKETS)``, as :meth:`WhichLanguage.samples_of` gives them.
        share: What is added to every variance, in mean variances, positive.

    Returns:
        ``(N_BUCKETS, N_BUCKETS)``, symmetric: the inverse root of the mean covariance.

    Raises:
        ValueError: If ``share`` is not positive.
    """
    check_rate("share", share)
    off = (samples - samples.mean(axis=1, keepdims=True)).reshape(-1, samples.shape[-1])
    variances, directions = np.linalg.eigh(off.T @ off / (len(off) - len(samples)))
    return directions / np.sqrt(variances + share * variances.mean()) @ directions.T


def nearest_whitened(tasks: Task, centre: NDArray, matrix: NDArray) -> NDArray:
    """:func:`nearest_centroid` where samples are first moved by ``centre``, then whitened.

    Args:
        tasks: Tasks of :class:`WhichLanguage`.
        centre: The mean sample of the training, ``(N_BUCKETS,)``.
        matrix: From :func:`whitening`.
    """
    x_support, x_query = ((x - centre) @ matrix for x in (tasks.x_support, tasks.x_query))
    return nearest_centroid(Task(x_support, tasks.y_support, x_query, tasks.y_query))


def cldr_names(locale: str) -> tuple[str, ...]:
    """Names in one language, in the order of CLDR, without repetition.

    Left out are names of fewer than six letters, those that are the same in English, and what
    CLDR puts where a language has no name of its own.

    Args:
        locale: Identifier of a locale that babel knows: ``"fi"``.

    Returns:
        A tuple of names, lower-case words of Latin letters; empty if the language is written in
        another script.

    Raises:
        ValueError: If babel knows no such locale.

    Source:
        Unicode CLDR, under the Unicode licence V3, with the package babel.
    """
    from babel import localedata

    if not localedata.exists(locale):
        raise ValueError(f"locale must be one that babel knows, such as 'fi', got {locale!r}")
    own = dict.fromkeys(_entries(locale))
    found = [name for name in own if name not in _foreign()]
    return tuple(name for name in found if sum(map(str.isalpha, name)) >= SHORTEST)


@cache
def _foreign() -> set[str]:
    """English names, and those of the root locale, which stand in where a name is missing."""
    return {*_entries("en"), *_entries("root")}


def _entries(locale: str) -> list[str]:
    """Every text in the parts of one locale, in plain words."""
    from babel import localedata

    # Babel keeps what it has read, and puts more into it whenever somebody looks at a locale.
    localedata._cache.clear()
    data = localedata.load(locale)
    return [_plain(text) for part in PARTS if part in data for text in _texts(data[part])]


def _texts(node: Mapping[str, Any]) -> Iterator[str]:
    """Every text below a node of CLDR's tree."""
    for value in node.values():
        if isinstance(value, str):
            yield value
        elif hasattr(value, "values"):
            yield from _texts(value)


def _plain(text: str) -> str:
    """Its words with one space between, without what stands in brackets; "" if not Latin."""
    for opening, closing in ("{}", "()"):
        while opening in text and closing in text.partition(opening)[2]:
            before, _, rest = text.partition(opening)
            text = f"{before} {rest.partition(closing)[2]}"
    try:
        return " ".join(words(text))
    except ValueError:
        return ""


def distinct_languages() -> dict[str, tuple[str, ...]]:
    """Every language with names enough that is no variant of another: ``{locale: names}``.

    Left out are regional locales (``pt_PT``), locales that CLDR derives from another (``nb`` from
    ``no``), and languages that share a quarter of their names, or more, with one that has more
    names: the rest of a test would be their neighbour in the training.
    """
    from babel import localedata
    from babel.core import get_global

    derived = get_global("parent_exceptions")
    every = [n for n in localedata.locale_identifiers() if "_" not in n and n not in derived]
    names = {name: cldr_names(name) for name in sorted(every)}
    kept: dict[str, tuple[str, ...]] = {}
    for name in sorted(names, key=lambda name: -len(names[name])):
        own = set(names[name])
        alike = (len(own.intersection(other)) / len(own) for other in kept.values())
        if len(own) >= FEWEST and max(alike, default=0) < TOO_ALIKE:
            kept[name] = names[name]
    return kept


def language_name(locale: str) -> str:
    """What English calls the language: ``"Finnish"`` for ``"fi"``."""
    from babel import Locale

    return Locale("en").languages.get(locale, locale)
