"""Train MAML with momentum and with Adam in the inner loop, on the paper's sinusoid.

    OMP_NUM_THREADS=1 python scripts/train_rules.py          # about 15 minutes on one CPU core

Each rule gets its own inner rate: the one with the lowest query loss on other tasks after a short
training. Then every rule is trained from the same seeds for the same number of outer steps of the
same tasks, and judged on the same new tasks after 0 to 10 inner steps of its own rule. Adam is also
trained by the first-order gradient. Meta-losses on the way, losses of every seed and the starts of
the first seed go to maml_teach/data/rules.npz.
"""

import json
from functools import partial

import numpy as np
from artifacts import arguments, train_in_stages
from tqdm import tqdm

from maml_teach import maml
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids
from maml_teach.train import MetaConfig

MODEL = MLP((1, 40, 40, 1))
CONFIG = {
    "made_by": "scripts/train_rules.py",
    "seeds": [0, 1, 2],
    "n_inner_steps": 5,
    "n_tasks": 25,
    "stages": [[1e-3, 1.0]],  # outer rate, share of the steps
    "n_meta_steps": 10_000,
    "rates": {
        "sgd": [0.003, 0.01, 0.03],
        "momentum": [0.001, 0.003, 0.01, 0.03],
        "adam": [0.0003, 0.001, 0.003, 0.01, 0.03],
    },
    "choice": {"n_meta_steps": 1500, "seed": 54321, "n_tasks": 300},
    "test": {"seed": 12345, "n_tasks": 600, "n_steps": 10},
    "window": 100,  # outer steps whose meta-losses are averaged
}
# Settings small enough for a test of the script itself.
QUICK = {
    **CONFIG,
    "seeds": [0],
    "n_meta_steps": 20,
    "rates": {rule: rates[:2] for rule, rates in CONFIG["rates"].items()},
    "choice": {"n_meta_steps": 5, "seed": 54321, "n_tasks": 10},
    "test": {"seed": 12345, "n_tasks": 20, "n_steps": 2},
    "window": 10,
}
GRADIENTS = {"": maml.maml_gradient, ", first order": maml.fomaml_gradient}


def train(rule, alpha, seed, config, n_meta_steps, file, order=""):
    """The meta-losses and the start of one training."""
    keys = ("n_inner_steps", "n_tasks")
    settings = MetaConfig(
        alpha=alpha, n_meta_steps=n_meta_steps, **{key: config[key] for key in keys}
    )
    losses, gradient = [], partial(GRADIENTS[order], inner=rule)

    def watched(*problem, **inner):
        loss, slope = gradient(*problem, **inner)
        losses.append(loss)
        return loss, slope

    rng = np.random.default_rng(seed)
    how = {"rng": rng, "file": file, "gradient": watched, "every": 500}
    theta = train_in_stages(MODEL, MODEL.init(rng), Sinusoids(), settings, config["stages"], **how)
    return np.array(losses), theta


def after(rule, alpha, theta, tasks, n_steps):
    """Query losses ``(n_tasks,)`` after so many steps of the rule; infinite where it diverges."""
    settings = {"alpha": alpha, "n_inner_steps": n_steps, "inner": rule}
    try:
        theta_prime = maml.adapt(MODEL, theta, tasks, **settings)
    except FloatingPointError:
        return np.full(tasks.n_tasks, np.inf)
    return MODEL.loss(theta_prime, tasks.x_query, tasks.y_query)


def drawn(what):
    """Tasks to choose on or to judge on."""
    return Sinusoids().sample(np.random.default_rng(what["seed"]), what["n_tasks"], 10, 10)


def choose(rule, config, folder):
    """The inner rate with the lowest query loss after a short training, and all those losses."""
    tasks, found = drawn(config["choice"]), {}
    for alpha in config["rates"][rule]:
        file = folder / f"choice_{rule}_{alpha:g}.npz"
        try:
            _, theta = train(rule, alpha, 100, config, config["choice"]["n_meta_steps"], file)
        except FloatingPointError:  # a rate that diverges is not chosen
            continue
        found[alpha] = after(rule, alpha, theta, tasks, config["n_inner_steps"]).mean()
    return min(found, key=found.get), found


def main():
    """Choose, train, judge and write."""
    chosen = arguments(__doc__.splitlines()[0], "rules")
    config = QUICK if chosen.quick else CONFIG
    tasks, steps = drawn(config["test"]), range(config["test"]["n_steps"] + 1)
    rates = {rule: choose(rule, config, chosen.folder) for rule in tqdm(config["rates"])}
    arrays = {}
    for rule, order in [(rule, "") for rule in rates] + [("adam", ", first order")]:
        alpha, name = rates[rule][0], rule + order
        for seed in tqdm(config["seeds"], desc=name):
            file = chosen.folder / f"{name.replace(', ', '_').replace(' ', '_')}_{seed}.npz"
            file.unlink(missing_ok=True)  # a run that goes on would lose its first losses
            losses, theta = train(rule, alpha, seed, config, config["n_meta_steps"], file, order)
            judged = np.array([after(rule, alpha, theta, tasks, k) for k in steps])
            rows = {
                "history": losses.reshape(-1, config["window"]).mean(axis=1),
                "mse": judged.mean(axis=1),  # after 0, 1, ... steps
                "losses": judged[min(config["n_inner_steps"], len(judged) - 1)],
            }
            if seed == config["seeds"][0]:
                arrays[f"theta {name}"] = np.float32(theta)
            for key, row in rows.items():
                arrays.setdefault(f"{key} {name}", []).append(np.float32(row))
    texts = {"config": json.dumps(config), "rates": json.dumps(rates)}
    arrays = {name: np.array(rows) for name, rows in arrays.items()}
    np.savez_compressed(chosen.target, **texts, **arrays)
    print(rates)
    for name, rows in arrays.items():
        if name.startswith("mse"):
            print(f"{name:24s}", rows.round(3)[:, [0, 1, -1]].tolist())


if __name__ == "__main__":
    main()
