"""What does this sentence ask for? Intents as tasks, on features from anywhere.

A task is a few intents, each with a few sentences. The sentences are real: CLINC150 and BANKING77,
read from the files of their authors. What turns a sentence into numbers is not fixed: a bag of
words here, a pretrained encoder in ``intents_torch``.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from ..inputs import check_counts
from ..tasks import Task
from .language import fnv1a

SCALE = 10.0  # length of a feature vector
N_BUCKETS = 1024  # of a bag of words


@dataclass(frozen=True)
class Sentences:
    """Sentences and what they ask for.

    Args:
        texts: The sentences.
        labels: The number of the intent of each, ``(len(texts),)``.
        names: The name of each intent.
        groups: What each intent is split by: its domain, or itself.
    """

    texts: tuple[str, ...]
    labels: NDArray
    names: tuple[str, ...]
    groups: tuple[str, ...]


def clinc150(folder: str | Path) -> Sentences:
    """CLINC150 from ``data_full.json`` and ``domains.json``: 150 intents of ten domains.

    Args:
        folder: The folder with the two files; those out of scope are left out.

    Returns:
        :class:`Sentences` grouped by domain.

    Raises:
        ValueError: If a file is missing, cut off, or not what it is called.

    Source:
        Larson et al. (2019), github.com/clinc/oos-eval, folder data.
    """
    folder = Path(folder)
    parts, domains = _json(folder / "data_full.json"), _json(folder / "domains.json")
    domain_of = {intent: domain for domain, own in domains.items() for intent in own}
    pairs = [tuple(pair) for name in ("train", "val", "test") for pair in parts.get(name, ())]
    return _gathered(folder / "data_full.json", pairs, domain_of)


def banking77(folder: str | Path) -> Sentences:
    """BANKING77 from ``train.csv`` and ``test.csv``: 77 intents of one bank's customers.

    Args:
        folder: The folder with the two files.

    Returns:
        :class:`Sentences`, each intent a group of its own.

    Raises:
        ValueError: If a file is missing, cut off, or not what it is called.

    Source:
        Casanueva et al. (2020), github.com/PolyAI-LDN/task-specific-datasets, banking_data.
    """
    files = [Path(folder) / f"{name}.csv" for name in ("train", "test")]
    pairs = [pair for file in files for pair in _rows(file)]
    return _gathered(files[0], pairs, {intent: intent for _, intent in pairs})


def _json(file: Path) -> dict:
    try:
        return dict(json.loads(file.read_text("utf-8")))
    except FileNotFoundError:
        raise ValueError(f"folder {str(file.parent)!r} has no file {file.name}") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"folder: {file.name} is not whole: {error}") from error


def _rows(file: Path) -> Iterator[tuple[str, str]]:
    if not file.is_file():
        raise ValueError(f"folder {str(file.parent)!r} has no file {file.name}")
    with file.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            if not row.get("text") or not row.get("category"):
                raise ValueError(
                    f"folder: row {number} of {file.name} must have a text and a category"
                )
            yield row["text"], row["category"]


def _gathered(file: Path, pairs: Sequence[tuple], group_of: Mapping[str, str]) -> Sentences:
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"folder: {file.name} must hold pairs of a text and its intent")
    known = [pair for pair in dict.fromkeys(pairs) if pair[1] in group_of]
    names = sorted({intent for _, intent in known})
    number = {intent: k for k, intent in enumerate(names)}
    labels = np.array([number[intent] for _, intent in known], dtype=int)
    groups = tuple(group_of[intent] for intent in names)
    return Sentences(tuple(text for text, _ in known), labels, tuple(names), groups)


def split_groups(sentences: Sentences, sizes: Mapping[str, int], seed: int) -> dict[str, NDArray]:
    """The intents of each part, in which no group is in two parts.

    Args:
        sentences: All sentences.
        sizes: How many groups each part gets, but for the last, which gets the rest.
        seed: Draws the order of the groups.

    Returns:
        ``{part: numbers of intents}``.
    """
    order = np.random.default_rng(seed).permutation(sorted(set(sentences.groups)))
    ends = np.cumsum(list(sizes.values())[:-1])
    parts = zip(sizes, np.split(order, ends), strict=True)
    return {part: np.flatnonzero(np.isin(sentences.groups, own)) for part, own in parts}


def bag_of_words(texts: Iterable[str]) -> NDArray:
    """Square roots of how often words fall into each of ``N_BUCKETS`` buckets; see ``scaled``.

    A word is a run of letters and digits in lower case; a hash gives it its bucket.

    Raises:
        ValueError: If a text has no word.
    """
    found = []
    for text in texts:
        plain = "".join(c if c.isalnum() else " " for c in text.lower()).split()
        if not plain:
            raise ValueError(f"texts must hold at least one word each, got {text!r}")
        buckets = [fnv1a(word) % N_BUCKETS for word in plain]
        found.append(np.bincount(buckets, minlength=N_BUCKETS))
    return scaled(np.sqrt(found))


def scaled(features: ArrayLike) -> NDArray:
    """Vectors ``(n, n_features)`` of length ``SCALE``, in float32."""
    features = np.asarray(features, float)
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    return (SCALE * features / np.maximum(lengths, 1e-12)).astype(np.float32)


@dataclass(frozen=True)
class Intents:
    """Episodes of N-way K-shot classification among some intents.

    Args:
        features: What the model sees of each sentence, ``(n_sentences, n_features)``.
        labels: The intent of each sentence, ``(n_sentences,)``.
        classes: The intents that tasks are made of, numbers in ``labels``.
        n_ways: Intents per task; within a task they are labelled 0 to ``n_ways - 1``.

    Raises:
        ValueError: If features and labels differ in length, or if there are fewer intents than
            ``n_ways``.
    """

    features: NDArray
    labels: NDArray
    classes: NDArray
    n_ways: int = 5

    def __post_init__(self) -> None:
        check_counts(n_ways=self.n_ways)
        if len(self.features) != len(self.labels):
            raise ValueError(
                f"labels must have one entry for each of the {len(self.features)} features, "
                f"got {len(self.labels)}"
            )
        if len(self.classes) < self.n_ways:
            raise ValueError(
                f"n_ways is {self.n_ways}, but there are only {len(self.classes)} intents"
            )

    @cached_property
    def _rows(self) -> list[NDArray]:
        """The sentences of each intent."""
        return [np.flatnonzero(self.labels == one) for one in self.classes]

    def ways(self, rng: Generator, n_tasks: int) -> NDArray:
        """Places in ``classes`` of each task's intents, as :meth:`sample` draws them first."""
        n = len(self.classes)
        return np.array([rng.choice(n, self.n_ways, replace=False) for _ in range(n_tasks)])

    def sample(self, rng: Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """A batch of tasks: ``x`` ``(n_tasks, n_ways * n_shots, n_features)``, ``y`` its labels.

        ``n_shots`` and ``n_queries`` count sentences per intent; none is in both sets.

        Raises:
            ValueError: If an intent that is drawn has too few sentences.
        """
        check_counts(n_tasks=n_tasks, n_shots=n_shots, n_queries=n_queries)
        n_each = n_shots + n_queries
        rows = [self._some(rng, way, n_each) for way in self.ways(rng, n_tasks).ravel()]
        x = self.features[np.reshape(rows, (n_tasks, -1, n_each))]
        return Task.by_class(x, n_shots)

    def _some(self, rng: Generator, way: Any, n: int) -> NDArray:
        rows = self._rows[way]
        if len(rows) < n:
            raise ValueError(
                f"intent {self.classes[way]} has {len(rows)} sentences, but n_shots + n_queries "
                f"is {n}"
            )
        return rng.choice(rows, n, replace=False)
