"""Make the golden vectors: problems with the answers of the NumPy engine, for others to check.

Everything is drawn from one seed, inputs and parameters with three decimals. What is made goes to
maml_teach/data/vectors/, one file per vector; README.md there says what a file holds.

Usage: python scripts/make_vectors.py
"""

import json
from pathlib import Path

import numpy as np

from maml_teach.mlp import MLP
from maml_teach.vectors import ANSWERS, as_vector, reference

SEED = 2093
FOLDER = Path(__file__).parents[1] / "maml_teach" / "data" / "vectors"
MADE_BY = f"python scripts/make_vectors.py, seed {SEED}, NumPy engine of maml_teach, float64"
SIZES = (2, 4, 3, 3)
POINTS = [(5, 7)] * 4  # support and query points of each task
UNEQUAL = [(3, 6), (6, 4), (2, 9)]
KINDS = [(a, o) for a in ("relu", "tanh") for o in ("mse", "cross_entropy")]
FEW = [("relu", "mse"), ("tanh", "cross_entropy")]
SMOOTH = [("tanh", "mse"), ("tanh", "cross_entropy")]
# Method, kinds, inner steps, inner rate. A unit of a ReLU network that is off has gradients of
# zero, through which Adam's square root has no derivative: Adam is asked for with tanh.
CASES = [
    ("maml", KINDS, (0, 1, 2, 5, 10), 0.2),
    ("fomaml", FEW, (1, 5), 0.2),
    ("reptile", FEW, (1, 5), 0.2),
    ("anil", FEW, (1, 5), 0.3),
    ("meta_sgd", FEW, (1, 5), (0.05, 0.3)),
    ("momentum", FEW, (2, 5), 0.1),
    ("adam", SMOOTH, (2, 5), 0.03),
]


def drawn(kind, points):
    """A network's start and tasks, the same whatever is done with them."""
    rng = np.random.default_rng([SEED, KINDS.index(kind), len(points)])
    n_params = MLP(SIZES, *kind).n_params
    theta = rng.uniform(-1, 1, n_params).round(3)
    tasks = []
    for n_support, n_query in points:
        task = {}
        for name, n in (("support", n_support), ("query", n_query)):
            task[f"x_{name}"] = rng.normal(size=(n, SIZES[0])).round(3).tolist()
            of_squares = rng.normal(size=(n, SIZES[-1])).round(3)
            labels = rng.integers(SIZES[-1], size=n)
            task[f"y_{name}"] = (of_squares if kind[1] == "mse" else labels).tolist()
        tasks.append(task)
    rates = rng.uniform(size=n_params)
    return theta.tolist(), tasks, rates


def record(method, kind, n_inner_steps, alpha, points=POINTS):
    """What the file of one vector holds."""
    theta, tasks, rates = drawn(kind, points)
    if isinstance(alpha, tuple):
        low, high = alpha
        alpha = (low + (high - low) * rates).round(3).tolist()
    ending = "" if points is POINTS else "_unequal"
    made = {
        "name": f"{method}_{'_'.join(kind)}_k{n_inner_steps:02d}{ending}",
        "made_by": MADE_BY,
        "format": 1,
        "method": method,
        "sizes": list(SIZES),
        "activation": kind[0],
        "objective": kind[1],
        "alpha": alpha,
        "n_inner_steps": n_inner_steps,
        "theta": theta,
        "tasks": tasks,
    }
    unanswered = {"meta_loss": 0.0, "gradient": theta}
    answer = reference(as_vector({**made, **unanswered}).problem)
    names = ANSWERS[: len(answer)]
    return made | {k: np.asarray(part).tolist() for k, part in zip(names, answer, strict=True)}


def records():
    """What all files hold, by name."""
    made = [
        record(method, kind, n_inner_steps, alpha)
        for method, kinds, steps, alpha in CASES
        for kind in kinds
        for n_inner_steps in steps
    ]
    made.append(record("maml", ("tanh", "mse"), 2, 0.2, UNEQUAL))
    return {one["name"]: one for one in made}


def text(made):
    """JSON, a line for each entry and for each array of a task; numbers read back to the bit."""
    rows = {name: json.dumps(value) for name, value in made.items()}
    tasks = [
        ",\n   ".join(f"{json.dumps(name)}: {json.dumps(rows)}" for name, rows in task.items())
        for task in made["tasks"]
    ]
    rows["tasks"] = "[\n  {" + "},\n  {".join(tasks) + "}\n ]"
    return "{\n" + ",\n".join(f' "{name}": {row}' for name, row in rows.items()) + "\n}\n"


def main():
    """Write the files, in place of those that were there."""
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, made in records().items():
        (FOLDER / f"{name}.json").write_text(text(made), "utf-8")


if __name__ == "__main__":
    main()
