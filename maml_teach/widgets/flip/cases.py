"""Cases for the figure of mistakes: run a right and a wrong program, and keep what was measured.

What a case shows is the source of the two functions that ran.
"""

import inspect
import linecache
import textwrap
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import Verdict, check_meta_gradient, relative_error
from . import Case, Outcome, diff

GRADIENT_LABELS: dict[str, Any] = {
    "value_label": "relative error of the gradient",
    "caught_by": "check_meta_gradient",
}
MARKS = {"right": "✓", "wrong": "✗"}


def source(function: Callable) -> str:
    """The text of a function, from the left margin on."""
    return textwrap.dedent(inspect.getsource(function)).strip()


def edited(function: FunctionType, *changes: tuple[str, str]) -> Callable:
    """The function with pieces of its text exchanged: a mistake planted, and nothing else.

    Args:
        function: A function of its module, without variables of an enclosing one.
        *changes: Pairs of a piece of its text and what stands there instead.

    Returns:
        A function of the same name, whose source is the changed text.

    Raises:
        ValueError: If a piece does not occur exactly once.

    >>> from maml_teach.checks import relative_error
    >>> wrong = edited(relative_error, ("scale > 0", "scale > 10"))
    >>> relative_error(1, 2), wrong(1, 2)
    (0.5, inf)
    """
    text = source(function)
    for old, new in changes:
        if text.count(old) != 1:
            raise ValueError(
                f"changes must name text that occurs once in {function.__name__}, but {old!r} "
                f"occurs {text.count(old)} times"
            )
        text = text.replace(old, new)
    name = f"<{function.__name__} with {changes!r}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    made: dict[str, Any] = {}
    exec(compile(text, name, "exec"), function.__globals__, made)
    return made[function.__name__]


def gradient_case(
    number: int,
    title: str,
    functions: tuple[Callable, Callable],
    problem: tuple,
    outcome: Callable[[Callable], Iterable[tuple[float, float]]],
    *,
    labels: dict[str, Any],
    **inner: Any,
) -> tuple[Case, Verdict]:
    """A mistake in a meta-gradient, judged by ``check_meta_gradient``.

    Args:
        number: Its number in the list.
        title: A few words.
        functions: The right gradient and the wrong one, as ``check_meta_gradient`` takes them.
        problem: Model, start and tasks for the check.
        outcome: What a gradient is used for: called with each, it returns the curve to draw.
        labels: ``x_label``, ``y_label`` and, if the ordinate is logarithmic, ``log_y``.
        **inner: ``alpha`` and ``n_inner_steps``.

    Returns:
        The case, and what the check found in the wrong gradient.

    Raises:
        ValueError: If the check passes the wrong gradient or fails the right one.
    """
    exact = _gradient(functions[0], problem, inner)
    verdicts = [check_meta_gradient(f, *problem, **inner) for f in functions]
    if verdicts[1] or not verdicts[0]:
        raise ValueError(
            "the check must tell right from wrong, but says {} and {}".format(*verdicts)
        )
    outcomes = [
        curve(outcome(f), _said(verdict), relative_error(_gradient(f, problem, inner), exact))
        for f, verdict in zip(functions, verdicts, strict=True)
    ]
    case = curve_case(number, title, functions, outcomes, **labels, **GRADIENT_LABELS)
    return case, verdicts[1]


def _gradient(function: Callable, problem: tuple, inner: dict[str, Any]) -> NDArray:
    """The gradient that a function answers, alone or behind a meta-loss, as an array."""
    answer = function(*problem, **inner)
    return np.asarray(answer[1] if isinstance(answer, tuple) else answer)


def _said(verdict: Verdict) -> str:
    """The verdict without its number: the case has the error of the gradient itself."""
    return f"{'passed' if verdict else 'failed'}: {verdict.sentence}"


def curve(points: Iterable[tuple[float, float]], verdict: str, value: float) -> Outcome:
    """An outcome whose points are pairs ``(x, y)`` of any kind of number.

    >>> curve(enumerate(np.array([4.0, 1.0])), "adapting helps", np.float32(1)).points
    [(0.0, 4.0), (1.0, 1.0)]
    """
    return Outcome([(float(x), float(y)) for x, y in points], verdict, float(value))


def curve_case(
    number: int,
    title: str,
    functions: tuple[Callable, Callable],
    outcomes: Iterable[Outcome],
    **labels: Any,
) -> Case:
    """A mistake whose programs are shown as they ran.

    Args:
        number: Its number in the list.
        title: A few words.
        functions: The right program and the wrong one.
        outcomes: What was measured, right and wrong; see :func:`curve`.
        **labels: ``x_label``, ``y_label``, ``value_label``, ``caught_by`` and, if the ordinate is
            logarithmic, ``log_y`` of a :class:`Case`.
    """
    right, wrong = outcomes
    return Case(number, title, source(functions[0]), source(functions[1]), right, wrong, **labels)


def told(case: Case) -> str:
    """A mistake in Markdown: the lines that differ, what was measured, and what the check says.

    >>> right, wrong = (curve([(0, 1)], words, x) for words, x in (("passed", 0), ("failed", 3)))
    >>> labels = {"x_label": "x", "y_label": "y", "value_label": "error", "caught_by": "the test"}
    >>> print(told(Case(5, "sum for mean", "v.mean()", "v.sum()", right, wrong, **labels)))
    ```text
    ✓ v.mean()
    ✗ v.sum()
    ```
    <BLANKLINE>
    Error: **3** with the mistake, 0 without. The check (the test): *failed*.
    """
    changed = [
        (MARKS[whose], "".join(text for text, _ in pieces))
        for whose, pieces in diff(case.right_code, case.wrong_code)
        if whose in MARKS
    ]
    program = textwrap.dedent("\n".join(line for _, line in changed)).splitlines()
    lines = [f"{mark} {line}" for (mark, _), line in zip(changed, program, strict=True)]
    label = case.value_label[0].upper() + case.value_label[1:]
    return (
        "```text\n" + "\n".join(lines) + "\n```\n\n"
        f"{label}: **{case.wrong.value:.2g}** with the mistake, {case.right.value:.2g} without. "
        f"The check ({case.caught_by}): *{case.wrong.verdict}*."
    )
