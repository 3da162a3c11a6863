"""The figure of mistakes as the page draws it, and what its list and its switch do."""

import numpy as np
import pytest
from node import assert_all_close, run_node
from page import STATUS, Frame, assert_drawn, numbers, show
from test_flip import LABELS, case, outcome

from maml_teach.widgets import FlipMistake

MARGIN = (8, 16, 38, 62)
RIGHT, WRONG = ((0.0, 4.0), (2.0, 1.0), (3.0, 0.5)), ((0.0, 4.0), (2.0, 6.0), (3.0, float("inf")))


def board(**settings):
    curves = {
        "right": outcome(RIGHT, "passed: fell"),
        "wrong": outcome(WRONG, "failed: rose", 3e-10),
    }
    return FlipMistake([case(3), case(8, title="no reset", **curves)], **settings)


def sent(**change):
    points = {"right": {"points": [[0, 1], [1, 2]]}, "wrong": {"points": [[0, 3], [1, -4]]}}
    return {**points, "log_y": False, **LABELS, **change}


def test_a_curve_has_room_above_and_below():
    flat = {"points": [[0, 5], [6, 5]]}
    plain, even, log = run_node(
        "flip",
        [
            ("axesOf", [sent()]),
            ("axesOf", [sent(right=flat, wrong=flat)]),
            (
                "axesOf",
                [
                    sent(
                        right={"points": [[1, 2.0], [5, 50.0]]},
                        wrong={"points": [[2, None]]},
                        log_y=True,
                    )
                ],
            ),
        ],
    )
    assert (plain["x"]["min"], plain["x"]["max"]) == (0, 1)
    assert [plain["y"]["min"], plain["y"]["max"]] == pytest.approx([-4 - 0.56, 3 + 0.56])
    assert [even["y"]["min"], even["y"]["max"]] == pytest.approx([4.92, 5.08])
    assert even["x"]["ticks"] == [0, 2, 4, 6]
    assert (log["x"]["min"], log["x"]["max"]) == (1, 5) and log["y"]["log"] is True
    assert [log["y"]["min"], log["y"]["max"]] == pytest.approx([1.6, 62.5])
    assert log["y"]["ticks"] == [2, 5, 10, 20, 50]


def test_ticks():
    cases = [
        ("niceTicks", [-0.3, 0.31, 4]),
        ("niceTicks", [0, 1, 5]),
        ("niceTicks", [0, 7, 5]),
        ("niceTicks", [12, 48, 5]),
        ("logTicks", [0.07, 2.1]),
        ("logTicks", [1, 1000]),
        ("logTicks", [1, 300]),
        ("logTicks", [0.01, 10]),
    ]
    wanted = [
        [-0.2, 0, 0.2],
        [0, 0.2, 0.4, 0.6, 0.8, 1],
        [0, 2, 4, 6],
        [20, 30, 40],
        [0.1, 0.2, 0.5, 1, 2],
        [1, 10, 100, 1000],
        [1, 2, 5, 10, 20, 50, 100, 200],
        [0.01, 0.1, 1, 10],
    ]
    assert_all_close("flip", cases, wanted)


def test_what_is_zero_but_for_rounding_is_written_as_zero():
    values = {0.0: "0", -9e-10: "0", 1.1e-9: "1.1e-9", 0.25: "0.250"}
    assert run_node("flip", [("tidy", [value]) for value in values]) == list(values.values())


@pytest.mark.parametrize("version", ["wrong", "right"])
def test_both_results_are_drawn_and_the_one_that_runs_stands_out(version):
    reads = [
        *[("read", ".mf-panel path.mf-curve", "d"), ("read", ".mf-panel .mf-runs", "class")],
        *[("read", ".mf-panel circle", name) for name in ("cx", "cy")],
        STATUS,
    ]
    curves, runs, cx, cy, said = show(board(mistake=8, version=version), *reads)
    frame = Frame(210, MARGIN, (0, 3), (0.5 - 0.44, 6 + 0.44))
    right, wrong = (frame.points(*np.transpose(p)) for p in (RIGHT, WRONG[:2]))
    assert_drawn(curves[0], right)
    assert_drawn(curves[1], wrong)
    assert runs == [f"mf-{version} mf-runs"]
    dots = np.array([cx, cy], float).T
    assert np.abs(dots - np.vstack([right, wrong])).max() <= 0.051
    name, result, value = {
        "wrong": ("with the mistake", "failed: rose", "0"),
        "right": ("as it should be", "passed: fell", "0.500"),
    }[version]
    ends = "At 3 x: y diverged with the mistake, 0.500 as it should be."
    assert said == [f"Mistake 8, no reset, {name}. the check: {result}; error: {value}. {ends}"]


@pytest.mark.parametrize("version", ["wrong", "right"])
def test_the_programs_stand_as_one_diff(version):
    signs, lines, marks, shown, running = show(
        board(mistake=8, version=version),
        ("read", ".mf-shown .mf-sign"),
        ("read", ".mf-shown .mf-line", "class"),
        ("read", ".mf-shown mark"),
        ("read", ".mf-shown b"),
        ("read", ".mf-programs", "data-version"),
    )
    assert signs == ["✓", "✗"] and lines == ["mf-line mf-right", "mf-line mf-wrong"]
    assert marks == ["1", "2"] and shown == ["8. no reset"] and running == [version]


def test_list_switch_and_reset():
    traits = ("traits", "mistake", "version")
    names, first, flipped, other, reset = show(
        board(),
        *[("read", "option"), traits],
        *[("check", "input[type=radio]", 1, True), traits],
        *[("choose", "select", 0, "8"), traits, ("press", "Reset"), traits],
    )
    assert names == ["3. a title", "8. no reset"]
    assert first == [3, "wrong"] and flipped == [3, "right"]
    assert other == [8, "right"] and reset == [3, "wrong"]


def test_axes_number_their_ticks():
    [places] = show(board(mistake=8), ("read", ".mf-axes path", "d"))
    frame = Frame(210, MARGIN, (0, 3), (0.06, 6.44))
    across = [numbers(p.split("v")[0])[0, 0] for p in places if "v" in p]
    down = [numbers(p.split("h")[0])[0, 1] for p in places if "h" in p]
    assert np.allclose(across, frame.px(np.arange(0, 3.1, 1)))
    assert np.allclose(down, frame.py(np.array([2, 4, 6])))
