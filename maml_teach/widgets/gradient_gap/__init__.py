"""Gradient gap: how far FOMAML and Reptile point from the exact meta-gradient, and how long."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from ...data import load
from ...measures import gradient_gap
from ...tasks import Sinusoids, Task, check_batch
from ..base import LABELS, WAVE_NETWORK, Figure, checked_starts, settable
from ..front_end import bundle, style

ALPHAS = tuple(float(f"{alpha:.2g}") for alpha in np.logspace(-3, -1, 13))
MAX_STEPS = 10
STARTS = ("random", "pretrained", "maml")
NAMES = tuple(LABELS.get(name, name) for name in STARTS)


def sinusoid_batches(seed: int = 0, n_batches: int = 5, n_tasks: int = 25) -> list[Task]:
    """Independent batches of sinusoids with 10 support and 10 query points per task."""
    rng = np.random.default_rng(seed)
    return [Sinusoids().sample(rng, n_tasks, 10, 10) for _ in range(n_batches)]


class GradientGap(Figure):
    """FOMAML and Reptile against the exact meta-gradient, over alpha and the inner steps K.

    The comparison is made here, once, for every start, every rate in ``ALPHAS``, every K up to 10
    and every batch; the page only looks it up. The gradients are computed in float32, which takes
    half the time; from there on it is float64. With the package's starts, the angles are within
    0.02 degrees of those from float64 gradients.

    Args:
        starts: The flat ``theta`` of ``MLP((1, 40, 40, 1))`` for each name in ``STARTS``.
        batches: Batches of one-dimensional regression tasks; five of 25 sinusoids by default. The
            spread that the figure shows is the one over these batches.
        **settings: First values of the traits ``start``, ``alpha`` (one of ``ALPHAS``) and
            ``n_inner_steps``.

    Raises:
        ValueError: If a start or a batch is missing or has the wrong shape, or a setting is
            unknown or out of range.
    """

    _esm, _css = bundle("gradient_gap"), style("gradient_gap")

    start = traitlets.Enum(NAMES, "MAML").tag(**settable())
    alpha = traitlets.Float(0.01).tag(**settable())
    n_inner_steps = traitlets.Int(1, min=1, max=MAX_STEPS).tag(**settable())
    names = traitlets.List(traitlets.Unicode(), list(NAMES)).tag(sync=True)
    alphas = traitlets.List(traitlets.Float(), list(ALPHAS)).tag(sync=True)
    # float32, little-endian, C order: (start, alpha, K - 1, batch, QUANTITIES)
    grid = traitlets.Bytes(b"").tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    # Mean query loss of each start before adapting, over all batches.
    losses_before = traitlets.List(traitlets.Float()).tag(sync=True)

    def __init__(
        self,
        starts: Mapping[str, ArrayLike],
        batches: Sequence[Task] | None = None,
        **settings: Any,
    ):
        thetas = _checked_starts(starts)
        batches = _checked_batches(sinusoid_batches() if batches is None else batches)
        super().__init__(**settings)
        grid = np.stack([_grid(theta, batches) for theta in thetas])
        self.grid, self.shape = grid.astype("<f4").tobytes(), list(grid.shape)
        self.losses_before = [
            float(np.mean([WAVE_NETWORK.loss(theta, b.x_query, b.y_query).mean() for b in batches]))
            for theta in thetas
        ]

    @classmethod
    def from_package(cls, *, seed: int = 0, **settings: Any) -> Self:
        """The figure for the three starts that the package brings along, on fixed batches."""
        saved = load("sinusoid_starts")
        starts = {name: saved[name] for name in STARTS}
        return cls(starts, sinusoid_batches(seed), **settings)

    @traitlets.validate("alpha")
    def _on_the_grid(self, proposal: Mapping[str, Any]) -> float:
        if proposal["value"] not in ALPHAS:
            raise traitlets.TraitError(f"alpha must be one of {ALPHAS}, got {proposal['value']}")
        return proposal["value"]


def _grid(theta: NDArray, batches: Sequence[Task]) -> NDArray:
    """Everything about one start: ``(n_alphas, MAX_STEPS, n_batches, len(QUANTITIES))``."""
    gaps = [
        [
            gradient_gap(WAVE_NETWORK, theta, b, alpha=alpha, n_inner_steps=MAX_STEPS)
            for b in batches
        ]
        for alpha in ALPHAS
    ]
    return np.swapaxes(gaps, 1, 2)


def _checked_starts(starts: Mapping[str, ArrayLike]) -> list[NDArray]:
    if set(starts) != set(STARTS):
        raise ValueError(f"starts must hold {', '.join(STARTS)}, got {', '.join(starts) or 'none'}")
    thetas = checked_starts(starts, WAVE_NETWORK.n_params)
    return [thetas[name].astype(np.float32) for name in STARTS]


def _checked_batches(batches: Sequence[Task]) -> list[Task]:
    if not isinstance(batches, list | tuple) or len(batches) == 0:
        raise ValueError("batches must be a list of one or more batches of tasks")
    for number, tasks in enumerate(batches):
        if not isinstance(tasks, Task):
            raise ValueError(f"batches[{number}] must be a Task, got {type(tasks).__name__}")
        check_batch(tasks)
    return [_as_float32(tasks) for tasks in batches]


def _as_float32(tasks: Task) -> Task:
    arrays = (tasks.x_support, tasks.y_support, tasks.x_query, tasks.y_query)
    return Task(*(np.asarray(array, np.float32) for array in arrays))
