"""Tasks: support and query points, and the families that tasks are drawn from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from inspect import signature
from typing import Any, Self, get_origin

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .inputs import (  # noqa: F401  (what moved there is still found here)
    Array,
    Inputs,
    arrays_in,
    check_array,
    check_counts,
    check_generator,
    check_inner_loop,
    check_model,
    check_range,
    check_rate,
    check_shape,
    described,
    is_tensor,
    kind_of,
    map_arrays,
    rate,
    with_ranges,
)


@dataclass(frozen=True)
class Task:
    """One task, or a batch of tasks with a leading ``n_tasks`` axis on all four arrays.

    Args:
        x_support: Inputs to adapt on, ``(n_shots, n_in)`` or ``(n_tasks, n_shots, n_in)``.
        y_support: Their targets: floats ``(..., n_shots, n_out)`` or integer labels
            ``(..., n_shots)``.
        x_query: Inputs to be judged on after adapting, ``(..., n_queries, n_in)``.
        y_query: Their targets, like ``y_support``.

    The inputs may also be a tuple or a dict of such arrays, for a module with several inputs.

    Raises:
        ValueError: If an array is empty, is not finite, holds no numbers, or inputs and targets
            do not pair up.

    Source:
        The support and query sets of Finn et al. (2017), Algorithm 2 (there D and D').
    """

    x_support: Array
    y_support: Array
    x_query: Array
    y_query: Array

    def __post_init__(self) -> None:
        for field in fields(self):
            arrays = arrays_in(getattr(self, field.name))
            if not arrays:
                raise ValueError(f"{field.name} is empty: it holds no array")
            for array in arrays:
                _check_array(field.name, array)
        for part in ("support", "query"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if isinstance(y, tuple | Mapping):
                raise ValueError(f"y_{part} must be an array, got {described(y)}")
            _check_pair(part, x, y)

    @classmethod
    def split(cls, x: Array, y: Array, n_shots: int) -> Self:
        """A batch from points ``(n_tasks, n, ...)``: the first ``n_shots`` are the support set."""
        (n_shots,) = check_counts(n_shots=n_shots)
        _check_axes(2, x=x, y=y)
        return cls(x[:, :n_shots], y[:, :n_shots], x[:, n_shots:], y[:, n_shots:])

    @classmethod
    def by_class(cls, x: NDArray, n_shots: int) -> Self:
        """A batch of classification from examples ``(n_tasks, n_ways, n_each, ...)`` of each class.

        The first ``n_shots`` of a class are in the support set, and its place is its label.

        >>> Task.by_class(np.zeros((3, 5, 4, 2)), n_shots=1).x_query.shape
        (3, 15, 2)
        """
        (n_shots,) = check_counts(n_shots=n_shots)
        _check_axes(3, x=x)
        n_tasks, n_ways = x.shape[:2]
        parts = x[:, :, :n_shots], x[:, :, n_shots:]
        y = [np.repeat(np.arange(n_ways), part.shape[2]) for part in parts]
        x_support, x_query = (part.reshape(n_tasks, -1, *x.shape[3:]) for part in parts)
        y_support, y_query = (np.tile(labels, (n_tasks, 1)) for labels in y)
        return cls(x_support, y_support, x_query, y_query)

    @property
    def n_tasks(self) -> int:
        """Length of the leading axis: the number of tasks when this is a batch."""
        return arrays_in(self.x_support)[0].shape[0]

    def select(self, index: int | slice | Sequence[int] | NDArray) -> "Task":
        """The tasks at ``index`` (a slice or an integer array) of a batch, as a batch."""
        part = object.__new__(Task)  # what was checked with the batch is not checked again
        for field in fields(self):
            chosen = map_arrays(lambda array: array[index], getattr(self, field.name))
            object.__setattr__(part, field.name, chosen)
        return part

    def map(self, function: Callable[[Array], Array]) -> "Task":
        """A task whose arrays are ``function`` of these; this very task if it changes nothing."""
        before = tuple(getattr(self, field.name) for field in fields(self))
        after = map_arrays(function, before)
        pairs = zip(arrays_in(before), arrays_in(after), strict=True)
        same = all(one is two for one, two in pairs)
        return self if same else Task(*after)


def _check_array(name: str, array: Array) -> None:
    check_array(name, array)
    if array.ndim == 0:
        raise ValueError(f"{name} must have an axis of points, got {described(array)}")
    if 0 in tuple(array.shape):
        raise ValueError(f"{name} is empty: its shape is {tuple(array.shape)}")
    floats = kind_of(array) == "f"
    if floats and not bool((abs(array) < float("inf")).all()):  # False for nan as well
        raise ValueError(f"{name} must be finite, but holds nan or inf")


def _check_axes(least: int, **arrays: Array) -> None:
    for name, array in arrays.items():
        check_array(name, array)
        if array.ndim < least:
            raise ValueError(f"{name} must have {least} axes or more, got {described(array)}")


def _is_integer(array: Array) -> bool:
    return kind_of(array) in "iu"


def _leading_axes(y: Array) -> int:
    """Axes of ``y`` before the output axis: tasks and points, or points alone."""
    return y.ndim if _is_integer(y) else y.ndim - 1


def _check_pair(part: str, x: Inputs, y: Array) -> None:
    n = min(_leading_axes(y), 2)  # tasks and points; what lies behind is the objective's business
    for array in arrays_in(x):
        if tuple(array.shape[:n]) != tuple(y.shape[:n]):
            raise ValueError(
                f"y_{part} has shape {tuple(y.shape)}, which does not pair up with x_{part} of "
                f"shape {tuple(array.shape)}: their first {n} axes must be equal"
            )


Tasks = Task | Sequence[Task]  # a batch, or single tasks of any sizes


def batches_of(tasks: Sequence[Task]) -> list[tuple[list[int], Task]]:
    """Single tasks, put together where their arrays have the same shapes.

    Args:
        tasks: Single tasks, without a task axis; they need not be of one size.

    Returns:
        For each batch which of ``tasks`` it holds, and the batch.

    Raises:
        ValueError: If ``tasks`` is empty, or an element is no single task or of another kind.

    >>> one, two = (Task(*[np.zeros((n, 1))] * 4) for n in (3, 5))
    >>> [(which, batch.x_support.shape) for which, batch in batches_of([one, two, one])]
    [([0, 2], (2, 3, 1)), ([1], (1, 5, 1))]
    """
    check_list(tasks)
    groups: dict[tuple, list[int]] = {}
    for i, task in enumerate(tasks):
        groups.setdefault(_shapes(task), []).append(i)
    return [(which, _together([tasks[i] for i in which])) for which in groups.values()]


def check_list(tasks: Sequence[Task]) -> None:
    """Require single tasks that are all of arrays or all of tensors.

    Raises:
        ValueError: If there are none, or one is no ``Task``; it names which.
    """
    if not isinstance(tasks, list | tuple):
        raise ValueError(f"tasks must be a Task or a list of single ones, got {described(tasks)}")
    if not tasks:
        raise ValueError("tasks is an empty list: there is nothing to average over")
    for i, task in enumerate(tasks):
        if not isinstance(task, Task):
            arrays = len(tasks) == 4 and not any(isinstance(one, Task) for one in tasks)
            raise ValueError(
                f"tasks must be a Task or a list of single ones; element {i} is "
                f"{described(task)}" + (": Task(*tasks) makes one of four arrays" * arrays)
            )
        if _holds(task) != _holds(tasks[0]):
            raise ValueError(
                "tasks must all hold arrays or all hold tensors; element 0 holds "
                f"{_holds(tasks[0])}, element {i} {_holds(task)}"
            )


def _holds(task: Task) -> str:
    kinds = {is_tensor(array) for array in _all_arrays(task)}
    return "arrays and tensors" if len(kinds) > 1 else "tensors" if True in kinds else "arrays"


def _all_arrays(task: Task) -> list[Array]:
    return arrays_in((task.x_support, task.y_support, task.x_query, task.y_query))


def needs(*names: str) -> Callable:
    """Say which methods a function's ``model`` must have; where nothing is said it is ``loss``."""

    def decorate(method: Callable) -> Callable:
        method.needs = names  # type: ignore[attr-defined]
        return method

    return decorate


def entrance(method: Callable, one_theta: bool) -> Callable[[Any, Any, Any, dict], dict]:
    """What is checked before ``method(model, theta, tasks, *, alpha, n_inner_steps, ...)`` runs.

    Args:
        method: A function whose hint for ``theta`` says which engine it belongs to.
        one_theta: Whether all tasks must start from the same ``theta``.

    Returns:
        A function of model, theta, tasks and the settings, which answers the settings, rates and
        steps as plain numbers. It raises ``ValueError`` if one of them is wrong.
    """
    hint = method.__annotations__["theta"]
    engine, names = get_origin(hint) or hint, getattr(method, "needs", ("loss",))
    optional = signature(method).parameters["alpha"].default is None

    def check(model: Any, theta: Any, tasks: Any, settings: dict) -> dict:
        check_model(model, names, engine)
        check_array("theta", theta, engine, holds="f")
        n_tasks = check_tasks_for(model, tasks, engine)
        n_params = getattr(model, "n_params", None)
        check_shape("theta", theta, n_params, None if one_theta else n_tasks)
        alpha = settings.get("alpha", 1.0)
        alpha = 1.0 if alpha is None and optional else alpha
        n_inner_steps = settings.get("n_inner_steps", 1)
        rates, n_inner_steps = check_inner_loop(alpha, n_inner_steps, theta.shape[-1])
        normal = {"alpha": rates, "n_inner_steps": n_inner_steps}
        return settings | {name: normal[name] for name in normal if name in settings}

    return check


def mean_over_lists(method: Callable[..., tuple]) -> Callable[..., Any]:
    """Check the arguments of a function whose answers are means over tasks, and let it take lists.

    It then takes a list of single tasks as well as a batch.
    """
    check = entrance(method, one_theta=True)

    @wraps(method)
    def taking_lists(model: Any, theta: Array, tasks: Tasks, *args: Any, **settings: Any) -> Any:
        settings = check(model, theta, tasks, settings)
        if not isinstance(tasks, list | tuple):
            return method(model, theta, tasks, *args, **settings)
        parts = [
            [len(which) / len(tasks) * part for part in method(model, theta, batch, **settings)]
            for which, batch in batches_of(tasks)
        ]
        return tuple(sum(answers) for answers in zip(*parts, strict=True))

    return taking_lists


def rows_over_lists(stack: Callable) -> Callable:
    """The same for a function whose answer has one row per task; ``stack`` puts rows together."""

    def decorate(method: Callable) -> Callable:
        check = entrance(method, one_theta=False)

        @wraps(method)
        def taking_lists(
            model: Any, theta: Array, tasks: Tasks, *args: Any, **settings: Any
        ) -> Any:
            settings = check(model, theta, tasks, settings)
            if not isinstance(tasks, list | tuple):
                return method(model, theta, tasks, *args, **settings)
            rows: dict[int, Array] = {}
            for which, batch in batches_of(tasks):
                start = theta if theta.ndim < 2 else theta[which]
                rows |= zip(which, method(model, start, batch, *args, **settings), strict=True)
            return stack([rows[i] for i in range(len(tasks))])

        return taking_lists

    return decorate


def _shapes(task: Task) -> tuple:
    return tuple((tuple(array.shape), str(array.dtype)) for array in _all_arrays(task))


def _together(tasks: Sequence[Task]) -> Task:
    """Single tasks of one size as a batch."""

    def join(*parts: Inputs) -> Inputs:
        if isinstance(parts[0], Mapping):
            return {name: join(*(part[name] for part in parts)) for name in parts[0]}
        if isinstance(parts[0], tuple):
            return tuple(join(*some) for some in zip(*parts, strict=True))
        if isinstance(parts[0], np.ndarray):
            return np.stack(parts)
        joined = parts[0].new_empty((len(parts), *parts[0].shape))  # a tensor
        for i, part in enumerate(parts):
            joined[i] = part
        return joined

    values = ([getattr(task, field.name) for task in tasks] for field in fields(tasks[0]))
    return Task(*(join(*parts) for parts in values))


def check_batch(tasks: Task) -> None:
    """Require a batch: a leading ``n_tasks`` axis, the same on support and query.

    Raises:
        ValueError: If ``tasks`` is no ``Task`` or a single one, or support and query count
            differently.
    """
    if not isinstance(tasks, Task):
        raise ValueError(f"tasks must be a Task, got {described(tasks)}")
    if _leading_axes(tasks.y_support) < 2 or _leading_axes(tasks.y_query) < 2:
        raise ValueError(
            "tasks must be a batch: y_support must have shape (n_tasks, n_shots, n_out), or "
            f"(n_tasks, n_shots) with integer labels, got {tuple(tasks.y_support.shape)}"
        )
    n_queried = tasks.y_query.shape[0]
    if tasks.n_tasks != n_queried:
        raise ValueError(
            f"x_support has {tasks.n_tasks} tasks but x_query has {n_queried}: a batch has the "
            "same tasks in both"
        )


def check_tasks_for(model: Any, tasks: Any, engine: Any = None) -> int:
    """Require a batch or a list of single tasks for a model, and answer how many tasks it holds.

    Args:
        model: A network on vectors tells a batch from a single task; for another model the points
            of a task may themselves have axes.
        tasks: A batch, or a list.
        engine: ``numpy.ndarray`` if the tasks must hold arrays; a tensor may be made of either.

    Raises:
        ValueError: If it is neither, or an element of the list is itself a batch.
    """
    if isinstance(tasks, list | tuple):
        check_list(tasks)
        vectors = hasattr(model, "sizes") or getattr(model, "by_hand", False)
        for i, task in enumerate(tasks):
            if vectors and any(array.ndim > 2 for array in arrays_in(task.x_support)):
                raise ValueError(
                    f"tasks must be a list of single ones, but element {i} is a batch: its "
                    f"x_support has shape {tuple(arrays_in(task.x_support)[0].shape)}"
                )
    else:
        check_batch(tasks)
    if engine is np.ndarray:
        _check_arrays(tasks if isinstance(tasks, Task) else tasks[0])
    return tasks.n_tasks if isinstance(tasks, Task) else len(tasks)


def _check_arrays(task: Task) -> None:
    """Require NumPy arrays in a task."""
    for name, value in vars(task).items():
        if type(value) is not np.ndarray and any(map(is_tensor, arrays_in(value))):
            raise ValueError(
                f"tasks must hold NumPy arrays here, but {name} is a tensor: maml_torch takes both"
            )


def check_draw(rng: Any, **counts: Any) -> tuple[int, ...]:
    """Require a generator and positive counts, which it returns: what every ``sample`` is given.

    Raises:
        ValueError: If ``rng`` is no ``numpy.random.Generator`` or a count no positive integer.
    """
    check_generator(rng)
    return check_counts(**counts)


def _check_ranges(family: Any, *names: str) -> None:
    """Require ranges in the fields that are named, and keep them as pairs of plain numbers."""
    for name in names:
        object.__setattr__(family, name, check_range(name, getattr(family, name)))


@dataclass(frozen=True)
class Sinusoids:
    """Sine waves ``y = amplitude * sin(x - phase)``, the regression family of the MAML paper.

    Args:
        amplitude: Range that amplitudes are drawn from, uniformly.
        phase: Range that phases are drawn from, uniformly, in radians.
        x: Range that inputs are drawn from, uniformly.

    Raises:
        ValueError: If one is no range of finite numbers in order.

    Source:
        Finn et al. (2017), section 5.1; the sign of the phase is that of the official code.

    >>> tasks = Sinusoids().sample(np.random.default_rng(0), n_tasks=3, n_shots=5, n_queries=10)
    >>> tasks.x_support.shape, tasks.y_query.shape
    ((3, 5, 1), (3, 10, 1))
    """

    amplitude: tuple[float, float] = (0.1, 5.0)
    phase: tuple[float, float] = (0.0, np.pi)
    x: tuple[float, float] = (-5.0, 5.0)

    def __post_init__(self) -> None:
        _check_ranges(self, "amplitude", "phase", "x")

    def sample(self, rng: Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """A batch of ``n_tasks`` waves with ``n_shots`` support and ``n_queries`` query points."""
        counts = {"n_tasks": n_tasks, "n_shots": n_shots, "n_queries": n_queries}
        n_tasks, n_shots, n_queries = check_draw(rng, **counts)
        amplitude = rng.uniform(*self.amplitude, size=(n_tasks, 1, 1))
        phase = rng.uniform(*self.phase, size=(n_tasks, 1, 1))
        x = rng.uniform(*self.x, size=(n_tasks, n_shots + n_queries, 1))
        return Task.split(x, amplitude * np.sin(x - phase), n_shots)


@dataclass(frozen=True)
class Lines:
    """Straight lines ``y = slope * x + intercept``, each seen through a window of its own.

    With ``MLP((1, 1))`` as the model, ``theta`` is ``(slope, intercept)``: a plane that can be
    drawn. Every loss is a quadratic bowl, steep where the inputs of a task are far from 0.

    Args:
        slope: Range of slopes.
        intercept: Range of intercepts.
        centre: Range of the windows' centres.
        half_width: Range of the windows' half widths.

    Raises:
        ValueError: If one is no range of finite numbers in order.

    >>> tasks = Lines().sample(np.random.default_rng(0), n_tasks=4, n_shots=5, n_queries=5)
    >>> tasks.x_support.shape
    (4, 5, 1)
    """

    slope: tuple[float, float] = (-2.0, 2.0)
    intercept: tuple[float, float] = (-2.0, 2.0)
    centre: tuple[float, float] = (-1.0, 1.0)
    half_width: tuple[float, float] = (0.3, 2.0)

    def __post_init__(self) -> None:
        _check_ranges(self, "slope", "intercept", "centre", "half_width")

    def sample(self, rng: Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """A batch of ``n_tasks`` lines with ``n_shots`` support and ``n_queries`` query points."""
        counts = {"n_tasks": n_tasks, "n_shots": n_shots, "n_queries": n_queries}
        n_tasks, n_shots, n_queries = check_draw(rng, **counts)
        slope, intercept, centre, half_width = (
            rng.uniform(*bounds, size=(n_tasks, 1, 1))
            for bounds in (self.slope, self.intercept, self.centre, self.half_width)
        )
        x = centre + half_width * rng.uniform(-1, 1, size=(n_tasks, n_shots + n_queries, 1))
        return Task.split(x, slope * x + intercept, n_shots)


@dataclass(frozen=True)
class Waves:
    """The paper's sinusoids with another frequency, or with support and query sets apart.

    The same ``rng`` gives the same amplitudes, phases and places within the ranges whatever the
    frequency, so that two families can be compared wave by wave.

    Args:
        frequency: Of all waves, ``y = amplitude * sin(frequency * x - phase)``.
        x_support: Range of the support inputs.
        x_query: Range of the query inputs.

    Raises:
        ValueError: If the frequency is not positive or a range is empty.

    >>> tasks = Waves(frequency=2).sample(np.random.default_rng(0), 3, n_shots=5, n_queries=10)
    >>> tasks.x_support.shape, tasks.y_query.shape
    ((3, 5, 1), (3, 10, 1))
    """

    frequency: float = 1.0
    x_support: tuple[float, float] = Sinusoids.x
    x_query: tuple[float, float] = Sinusoids.x

    def __post_init__(self) -> None:
        object.__setattr__(self, "frequency", check_rate("frequency", self.frequency))
        _check_ranges(self, "x_support", "x_query")
        for name in ("x_support", "x_query"):
            low, high = getattr(self, name)
            if low == high:
                raise ValueError(f"{name} must be a range (low, high), got {(low, high)}")

    def sample(self, rng: Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """A batch of ``n_tasks`` waves with ``n_shots`` support and ``n_queries`` query points."""
        counts = {"n_tasks": n_tasks, "n_shots": n_shots, "n_queries": n_queries}
        n_tasks, n_shots, n_queries = check_draw(rng, **counts)
        amplitude = rng.uniform(*Sinusoids.amplitude, size=(n_tasks, 1, 1))
        phase = rng.uniform(*Sinusoids.phase, size=(n_tasks, 1, 1))
        x_support = rng.uniform(*self.x_support, size=(n_tasks, n_shots, 1))
        x_query = rng.uniform(*self.x_query, size=(n_tasks, n_queries, 1))
        y_support, y_query = (
            amplitude * np.sin(self.frequency * x - phase) for x in (x_support, x_query)
        )
        return Task(x_support, y_support, x_query, y_query)
