"""Small random meta-learning problems that the gradient tests share."""

import numpy as np

from maml_teach.mlp import MLP
from maml_teach.tasks import Task

STEPS = (0, 1, 2, 5, 10)
KINDS = [(a, o) for a in ("relu", "tanh") for o in ("mse", "cross_entropy")]


def random_problem(activation, objective, *, seed=0, sizes=(2, 6, 5, 3), n_tasks=4, n=(7, 6)):
    """A model, a theta and a batch of tasks; support and query differ in every respect."""
    rng = np.random.default_rng(seed)
    model = MLP(sizes, activation, objective)
    arrays = []
    for n_points in n:
        arrays.append(rng.normal(size=(n_tasks, n_points, sizes[0])))
        if objective == "mse":
            arrays.append(rng.normal(size=(n_tasks, n_points, sizes[-1])))
        else:
            arrays.append(rng.integers(0, sizes[-1], size=(n_tasks, n_points)))
    return model, model.init(rng), Task(*arrays)
