"""The exact MAML gradient of ``maml.maml_gradient`` for an MLP, arranged for speed.

The mathematics is that of ``maml`` and ``mlp``, equation by equation. What is saved is work that
the plain functions do twice, or once for each task where once would do:

- the first inner step starts from the shared ``theta``, so the points of all tasks go through one
  product, and the last step of the walk back needs the sum over tasks only;
- what a step has computed on its way is kept for the way back;
- a layer's bias is one more row of its weights, met by a column of ones in its input, which is how
  ``theta`` stores it: ``W`` row by row, then ``b``.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .inputs import check_convergence, check_rate, check_theta, described
from .mlp import ACTIVATIONS, MLP, OBJECTIVES
from .tasks import Task, check_batch, mean_over_lists

# What a step keeps for the way back: weights, a, slopes, delta; one entry per layer in each.
Step = tuple[list[NDArray], list[NDArray], list[Any], list[NDArray]]


@mean_over_lists
def maml_gradient(
    model: MLP, theta: NDArray, tasks: Task, *, alpha: float, n_inner_steps: int = 1
) -> tuple[float, NDArray]:
    """Exact MAML as in ``maml.maml_gradient``, about twice as fast.

    Args:
        model: An :class:`~maml_teach.mlp.MLP`.
        theta: Meta-parameters, ``(n_params,)``; its dtype is that of the work.
        tasks: A batch of tasks, or a list of single tasks, which may be of different sizes.
        alpha: Inner learning rate, a number.
        n_inner_steps: Number of inner steps, at least 0.

    Returns:
        ``(meta_loss, gradient)``, ``gradient`` of shape ``(n_params,)``.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.
    """
    alpha = check_rate("alpha", alpha)
    if not isinstance(model, MLP):
        raise ValueError(f"model must be an mlp.MLP, got {described(model)}")
    x, y, x_query, y_query = _checked_arrays(model, check_theta(theta), tasks)
    weights = _weights(model, theta)
    steps: list[Step] = []
    with np.errstate(over="ignore", invalid="ignore"):  # reported just below
        for _ in range(n_inner_steps):
            a, slopes, delta = _backpropagate(model, weights, x, y)
            steps.append((weights, a, slopes, delta))
            moves = (_outer(p, alpha * q) for p, q in zip(a, delta, strict=False))
            weights = [W - move for W, move in zip(weights, moves, strict=True)]  # (3.2)
        a, _, delta = _backpropagate(model, weights, x_query, y_query)  # (3.5)
        meta_loss = OBJECTIVES[model.objective].value(a[-1], y_query).mean()  # (3.1)
    check_convergence(np.stack([W.sum(axis=(-2, -1)) for W in weights], -1), alpha, n_inner_steps)
    if not steps:
        together = [_outer_sum(p, q) for p, q in zip(a, delta, strict=False)]
        return meta_loss, _flat(together) / tasks.n_tasks
    v = [_outer(p, q) for p, q in zip(a, delta, strict=False)]
    for step in reversed(steps[1:]):
        moves = _hvp(model, step, y, v, alpha, _outer)
        v = [one - move for one, move in zip(v, moves, strict=True)]  # (3.6)
    moves = _hvp(model, steps[0], y, v, alpha, _outer_sum)
    total = [one.sum(axis=0) - move for one, move in zip(v, moves, strict=True)]
    return meta_loss, _flat(total) / tasks.n_tasks  # (3.7)


def _weights(model: MLP, theta: NDArray) -> list[NDArray]:
    """Per layer ``W`` with ``b`` as its last row, ``(n_in + 1, n_out)``: views into ``theta``."""
    layers, start = [], 0
    for n_in, n_out in zip(model.sizes[:-1], model.sizes[1:], strict=True):
        end = start + (n_in + 1) * n_out
        layers.append(theta[start:end].reshape(n_in + 1, n_out))
        start = end
    return layers


def _flat(blocks: list[NDArray]) -> NDArray:
    return np.concatenate([block.ravel() for block in blocks])


def _checked_arrays(model: MLP, theta: NDArray, tasks: Task) -> list[NDArray]:
    """The four arrays in the dtype of ``theta``, checked as the model checks them."""
    check_batch(tasks)
    arrays = []
    for x, y in ((tasks.x_support, tasks.y_support), (tasks.x_query, tasks.y_query)):
        model.check(theta, x)
        model.check_targets(np.empty((*x.shape[:-1], model.sizes[-1])), y)
        floats = model.objective != "cross_entropy"
        arrays += [x.astype(theta.dtype, copy=False)]
        arrays += [y.astype(theta.dtype, copy=False) if floats else y]
    return arrays


def _backpropagate(model, weights, x, y):
    """Inputs ``a`` of all layers, the output last, with their slopes, and all errors ``delta``."""
    activate, slope, _ = ACTIVATIONS[model.activation]
    a = [_with_ones(x)]
    for W in weights[:-1]:
        a.append(_with_ones(activate(_times(a[-1], W))))  # (3.14)
    a.append(_times(a[-1], weights[-1]))
    slopes = [None, *(slope(one[..., :-1]) for one in a[1:-1])]
    delta = [OBJECTIVES[model.objective].slope(a[-1], y)]  # (3.15)
    for k in reversed(range(1, len(weights))):
        back = _times(delta[0], weights[k][..., :-1, :].mT)
        delta.insert(0, back * slopes[k])  # (3.16)
    return a, slopes, delta


def _hvp(model, step, y, v, alpha, outer):
    """``alpha H v`` per layer, by the R-operator; ``outer`` says whether tasks are summed."""
    weights, a, slopes, delta = step
    bend = ACTIVATIONS[model.activation].bend
    r_a: list[Any] = [None]
    r_z = [_times(a[0], v[0])]
    for k in range(1, len(weights)):
        r_a.append(slopes[k] * r_z[-1])
        r_z.append(_times(a[k], v[k]) + _times(r_a[k], weights[k][..., :-1, :]))  # (3.18)
    delta = [alpha * one for one in delta]
    r_delta = alpha * OBJECTIVES[model.objective].curvature(a[-1], y, r_z[-1])  # (3.19)
    blocks = []
    for k in reversed(range(len(weights))):
        blocks.append(outer(a[k], r_delta))
        if k == 0:
            return blocks[::-1]
        blocks[-1][..., :-1, :] += outer(r_a[k], delta[k])  # (3.21)
        W, r_W = (one[k][..., :-1, :].mT for one in (weights, v))
        r_delta = (_times(r_delta, W) + _times(delta[k], r_W)) * slopes[k]  # (3.20)
        if model.activation != "relu":  # a ReLU does not bend
            r_delta += _times(delta[k], W) * bend(a[k][..., :-1]) * r_z[k - 1]


def _with_ones(x: NDArray) -> NDArray:
    """``x`` with one more column, which meets the bias."""
    out = np.empty((*x.shape[:-1], x.shape[-1] + 1), dtype=x.dtype)
    out[..., :-1], out[..., -1] = x, 1
    return out


def _times(a: NDArray, W: NDArray) -> NDArray:
    """``a @ W``; where all tasks share ``W``, one product for the points of all of them."""
    if W.ndim == 3:
        return a @ W
    return (a.reshape(-1, a.shape[-1]) @ W).reshape(*a.shape[:-1], W.shape[-1])


def _outer(p: NDArray, q: NDArray) -> NDArray:
    """``p^T q`` of each task: the gradient in the weights between ``p`` and ``q``."""
    return p.mT @ q


def _outer_sum(p: NDArray, q: NDArray) -> NDArray:
    """The same summed over tasks: one product for the points of all of them."""
    return p.reshape(-1, p.shape[-1]).T @ q.reshape(-1, q.shape[-1])
