"""Gradient gap: what the page draws and says of a grid, against NumPy; what the reader can do."""

import numpy as np
import pytest
from node import assert_all_close, run_node
from page import STATUS, Frame, assert_drawn, loss_text, show

from maml_teach.widgets import GradientGap
from maml_teach.widgets.gradient_gap import ALPHAS, NAMES, sinusoid_batches

SHAPE = (3, len(ALPHAS), 10, 4, 5)  # start, alpha, K - 1, batch, quantity
DIAL = Frame(347, (4, 6, 4, 6), (-2.42, 2.42), (-2.5, 2.5))
ANGLE = Frame(211, (8, 88, 20, 38), (0.001, 0.1), (0, 180), log="x")
LENGTH = Frame(211, (8, 88, 36, 38), (0.001, 0.1), (0.01, 10), log="xy")
START, ALPHA, K = 1, 4, 3  # indices of what is chosen; K - 1 is 3
PAIR = ("fomaml", "reptile")


def grid():
    """Random angles, lengths and losses; the highest two rates diverge in one batch."""
    rng = np.random.default_rng(0)
    low, high = [5, 0.2, 40, 0.4, 0.1], [80, 1.9, 120, 8.0, 5.0]
    numbers_of = rng.uniform(low, high, size=SHAPE).astype(np.float32)
    numbers_of[:, -2:, :, 1] = np.nan
    return numbers_of


@pytest.fixture(scope="module")
def figure():
    starts = {name: np.zeros(1761) for name in ("random", "pretrained", "maml")}
    made = GradientGap(starts, sinusoid_batches(n_batches=1, n_tasks=1))
    made.grid, made.shape = grid().tobytes(), list(SHAPE)
    made.losses_before = [2.0, 2.5, 3.0]
    made.start, made.alpha, made.n_inner_steps = NAMES[START], ALPHAS[ALPHA], K + 1
    return made


def cells(k=K):
    """FOMAML's angle and length, Reptile's angle and length by K, loss: (alpha, batch, 5)."""
    found = grid()[START, :, k].astype(float)
    found[..., 3] /= k + 1
    return found


def polar(angle, length, side):
    radians = np.radians(angle)
    return np.stack([length * np.cos(radians), side * length * np.sin(radians)], axis=-1)


def test_directions_are_drawn_at_their_angles(figure):
    names = ("mf-ray", "mf-gap", "mf-cut", "mf-head")
    reads = [("read", f".mf-role-{n} path.{name}", "d") for n in PAIR for name in names]
    dots = [("read", f".mf-role-{n} circle.mf-batch-dot", at) for n in PAIR for at in ("cx", "cy")]
    *paths, x1, y1, x3, y3 = show(figure, *reads, *dots)
    cell = cells()[ALPHA]
    for side, column, (ray, wedge, cut, head), x, y in (
        (1, 0, [p[0] for p in paths[:4]], x1, y1),
        (-1, 2, [p[0] for p in paths[4:]], x3, y3),
    ):
        angles, lengths = cell[:, column], cell[:, column + 1]
        mean, long = angles.mean(), lengths.mean()
        tip = DIAL.points(*polar(mean, min(long, 2), side))
        assert_drawn(ray, [tip, DIAL.points(*polar(mean, 2, side))])
        along = (tip - DIAL.points(0, 0)) / np.linalg.norm(tip - DIAL.points(0, 0))
        base, across = tip - 12 * along, 5.4 * np.array([-along[1], along[0]])
        assert_drawn(head, [tip, base + across, base - across])
        rim = polar(np.linspace(angles.min(), angles.max(), 121), 2, side)
        assert_drawn(wedge, np.vstack([DIAL.points(0, 0), DIAL.points(*rim.T)]))
        assert (cut != "") == (long > 2)
        places = DIAL.points(*polar(angles, np.minimum(lengths, 2), side).T)
        assert np.allclose(np.array([x, y], float).T, places)


def test_the_face_of_the_dial(figure):
    unit, rim, middle, climbs, words = show(
        figure,
        *[("read", f"path.mf-{name}", "d") for name in ("unit", "rim", "right-angle", "climbs")],
        ("read", "text.mf-big"),
    )
    turn = np.linspace(-180, 180, 121)
    assert_drawn(unit[0], DIAL.points(*polar(turn, 1, 1).T))
    assert_drawn(rim[0], DIAL.points(*polar(turn, 2, 1).T))
    assert_drawn(middle[0], DIAL.points(0, np.array([-2, 2])))
    assert_drawn(climbs[0], DIAL.points(*polar(np.linspace(90, 270, 121), 2, 1).T))
    angles = cells()[ALPHA][:, [0, 2]].mean(axis=0)
    assert words == [f"FOMAML {angles[0]:.0f}°", f"Reptile {angles[1]:.0f}°"]


def test_curves_and_bands_over_alpha(figure):
    sides = (".mf-side .mf-role-fomaml", ".mf-side .mf-role-reptile")
    reads = [("read", f"{side} path.mf-{name}", "d") for side in sides for name in ("curve", "gap")]
    dots = [("read", f"{side} circle.mf-dot", at) for side in sides for at in ("cx", "cy")]
    *paths, now, level, harm = show(
        figure,
        *reads,
        *dots,
        *[("read", f".mf-side path.mf-{n}", "d") for n in ("now", "level", "harm")],
    )
    whole = slice(0, -2)  # beyond, a batch diverges
    for row, (curve, band, cx, cy) in enumerate(zip(*[iter(_by_series(paths))] * 4, strict=True)):
        for column, frame in enumerate((ANGLE, LENGTH)):
            values = cells()[:, :, 2 * row + column]
            rates = np.array(ALPHAS)
            assert_drawn(curve[column], frame.points(rates[whole], values.mean(axis=1)[whole]))
            up, down = values.max(axis=1)[whole], values.min(axis=1)[whole]
            edge = [frame.points(rates[whole], up), frame.points(rates[whole], down)[::-1]]
            assert_drawn(band[column], np.vstack(edge))
            dot = frame.points(rates[ALPHA], values[ALPHA].mean())
            assert np.allclose([float(cx[column]), float(cy[column])], dot)
    for column, (frame, at) in enumerate(((ANGLE, 90), (LENGTH, 1))):
        assert_drawn(now[column], frame.points(ALPHAS[ALPHA], np.array(frame.y)))
        assert_drawn(level[column], frame.points(np.array(frame.x), at))
    assert harm[0].count("Z") >= 1


def _by_series(answers):
    """Curve, band, x and y of the dot of one algorithm, then of the other."""
    first, second = answers[:2] + answers[4:6], answers[2:4] + answers[6:8]
    return [*first, *second]


def test_names_stand_at_the_ends_of_the_curves_and_by_the_arrows(figure):
    labels, x, y, big, second = show(
        figure,
        *[("read", ".mf-side text.mf-label", name) for name in ("text", "x", "y")],
        ("read", "text.mf-big", "x"),
        ("read", "text.mf-small.mf-label"),
    )
    assert labels == ["FOMAML", "Reptile", "FOMAML", "Reptile ÷ K"]
    assert np.allclose(np.array(x, float), ANGLE.px(ALPHAS[-3]) + 7)
    ends = cells()[-3].mean(axis=0)
    assert np.allclose(np.array(y[:2], float), ANGLE.py(ends[[0, 2]]) + 4)
    angles = cells()[ALPHA][:, [0, 2]].mean(axis=0)
    for at, angle, side, algorithm, length in zip(
        big, angles, (1, -1), ("FOMAML", "Reptile"), second, strict=True
    ):
        name = f"{algorithm} {angle:.0f}°"
        place = DIAL.px(polar(np.clip(angle, 38, 142), 2.14, side)[0])
        lean = (1 - np.cos(np.radians(angle))) / 2
        room = 7 * max(len(name), len(length))  # each letter has seven pixels
        assert float(at) == pytest.approx(np.clip(place - room * lean, 8, 340 - 6 - room))


def test_every_panel_follows_the_width_of_the_page(figure):
    width = ("read", ".mf-panel svg", "width")
    [widths, dots] = show(
        figure, ("width", 500), ("wait", 20), width, ("read", ".mf-side circle.mf-dot", "cx")
    )
    assert widths == ["500"] * 3
    wide = Frame(230, (8, 88, 20, 38), ANGLE.x, ANGLE.y, log="x", width=500)
    assert np.allclose(np.array(dots, float), wide.px(ALPHAS[ALPHA]))


def test_rates_that_do_harm_are_shaded(figure):
    [harm] = show(figure, ("read", ".mf-side path.mf-harm", "d"))
    losses = cells()[:, :, 4].mean(axis=1)
    half = np.sqrt(ALPHAS[1] / ALPHAS[0])
    harmful = ~(losses <= 2.5)
    boxes, start = [], None
    for k, bad in enumerate([*harmful, False]):
        if bad and start is None:
            start = k
        if not bad and start is not None:
            low, high = ALPHAS[start] / half, ALPHAS[k - 1] * half
            boxes.append(ANGLE.points(np.array([low, low, high, high]), np.array([0, 180, 180, 0])))
            start = None
    assert 0 < harmful.sum() < len(ALPHAS)
    assert_drawn(harm[0], np.vstack(boxes))


def test_the_sentence(figure):
    cell = cells()[ALPHA]
    low, high, mean = cell.min(axis=0), cell.max(axis=0), cell.mean(axis=0)
    [[said]] = show(figure, STATUS)
    assert said.startswith(
        f"From the {NAMES[START]} start, \u03b1 = {ALPHAS[ALPHA]}, K = 4: "
        f"FOMAML points {mean[0]:.0f}° ({low[0]:.0f}\u2013{high[0]:.0f}° over 4 batches) "
        f"away from the exact meta-gradient and is {mean[1]:.2g} times as long; "
        f"Reptile {mean[2]:.0f}° ({low[2]:.0f}\u2013{high[2]:.0f}°) and, divided by K, "
        f"{mean[3]:#.2g} times as long. "
    )
    harm = "Adapting does harm here: it takes" if mean[4] > 2.5 else "Adapting takes"
    assert said.endswith(f"{harm} the mean query loss from 2.50 to {loss_text(mean[4])}.")


def test_where_a_batch_diverges_there_is_nothing_to_compare(figure):
    script = [("set", {"alpha": ALPHAS[-1]}), ("wait", 600)]
    said, note, hands, dots = show(
        figure,
        *script,
        STATUS,
        ("read", "text.mf-note"),
        *[("read", "g.mf-role-fomaml", "visibility"), ("read", "circle.mf-dot", "visibility")],
    )
    assert said[0].endswith(
        "the inner loop diverges here, in 1 of 4 batches; "
        "there is no meta-gradient to compare with."
    )
    assert note == ["the inner loop diverges at \u03b1 = 0.1"]
    assert hands[:2] == ["hidden"] * 2 and dots == ["hidden"] * 4


def test_start_and_steps_choose_their_part_of_the_grid(figure):
    reads = ("read", ".mf-side .mf-role-fomaml path.mf-curve", "d"), ("read", "text.mf-small")
    one, words = show(
        figure, ("set", {"start": NAMES[2], "n_inner_steps": 10}), ("wait", 20), *reads
    )
    values = grid()[2, :-2, 9, :, 0].astype(float).mean(axis=1)
    assert_drawn(one[0], ANGLE.points(np.array(ALPHAS)[:-2], values))
    by_k = grid()[2, ALPHA, 9, :, 3].astype(float).mean() / 10
    assert f"length ÷ K: {by_k:#.2g}" in words


def test_the_slider_stops_only_at_rates_of_the_grid(figure):
    found, step, reset = show(
        figure,
        *[
            ("slide", "input[type=range]", 0, np.log10(0.0118)),
            ("traits", "alpha", "n_inner_steps"),
        ],
        ("read", "input[type=range]", "step"),
        *[("press", "Reset"), ("traits", "alpha")],
    )
    assert found == [0.01, 4] and reset == [ALPHAS[ALPHA]]
    assert float(step[0]) == pytest.approx(2 / 12, abs=1e-6) and float(step[0]) <= 2 / 12


def test_runs_of_flags():
    flags = [[True], [False, True, True, False, True], [False], [True, True]]
    answers = run_node("gradient_gap", [("runs", [one]) for one in flags])
    assert answers == [[[0, 0]], [[1, 2], [4, 4]], [], [[0, 1]]]


def test_spread_ratios_and_points():
    cases = [
        ("polar", [60, 2, 1]),
        ("polar", [60, 2, -1]),
        ("polar", [135, np.sqrt(2), -1]),
    ]
    root = np.sqrt(3)
    assert_all_close("gradient_gap", cases, [[1, root], [1, -root], [-1, -1]])
    values = (0.0004, 0.0731, 1.234, 13.6)
    found, *texts = run_node(
        "gradient_gap", [("spreadOf", [[3.0, 1.0, 8.0]]), *[("times", [v]) for v in values]]
    )
    assert found == {"mean": 4, "low": 1, "high": 8, "all": [3, 1, 8]}
    assert texts == ["under 0.001", "0.073", "1.2", "14"]


def test_a_right_angle_itself_is_no_warning():
    cases = [
        {"FOMAML": {"mean": 90, "all": [90, 90]}, "Reptile": {"mean": 89, "all": [88, 90]}},
        {"FOMAML": {"mean": 91, "all": [91]}, "Reptile": {"mean": 80, "all": [60, 91, 92]}},
    ]
    none, both = run_node("gradient_gap", [("verdict", [one]) for one in cases])
    assert none.startswith("Both stay under 90°")
    assert both == (
        "FOMAML is over 90°: to first order, a step with it raises F; "
        "Reptile is over 90° in 2 of 3 batches: there a step with it raises F"
    )
