"""On trial: waves, factors and measured curves of the page, what it shows and says."""

from functools import cache
from itertools import islice

import numpy as np
import pytest
from node import assert_all_close, flat, mulberry32, relative_error, run_node
from page import LEGEND, SLIDERS, STATUS, Frame, assert_drawn, heights, loss_text, show, traits_of

from maml_teach.data import load
from maml_teach.mlp import MLP
from maml_teach.reporting import band
from maml_teach.widgets import OnTrial
from maml_teach.widgets.claims import CLAIMS, STARTS

MODEL, RATE = MLP((1, 40, 40, 1)), 0.01
NET = {"sizes": [1, 40, 40, 1], "activation": "relu"}
TRAITS = {"related tasks": "frequency", "shift": "n_inner_steps", "variance": "alpha"}
CHOSEN = {"related tasks": 1.9, "shift": 12, "variance": 0.012}
SUPPORT = {"related tasks": (-5, 5), "shift": (-5, 0), "variance": (-5, 5)}
ENDS = {"related tasks": (0.5, 3), "shift": (0, 100), "variance": (0.001, 0.05)}
GRID = np.linspace(-5, 5, 201)
WAVE = Frame(211, (8, 10, 34, 34), (-5, 5), (-7, 7))
FACTOR = Frame(211, (8, 10, 34, 34), (3, 3000), (0, 4), log="x")
HEIGHTS = heights(100, 350, 2000)
READS = {
    "said": STATUS,
    "titles": ("read", ".mf-panel b"),
    "notes": ("read", ".mf-panel .mf-mse"),
    "words": ("read", ".mf-axes text"),
    "groups": ("read", ".mf-panel svg g", "class"),
    "truth": ("read", ".mf-truth", "d"),
    "before": ("read", ".mf-before", "d"),
    "curves": ("read", ".mf-panel .mf-curve", "d"),
    "bands": ("read", ".mf-band", "d"),
    "level": ("read", ".mf-level", "d"),
    "now": ("read", ".mf-now", "d"),
    "zone": ("read", ".mf-harm", "d"),
    "factor": ("read", ".mf-factor", "d"),
    "bars": ("read", ".mf-bar", "d"),
    "x": ("read", ".mf-panel circle", "cx"),
    "y": ("read", ".mf-panel circle", "cy"),
}


def figure(claim, **change):
    return OnTrial.from_package(claim, **{TRAITS[claim]: CHOSEN[claim], "seed": 3, **change})


@cache
def page(claim, **change):
    answers = show(figure(claim, **change), *READS.values())
    return dict(zip(READS, answers, strict=True))


@cache
def measured(claim):
    """Places, and mean and ends of each curve, as rounded as they are sent."""
    stored = load("claims")
    return figure(claim).places, [
        np.float32(band(stored[key])).astype(float) for key, *_ in CLAIMS[claim][1]
    ]


def wave(claim, seed=3, frequency=1.9):
    """Amplitude, phase and the ten points to learn from, by the uniforms of a seed."""
    u, (low, high) = np.array(list(islice(mulberry32(seed), 12))), SUPPORT[claim]
    amplitude, phase, x = 2 + 3 * u[0], np.pi * u[1], low + (high - low) * u[2:]
    return amplitude, phase, x, amplitude * np.sin(frequency * x - phase)


def descended(claim, n_steps, frequency=1.9):
    """What the network says on the grid before and after, from each start."""
    _, _, x, y = wave(claim, frequency=frequency)
    said = []
    for name in STARTS[claim]:
        theta = np.float32(load("claims")[f"start {name}"][0]).astype(float)
        path = [theta]
        for _ in range(n_steps):
            path.append(path[-1] - RATE * MODEL.gradient(path[-1], x[:, None], y[:, None]))
        said.append([MODEL.predict(one, GRID[:, None])[:, 0] for one in (path[0], path[-1])])
    return said


def curvatures():
    stored = load("claims")
    both = [np.sort(stored[f"curvature {name}"].ravel()) for name in ("random", "maml")]
    return [np.float32(one).astype(float) for one in both]


def test_a_wave_is_drawn_from_the_seed():
    for claim in ("related tasks", "shift"):
        [found] = run_node("claims", [("newWave", [3, 1.9, list(SUPPORT[claim])])])
        amplitude, phase, x, y = wave(claim)
        assert [found["amplitude"], found["phase"]] == pytest.approx([amplitude, phase], rel=1e-12)
        assert found["frequency"] == 1.9
        assert relative_error(found["support"]["x"], x) < 1e-9
        assert relative_error(found["support"]["y"], y) < 1e-9


def test_a_descent_stops_where_it_is_lost():
    theta = MODEL.init(np.random.default_rng(0))
    points = {"x": [0.5, 1.0], "y": [2.0, -1.0]}
    [path] = run_node("claims", [("descent", [NET, flat(theta), points, 1e200, 9])])
    assert 1 <= len(path) < 9 and np.isfinite(np.array(path, float)).all()
    assert path[0] == flat(theta)


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_python_sent_is_unpacked(claim):
    [found] = run_node("claims", [("unpacked", [traits_of(figure(claim))])])
    places, curves = measured(claim)
    assert found["xs"] == places and found["alpha"] == RATE
    assert found["range"]["trait"] == TRAITS[claim] and found["support"] == list(SUPPORT[claim])
    assert [[s["name"], s["look"], s["thin"]] for s in found["series"]] == figure(claim).series
    for theirs, ours in zip(found["curves"], curves, strict=True):
        assert [theirs[name] for name in ("mean", "low", "high")] == ours.tolist()
    starts = [np.float32(load("claims")[f"start {name}"][0]) for name in STARTS[claim]]
    assert found["starts"] == [one.astype(float).tolist() for one in starts]
    if claim == "variance":
        assert found["curvatures"] == [one.tolist() for one in curvatures()]


def test_shares_quantiles_and_lines_between_points():
    values = np.sort(np.random.default_rng(0).normal(size=41))
    cases = [("quantile", [flat(values), share]) for share in (0, 0.05, 0.5, 0.95, 1)]
    cases += [("between", [[1.0, 2.0, 5.0], [3.0, 9.0, 6.0], x]) for x in (1.0, 1.25, 2.0, 4.0)]
    cases += [("shareAbove", [[1, 2, 3, 4], limit]) for limit in (0, 2, 2.5, 4)]
    cases += [("stretch", [0.1, curvature]) for curvature in (0, 5, 10, 30)]
    wanted = [*values[[0, 2, 20, 38, 40]], 3, 4.5, 9, 7, 1, 0.5, 0.5, 0, 1, 0.5, 0, 2]
    assert_all_close("claims", cases, wanted)


@pytest.mark.parametrize(("alpha", "bend"), [(0.01, 100), (0.9, 3), (1e-5, 3000)])
def test_the_curve_of_factors_has_a_place_for_its_bend(alpha, bend):
    [places] = run_node("claims", [("placesOfFactor", [alpha, {"min": 3, "max": 3000}])])
    wanted = np.sort([*np.geomspace(3, 3000, 161), bend])
    assert relative_error(places, wanted) < 1e-9


def measured_frame(claim):
    """The axes of the measured curves: a tenth more than they need, if not beyond what is kept."""
    _, curves = measured(claim)
    values = np.array(curves)[:, 1:]
    low, high = max(0.001, values[values > 0].min()), min(100, values.max())
    log = "xy" if claim == "variance" else "y"
    return Frame(211, (8, 13, 34, 40), ENDS[claim], (low / 1.1, high * 1.1), log=log)


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_axes_of_measured_curves_hold_them(claim):
    [found] = run_node("claims", [("measuredOptions", [traits_of(figure(claim))])])
    frame = measured_frame(claim)
    assert [found["y"]["min"], found["y"]["max"]] == pytest.approx(frame.y)
    assert (found["x"]["min"], found["x"]["max"]) == frame.x
    low, high = frame.y
    fine = [0.2, 0.5, 0.7, 1.5, 2, 3, 5] if high / 1.21 < 50 * low else []
    ticks = [v for v in [0.001, 0.01, 0.1, 1, 10, 100, *fine] if low <= v <= high]
    assert sorted(found["y"]["ticks"]) == sorted(ticks) and len(ticks) > 1


@pytest.mark.parametrize("claim", CLAIMS)
def test_measured_curves_and_their_bands_are_drawn(claim):
    found, frame, (xs, curves) = page(claim), measured_frame(claim), measured(claim)
    low, high = frame.y
    x = CHOSEN[claim]
    lines, dots = found["curves"][-len(curves) :], -len(curves)
    for line, shade, (mean, *ends) in zip(lines, found["bands"], curves, strict=True):
        assert_drawn(line, frame.points(xs, np.maximum(mean, low)))
        below, above = (np.maximum(end, low) for end in ends)
        edge = [frame.points(xs, below), frame.points(xs, above)[::-1]]
        assert_drawn(shade, np.vstack(edge))
    on_curves = [np.interp(x, xs, mean) for mean, *_ in curves]
    places = np.array([found["x"][dots:], found["y"][dots:]], float).T
    assert np.abs(places - frame.points(x, on_curves)).max() < 1e-6
    assert_drawn(found["now"][0], frame.points([x, x], [low, high]))
    if claim == "variance":
        assert_drawn(found["level"][1], frame.points([xs[0], xs[-1]], [1, 1]))
    else:
        assert found["level"] == [None]


@pytest.mark.parametrize(
    ("claim", "frequency", "n_steps"), [("related tasks", 1.9, 10), ("shift", 1.0, 12)]
)
def test_one_wave_and_what_is_made_of_it_is_drawn(claim, frequency, n_steps):
    found, (amplitude, phase, x, y) = page(claim), wave(claim, frequency=frequency)
    truth = amplitude * np.sin(frequency * GRID - phase)
    assert_drawn(found["truth"][0], WAVE.points(GRID, truth))
    said = descended(claim, n_steps, frequency)
    for k, (before, after) in enumerate(said):
        assert_drawn(found["before"][k], WAVE.points(GRID, before))
        assert_drawn(found["curves"][k], WAVE.points(GRID, after))
    places = np.array([found["x"][:10], found["y"][:10]], float).T
    assert np.abs(places - WAVE.points(x, y)).max() < 1e-6
    looks = [name for name in found["groups"] if (name or "").startswith("mf-role")]
    assert looks[: len(said)] == ["mf-role-maml", "mf-role-variant"][: len(said)]


def test_factors_and_curvatures_are_drawn():
    found, alpha = page("variance"), CHOSEN["variance"]
    zone = np.array([(2 / alpha, 0), (2 / alpha, 4), (3000, 4), (3000, 0)])
    assert_drawn(found["zone"][0], FACTOR.points(*zone.T))
    assert_drawn(found["level"][0], FACTOR.points([3, 3000], [1, 1]))
    x = np.sort([*np.geomspace(3, 3000, 161), 1 / alpha])
    assert_drawn(found["factor"][0], FACTOR.points(x, np.abs(1 - alpha * x)))
    for n, values in enumerate(curvatures()):
        places = np.floor(np.array([0.05, 0.5, 0.95]) * (len(values) - 1) + 0.5).astype(int)
        low, middle, high = values[places]
        at = 3.6 - 0.35 * n
        assert_drawn(found["bars"][n], FACTOR.points([low, high], [at, at]))
        place = [float(found["x"][n]), float(found["y"][n])]
        assert place == pytest.approx(FACTOR.points(middle, at))


def sentence(claim, x):
    xs, curves = measured(claim)
    values = [loss_text(np.interp(x, xs, mean)) for mean, *_ in curves]
    names = [name for _, name, *_ in CLAIMS[claim][1]]
    said = ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
    return f"{figure(claim).measured_title}: {said}."


def test_the_sentences():
    start = {
        "related tasks": "A new wave of frequency 1.90",
        "shift": "After 12 inner steps on points left of zero",
        "variance": "α = 0.012",
    }
    random, maml = (np.mean(one > 2 / CHOSEN["variance"]) for one in curvatures())
    end = {
        "variance": " The steepest direction is stretched (α times curvature above 2) for "
        f"{100 * random:.0f}% of the tasks at the random start, for {100 * maml:.0f}% at the "
        "MAML start."
    }
    for claim, x in CHOSEN.items():
        said = f"{start[claim]}. {sentence(claim, x)}{end.get(claim, '')}"
        assert page(claim)["said"] == [said]
    once = page("shift", n_inner_steps=1)["said"][0]
    assert once == f"After 1 inner step on points left of zero. {sentence('shift', 1)}"


def test_another_wave_another_frequency_and_back():
    claim, reads = "related tasks", [("wait", 600), ("read", ".mf-truth", "d"), STATUS]
    first, said, second, _, faster, fast, again, same = show(
        figure(claim),
        *[*reads, ("press", "Another wave"), *reads],
        *[("slide", "input[type=range]", 0, 2.5), *reads, ("press", "Reset"), *reads],
    )
    amplitude, phase, *_ = wave(claim, seed=4)
    assert_drawn(second[0], WAVE.points(GRID, amplitude * np.sin(1.9 * GRID - phase)))
    assert_drawn(faster[0], WAVE.points(GRID, amplitude * np.sin(2.5 * GRID - phase)))
    assert fast[0].startswith("A new wave of frequency 2.50.")
    assert (again, same) == (first, said)


@pytest.mark.parametrize("claim", CLAIMS)
def test_nothing_goes_on_once_the_figure_is_left(claim):
    before, after = show(figure(claim), ("left",), ("leave",), ("left",))
    assert before[0] > 0 and after == [0, 0, 0, 0]


def test_steps_go_along_the_path_of_a_wave():
    script = [("set", {"n_inner_steps": 3}), ("wait", 20), ("read", ".mf-panel .mf-curve", "d")]
    [curves] = show(figure("shift"), *script)
    for k, (_, after) in enumerate(descended("shift", 3, 1.0)):
        assert_drawn(curves[k], WAVE.points(GRID, after))


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_the_looks_mean_and_the_panels_are_called(claim):
    words, looks, paths, *heights = show(figure(claim), *LEGEND, *HEIGHTS)
    _, names, numbers, thin = zip(*CLAIMS[claim][1], strict=True)
    assert words == list(names) and set(paths) == {"mf-curve"}
    ends = [" mf-thin" if one else "" for one in thin]
    assert looks == [f"mf-role-{k}{end}" for k, end in zip(numbers, ends, strict=True)]
    assert heights == [["190"] * 2, ["217"] * 2, ["260"] * 2]
    found = page(claim)
    heading = {"variance": ("Factor of one step", "bars: 90% of tasks; shaded: stretched")}
    wave = ("One new wave", "dots: support set; dashed: the wave; dotted: before")
    live, note = heading.get(claim, wave)
    assert found["titles"] == [live, figure(claim).measured_title]
    assert found["notes"] == [note, figure(claim).measured_note]
    groups = [name for name in found["groups"] if (name or "").startswith("mf-role")]
    assert groups[-len(looks) :] == looks


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_axes_have_their_ticks_and_names(claim):
    wave = ["−4", "−2", "0", "2", "4", "−5", "0", "5", "x"]
    factor = ["10", "100", "1k", "0", "1", "2", "3", "curvature λ", "|1 − αλ|"]
    across = {
        "related tasks": ["0.5", "1", "1.5", "2", "2.5", "3", "frequency of the new waves"],
        "shift": [*[str(20 * k) for k in range(6)], "inner steps"],
        "variance": ["0.001", "0.003", "0.01", "0.03", "inner rate α"],
    }[claim]
    words, live = page(claim)["words"], factor if claim == "variance" else wave
    assert words[: len(live)] == live
    assert words[len(live) :][: len(across) - 1] == across[:-1] and words[-1] == across[-1]


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_slider_reaches_what_python_allows(claim):
    ends = [("read", "input[type=range]", name) for name in ("min", "max")]
    lows, highs, *said = show(figure(claim), *ends, *SLIDERS)
    assert [row[0] for row in said] == {
        "related tasks": ["frequency", "0.05", "1.90"],
        "shift": ["inner steps", "1", "12"],
        "variance": ["inner rate α", "0.02", "0.0120"],
    }[claim]
    kind = getattr(OnTrial, TRAITS[claim])
    scale = (lambda v: 10 ** float(v)) if claim == "variance" else float
    assert [scale(lows[0]), scale(highs[0])] == pytest.approx([kind.min, kind.max])
    assert [kind.min, kind.max] == list(ENDS[claim])
