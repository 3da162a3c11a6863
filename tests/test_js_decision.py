"""The decision tree on the page: the same tree as in Python, and the path drawn that is said."""

from itertools import product

import pytest
from node import run_node
from page import STATUS, show

from maml_teach.widgets import IsItMaml
from maml_teach.widgets.decision import OTHERWISE, QUESTIONS, RULES, SOURCES, advice

ANSWERS = [dict(zip(QUESTIONS, one, strict=True)) for one in product(*QUESTIONS.values())]
# One row of answers for each way out of the tree: those that lead past the first forks, then out.
PAST = {"equations": "not known", "features": "none yet", "examples": "tens"}
PAST |= {"compute": "a few steps", "tasks": "unlimited", "likeness": "of the same kind"}
WAYS = [{**PAST, trait: answer} for trait, answer, _ in RULES] + [PAST]
BOTH = [("read", kind, "class") for kind in (".mf-fork", ".mf-end", ".mf-down", ".mf-out")]
LINK = [("read", ".mf-source a"), ("read", ".mf-source a", "href")]
HEIGHT = 38 * (len(RULES) + 1) + 14


def forks_passed(answers):
    left = [k for k, (trait, way, _) in enumerate(RULES) if answers[trait] == way]
    return min(left, default=len(RULES))


def test_the_tree_is_the_same_on_both_sides():
    questions, rules = run_node("decision", [("questions", []), ("rules", [])])
    assert [(trait, tuple(options)) for trait, options in questions] == list(QUESTIONS.items())
    assert [tuple(rule) for rule in rules] == list(RULES)


def test_every_combination_of_answers_leads_to_the_same_result_on_both_sides():
    cases = [(name, [one]) for name in ("advice", "forksPassed") for one in ANSWERS]
    found = run_node("decision", cases)
    assert found[: len(ANSWERS)] == [advice(one) for one in ANSWERS]
    assert found[len(ANSWERS) :] == [forks_passed(one) for one in ANSWERS]


@pytest.mark.parametrize("answers", WAYS, ids=advice)
def test_the_path_is_drawn_up_to_the_result_that_is_said(answers):
    figure = IsItMaml.from_package(**answers)
    said, words, href, *kinds = show(figure, STATUS, *LINK, *BOTH)
    result, left = figure.results[advice(answers)], forks_passed(answers)
    assert (said, words, href) == ([result["sentence"]], [result["link"]], [result["href"]])
    forks, ends, down, out = ([k for k, c in enumerate(one) if "mf-taken" in c] for one in kinds)
    upto = list(range(min(left, len(RULES) - 1) + 1))
    assert (forks, ends, out) == (upto, [left], [left])
    assert down == list(range(left + 1))


def test_the_first_picture_leads_to_a_start_and_a_click_changes_it_and_reset_brings_it_back():
    figure = IsItMaml.from_package()
    k = [text for options in QUESTIONS.values() for text in options].index("known")
    click = ("choose", "input[type=radio]", k, "known")
    reads = [("wait", 600), STATUS, *BOTH]
    found = show(figure, *reads, click, *reads, ("press", "Reset"), *reads)
    first, known, again = (found[k : k + 5] for k in (0, 5, 10))
    assert first[0] == [figure.results[OTHERWISE]["sentence"]]
    assert known[0] == [figure.results["equations"]["sentence"]]
    assert again == first and known[1:] != first[1:]


def test_each_question_has_its_answers_and_one_is_chosen():
    values, checked = show(
        IsItMaml.from_package(),
        ("read", "input[type=radio]", "value"),
        ("read", "input[type=radio]", "checked"),
    )
    assert values == [text for options in QUESTIONS.values() for text in options]
    assert [v for v, on in zip(values, checked, strict=True) if on] == list(PAST.values())
    assert len(set(values)) == len(values)  # so that a name means one answer


def test_boxes_and_edges_stand_in_their_rows():
    frames = [("read", ".mf-fork rect", name) for name in ("x", "y", "width", "height")]
    ends = [("read", ".mf-end rect", name) for name in ("x", "y")]
    edges = [("read", kind, "d") for kind in (".mf-down", ".mf-out")]
    x, y, width, height, end_x, end_y, down, out = show(
        IsItMaml.from_package(), *frames, *ends, *edges
    )
    wide = round(0.44 * 324)
    rows = [6 + 38 * (k + 0.5) for k in range(len(RULES) + 1)]
    assert set(x) == {"8"} and set(width) == {str(wide)} and set(height) == {"24"}
    assert [float(v) for v in y] == [row - 12 for row in rows[:-1]]
    assert set(end_x) == {str(8 + 324 - wide)} and [float(v) for v in end_y] == [
        r - 12 for r in rows
    ]
    middle, right = 8 + wide / 2, 8 + 324 - wide
    assert down[0] == "" and down[1] == f"M{middle:g} {rows[0] + 12:g}V{rows[1] - 12:g}"
    assert down[-1] == f"M{middle:g} {rows[-2] + 12:g}V{rows[-1]:g}"
    assert out[0] == f"M{8 + wide} {rows[0]:g}H{right}"
    assert out[-1] == f"M{middle:g} {rows[-1]:g}H{right}"


def test_the_height_is_the_same_at_each_width():
    found = show(
        IsItMaml.from_package(),
        *[step for w in (300, 430) for step in (("width", w), ("read", ".mf-panel svg", "height"))],
    )
    assert found == [[str(HEIGHT)]] * 2


def test_nothing_goes_on_once_the_figure_is_left():
    before, after = show(IsItMaml.from_package(), ("left",), ("leave",), ("left",))
    assert before[0] > 0 and after == [0, 0, 0, 0]


def test_every_result_has_a_box():
    ends = show(IsItMaml.from_package(), ("read", ".mf-end text"))[0]
    assert len(ends) == len(SOURCES) and all(ends)
