"""Family map: what the page draws and says of a grid, against NumPy; what the reader can do."""

import re

import numpy as np
import pytest
from node import run_node
from page import STATUS, Frame, assert_drawn, loss_text, numbers, show, traits_of
from test_family_map import ALPHAS, BETAS, INF, NAMES, figure, grid, verdicts_of

REFERENCE, LOWEST = 4, 0.25
MAP = Frame(278, (6, 8, 38, 60), (-0.5, 2.5), (-0.5, 3.5))
CURVES = Frame(278, (8, 98, 38, 42), (0, 100), (0.8 * LOWEST, 3 * REFERENCE), log="y")
PICKED = {"algorithm": "MAML", "alpha": 0.001, "beta": 0.003}
AT_ALPHA, AT_BETA = 0, 2


def in_cell(value):
    return f"{value:.0f}" if value >= 10 else f"{value:#.2g}"


def test_the_source_is_the_grid_with_its_axes():
    [source] = run_node("family_map", [("readSource", [traits_of(figure())])])
    assert source["low"] == pytest.approx(0.8 * LOWEST) and source["high"] == 3 * REFERENCE
    assert (source["names"], source["alphas"], source["betas"]) == (NAMES, ALPHAS, BETAS)
    assert (source["reference"], source["nMetaSteps"]) == (REFERENCE, 100)
    last = [[[run["last"] for run in column] for column in runs] for runs in source["maps"]]
    wanted = grid()[..., -1].astype(float)
    found = np.array(last, float)  # neither NaN nor infinity survives JSON
    finite = np.isfinite(wanted)
    assert np.array_equal(found[finite], wanted[finite]) and np.isnan(found[~finite]).all()


def test_each_cell_says_how_its_training_ended():
    words, looks, titles, x, y, crosses = show(
        figure(**PICKED),
        *[("read", ".mf-map g.mf-cell text"), ("read", ".mf-map g.mf-cell", "class")],
        ("read", ".mf-map g.mf-cell title"),
        *[("read", ".mf-map g.mf-cell text", at) for at in ("x", "y")],
        ("read", ".mf-map g.mf-cell path.mf-cross", "d"),
    )
    last, verdicts = grid()[1, ..., -1].astype(float).ravel(), verdicts_of(grid()[1], 4).ravel()
    places = MAP.points(*np.indices((3, 4)).reshape(2, -1))
    assert np.allclose(np.array([x, y], float).T, places + np.array([0, 4]))
    rates = [f"\u03b1 = {a}, β = {b}" for a in ("0.001", "0.01", "0.1") for b in BETAS]
    for n, verdict in enumerate(verdicts):
        lost = verdict == "diverges"
        shade = np.clip(np.floor(np.log2(2 / last[n])), 0, 4) if verdict == "learns" else None
        assert looks[n] == "mf-cell mf-" + (verdict if shade is None else f"shade-{shade:.0f}")
        assert words[n] == ("" if lost else re.sub(r"^0\.", ".", in_cell(last[n])))
        end = "" if lost else f"MSE {loss_text(last[n])}, "
        assert titles[n] == f"{rates[n]}: {end}{verdict}"
        assert (crosses[n] != "") == lost


def test_cells_fill_the_map_side_by_side():
    rects = [
        ("read", f".mf-map g.mf-cell rect.mf-{kind}", name)
        for kind in ("fill", "hatch")
        for name in ("x", "y", "width", "height")
    ]
    sides = np.array(show(figure(**PICKED), *rects), float).reshape(2, 4, 12)
    i, j = np.indices((3, 4)).reshape(2, -1)
    width, height = MAP.px(1) - MAP.px(0), MAP.py(0) - MAP.py(1)
    corner = [MAP.px(i - 0.5) + 1, MAP.py(j + 0.5) + 1]
    wanted = np.vstack([*corner, np.full(12, width - 2), np.full(12, height - 2)])
    assert np.abs(sides - wanted).max() <= 0.051


def test_the_chosen_and_the_best_cell_are_marked():
    read = [("read", ".mf-map rect.mf-frame", name) for name in ("x", "y", "width", "height")]
    *frame, star, look, title = show(
        figure(**PICKED),
        *read,
        *[("read", ".mf-map path.mf-best", name) for name in ("d", "class")],
        ("read", ".mf-map b"),
    )
    width, height = MAP.px(1) - MAP.px(0), MAP.py(0) - MAP.py(1)
    wanted = [MAP.px(AT_ALPHA) - width / 2, MAP.py(AT_BETA) - height / 2, width, height]
    assert np.allclose(np.array(frame, float).ravel(), wanted, atol=0.051)
    corner = MAP.points(0, 3) + np.array([width / 2 - 5.5, 5.5 - height / 2])
    around = numbers(star[0]) - corner
    radii = np.tile([4.4, 0.42 * 4.4], 5)
    turns = np.arange(10) * np.pi / 5
    points = np.transpose([radii * np.sin(turns), -radii * np.cos(turns)])
    assert np.abs(around - points).max() < 0.051
    assert look == ["mf-best mf-shade-3"] and title == ["MAML: MSE after adapting"]


@pytest.mark.parametrize(("alpha", "beta"), [(0.001, 0.003), (0.1, 0.01), (0.1, 0.0003)])
def test_all_trainings_at_the_chosen_rates(alpha, beta):
    i, j = ALPHAS.index(alpha), BETAS.index(beta)
    runs, lost, labels, leaders, level, title = show(
        figure(algorithm="MAML", alpha=alpha, beta=beta),
        *[("read", "path.mf-run", "d"), ("read", "path.mf-lost", "d")],
        *[
            ("read", "text.mf-member"),
            ("read", "path.mf-leader", "d"),
            ("read", "path.mf-level", "d"),
        ],
        ("read", ".mf-panel b"),
    )
    stages = np.linspace(0, 100, 5)
    for a, name in enumerate(NAMES):
        curve = grid()[a, i, j].astype(float)
        finite = np.isfinite(curve)
        wanted = CURVES.points(stages[finite], curve[finite]) if finite.any() else np.empty((0, 2))
        assert_drawn(runs[a], wanted)
        gone = not finite[-1]
        assert (lost[a] != "") == gone == (leaders[a] == "")
        assert labels[a] == (f"\u00d7 {name}" if gone else name)
    assert_drawn(level[0], CURVES.points(np.array([0, 100]), 2))
    assert title[1] == f"All at \u03b1 = {alpha}, β = {beta}"


@pytest.mark.parametrize("chosen", NAMES)
def test_the_chosen_training_stands_out_and_lies_on_top(chosen):
    names, *looks = show(
        figure(**{**PICKED, "algorithm": chosen}),
        ("read", "text.mf-member"),
        *[("read", f"g.mf-role-{name.lower()}", "class") for name in NAMES],
    )
    assert names[-1] == chosen
    for name, classes in zip(NAMES, looks, strict=True):
        assert ["mf-chosen" in look for look in classes] == [name == chosen] * 2


def test_a_lost_curve_has_its_cross_where_it_was_lost():
    [crosses] = show(figure(algorithm="MAML", alpha=0.1, beta=0.01), ("read", "path.mf-lost", "d"))
    mse = grid()[1, 2, 3, 1].astype(float)  # the stage before it stopped
    at = CURVES.points(25, min(mse, 12)) - 4
    assert np.abs(numbers(crosses[1])[0] - at).max() < 1e-6


@pytest.mark.parametrize(
    ("curve", "trace"),
    [
        ([4, 30, 2], {"pieces": [[[0, 4], [1, 30], [2, 2]]], "lost": None}),
        (["Infinity", 4, 2], {"pieces": [[[1, 4], [2, 2]]], "lost": None}),
        ([4, "Infinity", 2], {"pieces": [[[0, 4]], [[2, 2]]], "lost": None}),
        ([4, 30, "NaN", "NaN"], {"pieces": [[[0, 4], [1, 30]]], "lost": [1, 12]}),
        ([4, 5, "Infinity"], {"pieces": [[[0, 4], [1, 5]]], "lost": [1, 5]}),
        (["Infinity", "NaN"], {"pieces": [], "lost": [0, 12]}),
    ],
)
def test_finite_stretches_of_a_curve(curve, trace):
    assert run_node("family_map", [("trace", [curve, 12])]) == [trace]


def test_a_training_in_words():
    cases = [
        ("story", [[4, 2, 1], "learns", 1000]),
        ("story", [[4, 2, "NaN", "NaN", "NaN"], "diverges", 8000]),
        ("story", [["Infinity", 3, 2], "stalls", 1000]),
    ]
    assert run_node("family_map", cases) == [
        "MSE 4.00 → 1.00 in 1,000 outer steps: it learns",
        "MSE 4.00 → not finite within 4,000 outer steps: it diverges",
        "MSE infinite → 2.00 in 1,000 outer steps: it stalls",
    ]


def test_numbers_in_cells_and_ticks():
    values = (3.64, 0.0551, 10.2, 9.96)
    *cells, ticks = run_node(
        "family_map", [*[("inCell", [v]) for v in values], ("logTicks", [0.09, 31])]
    )
    assert cells == ["3.6", "0.055", "10", "10"]
    assert np.allclose(ticks, [0.1, 0.3, 1, 3, 10, 30], rtol=1e-12)


def test_the_sentence():
    verdicts = verdicts_of(grid()[1], 4)
    counts = {key: int((verdicts == key).sum()) for key in ("learns", "stalls", "diverges")}
    curve = grid()[1, AT_ALPHA, AT_BETA].astype(float)
    tail = "{learns} cells of 12 learn, {stalls} stall, {diverges} diverge.".format(**counts)
    first, best, none = show(
        figure(**PICKED),
        *[STATUS, ("set", {"beta": 0.01}), ("wait", 600), STATUS],
    ) + show(figure(mse=_hopeless(), **PICKED), STATUS)
    assert first == [
        f"MAML, \u03b1 = 0.001, β = 0.003: MSE 4.00 → {loss_text(curve[-1])} "
        f"in 100 outer steps: it {verdicts[AT_ALPHA, AT_BETA]}. "
        f"Best of the map: 0.250 at \u03b1 = 0.001, β = 0.01; {tail}"
    ]
    assert best[0].endswith(f"it learns. This is the best of the map; {tail}")
    assert "No cell of the map ends finite; 0 cells of 12 learn, 0 stall, 12 diverge." in none[0]


def _hopeless():
    mse = grid()
    mse[1, ..., -1] = INF
    return mse


def test_a_click_a_button_and_a_slider_go_to_a_cell():
    traits = ("traits", "algorithm", "alpha", "beta")
    where = ("event", ".mf-map g.mf-cell", 4 * 1 + 2, "click")
    cell, label, best, slid, step, bar, reset = show(
        figure(**PICKED),
        *[where, traits, ("event", "text.mf-member", 0, "click"), traits],
        *[("event", ".mf-bests button", 1, "click"), traits],
        *[("slide", "input[type=range]", 1, np.log10(0.0012)), traits],
        *[("read", "input[type=range]", name) for name in ("step", "value")],
        *[("press", "Reset"), traits],
    )
    assert cell == ["MAML", 0.01, 0.003] and label == ["joint", 0.01, 0.003]
    assert best == ["MAML", 0.001, 0.01] and slid == ["MAML", 0.001, 0.001]
    assert float(step[0]) == pytest.approx(1, abs=3e-6) and float(step[0]) < 1
    assert float(bar[1]) == pytest.approx(-3)
    assert reset == ["MAML", 0.001, 0.003]


def test_legend_criterion_and_best_of_each():
    legend, criterion, bests, titles, note = show(
        figure(**PICKED),
        *[("read", ".mf-legend span"), ("read", ".mf-criterion"), ("read", ".mf-bests button")],
        *[("read", ".mf-bests button", "title"), ("read", ".mf-panel .mf-mse")],
    )
    assert legend[0] == "learns: at most 2.00, half per shade"
    assert legend[2] == "diverges: not finite, or above 40.0"
    assert criterion[0].startswith("2.00 is half of 4.00, the median")
    low = grid()[0, ..., -1].astype(float)
    i, j = np.unravel_index(low.argmin(), low.shape)
    assert bests == [f"joint {in_cell(low.min())}", "MAML 0.25"]
    assert titles[0] == f"\u03b1 = {ALPHAS[i]}, β = {BETAS[j]}"
    assert note == ["after 100 outer steps", "dashed: 2.00"]
