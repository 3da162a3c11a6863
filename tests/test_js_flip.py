"""The board of mistakes as the page draws it, and what its switches do."""

import numpy as np
import pytest
from node import assert_all_close, run_node
from page import STATUS, Frame, assert_drawn, numbers, show
from test_flip import LABELS, case, outcome

from maml_teach.widgets import FlipMistake

MARGIN = (8, 14, 38, 62)
RIGHT, WRONG = ((0.0, 4.0), (2.0, 1.0), (3.0, 0.5)), ((0.0, 4.0), (2.0, 6.0), (3.0, float("inf")))


def board(**settings):
    curves = {
        "right": outcome(RIGHT, "passed: fell"),
        "wrong": outcome(WRONG, "failed: rose", 3e-10),
    }
    return FlipMistake([case(3), case(8, plot="curve", title="no reset", **curves)], **settings)


def sent(**change):
    points = {"right": {"points": [[0, 1], [1, 2]]}, "wrong": {"points": [[0, 3], [1, -4]]}}
    return {**points, "plot": "curve", "log_y": False, **LABELS, **change}


def test_slopes_have_one_axis_with_zero_in_the_middle():
    [axes] = run_node("flip", [("axesOf", [sent(plot="slopes")])])
    for name in "xy":
        assert axes[name]["max"] == pytest.approx(1.08 * 4) == -axes[name]["min"]
        assert axes[name]["ticks"] == [-2.5, 0, 2.5]
        assert axes[name]["label"] == name and axes[name]["log"] is False


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
    assert even["x"]["ticks"] == [0, 1, 2, 3, 4, 5, 6]
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


@pytest.mark.parametrize("planted", [True, False])
def test_both_versions_are_drawn_and_the_one_that_runs_stands_out(planted):
    numbers_on = [3, 8] if planted else [3]
    reads = [
        ("read", "path.mf-curve", "d"),
        ("read", ".mf-panel circle", "cx"),
        ("read", ".mf-panel circle", "cy"),
        ("read", ".mf-live .mf-code-label"),
        ("read", "code"),
        ("read", ".mf-verdict"),
        ("read", ".mf-verdict small"),
        STATUS,
    ]
    curves, cx, cy, label, codes, verdict, small, said = show(
        board(mistake=8, planted=numbers_on), *reads
    )
    frame = Frame(272, MARGIN, (0, 3), (0.5 - 0.44, 6 + 0.44))
    right, wrong = (frame.points(*np.transpose(p)) for p in (RIGHT, WRONG[:2]))
    ghost, live = (right, wrong) if planted else (wrong, right)
    assert_drawn(curves[0], ghost)
    assert_drawn(curves[1], live)
    dots = np.array([cx, cy], float).T
    assert np.abs(dots - np.vstack([ghost, live])).max() <= 0.051
    mark = "✗ the mistake" if planted else "✓ as it should be"
    assert label == [f"{mark}, running"] and codes == ["a = 2", "a = 1"]
    assert small == ["error: 0" if planted else "error: 0.500"]
    start = "✗ Caught: rose" if planted else "✓ Passes: fell"
    assert verdict[0] == start + small[0]
    state = "planted" if planted else "mended"
    result = "failed: rose" if planted else "passed: fell"
    assert said == [f"Mistake 8, no reset: {state}. {small[0]}. the check: {result}."]


def test_slopes_are_dots_beside_the_diagonal():
    truth, curves, cx, cy, words = show(
        board(),
        *[("read", "path.mf-truth", "d"), ("read", "path.mf-curve", "d")],
        *[("read", ".mf-panel circle", name) for name in ("cx", "cy")],
        ("read", ".mf-axes text"),
    )
    frame = Frame(272, MARGIN, (-4.32, 4.32), (-4.32, 4.32))
    assert_drawn(truth[0], frame.points(*np.array([[-4.32, 4.32]] * 2)))
    assert curves == ["", ""]
    ghost, live = np.transpose([(0, 1), (1, 2)]), np.transpose([(0, 3), (1, -4)])
    wanted = np.vstack([frame.points(*ghost), frame.points(*live)])
    assert np.abs(np.array([cx, cy], float).T - wanted).max() <= 0.051
    assert words[-2:] == ["x", "y"] and "\u22122.5" in words


def test_switches_and_buttons():
    traits = ("traits", "mistake", "planted")
    off, on, none, every, shown, reset, rows = show(
        board(planted=[8]),
        *[("check", "input[role=switch]", 1, False), traits],
        *[("check", "input[role=switch]", 0, True), traits],
        *[("press", "All off"), traits, ("press", "All on"), traits],
        *[("press", "8. no reset"), traits, ("press", "Reset"), traits, ("wait", 20)],
        ("read", ".mf-board li"),
    )
    assert off == [8, []] and on == [3, [3]]
    assert none == [3, []] and every == [3, [3, 8]] and shown == [8, [3, 8]]
    assert reset == [3, [8]] and rows == ["3. a titleoff", "8. no reseton"]


def test_axes_number_their_ticks():
    [places] = show(board(mistake=8), ("read", ".mf-axes path", "d"))
    frame = Frame(272, MARGIN, (0, 3), (0.06, 6.44))
    across = [numbers(p.split("v")[0])[0, 0] for p in places if "v" in p]
    down = [numbers(p.split("h")[0])[0, 1] for p in places if "h" in p]
    assert np.allclose(across, frame.px(np.arange(0, 3.1, 0.5)))
    assert np.allclose(down, frame.py(np.array([2, 4, 6])))
