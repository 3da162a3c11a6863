"""The fast NumPy core computes what the plain one computes, in every case and with every error."""

import numpy as np
import pytest
from test_javascript import tasks_for

from maml_teach import lean, maml
from maml_teach.checks import relative_error
from maml_teach.mlp import MLP
from maml_teach.tasks import Task

SHAPES = [(1, 1), (2, 5, 3), (3, 4, 6, 2), (1, 40, 40, 1)]


def labelled(sizes, rng):
    """Tasks with labels for ``cross_entropy``."""
    tasks = tasks_for(sizes, rng)
    labels = (rng.integers(sizes[-1], size=y.shape[:2]) for y in (tasks.y_support, tasks.y_query))
    return Task(tasks.x_support, next(labels), tasks.x_query, next(labels))


@pytest.mark.parametrize("n_inner_steps", [0, 1, 2, 5, 10])
@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("objective", ["mse", "cross_entropy"])
def test_equals_the_plain_core(sizes, activation, objective, n_inner_steps):
    rng = np.random.default_rng(n_inner_steps)
    model = MLP(sizes, activation=activation, objective=objective)
    tasks = tasks_for(sizes, rng) if objective == "mse" else labelled(sizes, rng)
    theta, inner = model.init(rng), {"alpha": 0.05, "n_inner_steps": n_inner_steps}
    loss, gradient = lean.maml_gradient(model, theta, tasks, **inner)
    wanted_loss, wanted = maml.maml_gradient(model, theta, tasks, **inner)
    assert loss == pytest.approx(wanted_loss, rel=1e-12)
    if np.linalg.norm(wanted) > 1e-9:  # one class only: nothing to learn
        assert relative_error(gradient, wanted) < 1e-12
    assert gradient.shape == theta.shape


def test_float32_stays_float32_and_near():
    rng, model = np.random.default_rng(0), MLP((1, 40, 40, 1))
    tasks, theta = tasks_for((1, 1), rng), model.init(rng)
    _, small = lean.maml_gradient(model, theta.astype(np.float32), tasks, alpha=0.01)
    _, wanted = lean.maml_gradient(model, theta, tasks, alpha=0.01)
    assert small.dtype == np.float32
    assert relative_error(small, wanted) < 1e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": -1.0}, "alpha"),
        ({"alpha": np.full(8, 0.1)}, "alpha"),
        ({"n_inner_steps": -1}, "n_inner_steps"),
        ({"theta": np.full(13, np.nan)}, "theta"),
        ({"theta": np.zeros(7)}, "n_params = 13"),
        ({"tasks": Task(*np.zeros((4, 3, 5, 2)))}, "x has shape"),
        ({"tasks": Task(*np.zeros((4, 5, 1)))}, "tasks must be a batch"),
    ],
)
def test_bad_input_is_named(change, message):
    model, rng = MLP((1, 4, 1)), np.random.default_rng(0)
    given = {"theta": model.init(rng), "tasks": tasks_for((1, 1), rng), "alpha": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        lean.maml_gradient(model, given.pop("theta"), given.pop("tasks"), **given)


def test_divergence_is_reported():
    rng, model = np.random.default_rng(0), MLP((1, 40, 40, 1))
    with pytest.raises(FloatingPointError, match="of 3 tasks within 50 steps"):
        lean.maml_gradient(
            model, model.init(rng), tasks_for((1, 1), rng), alpha=1e4, n_inner_steps=50
        )
