"""Every number in ``driving.npz`` again, and who drove which cars when its script ran."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import train_driving as script
from shipped import adapted_by_torch, joined, made_by, meta_gradient, trained_by_torch

from maml_teach import data, maml_torch
from maml_teach.applications import driving
from maml_teach.applications.driving import Drives
from maml_teach.applications.steering import steer_along

SHIPPED = data.load("driving")
INNER = json.loads(str(SHIPPED["inner"]))
NET = maml_torch.MLP((4, 48, 48, 2), "tanh", "mse")
SMALL = {
    **script.CONFIG,
    "seeds": [0, 1],
    "n_tasks": 3,
    "n_meta_steps": dict.fromkeys(script.CONFIG["n_meta_steps"], 20),
    "test": {"n_cars": 3, "n_steps": 40, "seed": 12345, "n_shots": [5]},
    "choice": {"n_cars": 4, "n_steps": 24, "seed": 54321},
    "rates": [0.02, 0.1],
    "adam_rates": [1e-3],
    "steps": [3],
    "adam_steps": [2, 10],
}
BETAS = 12 * [2e-3] + 5 * [6e-4] + 3 * [2e-4]
LOOPS = {
    "maml": ("maml", torch.optim.SGD),
    "maml frozen": ("maml", None),
    "fomaml": ("fomaml", torch.optim.SGD),
    "joint": ("joint", torch.optim.SGD),
    "joint adam": ("joint", torch.optim.Adam),
    "joint frozen": ("joint", None),
    "scratch": ("scratch", torch.optim.Adam),
}
CONTESTS = {"10": (10, {}), "20": (20, {}), "40": (40, {}), "ice": (40, {"grip": (0.12, 0.25)})}
FEW = slice(2)


def circumstances(what, n_shots, ranges=None):
    """Cars, their drives and their roads."""
    rng = np.random.default_rng(what["seed"])
    cars = driving.sample_cars(rng, what["n_cars"], **(ranges or {}))
    curvature = driving.road(rng, cars, what["n_steps"] + 24)
    return cars, Drives().of(cars, rng, n_shots, 40), curvature


def random_start(seed):
    return driving.MODEL.init(np.random.default_rng(1000 + seed))


def root_mean_square(offsets):
    return np.sqrt(np.mean(np.minimum(np.abs(offsets[:, 20:]), 5) ** 2, axis=1))


def errors(drivers):
    """Lateral errors of drivers ``(cars, networks, curvature)``, all on the road at once."""
    cars, thetas, roads = zip(*drivers, strict=True)
    plan = driving.learned(driving.MODEL, np.concatenate(thetas))
    offsets, _ = steer_along(joined(cars), plan, np.concatenate(roads))
    return np.split(root_mean_square(offsets), np.cumsum([len(one) for one in cars])[:-1])


def driver(start, optimizer, inner, cars, tasks, curvature):
    """One network for each car, adapted to its drive."""
    optimizer, inner = (optimizer, inner) if optimizer else (torch.optim.SGD, (1.0, 0))
    return cars, adapted_by_torch(NET, start, tasks, optimizer, *inner), curvature


def best_of_table(start, optimizer, n_shots, config):
    """The rate and number of steps with the least mean error on the choice cars."""
    kind = "adam_" if optimizer is torch.optim.Adam else ""
    pairs = list(product(config[f"{kind}rates"], config[f"{kind}steps"]))
    field = circumstances(config["choice"], n_shots)
    means = [one.mean() for one in errors([driver(start, optimizer, p, *field) for p in pairs])]
    return list(pairs[int(np.nanargmin(means))])  # not a number where a rate diverges


ALONE = ["fitted", "true physics"]


def plan_of(name, tasks):
    """What the controller takes the car for: the car itself, or a fit of its equations."""
    if name == "true physics":
        return driving.step
    found = driving.fitted(tasks)
    return lambda _, state, steer: driving.step(found, state, steer)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """What the script makes with small settings, its runs, and the cars of every step of it."""
    folder, drove, stage = tmp_path_factory.mktemp("driving"), {}, ["judge"]

    def choose(*arguments):
        stage[0] = "choose"
        chosen = original(*arguments)
        stage[0] = "judge"
        return chosen

    def watched(cars, plan, curvature):
        drove.setdefault(stage[0], set()).update(cars.grip)
        return steer_along(cars, plan, curvature)

    def for_training(rng, n_cars, **ranges):
        cars = sample_cars(rng, n_cars, **ranges)
        drove.setdefault("train", set()).update(cars.grip)
        return cars

    original, sample_cars = script.choose, driving.sample_cars
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driving, "sample_cars", for_training)
        timed = {"choose": choose, "steer_along": watched, "one_model_seconds": lambda *_: {}}
        made = made_by(script, "driving", SMALL, folder, **timed)
    thetas = [
        {name: np.load(folder / f"{name}_{seed}.npz")["theta"] for name in script.GRADIENTS}
        for seed in SMALL["seeds"]
    ]
    return made, thetas, drove


def test_the_shipped_file_is_of_these_settings():
    assert json.loads(str(SHIPPED["config"])) == script.CONFIG
    assert list(INNER) == list(CONTESTS)
    names = [f"{name}, {label}" for label in CONTESTS for name in [*LOOPS, *ALONE]]
    assert set(SHIPPED) == {"config", "inner", "seconds", "maml", "joint", *names}
    assert {SHIPPED[f"{name}, {label}"].shape for name in LOOPS for label in CONTESTS} == {(3, 100)}
    assert (Path(data.__file__).parent / "driving.npz").stat().st_size < 100_000


def test_what_is_trained_on_chosen_on_and_judged_on_are_different_cars(small):
    drove = small[2]
    assert len(drove["train"]) == 3 * 20 * 2  # the methods of a seed learn from the same cars
    assert len(drove["choose"]) == 4 and len(drove["judge"]) == 3 + 3  # those on ice are others
    assert not drove["train"] & drove["choose"]
    assert not drove["train"] & drove["judge"]
    assert not drove["choose"] & drove["judge"]


@pytest.mark.parametrize("seed", SMALL["seeds"])
@pytest.mark.parametrize("name", script.GRADIENTS)
def test_training_is_adam_at_falling_rates(small, name, seed):
    def gradient(theta, tasks):
        steps = {"maml": 3, "fomaml": 3, "joint": 0}[name]
        alpha = {"maml": 0.1, "fomaml": 0.03, "joint": 0.1}[name]
        return meta_gradient(NET, theta, tasks, alpha, steps, second_order=name == "maml")

    rng = np.random.default_rng(seed)
    start = driving.MODEL.init(rng)
    wanted = trained_by_torch(gradient, start, Drives(), (3, 20, 40), BETAS, rng)
    assert np.abs(small[1][seed][name] - wanted).max() < 1e-9


def test_the_file_keeps_the_networks_of_the_first_seed(small):
    made, thetas, _ = small
    for name in ("maml", "joint"):
        assert np.array_equal(made[name], np.float32(thetas[0][name]))


def contests(config):
    """``label: (n_shots, ranges)``."""
    shots = config["test"]["n_shots"]
    by_shots = {f"{n}": (n, {}) for n in shots}
    return {**by_shots, "ice": (shots[-1], {"grip": (0.12, 0.25)})}


def test_every_error_of_a_small_run(small):
    made, thetas, _ = small
    inner = json.loads(str(made["inner"]))
    for label, (n_shots, ranges) in contests(SMALL).items():
        field = circumstances(SMALL["test"], n_shots, ranges)
        for seed in SMALL["seeds"]:
            starts = {**thetas[seed], "scratch": random_start(seed)}
            drivers = [
                driver(starts[start], optimizer, inner[label][seed].get(name), *field)
                for name, (start, optimizer) in LOOPS.items()
            ]
            found = [made[f"{name}, {label}"][seed] for name in LOOPS]
            assert np.allclose(found, errors(drivers), rtol=1e-6, atol=0)
        for name in ALONE:
            offsets, _ = steer_along(field[0], plan_of(name, field[1]), field[2])
            wanted = [root_mean_square(offsets)]
            assert np.allclose(made[f"{name}, {label}"], wanted, rtol=1e-6, atol=0)


def test_the_inner_loops_of_a_small_run_are_the_best_of_their_tables(small):
    made, thetas, _ = small
    inner = json.loads(str(made["inner"]))
    for label, (n_shots, _) in contests(SMALL).items():
        for seed in SMALL["seeds"]:
            starts = {**thetas[seed], "scratch": random_start(seed)}
            for name, (start, optimizer) in LOOPS.items():
                if optimizer:
                    best = best_of_table(starts[start], optimizer, n_shots, SMALL)
                    assert inner[label][seed].pop(name) == best
            assert inner[label][seed] == {}


def test_a_rate_that_diverges_is_not_chosen():
    config = {**SMALL, "rates": [1e300, 0.02], "steps": [2]}
    assert script.choose(random_start(0), script.descend, 5, config) == (0.02, 2)


STORED = [(name, 0) for name in LOOPS if name not in ("fomaml", "scratch")]
ROWS = [*STORED, *[("scratch", seed) for seed in script.CONFIG["seeds"]]]


@pytest.fixture(scope="module")
def driven_again():
    """Errors of the first test cars for each contest and row whose network is known.

    A car that slides enlarges any rounding: the second array says which cars do not, by driving
    them once more with networks that differ by a billionth.
    """
    drivers, keys = [], list(product(CONTESTS, ROWS))
    fields = {label: circumstances(script.CONFIG["test"], *how) for label, how in CONTESTS.items()}
    for label, (name, seed) in keys:
        cars, tasks, curvature = fields[label]
        few = cars.select(FEW), tasks.select(FEW), curvature[FEW]
        kind, optimizer = LOOPS[name]
        start = random_start(seed) if kind == "scratch" else SHIPPED[kind].astype(float)
        drivers.append(driver(start, optimizer, INNER[label][seed].get(name), *few))
    nudged = [(cars, (1 + 1e-9) * theta, road) for cars, theta, road in drivers]
    found = np.reshape(errors(drivers + nudged), (2, len(keys), -1))
    steady = np.abs(found[1] / found[0] - 1) < 1e-6
    assert steady.mean() > 0.9
    return dict(zip(keys, zip(found[0], steady, strict=True), strict=True))


@pytest.mark.parametrize("label", CONTESTS)
@pytest.mark.parametrize("row", ROWS)
def test_a_shipped_row_on_the_first_cars(driven_again, row, label):
    """Adam divides by gradients, and so enlarges the rounding of the stored network."""
    name, seed = row
    again, steady = driven_again[label, row]
    found = SHIPPED[f"{name}, {label}"][seed, FEW]
    rtol = 1e-4 if row == ("joint adam", 0) else 2e-6
    assert np.allclose(found[steady], again[steady], rtol=rtol, atol=0)


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("label", ["10", "ice"])
def test_who_knows_the_equations_drives_as_shipped(name, label):
    """A car that is lost enlarges any rounding."""
    cars, tasks, curvature = circumstances(script.CONFIG["test"], *CONTESTS[label])
    offsets, _ = steer_along(cars, plan_of(name, tasks), curvature)
    found, again = SHIPPED[f"{name}, {label}"][0], root_mean_square(offsets)
    steady = again < 0.5
    assert steady.mean() > 0.9 and np.array_equal(found < 0.5, steady)
    assert np.allclose(found[steady], again[steady], rtol=1e-5, atol=0)


def test_knowing_the_car_asks_for_no_data():
    for label in ("20", "40"):
        assert np.array_equal(SHIPPED[f"true physics, {label}"], SHIPPED["true physics, 10"])


def test_a_shipped_inner_loop_is_the_best_on_the_choice_cars():
    """Of MAML: the other stored network loses cars, which rounding to float32 decides otherwise."""
    best = best_of_table(SHIPPED["maml"].astype(float), torch.optim.SGD, 20, script.CONFIG)
    assert best == INNER["20"][0]["maml"]


def test_on_ice_the_loops_are_those_of_as_much_data():
    assert INNER["ice"] == INNER["40"]
