"""Train and judge the networks of the driving chapter.

    OMP_NUM_THREADS=1 python scripts/train_driving.py          # about 25 minutes on one CPU core

For each seed MAML, FOMAML and one network for all cars at once ("joint") are trained on drives of
random cars, for as many outer steps as take the same time; runs are kept in _artifacts/ and go on
where they stopped. Inner rates and steps for testing are chosen for each method by how well it
drives other cars. Then every method drives the same test cars along the same roads with half a
second, one and two seconds of data. The lateral error of every car and seed, and the networks of
the first seed, go to maml_teach/data/driving.npz.
"""

import json

import numpy as np
from artifacts import add_to, arguments, one_model_seconds, settings_of, train_in_stages
from tqdm import tqdm

from maml_teach import lean, maml
from maml_teach.applications.driving import (
    MODEL,
    Drives,
    believed,
    fitted,
    learned,
    road,
    sample_cars,
    step,
)
from maml_teach.applications.steering import HORIZON, lateral_error, steer_along

CONFIG = {
    "made_by": "scripts/train_driving.py",
    "seeds": [0, 1, 2],
    "alpha": {"maml": 0.1, "fomaml": 0.03, "joint": 0.1},
    "n_inner_steps": 3,
    "n_tasks": 32,
    "n_shots": 20,
    "n_queries": 40,
    "stages": [[2e-3, 0.6], [6e-4, 0.25], [2e-4, 0.15]],  # outer rate, share of the steps
    # As many as take the same time on one core: see ``seconds`` in the file of results.
    "n_meta_steps": {"maml": 3000, "fomaml": 5200, "joint": 7300},
    "test": {"n_cars": 100, "n_steps": 220, "seed": 12345, "n_shots": [10, 20, 40]},
    "choice": {"n_cars": 40, "n_steps": 120, "seed": 54321},
    "rates": [0.01, 0.02, 0.05, 0.1, 0.2],
    "adam_rates": [3e-4, 1e-3, 3e-3, 1e-2],
    "steps": [1, 3, 10, 30, 100, 300],
    "adam_steps": [3, 10, 30, 100, 300],
    "ice": [0.12, 0.25],
}
# Settings small enough for a test of the script itself.
QUICK = {
    **CONFIG,
    "seeds": [0],
    "n_meta_steps": dict.fromkeys(CONFIG["n_meta_steps"], 10),
    "test": {"n_cars": 3, "n_steps": 30, "seed": 12345, "n_shots": [10]},
    "choice": {"n_cars": 2, "n_steps": 25, "seed": 54321},
    "rates": [0.05],
    "adam_rates": [1e-3],
    "steps": [1],
    "adam_steps": [10],
}
GRADIENTS = {
    "maml": lean.maml_gradient,
    "fomaml": maml.fomaml_gradient,
    "joint": maml.joint_gradient,
}


def train(name, seed, config, folder):
    """Parameters of a method trained from ``seed``; goes on from the file if there is one."""
    settings = settings_of(name, config)
    rng, file = np.random.default_rng(seed), folder / f"{name}_{seed}.npz"
    how = {"rng": rng, "file": file, "gradient": GRADIENTS[name], "every": 250}
    return train_in_stages(MODEL, MODEL.init(rng), Drives(), settings, config["stages"], **how)


def descend(theta, tasks, alpha, n_steps):
    """The inner loop: plain gradient descent, ``(n_cars, n_params)``."""
    return maml.adapt(MODEL, theta, tasks, alpha=alpha, n_inner_steps=n_steps)


def descend_adam(theta, tasks, alpha, n_steps):
    """Adam on each car's support set, ``(n_cars, n_params)``."""
    settings = {"alpha": alpha, "n_inner_steps": n_steps, "inner": "adam"}
    return maml.adapt(MODEL, theta, tasks, **settings)


def choose(theta, inner_loop, n_shots, config):
    """The rate and number of steps that drive other cars best."""
    adam, best = inner_loop is descend_adam, (np.inf, None, None)
    cars, curvature, rng = circumstances(config["choice"], {})
    tasks = Drives().of(cars, rng, n_shots, 40)
    for alpha in config["adam_rates" if adam else "rates"]:
        for n_steps in config["adam_steps" if adam else "steps"]:
            try:
                theta_prime = inner_loop(theta, tasks, alpha, n_steps)
            except FloatingPointError:  # a rate that diverges is not chosen
                continue
            offsets, _ = steer_along(cars, learned(MODEL, theta_prime), curvature)
            best = min(best, (lateral_error(offsets).mean(), alpha, n_steps))
    return best[1:]


def contestants(thetas, seed):
    """``name: (start, inner loop)``; no inner loop means the network is used as it is."""
    random = MODEL.init(np.random.default_rng(1000 + seed))
    return {
        "maml": (thetas["maml"], descend),
        "maml frozen": (thetas["maml"], None),
        "fomaml": (thetas["fomaml"], descend),
        "joint": (thetas["joint"], descend),
        "joint adam": (thetas["joint"], descend_adam),
        "joint frozen": (thetas["joint"], None),
        "scratch": (random, descend_adam),
    }


def circumstances(what, ranges):
    """Cars, their roads, and the generator for what is measured of them."""
    rng = np.random.default_rng(what["seed"])
    cars = sample_cars(rng, what["n_cars"], **ranges)
    return cars, road(rng, cars, what["n_steps"] + HORIZON), rng


def judge(thetas, seed, n_shots, config, **ranges):
    """Lateral error ``(n_cars,)`` in m of every contestant, and the inner loops."""
    cars, curvature, rng = circumstances(config["test"], ranges)
    tasks = Drives().of(cars, rng, n_shots, 40)
    errors, chosen = {}, {}
    for name, (theta, inner_loop) in tqdm(contestants(thetas, seed).items(), desc=f"seed {seed}"):
        theta_prime = descend(theta, tasks, 1.0, 0)
        if inner_loop:
            chosen[name] = choose(theta, inner_loop, n_shots, config)
            theta_prime = inner_loop(theta, tasks, *chosen[name])
        offsets, _ = steer_along(cars, learned(MODEL, theta_prime), curvature)
        errors[name] = lateral_error(offsets)
    return errors, chosen


def who_knows_the_equations(n_shots, config, **ranges):
    """Lateral errors ``(1, n_cars)`` where the equations are fitted, and where the car is known."""
    cars, curvature, rng = circumstances(config["test"], ranges)
    found = fitted(Drives().of(cars, rng, n_shots, 40))
    plans = {"fitted": believed(found), "true physics": step}
    return {
        name: np.float32([lateral_error(steer_along(cars, plan, curvature)[0])])
        for name, plan in plans.items()
    }


def contests(config):
    """``(label, points in a support set, other ranges than those of the training)``."""
    shots = config["test"]["n_shots"]
    return [*((f"{n}", n, {}) for n in shots), ("ice", shots[-1], {"grip": config["ice"]})]


def rivals(config):
    """The rows without a network, by name and label."""
    return {
        f"{name}, {label}": error
        for label, n_shots, ranges in contests(config)
        for name, error in who_knows_the_equations(n_shots, config, **ranges).items()
    }


def main():
    """Train, judge and write."""
    purpose = "only the rows without a network, into the file as it is"
    chosen = arguments(__doc__.splitlines()[0], "driving", rivals=purpose)
    config = QUICK if chosen.quick else CONFIG
    if chosen.rivals:
        return add_to(chosen.target, rivals(config))
    seeds, errors, inner = config["seeds"], {}, {}
    thetas = [{n: train(n, seed, config, chosen.folder) for n in GRADIENTS} for seed in seeds]
    for label, n_shots, ranges in contests(config):
        results = [
            judge(t, s, n_shots, config, **ranges) for t, s in zip(thetas, seeds, strict=True)
        ]
        for name in results[0][0]:
            errors[f"{name}, {label}"] = np.float32([found[name] for found, _ in results])
        inner[label] = [which for _, which in results]
    errors |= rivals(config)
    networks = {name: np.float32(thetas[0][name]) for name in ("maml", "joint")}
    took = one_model_seconds(GRADIENTS, MODEL, Drives(), config)
    texts = {"config": config, "inner": inner, "seconds": took}
    settings = {name: json.dumps(text) for name, text in texts.items()}
    np.savez_compressed(chosen.target, **settings, **networks, **errors)
    for name, error in errors.items():
        print(f"{name:22s}", error.mean(axis=1).round(4).tolist())


if __name__ == "__main__":
    main()
