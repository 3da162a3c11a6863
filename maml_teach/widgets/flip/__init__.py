"""Flip a mistake: what a wrong line does to a gradient or a result, and what the check says."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import traitlets

from ..base import Figure, settable
from ..front_end import bundle, style

PLOTS = ("slopes", "curve")
MAX_LINES = 6


@dataclass(frozen=True)
class Outcome:
    """What was measured with one version of the code.

    Args:
        points: Pairs ``(x, y)`` to draw. In a curve ``y`` may be ``inf``: diverged.
        verdict: What the check said.
        value: The number that sums it up.

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
        right_code: The right line, or up to six.
        wrong_code: The same with the mistake.
        right: What the right version gave.
        wrong: What the wrong version gave.
        plot: ``"slopes"``: slope claimed against slope measured, truth is the diagonal; or
            ``"curve"``.
        x_label: Label of the abscissa.
        y_label: Label of the ordinate.
        value_label: What ``value`` of an outcome is.
        caught_by: Name of the check.
        log_y: Whether a curve's ordinate is logarithmic.

    Raises:
        ValueError: If an argument is none of these.
    """

    number: int
    title: str
    right_code: str
    wrong_code: str
    right: Outcome
    wrong: Outcome
    plot: str
    x_label: str
    y_label: str
    value_label: str
    caught_by: str
    log_y: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.number, bool) or not isinstance(self.number, int) or self.number < 1:
            raise ValueError(f"number must be an integer of at least 1, got {self.number!r}")
        if self.plot not in PLOTS:
            raise ValueError(f"plot must be {' or '.join(map(repr, PLOTS))}, got {self.plot!r}")
        for name in ("right_code", "wrong_code"):
            if not 1 <= len(getattr(self, name).splitlines()) <= MAX_LINES:
                raise ValueError(f"{name} must be 1 to {MAX_LINES} lines")
        heights = [y for _, y in (*self.right.points, *self.wrong.points)]
        if self.plot == "slopes" and not all(map(math.isfinite, heights)):
            raise ValueError("points must be finite in a plot of slopes")
        if self.log_y and min(heights) <= 0:
            raise ValueError("points must be positive on a logarithmic axis")


class FlipMistake(Figure):
    """A board of mistakes, each with a switch; what was measured with and without it.

    Args:
        cases: The mistakes, a list of :class:`Case` with numbers of their own.
        **settings: First values of the traits ``mistake`` (the number shown, the first by
            default) and ``planted`` (the numbers switched on, all by default).

    Raises:
        ValueError: If there is no case, two have one number, or a setting is unknown.
    """

    _esm, _css = bundle("flip"), style("flip")

    mistake = traitlets.Int().tag(**settable())
    planted = traitlets.List(traitlets.Int()).tag(**settable())
    cases = traitlets.List(traitlets.Dict()).tag(sync=True)

    def __init__(self, cases: Sequence[Case], **settings: Any):
        numbers = [case.number for case in cases]
        if not numbers or len(set(numbers)) < len(numbers):
            raise ValueError(f"cases must have numbers of their own, got {numbers}")
        settings = {"mistake": numbers[0], "planted": numbers, **settings}
        if unknown := {settings["mistake"], *settings["planted"]} - set(numbers):
            raise ValueError(f"there is no case number {', '.join(map(str, sorted(unknown)))}")
        super().__init__(**settings)
        self.cases = [_plain(case) for case in cases]


def _plain(case: Case) -> dict[str, Any]:
    """A case as JSON takes it: ``None`` where a curve has diverged."""
    sent = asdict(case)
    for version in ("right", "wrong"):
        points = sent[version]["points"]
        sent[version]["points"] = [[x, y if math.isfinite(y) else None] for x, y in points]
    return sent
