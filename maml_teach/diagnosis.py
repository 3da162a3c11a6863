"""Gradients that are wrong in known ways, and which of them an unknown gradient is.

Everything works on one task at a time with NumPy arrays; ``checks.check_meta_gradient`` sees to
that, and decides by central differences whether there is anything to explain.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .inputs import Array
from .protocols import Model
from .tasks import Task


@dataclass(frozen=True)
class SingleTask:
    """A model's three functions for one task, NumPy arrays in and out."""

    loss: Callable[..., float]
    gradient: Callable[..., NDArray]
    hvp: Callable[..., NDArray]


@dataclass(frozen=True)
class Problem:
    """What a meta-gradient is asked for: model, start, list of single tasks, inner loop."""

    model: SingleTask
    theta: np.ndarray
    tasks: list[Task]
    alpha: float
    n_inner_steps: int


@dataclass(frozen=True)
class Answer:
    """What came back, and theta as the call left it."""

    meta_loss: float | None
    gradient: np.ndarray
    theta_after: np.ndarray


def _descend(here: Problem, task: Task) -> list[NDArray]:
    """``theta_0 ... theta_K`` of one task."""
    path = [here.theta]
    for _ in range(here.n_inner_steps):
        gradient = here.model.gradient(path[-1], task.x_support, task.y_support)
        path.append(path[-1] - here.alpha * gradient)
    return path


def objective(here: Problem) -> float:
    """The meta-loss: mean over tasks of the query loss after the inner loop."""
    ends = [(_descend(here, task)[-1], task) for task in here.tasks]
    return float(np.mean([here.model.loss(end, task.x_query, task.y_query) for end, task in ends]))


def _walk(
    here: Problem,
    task: Task,
    points: Callable[[list[NDArray]], list[NDArray]] = lambda path: path[:-1],
    sign: int = -1,
) -> NDArray:
    """The gradient of one task, with Hessians where ``points`` says: right, or wrong on purpose."""
    path = _descend(here, task)
    v = here.model.gradient(path[-1], task.x_query, task.y_query)
    for theta_k in reversed(points(path)):
        product = here.model.hvp(theta_k, v, task.x_support, task.y_support)
        v = v + sign * here.alpha * product
    return v


def _steps(here: Problem, task: Task, more: int) -> NDArray:
    return _walk(replace(here, n_inner_steps=max(here.n_inner_steps + more, 0)), task)


def _other_alpha(here: Problem, task: Task, factor: float) -> NDArray:
    return _walk(replace(here, alpha=factor * here.alpha), task)


def _support_as_query(here: Problem, task: Task) -> NDArray:
    return _walk(here, replace(task, x_query=task.x_support, y_query=task.y_support))


def _query_as_support(here: Problem, task: Task) -> NDArray:
    return _walk(here, replace(task, x_support=task.x_query, y_support=task.y_query))


def _no_inner_loop(here: Problem, task: Task) -> NDArray:
    return here.model.gradient(here.theta, task.x_query, task.y_query)


def _reptile(here: Problem, task: Task) -> NDArray:
    return (here.theta - _descend(here, task)[-1]) / here.alpha


_ALPHAS = {
    f"alpha times {text}": (
        f"the inner rate is {text} times the one asked for",
        partial(_other_alpha, factor=factor),
    )
    for text, factor in {"10": 10, "2": 2, "1/2": 0.5, "1/10": 0.1}.items()
}

# Name -> (sentence, gradient of one task). The first entry is the truth.
MISTAKES: dict[str, tuple[str, Callable[..., NDArray]]] = {
    "": ("the gradient is the exact one", _walk),
    "first-order only": (
        "the walk back is missing: this is first-order MAML (create_graph forgotten, or a detach)",
        partial(_walk, points=lambda path: []),
    ),
    "no inner loop": (
        "no task is adapted: this is the joint gradient (are steps and rate swapped?)",
        _no_inner_loop,
    ),
    "collapsed product": (
        "all Hessians are taken at theta, not each at its own theta_k",
        partial(_walk, points=lambda path: path[:1] * (len(path) - 1)),
    ),
    "Hessians at theta_prime": (
        "all Hessians are taken at theta_prime, not each at its own theta_k",
        partial(_walk, points=lambda path: path[-1:] * (len(path) - 1)),
    ),
    "factors in the wrong order": (
        "the factors I - alpha H_k are multiplied in the wrong order",
        partial(_walk, points=lambda path: path[-2::-1]),
    ),
    "sign of the Hessian": (
        "the walk adds alpha H v where it should subtract it",
        partial(_walk, sign=1),
    ),
    "support as query": ("the query loss is taken on the support set", _support_as_query),
    "query as support": ("the inner loop adapts on the query set", _query_as_support),
    "Reptile": ("this is Reptile's direction: it does not look at the query set", _reptile),
    "one step too few": ("one inner step is missing", partial(_steps, more=-1)),
    "one step too many": ("there is one inner step too many", partial(_steps, more=1)),
    **_ALPHAS,
}


KINKS = (
    "finite differences",
    "the gradient is that of the backward walk, but not that of the finite differences: change "
    "the step (kinks, rounding), and check the model's own gradient and hvp",
)


def diagnose(
    here: Problem,
    answer: Answer,
    error: float,
    tolerance: float,
    tasks: Task,
    asks_again: Callable[[Task], Answer],
) -> tuple[str, str]:
    """``(mistake, sentence)``; the mistake is empty if all is well."""
    if not np.array_equal(answer.theta_after, here.theta):
        return "theta overwritten", "theta is not the same after the call as before"
    again = asks_again(tasks).gradient
    if _miss(again, answer.gradient) > tolerance:
        return "not repeatable", "a second call gives another answer: hidden state, or randomness"
    if error > tolerance:
        return _name_gradient(here, answer, tolerance, tasks, asks_again)
    return _name_loss(here, answer.meta_loss, tolerance)


def _name_gradient(
    here: Problem,
    answer: Answer,
    tolerance: float,
    tasks: Task,
    asks_again: Callable[[Task], Answer],
) -> tuple[str, str]:
    wrong = {name: [one(here, task) for task in here.tasks] for name, (_, one) in MISTAKES.items()}
    for exact_scale in (True, False):
        for name, each in wrong.items():
            scale, miss = _fit_scale(answer.gradient, np.mean(each, axis=0))
            if miss < tolerance and (not exact_scale or abs(scale - 1) < tolerance):
                return _with_scale(name, scale, here)
    backwards = list(range(tasks.n_tasks))[::-1]
    turned = asks_again(tasks.select(backwards)).gradient
    if _miss(turned, answer.gradient) > tolerance:
        return "order of the tasks", (
            "the answer depends on the order of the tasks: theta, or a running statistic, is "
            "updated after each task"
        )
    for name in ("", "first-order only"):
        weights, miss = _fit_weights(answer.gradient, wrong[name])
        if miss < tolerance:
            return _with_weights(name, weights)
    return _unnamed(here, answer, tolerance)


def _fit_scale(gradient: NDArray, candidate: NDArray) -> tuple[float, float]:
    """The best factor for ``candidate``, and the relative error that is left."""
    square = candidate @ candidate
    scale = gradient @ candidate / square if square > 0 else 0.0
    return scale, _miss(scale * candidate, gradient)


def _fit_weights(gradient: NDArray, each: list[NDArray]) -> tuple[NDArray, float]:
    """Weights of the tasks that explain ``gradient`` best, and the relative error left."""
    columns = np.transpose(each)
    weights = np.linalg.lstsq(columns, gradient, rcond=None)[0]
    if columns.shape[1] >= columns.shape[0]:  # anything could be explained
        return weights, np.inf
    return weights, _miss(columns @ weights, gradient)


def _with_scale(name: str, scale: float, here: Problem) -> tuple[str, str]:
    n, n_queries = len(here.tasks), len(here.tasks[0].x_query)
    sentence = MISTAKES[name][0]
    if abs(scale - 1) < 1e-3:
        return (name, sentence) if name else KINKS
    known = {
        n: ("sum for mean", f"summed over the {n} tasks where the objective is their mean"),
        1 / n: ("divided twice", f"divided by the {n} tasks twice"),
        -1: ("uphill", "of the wrong sign"),
        n_queries: ("sum over points", f"summed over the {n_queries} query points"),
        here.alpha: ("times alpha", "multiplied by alpha"),
        1 / here.alpha: ("over alpha", "divided by alpha"),
    }
    near = [words for factor, words in known.items() if abs(scale / factor - 1) < 1e-3]
    short, long = near[0] if near else ("scaled", f"multiplied by {scale:.3g}")
    joined = f"{name}, {short}" if name else short
    lead = f"{sentence}; moreover it" if name else "the gradient points the right way, but it"
    return joined, f"{lead} is {long}"


def _with_weights(name: str, weights: NDArray) -> tuple[str, str]:
    low, high = weights.min(), weights.max()
    sentence = (
        f"the tasks do not count alike: their weights run from {low:.3g} to {high:.3g}, "
        f"not all {1 / len(weights):.3g} (clipped or normalised per task?)"
    )
    if not name:
        return "per-task scaling", sentence
    return f"{name}, per-task scaling", f"{MISTAKES[name][0]}; moreover {sentence}"


def _unnamed(here: Problem, answer: Answer, tolerance: float) -> tuple[str, str]:
    mistake, sentence = _name_loss(here, answer.meta_loss, tolerance)
    if mistake:
        return mistake, sentence
    if answer.meta_loss is None:
        return "unknown", (
            "no known mistake fits; return the meta-loss as well, and the check says whether the "
            "inner loop is right"
        )
    return "way back", (
        "no known mistake fits; the meta-loss is right, so the inner loop is, and the fault is in "
        "the way back: look at the second-order terms"
    )


def _name_loss(here: Problem, meta_loss: float | None, tolerance: float) -> tuple[str, str]:
    if meta_loss is None:
        return "", "the gradient is that of the objective; no meta-loss was returned"
    right = objective(here)
    if abs(meta_loss - right) <= tolerance * max(abs(right), 1e-12):
        return "", "gradient and meta-loss are those of the objective"
    unadapted = objective(replace(here, n_inner_steps=0))
    known = {
        unadapted: "the meta-loss returned is the one before adapting",
        right * len(here.tasks): "the meta-loss returned is summed over tasks, not their mean",
    }
    for value, sentence in known.items():
        if abs(meta_loss - value) <= tolerance * abs(value):
            return "meta-loss", sentence
    return "another inner loop", (
        f"the meta-loss returned is {meta_loss:.6g}, the objective is {right:.6g}: this function "
        "adapts in another way or with another loss"
    )


def ask(
    meta_gradient: Callable[..., Any],
    model: Model,
    theta: Array,
    tasks: Task,
    alpha: float,
    n_inner_steps: int,
) -> Answer:
    """One call of the function under test, on a theta that it may spoil."""
    own = theta.clone() if hasattr(theta, "clone") else theta.copy()
    answer = meta_gradient(model, own, tasks, alpha=alpha, n_inner_steps=n_inner_steps)
    meta_loss, gradient = answer if isinstance(answer, tuple | list) else (None, answer)
    gradient = np.asarray(as_numpy(gradient), dtype=float)
    if gradient.shape != tuple(theta.shape) or not np.isfinite(gradient).all():
        raise ValueError(
            f"meta_gradient must return a finite gradient of shape {tuple(theta.shape)}, got shape "
            f"{gradient.shape}"
        )
    return Answer(None if meta_loss is None else float(meta_loss), gradient, as_numpy(own))


def as_numpy(array: Array) -> NDArray:
    """A tensor as an array; an array as it is."""
    return array.detach().cpu().numpy() if hasattr(array, "detach") else array


def _miss(value: NDArray, reference: NDArray) -> float:
    scale = np.linalg.norm(reference)
    return float(np.linalg.norm(value - reference) / scale if scale > 0 else np.linalg.norm(value))
