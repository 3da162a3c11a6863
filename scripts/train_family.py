"""Train every member of the family on the sinusoids, for the family chapter.

    export OMP_NUM_THREADS=1                # the matrices are small
    python scripts/train_family.py grid     # one short training per algorithm, alpha and beta
    python scripts/train_family.py choose   # the three best pairs of rates, ten times longer
    python scripts/train_family.py table    # each at the pair chosen, as long, 5 other seeds

``--only Reptile`` does a part for one algorithm and leaves the others as they are stored.
All parts go into maml_teach/data/sinusoid_family.npz, next to the settings that made them; each
reads what the one before it found. Together about 80 minutes on two CPU cores. All runs: MLP
1-40-40-1 (ReLU), float32, initialised as torch's Linear, 25 tasks of 10 support and 10 query
points per outer step, 5 inner steps, Adam. Reptile has no query set: each of its inner steps draws
ten of a task's twenty points. Validation and test tasks have seeds of their own.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from maml_teach import family, maml
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids, Task
from maml_teach.train import MetaConfig, evaluate, meta_train, resume

TARGET = Path(__file__).parent.parent / "maml_teach" / "data" / "sinusoid_family.npz"
MODEL, K, LAM, N_CG = MLP((1, 40, 40, 1)), 5, 20.0, 5
ALPHAS = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
BETAS = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1]
GRID = {"n_meta_steps": 1000, "n_stages": 20, "seed": 0, "n_tasks": 100, "task_seed": 1}
CHOOSE = {"n_meta_steps": 10_000, "n_pairs": 3, "seeds": [0, 100], "n_tasks": 100, "task_seed": 1}
TABLE = {"n_meta_steps": 10_000, "n_stages": 10, "n_seeds": 5, "n_tasks": 600, "task_seed": 2}
STEPS = [0, 1, 5, 10]
NAMES = ["joint", "MAML", "FOMAML", "Reptile", "ANIL", "Meta-SGD", "MAML++", "iMAML"]


@dataclass(frozen=True)
class Sinusoids32:
    """The paper's sinusoids in float32, which halves the time of a step."""

    def sample(self, rng, n_tasks, n_shots, n_queries):
        """As ``Sinusoids.sample``."""
        tasks = Sinusoids().sample(rng, n_tasks, n_shots, n_queries)
        arrays = (tasks.x_support, tasks.y_support, tasks.x_query, tasks.y_query)
        return Task(*(array.astype(np.float32) for array in arrays))


def first_rates(name, alpha):
    """The rates that training starts from where they are learned, else None."""
    shape = {"Meta-SGD": (MODEL.n_params,), "MAML++": (K, 1)}.get(name)
    return None if shape is None else np.full(shape, alpha, np.float32)


def step_weights(done):
    """Equal weights at first; all but the last fall to zero by half of the training."""
    early = max(0.0, 1 - 2 * done) / K
    return [early] * (K - 1) + [1 - early * (K - 1)]


def gradient_of(name, alpha, done, rng):
    """The meta-gradient that ``name`` follows after a share ``done`` of its training.

    ``rng`` is where Reptile draws its mini-batches.
    """
    gradient = {
        "joint": maml.joint_gradient,
        "MAML": maml.maml_gradient,
        "FOMAML": maml.fomaml_gradient,
        "Reptile": partial(family.reptile_on_batches_gradient, rng=rng),
        "ANIL": maml.anil_gradient,
        "Meta-SGD": family.meta_sgd_gradient,
        "MAML++": partial(family.maml_plus_plus_gradient, step_weights=step_weights(done)),
        "iMAML": partial(family.imaml_gradient, lam=LAM, n_cg_steps=N_CG),
    }[name]
    first = first_rates(name, alpha)
    return gradient if first is None else family.learn_rates(gradient, first)


def judge(name, vector, tasks, alpha, n_inner_steps):
    """Query losses of all tasks after 0 to ``n_inner_steps`` steps of the algorithm's own kind."""
    theta, first, adapt = vector, first_rates(name, alpha), maml.adapt
    if first is not None:
        theta, alpha = family.split_rates(vector, first)
    if name == "ANIL":
        alpha = alpha * MODEL.head.astype(theta.dtype)
    if name == "iMAML":
        adapt = partial(family.imaml_adapt, lam=LAM, anchor=theta)
    settings = {"alpha": alpha, "n_inner_steps": n_inner_steps, "adapt": adapt}
    return evaluate(MODEL, theta, tasks, **settings).losses


def first_vector(name, alpha, rng):
    """A random theta, and the rates after it where they are learned."""
    theta, first = MODEL.init(rng).astype(np.float32), first_rates(name, alpha)
    return theta if first is None else family.join_rates(theta, first)


def train(name, alpha, beta, seed, *, n_meta_steps, n_stages, n_test_steps, tasks):
    """Losses at the start and after each stage, ``(n_stages + 1, n_tasks, n_test_steps + 1)``.

    From the stage in which the training stopped because something was no longer finite, all
    losses are nan.
    """
    rng, batches = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    n_stage = n_meta_steps // n_stages
    config = MetaConfig(alpha=alpha, beta=beta, n_inner_steps=K, n_meta_steps=n_stage)
    vector = first_vector(name, alpha, rng)
    losses = np.full((n_stages + 1, tasks.n_tasks, n_test_steps + 1), np.nan, np.float32)
    losses[0] = judge(name, vector, tasks, alpha, n_test_steps)
    run = None
    for stage in range(n_stages):
        gradient = gradient_of(name, alpha, stage / n_stages, batches)
        settings = {"gradient": gradient, "progress": False}
        try:
            if run is None:
                run = meta_train(MODEL, vector, Sinusoids32(), config, rng=rng, **settings)
            else:
                run = resume(MODEL, run, Sinusoids32(), n_meta_steps=n_stage, **settings)
        except FloatingPointError:
            break
        losses[stage + 1] = judge(name, run.theta, tasks, alpha, n_test_steps)
    return losses


def tasks_of(settings):
    """The tasks that a part of the script judges on; no training sees them."""
    rng = np.random.default_rng(settings["task_seed"])
    return Sinusoids32().sample(rng, settings["n_tasks"], n_shots=10, n_queries=100)


def grid_cell(job):
    """Mean over tasks of the loss after K steps, at the start and after each stage."""
    name, alpha, beta = job
    settings = {"n_meta_steps": GRID["n_meta_steps"], "n_stages": GRID["n_stages"]}
    losses = train(
        name, alpha, beta, GRID["seed"], n_test_steps=K, tasks=tasks_of(GRID), **settings
    )
    return losses[:, :, K].mean(axis=1)


def table_cell(job):
    """Test losses after 0, 1, 5 and 10 steps, ``(n_tasks, 4)``."""
    name, alpha, beta, seed = job
    settings = {"n_meta_steps": TABLE["n_meta_steps"], "n_stages": TABLE["n_stages"]}
    losses = train(name, alpha, beta, seed, n_test_steps=10, tasks=tasks_of(TABLE), **settings)
    return losses[-1][:, STEPS]


def choose_cell(job):
    """Mean over validation tasks of the loss after K steps of a full-length training."""
    name, alpha, beta, seed = job
    settings = {"n_meta_steps": CHOOSE["n_meta_steps"], "n_stages": TABLE["n_stages"]}
    losses = train(name, alpha, beta, seed, n_test_steps=K, tasks=tasks_of(CHOOSE), **settings)
    return losses[-1][:, K].mean()


def in_parallel(function, jobs, n_processes):
    """The answers in the order of the jobs, with a progress bar."""
    with ProcessPoolExecutor(n_processes) as pool:
        return list(tqdm(pool.map(function, jobs), total=len(jobs)))


def make_grid(names, n_processes):
    """Arrays of the grid: losses ``(n_algorithms, n_alphas, n_betas, n_stages + 1)``."""
    jobs = [(name, alpha, beta) for name in names for alpha in ALPHAS for beta in BETAS]
    losses = np.array(in_parallel(grid_cell, jobs, n_processes), np.float32)
    return {"grid_mse": losses.reshape(len(names), len(ALPHAS), len(BETAS), -1)}


def promising(mse):
    """For each beta the best alpha of one algorithm's map; of these pairs, the best few."""
    last = np.nan_to_num(mse[..., -1], nan=np.inf)
    rows = np.argmin(last, axis=0)
    columns = np.argsort(last[rows, range(len(BETAS))])[: CHOOSE["n_pairs"]]
    return [(ALPHAS[rows[column]], BETAS[column]) for column in columns]


def make_choice(names, grid_mse, n_processes):
    """Arrays of the choice: pairs ``(n_algorithms, n_pairs, 2)``, losses with a last axis of seeds.

    A training that diverged counts as infinite, so a pair is chosen only if it survived from all
    seeds, if there is such a pair; else the one with the smallest beta.
    """
    pairs = np.array([promising(mse) for mse in grid_mse])
    jobs = [
        (name, *pair, seed)
        for name, of_name in zip(names, pairs.tolist(), strict=True)
        for pair in of_name
        for seed in CHOOSE["seeds"]
    ]
    losses = np.array(in_parallel(choose_cell, jobs, n_processes), np.float32)
    return {"choice_rates": pairs, "choice_mse": losses.reshape(*pairs.shape[:2], -1)}


def chosen(pairs, losses):
    """The pair of one algorithm with the lowest mean loss over seeds."""
    means = np.nan_to_num(losses, nan=np.inf).mean(axis=1)
    if np.isinf(means).all():
        return pairs[np.argmin(pairs[:, 1])]
    return pairs[np.argmin(means)]


def make_table(names, choice_rates, choice_mse, n_processes):
    """Arrays of the table: rates, and losses ``(n_algorithms, n_seeds, n_tasks, 4)``."""
    best = [chosen(*one).tolist() for one in zip(choice_rates, choice_mse, strict=True)]
    seeds = range(1, TABLE["n_seeds"] + 1)
    jobs = [(name, *best[n], seed) for n, name in enumerate(names) for seed in seeds]
    losses = np.array(in_parallel(table_cell, jobs, n_processes))
    shape = (len(names), TABLE["n_seeds"], TABLE["n_tasks"], len(STEPS))
    with np.errstate(over="ignore"):  # a task that diverged is inf in either precision
        small = losses.reshape(shape).astype(np.float16)
    return {"table_rates": np.array(best), "table_mse": small}


def replaced(stored, rows, new):
    """``stored`` with other rows, or ``new`` if that is all rows."""
    if len(rows) == len(NAMES):
        return new
    stored = stored.copy()
    stored[rows] = new
    return stored


def main():
    """Make one part, and write it next to the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["grid", "choose", "table"])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", choices=NAMES)
    parser.add_argument("--target", type=Path, default=TARGET)
    options = parser.parse_args()
    stored = dict(np.load(options.target)) if options.target.exists() else {}
    rows = [NAMES.index(options.only)] if options.only else range(len(NAMES))
    names = [NAMES[row] for row in rows]
    if options.part == "grid":
        made = make_grid(names, options.processes)
    elif options.part == "choose":
        made = make_choice(names, stored["grid_mse"][rows], options.processes)
    else:
        choice = stored["choice_rates"][rows], stored["choice_mse"][rows]
        made = make_table(names, *choice, options.processes)
    stored |= {key: replaced(stored.get(key), rows, new) for key, new in made.items()}
    settings = {
        "made_by": "scripts/train_family.py",
        "device": "CPU",
        "algorithms": NAMES,
        "alphas": ALPHAS,
        "betas": BETAS,
        "n_inner_steps": K,
        "lam": LAM,
        "n_cg_steps": N_CG,
        "grid": GRID,
        "choose": CHOOSE,
        "table": TABLE,
        "table_steps": STEPS,
    }
    np.savez_compressed(options.target, **{**stored, "settings": json.dumps(settings)})


if __name__ == "__main__":
    main()
