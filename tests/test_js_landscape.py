"""Meta-landscape: what the page computes, draws and says, against NumPy; what the reader can do."""

import numpy as np
import pytest
from node import assert_all_close, relative_error, run_node
from page import STATUS, Frame, assert_drawn, loss_text, numbers, show, traits_of
from scipy.optimize import minimize_scalar

from maml_teach.widgets import MetaLandscape

CURVATURES, CENTRES = np.array([0.9, 2.2, 4.1]), np.array([-1.4, 0.6, 1.7])
SETTINGS = {
    **{f"curvature_{name}": float(c) for name, c in zip("abc", CURVATURES, strict=True)},
    "centres": CENTRES.tolist(),
    "theta": -0.45,
}
BOWL = {"power": 2, "alpha": 0.3, "n_inner_steps": 2}
QUARTIC = {"power": 4, "alpha": 0.05, "n_inner_steps": 3}
LANES = [-0.36, -0.65, -0.94]
PICTURE = Frame(370, (6, 10, 36, 28), (-3, 3), (-1.14, 2.4))
ARRIVALS = {
    2: Frame(204, (8, 10, 36, 34), (0, 2.5), (-1.5, 1.5)),
    4: Frame(204, (8, 10, 36, 34), (0, 7.5), (-3, 3)),
}
MINUS = "\u2212"


def figure(power=2, alpha=0.3, n_inner_steps=2, **change):
    shape = {2: "bowl", 4: "quartic"}[power]
    inner = {"alpha": alpha, "n_inner_steps": n_inner_steps}
    return MetaLandscape(shape=shape, **{**inner, **SETTINGS, **change})


def paths(theta, power, alpha, n_inner_steps):
    """theta_0, ..., theta_K of each task, ``(3, K + 1, ...)``, for one theta or a whole grid."""
    x = [np.broadcast_to(theta, (3, *np.shape(theta)))]
    shape = (3,) + (1,) * np.ndim(theta)
    for _ in range(n_inner_steps):
        slope = CURVATURES.reshape(shape) * (x[-1] - CENTRES.reshape(shape)) ** (power - 1)
        x.append(x[-1] - alpha * slope)
    return np.stack(x, axis=1)


def objective(theta, power, alpha, n_inner_steps):
    last = paths(theta, power, alpha, n_inner_steps)[:, -1]
    shape = (3,) + (1,) * np.ndim(theta)
    return (CURVATURES.reshape(shape) * (last - CENTRES.reshape(shape)) ** power / power).mean(
        axis=0
    )


def pixels(point):
    return {"clientX": point[0], "clientY": point[1]}


def slopes(power, alpha, n_inner_steps, theta=-0.45):
    """Part of each task in the exact gradient, by the complex step: exact to rounding."""
    step = 1e-30
    end = paths(theta + 1j * step, power, alpha, n_inner_steps)[:, -1]
    arrivals = end.imag / step
    return CURVATURES * (end.real - CENTRES) ** (power - 1) * arrivals / 3, arrivals


def minimum(power, alpha, n_inner_steps):
    grid = np.linspace(-3, 3, 6001)
    best = grid[objective(grid, power, alpha, n_inner_steps).argmin()]
    around = (max(-3, best - 0.001), min(3, best + 0.001))
    options = {"xatol": 1e-12}
    found = minimize_scalar(
        objective,
        bounds=around,
        method="bounded",
        args=(power, alpha, n_inner_steps),
        options=options,
    )
    return found.x, found.fun


def kept(points):
    return np.clip(points, -5000, 5000)


def five_figures(value):
    text = f"{value:#.5g}" if 1e-3 <= abs(value) < 1e4 else f"{value:.3e}"
    return text.replace("-", MINUS)


def ratio_text(value):
    usual = 0.01 <= abs(value) < 1000
    text = f"{value:.2f}" if usual else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return text.replace("-", MINUS) + (", uphill" if value < 0 else "")


def large_loss_text(value):
    return loss_text(value) if value < 1e4 else f"{value:.1e}".replace("e+0", "e")


@pytest.mark.parametrize("inner", [BOWL, QUARTIC], ids=["bowl", "quartic"])
def test_everything_that_the_picture_shows(inner):
    [view] = run_node("landscape", [("compute", [traits_of(figure(**inner))])])
    power, alpha = inner["power"], inner["alpha"]
    bends = CURVATURES * (power - 1) * (-0.45 - CENTRES) ** (power - 2)
    parts, arrivals = slopes(**inner)
    wanted = {
        "bends": bends,
        "products": alpha * bends,
        "value": objective(-0.45, **inner),
        "paths": paths(-0.45, **inner),
        "arrivals": arrivals,
        "parts": parts,
        "exact": parts.sum(),
    }
    for name, value in wanted.items():
        assert relative_error(view[name], value) < 1e-9, name
    assert relative_error(view["numeric"], parts.sum()) < 1e-8
    assert view["gap"] == pytest.approx(abs(view["numeric"] / view["exact"] - 1), rel=1e-6)
    for name, n_inner_steps in (("best", inner["n_inner_steps"]), ("joint", 0)):
        theta, value = minimum(power, alpha, n_inner_steps)
        assert view[name]["theta"] == pytest.approx(theta, abs=1e-6), name
        assert view[name]["value"] == pytest.approx(value, rel=1e-9), name
        assert not view[name]["flat"]


@pytest.mark.parametrize("inner", [BOWL, QUARTIC], ids=["bowl", "quartic"])
def test_losses_objective_and_tangent_are_drawn(inner):
    names = ("objective", "joint", "own-loss", "plumb", "tangent")
    objective_, joint, own, plumb, tangent, cx, cy = show(
        figure(**inner),
        *[("read", f".mf-panel path.mf-{name}", "d") for name in names],
        *[("read", "circle.mf-spot", name) for name in ("cx", "cy")],
    )
    power, x = inner["power"], np.linspace(-3, 3, 321)
    still = {**inner, "n_inner_steps": 0}
    assert_drawn(objective_[0], kept(PICTURE.points(x, objective(x, **inner))))
    assert_drawn(joint[0], kept(PICTURE.points(x[::2], objective(x[::2], **still))))
    for path, c, m in zip(own, CURVATURES, CENTRES, strict=True):
        assert_drawn(path, kept(PICTURE.points(x[::2], c * (x[::2] - m) ** power / power)))
    value = objective(-0.45, **inner)
    assert_drawn(plumb[0], PICTURE.points(-0.45, np.array([LANES[-1], value])))
    spot = PICTURE.points(-0.45, value)
    assert np.allclose([float(cx[0]), float(cy[0])], spot)
    (x0, y0), (x1, y1) = numbers(tangent[0])
    unit = PICTURE.points(1, 1) - PICTURE.points(0, 0)
    assert (y1 - y0) / (x1 - x0) == pytest.approx(slopes(**inner)[0].sum() * unit[1] / unit[0])
    assert [(x0 + x1) / 2, (y0 + y1) / 2] == pytest.approx(spot)
    assert np.hypot(x1 - x0, y1 - y0) == pytest.approx(2 * min(75, 0.2 * 302))


def test_inner_steps_hop_along_lanes_to_theta_prime():
    hops, ends, centres, handle = show(
        figure(**BOWL),
        ("read", ".mf-panel path.mf-inner", "d"),
        ("read", ".mf-panel .mf-fixed .mf-prime", "transform"),
        ("read", "g.mf-centre", "transform"),
        ("read", "g.mf-drag", "transform"),
    )
    found = paths(-0.45, **BOWL)
    for k, lane in enumerate(LANES):
        points = PICTURE.points(found[k], lane)
        assert np.allclose(numbers(hops[k])[::2], points)
        middle = (points[1:, 0] + points[:-1, 0]) / 2
        height = np.minimum(16, 0.4 * np.abs(np.diff(points[:, 0])))
        assert np.allclose(numbers(hops[k])[1::2], np.transpose([middle, points[1:, 1] - height]))
        assert np.allclose(numbers(ends[k]), points[-1])
        assert np.allclose(numbers(centres[k]), PICTURE.points(CENTRES[k], lane))
    assert np.allclose(numbers(handle[-1]), PICTURE.points(-0.45, 0))


def test_stars_stand_at_the_minima():
    marks, shown = show(
        figure(**BOWL), *[("read", "g.mf-minimum", name) for name in ("transform", "visibility")]
    )
    joint, best = minimum(2, 0.3, 0), minimum(**BOWL)
    assert np.allclose(
        numbers(" ".join(marks)), [PICTURE.points(*joint), PICTURE.points(*best)], atol=1e-3
    )
    assert shown == ["visible", "visible"]


@pytest.mark.parametrize("inner", [BOWL, QUARTIC], ids=["bowl", "quartic"])
def test_how_much_of_a_move_arrives(inner):
    curve, dots, cells, limits = show(
        figure(**inner),
        ("read", ".mf-arrivals path.mf-objective", "d"),
        ("read", ".mf-arrivals circle.mf-optimum", "transform"),
        ("read", ".mf-task-numbers td"),
        ("read", ".mf-arrivals path.mf-limit", "d"),
    )
    power, frame = inner["power"], ARRIVALS[inner["power"]]
    x = np.linspace(0, frame.x[1], 201)
    distance, slope = np.ones(201), np.ones(201)
    for _ in range(inner["n_inner_steps"]):
        slope = slope * (1 - x * distance ** (power - 2))
        distance = distance - x / (power - 1) * distance ** (power - 1)
    assert_drawn(curve[0], kept(frame.points(x, np.clip(slope, -1e6, 1e6))))
    parts, arrivals = slopes(**inner)
    bends = CURVATURES * (power - 1) * (-0.45 - CENTRES) ** (power - 2)
    products = np.clip(inner["alpha"] * bends, *frame.x)
    assert np.allclose(numbers(" ".join(dots)), frame.points(products, np.clip(arrivals, *frame.y)))
    assert cells == [f"{v:.3f}".replace("-", MINUS) for v in (*arrivals, *parts)]
    assert np.allclose(
        numbers(limits[0].replace("v", " ").replace("M", " "))[:1, 0], frame.px(power - 1)
    )


def test_an_arrow_at_a_dot_says_that_it_lies_beyond_the_axes():
    """The slope of theta_prime is 1 - 0.7 c after one step and its square after two."""
    label = ("read", ".mf-arrivals .mf-fit-label")
    curvatures = {"curvature_a": 0.3, "curvature_b": 4.0, "curvature_c": 6.0}
    one, two = show(
        figure(alpha=0.7, n_inner_steps=1, **curvatures),
        *[label, ("set", {"n_inner_steps": 2}), ("wait", 20), label],
    )
    assert one == ["A", "B▸▾", "C▸▾"] and two == ["A", "B▸▴", "C▸▴"]


def test_the_table_compares_with_the_exact_gradient():
    words = show(figure(**QUARTIC), ("read", ".mf-numbers tr"))[0]
    theta_prime = paths(-0.45, **QUARTIC)[:, -1]
    exact = slopes(**QUARTIC)[0].sum()
    last = CURVATURES * (theta_prime - CENTRES) ** 3
    factor = 1 - 0.05 * CURVATURES * 3 * (-0.45 - CENTRES) ** 2
    values = [last.mean(), (factor**3 * last).mean(), ((-0.45 - theta_prime) / 0.05).mean()]
    names = ["FOMAML", "collapsed (1 \u2212 \u03b1H₀)ᴷ", "Reptile"]
    for row, name, value in zip(words[-3:], names, values, strict=True):
        assert row == f"{name}{five_figures(value)}{ratio_text(value / exact)}"
    head, of_f, of_exact, numeric = words[-7:-3]
    assert head == f"at θ = {MINUS}0.45value÷ exact"
    assert of_f == f"F{five_figures(objective(-0.45, **QUARTIC))}"
    assert of_exact == f"exact gradient{five_figures(exact)}1.00"
    assert numeric.startswith(f"central difference{five_figures(exact)}rel. error ")


def test_the_sentence():
    [said] = run_node("landscape", [("sentence", [traits_of(figure(**BOWL))])])
    exact = five_figures(slopes(**BOWL)[0].sum())
    products = ["0.27", "0.66", "1.23"]
    best, joint = (f"{minimum(2, 0.3, k)[0]:.2f}".replace("-", MINUS) for k in (2, 0))
    start = f"F(θ) = {five_figures(objective(-0.45, **BOWL))} at θ = {MINUS}0.45. "
    assert said.startswith(
        f"{start}Exact gradient {exact}, central difference {exact}: relative error "
    )
    assert said.endswith(
        f"\u03b1·curvature: A {products[0]}, B {products[1]} "
        f"(below 1: comes closer smoothly); C {products[2]} "
        "(between 1 and 2: overshoots the centre). "
        f"F is lowest at {best}; the joint loss is lowest at {joint}."
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"power": 4, "alpha": 1.0, "n_inner_steps": 10, "theta": -2.9},
            ["F(θ) = infinite at", "The inner loop of A and B and C ran off to infinity"],
        ),
        ({"power": 4}, ["\u03b1·curvature at θ: "]),
        (
            {"curvature_a": 2.0, "curvature_b": 2.0, "curvature_c": 2.0, "alpha": 0.5},
            ["F is the same everywhere; the joint loss is lowest at 0.30."],
        ),
        (
            {"alpha": 0.9, "centres": [3.0, 3.0, 3.0]},
            ["F is lowest at 3.00, an edge of the picture"],
        ),
        (
            {"curvature_a": 6.0, "alpha": 1.0, "n_inner_steps": 10, "theta": 3.0},
            ["A 6.00, B 2.20, C 4.10 (above 2: every step lands farther off, it diverges)"],
        ),
    ],
)
def test_the_sentence_where_something_is_special(change, words):
    [[said]] = show(figure(**change), STATUS)
    assert all(one in said for one in words), said


def test_beyond_the_picture_an_arrow_says_where():
    away, spot, classes, tangent = show(
        figure(alpha=1.0, n_inner_steps=5),
        ("read", "text.mf-away"),
        ("read", "text.mf-spot-label"),
        ("read", "circle.mf-spot", "class"),
        ("read", ".mf-panel path.mf-tangent", "d"),
    )
    inner = {"power": 2, "alpha": 1.0, "n_inner_steps": 5}
    ends = paths(-0.45, **inner)[:, -1]
    assert away[0] == "" and abs(ends[0]) < 3
    for text, end in zip(away[1:], ends[1:], strict=True):
        where = f"θ\u2032 = {five_figures(end)}"
        assert text == (f"{where} ▸" if end > 0 else f"◂ {where}")
    assert spot == [f"▲ F = {large_loss_text(objective(-0.45, **inner))}"]
    assert "mf-beyond" in classes[0] and tangent == [""]


def test_a_path_is_drawn_up_to_its_first_point_beyond_unless_it_comes_back():
    given = [[0.0, 2.0, -4.0, 9.0], [0.0, 4.0, 1.0], [1.0, 2.0, 3.0], [5.0, 6.0]]
    answers = run_node("landscape", [("withinPicture", [path]) for path in given])
    assert answers == [[0.0, 2.0, -4.0], given[1], given[2], [5.0]]


def test_hops_are_arcs_of_at_most_16_pixels():
    [path] = run_node("landscape", [("hops", [[10, 20, 120], 50])])
    assert path == "M10 50Q15 46 20 50Q70 34 120 50"


@pytest.mark.parametrize(
    ("task", "height", "x"),
    [
        ({"curvature": 2.0, "centre": -1.0, "power": 2}, 1.0, -2.0),
        ({"curvature": 2.0, "centre": 1.0, "power": 2}, 1.0, 2.0),
        ({"curvature": 0.5, "centre": -2.0, "power": 2}, 1.0, 0.0),
        ({"curvature": 4.0, "centre": 0.5, "power": 4}, 1.0, 1.5),
        ({"curvature": 0.2, "centre": 0.0, "power": 2}, 2.0, None),
    ],
)
def test_a_letter_stands_on_its_loss_on_the_side_with_more_room(task, height, x):
    assert run_node("landscape", [("whereAt", [task, height])]) == [pytest.approx(x)]


def test_numbers_are_short_and_have_a_real_minus():
    cases = [
        ("relativeGap", [2.0, -1.0]),
        ("relativeGap", [4.0, 5.0]),
        ("relativeGap", [1e-13, -1e-13]),
    ]
    assert_all_close("landscape", cases, [1.5, 0.2, 0])
    given = {
        "gapText": [([0], "0"), ([3.2e-11], f"3e{MINUS}11")],
        "ratioText": [
            ([1.0, 0.5], "2.00"),
            ([-1.0, 0.5], f"{MINUS}2.00, uphill"),
            ([1.0, 0], "\u2013"),
            ([4.0, 1e-13], "\u2013"),
            ([2e-5, 1.0], f"2e{MINUS}5"),
            ([3000.0, 1.0], "3e3"),
            ([0.0, 1.0], "0.00"),
        ],
        "brief": [
            ([-1.23456], f"{MINUS}1.235"),
            ([123456.0], "1.2e5"),
            ([-5000.0], f"{MINUS}5.0e3"),
        ],
        "briefOf": [(["Infinity"], "infinite")],
        "figures": [([0.00012345], f"1.234e{MINUS}4"), ([1e-13], "0"), ([-2e5], f"{MINUS}2.000e5")],
        "figuresOf": [(["-Infinity"], "infinite"), (["NaN"], "infinite")],
        "drawable": [([2e7], 1e6), ([-2e7], -1e6), ([3.5], 3.5)],
        "drawableOf": [(["NaN"], 1e6)],
    }
    cases = [(name, arguments) for name, all_ in given.items() for arguments, _ in all_]
    answers = run_node("landscape", cases)
    assert answers == [wanted for all_ in given.values() for _, wanted in all_]


def test_offered_rates_solve_the_steepest_task_or_swap_its_sides():
    words, off, one, two, far = show(
        figure(theta=1.0),
        ("read", ".mf-lead button"),
        ("read", ".mf-lead button", "disabled"),
        *[
            ("press", "\u03b1 = 1"),
            ("traits", "alpha"),
            ("press", "\u03b1 = 2"),
            ("traits", "alpha"),
        ],
        *[("set", {"curvature_b": 6.0, "shape": "quartic"}), ("wait", 20)],
        ("read", ".mf-lead button"),
    )
    assert (
        words[:2] == [f"\u03b1 = {n} / curvature of C" for n in (1, 2)] and off[:2] == [False] * 2
    )
    assert one == [pytest.approx(1 / 4.1)] and two == [pytest.approx(2 / 4.1)]
    bends = np.array([0.9, 6.0, 4.1]) * 3 * (1.0 - CENTRES) ** 2
    assert far[0] == f"\u03b1 = 1 / curvature of {'ABC'[bends.argmax()]} at θ"


def test_theta_and_centres_are_dragged_in_thousandths():
    at, to = PICTURE.points(-0.45, 0), PICTURE.points(1.23456, 0)
    grip = ("event", "g.mf-drag")
    hold, held = PICTURE.points(CENTRES[1], LANES[1]), PICTURE.points(-2.0, 1.0)
    theta, centres, beyond = show(
        figure(),
        *[(*grip, 3, "pointerdown", pixels(at + 5)), (*grip, 3, "pointermove", pixels(to + 5))],
        ("traits", "theta"),
        *[(*grip, 1, "pointerdown", pixels(hold)), (*grip, 1, "pointermove", pixels(held))],
        ("traits", "centres"),
        *[(*grip, 1, "pointerup"), (*grip, 3, "pointermove", {"clientX": 999, "clientY": 0})],
        ("traits", "theta"),
    )
    assert theta == [1.235] and centres == [[CENTRES[0], -2.0, CENTRES[2]]] and beyond == [3]


def test_reset_restores_every_setting():
    change = {"alpha": 0.9, "n_inner_steps": 7, "theta": 2.0, "shape": "quartic"}
    change |= {"centres": [0, 0, 0], "curvature_a": 1, "curvature_b": 1, "curvature_c": 1}
    first, last = show(
        figure(), ("traits", *change), *[("set", change), ("press", "Reset"), ("traits", *change)]
    )
    assert first == last


def test_a_wider_page_lays_the_picture_out_again():
    size, handle = show(
        figure(),
        ("width", 600),
        ("wait", 20),
        ("read", "svg", "width"),
        ("read", "g.mf-drag", "transform"),
    )
    wide = Frame(500, (6, 10, 36, 28), (-3, 3), (-1.14, 2.4), width=600)
    assert size.count("600") == 2
    assert np.allclose(numbers(handle[-1]), wide.points(-0.45, 0))


def test_at_first_there_are_theta_and_alpha_alone():
    folded, sliders, tables, all_tables, opened = show(
        figure(),
        ("read", "summary"),
        ("read", "details input[type=range]", "aria-valuetext"),
        ("read", "details table", "class"),
        ("read", "table", "class"),
        ("read", "details", "open"),
    )
    assert folded == [
        *("The numbers at θ, and what others answer", "More settings: inner steps, curvatures")
    ]
    assert len(sliders) == 4 and len(tables) == len(all_tables) == 2 and opened == [None, None]
