"""Every number in ``robot.npz`` again, and which arms and goals its script chose and judged on."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import train_robot as script
from shipped import adapted_by_torch, joined, made_by, meta_gradient, trained_by_torch

from maml_teach import data, maml_torch
from maml_teach.applications import arm, navigation
from maml_teach.applications.arm import Swings
from maml_teach.applications.navigation import Goals

SHIPPED = data.load("robot")
INNER = json.loads(str(SHIPPED["inner"]))
RATES = json.loads(str(SHIPPED["rates"]))
NET = maml_torch.MLP((9, 64, 64, 2), "tanh", "mse")
SMALL = {
    "made_by": "scripts/train_robot.py",
    "arm": {
        **script.ARM,
        "seeds": [0, 1],
        "n_tasks": 3,
        "n_meta_steps": dict.fromkeys(script.ARM["n_meta_steps"], 20),
        "test": {"n_arms": 3, "seed": 12345, "n_shots": [5]},
        "choice": {"n_arms": 4, "seed": 54321},
        "n_steps": 36,
        "rates": [0.02, 0.1],
        "adam_rates": [1e-3],
        "steps": [3],
        "adam_steps": [2, 10],
    },
    "navigation": {
        **script.NAVIGATION,
        "seeds": [0, 1],
        "n_meta_steps": dict.fromkeys(script.NAVIGATION["n_meta_steps"], 5),
        "n_tasks": 3,
        "n_shots": 4,
        "n_queries": 6,
        "test": {"n_goals": 3, "seed": 12345},
        "choice": {"n_goals": 5, "seed": 54321},
        "rates": [0.1, 0.5],
        "later": [0.02, 0.2],
        "n_updates": 3,
    },
}
BETAS = 12 * [2e-3] + 5 * [6e-4] + 3 * [2e-4]
LOOPS = {
    "maml": ("maml", torch.optim.SGD),
    "maml 3": ("maml", torch.optim.SGD),
    "maml 10": ("maml", torch.optim.SGD),
    "maml frozen": ("maml", torch.optim.SGD),
    "fomaml": ("fomaml", torch.optim.SGD),
    "joint": ("joint", torch.optim.SGD),
    "joint adam": ("joint", torch.optim.Adam),
    "joint frozen": ("joint", torch.optim.SGD),
    "scratch": ("scratch", torch.optim.Adam),
}
FIXED = {"maml 3": [0.1, 3], "maml 10": [0.1, 10], "maml frozen": [0.1, 0]}
FIXED |= {"joint frozen": [0.1, 0]}
LOADS = {"": {}, "heavy ": {"payload": (2.5, 4.0)}}
FEW = slice(2)


def circumstances(what, n_shots, ranges=None):
    """Arms, what they measured, and the motions to be tracked."""
    rng = np.random.default_rng(what["seed"])
    arms = arm.sample_arms(rng, what["n_arms"], **(ranges or {}))
    motion = arm.sample_motion(rng, what["n_arms"])
    return arms, Swings().of(arms, rng, n_shots, 1), motion


def random_start(seed, model=arm.MODEL):
    return model.init(np.random.default_rng(1000 + seed))


def off_in_degrees(arms, motion, torques):
    """Root mean square of the angle between reached and wanted, after the first 30 steps."""
    reached = arm.track(arms, motion, torques)[:, 30:]
    wanted = motion.at(arm.DT * np.arange(torques.shape[1]))[0][:, 30:]
    return np.sqrt(np.mean(np.sum((reached - wanted) ** 2, axis=2), axis=1)) * 180 / np.pi


def errors(trackers, n_steps):
    """Tracking errors of ``(arms, networks, motion)``, all moving at once."""
    arms, thetas, motions = zip(*trackers, strict=True)
    motion, times = joined(motions), arm.DT * np.arange(n_steps)
    torques = arm.expected_torques(arm.MODEL, np.concatenate(thetas), motion, times)
    found = off_in_degrees(joined(arms), motion, torques)
    return np.split(found, np.cumsum([len(one) for one in arms])[:-1])


def tracker(start, optimizer, inner, arms, tasks, motion):
    """One network for each arm, adapted to what it measured."""
    return arms, adapted_by_torch(NET, start, tasks, optimizer, *inner), motion


def best_of_table(start, optimizer, n_shots, settings):
    """The rate and number of steps with the least mean error on the choice arms."""
    kind = "adam_" if optimizer is torch.optim.Adam else ""
    pairs = list(product(settings[f"{kind}rates"], settings[f"{kind}steps"]))
    field = circumstances(settings["choice"], n_shots)
    trackers = [tracker(start, optimizer, pair, *field) for pair in pairs]
    means = [one.mean() for one in errors(trackers, settings["n_steps"])]
    return list(pairs[int(np.nanargmin(means))])  # not a number where a rate diverges


ALONE = ["feedback", "fitted", "fitted with prior", "true"]


def without_network(name, arms, tasks, motion, n_steps):
    """Torques of who has none, of who fits the seven numbers, and of who knows them."""
    state = motion.at(arm.DT * np.arange(n_steps))
    if name == "true":
        return arm.torques(arms, *state)
    numbers = {
        "feedback": lambda: np.zeros((len(arms), 7)),
        "fitted": lambda: arm.identified(tasks),
        "fitted with prior": lambda: arm.identified_with_prior(
            tasks, *arm.prior(np.random.default_rng(0))
        ),
    }[name]()
    return (arm.regressor(*state) * numbers[:, None, None]).sum(axis=-1)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """What the script makes with small settings, its runs, and the arms and goals it met."""
    folder, met, stage = tmp_path_factory.mktemp("robot"), {}, ["judge"]

    def staged(function):
        def choosing(*arguments):
            stage[0] = "choose"
            chosen = function(*arguments)
            stage[0] = "judge"
            return chosen

        return choosing

    def tracked(arms, motion, feedforward):
        met.setdefault(("arms", stage[0]), set()).update(arms.payload)
        return original["tracked"](arms, motion, feedforward)

    def updates(model, theta, rng, goals, *rest):
        met.setdefault(("goals", stage[0]), set()).update(goals[:, 0])
        return original["updates"](model, theta, rng, goals, *rest)

    def sample(self, rng, *counts):
        tasks = original["sample"](self, rng, *counts)
        met.setdefault(("goals", "train"), set()).update(tasks.y_support[:, 0, 0])
        return tasks

    def of(self, arms, rng, n_shots, n_queries):
        if n_queries == 40:  # scored in training only
            met.setdefault(("arms", "train"), set()).update(arms.payload)
        return original["of"](self, arms, rng, n_shots, n_queries)

    original = {"tracked": script.tracked, "updates": navigation.updates}
    original |= {"sample": Goals.sample, "of": Swings.of}
    patches = {name: staged(getattr(script, name)) for name in ("choose", "choose_rates")}
    patches["one_model_seconds"] = lambda *_: {}  # times what is none of these
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(navigation, "updates", updates)
        patch.setattr(Goals, "sample", sample)
        patch.setattr(Swings, "of", of)
        made = made_by(script, "robot", SMALL, folder, tracked=tracked, **patches)
    thetas = {file.stem: np.load(file)["theta"] for file in folder.glob("*_?.npz")}
    return made, thetas, met


def test_the_shipped_file_is_of_these_settings():
    assert json.loads(str(SHIPPED["config"])) == script.CONFIG
    labels = [f"{load}{n}" for n in (10, 20, 40) for load in LOADS]
    rows = [f"arm {name}, {label}" for label in labels for name in LOOPS]
    alone = [f"arm {name}, {label}" for label in labels for name in ALONE]
    walks = [f"navigation {name}" for name in ("maml", "joint", "random", "maml steady")]
    nets = ["arm maml", "arm joint", "policy maml", "policy joint"]
    rest = ["config", "inner", "seconds", "rates", "navigation straight", "navigation located"]
    assert set(SHIPPED) == {*rows, *alone, *walks, *nets, *rest}
    assert {SHIPPED[row].shape for row in rows} == {(3, 100)}
    assert {SHIPPED[row].shape for row in walks} == {(3, 100, 6)}
    assert (Path(data.__file__).parent / "robot.npz").stat().st_size < 300_000


@pytest.mark.parametrize("what", ["arms", "goals"])
def test_what_is_trained_on_chosen_on_and_judged_on_differ(small, what):
    train, choose, judge = (small[2][what, stage] for stage in ("train", "choose", "judge"))
    n_each = {"arms": (3 * 20 * 2, 4, 3 + 3), "goals": (3 * 5 * 2, 5, 3)}  # + 3: heavy ones
    assert (len(train), len(choose), len(judge)) == n_each[what]
    assert not train & choose and not train & judge and not choose & judge


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", script.GRADIENTS)
def test_training_of_arms_is_adam_at_falling_rates(small, name, seed):
    def gradient(theta, tasks):
        steps = 0 if name == "joint" else 3
        return meta_gradient(NET, theta, tasks, 0.1, steps, second_order=name == "maml")

    rng = np.random.default_rng(seed)
    start = arm.MODEL.init(rng)
    wanted = trained_by_torch(gradient, start, Swings(), (3, 20, 40), BETAS, rng)
    assert np.abs(small[1][f"arm_{name}_{seed}"] - wanted).max() < 1e-9


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["maml", "joint"])
def test_training_of_policies_is_adam_at_falling_rates(small, name, seed):
    meta = {"maml": navigation.maml_gradient, "joint": navigation.joint_gradient}[name]

    def gradient(theta, tasks):
        return meta(navigation.MODEL, theta.numpy(), tasks, alpha=0.1, n_inner_steps=1)[1]

    rng = np.random.default_rng(seed)
    start, betas = navigation.MODEL.init(rng), 3 * [5e-3] + 2 * [1e-3]
    wanted = trained_by_torch(gradient, start, Goals(), (3, 4, 6), betas, rng)
    assert np.abs(small[1][f"navigation_{name}_{seed}"] - wanted).max() < 1e-9


@pytest.mark.parametrize("name", ["maml", "joint"])
def test_the_file_keeps_the_networks_of_the_first_seed(small, name):
    made, thetas, _ = small
    assert np.array_equal(made[f"arm {name}"], np.float32(thetas[f"arm_{name}_0"]))
    assert np.array_equal(made[f"policy {name}"], np.float32(thetas[f"navigation_{name}_0"]))


def starts_of(thetas, seed):
    """The networks of one seed of the small run by name."""
    starts = {name: thetas[f"arm_{name}_{seed}"] for name in script.GRADIENTS}
    return {**starts, "scratch": random_start(seed)}


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("n_shots", [5])
def test_every_tracking_error_of_a_small_run(small, n_shots, load):
    made, thetas, _ = small
    inner, settings = json.loads(str(made["inner"])), SMALL["arm"]
    field = circumstances(settings["test"], n_shots, LOADS[load])
    label = f"{load}{n_shots}"
    for seed in settings["seeds"]:
        starts, own = starts_of(thetas, seed), inner[str(n_shots)][seed]
        trackers = [tracker(starts[s], o, own[name], *field) for name, (s, o) in LOOPS.items()]
        found = [made[f"arm {name}, {label}"][seed] for name in LOOPS]
        assert np.allclose(found, errors(trackers, 36), rtol=1e-6, atol=0)
    for name in ALONE:
        off = off_in_degrees(field[0], field[2], without_network(name, *field, 36))
        assert np.allclose(made[f"arm {name}, {label}"], [off], rtol=1e-6, atol=0)


@pytest.mark.parametrize("n_shots", [5])
def test_the_inner_loops_of_a_small_run_are_the_best_of_their_tables(small, n_shots):
    made, thetas, _ = small
    for seed, chosen in enumerate(json.loads(str(made["inner"]))[str(n_shots)]):
        starts = starts_of(thetas, seed)
        wanted = {
            name: FIXED.get(name) or best_of_table(starts[start], optimizer, n_shots, SMALL["arm"])
            for name, (start, optimizer) in LOOPS.items()
        }
        assert chosen == wanted


def test_a_rate_that_diverges_is_not_chosen():
    settings = {**SMALL["arm"], "rates": [1e300, 0.02], "steps": [2]}
    assert script.choose(random_start(0), script.descend, 5, settings) == (0.02, 2)


def returns(theta, what, rates, n_walks):
    """Returns after each update, to goals and with noise of one generator."""
    rng = np.random.default_rng(what["seed"])
    goals = rng.random((what["n_goals"], 2)) - 0.5
    return navigation.updates(navigation.MODEL, theta, rng, goals, n_walks, rates)


def policies(thetas, seed):
    starts = {name: thetas[f"navigation_{name}_{seed}"] for name in ("maml", "joint")}
    return {**starts, "random": random_start(seed, navigation.MODEL), "maml steady": starts["maml"]}


def best_rates(theta, settings):
    """The first rate by the return after it, the later one by that after two more of its size."""
    what, n_walks = settings["choice"], settings["n_shots"]
    ends = [returns(theta, what, [a], n_walks)[:, 1].mean() for a in settings["rates"]]
    first = settings["rates"][int(np.argmax(ends))]
    ends = [returns(theta, what, [first, a, a], n_walks)[:, 3].mean() for a in settings["later"]]
    return [first, settings["later"][int(np.argmax(ends))]]


@pytest.mark.parametrize("name", ["maml", "joint", "random", "maml steady"])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_return_and_rate_of_a_small_run(small, seed, name):
    made, thetas, _ = small
    settings, theta = SMALL["navigation"], policies(thetas, seed)[name]
    chosen = json.loads(str(made["rates"]))[seed][name]
    assert chosen == ([0.1, 0.1] if name == "maml steady" else best_rates(theta, settings))
    wanted = returns(theta, settings["test"], [chosen[0], chosen[1], chosen[1]], 4)
    assert np.allclose(made[f"navigation {name}"][seed], wanted, rtol=1e-6, atol=0)


STORED = [(name, 0) for name in LOOPS if name not in ("fomaml", "scratch")]
ROWS = [*STORED, *[("scratch", seed) for seed in script.ARM["seeds"]]]
LABELS = [f"{load}{n}" for n in (10, 20, 40) for load in LOADS]


@pytest.fixture(scope="module")
def tracked_again():
    """Errors of the first test arms for each row whose network is known.

    Some arms enlarge any rounding: the second array says which do not, by tracking once more with
    networks that differ by a billionth.
    """
    trackers, keys = [], list(product(LABELS, ROWS))
    for label, (name, seed) in keys:
        load, n_shots = "heavy " * ("heavy" in label), label.split()[-1]
        arms, tasks, motion = circumstances(script.ARM["test"], int(n_shots), LOADS[load])
        motion = arm.Motion(*(one[FEW] for one in vars(motion).values()))
        few = arm.Arms(*(one[FEW] for one in vars(arms).values())), tasks.select(FEW), motion
        kind, optimizer = LOOPS[name]
        start = random_start(seed) if kind == "scratch" else SHIPPED[f"arm {kind}"].astype(float)
        trackers.append(tracker(start, optimizer, INNER[n_shots][seed][name], *few))
    nudged = [(arms, (1 + 1e-9) * theta, motion) for arms, theta, motion in trackers]
    found = np.reshape(errors(trackers + nudged, 300), (2, len(keys), -1))
    steady = np.abs(found[1] / found[0] - 1) < 1e-6
    assert steady.mean() > 0.9
    return dict(zip(keys, zip(found[0], steady, strict=True), strict=True))


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("row", ROWS)
def test_a_shipped_row_on_the_first_arms(tracked_again, row, label):
    name, seed = row
    again, steady = tracked_again[label, row]
    found = SHIPPED[f"arm {name}, {label}"][seed, FEW]
    assert np.allclose(found[steady], again[steady], rtol=2e-6, atol=0)


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("label", ["20", "heavy 40"])
def test_who_needs_no_network_tracks_as_shipped(name, label):
    """Some arms enlarge any rounding; those that a billionth more torque moves do not count."""
    ranges = {"20": {}, "heavy 40": {"payload": (2.5, 4.0)}}[label]
    arms, tasks, motion = circumstances(script.ARM["test"], int(label[-2:]), ranges)
    torques = without_network(name, arms, tasks, motion, 300)
    both = [joined([one, one]) for one in (arms, motion)]
    nudged = np.concatenate([torques, (1 + 1e-9) * torques])
    off, again = np.split(off_in_degrees(*both, nudged), 2)
    steady = np.abs(again / off - 1) < 1e-6
    assert steady.mean() > 0.9
    found = SHIPPED[f"arm {name}, {label}"][0]
    assert np.allclose(found[steady], off[steady], rtol=1e-6, atol=0)


def test_who_fits_nothing_asks_for_no_data():
    for name, load in product(("feedback", "true"), LOADS):
        for n_shots in (20, 40):
            one, other = (SHIPPED[f"arm {name}, {load}{n}"] for n in (n_shots, 10))
            assert np.array_equal(one, other)


def test_a_shipped_inner_loop_is_the_best_on_the_choice_arms():
    best = best_of_table(SHIPPED["arm maml"].astype(float), torch.optim.SGD, 20, script.ARM)
    assert best == INNER["20"][0]["maml"]


def test_shipped_inner_loops_that_nobody_chose():
    for by_seed in INNER.values():
        assert all(chosen[name] == loop for chosen in by_seed for name, loop in FIXED.items())
    assert [chosen["maml steady"] for chosen in RATES] == 3 * [[0.1, 0.1]]


@pytest.mark.parametrize(
    ("name", "n_updates"), [("maml", 2), ("maml steady", 2), ("joint", 1), ("random", 1)]
)
def test_shipped_returns_from_the_stored_policies(name, n_updates):
    settings = script.NAVIGATION
    stored = {n: SHIPPED[f"policy {n}"].astype(float) for n in ("maml", "joint")}
    starts = {**stored, "maml steady": stored["maml"], "random": random_start(0, navigation.MODEL)}
    rates = RATES[0][name][:n_updates]
    again = returns(starts[name], settings["test"], rates, settings["n_shots"])
    found = SHIPPED[f"navigation {name}"][0, :, : n_updates + 1]
    assert np.allclose(found, again, rtol=2e-6, atol=0)


def test_the_first_update_of_shipped_policies_does_not_know_the_second_rate():
    steady, chosen = (SHIPPED[f"navigation {name}"] for name in ("maml steady", "maml"))
    assert np.array_equal(steady[:, :, :2], chosen[:, :, :2])
    assert not np.array_equal(steady[:, :, 2], chosen[:, :, 2])


def test_straight_walks_go_to_the_goals_of_the_others():
    goals = np.random.default_rng(12345).random((100, 2)) - 0.5
    ways = [np.maximum(np.abs(goals) - 0.1 * t, 0) for t in range(1, 51)]
    wanted = -sum(np.hypot(*way.T) for way in ways)
    assert np.allclose(SHIPPED["navigation straight"], wanted, rtol=1e-6, atol=1e-7)


def test_who_takes_rewards_for_distances_walks_as_shipped():
    what = script.NAVIGATION["test"]
    rng = np.random.default_rng(what["seed"])
    goals = rng.uniform(-0.5, 0.5, (what["n_goals"], 2))
    again = navigation.look_and_walk(rng, goals, 20)
    assert np.allclose(SHIPPED["navigation located"], [again], rtol=1e-5)
