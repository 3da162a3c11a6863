"""Playground: one new sinusoid, and the same gradient descent from several starts."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from ...data import load
from ..base import LABELS, WAVE_NETWORK, Figure, checked_starts, settable
from ..front_end import bundle, style

CONTROLS = (
    "n_inner_steps",
    "alpha",
    "n_shots",
    "amplitude",
    "phase",
    "region",
    "seed",
    "points",
)


class Playground(Figure):
    """A few points of one sine wave, and what the same descent makes of them from each start.

    Args:
        starts: Mapping from a name to a flat ``theta`` of ``MLP((1, 40, 40, 1))``; one to four.
        controls: Which controls to show, of ``CONTROLS``; all by default. ``"seed"`` is the
            button for new points, ``"points"`` lets the reader add, move and remove them.
        **settings: First values of the traits ``amplitude``, ``phase``, ``n_shots``,
            ``n_inner_steps``, ``alpha``, ``region``, ``seed`` and ``points``.

    Raises:
        ValueError: If a start has the wrong shape or is not finite, or a setting is unknown or
            out of range.
    """

    _esm, _css = bundle("playground"), style("playground")

    amplitude = traitlets.Float(3.5, min=0.1, max=5.0).tag(**settable())
    phase = traitlets.Float(0.3, min=0.0, max=np.pi).tag(**settable())
    n_shots = traitlets.Int(5, min=1, max=20).tag(**settable())
    n_inner_steps = traitlets.Int(1, min=0, max=20).tag(**settable())
    alpha = traitlets.Float(0.01, min=0.001, max=0.1).tag(**settable())
    region = traitlets.Enum(["everywhere", "left half", "right half"], "everywhere").tag(
        **settable()
    )
    seed = traitlets.Int(8, min=0).tag(**settable())
    # (x, y), or (x, None) for a point that stays on the curve
    points = traitlets.List(
        traitlets.Tuple(traitlets.Float(), traitlets.Float(allow_none=True)), []
    ).tag(**settable())
    controls = traitlets.List(traitlets.Enum(CONTROLS), list(CONTROLS)).tag(**settable())

    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    sizes = traitlets.List(traitlets.Int(), list(WAVE_NETWORK.sizes)).tag(sync=True)
    starts = traitlets.Bytes(b"").tag(sync=True)

    def __init__(
        self,
        starts: Mapping[str, ArrayLike],
        *,
        controls: Sequence[str] = CONTROLS,
        **settings: Any,
    ):
        thetas = checked_starts(starts, WAVE_NETWORK.n_params)
        super().__init__(controls=list(controls), **settings)
        self.names = [LABELS.get(name, name) for name in thetas]
        self.starts = np.stack(list(thetas.values())).astype("<f4").tobytes()

    @classmethod
    def from_package(cls, **settings: Any) -> Self:
        """The playground with the three starts that the package brings along."""
        saved = load("sinusoid_starts")
        return cls({name: saved[name] for name in ("random", "pretrained", "maml")}, **settings)
