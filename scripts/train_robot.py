"""Train and judge the networks of the robot chapter.

    OMP_NUM_THREADS=1 python scripts/train_robot.py          # about 25 minutes on one CPU core

Two experiments in one file. Arm: for each seed MAML, FOMAML and one network for all arms at once
("joint") are trained on random arms, for as many outer steps as take the same time; inner rates and
steps are chosen for each method by how well it tracks other arms of the training ranges, then all
methods track the same test arms, with payloads as in training and heavier ones. Navigation: for
each seed policies are trained by MAML and by policy gradient on all goals at once, and walk to the
same new goals after 0, 1, 2, ... updates. Runs are kept in _artifacts/ and go on where they
stopped. The results of every arm, goal and seed, and the networks of the first seed, go to
maml_teach/data/robot.npz.
"""

import json

import numpy as np
from artifacts import add_to, arguments, one_model_seconds, settings_of, train_in_stages
from tqdm import tqdm

from maml_teach import lean, maml
from maml_teach.applications import arm, navigation

ARM = {
    "seeds": [0, 1, 2],
    "alpha": {"maml": 0.1, "fomaml": 0.1, "joint": 0.1},
    "n_inner_steps": 3,
    "n_tasks": 20,
    "n_shots": 20,
    "n_queries": 40,
    "stages": [[2e-3, 0.6], [6e-4, 0.25], [2e-4, 0.15]],  # outer rate, share of the steps
    # As many as take the same time on one core: see ``seconds`` in the file of results.
    "n_meta_steps": {"maml": 3000, "fomaml": 6200, "joint": 12000},
    "test": {"n_arms": 100, "seed": 12345, "n_shots": [10, 20, 40]},
    "choice": {"n_arms": 40, "seed": 54321},
    "n_steps": 300,
    "rates": [0.01, 0.03, 0.1, 0.2],
    "adam_rates": [3e-4, 1e-3, 3e-3, 1e-2],
    "steps": [1, 3, 10, 30, 100, 300],
    "adam_steps": [3, 10, 30, 100, 300],
    "heavy": [2.5, 4.0],  # kg in the hand; training had 0 to 2
}
NAVIGATION = {
    "seeds": [0, 1, 2],
    "alpha": {"maml": 0.1, "joint": 0.1},
    "n_inner_steps": 1,
    "n_tasks": 20,
    "n_shots": 20,
    "n_queries": 20,
    "stages": [[5e-3, 0.6], [1e-3, 0.4]],
    "n_meta_steps": {"maml": 150, "joint": 150},
    "test": {"n_goals": 100, "seed": 12345},
    "choice": {"n_goals": 40, "seed": 54321},
    "rates": [0.05, 0.1, 0.15, 0.2, 0.3, 0.5],  # of the first update
    "later": [0.01, 0.02, 0.05, 0.1, 0.2],  # of those after it
    "n_updates": 5,
}
CONFIG = {"made_by": "scripts/train_robot.py", "arm": ARM, "navigation": NAVIGATION}
# Settings small enough for a test of the script itself.
QUICK = {
    **CONFIG,
    "arm": {
        **ARM,
        "seeds": [0],
        "n_meta_steps": dict.fromkeys(ARM["n_meta_steps"], 10),
        "test": {"n_arms": 3, "seed": 12345, "n_shots": [10, 20]},
        "choice": {"n_arms": 2, "seed": 54321},
        "n_steps": 40,
        "rates": [0.1],
        "adam_rates": [1e-3],
        "steps": [1],
        "adam_steps": [10],
    },
    "navigation": {
        **NAVIGATION,
        "seeds": [0],
        "n_meta_steps": dict.fromkeys(NAVIGATION["n_meta_steps"], 3),
        "n_tasks": 3,
        "test": {"n_goals": 3, "seed": 12345},
        "choice": {"n_goals": 2, "seed": 54321},
        "rates": [0.1],
        "later": [0.02],
    },
}
GRADIENTS = {
    "maml": lean.maml_gradient,
    "fomaml": maml.fomaml_gradient,
    "joint": maml.joint_gradient,
}


def train(model, family, settings, name, seed, file, **how):
    """Parameters of a method trained from ``seed``; goes on from the file if there is one."""
    config = settings_of(name, settings)
    rng = np.random.default_rng(seed)
    how = {"rng": rng, "file": file, "every": 250, **how}
    return train_in_stages(model, model.init(rng), family, config, settings["stages"], **how)


def train_arm(name, seed, settings, folder):
    """The network of one method and seed."""
    file = folder / f"arm_{name}_{seed}.npz"
    return train(arm.MODEL, arm.Swings(), settings, name, seed, file, gradient=GRADIENTS[name])


def descend(theta, tasks, alpha, n_steps):
    """The inner loop: plain gradient descent, ``(n_tasks, n_params)``."""
    return maml.adapt(arm.MODEL, theta, tasks, alpha=alpha, n_inner_steps=n_steps)


def descend_adam(theta, tasks, alpha, n_steps):
    """Adam on each support set, ``(n_tasks, n_params)``."""
    settings = {"alpha": alpha, "n_inner_steps": n_steps, "inner": "adam"}
    return maml.adapt(arm.MODEL, theta, tasks, **settings)


def circumstances(what, n_shots, ranges):
    """Arms, their support sets, and the motions to be tracked; the same for every method."""
    rng = np.random.default_rng(what["seed"])
    arms = arm.sample_arms(rng, what["n_arms"], **ranges)
    motion = arm.sample_motion(rng, len(arms))
    return arms, motion, arm.Swings().of(arms, rng, n_shots, 1)


def tracked(arms, motion, feedforward):
    """Tracking error of each arm in degrees."""
    return arm.tracking_error(arm.track(arms, motion, feedforward), motion)


def tracked_by(theta, arms, motion, settings):
    """The same for networks ``theta`` ``(n_arms, n_params)``."""
    times = arm.DT * np.arange(settings["n_steps"])
    return tracked(arms, motion, arm.expected_torques(arm.MODEL, theta, motion, times))


def choose(theta, inner_loop, n_shots, settings):
    """The rate and number of steps that track other arms best."""
    adam, best = inner_loop is descend_adam, (np.inf, None, None)
    arms, motion, tasks = circumstances(settings["choice"], n_shots, {})
    for alpha in settings["adam_rates" if adam else "rates"]:
        for n_steps in settings["adam_steps" if adam else "steps"]:
            try:
                theta_prime = inner_loop(theta, tasks, alpha, n_steps)
            except FloatingPointError:  # a rate that diverges is not chosen
                continue
            error = tracked_by(theta_prime, arms, motion, settings).mean()
            best = min(best, (error, alpha, n_steps))
    return best[1:]


def contestants(thetas, seed, settings):
    """``name: (start, inner loop, rate and steps)``; ``None``: to be chosen."""
    random = arm.MODEL.init(np.random.default_rng(1000 + seed))
    rate = settings["alpha"]["maml"]
    return {
        "maml": (thetas["maml"], descend, None),
        "maml 3": (thetas["maml"], descend, (rate, 3)),
        "maml 10": (thetas["maml"], descend, (rate, 10)),
        "maml frozen": (thetas["maml"], descend, (rate, 0)),
        "fomaml": (thetas["fomaml"], descend, None),
        "joint": (thetas["joint"], descend, None),
        "joint adam": (thetas["joint"], descend_adam, None),
        "joint frozen": (thetas["joint"], descend, (rate, 0)),
        "scratch": (random, descend_adam, None),
    }


def judge_arms(thetas, seed, n_shots, settings):
    """Tracking errors ``(n_arms,)`` in degrees of every contestant, and the inner loops.

    The errors are those with payloads as in training, then those with heavier ones.
    """
    ranges = ({}, {"payload": settings["heavy"]})
    fields = [circumstances(settings["test"], n_shots, payload) for payload in ranges]
    errors, chosen = [{}, {}], {}
    field = contestants(thetas, seed, settings)
    for name, (theta, inner_loop, fixed) in tqdm(field.items(), desc=f"seed {seed}"):
        chosen[name] = fixed or choose(theta, inner_loop, n_shots, settings)
        for found, (arms, motion, tasks) in zip(errors, fields, strict=True):
            theta_prime = inner_loop(theta, tasks, *chosen[name])
            found[name] = tracked_by(theta_prime, arms, motion, settings)
    return errors, chosen


def without_networks(n_shots, settings, **ranges):
    """The same for no feed-forward, for the equations with fitted numbers, and for the truth."""
    arms, motion, tasks = circumstances(settings["test"], n_shots, ranges)
    known = arm.regressor(*motion.at(arm.DT * np.arange(settings["n_steps"])))
    prior = arm.prior(np.random.default_rng(0))
    numbers = {
        "feedback": np.zeros((len(arms), 7)),
        "fitted": arm.identified(tasks),
        "fitted with prior": arm.identified_with_prior(tasks, *prior),
        "true": arm.constants(arms),
    }
    feeds = {name: np.einsum("anjk,ak->anj", known, own) for name, own in numbers.items()}
    return {name: [tracked(arms, motion, feed)] for name, feed in feeds.items()}


def contests(settings):
    """``(points in a support set, label, other ranges than those of the training)``."""
    loads = (("", {}), ("heavy ", {"payload": settings["heavy"]}))
    return [(n, label + str(n), load) for n in settings["test"]["n_shots"] for label, load in loads]


def look(settings):
    """Returns ``(1, n_goals, 2)`` of who takes rewards for distances."""
    rng = np.random.default_rng(settings["test"]["seed"])
    goals = rng.uniform(-0.5, 0.5, (settings["test"]["n_goals"], 2))
    return np.float32([navigation.look_and_walk(rng, goals, settings["n_shots"])])


def rivals(settings):
    """The rows of the arm without a network."""
    return {
        f"arm {name}, {label}": np.float32(row)
        for n_shots, label, ranges in contests(settings)
        for name, row in without_networks(n_shots, settings, **ranges).items()
    }


def arm_results(settings, folder):
    """What the file holds of the arm: errors, networks of the first seed, and inner loops."""
    seeds, found, inner = settings["seeds"], {}, {}
    thetas = [{n: train_arm(n, seed, settings, folder) for n in GRADIENTS} for seed in seeds]
    for n_shots in settings["test"]["n_shots"]:
        pairs = zip(thetas, seeds, strict=True)
        results = [judge_arms(t, s, n_shots, settings) for t, s in pairs]
        inner[n_shots] = [chosen for _, chosen in results]
        for k, label in enumerate(("", "heavy ")):
            for name in results[0][1]:
                rows = [errors[k][name] for errors, _ in results]
                found[f"arm {name}, {label}{n_shots}"] = np.float32(rows)
    for name in ("maml", "joint"):
        found[f"arm {name}"] = np.float32(thetas[0][name])
    return found | rivals(settings), inner


def train_policy(name, seed, settings, folder):
    """The policy of one method and seed."""
    gradient = {"maml": navigation.maml_gradient, "joint": navigation.joint_gradient}[name]
    rest = name, seed, folder / f"navigation_{name}_{seed}.npz"
    return train(navigation.MODEL, navigation.Goals(), settings, *rest, gradient=gradient)


def returns_of(theta, what, rates, settings):
    """Returns ``(n_goals, K + 1)`` after 0 to K updates; goals and noise are those of ``what``."""
    rng = np.random.default_rng(what["seed"])
    goals = rng.uniform(-0.5, 0.5, (what["n_goals"], 2))
    walks = settings["n_shots"]
    return navigation.updates(navigation.MODEL, theta, rng, goals, walks, rates)


def choose_rates(theta, settings):
    """The rate that is best after one update to other goals, then that of the later updates."""
    after = lambda rates: returns_of(theta, settings["choice"], rates, settings)[:, -1].mean()  # noqa: E731
    first = max(settings["rates"], key=lambda alpha: after([alpha]))
    return first, max(settings["later"], key=lambda alpha: after([first, alpha, alpha]))


def navigation_results(settings, folder):
    """What the file holds of navigation: returns, policies of the first seed, and rates."""
    found, chosen = {}, []
    for seed in tqdm(settings["seeds"], desc="policies"):
        thetas = {name: train_policy(name, seed, settings, folder) for name in ("maml", "joint")}
        thetas["random"] = navigation.MODEL.init(np.random.default_rng(1000 + seed))
        rates = {name: choose_rates(theta, settings) for name, theta in thetas.items()}
        thetas["maml steady"], rates["maml steady"] = (
            thetas["maml"],
            2 * (settings["alpha"]["maml"],),
        )
        chosen.append(rates)
        for name, theta in thetas.items():
            first, later = rates[name]
            plan = [first, *[later] * (settings["n_updates"] - 1)]
            result = returns_of(theta, settings["test"], plan, settings)
            found.setdefault(f"navigation {name}", []).append(np.float32(result))
        for name in ("maml", "joint") if seed == settings["seeds"][0] else ():
            found[f"policy {name}"] = np.float32(thetas[name])
    goals = np.random.default_rng(settings["test"]["seed"]).uniform(
        -0.5, 0.5, (settings["test"]["n_goals"], 2)
    )
    found["navigation straight"] = np.float32(navigation.straight(goals))
    found["navigation located"] = look(settings)
    return {name: np.array(result) for name, result in found.items()}, chosen


def main():
    """Train, judge and write."""
    purpose = "only the rows without a network, into the file as it is"
    chosen = arguments(__doc__.splitlines()[0], "robot", rivals=purpose)
    config = QUICK if chosen.quick else CONFIG
    if chosen.rivals:
        rows = rivals(config["arm"]) | {"navigation located": look(config["navigation"])}
        return add_to(chosen.target, rows)
    walks, rates = navigation_results(config["navigation"], chosen.folder)
    arms, inner = arm_results(config["arm"], chosen.folder)
    took = one_model_seconds(GRADIENTS, arm.MODEL, arm.Swings(), config["arm"])
    texts = {"config": config, "inner": inner, "rates": rates, "seconds": took}
    texts = {name: json.dumps(text) for name, text in texts.items()}
    np.savez_compressed(chosen.target, **texts, **arms, **walks)
    for name, result in {**arms, **walks}.items():
        print(f"{name:24s}", result.shape, result.mean().round(3))


if __name__ == "__main__":
    main()
