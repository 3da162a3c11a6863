"""What every entrance checks: rates, counts, parameters; and the arrays within an input."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any  # a NumPy array or a torch tensor: this module needs only what both can do
Inputs = Any  # an array, or a tuple or dict of arrays, for a module with several inputs
Rates = float | NDArray  # alpha: one inner rate, or learned rates as ``maml.adapt`` takes them
Range = tuple[float, float]  # its ends, low and high


def check_rate(name: str, value: Any) -> float:
    """Require a positive finite number, and return it; an array without axes is one, too.

    Raises:
        ValueError: If it is none; ``name`` says which argument it was.
    """
    number = value.item() if np.ndim(value) == 0 and hasattr(value, "item") else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < np.inf:
        raise ValueError(f"{name} must be a positive finite number, got {value!r}")
    return number


def check_counts(**counts: int) -> None:
    """Require positive integers.

    Raises:
        ValueError: If one is none; it names which.
    """
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {count!r}")


def check_inner_loop(alpha: Any, n_inner_steps: int, n_params: int) -> None:
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


def _check_rates(alpha: Array, n_params: int) -> None:
    shape = tuple(np.shape(alpha))
    if len(shape) > 2 or shape[-1] not in (1, n_params) or shape[0] == 0:
        raise ValueError(
            f"alpha has shape {shape}; expected a number, one rate per parameter "
            f"({n_params},), or one row per step (n_steps, 1 or {n_params})"
        )
    if not bool((abs(alpha) < float("inf")).all()):
        raise ValueError("alpha must be finite, but holds nan or inf")


def check_theta(theta: NDArray) -> NDArray:
    """Require finite parameters, and return them.

    Raises:
        ValueError: If one is nan or inf.
    """
    if not np.isfinite(theta).all():
        raise ValueError("theta must be finite, but holds nan or inf")
    return theta


def check_convergence(theta_prime: NDArray, alpha: Rates, n_inner_steps: int) -> None:
    """Require finite parameters ``(n_tasks, n_params)`` after an inner loop.

    Raises:
        FloatingPointError: If those of a task are not; it names the rate and how many tasks.
    """
    finite = np.isfinite(theta_prime).all(axis=-1)
    if not finite.all():
        raise FloatingPointError(
            f"the inner loop diverged on {np.sum(~finite)} of {finite.size} tasks within "
            f"{n_inner_steps} steps: alpha = {_shown(alpha)} is too large"
        )


def _shown(alpha: Rates) -> object:
    return alpha if np.ndim(alpha) == 0 else f"{np.min(alpha):.3g} to {np.max(alpha):.3g}"


def rate(alpha: Any, k: int) -> Any:
    """The rate of inner step ``k``: ``alpha``, or its row ``k`` if it is a table of steps.

    The last row of a table serves all further steps.
    """
    return alpha if np.ndim(alpha) < 2 else alpha[min(k, len(alpha) - 1)]


def with_ranges(usual: Mapping[str, Range], given: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges ``usual``, ``{name: (low, high)}``, with those ``given`` in their place.

    Raises:
        ValueError: If a range has an unknown name or its ends are not in order.
    """
    for name, (low, high) in given.items():
        if name not in usual or not low <= high:
            raise ValueError(f"{name} = ({low}, {high}) is not a range of {', '.join(usual)}")
    return {**usual, **given}


def map_arrays(function: Callable[[Array], Array], x: Inputs) -> Inputs:
    """``function`` of an array, or of each array in a tuple or dict of them."""
    if isinstance(x, dict):
        return {name: map_arrays(function, part) for name, part in x.items()}
    if isinstance(x, tuple):
        return tuple(map_arrays(function, part) for part in x)
    return function(x)


def arrays_in(x: Inputs) -> list[Array]:
    """The arrays in ``x``: itself, or those of a tuple or dict, in order."""
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, tuple) else None
    return [x] if parts is None else [array for part in parts for array in arrays_in(part)]
