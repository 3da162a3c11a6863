"""Measure what the chapter *claims* puts on trial.

    OMP_NUM_THREADS=1 python scripts/measure_claims.py         # about 20 minutes on one CPU core

For each seed five starts are trained on sinusoids (MLP 1-40-40-1, 10,000 outer steps, float32):
MAML with one inner step, one network for all waves ("joint"), and MAML with five inner steps, once
as usual and once with all support points left of zero and all query points right of it. What is
measured of them, for every seed and test task, goes to maml_teach/data/claims.npz; so do many short
trainings (spread over seeds) and those of six kinds of model. Baselines have an optimiser, a rate
and a number of steps chosen on waves of the training family that no test uses. Everything done is
kept in _artifacts/ and not done again.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from maml_teach import lean, maml, maml_torch, measures
from maml_teach.applications.contestants_torch import CONTESTANTS
from maml_teach.mlp import MLP
from maml_teach.rules import RULES
from maml_teach.tasks import Waves
from maml_teach.train import MetaConfig, evaluate, load_run, meta_train, resume

ROOT = Path(__file__).parent.parent
MODEL = MLP((1, 40, 40, 1))
LEFT, RIGHT = (-5.0, 0.0), (0.0, 5.0)
CONFIG = {
    "made_by": "scripts/measure_claims.py",
    "seeds": [0, 1, 2, 3, 4],
    "alpha": 0.01,
    "beta": 0.001,
    "n_meta_steps": 10_000,
    "n_shots": 10,
    "n_queries": 100,
    "test": {"n_tasks": 200, "seed": 12345},
    "choice": {"n_tasks": 100, "seed": 54321},
    "steps": [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
    "rates": {"sgd": [0.003, 0.01, 0.03], "adam": [0.001, 0.003, 0.01]},
    "head_rates": [0.01, 0.02, 0.05, 0.1],
    "frequencies": [0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0],
    "shift_steps": [0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100],
    "alphas": [0.001, 0.002, 0.003, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05],
    "noise": {"n_tasks": 2500, "n_curvatures": 250},
    "short": {"n_seeds": 10, "n_meta_steps": 1000},
    "any": {
        "n_seeds": 5,
        "n_steps": 2,
        "beta": 0.01,
        "n_meta_steps": 120,
        "n_tasks": 4,
        "n_test": 60,
    },
}
# Settings small enough for a test of the script itself.
QUICK = {
    **CONFIG,
    "seeds": [0, 1],
    "n_meta_steps": 20,
    "test": {"n_tasks": 4, "seed": 12345},
    "choice": {"n_tasks": 3, "seed": 54321},
    "steps": [0, 1, 5],
    "rates": {"sgd": [0.003], "adam": [0.003]},
    "head_rates": [0.01],
    "frequencies": [1.0, 2.0],
    "shift_steps": [0, 5],
    "alphas": [0.001, 0.01],
    "noise": {"n_tasks": 60, "n_curvatures": 3},
    "short": {"n_seeds": 2, "n_meta_steps": 5},
    "any": {"n_seeds": 2, "n_steps": 2, "beta": 0.01, "n_meta_steps": 2, "n_tasks": 2, "n_test": 3},
}
# Family and number of inner steps; none at all is joint training.
TRAININGS = {
    "maml": (Waves(), 1),
    "joint": (Waves(), 0),
    "matched": (Waves(), 5),
    "shifted": (Waves(x_support=LEFT, x_query=RIGHT), 5),
}


def train(name, seed, config, folder):
    """Parameters of a start trained from ``seed``; goes on from the file if there is one."""
    file, (family, n_inner_steps) = folder / f"{name}_{seed}.npz", TRAININGS[name]
    rest = {"gradient": lean.maml_gradient, "checkpoint": file, "every": 2000}
    if file.exists():
        return resume(MODEL, load_run(file), family, **rest).theta
    settings = MetaConfig(
        alpha=config["alpha"],
        beta=config["beta"],
        n_inner_steps=n_inner_steps,
        n_meta_steps=config["n_meta_steps"],
    )
    rng = np.random.default_rng(seed)
    theta = MODEL.init(rng).astype(np.float32)
    return meta_train(MODEL, theta, family, settings, rng=rng, **rest).theta


def draw(family, what, config):
    """The tasks to test (or to choose) on, in float32."""
    rng = np.random.default_rng(config[what]["seed"])
    counts = config[what]["n_tasks"], config["n_shots"], config["n_queries"]
    return family.sample(rng, *counts).map(lambda array: array.astype(np.float32))


def follow(theta, tasks, optimizer, rate, steps):
    """Query MSE of every task after ``steps`` inner steps, ``(n_tasks, len(steps))``."""
    theta_k = np.repeat(theta[None], tasks.n_tasks, axis=0)
    rule, losses = RULES[optimizer], []
    state = rule.init(theta_k)
    with np.errstate(over="ignore", invalid="ignore"):  # a rate that diverges is not chosen
        for k in range(max(steps) + 1):
            if k in steps:
                losses.append(MODEL.loss(theta_k, tasks.x_query, tasks.y_query))
            gradient = MODEL.gradient(theta_k, tasks.x_support, tasks.y_support)
            theta_k, state = rule.update(theta_k, gradient, state, rate, k + 1)
    return np.nan_to_num(np.stack(losses, axis=1), nan=np.inf)


def choose(theta, config):
    """``(optimizer, rate, n_steps)`` with the lowest mean query MSE on waves kept for this."""
    tasks, best = draw(Waves(), "choice", config), (np.inf,)
    for optimizer, rates in config["rates"].items():
        for rate in rates:
            means = follow(theta, tasks, optimizer, rate, config["steps"]).mean(axis=0)
            k = int(means.argmin())
            best = min(best, (float(means[k]), optimizer, rate, config["steps"][k]))
    return best[1:]


def starts(thetas, seed, config):
    """``name: (theta, (optimizer, rate, steps))`` of MAML, also tuned, and of two baselines."""
    random = MODEL.init(np.random.default_rng(1000 + seed)).astype(np.float32)
    own = ("sgd", config["alpha"], 10)
    return {
        "maml": (thetas["maml"], own),
        "tuned": (thetas["maml"], choose(thetas["maml"], config)),
        "joint": (thetas["joint"], choose(thetas["joint"], config)),
        "random": (random, choose(random, config)),
    }


def measure_speed(contest, thetas, seed, config):
    """Query MSE against inner steps from each start."""
    tasks, steps = draw(Waves(), "test", config), config["steps"]
    return {f"speed {n}": follow(t, tasks, *how[:2], steps) for n, (t, how) in contest.items()}


def measure_frequency(contest, thetas, seed, config):
    """Query MSE against the waves' frequency, ``(n_tasks, n_frequencies)``."""
    found = {f"frequency {name}": [] for name in (*contest, "zero")}
    for frequency in config["frequencies"]:
        tasks = draw(Waves(frequency), "test", config)
        for name, (theta, (optimizer, rate, n)) in contest.items():
            found[f"frequency {name}"].append(follow(theta, tasks, optimizer, rate, [n])[:, 0])
        found["frequency zero"].append(np.mean(tasks.y_query**2, axis=(1, 2)))
    return {name: np.stack(columns, axis=1) for name, columns in found.items()}


def measure_shift(contest, thetas, seed, config):
    """MSE on support and query sets that lie apart, ``(n_tasks, n_steps)``."""
    tasks = draw(TRAININGS["shifted"][0], "test", config)
    seen = type(tasks)(tasks.x_support, tasks.y_support, tasks.x_support, tasks.y_support)
    found = {}
    for name in ("matched", "shifted"):
        for part, judged in (("support", seen), ("query", tasks)):
            losses = follow(thetas[name], judged, "sgd", config["alpha"], config["shift_steps"])
            found[f"shift {name} {part}"] = losses
    return found


def measure_inside(contest, thetas, seed, config):
    """Probes of the last hidden layer, CKA of each layer before and after five steps."""
    tasks, x = draw(Waves(), "test", config), np.linspace(-5, 5, 401)[:, None]
    found = {}
    for name in [name for name in contest if name != "tuned"]:  # the same start as maml
        theta = contest[name][0]
        before = measures.layer_outputs(MODEL, theta.astype(float), x)
        after = maml.adapt(MODEL, theta, tasks, alpha=config["alpha"], n_inner_steps=5)
        after = measures.layer_outputs(MODEL, after.astype(float), x)
        kept = [measures.cka(*pair) for pair in zip(before, after, strict=True)]
        found[f"cka {name}"] = np.stack(kept, axis=1)
        curves = np.sin(x[:, 0]), np.cos(x[:, 0])
        found[f"probe {name}"] = np.array([measures.probe(before[1], curve) for curve in curves])
    return found


def measure_parts(contest, thetas, seed, config):
    """Query MSE after 5 steps that move all of MAML's start, its head only, its body only."""
    theta, found, rates = thetas["maml"], {}, {}
    tasks, others = (draw(Waves(), what, config) for what in ("test", "choice"))
    parts = {"all": np.ones_like(MODEL.head), "head": MODEL.head, "body": ~MODEL.head}

    def after(tasks, part, alpha):
        moving = (alpha * parts[part]).astype(np.float32)
        return evaluate(MODEL, theta, tasks, alpha=moving, n_inner_steps=5).losses[:, 5]

    for part in parts:
        rate = min(config["head_rates"], key=lambda alpha: after(others, part, alpha).mean())
        found[f"parts {part}"], rates[part] = after(tasks, part, rate), rate
    return {**found, "parts rates": np.array(list(rates.values()))}


def measure_noise(contest, thetas, seed, config):
    """Noise of single meta-gradients, MAML's over FOMAML's, and the curvature behind it.

    Ratios are ``(1, n_alphas)``, curvatures ``(n_curvatures,)``.
    """
    found, (n_tasks, n_curvatures) = {}, config["noise"].values()
    for name in ("random", "maml"):
        theta, rng = contest[name][0].astype(float), np.random.default_rng(77)
        tasks = Waves().sample(rng, n_tasks, config["n_shots"], config["n_shots"])
        both = (
            measures.task_gradients(MODEL, theta, tasks, alpha=alpha) for alpha in config["alphas"]
        )
        found[f"noise {name}"] = np.array([[np.divide(*map(measures.noise, g)) for g in both]])
        few = tasks.select(slice(0, n_curvatures))
        found[f"curvature {name}"] = measures.largest_curvature(MODEL, theta, few, rng=rng)
    return found


MEASURES = [
    measure_speed,
    measure_frequency,
    measure_shift,
    measure_inside,
    measure_parts,
    measure_noise,
]


def short_training(name, seed, config):
    """Mean query MSE after one and five steps of a short training, ``(2,)``."""
    gradient = {"maml": lean.maml_gradient, "fomaml": maml.fomaml_gradient}[name]
    settings = MetaConfig(alpha=config["alpha"], n_meta_steps=config["short"]["n_meta_steps"])
    rng = np.random.default_rng(seed)
    theta = MODEL.init(rng)
    run = meta_train(MODEL, theta, Waves(), settings, rng=rng, gradient=gradient, progress=False)
    tasks = draw(Waves(), "test", config)
    means = evaluate(MODEL, run.theta, tasks, alpha=config["alpha"], n_inner_steps=5).mean
    return means[[1, 5]]


def try_model(name, seed, config):
    """Query loss of new tasks after adapting, before and after meta-training: ``(2, n_test)``."""
    contestant, what = CONTESTANTS[name], config["any"]
    torch.manual_seed(seed)
    model = maml_torch.from_module(contestant.make().double(), contestant.objective)
    inner = {"alpha": contestant.alpha, "n_inner_steps": what["n_steps"]}
    counts = {"n_tasks": what["n_tasks"], "n_shots": 9, "n_queries": 9}
    settings = MetaConfig(beta=what["beta"], n_meta_steps=what["n_meta_steps"], **inner, **counts)
    how = {"rng": np.random.default_rng(seed), "gradient": maml_torch.maml_gradient}
    run = meta_train(model, model.theta(), contestant.family, settings, progress=False, **how)
    tasks = contestant.family.sample(np.random.default_rng(999), what["n_test"], 9, 30)
    tasks = maml_torch.as_tensors(tasks, run.theta)
    both = model.theta(), run.theta
    return np.array([after_adapting(model, theta, tasks, inner) for theta in both])


def after_adapting(model, theta, tasks, inner):
    """Query loss of each task, ``(n_tasks,)``."""
    with torch.enable_grad():
        theta_prime = maml_torch.adapt(model, theta, tasks, **inner)
    return model.loss(theta_prime, tasks.x_query, tasks.y_query).detach().numpy()


def kept(file, make):
    """What ``make`` answers, from the file if it is there."""
    if not file.exists():
        found = make()
        np.savez(file.with_suffix(".part.npz"), **found)
        file.with_suffix(".part.npz").replace(file)
    with np.load(file) as stored:
        return dict(stored)


def of_seed(seed, config, folder):
    """Everything that is measured of one training seed."""
    thetas = {name: train(name, seed, config, folder) for name in TRAININGS}
    contest = starts(thetas, seed, config)
    found = {f"start {name}": theta for name, theta in thetas.items()}
    found["choice"] = np.array(json.dumps({name: how for name, (_, how) in contest.items()}))
    for measure in MEASURES:
        found |= measure(contest, thetas, seed, config)
    return found


def others(config, folder):
    """The short trainings and the six kinds of model, ``(n_seeds, ...)``."""
    found, torch_threads = {}, torch.get_num_threads()
    torch.set_num_threads(1)
    for name in ("maml", "fomaml"):
        seeds = tqdm(range(config["short"]["n_seeds"]), desc=f"short {name}")
        found[f"short {name}"] = np.array([short_training(name, s, config) for s in seeds])
    for name in CONTESTANTS:
        seeds = tqdm(range(config["any"]["n_seeds"]), desc=name)
        found[f"any {name}"] = np.array([try_model(name, s, config) for s in seeds])
    torch.set_num_threads(torch_threads)
    return found


def small(name, array):
    """As few bytes as the page can do with: losses as float16."""
    if name.startswith(("speed", "frequency", "shift", "cka", "parts ")):
        return array.astype(np.float16)
    return array if array.dtype.kind == "U" else array.astype(np.float32)


def main():
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tiny run, to test the script")
    parser.add_argument("--folder", type=Path, default=ROOT / "_artifacts" / "claims")
    parser.add_argument("--target", type=Path, default=ROOT / "maml_teach" / "data" / "claims.npz")
    options = parser.parse_args()
    config, folder = QUICK if options.quick else CONFIG, options.folder
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [
        kept(folder / f"seed_{s}.npz", lambda s=s: of_seed(s, config, folder))
        for s in config["seeds"]
    ]
    found = {name: np.stack([one[name] for one in seeds]) for name in seeds[0]}
    found |= kept(folder / "others.npz", lambda: others(config, folder))
    arrays = {name: small(name, array) for name, array in found.items()}
    arrays |= {name: array[:1] for name, array in arrays.items() if name.startswith("start")}
    np.savez_compressed(options.target, config=json.dumps(config), **arrays)


if __name__ == "__main__":
    main()
