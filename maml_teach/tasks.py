"""Tasks: support and query points, and the families that tasks are drawn from."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

Array = Any  # a NumPy array or a torch tensor: this module needs only what both can do


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
        ValueError: If an array is empty, is not finite, or inputs and targets do not pair up.

    Source:
        The support and query sets of Finn et al. (2017), Algorithm 2 (there D and D').
    """

    x_support: Array
    y_support: Array
    x_query: Array
    y_query: Array

    def __post_init__(self):
        for field in fields(self):
            arrays = arrays_in(getattr(self, field.name))
            if not arrays:
                raise ValueError(f"{field.name} is empty: it holds no array")
            for array in arrays:
                _check_array(field.name, array)
        for part in ("support", "query"):
            _check_pair(part, getattr(self, f"x_{part}"), getattr(self, f"y_{part}"))

    @property
    def n_tasks(self):
        """Length of the leading axis: the number of tasks when this is a batch."""
        return arrays_in(self.x_support)[0].shape[0]

    def select(self, index):
        """The tasks at ``index`` (a slice or an integer array) of a batch, as a batch."""
        part = object.__new__(Task)  # what was checked with the batch is not checked again
        for field in fields(self):
            chosen = map_arrays(lambda array: array[index], getattr(self, field.name))
            object.__setattr__(part, field.name, chosen)
        return part

    def map(self, function):
        """A task whose arrays are ``function`` of these; this very task if it changes nothing."""
        before = [getattr(self, field.name) for field in fields(self)]
        after = [map_arrays(function, x) for x in before]
        same = all(one is two for one, two in zip(_leaves(before), _leaves(after), strict=True))
        return self if same else Task(*after)


def map_arrays(function, x):
    """``function`` of an array, or of each array in a tuple or dict of them."""
    if isinstance(x, dict):
        return {name: map_arrays(function, part) for name, part in x.items()}
    if isinstance(x, tuple):
        return tuple(map_arrays(function, part) for part in x)
    return function(x)


def arrays_in(x):
    """The arrays in ``x``: itself, or those of a tuple or dict, in order."""
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, tuple) else None
    return [x] if parts is None else [array for part in parts for array in arrays_in(part)]


def _leaves(parts):
    return [array for x in parts for array in arrays_in(x)]


def _check_array(name, array):
    if not hasattr(array, "shape"):
        raise ValueError(f"{name} must be an array, got {type(array).__name__}")
    if 0 in tuple(array.shape):
        raise ValueError(f"{name} is empty: its shape is {tuple(array.shape)}")
    if not bool((abs(array) < float("inf")).all()):  # False for nan as well
        raise ValueError(f"{name} must be finite, but holds nan or inf")


def _is_integer(array):
    kind = getattr(array.dtype, "kind", None)
    if kind is not None:  # NumPy
        return kind in ("i", "u")
    return not array.dtype.is_floating_point and "int" in str(array.dtype)


def _leading_axes(y):
    """Axes of ``y`` before the output axis: tasks and points, or points alone."""
    return y.ndim if _is_integer(y) else y.ndim - 1


def _check_pair(part, x, y):
    n = min(_leading_axes(y), 2)  # tasks and points; what lies behind is the objective's business
    for array in arrays_in(x):
        if tuple(array.shape[:n]) != tuple(y.shape[:n]):
            raise ValueError(
                f"y_{part} has shape {tuple(y.shape)}, which does not pair up with x_{part} of "
                f"shape {tuple(array.shape)}: their first {n} axes must be equal"
            )


def check_batch(tasks):
    """Require a batch: a leading ``n_tasks`` axis, the same on support and query.

    Raises:
        ValueError: If ``tasks`` is a single task, or support and query count differently.
    """
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


def with_ranges(usual, given):
    """The ranges ``usual``, ``{name: (low, high)}``, with those ``given`` in their place.

    Raises:
        ValueError: If a range has an unknown name or its ends are not in order.
    """
    for name, (low, high) in given.items():
        if name not in usual or not low <= high:
            raise ValueError(f"{name} = ({low}, {high}) is not a range of {', '.join(usual)}")
    return {**usual, **given}


def rate(alpha, k):
    """The rate of inner step ``k``: ``alpha``, or its row ``k`` if it is a table of steps.

    The last row of a table serves all further steps.
    """
    return alpha if np.ndim(alpha) < 2 else alpha[min(k, len(alpha) - 1)]


def check_rate(name, value):
    """Require a positive finite number.

    Raises:
        ValueError: If it is none; ``name`` says which argument it was.
    """
    if not np.isscalar(value) or isinstance(value, str) or not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a positive finite number, got {value!r}")


def check_inner_loop(alpha, n_inner_steps, n_params):
    """Require inner rates and a number of inner steps that mean something.

    Raises:
        ValueError: If ``alpha`` is neither a positive finite number nor an array of finite rates,
            ``(n_params,)`` or ``(n_steps, 1 or n_params)``, or if ``n_inner_steps`` is not an
            integer of at least 0.
    """
    if np.ndim(alpha) == 0:
        check_rate("alpha", alpha)
    else:
        _check_rates(alpha, n_params)
    if isinstance(n_inner_steps, bool) or not isinstance(n_inner_steps, int | np.integer):
        raise ValueError(f"n_inner_steps must be an integer, got {n_inner_steps!r}")
    if n_inner_steps < 0:
        raise ValueError(f"n_inner_steps must be at least 0, got {n_inner_steps}")


def _check_rates(alpha, n_params):
    shape = tuple(np.shape(alpha))
    if len(shape) > 2 or shape[-1] not in (1, n_params) or shape[0] == 0:
        raise ValueError(
            f"alpha has shape {shape}; expected a number, one rate per parameter "
            f"({n_params},), or one row per step (n_steps, 1 or {n_params})"
        )
    if not bool((abs(alpha) < float("inf")).all()):
        raise ValueError("alpha must be finite, but holds nan or inf")


@dataclass(frozen=True)
class Sinusoids:
    """Sine waves ``y = amplitude * sin(x - phase)``, the regression family of the MAML paper.

    Args:
        amplitude: Range that amplitudes are drawn from, uniformly.
        phase: Range that phases are drawn from, uniformly, in radians.
        x: Range that inputs are drawn from, uniformly.

    Source:
        Finn et al. (2017), section 5.1; the sign of the phase is that of the official code.

    >>> tasks = Sinusoids().sample(np.random.default_rng(0), n_tasks=3, n_shots=5, n_queries=10)
    >>> tasks.x_support.shape, tasks.y_query.shape
    ((3, 5, 1), (3, 10, 1))
    """

    amplitude: tuple[float, float] = (0.1, 5.0)
    phase: tuple[float, float] = (0.0, np.pi)
    x: tuple[float, float] = (-5.0, 5.0)

    def sample(self, rng, n_tasks, n_shots, n_queries):
        """A batch of ``n_tasks`` waves with ``n_shots`` support and ``n_queries`` query points."""
        check_counts(n_tasks=n_tasks, n_shots=n_shots, n_queries=n_queries)
        amplitude = rng.uniform(*self.amplitude, size=(n_tasks, 1, 1))
        phase = rng.uniform(*self.phase, size=(n_tasks, 1, 1))
        x = rng.uniform(*self.x, size=(n_tasks, n_shots + n_queries, 1))
        return _split(x, amplitude * np.sin(x - phase), n_shots)


@dataclass(frozen=True)
class Lines:
    """Straight lines ``y = slope * x + intercept``, each seen through a window of its own.

    With ``MLP((1, 1))`` as the model, ``theta`` is ``(slope, intercept)``: a plane that can be
    drawn. Every loss is a quadratic bowl, steep where a task's window of inputs is wide.

    Args:
        slope: Range of slopes.
        intercept: Range of intercepts.
        centre: Range of the windows' centres.
        half_width: Range of the windows' half widths.

    >>> tasks = Lines().sample(np.random.default_rng(0), n_tasks=4, n_shots=5, n_queries=5)
    >>> tasks.x_support.shape
    (4, 5, 1)
    """

    slope: tuple[float, float] = (-2.0, 2.0)
    intercept: tuple[float, float] = (-2.0, 2.0)
    centre: tuple[float, float] = (-1.0, 1.0)
    half_width: tuple[float, float] = (0.3, 2.0)

    def sample(self, rng, n_tasks, n_shots, n_queries):
        """A batch of ``n_tasks`` lines with ``n_shots`` support and ``n_queries`` query points."""
        check_counts(n_tasks=n_tasks, n_shots=n_shots, n_queries=n_queries)
        slope, intercept, centre, half_width = (
            rng.uniform(*bounds, size=(n_tasks, 1, 1))
            for bounds in (self.slope, self.intercept, self.centre, self.half_width)
        )
        x = centre + half_width * rng.uniform(-1, 1, size=(n_tasks, n_shots + n_queries, 1))
        return _split(x, slope * x + intercept, n_shots)


def check_counts(**counts):
    """Require positive integers.

    Raises:
        ValueError: If one is none; it names which.
    """
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {count!r}")


def _split(x, y, n_shots):
    return Task(x[:, :n_shots], y[:, :n_shots], x[:, n_shots:], y[:, n_shots:])


FAMILIES = {"sinusoids": Sinusoids, "lines": Lines}
