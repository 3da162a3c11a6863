"""Checks: what a gradient must equal, by how much it misses and why; and what is odd in tasks.

``central_difference`` and ``check_meta_gradient`` judge by values of the objective alone.
``check_tasks`` looks at a batch of tasks before anything is trained on it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .diagnosis import Problem, SingleTask, as_numpy, ask, diagnose, objective
from .inputs import (
    Array,
    Inputs,
    arrays_in,
    check_array,
    check_callable,
    check_counts,
    check_generator,
    check_model,
    described,
)
from .protocols import Model
from .tasks import Task, check_batch, check_inner_loop, check_rate


def central_difference(
    function: Callable[[NDArray], float], theta: NDArray, step: float = 1e-6
) -> NDArray:
    r"""Gradient of a scalar function by central differences, one coordinate at a time.

    .. math:: \partial_j f \approx \frac{f(\theta + h e_j) - f(\theta - h e_j)}{2h}

    Args:
        function: Maps ``theta`` to a number.
        theta: Where, ``(n_params,)``; float64.
        step: ``h``, in units of ``theta``. The error is of order ``h**2`` plus rounding of order
            ``1e-16 / h``; a kink (ReLU) closer than ``h`` spoils it.

    Returns:
        The gradient, ``(n_params,)``.

    Raises:
        ValueError: If ``theta`` is not a float64 vector or ``step`` is not positive.

    >>> central_difference(lambda theta: float(theta @ theta), np.array([1.0, 2.0])).round(6)
    array([2., 4.])
    """
    check_callable("function", function)
    if not isinstance(theta, np.ndarray) or theta.ndim != 1 or theta.dtype != np.float64:
        raise ValueError(f"theta must be a float64 vector, got {described(theta)}")
    step = check_rate("step", step)
    gradient = np.empty_like(theta)
    for j in range(theta.size):
        e = np.zeros_like(theta)
        e[j] = step
        gradient[j] = (function(theta + e) - function(theta - e)) / (2 * step)
    return gradient


def relative_error(value: ArrayLike, reference: ArrayLike) -> float:
    """``|value - reference| / |reference|``, in the Euclidean norm.

    Args:
        value: What is judged, of any shape.
        reference: What is right, of the same shape; the error is in units of its length.

    Returns:
        The error; for a reference of zero, 0 if the value is zero as well and infinity if not.

    Raises:
        ValueError: If the shapes differ.

    >>> relative_error([3.0, 5.0], [3.0, 4.0])
    0.2
    >>> relative_error([8.0], [2.0])
    3.0
    """
    value, reference = np.asarray(value, dtype=float), np.asarray(reference, dtype=float)
    if value.shape != reference.shape:
        raise ValueError(f"value has shape {value.shape}, reference has {reference.shape}")
    error, scale = np.linalg.norm(value - reference), np.linalg.norm(reference)
    if error == 0:
        return 0.0
    return float(error / scale) if scale > 0 else float("inf")


@dataclass(frozen=True)
class Verdict:
    """What :func:`check_meta_gradient` found; true if the gradient passed.

    Attributes:
        passed: Whether gradient and meta-loss are those of the objective.
        mistake: Short name of the likeliest mistake; empty if none was found.
        sentence: The same as a sentence.
        error: Median over directions of the error of a slope, relative to the typical slope.
        numerical: Slope of the objective along each direction, by central differences.
        claimed: Slope along each direction according to the gradient checked.
    """

    passed: bool
    mistake: str
    sentence: str
    error: float
    numerical: np.ndarray
    claimed: np.ndarray

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        word = "passed" if self.passed else "failed"
        return f"{word}: {self.sentence} (relative error of the slopes {self.error:.1e})"


def check_meta_gradient(
    meta_gradient: Callable[..., Any],
    model: Model,
    theta: Array,
    tasks: Task,
    *,
    alpha: float = 0.01,
    n_inner_steps: int = 3,
    n_directions: int = 20,
    step: float = 1e-6,
    tolerance: float = 1e-5,
    rng: np.random.Generator | None = None,
) -> Verdict:
    r"""Judge anyone's MAML gradient by central differences, and name the likeliest mistake.

    The judge is the meta-objective itself, the mean over tasks of the query loss after
    ``n_inner_steps`` steps on the support set, at ``theta`` plus and minus a small step in random
    directions. Only if that fails, the gradient is compared with gradients that are wrong in known
    ways (``diagnosis.MISTAKES``), up to a factor, and with other weights for the tasks.

    Args:
        meta_gradient: The function to judge, ``(model, theta, tasks, *, alpha, n_inner_steps)``
            to ``(meta_loss, gradient)`` or to ``gradient`` alone. To check a library, wrap it in
            such a function.
        model: A model with ``loss``, ``gradient`` and ``hvp`` for single tasks: ``mlp.MLP``, or
            ``maml_torch.from_module(module, objective)``.
        theta: Where, ``(n_params,)``: a float64 array or tensor, not a stationary point.
        tasks: A batch of at least two tasks (or a sum could not be told from a mean), whose
            support and query sets differ; tensors if ``theta`` is one.
        alpha: Inner learning rate. Large enough that second-order terms matter.
        n_inner_steps: Inner steps, at least 1; with one step a collapsed product is no mistake.
        n_directions: Number of random directions.
        step: Length of the finite step. Shorten it if kinks (ReLU, max) are many.
        tolerance: Largest relative error that passes. An implementation in float32 needs about
            1e-3.
        rng: Generator of the directions; seed 0 if left out.

    Returns:
        A :class:`Verdict`.

    Raises:
        ValueError: If an argument has the wrong type or range, or if the answer of
            ``meta_gradient`` has not the shape of ``theta``.
        FloatingPointError: If the objective is not finite: ``alpha`` is too large.

    >>> from maml_teach.maml import fomaml_gradient, maml_gradient
    >>> from maml_teach.mlp import MLP
    >>> from maml_teach.tasks import Sinusoids
    >>> rng, model = np.random.default_rng(0), MLP((1, 8, 8, 1), "tanh")
    >>> problem = model, model.init(rng), Sinusoids().sample(rng, 4, 5, 5)
    >>> check_meta_gradient(maml_gradient, *problem).passed
    True
    >>> check_meta_gradient(fomaml_gradient, *problem).mistake
    'first-order only'
    """
    check_callable("meta_gradient", meta_gradient)
    alpha, step = check_rate("alpha", alpha), check_rate("step", step)
    tolerance = check_rate("tolerance", tolerance)
    rng = np.random.default_rng(0) if rng is None else rng
    check_generator(rng)
    _check_arguments(model, theta, tasks, n_inner_steps, n_directions)
    here = Problem(_functions(model, theta), as_numpy(theta), _single(tasks), alpha, n_inner_steps)
    answer = ask(meta_gradient, model, theta, tasks, alpha, n_inner_steps)
    directions = rng.normal(size=(n_directions, here.theta.size))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    numerical = np.array([_slope(here, direction, step) for direction in directions])
    claimed = directions @ answer.gradient
    scale = np.sqrt(np.mean(numerical**2)) or 1.0
    error = float(np.median(np.abs(claimed - numerical)) / scale)
    asks_again = partial(ask, meta_gradient, model, theta, alpha=alpha, n_inner_steps=n_inner_steps)
    mistake, sentence = diagnose(here, answer, error, tolerance, tasks, asks_again)
    return Verdict(not mistake, mistake, sentence, error, numerical, claimed)


def _slope(here: Problem, direction: NDArray, step: float) -> float:
    ahead, behind = (
        objective(replace(here, theta=here.theta + sign * step * direction)) for sign in (1, -1)
    )
    if not np.isfinite(ahead - behind):
        raise FloatingPointError(f"the meta-objective is not finite: alpha = {here.alpha}")
    return (ahead - behind) / (2 * step)


def _check_arguments(
    model: Model, theta: Array, tasks: Task, n_inner_steps: int, n_directions: int
) -> None:
    check_batch(tasks)
    check_array("theta", theta)
    for name in ("loss", "gradient", "hvp"):
        if not hasattr(model, name):
            raise ValueError(f"model has no {name}; for a torch module use maml_torch.from_module")
    check_model(model, ("loss", "gradient", "hvp"))
    check_inner_loop(1.0, n_inner_steps, theta.shape[-1])
    if theta.ndim != 1 or not str(theta.dtype).endswith("float64"):
        shape = tuple(theta.shape)
        raise ValueError(f"theta must be a float64 vector, got {theta.dtype} {shape}")
    if type(theta) is not type(tasks.x_support):
        raise ValueError(
            f"tasks hold {type(tasks.x_support).__name__}, theta is a {type(theta).__name__}: both "
            "must be arrays, or both tensors (maml_torch.as_tensors converts tasks)"
        )
    if tasks.n_tasks < 2:
        raise ValueError("tasks must hold at least 2 tasks, or a sum would pass for a mean")
    if n_inner_steps < 1:
        raise ValueError(f"n_inner_steps must be at least 1, got {n_inner_steps}")
    check_counts(n_directions=n_directions)


def _functions(model: Model, theta: Array) -> SingleTask:
    """The model's functions of one task, on NumPy parameters whatever its engine."""

    def convert(array: NDArray) -> Array:
        return theta.new_tensor(array) if hasattr(theta, "new_tensor") else array

    return SingleTask(
        lambda t, x, y: float(model.loss(convert(t), x, y)),
        lambda t, x, y: as_numpy(model.gradient(convert(t), x, y)),
        lambda t, v, x, y: as_numpy(model.hvp(convert(t), convert(v), x, y)),
    )


def _single(tasks: Task) -> list[Task]:
    return [tasks.select(index) for index in range(tasks.n_tasks)]


SCALES = (0.01, 20.0)  # the typical size of an input, as a root mean square, lies between these
SURE = 0.01  # labels agree by chance with less than this probability: then it is no chance


def check_tasks(tasks: Task) -> list[str]:
    """What looks wrong in a batch of tasks, before anything is trained on it.

    It finds support points that are query points too, inputs with two labels in one task, classes
    that are asked for and not shown, labels that give a class away because its number is the same
    in every task, inputs of an odd scale or all alike, and tasks that are all the same. Points
    count as the same only if they are equal to the last digit.

    Args:
        tasks: A batch of tasks: inputs ``(n_tasks, n, ...)``, or a tuple or dict of such arrays,
            and targets ``(n_tasks, n, n_out)``, or integer labels ``(n_tasks, n)``. NumPy arrays
            or tensors.

    Returns:
        A sentence for each thing that looks wrong; an empty list if nothing does.

    Raises:
        ValueError: If ``tasks`` is a single task, or support and query count differently.

    >>> from maml_teach.tasks import Sinusoids, Task
    >>> tasks = Sinusoids().sample(np.random.default_rng(0), 4, 5, 5)
    >>> check_tasks(tasks)
    []
    >>> [found] = check_tasks(replace(tasks, x_query=tasks.x_support))
    >>> found
    '4 of 4 tasks, first task 0: a support point is also a query point'
    """
    check_batch(tasks)
    points = Task(
        _as_rows(tasks.x_support),
        as_numpy(tasks.y_support),
        _as_rows(tasks.x_query),
        as_numpy(tasks.y_query),
    )
    found = (look(points) for look in LOOKS_AT_TASKS)
    return [sentence for sentence in found if sentence]


def _as_rows(x: Inputs) -> NDArray:
    """Each point as one row of numbers, ``(n_tasks, n, n_numbers)``."""
    parts = [as_numpy(array) for array in arrays_in(x)]
    rows = [np.asarray(part, float).reshape(*part.shape[:2], -1) for part in parts]
    return np.concatenate(rows, axis=2) + 0.0  # no zero with a minus sign, which has other bytes


def _keys(x: NDArray) -> list[list[bytes]]:
    """What tells points apart, by task."""
    return [[row.tobytes() for row in np.ascontiguousarray(of_task)] for of_task in x]


def _labelled(tasks: Task) -> list[list[tuple[bytes, int]]]:
    """All points of each task with their labels; none if the targets are no labels."""
    if not np.issubdtype(tasks.y_support.dtype, np.integer):
        return [[] for _ in range(tasks.n_tasks)]
    x, y = (
        np.concatenate([getattr(tasks, f"{part}_{of}") for of in ("support", "query")], axis=1)
        for part in "xy"
    )
    return [
        list(zip(keys, map(int, own), strict=True)) for keys, own in zip(_keys(x), y, strict=True)
    ]


def _some(odd: list[bool], what: str) -> str:
    """A sentence that says in how many tasks it is odd; nothing if in none."""
    if not any(odd):
        return ""
    return f"{sum(odd)} of {len(odd)} tasks, first task {odd.index(True)}: {what}"


def _shared_points(tasks: Task) -> str:
    pairs = zip(_keys(tasks.x_support), _keys(tasks.x_query), strict=True)
    odd = [not set(support).isdisjoint(query) for support, query in pairs]
    return _some(odd, "a support point is also a query point")


def _two_labels(tasks: Task) -> str:
    odd = [len(set(own)) > len({key for key, _ in own}) for own in _labelled(tasks)]
    return _some(odd, "the same input has two different labels")


def _missing_classes(tasks: Task) -> str:
    if not np.issubdtype(tasks.y_support.dtype, np.integer):
        return ""
    pairs = zip(tasks.y_support, tasks.y_query, strict=True)
    odd = [not set(query.ravel()) <= set(support.ravel()) for support, query in pairs]
    return _some(odd, "a class of the query set is missing from the support set")


def _telling_labels(tasks: Task) -> str:
    """One label in all tasks for each input that comes again, more often than chance allows."""
    by_input: dict[bytes, list[int]] = {}
    labelled = _labelled(tasks)
    for own in labelled:
        for key, label in set(own):
            by_input.setdefault(key, []).append(label)
    again = [labels for labels in by_input.values() if len(labels) > 1]
    n_repeats = sum(len(labels) - 1 for labels in again)
    n_classes = len({label for own in labelled for _, label in own})
    if n_classes < 2 or any(len(set(labels)) > 1 for labels in again):
        return ""
    if n_repeats * np.log(n_classes) < -np.log(SURE):
        return ""
    return (
        f"{len(again)} inputs occur in several tasks and have the same label in all of them: "
        "number the classes anew in each task, or the label gives the class away"
    )


def _odd_inputs(tasks: Task) -> str:
    x = np.concatenate([tasks.x_support, tasks.x_query], axis=1)
    if alike := _some([bool((one == one[0]).all()) for one in x], "all inputs are the same"):
        return alike
    size, (low, high) = float(np.sqrt(np.mean(x**2))), SCALES
    if low <= size <= high:
        return ""
    return f"the inputs have a typical size of {size:.2g}: bring them near 1 (mean 0, spread 1)"


def _same_tasks(tasks: Task) -> str:
    x = np.concatenate([tasks.x_support, tasks.x_query], axis=1)
    y = np.concatenate([tasks.y_support, tasks.y_query], axis=1)
    targets = _keys(y.reshape(*y.shape[:2], -1))
    different = {frozenset(zip(*one, strict=True)) for one in zip(_keys(x), targets, strict=True)}
    if tasks.n_tasks < 2 or len(different) > 1:
        return ""
    return f"all {tasks.n_tasks} tasks hold the same points: there is one task to learn, not many"


LOOKS_AT_TASKS = (
    _shared_points,
    _two_labels,
    _missing_classes,
    _telling_labels,
    _odd_inputs,
    _same_tasks,
)
