"""The board of mistakes: what it takes, what it sends, what it says."""

import numpy as np
import pytest
from node import run_node

from maml_teach.widgets import Case, FlipMistake, Outcome

LABELS = {"x_label": "x", "y_label": "y", "value_label": "error", "caught_by": "the check"}


def outcome(points=((0.0, 1.0), (1.0, 2.0)), verdict="fine", value=0.5):
    return Outcome([*points], verdict, value)


def case(number=1, **change):
    right, wrong = outcome(verdict="good"), outcome(((0.0, 3.0), (1.0, -4.0)), "bad", 0.25)
    codes = {"title": "a title", "right_code": "a = 1", "wrong_code": "a = 2"}
    settings = {**codes, "right": right, "wrong": wrong, "plot": "slopes", **LABELS, **change}
    return Case(number, **settings)


def test_cases_are_sent_and_all_are_planted_at_first():
    figure = FlipMistake([case(3), case(7)])
    assert figure.mistake == 3 and figure.planted == [3, 7]
    assert [sent["number"] for sent in figure.cases] == [3, 7]
    assert figure.cases[0]["wrong"]["points"] == [[0.0, 3.0], [1.0, -4.0]]


def test_a_curve_may_diverge():
    wrong = outcome(((0.0, 1.0), (1.0, float("inf"))))
    figure = FlipMistake([case(plot="curve", wrong=wrong)])
    assert figure.cases[0]["wrong"]["points"][1] == [1.0, None]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: outcome(()), "one or more pairs"),
        (lambda: outcome(((0.0, float("nan")),)), "points must be finite"),
        (lambda: outcome(value=float("inf")), "value must be finite"),
        (lambda: case(0), "number must be"),
        (lambda: case(plot="bars"), "plot must be 'slopes' or 'curve'"),
        (lambda: case(right_code=""), "right_code must be 1 to 6 lines"),
        (lambda: case(wrong_code="a\n" * 7), "wrong_code must be"),
        (lambda: case(wrong=outcome(((0.0, float("inf")),))), "finite in a plot of slopes"),
        (lambda: case(plot="curve", log_y=True), "positive on a logarithmic axis"),
        (lambda: FlipMistake([]), "numbers of their own"),
        (lambda: FlipMistake([case(1), case(1)]), "numbers of their own"),
        (lambda: FlipMistake([case(1)], mistake=2), "no case number 2"),
        (lambda: FlipMistake([case(1)], planted=[1, 4]), "no case number 4"),
        (lambda: FlipMistake([case(1)], colour="red"), "no setting colour"),
    ],
)
def test_wrong_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_axes_hold_both_versions():
    sent = FlipMistake([case(), case(2, plot="curve")]).cases
    slopes, curve = run_node("flip", [("axesOf", [one]) for one in sent])
    assert slopes["x"]["max"] == slopes["y"]["max"] == -slopes["y"]["min"] >= 4
    assert curve["y"]["min"] < -4 and curve["y"]["max"] > 3
    assert curve["x"]["min"] == 0 and curve["x"]["max"] == 1


def test_the_sentence_says_which_version_runs():
    [sent] = FlipMistake([case()]).cases
    on, off = run_node("flip", [("sentence", [sent, planted]) for planted in (True, False)])
    assert on == "Mistake 1, a title: planted. error: 0.250. the check: bad."
    assert off == "Mistake 1, a title: mended. error: 0.500. the check: good."


def test_ticks_are_round():
    even, log = run_node("flip", [("niceTicks", [0, 5, 6]), ("logTicks", [0.07, 2.1])])
    assert np.allclose(even, np.arange(6))
    assert np.allclose(log, [0.1, 0.2, 0.5, 1, 2])
