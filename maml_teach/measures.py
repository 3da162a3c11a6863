"""What the book measures of meta-gradients and features: gaps, spreads, curvatures, likeness."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .inputs import (
    check_array,
    check_count,
    check_counts,
    check_filled,
    check_generator,
    check_model,
    check_rate,
    check_shape,
    check_theta,
    described,
    rate,
)
from .maml import adapt
from .mlp import MLP
from .protocols import Model
from .tasks import Task, check_tasks_for

# The last axis of the grid. Angles are in degrees, lengths are those of the exact gradient.
QUANTITIES = ("FOMAML angle", "FOMAML length", "Reptile angle", "Reptile length", "meta-loss")


def task_gradients(
    model: Model, theta: NDArray, tasks: Task, *, alpha: float
) -> tuple[NDArray, NDArray]:
    """Each task's own meta-gradient for one inner step, by MAML and by FOMAML.

    Args:
        model: Anything with ``gradient`` and ``hvp``.
        theta: The start, ``(n_params,)``.
        tasks: A batch of tasks.
        alpha: Inner learning rate.

    Returns:
        ``(maml, fomaml)``, each ``(n_tasks, n_params)``; their means over tasks are what
        ``maml_gradient`` and ``fomaml_gradient`` answer.
    """
    alpha = check_rate("alpha", alpha)
    check_model(model, ["gradient", "hvp"], np.ndarray)
    theta_prime = adapt(model, theta, tasks, alpha=alpha)
    v = model.gradient(theta_prime, tasks.x_query, tasks.y_query)
    return v - alpha * model.hvp(theta, v, tasks.x_support, tasks.y_support), v


def spread(gradients: NDArray) -> float:
    """Standard deviation over tasks of a vector: root of the summed variances of its entries.

    Args:
        gradients: One of each task, ``(n_tasks, n_params)``, of at least two tasks.

    Raises:
        ValueError: If it is no such array.
    """
    _check_table("gradients", gradients)
    return np.sqrt(gradients.var(axis=0, ddof=1).sum())


def noise(gradients: NDArray) -> float:
    """Spread over tasks in units of the length of the mean gradient.

    A gradient that is merely longer is no noisier: an optimiser that adapts its step, such as Adam,
    divides the length out again. The squared length of a mean over n tasks holds the nth part of
    the squared spread, which is taken off.

    Args:
        gradients: One of each task, ``(n_tasks, n_params)``, of at least two tasks.

    Returns:
        A number, infinite where that leaves nothing of the length.

    Raises:
        ValueError: If ``gradients`` is no such array.
    """
    own = spread(gradients)
    squared = np.sum(gradients.mean(axis=0) ** 2) - own**2 / len(gradients)
    return own / np.sqrt(squared) if squared > 0 else np.inf


def _check_table(name: str, array: NDArray, least: int = 2) -> None:
    """Require floats in rows, at least so many."""
    check_array(name, array, np.ndarray, "f")
    if array.ndim != 2 or len(array) < least or not array.size:
        raise ValueError(
            f"{name} must have two axes and at least {least} rows, got {described(array)}"
        )


def largest_curvature(
    model: Model, theta: NDArray, tasks: Task, *, rng: np.random.Generator, n_steps: int = 40
) -> NDArray:
    """Largest eigenvalue of each task's support Hessian at ``theta``, by power iteration.

    Args:
        model: Anything with ``hvp``.
        theta: ``(n_params,)``, or one for each task, ``(n_tasks, n_params)``.
        tasks: A batch of tasks.
        rng: Draws the vectors to begin with.
        n_steps: Products with the Hessian.

    Returns:
        ``(n_tasks,)``: of the eigenvalue that is largest in size, with its sign.
    """
    check_generator(rng)
    check_model(model, ["hvp"], np.ndarray)
    n_tasks = check_tasks_for(model, tasks, np.ndarray)
    check_shape("theta", check_theta(theta), getattr(model, "n_params", None), n_tasks)
    (n_steps,) = check_counts(n_steps=n_steps)
    v = rng.standard_normal((tasks.n_tasks, theta.shape[-1])).astype(theta.dtype)
    for _ in range(n_steps):
        v = v / np.linalg.norm(v, axis=1, keepdims=True)
        product = model.hvp(theta, v, tasks.x_support, tasks.y_support)
        curvature, v = np.sum(v * product, axis=1), product
    return curvature


def accuracy_after(
    model: Model, theta: NDArray, tasks: Task, *, alpha: float | NDArray, steps: Sequence[int]
) -> NDArray:
    """Share of the query points that are classified rightly after adapting.

    Args:
        model: Anything with ``predict`` and ``gradient`` whose outputs are scores of classes.
        theta: The start, ``(n_params,)``.
        tasks: A batch of tasks with integer labels.
        alpha: Inner rate or rates, as in ``maml.adapt``.
        steps: After how many inner steps to look, in any order.

    Returns:
        ``(len(steps), n_tasks)``.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.

    >>> rng, model = np.random.default_rng(0), MLP((1, 8, 2), objective="cross_entropy")
    >>> x = rng.normal(size=(20, 10, 1))
    >>> y = ((x[..., 0] > 0) ^ rng.integers(2, size=(20, 1))).astype(int)  # which side is 1?
    >>> tasks = Task(x, y, x, y)
    >>> before, after = accuracy_after(model, model.init(rng), tasks, alpha=0.5, steps=[0, 20])
    >>> bool(before.mean() < 0.7 < 0.9 < after.mean())
    True
    """
    check_model(model, ["predict", "gradient"], np.ndarray)
    steps = [check_count("steps", k, least=0) for k in check_filled("steps", steps)]
    theta_k, shares = check_theta(theta), []
    for k in range(max(steps) + 1):
        if k:
            theta_k = adapt(model, theta_k, tasks, alpha=rate(alpha, k - 1))
        best = model.predict(theta_k, tasks.x_query).argmax(axis=-1)
        shares.append((best == tasks.y_query).mean(axis=1))
    return np.array(shares)[steps]


def layer_outputs(model: MLP, theta: NDArray, x: NDArray) -> list[NDArray]:
    """Outputs of the hidden layers and of the last one, for an :class:`~maml_teach.mlp.MLP`.

    Returns:
        A list of arrays ``(..., n, width)``.
    """
    if not isinstance(model, MLP):
        raise ValueError(f"model must be an mlp.MLP, got {described(model)}")
    model.check(theta, x)
    outputs = []
    for depth in range(2, len(model.sizes) + 1):
        part = MLP(model.sizes[:depth])
        outputs.append(part.predict(theta[..., : part.n_params], x))
    return [np.maximum(z, 0) for z in outputs[:-1]] + outputs[-1:]


def cka(one: NDArray, two: NDArray) -> NDArray:
    """Linear CKA of two layers' outputs on the same inputs: 1 if one is the other turned.

    Args:
        one: ``(..., n, width)``.
        two: ``(..., n, another width)``; leading axes are those of ``one``, or broadcast with them.

    Returns:
        Numbers from 0 to 1, ``(...)``.

    Raises:
        ValueError: If an argument is no such array, or the two have different inputs.

    Source:
        Kornblith et al. (2019), *Similarity of neural network representations revisited*.
    """
    for name, z in (("one", one), ("two", two)):
        check_array(name, z, np.ndarray, "f")
        if z.ndim < 2 or not z.size:
            raise ValueError(f"{name} must have shape (..., n, width), got {described(z)}")
    expected = f"two has shape {two.shape}; expected {one.shape[:-1]} and a width"
    if one.shape[-2] != two.shape[-2]:
        raise ValueError(expected)
    try:
        np.broadcast_shapes(one.shape[:-2], two.shape[:-2])
    except ValueError as error:
        raise ValueError(expected) from error
    one, two = (z - z.mean(axis=-2, keepdims=True) for z in (one, two))
    across, within, other = (
        np.sum((p.mT @ q) ** 2, axis=(-2, -1)) for p, q in ((one, two), (one, one), (two, two))
    )
    return across / np.sqrt(within * other)


def probe(features: NDArray, curve: NDArray) -> float:
    """How well a linear combination of features and a constant follows a curve.

    It is fitted at every second point and judged at those in between.

    Args:
        features: ``(n, width)``, at inputs in order, at least four of them.
        curve: ``(n,)``.

    Returns:
        R² at the points in between.

    Raises:
        ValueError: If an argument is no such array.
    """
    _check_table("features", features, least=4)
    check_array("curve", curve, np.ndarray, "f")
    if curve.shape != features.shape[:1]:
        raise ValueError(f"curve has shape {curve.shape}; expected {features.shape[:1]}")
    columns = np.column_stack([features, np.ones(len(features))])
    weights = np.linalg.lstsq(columns[::2], curve[::2])[0]
    residual = columns[1::2] @ weights - curve[1::2]
    return 1 - np.mean(residual**2) / np.var(curve[1::2])


def gradient_gap(
    model: Model, theta: NDArray, tasks: Task, *, alpha: float, n_inner_steps: int
) -> NDArray:
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
    alpha, (n_inner_steps,) = check_rate("alpha", alpha), check_counts(n_inner_steps=n_inner_steps)
    check_model(model, ["loss", "gradient", "hvp"], np.ndarray)
    check_shape("theta", check_theta(theta), getattr(model, "n_params", None))
    check_tasks_for(model, tasks, np.ndarray)
    path = _path(model, theta, tasks, alpha, n_inner_steps)
    gaps = np.full((n_inner_steps, len(QUANTITIES)), np.nan)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # such rows become NaN
        losses, exact, fomaml, reptile = _gradients(model, path, tasks, alpha)
        columns = (*_compare(fomaml, exact), *_compare(reptile, exact), losses)
        gaps[: len(losses)] = np.stack(columns, axis=-1)
        gaps[~np.isfinite(gaps.astype(np.float32)).all(axis=-1)] = np.nan
    return gaps


def _path(
    model: Model, theta: NDArray, tasks: Task, alpha: float, n_inner_steps: int
) -> list[NDArray]:
    """``[theta_0, theta_1, ...]`` up to step K, or to the last one before the loop diverges."""
    path = [np.broadcast_to(theta, (tasks.n_tasks, theta.size))]
    try:
        for _ in range(n_inner_steps):
            path.append(adapt(model, path[-1], tasks, alpha=alpha))
    except FloatingPointError:
        pass
    return path


def _gradients(
    model: Model, path: list[NDArray], tasks: Task, alpha: float
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
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
        fomaml[k] = v[k].mean(axis=0)  # (3.8)
        v[k:] -= alpha * model.hvp(path[k], v[k:], *support)  # (3.6)
    for theta_k in path[1:]:
        reptile.append((path[0] - theta_k).mean(axis=0) / alpha)  # (3.9)
    return losses, v.mean(axis=1), fomaml, np.reshape(reptile, fomaml.shape)


def _compare(gradients: NDArray, exact: NDArray) -> tuple[NDArray, NDArray]:
    """Angles in degrees, and lengths in lengths of ``exact``, row by row."""
    gradients, exact = gradients.astype(np.float64), exact.astype(np.float64)
    length, wanted = np.linalg.norm(gradients, axis=-1), np.linalg.norm(exact, axis=-1)
    # Twice the arctangent keeps its digits at small angles, where the arccosine loses half.
    u, w = gradients / length[:, None], exact / wanted[:, None]
    half = np.arctan2(np.linalg.norm(u - w, axis=-1), np.linalg.norm(u + w, axis=-1))
    return np.degrees(2 * half), length / wanted
