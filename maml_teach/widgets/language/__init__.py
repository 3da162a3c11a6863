"""Which language? Five languages, a few words of each, and a text to be told apart, in the page."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from ...applications.language import MODEL, shipped_names, shipped_titles
from ...data import load
from ..base import Figure, checked_start, settable
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


class WhichLanguageIsThis(Figure):
    """A trained network that adapts to a few words of five languages, which the reader may change.

    Args:
        theta: MAML start of ``language.MODEL``, ``(n_params,)``.
        names: Names by language, at least 20 of each.
        titles: What each language is called.
        sets: Languages five at a time; the figure shows one set after the other.
        **settings: First values of ``n_shots``, ``n_inner_steps``, ``alpha``, ``seed`` (which
            set), ``example`` (which of its texts), ``typed`` (a text in place of the example, or
            None) and ``support`` (25 texts in place of the samples, five of each language, or
            None).

    Raises:
        ValueError: If ``theta`` has the wrong shape or is not finite, a set is not of five known
            languages with names enough, or a setting is unknown or out of range.
    """

    _esm, _css = bundle("language"), style("language")

    n_shots = traitlets.Int(1, min=1, max=MOST_SHOTS).tag(**settable())
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

    @classmethod
    def from_package(cls, **settings: Any) -> Self:
        """The figure with the network and the names that the package brings along."""
        saved = load("language")
        return cls(saved["maml"], shipped_names("test"), shipped_titles(), **settings)


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
