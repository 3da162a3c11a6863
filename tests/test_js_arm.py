"""Lift it: what the page draws at random, computes, shows and says, against NumPy."""

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
from maml_teach.applications import arm
from maml_teach.applications.arm import MODEL, Arms, Motion
from maml_teach.data import load
from maml_teach.tasks import Task
from maml_teach.widgets import LiftIt

NET = {"sizes": list(MODEL.sizes), "activation": "tanh"}
SETTINGS = {"payload": 2.6, "friction": 0.4, "seconds": 0.75, "n_inner_steps": 2, "seed": 7}
N_COMMANDS = 300
MOMENT = 108  # commands that the film has come on in what is read
MOVE = ("press", "▶ Move")
CLOCK = arm.DT * np.arange(N_COMMANDS)
MARGIN = (8, 8, 34, 44)
HEIGHTS = heights(100, 450, 2000)


BEYOND = in_training("payload (in training up to 2.0 kg), data (in training only 1.00 seconds)")


def start(name="maml"):
    return np.float32(load("robot")[f"arm {name}"]).astype(float)


def heavy_arm(payload=2.6, friction=0.4):
    """All that has no slider is in the middle of its range."""
    middle = {name: np.array([sum(ends) / 2]) for name, ends in arm.RANGES.items()}
    most = {name: arm.RANGES[name][1] for name in ("viscous", "dry")}
    rubbing = {name: np.array([end * friction]) for name, end in most.items()}
    return Arms(**{**middle, **rubbing, "payload": np.array([payload])})


def as_js(one):
    return {field.name: float(getattr(one, field.name)[0]) for field in fields(one)}


def drawn(seed):
    """Two motions and the noise of 40 measurements, from the uniforms of a seed."""
    u = np.array(list(islice(mulberry32(seed), 2 * 14 + 4 * 40)))
    motions = []
    for centre, waves in ((u[:2], u[2:14]), (u[14:16], u[16:28])):
        size, pace, phase = np.moveaxis(waves.reshape(2, 2, 3), -1, 0)  # joints, waves
        shaped = [0.3 + 0.5 * size.T, 1 + 3 * pace.T, 2 * np.pi * phase.T]
        motions.append(Motion(*(each[None] for each in shaped), 2 * centre[None] - 1))
    radius, angle = u[28::2], u[29::2]
    noise = np.sqrt(-2 * np.log(1 - radius)) * np.cos(2 * np.pi * angle)
    return *motions, noise.reshape(1, 40, 2)


@cache
def performance(name="maml", seed=7, n_inner_steps=2, seconds=0.75):
    """The wanted motion, and what the three arms reached of it."""
    one = heavy_arm()
    test, wanted, noise = drawn(seed)
    n = round(20 * seconds)
    x, y = arm.measured(one, test, np.arange(n) / 20, noise[:, :n])
    theta = start(name)[None]
    settings = {"alpha": 0.1, "n_inner_steps": n_inner_steps}
    adapted = maml.adapt(MODEL, theta[0], Task(x, y, x, y), **settings)
    feeds = [arm.expected_torques(MODEL, one, wanted, CLOCK) for one in (theta, adapted)]
    feeds.append(arm.torques(one, *wanted.at(CLOCK)))
    thrice = lambda batch: type(batch)(*(np.repeat(v, 3, axis=0) for v in vars(batch).values()))  # noqa: E731
    reached = arm.track(thrice(one), thrice(wanted), np.concatenate(feeds))
    return wanted, reached, (x, y)


def figure(**change):
    return LiftIt.from_package(**{**SETTINGS, **change})


READS = {
    "said": STATUS,
    "now": NOW,
    "notes": ("read", ".mf-panel .mf-mse"),
    "words": ("read", ".mf-axes text"),
    "curves": ("read", ".mf-panel .mf-curve", "d"),
    "ghosts": ("read", ".mf-panel .mf-to-come", "d"),
    "looks": ("read", ".mf-panel g", "class"),
    "truth": ("read", ".mf-panel .mf-truth", "d"),
    "links": ("read", ".mf-arm-links", "d"),
    "x": ("read", ".mf-panel circle", "cx"),
    "y": ("read", ".mf-panel circle", "cy"),
    "r": ("read", ".mf-panel circle.mf-dot", "r"),
    "shown": ("read", ".mf-panel circle.mf-dot", "visibility"),
}


@cache
def wide(**change):
    """What a wide page shows of a film under way, once a figure is done with its work."""
    film = [("width", 600), ("wait", 3000), MOVE, ("wait", 10 * MOMENT + 5)]
    found = dict(zip(READS, show(figure(**change), *film, *READS.values()), strict=True))
    movers = ("curves", "ghosts", "links", "shown")
    return {**found, **{name: as_listed(found[name]) for name in movers}}


def test_a_seed_gives_two_motions_and_normal_noise():
    [got] = run_node("arm", [("circumstances", [7, 40])])
    for name, motion in zip(("test", "wanted"), drawn(7), strict=False):
        assert np.allclose(got[name]["centre"], motion.centre[0], rtol=0, atol=1e-12)
        for field in ("size", "pace", "phase"):
            waves = [[wave[field] for wave in joint] for joint in got[name]["waves"]]
            assert np.allclose(np.transpose(waves), getattr(motion, field)[0], rtol=0, atol=1e-12)
    assert relative_error(got["noise"], drawn(7)[2]) < 1e-9


def test_drawn_motions_fill_the_ranges_of_the_package():
    found = run_node("arm", [("circumstances", [seed, 40]) for seed in range(200)])
    ours = arm.sample_motion(np.random.default_rng(0), 4000)
    for field in ("size", "pace", "phase"):
        theirs = [
            wave[field] for one in found for joint in one["wanted"]["waves"] for wave in joint
        ]
        values = np.ravel(getattr(ours, field))
        span = np.ptp(values)
        assert abs(min(theirs) - values.min()) < 0.02 * span
        assert abs(max(theirs) - values.max()) < 0.02 * span
    noise = np.ravel([one["noise"] for one in found])
    assert abs(noise.mean()) < 0.03 and noise.std() == pytest.approx(1, abs=0.02)


def test_the_arm_of_the_sliders():
    traits = traits_of(figure())
    [found] = run_node("arm", [("armOf", [traits])])
    assert found == pytest.approx(as_js(heavy_arm()))


def test_three_arms_follow_the_motion_like_numpy():
    _, reached, (x, y) = performance()
    given = [traits_of(figure()), NET, flat(start()), 0.1, 2]
    [found] = run_node("arm", [("performed", given)])
    assert found["finite"] is True
    assert relative_error(found["x"], x) < 1e-9 and relative_error(found["y"], y) < 1e-9
    for ours, theirs in zip(reached, found["reached"], strict=True):
        assert relative_error(theirs, ours) < 1e-9
    assert min(np.abs(reached[k] - reached[k - 1]).max() for k in range(3)) > 0.01


def test_an_inner_loop_that_diverges_moves_two_arms_only():
    given = [traits_of(figure()), NET, flat(start()), 1e300, 2]
    [found] = run_node("arm", [("performed", given)])
    assert found["finite"] is False
    assert [len(reached) for reached in found["reached"]] == [N_COMMANDS, 0, N_COMMANDS]
    assert relative_error(found["reached"][0], performance()[1][0]) < 1e-9


def test_accelerations_places_and_errors_are_those_of_numpy():
    rng = np.random.default_rng(3)
    one, (q, speed, torque) = heavy_arm(), rng.normal(size=(3, 1, 1, 2))
    wanted = drawn(1)[0]
    reached = wanted.at(CLOCK)[0] + 0.2 * rng.normal(size=(1, N_COMMANDS, 2))
    moments = [{"q": at.tolist()} for at in wanted.at(CLOCK)[0][0]]
    cases = [
        ("acceleration", [flat(arm.constants(one)), flat(q), flat(speed), flat(9 * torque)]),
        ("elbowAndHand", [as_js(one), flat(q)]),
        ("trackingError", [reached[0].tolist(), moments]),
        ("angleOff", [[0.3, -0.4], [0.0, 0.0]]),
        ("angleOff", [[1.0, 2.0], [1.0, 2.0 + np.pi]]),
    ]
    expected = [
        arm.acceleration(one, q, speed, 9 * torque),
        arm.hand(one, q),
        arm.tracking_error(reached, wanted),
        np.degrees(0.5),
        180,
    ]
    assert_all_close("arm", cases, expected)


def test_motors_and_joints_have_limits():
    """With huge torques asked for, both languages hold torque and speed to the same limits."""
    one, motion = heavy_arm(), drawn(2)[0]
    feed = np.array([[[1e5, -1e5]] * 40])
    given = [as_js(one), motion_as_js(motion), feed[0].tolist()]
    [found] = run_node("arm", [("followedWhenForced", given)])
    assert relative_error(found, arm.track(one, motion, feed)[0]) < 1e-9


def motion_as_js(motion):
    parts = [getattr(motion, name)[0].T for name in ("size", "pace", "phase")]
    waves = [
        [dict(zip(("size", "pace", "phase"), map(float, wave), strict=True)) for wave in joint]
        for joint in np.stack(parts, axis=-1)
    ]
    return {"centre": flat(motion.centre), "waves": waves}


def test_the_axis_of_angles_holds_the_largest():
    tops = {0: 4, 4: 4, 4.1: 8, 9: 20, 30: 40, 70: 80, 199: 200, 999: 400}
    axes = run_node("arm", [("angleAxis", [most]) for most in tops])
    ticks = [np.linspace(0, top, 5).tolist() for top in tops.values()]
    assert axes == [{"min": 0, "max": one[-1], "ticks": one} for one in ticks]


def hands(q):
    return arm.hand(heavy_arm(), q[None])[0]


def test_the_arms_and_the_paths_of_their_hands_are_drawn():
    half = 1.2 * 548 / 378  # as many metres to the side as pixels
    frame = Frame(420, MARGIN, (-half, half), (-1.2, 1.2), width=600)
    wanted, reached, _ = performance()
    aim, page = hands(wanted.at(CLOCK)[0][0])[:, 1], wide()
    assert_drawn(page["truth"][0], frame.points(*aim[::3].T))
    stand = []
    for n, q in enumerate(reached):
        path = frame.points(*hands(q)[::3, 1].T)
        assert_drawn(page["curves"][n], path[: MOMENT // 3 + 1])
        assert_drawn(page["ghosts"][n], path[MOMENT // 3 :])
        bones = np.vstack([[0, 0], hands(q)[MOMENT]])
        assert_drawn(page["links"][n], frame.points(*bones.T))
        stand.append(bones[-1])
    places = np.array([page["x"], page["y"]], float).T
    stand = np.array([aim[MOMENT], *as_listed(stand), (0, 0)])
    assert np.abs(places - frame.points(*stand.T)).max() < 1e-6
    assert np.allclose(np.array(page["r"], float), 4 + 2.5 * 2.6**0.5)


def test_angles_off_are_drawn_over_time():
    wanted, reached, _ = performance()
    off = [np.degrees(np.linalg.norm(q - wanted.at(CLOCK)[0][0], axis=1)) for q in reached]
    most = max(each[::3].max() for each in off)
    top = next(limit for limit in (4, 8, 20, 40, 80, 200) if most <= limit)
    frame, page = Frame(420, MARGIN, (0, 3), (0, top), width=600), wide()
    for n, each in enumerate(off, start=3):
        points = frame.points(CLOCK[::3], each[::3])
        assert_drawn(page["curves"][n], points[: MOMENT // 3 + 1])
        assert_drawn(page["ghosts"][n], points[MOMENT // 3 :])
    assert_drawn(page["now"][0], frame.points([1.08, 1.08], [0, top]))
    assert page["notes"] == ["", "both joints together"]
    metres = ["−1", "−0.5", "0", "0.5", "1"]
    seconds, angles = ["0", "1", "2", "3"], [f"{top * k / 4:g}" for k in range(5)]
    assert page["words"] == [*metres, *metres, "metres", *seconds, *angles, "seconds", "degrees"]


@pytest.mark.parametrize("payload", [2.0, 2.1])
def test_two_kilograms_are_the_most_in_training(payload):
    beyond = payload > arm.RANGES["payload"][1]
    said = wide(payload=payload, n_inner_steps=0)["said"][0]
    assert f"Payload {payload} kg, friction 0.40." in said
    assert ("Beyond training: payload (in training up to 2.0 kg)" in said) == beyond


@pytest.mark.parametrize("name", ["maml", "joint"])
def test_the_sentence_says_how_far_off_each_arm_is(name):
    wanted, reached, _ = performance(name)
    errors = [arm.tracking_error(q[None], wanted)[0] for q in reached]
    assert wide(start=name)["said"] == [
        "Payload 2.6 kg, friction 0.40. Off the wanted angles over the whole motion but its first "
        f"three tenths of a second, root mean square: {errors[0]:.1f}° as trained, "
        f"{errors[1]:.1f}° after 2 inner steps on 0.75 s of motion, {errors[2]:.1f}° with the "
        f"torques of the true arm.{BEYOND}"
    ]


def test_an_adaptation_that_changes_nothing_or_does_harm_is_named():
    nothing = " At 0 inner steps nothing is adapted: both networks move the same."
    alike = ("read", ".maml-figure", "data-alike")
    marks = show(figure(), *[alike, ("set", {"n_inner_steps": 0}), ("wait", 20), alike])
    assert marks == [["false"], ["true"]]  # the style sheet makes room for both lines
    assert nothing in wide(n_inner_steps=0)["said"][0] and nothing not in wide()["said"][0]
    moments, usual = [{"q": [0, 0]}] * 60, {"seconds": 1.0, "payload": 1.0}
    traits = traits_of(figure(**usual))
    degrees = [(2.1, True), (2.04, False), (1, False)]
    off = lambda angle: {"reached": [[np.radians(angle), 0]] * 60}  # noqa: E731
    views = [
        {"finite": True, "moments": moments, "followers": [off(2), off(end), off(1)]}
        for end, _ in degrees
    ]
    said = run_node("arm", [("describe", [traits, view]) for view in views])
    assert [one.endswith(" Adapting made it worse.") for one in said] == [bad for _, bad in degrees]


def test_the_adapted_arm_and_its_lines_lie_below_the_others():
    """They are wider and solid, so that all can be seen where all are in one place."""
    layers = [look for look in wide()["looks"] if look and look.startswith("mf-role-")]
    assert layers == ["mf-role-adapted", "mf-role-before", "mf-role-oracle"] * 4


def test_at_the_start_all_lines_are_ghosts():
    curves, ghosts = show(figure(), ("wait", 3000), READS["curves"], READS["ghosts"])
    assert [len(numbers(path)) for path in curves] == [1] * 6
    assert [len(numbers(path)) for path in ghosts] == [N_COMMANDS // 3] * 6


def test_the_sentence_where_the_loop_diverged(monkeypatch):
    sent = {**traits_of(figure(payload=1.0, seconds=0.5)), "alpha_maml": 1e300}
    monkeypatch.setattr(page, "traits_of", lambda _: sent)
    found = wide(payload=1.0, seconds=0.5)
    load = "Payload 1.0 kg, friction 0.40"
    said = f"{load}: the inner loop diverged within 2 inner steps on 0.50 s of motion."
    said += in_training("data (in training only 1.00 seconds)")
    assert found["said"] == [said]
    assert [len(numbers(path)) for path in found["links"]] == [3, 1, 3]
    assert found["shown"] == ["visible", "hidden", "visible"]


def test_the_arms_are_set_in_motion_until_the_end():
    frame = Frame(330, MARGIN, (0, 3), (0, 1))
    first, later, end, words, again, back = show(
        figure(n_inner_steps=0),
        *[("wait", 3000), NOW, MOVE, ("wait", 95), NOW],
        *[("wait", 4000), NOW, ("read", "button.mf-primary")],
        *[MOVE, ("wait", 65), NOW, ("press", "Reset"), ("wait", 200), NOW],
    )
    times = [0, 0.09, 2.99, 0.06, 0]
    for path, seconds in zip((first, later, end, again, back), times, strict=True):
        assert numbers(path[0])[0, 0] == pytest.approx(frame.px(seconds), abs=0.051)
    assert words == ["▶ Move"]


@pytest.mark.parametrize("still", [False, True])
def test_at_the_end_the_arms_stand_where_they_arrived(still):
    """For those who want nothing to move by itself they are there at once."""
    [links] = show(
        figure(n_inner_steps=0),
        *[("still", still), ("wait", 3000), MOVE, ("wait", 20 if still else 4000), READS["links"]],
    )
    links = as_listed(links)
    frame = Frame(330, MARGIN, *[(-1.2, 1.2)] * 2)
    for path, q in zip(links, performance(n_inner_steps=0)[1], strict=True):
        assert_drawn(path, frame.points(*np.vstack([[0, 0], hands(q)[-1]]).T))


def test_each_start_has_its_own_rate(monkeypatch):
    usual = wide(start="joint")["said"]
    sent = {**traits_of(figure(start="joint")), "alpha_maml": 1e300}
    monkeypatch.setattr(page, "traits_of", lambda _: sent)
    assert show(figure(), ("wait", 3000), STATUS) == [usual]


def test_arms_that_are_not_there_yet_stand_where_they_are():
    paths, links = show(
        figure(n_inner_steps=0),
        *[("still", True), MOVE, ("wait", 250), ("read", ".mf-arm-path", "d"), READS["links"]],
    )
    paths, links = as_listed(paths), as_listed(links)
    frame, reached = Frame(330, MARGIN, *[(-1.2, 1.2)] * 2), performance(n_inner_steps=0)[1]
    n = 3 * len(numbers(paths[0]))  # every third command is drawn
    assert 0 < n < N_COMMANDS
    for path, q in zip(links, reached, strict=True):
        assert_drawn(path, frame.points(*np.vstack([[0, 0], hands(q)[n - 1]]).T))


def test_nothing_goes_on_once_the_figure_is_left():
    before, after = show(figure(), ("press", "▶ Move"), ("left",), ("leave",), ("left",))
    assert before[0] > 0 and after == [0, 0, 0, 0]


def test_what_the_looks_mean_and_what_the_sliders_say():
    words, looks, paths, labels, steps, values, *heights = show(
        figure(n_inner_steps=0), *LEGEND, *SLIDERS, *HEIGHTS
    )
    movers = ["network as it was trained", "network adapted to the data", "torques of the true arm"]
    assert words == [*movers, "motion that is wanted"]
    assert looks == ["mf-role-before", "mf-role-adapted", "mf-role-oracle", ""]
    assert paths == ["mf-curve"] * 3 + ["mf-truth"]
    assert labels == ["inner steps", "payload, kg", "friction", "data, seconds"]
    assert [float(v) for v in steps] == [1, 0.1, 0.05, 0.05]
    assert values == ["0", "2.6, beyond training", "0.40", "0.75, beyond training"]
    assert heights == [["90"] * 2, ["420"] * 2, ["420"] * 2]  # a square up to 430 pixels


def test_controls_reach_what_python_allows_and_reset_goes_back():
    traits = ("traits", "payload", "friction", "seconds", "n_inner_steps", "start", "seed")
    lows, highs, before, other, after = show(
        figure(),
        *[("read", "input[type=range]", name) for name in ("min", "max")],
        *[traits, ("press", "Another motion"), ("slide", "input[type=range]", 1, 0.7)],
        *[("check", "input[type=radio]", 1, True), traits, ("press", "Reset"), traits],
    )
    limits = [getattr(LiftIt, name) for name in ("n_inner_steps", "payload", "friction", "seconds")]
    assert [float(v) for v in lows] == [kind.min for kind in limits]
    assert [float(v) for v in highs] == [kind.max for kind in limits]
    assert before == after == [2.6, 0.4, 0.75, 2, "maml", 7]
    assert other == [0.7, 0.4, 0.75, 2, "joint", 8]
