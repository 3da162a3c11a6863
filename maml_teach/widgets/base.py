"""What the figures share in Python: how bad settings are refused, and starts to choose from."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import anywidget
import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from ..data import load
from ..mlp import MLP

WAVE_NETWORK = MLP((1, 40, 40, 1))  # the paper's network for sinusoids
LABELS = {"maml": "MAML"}  # names of starts, where a figure calls one otherwise than the package


class Figure(anywidget.AnyWidget):
    """An anywidget that answers wrong settings with ``ValueError`` and has a stable repr."""

    def __init__(self, **settings: Any):
        known = self.trait_names(settable=True)
        if unknown := sorted(set(settings) - set(known)):
            raise ValueError(f"{type(self).__name__} has no setting {', '.join(unknown)}")
        try:
            super().__init__(**settings)
        except traitlets.TraitError as error:
            raise ValueError(str(error)) from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def settable() -> dict[str, bool]:
    """Metadata of a trait that may be given to the constructor and is sent to the page."""
    return {"sync": True, "settable": True}


def seen_in_training() -> traitlets.Dict:
    """The trait with what training saw of each setting, ``{name: (lowest, highest)}``.

    The page marks it on the sliders; a setting that is not in it gets no mark.
    """
    ends = traitlets.Tuple(traitlets.Float(), traitlets.Float())
    return traitlets.Dict(value_trait=ends).tag(**settable())


def checked_start(name: str, theta: ArrayLike, n_params: int) -> NDArray:
    """A start as an array.

    Raises:
        ValueError: If it has another shape than ``(n_params,)``, or is not finite.
    """
    theta = np.asarray(theta)
    if theta.shape != (n_params,):
        raise ValueError(f"{name} has shape {theta.shape}, expected ({n_params},)")
    if not np.isfinite(theta).all():
        raise ValueError(f"{name} must be finite, but holds nan or inf")
    return theta


def checked_starts(starts: Mapping[str, ArrayLike], n_params: int) -> dict[str, NDArray]:
    """The starts as arrays, by name.

    Raises:
        ValueError: If there are none or too many, or one has the wrong shape or is not finite.
    """
    if not 1 <= len(starts) <= 4:
        raise ValueError(f"starts must hold one to four starts, got {len(starts)}")
    return {
        name: checked_start(f"starts[{name!r}]", theta, n_params) for name, theta in starts.items()
    }


class TwoStarts(Figure):
    """A figure with two starts to choose from: MAML's, and one trained on all tasks at once.

    A subclass says which ``network`` the starts are for, and where the package keeps them:
    ``kept`` is the name of the file in ``maml_teach/data`` and the names of the two in it. Its
    ``_trained_on`` reads from the settings of that file what the training saw.

    Args:
        maml: MAML start, ``(n_params,)`` of ``network``.
        joint: Start trained on all tasks at once, ``(n_params,)``.
        **settings: First values of the traits that the subclass lists, and ``trained``: what the
            starts were trained on, ``{setting: (lowest, highest)}``.

    Raises:
        ValueError: If a start has the wrong shape or is not finite, or a setting is unknown or
            out of range.
    """

    network: ClassVar[MLP]
    kept: ClassVar[tuple[str, str, str]]

    start = traitlets.Enum(["maml", "joint"], "maml").tag(**settable())
    sizes = traitlets.List(traitlets.Int()).tag(sync=True)
    maml = traitlets.Bytes(b"").tag(sync=True)
    joint = traitlets.Bytes(b"").tag(sync=True)
    trained = seen_in_training()

    def __init__(self, maml: ArrayLike, joint: ArrayLike, **settings: Any):
        starts = [
            checked_start(name, theta, self.network.n_params)
            for name, theta in (("maml", maml), ("joint", joint))
        ]
        super().__init__(**settings)
        self.sizes = list(self.network.sizes)
        self.maml, self.joint = (theta.astype("<f4").tobytes() for theta in starts)

    @classmethod
    def from_package(cls, **settings: Any) -> Self:
        """The figure with the networks that the package brings along."""
        name, *keys = cls.kept
        saved = load(name)
        trained = cls._trained_on(json.loads(str(saved["config"])))
        return cls(*(saved[key] for key in keys), **{"trained": trained, **settings})

    @staticmethod
    def _trained_on(config: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
        """What a training with these settings saw: ``{setting: (lowest, highest)}``."""
        raise NotImplementedError
