"""Reach it: the walks and updates of the page, what it shows and says, against NumPy."""

from functools import cache
from itertools import islice

import numpy as np
import page
import pytest
from node import as_sent, flat, mulberry32, relative_error, run_node
from page import (
    LEGEND,
    SLIDERS,
    STATUS,
    Frame,
    assert_drawn,
    heights,
    in_training,
    numbers,
    show,
    traits_of,
)

from maml_teach.applications import navigation
from maml_teach.applications.navigation import HORIZON, MODEL, REACH, Goals
from maml_teach.data import load
from maml_teach.widgets import ReachIt

NET = {"sizes": list(MODEL.sizes), "activation": "tanh"}
GOAL = [0.6, -0.4]
SETTINGS = {"goal": GOAL, "alpha": 0.15, "n_inner_steps": 3, "n_walks": 6, "seed": 4}
WIDE = 600
HALF = 0.95 * 554 / 414  # half the width of the plane, as many units as pixels
PLANE = Frame(446, (8, 8, 24, 38), (-HALF, HALF), (-0.95, 0.95), width=WIDE)
GOAL_TRAIT = ("traits", "goal")
HEIGHTS = heights(100, 450, 2000)
BEFORE, AFTER = "mf-role-before", "mf-role-adapted"


BEYOND = in_training("inner steps (in training up to 1), walks per step (in training only 20)")


def start(name="maml"):
    return np.float32(load("robot")[f"policy {name}"]).astype(float)


@cache
def noise(seed=4):
    """For each update, step and walk two standard normal numbers, from the uniforms of a seed."""
    u = np.array(list(islice(mulberry32(seed), 2 * 6 * HORIZON * 80)))
    normal = np.sqrt(-2 * np.log(1 - u[::2])) * np.cos(2 * np.pi * u[1::2])
    return normal.reshape(6, HORIZON, 40, 2)


@cache
def rounds(name="maml", later=0.2):
    """States with the place where the walks ended, and rewards, before and after each update."""
    theta, found, goals = start(name)[None], [], np.tile(GOAL, (1, 6, 1))
    for k in range(4):
        chance = np.moveaxis(noise()[k][:, :6], 0, 1).reshape(1, 6, -1)
        states, actions, rewards = navigation.walk(MODEL, theta, chance, goals)
        end = states[:, :, -1:] + REACH * np.clip(actions[:, :, -1:], -1, 1)
        found.append((np.concatenate([states, end], axis=2)[0], rewards[0]))
        x, y = navigation.surrogate(states, actions, navigation.advantages(states, rewards))
        theta = navigation.update(MODEL, theta, x, y, 0.15 * (later if k else 1))
    return found


def returns(name="maml", later=0.2):
    return [rewards.sum(axis=1).mean() for _, rewards in rounds(name, later)]


def figure(**change):
    return ReachIt.from_package(**{**SETTINGS, **change})


READS = {
    "said": STATUS,
    "notes": ("read", ".mf-panel .mf-mse"),
    "words": ("read", ".mf-axes text"),
    "walks": ("read", ".mf-walks", "d"),
    "middles": ("read", ".mf-middles path", "d"),
    "looks": ("read", ".mf-middles g", "class"),
    "labels": ("read", ".mf-middles text"),
    "label x": ("read", ".mf-middles text", "x"),
    "label y": ("read", ".mf-middles text", "y"),
    "square": ("read", ".mf-panel .mf-limit", "d"),
    "goal": ("read", ".mf-drag", "transform"),
    "goal said": ("read", ".mf-drag", "aria-valuetext"),
    "curves": ("read", ".mf-panel .mf-curve", "d"),
    "best": ("read", ".mf-panel .mf-truth", "d"),
    "x": ("read", "circle.mf-dot", "cx"),
    "y": ("read", "circle.mf-dot", "cy"),
}


@cache
def wide(milliseconds=9000, **change):
    """What a wide page shows after some time; a figure is done with its work in less than nine."""
    answers = show(figure(**change), ("width", WIDE), ("wait", milliseconds), *READS.values())
    return dict(zip(READS, answers, strict=True))


def test_noise_is_normal_and_drawn_from_the_seed():
    [found] = run_node("navigation", [("allNoise", [4])])
    assert np.shape(found) == (6, HORIZON, 80)
    assert relative_error(found, noise()) < 1e-9
    assert np.std(found) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("later", ["fifth", "same"])
def test_walks_and_updates_are_those_of_numpy(later):
    given = [traits_of(figure(later=later)), NET, flat(start())]
    [found] = run_node("navigation", [("learned", given)])
    wanted = rounds(later={"fifth": 0.2, "same": 1}[later])
    assert len(found) == 4
    for theirs, (states, rewards) in zip(found, wanted, strict=True):
        assert relative_error(theirs["states"], np.swapaxes(states[:, :-1], 0, 1)) < 1e-9
        assert relative_error(theirs["rewards"], rewards.T) < 1e-9
        assert relative_error(theirs["middle"], states[:, :-1].mean(axis=0)) < 1e-9
        assert relative_error(theirs["path"], states[1]) < 1e-9
    assert len({round(value, 1) for value in returns()}) == 4


def test_the_axis_of_returns_holds_the_lowest():
    lows = {-3: -20, -20: -20, -20.5: -30, -55: -60, -150: -200, -999: -400}
    axes = run_node("navigation", [("returnAxis", [least]) for least in lows])
    wanted = [{"min": low, "max": 0, "ticks": [low, low / 2, 0]} for low in lows.values()]
    assert axes == wanted


def test_first_and_last_walks_and_all_means_are_drawn():
    found = wide()
    for path, (states, _) in zip(found["walks"], (rounds()[0], rounds()[3]), strict=True):
        assert path.count("M") == 6
        assert_drawn(path, PLANE.points(*np.concatenate(states).T))
    for k, (states, _) in enumerate(rounds()):
        mean = states[:, :-1].mean(axis=0)
        assert_drawn(found["middles"][k], PLANE.points(*mean.T))
        x, y = PLANE.points(*mean[-1])
        label = np.array([float(found[f"label {axis}"][k]) for axis in "xy"])
        assert np.hypot(*(label - (x, y))) < 36  # pixels, wherever there is room
    assert found["labels"] == ["0", "1", "2", "3"]
    assert found["looks"] == [BEFORE, *[f"{AFTER} mf-between"] * 2, AFTER]


def test_before_any_update_there_are_no_last_walks():
    found = wide(n_inner_steps=0)
    states = rounds()[0][0]
    assert_drawn(found["walks"][0], PLANE.points(*np.concatenate(states).T))
    assert found["walks"][1] == "" and found["labels"] == ["0"]


def test_the_goal_and_the_square_of_the_training_goals_are_drawn():
    found, side = wide(), Goals().half_width
    corners = side * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    assert_drawn(found["square"][0], PLANE.points(*corners.T))
    assert numbers(found["goal"][0])[0] == pytest.approx(PLANE.points(*GOAL))
    assert found["goal said"] == ["at 0.60, −0.40"]


def test_returns_are_drawn_over_updates_with_the_best():
    best, found = navigation.straight(np.array([GOAL]))[0], wide()
    low = next(v for v in (20, 30, 40, 60, 100, 200) if -min(returns()) <= v)
    frame = Frame(446, (8, 12, 34, 50), (-0.3, 5.3), (-low, 0), width=WIDE)
    assert_drawn(found["best"][0], frame.points([-0.3, 5.3], [best, best]))
    points = frame.points(np.arange(4), returns())
    assert_drawn(found["curves"][-1], points)
    assert np.abs(np.array([found["x"], found["y"]], float).T - points).max() < 1e-6
    assert found["notes"] == [
        "drag the goal",
        f"dashed: straight to the goal, {best:.1f}".replace("-", "−"),
    ]
    ticks = [f"{v:g}".replace("-", "−") for v in (-low, -low / 2, 0)]
    halves, updates = ["−0.5", "0", "0.5"], [str(k) for k in range(6)]
    assert found["words"] == [*halves, *halves, *updates, *ticks, "updates", "return"]


def test_walks_that_are_not_done_have_no_return_yet():
    found = wide(2200)
    assert found["labels"] == ["0", "1"] and len(found["x"]) == 1
    assert found["looks"] == [BEFORE, AFTER]
    assert found["said"] == [""]


@pytest.mark.parametrize(("name", "later"), [("maml", "fifth"), ("joint", "same")])
def test_the_sentence_gives_all_returns(name, later):
    texts = [f"−{-value:.1f}" for value in returns(name, {"fifth": 0.2, "same": 1}[later])]
    best = f"−{-navigation.straight(np.array([GOAL]))[0]:.1f}"
    slower = ", then a fifth of it" if later == "fifth" else ""
    assert wide(start=name, later=later)["said"] == [
        "Goal at 0.60, −0.40, outside the square of the training: mean return of 6 walks "
        f"{texts[0]} before adapting, {', '.join(texts[1:])} after updates 1 to 3 "
        f"(α = 0.150{slower}); straight to the goal {best}.{BEYOND}"
    ]


def settings(**change):
    usual = {"goal": [0.5, -0.5], "alpha": 0.1, "later": 0.2, "nWalks": 1, "nUpdates": 1}
    return {**usual, "ends": [-0.5, 0.5], "beyond": "", **change}


STRAIGHT = f"straight to the goal −{0.5 * 2**0.5 * 2:.1f}."  # 0.4 + 0.3 + 0.2 + 0.1 along each


def test_the_sentence_follows_its_settings():
    """Returns of -7, -6 and so on, of one step each."""
    places = ({"nUpdates": 0}, {}, {"nUpdates": 2}, {"nUpdates": 2, "later": 1}, {"nWalks": 2})
    cases = [settings(**change) for change in places]
    rounds = [[{"rewards": [[k - 7]]} for k in range(one["nUpdates"] + 1)] for one in cases]
    said = run_node(
        "navigation", [("describe", list(both)) for both in zip(cases, rounds, strict=True)]
    )
    first, walk = "Goal at 0.50, −0.50: mean return of ", "1 walk −7.0 before adapting"
    after = [
        walk,
        f"{walk}, −6.0 after 1 update (α = 0.100)",
        f"{walk}, −6.0, −5.0 after updates 1 and 2 (α = 0.100, then a fifth of it)",
        f"{walk}, −6.0, −5.0 after updates 1 and 2 (α = 0.100)",
        "2 walks −7.0 before adapting, −6.0 after 1 update (α = 0.100)",
    ]
    assert said == [f"{first}{words}; {STRAIGHT}" for words in after]


def test_an_adaptation_that_does_harm_is_named():
    """By the return after the last update."""
    ends = [([-7.1], True), ([-7.04], False), ([-9, -6], False), ([-6, -8], True)]
    rounds = [[{"rewards": [[value]]} for value in (-7, *after)] for after, _ in ends]
    said = run_node(
        "navigation",
        [("describe", [settings(nUpdates=len(one) - 1), one]) for one in rounds],
    )
    assert [one.endswith(" Adapting made it worse.") for one in said] == [bad for _, bad in ends]


def test_no_square_is_drawn_where_training_is_not_known():
    [square], words, said = show(
        figure(trained={}), ("wait", 9000), READS["square"], LEGEND[0], STATUS
    )
    assert square is None and "square of the training goals" not in words
    assert "training" not in said[0]


def test_the_sentence_where_a_policy_is_no_longer_finite():
    far = settings(alpha=0.9, goal=[0.2, 0.51])
    lost = [{"rewards": [[-7]]}, {"rewards": [[-1e308], [-1e308]]}]
    assert run_node("navigation", [("describe", [far, lost])]) == [
        "Goal at 0.20, 0.51, outside the square of the training: "
        "the policy is no longer finite, α = 0.900 is too large."
    ]


def test_a_policy_that_is_no_longer_finite_walks_nowhere(monkeypatch):
    lost = np.full(MODEL.n_params, np.nan, np.float32).tobytes()
    one = figure(n_inner_steps=0)
    sent = {**traits_of(one), "maml": {"base64": as_sent(lost)}}
    monkeypatch.setattr(page, "traits_of", lambda _: sent)
    middles, labels, said = show(
        one, ("wait", 3000), *[READS[name] for name in ("middles", "labels", "said")]
    )
    assert middles == labels == [] and "the policy is no longer finite" in said[0]


def test_nothing_goes_on_once_the_figure_is_left():
    before, after = show(figure(), ("wait", 50), ("left",), ("leave",), ("left",))
    assert before[0] > 0 and after == [0, 0, 0, 0]


def test_the_goal_is_dragged_within_reach():
    frame = Frame(326, (8, 8, 24, 38), *[(-0.95, 0.95)] * 2)  # here the plane is a square
    at = lambda x, y: dict(zip(("clientX", "clientY"), frame.points(x, y), strict=True))  # noqa: E731
    goal = (".mf-drag", 0)
    key = lambda name, shift=False: ("event", *goal, "keydown", {"key": name, "shiftKey": shift})  # noqa: E731
    dragged, far, left, up, reset = show(
        figure(n_inner_steps=0, n_walks=1),
        *[
            ("event", *goal, "pointerdown", at(*GOAL)),
            ("event", *goal, "pointermove", at(0.1, 0.3)),
        ],
        *[GOAL_TRAIT, ("event", *goal, "pointermove", at(2, -2)), GOAL_TRAIT],
        *[("event", *goal, "pointerup"), ("wait", 3000), key("ArrowLeft"), GOAL_TRAIT],
        *[("wait", 3000), key("ArrowUp", True), GOAL_TRAIT, ("press", "Reset"), GOAL_TRAIT],
    )
    assert dragged == [pytest.approx([0.1, 0.3])] and far == [[0.9, -0.9]]
    assert left == [pytest.approx([0.88, -0.9])] and up == [pytest.approx([0.88, -0.7])]
    assert reset == [GOAL]


def test_what_the_looks_mean_and_what_the_sliders_say():
    words, looks, paths, labels, steps, values, *heights = show(
        figure(n_inner_steps=0, n_walks=1), *LEGEND, *SLIDERS, *HEIGHTS
    )
    assert words == [
        *["before adapting: walks and their mean", "means in between", "after the last update"],
        "square of the training goals",
    ]
    assert looks == [BEFORE, f"{AFTER} mf-between", AFTER, ""]
    assert paths == ["mf-curve"] * 3 + ["mf-limit"]
    assert labels == ["inner steps", "rate α", "walks per step"]
    assert [float(v) for v in steps] == [1, 0.02, 1]
    assert values == ["0", "0.150", "1, beyond training"]
    assert heights == [["86"] * 2, ["436"] * 2, ["446"] * 2]


def test_controls_reach_what_python_allows_and_reset_goes_back():
    names = ("alpha", "n_inner_steps", "n_walks", "start", "later", "seed")
    traits = ("traits", *names)
    lows, highs, before, other, after = show(
        figure(),
        *[("read", "input[type=range]", name) for name in ("min", "max")],
        *[traits, ("press", "Walk again"), ("slide", "input[type=range]", 1, np.log10(0.5))],
        *[("check", "input[type=radio]", 1, True), ("check", "input[type=radio]", 2, True)],
        *[traits, ("press", "Reset"), traits],
    )
    limits = [getattr(ReachIt, k) for k in ("n_inner_steps", "alpha", "n_walks")]
    scales = (float, lambda v: 10 ** float(v), float)
    for found, end in ((lows, "min"), (highs, "max")):
        values = [scale(v) for scale, v in zip(scales, found, strict=True)]
        assert values == pytest.approx([getattr(kind, end) for kind in limits])
    assert before == after == [0.15, 3, 6, "maml", "fifth", 4]
    assert other == [0.5, 3, 6, "joint", "same", 5]


def test_another_seed_draws_other_noise():
    first, second, again = show(
        figure(n_inner_steps=0, n_walks=2),
        *[("wait", 3000), STATUS, ("set", {"seed": 5}), ("wait", 3000), STATUS],
        *[("set", {"seed": 4}), ("wait", 3000), STATUS],
    )
    assert first == again != second
