"""Drive it: what the page draws at random, computes, shows and says, against NumPy."""

from dataclasses import fields
from functools import cache
from itertools import islice

import numpy as np
import page
import pytest
from node import assert_all_close, flat, mulberry32, relative_error, run_node
from page import (
    LEGEND,
    NOW,
    NUMBER,
    SLIDERS,
    STATUS,
    Frame,
    as_listed,
    assert_drawn,
    heights,
    in_training,
    numbers,
    show,
    traits_of,
)

from maml_teach import maml
from maml_teach.applications import driving, steering
from maml_teach.applications.driving import DT, MODEL, Cars
from maml_teach.applications.steering import HORIZON
from maml_teach.data import load
from maml_teach.tasks import Task
from maml_teach.widgets import DriveIt

NET = {"sizes": list(MODEL.sizes), "activation": "tanh"}
SETTINGS = {"grip": 0.3, "wind": -700.0, "pull": 0.8, "seconds": 0.5, "n_inner_steps": 2, "seed": 5}
ROAD_STEPS, WARM_UP = 200, driving.Drives().warm_up
MOMENT = 65  # steps that the film has come on in what is read
DRIVE = ("press", "▶ Drive")
SHARPEST = round(0.55 * 0.3 * 9.81 / 17**2, 4)  # 55% of a grip of 0.3 at 17 m/s
WIDE = 600
HEIGHTS = heights(100, 450, 2000)
READS = {
    "said": STATUS,
    "now": NOW,
    "notes": ("read", ".mf-panel .mf-mse"),
    "words": ("read", ".mf-axes text"),
    "curves": ("read", ".mf-panel .mf-curve", "d"),
    "ghosts": ("read", ".mf-panel .mf-to-come", "d"),
    "looks": ("read", ".mf-panel g", "class"),
    "road": ("read", ".mf-road", "d"),
    "truth": ("read", ".mf-panel .mf-truth", "d"),
    "cars": ("read", ".mf-panel .mf-car", "transform"),
    "shown": ("read", ".mf-panel .mf-car", "visibility"),
}


BEYOND = in_training("data (in training only 1.00 seconds)")


def start(name="maml"):
    return np.float32(load("driving")[name]).astype(float)


def the_car(grip=0.3, wind=-700.0, pull=0.8):
    """What has no slider is in the middle of its range."""
    middle = {name: np.array([sum(ends) / 2]) for name, ends in driving.RANGES.items()}
    set_here = {"grip": grip, "wind": wind, "bias": np.radians(pull)}
    return Cars(**{**middle, **{name: np.array([value]) for name, value in set_here.items()}})


def as_js(cars):
    return {field.name: float(getattr(cars, field.name)[0]) for field in fields(cars)}


def drawn(seed, n_steps=50, n_road=ROAD_STEPS, sharpest=SHARPEST):
    """Steering and noise of a test drive and the curvature of a road, from a seed's uniforms."""
    u = np.array(list(islice(mulberry32(seed), 21 + 4 * n_steps)))
    phase, hertz, size = u[:21].reshape(7, 3).T[..., None]
    phase = 2 * np.pi * phase
    waves = lambda low, high, k, n: np.sin(  # noqa: E731
        2 * np.pi * DT * (low + (high - low) * hertz[k]) * np.arange(n) + phase[k]
    )
    wheel = (0.06 * size[:4] * waves(0.15, 1.15, slice(0, 4), n_steps)).sum(axis=0)
    bends = zip((4, 5, 6), ((0.055, 0.065), (0.1, 0.12), (0.17, 0.21)), strict=True)
    shape = sum(waves(*ends, k, n_road + HORIZON) for k, ends in bends)
    noise = np.sqrt(-2 * np.log(1 - u[21::2])) * np.cos(2 * np.pi * u[22::2])
    curvature = sharpest * shape / np.abs(shape).max()
    return np.clip(wheel, -0.15, 0.15), noise.reshape(n_steps, 2), curvature


@cache
def drives(name="maml", alpha=0.1, n_shots=10):
    """The road, what was measured, and the offsets of the three drives."""
    car, (wheel, noise, curvature) = the_car(), drawn(5)
    states = driving.drive_along(car, wheel[None])
    x, y = driving.transitions(car, states, wheel[None], noise[None])
    x, y = (v[:, WARM_UP : WARM_UP + n_shots] for v in (x, y))
    theta = start(name)
    adapted = maml.adapt(MODEL, theta, Task(x, y, x, y), alpha=alpha, n_inner_steps=2)
    plans = [driving.learned(MODEL, theta[None]), driving.learned(MODEL, adapted), driving.step]

    def plan(cars, state, steer):
        parts = [slice(k, k + 1) for k in range(3)]
        each = zip(plans, parts, strict=True)
        return np.concatenate([one(cars.select(k), state[k], steer[k]) for one, k in each])

    thrice = car.select(np.zeros(3, int))
    offsets, _ = steering.steer_along(thrice, plan, np.tile(curvature, (3, 1)))
    return curvature, offsets, theta


def figure(**change):
    return DriveIt.from_package(**{**SETTINGS, **change})


@cache
def wide(**change):
    """What a wide page shows of a film under way, once a figure is done with its work."""
    film = [("width", WIDE), ("wait", 9000), DRIVE, ("wait", 50 * MOMENT + 10)]
    found = dict(zip(READS, show(figure(**change), *film, *READS.values()), strict=True))
    movers = ("curves", "ghosts", "cars", "shown")
    return {**found, **{name: as_listed(found[name]) for name in movers}}


def test_a_seed_gives_a_test_drive_and_a_road():
    [got] = run_node("driving", [("circumstances", [5, 50, ROAD_STEPS, 0.0056])])
    for name, wanted in zip(("steering", "noise", "curvature"), drawn(5), strict=True):
        assert relative_error(got[name], wanted) < 1e-9, name


def test_test_drives_steer_as_in_the_package():
    found = run_node("driving", [("circumstances", [seed, 50, 1, 1]) for seed in range(150)])
    theirs = np.array([one["steering"] for one in found])
    ours = driving.wiggle(np.random.default_rng(0), 2000, 50)
    assert np.abs(theirs).max() == np.abs(ours).max() == 0.15
    assert theirs.std() == pytest.approx(ours.std(), rel=0.1)
    assert np.diff(theirs).std() == pytest.approx(np.diff(ours).std(), rel=0.1)


def test_the_car_of_the_sliders():
    [found] = run_node("driving", [("carOf", [traits_of(figure())])])
    assert found == pytest.approx(as_js(the_car()))


def test_three_cars_drive_like_numpy():
    curvature, offsets, theta = drives()
    traits = traits_of(figure())
    [found] = run_node("driving", [("driven", [traits, NET, flat(theta), 0.1])])
    assert found["finite"] is True
    assert relative_error(found["curvature"], curvature) < 1e-9
    assert relative_error(found["drives"], offsets) < 1e-9
    assert min(np.abs(offsets[k] - offsets[k - 1]).max() for k in range(3)) > 0.01


def test_an_inner_loop_that_diverges_drives_nowhere():
    given = [traits_of(figure()), NET, flat(start()), 1e300]
    [found] = run_node("driving", [("driven", given)])
    _, offsets, _ = drives()
    assert found["finite"] is False and found["drives"][1] == [None] * ROAD_STEPS
    assert relative_error([found["drives"][k] for k in (0, 2)], offsets[[0, 2]]) < 1e-9


def test_steps_slopes_gains_and_errors_are_those_of_numpy():
    car, rng = the_car(), np.random.default_rng(0)
    now, curvature = np.append(0.05 * rng.normal(size=(1, 5)), [[1]], axis=1), drawn(1)[2]
    a, b, c = steering.linearised(car, driving.step, now)
    rows = np.concatenate([a[0], b.T, c.T], axis=1)
    gain = steering.best_response(a, b, c, car, curvature[None, 7 : 7 + HORIZON])
    sliding = np.linspace(-9, 9, 60)
    state, steer = np.array([[0.7, -0.2]]), np.array([0.11])
    cases = [
        ("step", [as_js(car), flat(state), 0.11]),
        ("linearised", [as_js(car), flat(now[0, 2:5])]),
        ("bestResponse", [rows.tolist(), 17.0, flat(curvature), 7]),
        ("lateralError", [flat(sliding)]),
    ]
    lost = steering.lateral_error(sliding[None])
    expected = [driving.step(car, state, steer), rows, gain, lost]
    assert_all_close("driving", cases, expected)
    assert lost < np.sqrt(np.mean(sliding[20:] ** 2))


def test_the_wheel_turns_no_farther_than_it_can_and_a_lost_car_is_held():
    """In a bend that no car takes."""
    car, curvature = the_car(), np.full(60 + HORIZON, 0.05)
    offsets, wheel = steering.steer_along(car, driving.step, curvature[None])
    assert np.abs(wheel).max() == driving.MAX_STEER and np.abs(offsets).max() == 20
    assert_all_close("driving", [("offsetsWhenKnown", [as_js(car), flat(curvature)])], [offsets])


def seen_from_above(curvature, speed=17):
    heading = np.cumsum(DT * speed * curvature[:ROAD_STEPS])
    x, y = np.cumsum(DT * speed * np.array([np.cos(heading), np.sin(heading)]), axis=1)
    return x, y, heading


def test_a_road_of_one_curvature_is_a_circle_and_its_sides_lie_across():
    curvature, speed = [0.02] * 30, 20.0
    [road] = run_node("driving", [("seenFromAbove", [curvature, speed, 30])])
    x, y, heading = np.transpose([[p[name] for name in ("x", "y", "heading")] for p in road])
    centre = np.linalg.lstsq(np.column_stack([2 * x, 2 * y, 0 * x + 1]), x**2 + y**2, rcond=None)[0]
    assert np.allclose(np.hypot(x - centre[0], y - centre[1]), 50, rtol=1e-4)
    assert centre[1] > 0 and np.allclose(heading, 0.02 * np.arange(1, 31))
    at = {"x": 3.0, "y": 4.0, "heading": np.pi / 2}
    left, land = run_node("driving", [("beside", [at, 2.0]), ("sideways", [road])])
    assert left == pytest.approx([1, 4])
    assert [land["min"], land["max"]] == pytest.approx([y.min() - 8, y.max() + 8])


def test_the_axis_of_offsets_holds_the_largest():
    tops = {0.1: 10, -0.11: 20, 0.5: 50, -0.99: 100, 6: 1000, 20: 2000}
    drives = [[{"offsets": [0, metres]}, {"offsets": []}] for metres in tops]
    axes = run_node("driving", [("offsetAxis", [one]) for one in drives])
    ticks = [np.linspace(-top, top, 5).tolist() for top in tops.values()]
    assert axes == [{"min": one[0], "max": one[-1], "ticks": one} for one in ticks]


def on_the_road(offsets):
    """Where a track lies on the drawing, offsets twenty times as large, and the road's frame."""
    x, y, heading = seen_from_above(drives()[0])
    frame = Frame(216, (6, 8, 34, 12), (-15, 184), (y.min() - 8, y.max() + 8), width=WIDE)
    return frame.points(x - 20 * offsets * np.sin(heading), y + 20 * offsets * np.cos(heading))


def test_the_road_and_three_tracks_are_drawn():
    _, offsets, _ = drives()
    found = wide()
    edges = on_the_road(0.25), on_the_road(-0.25)[::-1]
    assert_drawn(found["road"][0], np.vstack(edges))
    assert_drawn(found["truth"][0], on_the_road(0))
    for n, one in enumerate(offsets):
        track = on_the_road(one)
        assert_drawn(found["curves"][n], track[: MOMENT + 1])
        assert_drawn(found["ghosts"][n], track[MOMENT:])
        assert placed(found["cars"][n]) == pytest.approx(standing(track, MOMENT), abs=1e-6)
    assert found["shown"] == ["visible"] * 3


def placed(transform):
    return [float(v) for v in NUMBER.findall(transform)]


def standing(track, at):
    """A car's place and heading, along its track."""
    dx, dy = np.diff(track, axis=0)[max(at, 1) - 1]
    return [*track[at], np.degrees(np.arctan2(dy, dx))]


def test_the_adapted_car_and_its_line_lie_below_the_others():
    """They are wider and solid, so that all can be seen where all are in one place."""
    layers = [look for look in wide()["looks"] if look and look.startswith("mf-role-")]
    assert layers == ["mf-role-adapted", "mf-role-before", "mf-role-oracle"] * 3


def test_at_the_start_all_cars_are_there_and_all_lines_are_ghosts():
    curves, ghosts, cars = show(
        figure(), ("width", WIDE), ("wait", 9000), *[READS[k] for k in ("curves", "ghosts", "cars")]
    )
    for n, track in enumerate(map(on_the_road, drives()[1])):
        assert_drawn(as_listed(curves)[n], track[:1])
        assert_drawn(as_listed(ghosts)[n], track)
        assert placed(as_listed(cars)[n]) == pytest.approx(standing(track, 0), abs=1e-6)


def test_distances_from_the_middle_are_drawn_over_time():
    _, offsets, _ = drives()
    found, most = wide(), 100 * np.abs(offsets).max()
    top = next(limit for limit in (10, 20, 50, 100, 200, 500, 1000) if most <= limit)
    frame = Frame(192, (8, 8, 34, 54), (0, 10), (-top, top), width=WIDE)
    for n, one in enumerate(offsets, start=3):
        points = frame.points(DT * np.arange(ROAD_STEPS), 100 * one)
        assert_drawn(found["curves"][n], points[: MOMENT + 1])
        assert_drawn(found["ghosts"][n], points[MOMENT:])
    assert_drawn(found["now"][0], frame.points([DT * MOMENT] * 2, [-top, top]))
    ticks = [f"{v:g}".replace("-", "−") for v in np.linspace(-top, top, 5)]
    metres, seconds = ["0", "40", "80", "120", "160"], ["0", "2", "4", "6", "8", "10"]
    assert found["words"] == [*metres, "metres", *seconds, *ticks, "seconds", "cm from middle"]
    assert found["notes"] == [
        "offsets drawn 20 times as large; the band is ± 25 cm",
        "left is positive",
    ]


def cm(offsets):
    value = 100 * steering.lateral_error(offsets[None])[0]
    return f"{value:.{int(value < 9.95)}f} cm"


@pytest.mark.parametrize("name", ["maml", "joint"])
def test_the_sentence_says_how_far_off_each_car_is(name):
    alpha = {"maml": 0.1, "joint": 0.05}[name]
    frozen, adapted, truth = (cm(one) for one in drives(name, alpha)[1])
    assert wide(start=name)["said"] == [
        "Grip 0.30, crosswind −700 N, pull 0.8°. "
        "Off the middle over the whole drive but its first second, root mean square: "
        f"{frozen} as trained, {adapted} after 2 inner steps on 0.50 s of driving, "
        f"{truth} with the true physics.{BEYOND}"
    ]


def said_of(**change):
    return show(figure(**change), ("wait", 9000), STATUS)[0][0]


def test_an_adaptation_that_changes_nothing_or_does_harm_is_named():
    nothing = " At 0 inner steps nothing is adapted: both networks drive the same."
    harm = " Adapting made it worse."
    alike = ("read", ".maml-figure", "data-alike")
    marks = show(figure(), *[alike, ("set", {"n_inner_steps": 0}), ("wait", 20), alike])
    assert marks == [["false"], ["true"]]  # the style sheet makes room for both lines
    assert nothing in said_of(n_inner_steps=0) and nothing not in wide()["said"][0]
    drive = {"offsets": [0.01] * 30}
    errors = [(0.02, True), (0.0101, False), (0.005, False)]
    view = lambda end: {"finite": True, "drives": [drive, {"offsets": [end] * 30}, drive]}  # noqa: E731
    cases = [("describe", [traits_of(figure(seconds=1.0)), view(end)]) for end, _ in errors]
    said = run_node("driving", cases)
    assert [one.endswith(harm) for one in said] == [bad for _, bad in errors]
    assert harm not in wide()["said"][0]


def test_centimetres_have_one_digit_after_the_point_below_ten():
    metres = [0.0123, 0.0994, 0.09951, 0.123]
    cases = [("centimetres", [{"offsets": [one] * 30}]) for one in metres]
    assert run_node("driving", cases) == ["1.2 cm", "9.9 cm", "10 cm", "12 cm"]


def test_the_sentence_where_the_loop_diverged(monkeypatch):
    sent = {**traits_of(figure(seconds=0.25)), "alpha_maml": 1e300}
    monkeypatch.setattr(page, "traits_of", lambda _: sent)
    found = wide(seconds=0.25)
    assert found["said"] == [
        "Grip 0.30, crosswind −700 N, pull 0.8°: "
        f"the inner loop diverged within 2 inner steps on 0.25 s of driving.{BEYOND}"
    ]
    assert found["shown"] == ["visible", "hidden", "visible"] and found["curves"][1] == ""


def test_the_cars_are_sent_off_until_the_end():
    frame = Frame(160, (8, 8, 34, 54), (0, 10), (0, 1))
    first, later, end, words, again, back = show(
        figure(n_inner_steps=0),
        *[("wait", 9000), NOW, DRIVE, ("wait", 120), NOW],
        *[("wait", 11_000), NOW, ("read", "button.mf-primary")],
        *[DRIVE, ("wait", 60), NOW, ("press", "Reset"), ("wait", 200), NOW],
    )
    times = [0, 0.1, 9.95, 0.05, 0]
    for path, seconds in zip((first, later, end, again, back), times, strict=True):
        assert numbers(path[0])[0, 0] == pytest.approx(frame.px(seconds), abs=0.051)
    assert words == ["▶ Drive"]


@pytest.mark.parametrize("still", [False, True])
def test_at_the_end_the_cars_stand_where_they_arrived(still):
    """For those who want nothing to move by itself they are there at once."""
    wait = ("wait", 20 if still else 11_000)
    cars, curves, ghosts = show(
        figure(),
        *[("still", still), ("width", WIDE), ("wait", 9000), DRIVE, wait],
        *[READS[name] for name in ("cars", "curves", "ghosts")],
    )
    for n, one in enumerate(drives()[1]):
        track = on_the_road(one)
        assert placed(as_listed(cars)[n])[:2] == pytest.approx(track[-1], abs=1e-6)
        assert_drawn(as_listed(curves)[n], track)
        assert_drawn(as_listed(ghosts)[n], track[-1:])


def test_nothing_goes_on_once_the_figure_is_left():
    before, after = show(figure(), ("press", "▶ Drive"), ("left",), ("leave",), ("left",))
    assert before[0] > 0 and after == [0, 0, 0, 0]


def test_what_the_looks_mean_and_what_the_sliders_say():
    words, looks, paths, labels, steps, values, *heights = show(
        figure(n_inner_steps=0), *LEGEND, *SLIDERS, *HEIGHTS
    )
    drivers = ["network as it was trained", "network adapted to the data"]
    assert words == [*drivers, "controller that knows the car"]
    assert looks == ["mf-role-before", "mf-role-adapted", "mf-role-oracle"]
    car = ["mf-curve", "mf-car-body", "mf-car-windows"]
    assert paths == [*car[:2], *car, *car]  # an outline has no windows
    assert labels == ["inner steps", "grip", "crosswind, N", "pull, degrees", "data, seconds"]
    assert [float(v) for v in steps] == [1, 0.05, 100, 0.1, 0.05]
    assert values == ["0", "0.30", "−700", "0.8", "0.50, beyond training"]
    assert heights == [["170", "160"], ["170", "160"], ["260", "230"]]


def test_controls_reach_what_python_allows_and_reset_goes_back():
    traits = ("traits", "grip", "wind", "pull", "seconds", "n_inner_steps", "start", "seed")
    lows, highs, before, other, after = show(
        figure(),
        *[("read", "input[type=range]", name) for name in ("min", "max")],
        *[traits, ("press", "Another road"), ("slide", "input[type=range]", 3, -1.1)],
        *[("check", "input[type=radio]", 1, True), traits, ("press", "Reset"), traits],
    )
    limits = [getattr(DriveIt, k) for k in ("n_inner_steps", "grip", "wind", "pull", "seconds")]
    assert [float(v) for v in lows] == [kind.min for kind in limits]
    assert [float(v) for v in highs] == [kind.max for kind in limits]
    assert before == after == [0.3, -700, 0.8, 0.5, 2, "maml", 5]
    assert other == [0.3, -700, -1.1, 0.5, 2, "joint", 6]
