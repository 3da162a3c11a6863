"""Which language? Five languages, a few words of each, and a text to be told apart, in the page."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from ... import maml
from ...applications.language import MODEL, features, shipped_names, shipped_titles
from ...data import load
from ...tasks import Task
from ..base import Figure, checked_start, seen_in_training, settable
from ..front_end import bundle, style

N_WAYS, MOST_SHOTS = 5, 5
# Test languages, five at a time; the first are those that most readers have seen written.
SETS = (
    ("fi", "tr", "pl", "nl", "zu"),
    ("sv", "cs", "fil", "yo", "az"),
    ("sl", "br", "ig", "se", "tk"),
    ("sc", "scn", "vec", "ku", "sn"),
    ("to", "ee", "bas", "lag", "sms"),
    ("mua", "bez", "ewo", "kxv", "tzm"),
)

# Ready sentences; where there is none, or none fits, the figure's own texts take their place.
SENTENCES = {
    "fi": ("kissa istuu matolla", "hyvää huomenta kaikille"),
    "tr": ("kedi paspasın üstünde oturuyor", "bugün hava çok güzel"),  # noqa: RUF001
    "pl": ("kot siedzi na macie", "dzisiaj jest piękna pogoda"),
    "nl": ("de kat zit op de mat", "ik wil graag een kopje koffie"),
    "zu": ("ikati lihlezi phezu kocansi", "ngiyabonga kakhulu"),
}


class WhichLanguageIsThis(Figure):
    """A trained network that adapts to a few words of five languages, which the reader may change.

    Args:
        theta: MAML start of ``language.MODEL``, ``(n_params,)``.
        names: Names by language, at least 20 of each.
        titles: What each language is called.
        sets: Languages five at a time; the figure shows one set after the other.
        **settings: First values of ``n_shots``, ``n_inner_steps``, ``alpha``, ``seed`` (which
            set), ``example`` (which of its texts), ``typed`` (a text in place of the example, or
            None), ``support`` (25 texts in place of the samples, five of each language, or
            None) and ``trained``: what the start was trained on, ``{setting: (fewest, most)}``.

    Raises:
        ValueError: If ``theta`` has the wrong shape or is not finite, a set is not of five known
            languages with names enough, or a setting is unknown or out of range.
    """

    _esm, _css = bundle("language"), style("language")

    n_shots = traitlets.Int(MOST_SHOTS, min=1, max=MOST_SHOTS).tag(**settable())
    n_inner_steps = traitlets.Int(5, min=0, max=10).tag(**settable())
    alpha = traitlets.Float(1.0, min=0.01, max=10.0).tag(**settable())
    seed = traitlets.Int(0, min=0).tag(**settable())
    example = traitlets.Int(0, min=0).tag(**settable())
    typed = traitlets.Unicode(None, allow_none=True).tag(**settable())
    support = traitlets.List(  # type: ignore[misc]  # None in a list: beyond its inference
        traitlets.Unicode(None, allow_none=True),
        [None] * (N_WAYS * MOST_SHOTS),
        minlen=N_WAYS * MOST_SHOTS,
        maxlen=N_WAYS * MOST_SHOTS,
    ).tag(**settable())

    sizes = traitlets.List(traitlets.Int(), list(MODEL.sizes)).tag(sync=True)
    theta = traitlets.Bytes(b"").tag(sync=True)
    sets = traitlets.List(traitlets.List(traitlets.Dict())).tag(sync=True)
    chips = traitlets.List(traitlets.List(traitlets.Dict())).tag(sync=True)
    trained = seen_in_training()

    def __init__(
        self,
        theta: ArrayLike,
        names: Mapping[str, Sequence[str]],
        titles: Mapping[str, str],
        sets: Sequence[Sequence[str]] = SETS,
        **settings: Any,
    ):
        theta = checked_start("theta", theta, MODEL.n_params)
        shown = [[_language(name, names, titles) for name in _five(one)] for one in sets]
        super().__init__(**settings)
        self.theta, self.sets = theta.astype("<f2").tobytes(), shown
        start = theta.astype(np.float16).astype(float)
        inner = self.n_shots, self.n_inner_steps, self.alpha
        self.chips = [
            _chips(start, one, five, *inner) for one, five in zip(sets, shown, strict=True)
        ]

    @classmethod
    def from_package(cls, **settings: Any) -> Self:
        """The figure with the network and the names that the package brings along."""
        saved = load("language")
        run = json.loads(str(saved["config"]))
        steps, shots = (0, run["n_inner_steps"]), (run["n_shots"], run["n_shots"])
        known = {"trained": {"n_inner_steps": steps, "n_shots": shots}, **settings}
        return cls(saved["maml"], shipped_names("test"), shipped_titles(), **known)


def _five(languages: Sequence[str]) -> Sequence[str]:
    if len(set(languages)) != N_WAYS:
        raise ValueError(f"sets must hold five different languages each, got {languages!r}")
    return languages


def _language(
    name: str, names: Mapping[str, Sequence[str]], titles: Mapping[str, str]
) -> dict[str, Any]:
    """Title of one language, five samples of two names, and five more to be asked about."""
    own, n_pairs = names.get(name, ()), 2 * MOST_SHOTS
    if len(own) < 2 * n_pairs:
        raise ValueError(f"names must hold {2 * n_pairs} names of {name!r}, got {len(own)}")
    picked = [own[k] for k in np.linspace(0, len(own) - 1, 2 * n_pairs).astype(int)]
    pairs = [f"{picked[k]}, {picked[k + n_pairs]}" for k in range(n_pairs)]
    return {"title": titles.get(name, name), "samples": pairs[::2], "asked": pairs[1::2]}


def _said(
    theta: NDArray, five: Sequence[Mapping], texts: Iterable[str], *inner: Any
) -> dict[str, int]:
    """Which of ``five`` languages each text is in by ``theta``, adapted to samples of each.

    ``inner`` is the number of samples and of steps and the rate. Nothing is said where they
    diverge.
    """
    n_shots, n_inner_steps, alpha = inner
    x = np.stack([features(text) for one in five for text in one["samples"][:n_shots]])[None]
    y = np.repeat(np.arange(N_WAYS), n_shots)[None]
    task = Task(x, y, x, y)
    try:
        adapted = maml.adapt(MODEL, theta, task, alpha=alpha, n_inner_steps=n_inner_steps)[0]
    except FloatingPointError:
        return {}
    return {text: int(MODEL.predict(adapted, features(text)[None])[0].argmax()) for text in texts}


def _chips(
    theta: NDArray, names: Sequence[str], five: Sequence[Mapping], *inner: Any
) -> list[dict[str, Any]]:
    """A text that is placed rightly of each language that has one, and one that is not."""
    known = {
        text: way
        for way, name in enumerate(names)
        for text in (*SENTENCES.get(name, ()), *five[way]["asked"])
    }
    said = _said(theta, five, known, *inner)
    right = [text for text in said if said[text] == known[text]]
    first = {known[text]: text for text in reversed(right)}
    wrong = [text for text in said if said[text] != known[text]][:1]
    chosen = [*(first[way] for way in sorted(first)), *wrong]
    return [{"way": known[t], "text": t, "right": t not in wrong} for t in chosen]
