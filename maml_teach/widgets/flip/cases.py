"""Cases for the board of mistakes: run a right and a wrong version, and keep what was measured.

The lines that a case shows must occur in the source of a function that ran.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import Verdict, check_meta_gradient, relative_error
from . import Case, Outcome

GRADIENT_LABELS: dict[str, Any] = {
    "plot": "slopes",
    "x_label": "slope by finite differences",
    "y_label": "slope claimed by the gradient",
    "value_label": "relative error of the gradient",
    "caught_by": "check_meta_gradient",
}


def require_lines(code: str, function: Callable) -> None:
    """Require that every line of ``code`` occurs in a function's source, apart from white space.

    Raises:
        ValueError: If a line does not occur: what is shown would not be what ran.
    """
    source = "".join(inspect.getsource(function).split())
    missing = [line for line in code.splitlines() if "".join(line.split()) not in source]
    if missing:
        raise ValueError(f"code must be lines of {function.__name__}, but it has no {missing}")


def gradient_case(
    number: int,
    title: str,
    codes: tuple[str, str],
    functions: tuple[Callable, Callable],
    problem: tuple,
    *,
    right_lines_of: Callable | None = None,
    **inner: Any,
) -> tuple[Case, Verdict]:
    """A mistake in a meta-gradient, judged by ``check_meta_gradient``.

    Args:
        number: Its number on the board.
        title: A few words.
        codes: The right lines and the wrong ones.
        functions: The right gradient and the wrong one, as ``check_meta_gradient`` takes them.
        problem: Model, start and tasks.
        right_lines_of: Where the right lines stand, if the right gradient only calls it.
        **inner: ``alpha`` and ``n_inner_steps``.

    Returns:
        The case, and what the check found in the wrong gradient.

    Raises:
        ValueError: If the check passes the wrong gradient or fails the right one, or if a line does
            not occur in its function.
    """
    right, wrong = functions
    require_lines(codes[0], right_lines_of or right)
    require_lines(codes[1], wrong)
    exact = _gradient(right, problem, inner)
    (passed, good), (failed, bad) = (_judged(f, exact, problem, inner) for f in functions)
    if failed or not passed:
        raise ValueError(f"the check must tell right from wrong, but says {passed} and {failed}")
    return Case(number, title, *codes, good, bad, **GRADIENT_LABELS), failed


def _gradient(function: Callable, problem: tuple, inner: dict[str, Any]) -> NDArray:
    """The gradient that a function answers, alone or behind a meta-loss, as an array."""
    answer = function(*problem, **inner)
    return np.asarray(answer[1] if isinstance(answer, tuple) else answer)


def _judged(
    function: Callable, exact: NDArray, problem: tuple, inner: dict[str, Any]
) -> tuple[Verdict, Outcome]:
    """Verdict on one gradient function; its slopes and its error as an outcome."""
    verdict = check_meta_gradient(function, *problem, **inner)
    error = relative_error(_gradient(function, problem, inner), exact)
    return verdict, curve(verdict.numerical, verdict.claimed, str(verdict), error)


def curve(x: Iterable[float], y: Iterable[float], verdict: str, value: float) -> Outcome:
    """An outcome whose points are ``(x, y)``, of any kind of number.

    >>> curve(range(2), np.array([4.0, 1.0]), "adapting helps", np.float32(1)).points
    [(0.0, 4.0), (1.0, 1.0)]
    """
    return Outcome([*zip(map(float, x), map(float, y), strict=True)], verdict, float(value))


def curve_case(
    number: int,
    title: str,
    codes: tuple[str, str],
    functions: tuple[Callable, Callable],
    outcomes: Iterable[Outcome],
    **labels: Any,
) -> Case:
    """A mistake whose effect is a curve.

    Args:
        number: Its number on the board.
        title: A few words.
        codes: The right lines and the wrong ones.
        functions: Where they stand, right and wrong.
        outcomes: What was measured, right and wrong; see :func:`curve`.
        **labels: ``x_label``, ``y_label``, ``value_label``, ``caught_by`` and, if the ordinate is
            logarithmic, ``log_y`` of a :class:`Case`.

    Raises:
        ValueError: If a line does not occur in its function.
    """
    for code, function in zip(codes, functions, strict=True):
        require_lines(code, function)
    right, wrong = outcomes
    return Case(number, title, *codes, right, wrong, plot="curve", **labels)
