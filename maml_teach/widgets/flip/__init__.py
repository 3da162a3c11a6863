"""Flip a mistake: what a wrong line does to the result, and what the check says of it."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

import traitlets

from ..base import Figure, settable
from ..front_end import bundle, style

VERSIONS = ("wrong", "right")
MAX_LINES = 14
WORDS = re.compile(r"\w+|\s+|.")


@dataclass(frozen=True)
class Outcome:
    """What was measured with one version of a program.

    Args:
        points: Pairs ``(x, y)`` of the curve. ``y`` may be ``inf``: diverged.
        verdict: What the check said.
        value: The number that the check measured.

    Raises:
        ValueError: If there is no point, or a number is not finite.
    """

    points: list
    verdict: str
    value: float

    def __post_init__(self) -> None:
        if not self.points or any(len(point) != 2 for point in self.points):
            raise ValueError(f"points must be one or more pairs (x, y), got {self.points!r}")
        if any(not math.isfinite(x) or math.isnan(y) for x, y in self.points):
            raise ValueError("points must be finite, but hold nan or inf")
        if not math.isfinite(self.value):
            raise ValueError(f"value must be finite, got {self.value!r}")


@dataclass(frozen=True)
class Case:
    """One mistake, with and without.

    Args:
        number: Its number, at least 1.
        title: A few words.
        right_code: The right program, up to 14 lines.
        wrong_code: The same with the mistake.
        right: What the right program gave.
        wrong: What the wrong program gave.
        x_label: Label of the curves' abscissa.
        y_label: Label of their ordinate.
        value_label: What ``value`` of an outcome is.
        caught_by: Name of the check.
        log_y: Whether the ordinate is logarithmic.

    Raises:
        ValueError: If an argument is none of these, or the two programs are the same.
    """

    number: int
    title: str
    right_code: str
    wrong_code: str
    right: Outcome
    wrong: Outcome
    x_label: str
    y_label: str
    value_label: str
    caught_by: str
    log_y: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.number, bool) or not isinstance(self.number, int) or self.number < 1:
            raise ValueError(f"number must be an integer of at least 1, got {self.number!r}")
        for name in ("right_code", "wrong_code"):
            if not 1 <= len(getattr(self, name).splitlines()) <= MAX_LINES:
                raise ValueError(f"{name} must be 1 to {MAX_LINES} lines")
        if self.right_code == self.wrong_code:
            raise ValueError("wrong_code must differ from right_code")
        if self.log_y and min(y for _, y in (*self.right.points, *self.wrong.points)) <= 0:
            raise ValueError("points must be positive on a logarithmic axis")


class FlipMistake(Figure):
    """A list of mistakes and one switch: the program, its result and the verdict, wrong or right.

    Args:
        cases: The mistakes, a list of :class:`Case` with numbers of their own.
        **settings: First values of the traits ``mistake`` (the number shown, the first by
            default) and ``version`` (``"wrong"`` or ``"right"``: the program that runs).

    Raises:
        ValueError: If there is no case, two have one number, or a setting is unknown.
    """

    _esm, _css = bundle("flip"), style("flip")

    mistake = traitlets.Int().tag(**settable())
    version = traitlets.Enum(VERSIONS, "wrong").tag(**settable())
    cases = traitlets.List(traitlets.Dict()).tag(sync=True)

    def __init__(self, cases: Sequence[Case], **settings: Any):
        numbers = [case.number for case in cases]
        if not numbers or len(set(numbers)) < len(numbers):
            raise ValueError(f"cases must have numbers of their own, got {numbers}")
        settings = {"mistake": numbers[0], **settings}
        if settings["mistake"] not in numbers:
            raise ValueError(f"there is no case number {settings['mistake']}")
        super().__init__(**settings)
        self.cases = [_plain(case) for case in cases]


def _plain(case: Case) -> dict[str, Any]:
    """A case as JSON takes it: one diff of both programs, ``None`` where a curve has diverged."""
    sent = asdict(case)
    for version in VERSIONS:
        points = sent[version]["points"]
        sent[version]["points"] = [[x, y if math.isfinite(y) else None] for x, y in points]
    sent["diff"] = [*diff(sent.pop("right_code"), sent.pop("wrong_code"))]
    return sent


def diff(right: str, wrong: str) -> Iterator[list]:
    """The lines of two programs, each as ``[whose, pieces]``, a piece as ``[text, changed]``.

    ``whose`` is ``"both"``, ``"right"`` or ``"wrong"``.

    >>> for line in diff("v = f(x)", "v = f(y)"):
    ...     print(line)
    ['right', [['v = f(', False], ['x', True], [')', False]]]
    ['wrong', [['v = f(', False], ['y', True], [')', False]]]
    """
    a, b = right.splitlines(), wrong.splitlines()
    for kind, i, j, k, n in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from (["both", [[line, False]]] for line in a[i:j])
            continue
        sides = _pieces("\n".join(a[i:j]), "\n".join(b[k:n]))
        for whose, pieces, count in zip(("right", "wrong"), sides, (j - i, n - k), strict=True):
            if count:
                yield from ([whose, line] for line in _lines(pieces))


def _pieces(right: str, wrong: str) -> tuple[list, list]:
    """Both texts in pieces ``[text, changed]``, word by word."""
    a, b = WORDS.findall(right), WORDS.findall(wrong)
    ours: list = []
    theirs: list = []
    for kind, i, j, k, n in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        ours.append(["".join(a[i:j]), kind != "equal"])
        theirs.append(["".join(b[k:n]), kind != "equal"])
    return [p for p in ours if p[0]], [p for p in theirs if p[0]]


def _lines(pieces: list) -> list[list]:
    """The pieces line by line."""
    lines: list = [[]]
    for text, changed in pieces:
        for k, part in enumerate(text.split("\n")):
            if k:
                lines.append([])
            if part:
                lines[-1].append([part, changed])
    return lines
