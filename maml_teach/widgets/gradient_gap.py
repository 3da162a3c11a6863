"""Gradient gap: how far FOMAML and Reptile point from the exact meta-gradient, and how long."""

from importlib import resources

import numpy as np
import traitlets

from ..maml import adapt
from ..tasks import Sinusoids, Task, check_batch
from .base import Figure, bundle, settable
from .playground import LABELS, MODEL, checked_starts

ALPHAS = tuple(float(f"{alpha:.2g}") for alpha in np.logspace(-3, -1, 13))
MAX_STEPS = 10
STARTS = ("random", "pretrained", "maml")
NAMES = tuple(LABELS.get(name, name) for name in STARTS)
# The last axis of the grid. Angles are in degrees, lengths are those of the exact gradient.
QUANTITIES = ("FOMAML angle", "FOMAML length", "Reptile angle", "Reptile length", "meta-loss")


def gradient_gap(model, theta, tasks, *, alpha, n_inner_steps):
    """Angle and length of FOMAML's and Reptile's gradients against the exact one, for every K.

    Args:
        model: Anything with ``loss``, ``gradient`` and ``hvp``.
        theta: The start, ``(n_params,)``; its precision is that of the gradients.
        tasks: A batch of tasks.
        alpha: Inner learning rate.
        n_inner_steps: The largest K.

    Returns:
        float64, ``(n_inner_steps, len(QUANTITIES))``: row ``K - 1`` is for K inner steps. A row
        is NaN where the inner loop diverges or a value is not finite.

    Raises:
        ValueError: If an argument has the wrong shape or range.
    """
    path = _path(model, theta, tasks, alpha, n_inner_steps)
    gaps = np.full((n_inner_steps, len(QUANTITIES)), np.nan)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # such rows become NaN
        losses, exact, fomaml, reptile = _gradients(model, path, tasks, alpha)
        columns = (*_compare(fomaml, exact), *_compare(reptile, exact), losses)
        gaps[: len(losses)] = np.stack(columns, axis=-1)
        gaps[~np.isfinite(gaps.astype(np.float32)).all(axis=-1)] = np.nan
    return gaps


def _path(model, theta, tasks, alpha, n_inner_steps):
    """``[theta_0, theta_1, ...]`` up to step K, or to the last one before the loop diverges."""
    path = [np.broadcast_to(theta, (tasks.n_tasks, theta.size))]
    try:
        for _ in range(n_inner_steps):
            path.append(adapt(model, path[-1], tasks, alpha=alpha))
    except FloatingPointError:
        pass
    return path


def _gradients(model, path, tasks, alpha):
    """Meta-losses, exact, FOMAML and Reptile gradients of every K, off one inner path.

    ``v[k]`` belongs to the inner loop of k + 1 steps. One walk back serves them all: each joins
    where its own loop ends, so that ``maml_gradient`` need not be called once per K.
    """
    support, query = (tasks.x_support, tasks.y_support), (tasks.x_query, tasks.y_query)
    n = len(path) - 1
    v = np.zeros((n, *path[0].shape), path[0].dtype)
    losses, fomaml, reptile = np.zeros(n), np.zeros((n, path[0].shape[1])), []
    for k in reversed(range(n)):
        v[k] = model.gradient(path[k + 1], *query)  # (3.5)
        losses[k] = model.loss(path[k + 1], *query).mean()
        fomaml[k] = v[k].mean(axis=0)  # (3.17)
        v[k:] -= alpha * model.hvp(path[k], v[k:], *support)  # (3.6)
    for theta_k in path[1:]:
        reptile.append((path[0] - theta_k).mean(axis=0) / alpha)  # (3.18)
    return losses, v.mean(axis=1), fomaml, np.reshape(reptile, fomaml.shape)


def _compare(gradients, exact):
    """Angles in degrees, and lengths in lengths of ``exact``, row by row."""
    gradients, exact = gradients.astype(np.float64), exact.astype(np.float64)
    length, wanted = np.linalg.norm(gradients, axis=-1), np.linalg.norm(exact, axis=-1)
    # Twice the arctangent keeps its digits at small angles, where the arccosine loses half.
    u, w = gradients / length[:, None], exact / wanted[:, None]
    half = np.arctan2(np.linalg.norm(u - w, axis=-1), np.linalg.norm(u + w, axis=-1))
    return np.degrees(2 * half), length / wanted


def sinusoid_batches(seed=0, n_batches=5, n_tasks=25):
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

    _esm = bundle("gradient_gap")

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

    def __init__(self, starts, batches=None, **settings):
        thetas = _checked_starts(starts)
        batches = _checked_batches(sinusoid_batches() if batches is None else batches)
        super().__init__(**settings)
        grid = np.stack([_grid(theta, batches) for theta in thetas])
        self.grid, self.shape = grid.astype("<f4").tobytes(), list(grid.shape)
        self.losses_before = [
            float(np.mean([MODEL.loss(theta, b.x_query, b.y_query).mean() for b in batches]))
            for theta in thetas
        ]

    @classmethod
    def from_package(cls, *, seed=0, **settings):
        """The figure for the three starts that the package brings along, on fixed batches."""
        file = resources.files("maml_teach") / "data" / "sinusoid_starts.npz"
        with resources.as_file(file) as path, np.load(path) as saved:
            starts = {name: saved[name] for name in STARTS}
        return cls(starts, sinusoid_batches(seed), **settings)

    @traitlets.validate("alpha")
    def _on_the_grid(self, proposal):
        if proposal["value"] not in ALPHAS:
            raise traitlets.TraitError(f"alpha must be one of {ALPHAS}, got {proposal['value']}")
        return proposal["value"]


def _grid(theta, batches):
    """Everything about one start: ``(n_alphas, MAX_STEPS, n_batches, len(QUANTITIES))``."""
    gaps = [
        [gradient_gap(MODEL, theta, b, alpha=alpha, n_inner_steps=MAX_STEPS) for b in batches]
        for alpha in ALPHAS
    ]
    return np.swapaxes(gaps, 1, 2)


def _checked_starts(starts):
    if set(starts) != set(STARTS):
        raise ValueError(f"starts must hold {', '.join(STARTS)}, got {', '.join(starts) or 'none'}")
    thetas = checked_starts(starts)
    return [thetas[name].astype(np.float32) for name in STARTS]


def _checked_batches(batches):
    if not isinstance(batches, list | tuple) or len(batches) == 0:
        raise ValueError("batches must be a list of one or more batches of tasks")
    for number, tasks in enumerate(batches):
        if not isinstance(tasks, Task):
            raise ValueError(f"batches[{number}] must be a Task, got {type(tasks).__name__}")
        check_batch(tasks)
    return [_as_float32(tasks) for tasks in batches]


def _as_float32(tasks):
    arrays = (tasks.x_support, tasks.y_support, tasks.x_query, tasks.y_query)
    return Task(*(np.asarray(array, np.float32) for array in arrays))
