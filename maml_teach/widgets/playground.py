"""Playground: one new sinusoid, and the same gradient descent from several starts."""

from importlib import resources

import numpy as np
import traitlets

from ..mlp import MLP
from .base import Figure, bundle, checked_start, settable

MODEL = MLP((1, 40, 40, 1), activation="relu", objective="mse")
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
LABELS = {"maml": "MAML"}


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

    _esm = bundle("playground")

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
    sizes = traitlets.List(traitlets.Int(), list(MODEL.sizes)).tag(sync=True)
    starts = traitlets.Bytes(b"").tag(sync=True)

    def __init__(self, starts, *, controls=CONTROLS, **settings):
        thetas = checked_starts(starts)
        super().__init__(controls=list(controls), **settings)
        self.names = [LABELS.get(name, name) for name in thetas]
        self.starts = np.stack(list(thetas.values())).astype("<f4").tobytes()

    @classmethod
    def from_package(cls, **settings):
        """The playground with the three starts that the package brings along."""
        file = resources.files("maml_teach") / "data" / "sinusoid_starts.npz"
        with resources.as_file(file) as path, np.load(path) as saved:
            starts = {name: saved[name] for name in ("random", "pretrained", "maml")}
        return cls(starts, **settings)


def checked_starts(starts):
    """The starts as arrays, by name.

    Raises:
        ValueError: If there are none or too many, or one has the wrong shape or is not finite.
    """
    if not 1 <= len(starts) <= 4:
        raise ValueError(f"starts must hold one to four starts, got {len(starts)}")
    return {
        name: checked_start(f"starts[{name!r}]", theta, MODEL.n_params)
        for name, theta in starts.items()
    }
