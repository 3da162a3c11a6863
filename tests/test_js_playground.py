"""Playground: what the page computes, draws and says, against NumPy; what the reader can do."""

from itertools import islice

import numpy as np
import pytest
from node import assert_all_close, mulberry32, relative_error, run_node
from page import STATUS, Frame, assert_drawn, loss_text, numbers, show, traits_of

from maml_teach.data import load
from maml_teach.mlp import MLP
from maml_teach.widgets import Playground

MODEL = MLP((1, 40, 40, 1))
NAMES = ("random", "pretrained", "maml")
SHOWN = ("random", "pretrained", "MAML")
STARTS = [np.float32(load("sinusoid_starts")[name]).astype(float) for name in NAMES]
CURVE_X, JUDGED_X = np.linspace(-5, 5, 101), np.linspace(-5, 5, 51)
FIT = Frame(170, (6, 8, 20, 26), (-5, 5), (-6, 6))
SETTINGS = {"amplitude": 2.5, "phase": 0.7, "alpha": 0.02, "n_shots": 6, "seed": 5}
REGIONS = {"everywhere": (-5, 5), "left half": (-5, 0), "right half": (0, 5)}


def wave(x, amplitude=2.5, phase=0.7):
    return amplitude * np.sin(x - phase)


def support_x(seed=5, n=6, region="everywhere"):
    low, high = REGIONS[region]
    return low + (high - low) * np.array(list(islice(mulberry32(seed), n)))


def descents(x, n_steps, alpha=0.02):
    """Theta of each start after 0 ... n_steps steps, and its loss over the whole curve."""
    found = []
    for theta in STARTS:
        path = [theta]
        for _ in range(n_steps):
            gradient = MODEL.gradient(path[-1], x[:, None], wave(x)[:, None])
            path.append(path[-1] - alpha * gradient)
        judge = [MODEL.loss(one, JUDGED_X[:, None], wave(JUDGED_X)[:, None]) for one in path]
        found.append((path, judge))
    return found


def predicted(*thetas):
    return [MODEL.predict(theta, CURVE_X[:, None])[:, 0] for theta in thetas]


def shots_at(x):
    return np.transpose([x, wave(x)]).tolist()


def playground(**change):
    return Playground.from_package(**{**SETTINGS, **change})


def close(points):
    return [pytest.approx(point, abs=1e-9) for point in points]


@pytest.mark.parametrize("region", REGIONS)
def test_points_lie_where_the_reader_wants_them(region):
    settings = {"seed": 3, "region": region, "nShots": 20, "points": []}
    [points] = run_node("playground", [("pointsOnSine", [settings])])
    x = support_x(3, 20, region)
    assert np.allclose(points, np.transpose([x, np.sin(x)]), rtol=0, atol=1e-12)


def test_no_point_is_drawn_twice():
    x = support_x(3, 4)
    settings = {"seed": 3, "region": "everywhere", "nShots": 4, "points": [[x[1], None]]}
    [points] = run_node("playground", [("pointsOnSine", [settings])])
    assert np.allclose([p[0] for p in points], x[[1, 0, 2, 3]])


def test_every_start_descends_on_the_points_and_is_judged_on_the_whole_curve():
    x = support_x()
    given = [traits_of(playground()), shots_at(x), 4]
    [runs] = run_node("playground", [("walked", given)])
    for run, (path, losses) in zip(runs, descents(x, 4), strict=True):
        assert relative_error(run["theta"], path[-1]) < 1e-9
        assert relative_error(run["losses"], losses) < 1e-9
        assert run["diverged"] is None


def test_a_run_that_is_lost_remembers_the_first_step_beyond():
    x = support_x()
    given = [traits_of(playground(alpha=0.1)), shots_at(x), 20]
    [runs] = run_node("playground", [("walked", given)])
    wanted = []
    with np.errstate(all="ignore"):
        for _, losses in descents(x, 20, alpha=0.1):
            beyond = ~(np.array(losses) < 1e4)
            wanted.append(int(beyond.argmax()) if beyond.any() else None)
    assert [run["diverged"] for run in runs] == wanted and any(wanted)


def test_the_axis_of_errors_stays_as_it_is():
    """Whatever is set: one setting is compared with the next."""
    ticks = [("read", "svg .mf-axes text"), ("read", "svg .mf-axes text", "y")]
    changes = [{"alpha": 0.1}, {"amplitude": 0.1}, {"amplitude": 5.0, "n_shots": 1}]
    steps = [step for one in changes for step in (("set", one), ("wait", 50), *ticks)]
    words, places, *later = show(playground(), ("wait", 50), *ticks, *steps)
    assert words[-6:] == ["0.001", "0.01", "0.1", "1", "10", "100"]
    assert later == [words, places] * len(changes)


def test_a_new_point_goes_into_the_middle_of_the_widest_gap():
    shots = [[[0, 1]], [[4, 0], [-4, 0], [1, 0]], [[-1.234, 0], [2, 0]], [[-4.9, 0], [4.9, 0]]]
    cases = [("widestGap", [one]) for one in shots]
    assert_all_close("playground", cases, [-2.5, -1.5, -3.12, 0.0])


@pytest.mark.parametrize("k", [0, 3])
def test_each_panel_shows_the_curve_and_the_model_before_and_after(k):
    reads = [("read", f".mf-panel .mf-{name}", "d") for name in ("truth", "before", "after", "gap")]
    figure = playground(n_inner_steps=k)
    reads += [("read", ".mf-panel .mf-mse"), ("read", "g.mf-drag", "transform")]
    truth, before, after, gap, words, points = show(figure, *reads)
    x = support_x()
    shots = FIT.points(x, wave(x))
    assert np.allclose(np.vstack([numbers(t) for t in points[:18]]), np.tile(shots, (3, 1)))
    for n, (path, losses) in enumerate(descents(x, k)):
        drawn = [FIT.points(CURVE_X, y) for y in (wave(CURVE_X), *predicted(path[0], path[k]))]
        for found, wanted in zip((truth, before, after), drawn, strict=True):
            assert_drawn(found[n], wanted)
        assert_drawn(gap[n], np.vstack([drawn[2], drawn[0][::-1]]))
        assert words[n] == f"MSE {loss_text(losses[0])} → {loss_text(losses[k])}"


def test_the_sentence_names_steps_rate_points_errors_and_the_closest():
    x = support_x()
    found = [losses for _, losses in descents(x, 3)]
    each = [
        f"{name} {loss_text(losses[0])} → {loss_text(losses[3])}"
        for name, losses in zip(SHOWN, found, strict=True)
    ]
    closest = SHOWN[np.argmin([losses[3] for losses in found])]
    assert show(playground(n_inner_steps=3), STATUS) == [
        [
            "After 3 inner steps at \u03b1 = 0.020 on 6 points: MSE over the whole curve "
            f"{'; '.join(each)}. Closest: {closest}."
        ]
    ]


def test_errors_of_all_steps_are_drawn_a_little_later():
    reads = (
        ("read", "path.mf-curve", "d"),
        *[("read", ".mf-dot", name) for name in ("cx", "cy", "visibility")],
        *[("read", "text.mf-label", name) for name in ("x", "y", "text")],
        ("read", "path.mf-now", "d"),
    )
    curves, cx, cy, seen, label_x, label_y, names, now = show(
        playground(n_inner_steps=3), ("wait", 30), *reads
    )
    losses = np.array([losses for _, losses in descents(support_x(), 20)])
    frame = Frame(170, (14, 82, 20, 38), (0, 20), (1e-3, 1e2), log="y")
    for path, wanted in zip(curves, losses, strict=True):
        assert_drawn(path, frame.points(np.arange(21), wanted))
    dots = np.array([cx, cy], float).T
    assert np.allclose(dots, frame.points(3, losses[:, 3])) and seen == ["visible"] * 3
    assert np.allclose(np.array(label_x, float), frame.px(20) + 6) and names == list(SHOWN)
    ends = frame.py(losses[:, 20])
    [places] = run_node("shared", [("spread", [ends.tolist(), 15, 14 + 8, 14 + 136])])
    assert np.allclose(np.array(label_y, float), np.array(places) + 4)
    assert_drawn(now[0], frame.points([3, 3], frame.y))


def test_a_run_that_diverges_is_named_everywhere():
    """At this rate the untrained start stays; the others do not."""
    x = support_x()
    figure = playground(alpha=0.1, n_inner_steps=20)
    [runs] = run_node("playground", [("walked", [traits_of(figure), shots_at(x), 20])])
    lost = [run["diverged"] for run in runs]
    reads = (".mf-panel .mf-mse", ".mf-note", "text.mf-label", "[role=status]")
    words, notes, labels, [said] = show(figure, ("wait", 30), *[("read", one) for one in reads])
    for n, (step, name) in enumerate(zip(lost, SHOWN, strict=True)):
        where = f"diverged after {step} step{'' if step == 1 else 's'}"
        assert words[n].endswith("→ diverged") == (step is not None)
        assert notes[n] == ("" if step is None else where)
        assert labels[n] == (name if step is None else f"{name} ✕")
        assert (f"{name} {where}" in said) == (step is not None)
    assert any(lost)
    verdict = "The rate \u03b1 is too large." if all(lost) else "Closest: "
    assert verdict in said


def test_points_can_be_added_moved_and_removed():
    x = support_x()
    shots = [[a, None] for a in x]
    last = 2 * 6 + 1  # points stand three times, and the last panel's are to be handled
    point = ("g.mf-drag", last)
    traits = ("traits", "points", "n_shots")
    gap = np.sort([-5, *x, 5])
    k = np.diff(gap).argmax()
    middle = round((gap[k] + gap[k + 1]) / 2 * 100) / 100
    at = FIT.points(x[1], wave(x[1]))
    grip = {"clientX": at[0] + 3, "clientY": at[1] - 2}
    to = FIT.points(-2.0, 4.0) + np.array([3, -2])
    moved = {"clientX": to[0], "clientY": to[1]}
    added, dragged, nudged, far, gone, removed = show(
        playground(),
        *[("press", "Add point"), traits],
        *[("press", "Reset"), ("wait", 20), ("event", *point, "pointerdown", grip)],
        *[("event", *point, "pointermove", moved), ("event", *point, "pointerup"), traits],
        *[("wait", 20), ("event", *point, "pointermove", grip)],
        *[("event", *point, "keydown", {"key": "ArrowUp"}), traits, ("wait", 20)],
        ("event", *point, "keydown", {"key": "ArrowLeft", "shiftKey": True}),
        traits,
        *[("event", *point, "keydown", {"key": "Delete"}), traits, ("press", "Reset")],
        *[("wait", 20), ("event", *point, "focus"), ("press", "Remove point"), traits],
    )
    assert added == [close([*shots, [middle, None]]), 7]
    assert dragged == [close([shots[0], [-2.0, 4.0], *shots[2:]]), 6]
    assert nudged[0][1] == pytest.approx([-2.0, 4.1])
    assert far[0][1] == pytest.approx([-3.0, 4.1])
    assert gone == [close([shots[0], *shots[2:]]), 5]
    assert removed == [close([shots[0], *shots[2:]]), 5]


def test_a_click_adds_a_point_and_a_double_click_takes_it_away():
    at = dict(zip(("clientX", "clientY"), FIT.points(1.5, -3.0), strict=True))
    added, again, gone, limit, one = show(
        playground(n_shots=1, points=[[0.5, 2.0]]),
        *[("event", ".mf-panel svg.mf-editable", 1, "click", at), ("traits", "points")],
        ("event", ".mf-panel svg.mf-editable", 1, "click", {**at, "detail": 2}),
        ("traits", "points"),
        *[("event", "g.mf-drag", 0, "dblclick"), ("traits", "points")],
        *[("set", {"n_shots": 20}), ("press", "Add point"), ("traits", "n_shots")],
        *[("set", {"n_shots": 1}), ("press", "Remove point"), ("traits", "n_shots")],
    )
    assert added == again == [close([[0.5, 2.0], [1.5, -3.0]])]
    assert gone == [close([[1.5, -3.0]])] and limit == [20] and one == [1]


def test_the_readers_own_points_are_counted_and_learned_from():
    figure = playground(points=[[1.0, 2.0], [2.0, None]], n_inner_steps=0)
    [[said], marks] = show(figure, STATUS, ("read", "g.mf-drag", "aria-valuetext"))
    assert "on 6 points, 1 of them yours: MSE" in said
    own = [f"x {x:.1f}, y {y:.1f}" for x, y in ((1.0, 2.0), (2.0, wave(2.0)))]
    assert marks[12:14] == own  # in the last panel, the only one that keys reach
    assert marks[:12] == [None] * 12


def test_new_points_and_another_region_let_go_of_the_readers_points():
    mine = [[1.0, 2.0]]
    fresh, elsewhere = show(
        playground(points=mine),
        *[("press", "New points"), ("traits", "seed", "points")],
        *[("set", {"points": mine, "region": "left half"}), ("traits", "points")],
    )
    assert fresh == [6, []] and elsewhere == [[]]


def test_a_step_is_chosen_by_click_key_and_drag():
    frame = Frame(170, (14, 82, 20, 38), (0, 20), (1e-3, 1e2), log="y")
    at = {"clientX": float(frame.px(7.4)), "clientY": 60}
    steps = ("traits", "n_inner_steps")
    clicked, key = show(
        playground(n_shots=1),
        *[("wait", 30), ("event", ".mf-panel svg", 3, "click", at), steps],
        *[("event", "g.mf-drag", 3, "keydown", {"key": "ArrowRight"}), steps],
    )
    assert clicked == [7] and key == [8]


def test_steps_are_played_up_to_ten_and_from_the_start_again():
    steps, words = ("traits", "n_inner_steps"), ("read", "button.mf-primary")
    first, second, end, said, paused = show(
        playground(n_inner_steps=8),
        *[("press", "▶ Play steps"), ("wait", 450), steps, words],
        *[("wait", 2000), steps, words],
        *[("press", "▶ Play steps"), ("wait", 1000), ("press", "❚❚ Pause")],
        *[("wait", 1000), steps],
    )
    assert (first, second) == ([9], ["❚❚ Pause"])
    assert (end, said) == ([10], ["▶ Play steps"]) and paused == [2]


def test_reset_stops_and_restores():
    read = [STATUS, ("traits", "n_inner_steps", "alpha", "points")]
    before, kept, after, same = show(
        playground(n_inner_steps=2),
        *[*read, ("set", {"alpha": 0.05, "n_inner_steps": 5, "points": [[0, 0]]})],
        *[("press", "▶ Play"), ("press", "Reset"), ("wait", 1000), *read],
    )
    assert (before, kept) == (after, same) and kept == [2, 0.02, []]
