"""What every entrance checks: rates, counts, parameters; and the arrays within an input."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any  # a NumPy array or a torch tensor: this module needs only what both can do
Inputs = Any  # an array, or a tuple or dict of arrays, for a module with several inputs
Rates = float | NDArray  # alpha: one inner rate, or learned rates as ``maml.adapt`` takes them
Range = tuple[float, float]  # its ends, low and high


def is_tensor(value: Any) -> bool:
    """Whether ``value`` is a torch tensor; nobody has one who has not imported torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def described(value: Any) -> str:
    """What an argument is, in a few words for an error: its type, its shape or its value."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{type(value).__name__} of shape {tuple(value.shape)} and dtype {value.dtype}"
    if value is None or isinstance(value, str | int | float):
        return repr(value) if len(repr(value)) < 60 else f"{repr(value)[:57]}..."
    return type(value).__name__


def kind_of(array: Array) -> str:
    """What an array or a tensor holds, by NumPy's letter: f, i, u, b, c, or another."""
    if type(array) is np.ndarray or not is_tensor(array):
        return array.dtype.kind
    if array.is_floating_point():
        return "f"
    return "c" if array.is_complex() else "b" if str(array.dtype).endswith("bool") else "i"


def check_array(name: str, array: Any, engine: Any = None, holds: str = "fiub") -> None:
    """Require an array of numbers.

    Args:
        name: Which argument it is.
        array: A NumPy array or a torch tensor.
        engine: ``numpy.ndarray`` or ``torch.Tensor``, if it must be just that.
        holds: What its entries may be, letters of :func:`kind_of`: floats, integers, booleans.

    Raises:
        ValueError: If it is none, is masked or sparse, or holds strings, objects or complex
            numbers.
    """
    usual = type(array) is engine and "f" in holds and engine is not np.ndarray
    if usual and array.is_floating_point() and not array.is_sparse:
        return  # the usual case of tensors takes no detour
    if type(array) is not np.ndarray:
        _check_type(name, array, engine)
    elif engine is not None and engine is not np.ndarray:
        raise ValueError(
            f"{name} must be a torch tensor, got {described(array)}: for arrays there are the "
            f"models and functions of maml, and torch.as_tensor({name}) makes a tensor"
        )
    if kind_of(array) not in holds:
        what = "floats" if holds == "f" else "numbers"
        raise ValueError(f"{name} must hold {what}, got {described(array)}")


def _check_type(name: str, array: Any, engine: Any) -> None:
    """The part of :func:`check_array` for what is no plain NumPy array."""
    if is_tensor(array):
        if engine is np.ndarray:
            raise ValueError(
                f"{name} must be a NumPy array, got {described(array)}: for tensors there are the "
                "models and functions of maml_torch"
            )
        if str(array.layout) != "torch.strided":
            raise ValueError(f"{name} must be dense, got {array.layout}: to_dense() makes it so")
        return
    if isinstance(array, np.ma.MaskedArray | np.matrix):
        raise ValueError(f"{name} must be a plain array, got {described(array)}")
    if not isinstance(array, np.ndarray) or engine not in (None, np.ndarray):
        wanted = {np.ndarray: "a NumPy array", None: "an array"}.get(engine, "a torch tensor")
        raise ValueError(f"{name} must be {wanted}, got {described(array)}")


def check_shape(name: str, array: Array, n_params: int | None, n_tasks: int | None = None) -> None:
    """Require one vector of parameters, or if ``n_tasks`` is given also one for each task.

    Raises:
        ValueError: If it has another length or another number of axes.
    """
    shape = tuple(array.shape)
    if n_params is None and shape:  # a model need not say how many it has
        n_params = shape[-1]
    if shape == (n_params,) or (n_tasks is not None and shape == (n_tasks, n_params)):
        return
    rows = "" if n_tasks is None else f", or one row for each task, ({n_tasks}, n_params),"
    raise ValueError(
        f"{name} has shape {shape}; expected (n_params,){rows} with n_params = {n_params}"
    )


def check_model(model: Any, needs: Sequence[str], engine: Any = None) -> None:
    """Require a model with the methods that are named, for NumPy or for torch.

    Raises:
        ValueError: If it is a class, a bare ``nn.Module``, or has not all of them.
    """
    if isinstance(model, type):
        raise ValueError(f"model must be an object, got {described(model)}: call it to make one")
    if hasattr(model, "named_parameters") and hasattr(getattr(model, "loss", model), "forward"):
        raise ValueError(
            f"model must have loss(theta, x, y), got the bare module {type(model).__name__}: "
            "maml_torch.from_module(module, objective) makes a model of it"
        )
    if engine is np.ndarray and hasattr(model, "shares_theta"):
        raise ValueError(
            f"model must be one for NumPy arrays, got {type(model).__module__}."
            f"{type(model).__name__}, which takes tensors: maml_torch has the functions for it"
        )
    missing = [name for name in needs if not _has(model, name)]
    if missing:
        raise ValueError(
            f"model must have {', '.join(needs)}, got {described(model)} without "
            f"{', '.join(missing)}"
        )


def _has(model: Any, name: str) -> bool:
    return hasattr(type(model), name) or hasattr(model, name)  # the first computes no property


def number(value: Any) -> Any:
    """A number out of NumPy's or torch's box, so an array without axes; all else as it is."""
    boxed = getattr(value, "ndim", 1) == 0 and hasattr(value, "item")
    value = value.item() if boxed else value
    return float(value) if isinstance(value, np.floating) else value  # a long double stays boxed


def is_number(value: Any) -> bool:
    """Whether it is a plain finite number."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and abs(value) < np.inf


def check_rate(name: str, value: Any) -> float:
    """Require a positive finite number, and return it; an array without axes is one, too.

    Raises:
        ValueError: If it is none; ``name`` says which argument it was.
    """
    plain = number(value)
    if not is_number(plain) or plain <= 0:
        raise ValueError(f"{name} must be a positive finite number, got {_briefly(value)}")
    return plain


def _briefly(value: Any) -> str:
    """A number as it is written, and all else described."""
    return repr(value) if getattr(value, "ndim", 1) == 0 else described(value)


def _index(value: Any) -> int | None:
    """An integer out of its box; nothing if ``value`` is none, or a boolean."""
    if type(value) is int:
        return value
    plain = number(value)
    boxed = hasattr(plain, "ndim")  # an array with axes
    return None if boxed or isinstance(plain, bool) or not isinstance(plain, int) else plain


def check_count(name: str, value: Any, least: int = 1) -> int:
    """Require an integer of at least ``least``, and return it as Python's own.

    Raises:
        ValueError: If it is none; ``name`` says which argument it was.
    """
    count = _index(value)
    if count is None or count < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {_briefly(value)}")
    return count


def check_counts(**counts: Any) -> tuple[int, ...]:
    """Require positive integers, and return them in their order.

    Raises:
        ValueError: If one is none; it names which.
    """
    return tuple(check_count(name, count) for name, count in counts.items())


def check_filled(name: str, items: Any) -> Sequence:
    """Require a list, or anything else in order, that is not empty, and return it.

    Raises:
        ValueError: If it is none; ``name`` says which argument it was.
    """
    if isinstance(items, str) or not hasattr(items, "__getitem__") or not len(items):
        raise ValueError(f"{name} must be a list that is not empty, got {described(items)}")
    return items


def check_sizes(name: str, sizes: Any) -> tuple[int, ...]:
    """Require the widths of two or more layers, and return them.

    Raises:
        ValueError: If they are fewer, or one is no positive integer.
    """
    wanted = f"{name} must be two or more positive integers, got {sizes!r}"
    if not isinstance(sizes, Sequence) or isinstance(sizes, str) or len(sizes) < 2:
        raise ValueError(wanted)
    widths = [_index(width) for width in sizes]
    if any(width is None or width < 1 for width in widths):
        raise ValueError(wanted)
    return tuple(width for width in widths if width is not None)


def choice(name: str, value: object, table: Iterable[str]) -> None:
    """Require ``value`` to be one of the words of ``table``.

    Raises:
        ValueError: If it is none; ``name`` says which argument it was.
    """
    if not isinstance(value, str) or value not in table:
        raise ValueError(f"{name} must be {' or '.join(map(repr, table))}, got {described(value)}")


def check_callable(name: str, function: Any) -> None:
    """Require a function.

    Raises:
        ValueError: If it cannot be called; ``name`` says which argument it was.
    """
    if not callable(function):
        raise ValueError(f"{name} must be a function, got {described(function)}")


def check_generator(rng: Any) -> None:
    """Require a ``numpy.random.Generator`` as ``rng``.

    Raises:
        ValueError: If it is another source of randomness, or a seed.
    """
    if not isinstance(rng, np.random.Generator):
        seed = rng if isinstance(rng, int) and not isinstance(rng, bool) else "seed"
        raise ValueError(
            f"rng must be a numpy.random.Generator, got {described(rng)}: "
            f"np.random.default_rng({seed}) makes one"
        )


def check_range(name: str, value: Any, least: float = -np.inf) -> Range:
    """Require two finite numbers in order, ``(low, high)``, and return them.

    Raises:
        ValueError: If they are none, or one is below ``least``.
    """
    pair = _range(value)
    if pair is None or pair[0] < least:
        above = "" if least == -np.inf else f" of at least {least:g}"
        raise ValueError(
            f"{name} must be a range (low, high) of finite numbers{above} in order, got {value!r}"
        )
    return pair


def _range(value: Any) -> Range | None:
    """The ends of a range; nothing if ``value`` is none."""
    if isinstance(value, str) or not (isinstance(value, Sequence) or hasattr(value, "ndim")):
        return None
    ends = [number(end) for end in value] if getattr(value, "ndim", 1) == 1 else []
    if len(ends) != 2 or not all(map(is_number, ends)) or ends[0] > ends[1]:
        return None
    return ends[0], ends[1]


def check_inner_loop(alpha: Any, n_inner_steps: Any, n_params: int) -> tuple[Any, int]:
    """Require inner rates and a number of inner steps that mean something, and return them.

    A rate that is an array without axes comes back as a number, learned rates as they are.

    Raises:
        ValueError: If ``alpha`` is neither a positive finite number nor an array of finite rates,
            ``(n_params,)`` or ``(n_steps, 1 or n_params)``, or if ``n_inner_steps`` is not an
            integer of at least 0.
    """
    if type(alpha) is not float or not 0 < alpha < np.inf:  # the usual case takes no detour
        alpha = _checked_rates(alpha, n_params) if _has_axes(alpha) else check_rate("alpha", alpha)
    n_steps = _index(n_inner_steps)
    if n_steps is None:
        raise ValueError(f"n_inner_steps must be an integer, got {_briefly(n_inner_steps)}")
    if n_steps < 0:
        raise ValueError(f"n_inner_steps must be at least 0, got {n_inner_steps}")
    return alpha, n_steps


def _has_axes(alpha: Any) -> bool:
    return getattr(alpha, "ndim", 0) > 0


def _checked_rates(alpha: Array, n_params: int) -> Array:
    check_array("alpha", alpha, holds="fiu")
    shape = tuple(np.shape(alpha))
    if len(shape) > 2 or shape[-1] not in (1, n_params) or shape[0] == 0:
        raise ValueError(
            f"alpha has shape {shape}; expected a number, one rate per parameter "
            f"({n_params},), or one row per step (n_steps, 1 or {n_params})"
        )
    if not bool((abs(alpha) < float("inf")).all()):
        raise ValueError("alpha must be finite, but holds nan or inf")
    return alpha


def check_learned_rates(alpha: Any, shape: tuple[int, ...], what: str) -> None:
    """Require rates that are learned: an array of just this shape.

    Raises:
        ValueError: If ``alpha`` has another shape; ``what`` says what the shape stands for.
    """
    if not _has_axes(alpha) or tuple(alpha.shape) != shape:
        found = tuple(alpha.shape) if hasattr(alpha, "shape") else ()
        raise ValueError(f"alpha has shape {found}; expected {what}, {shape}")


def check_step_weights(step_weights: Any, n_inner_steps: int) -> list[float]:
    """Require a finite weight for each inner step, and return them as plain numbers.

    Raises:
        ValueError: If they are none, or their number is not ``n_inner_steps``.
    """
    given = step_weights if hasattr(step_weights, "__iter__") else ()
    weights = [number(weight) for weight in given]
    if len(weights) != n_inner_steps or not all(map(is_number, weights)):
        raise ValueError(
            f"step_weights must be {n_inner_steps} finite numbers, got {step_weights!r}"
        )
    return weights


def check_theta(theta: NDArray) -> NDArray:
    """Require a NumPy array of finite parameters, and return it.

    Raises:
        ValueError: If it is anything else, or one is nan or inf.
    """
    check_array("theta", theta, np.ndarray, holds="f")
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
    for name, value in given.items():
        if name not in usual or _range(value) is None:
            raise ValueError(f"{name} = {value!r} is not a range of {', '.join(usual)}")
    return {**usual, **given}


def map_arrays(function: Callable[[Array], Array], x: Inputs) -> Inputs:
    """``function`` of an array, or of each array in a tuple or dict of them."""
    if isinstance(x, Mapping):
        return {name: map_arrays(function, part) for name, part in x.items()}
    if isinstance(x, tuple):
        return tuple(map_arrays(function, part) for part in x)
    return function(x)


def arrays_in(x: Inputs) -> list[Array]:
    """The arrays in ``x``: itself, or those of a tuple or dict, in order."""
    parts = x.values() if isinstance(x, Mapping) else x if isinstance(x, tuple) else None
    return [x] if parts is None else [array for part in parts for array in arrays_in(part)]
