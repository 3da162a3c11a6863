"""The figure of mistakes: what it takes, what it sends, what it says."""

from difflib import unified_diff

import numpy as np
import pytest
from node import run_node

from maml_teach.widgets import Case, FlipMistake, Outcome
from maml_teach.widgets.flip import diff

LABELS = {"x_label": "x", "y_label": "y", "value_label": "error", "caught_by": "the check"}
RIGHT = "def f(x):\n    y = x + 1\n    return y"


def outcome(points=((0.0, 1.0), (1.0, 2.0)), verdict="fine", value=0.5):
    return Outcome([*points], verdict, value)


def case(number=1, **change):
    right, wrong = outcome(verdict="good"), outcome(((0.0, 3.0), (1.0, -4.0)), "bad", 0.25)
    codes = {"title": "a title", "right_code": "a = 1", "wrong_code": "a = 2"}
    return Case(number, **{**codes, "right": right, "wrong": wrong, **LABELS, **change})


def test_cases_are_sent_and_the_first_is_shown_with_its_mistake():
    figure = FlipMistake([case(3), case(7)])
    assert (figure.mistake, figure.version) == (3, "wrong")
    assert [sent["number"] for sent in figure.cases] == [3, 7]
    assert figure.cases[0]["wrong"]["points"] == [[0.0, 3.0], [1.0, -4.0]]
    assert figure.cases[0]["diff"] == [*diff("a = 1", "a = 2")]


def test_a_curve_may_diverge():
    wrong = outcome(((0.0, 1.0), (1.0, float("inf"))))
    figure = FlipMistake([case(wrong=wrong)])
    assert figure.cases[0]["wrong"]["points"][1] == [1.0, None]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: outcome(()), "one or more pairs"),
        (lambda: outcome(((0.0, float("nan")),)), "points must be finite"),
        (lambda: outcome(value=float("inf")), "value must be finite"),
        (lambda: case(0), "number must be"),
        (lambda: case(right_code=""), "right_code must be 1 to 14 lines"),
        (lambda: case(wrong_code="a\n" * 15), "wrong_code must be"),
        (lambda: case(wrong_code="a = 1"), "wrong_code must differ from right_code"),
        (lambda: case(log_y=True), "positive on a logarithmic axis"),
        (lambda: FlipMistake([]), "numbers of their own"),
        (lambda: FlipMistake([case(1), case(1)]), "numbers of their own"),
        (lambda: FlipMistake([case(1)], mistake=2), "no case number 2"),
        (lambda: FlipMistake([case(1)], version="both"), "version"),
        (lambda: FlipMistake([case(1)], colour="red"), "no setting colour"),
    ],
)
def test_wrong_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


WRONGS = {
    "a word": RIGHT.replace("+ 1", "- 1"),
    "a line more": RIGHT.replace("    return", "    y = y * 2\n    return"),
    "a line less": RIGHT.replace("    y = x + 1\n", ""),
    "one line for two": "def f(x):\n    return x + 2",
    "an empty line in a change": "def f(x):\n\n    y = x + 2\n    return y",
    "everything": "pass",
}


@pytest.mark.parametrize("wrong", WRONGS.values(), ids=WRONGS)
def test_a_diff_is_both_programs(wrong):
    lines = [*diff(RIGHT, wrong)]
    for version, text in (("right", RIGHT), ("wrong", wrong)):
        own = [pieces for whose, pieces in lines if whose in ("both", version)]
        assert ["".join(text for text, _ in pieces) for pieces in own] == text.splitlines()
    whose = [who for who, _ in lines]
    signs = {" ": "both", "-": "right", "+": "wrong"}
    known = [*unified_diff(RIGHT.splitlines(), wrong.splitlines(), lineterm="", n=99)][3:]
    assert sorted(whose) == sorted(signs[line[0]] for line in known)


def test_in_a_changed_line_the_changed_words_are_marked():
    [first, ours, theirs, last] = diff(RIGHT, WRONGS["a word"])
    assert first == ["both", [["def f(x):", False]]]
    assert [piece for piece in ours[1] if piece[1]] == [["+", True]]
    assert [piece for piece in theirs[1] if piece[1]] == [["-", True]]
    assert last == ["both", [["    return y", False]]]


def test_axes_hold_both_versions():
    [sent] = FlipMistake([case()]).cases
    [axes] = run_node("flip", [("axesOf", [sent])])
    assert axes["y"]["min"] < -4 and axes["y"]["max"] > 3
    assert axes["x"]["min"] == 0 and axes["x"]["max"] == 1


def test_the_sentence_says_which_program_runs_what_the_check_says_and_both_results():
    wrong = outcome(((0.0, 3.0), (1.0, float("inf"))), "bad", 0.25)
    [sent] = FlipMistake([case(wrong=wrong)]).cases
    on, off = run_node("flip", [("sentence", [sent, version]) for version in ("wrong", "right")])
    ends = "At 1 x: y diverged with the mistake, 2.00 as it should be."
    assert on == f"Mistake 1, a title, with the mistake. the check: bad; error: 0.250. {ends}"
    assert (
        off
        == f"Mistake 1, a title, as it should be. the check: fine; error: 0.500. {ends}".replace(
            "fine", "good"
        )
    )


def test_ticks_are_round():
    even, log = run_node("flip", [("niceTicks", [0, 5, 6]), ("logTicks", [0.07, 2.1])])
    assert np.allclose(even, np.arange(6))
    assert np.allclose(log, [0.1, 0.2, 0.5, 1, 2])
