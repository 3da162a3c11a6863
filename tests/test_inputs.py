"""Bad input gets an error that names the argument, what it was and what was wanted."""

import numpy as np
import pytest
import torch
from problems import random_problem

from maml_teach import maml, maml_torch
from maml_teach.checks import central_difference, relative_error
from maml_teach.mlp import MLP
from maml_teach.tasks import Lines, Sinusoids, Task
from maml_teach.train import MetaConfig, evaluate

ENGINES = {"numpy": (maml, MLP, np.asarray), "torch": (maml_torch, maml_torch.MLP, torch.tensor)}
FUNCTIONS = ("adapt", "maml_gradient", "fomaml_gradient", "reptile_gradient")


def task(**changes):
    """A good batch of 2 tasks with some arrays replaced."""
    arrays = {
        "x_support": np.zeros((2, 5, 1)),
        "y_support": np.zeros((2, 5, 1)),
        "x_query": np.zeros((2, 3, 1)),
        "y_query": np.zeros((2, 3, 1)),
    }
    return Task(**(arrays | changes))


def nan_like(*shape):
    return np.full(shape, np.nan)


BAD_TASKS = {
    "support_mismatch": ({"y_support": np.zeros((2, 4, 1))}, "y_support has shape .2, 4, 1."),
    "query_mismatch": ({"y_query": np.zeros((2, 5, 1))}, "y_query has shape"),
    "nan_in_x": ({"x_support": nan_like(2, 5, 1)}, "x_support must be finite"),
    "inf_in_y": ({"y_query": np.full((2, 3, 1), np.inf)}, "y_query must be finite"),
    "no_tasks": ({"x_support": np.zeros((0, 5, 1))}, "x_support is empty"),
    "no_points": ({"x_query": np.zeros((2, 0, 1))}, "x_query is empty"),
    "a_list": ({"x_support": [[0.0]]}, "x_support must be an array, got list"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_TASKS.values(), ids=BAD_TASKS)
@pytest.mark.parametrize("convert", [np.asarray, torch.tensor])
def test_a_bad_task_is_named(changes, message, convert):
    changes = {k: v if isinstance(v, list) else convert(v) for k, v in changes.items()}
    with pytest.raises(ValueError, match=message):
        task(**changes)


BAD_INNER_LOOPS = [
    ({"alpha": 0.0}, "alpha must be a positive finite number, got 0.0"),
    ({"alpha": -0.1}, "alpha must be"),
    ({"alpha": float("nan")}, "alpha must be"),
    ({"alpha": float("inf")}, "alpha must be"),
    ({"alpha": "0.1"}, "alpha must be"),
    ({"alpha": None}, "alpha must be"),
    ({"n_inner_steps": -1}, "n_inner_steps must be at least 0, got -1"),
    ({"n_inner_steps": 1.0}, "n_inner_steps must be an integer, got 1.0"),
    ({"n_inner_steps": True}, "n_inner_steps must be an integer"),
]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("changes", "message"), BAD_INNER_LOOPS)
def test_a_bad_inner_loop_is_named(engine, function, changes, message):
    module, model, convert = ENGINES[engine]
    model = model((1, 4, 1))
    settings = {"alpha": 0.1, "n_inner_steps": 1} | changes
    with pytest.raises(ValueError, match=message):
        getattr(module, function)(model, convert(np.zeros(model.n_params)), task(), **settings)


BAD_BATCHES = {
    "one_task": (
        task(
            x_support=np.zeros((5, 1)),
            y_support=np.zeros((5, 1)),
            x_query=np.zeros((5, 1)),
            y_query=np.zeros((5, 1)),
        ),
        "tasks must be a batch",
    ),
    "counts_differ": (
        task(x_query=np.zeros((3, 3, 1)), y_query=np.zeros((3, 3, 1))),
        "x_support has 2 tasks but x_query has 3",
    ),
    "inputs_too_wide": (task(x_support=np.zeros((2, 5, 2))), r"x has shape \(2, 5, 2\)"),
    "targets_too_wide": (task(y_support=np.zeros((2, 5, 2))), r"y has shape \(2, 5, 2\)"),
}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", BAD_BATCHES)
def test_a_bad_batch_is_named(engine, function, case):
    module, model, convert = ENGINES[engine]
    model, (tasks, message) = model((1, 4, 1)), BAD_BATCHES[case]
    with pytest.raises(ValueError, match=message):
        getattr(module, function)(model, convert(np.zeros(model.n_params)), tasks, alpha=0.1)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([[0, 3]]), "expected 0 to 2"),
        (np.array([[-1, 0]]), "labels in .-1"),
        (np.zeros((1, 2)), "integer labels"),
    ],
)
def test_bad_labels_are_named(engine, function, labels, message):
    module, model, convert = ENGINES[engine]
    model = model((1, 3), objective="cross_entropy")
    with pytest.raises(ValueError, match=message):
        x = np.zeros((1, 2, 1))
        tasks = Task(x, labels, x, labels)
        getattr(module, function)(model, convert(np.zeros(model.n_params)), tasks, alpha=0.1)


@pytest.mark.parametrize("function", [*FUNCTIONS, "joint_gradient"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("theta", "message"),
    [(np.zeros(12), "n_params = 13"), (np.full(13, np.nan), "theta must be finite")],
)
def test_a_bad_theta_is_named(engine, function, theta, message):
    module, model, convert = ENGINES[engine]
    with pytest.raises(ValueError, match=message):
        getattr(module, function)(model((1, 4, 1)), convert(theta), task(), alpha=0.1)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("engine", ENGINES)
def test_divergence_is_reported(engine, function):
    module, model, convert = ENGINES[engine]
    _, theta, tasks = random_problem("relu", "mse")
    with pytest.raises(FloatingPointError, match=r"diverged on \d of 4 tasks.*alpha = 1e\+50"):
        getattr(module, function)(
            model((2, 6, 5, 3)), convert(theta), tasks, alpha=1e50, n_inner_steps=5
        )


def sample(**changes):
    counts = {"n_tasks": 2, "n_shots": 5, "n_queries": 5} | changes
    return Sinusoids().sample(np.random.default_rng(0), **counts)


REJECTED = {
    "activation": (lambda: MLP((1, 1), activation="gelu"), "activation must be 'relu' or 'tanh'"),
    "objective": (lambda: MLP((1, 1), objective="mae"), "objective must be 'mse' or"),
    "sizes": (lambda: MLP((1,)), "sizes must be two or more"),
    "size_zero": (lambda: MLP((1, 0, 1)), "sizes must be two or more"),
    "torch_activation": (lambda: maml_torch.MLP((1, 1), "gelu"), "activation must be"),
    "module_objective": (
        lambda: maml_torch.from_module(torch.nn.Linear(1, 1), "mae"),
        "objective must be",
    ),
    "module_empty": (lambda: maml_torch.from_module(torch.nn.ReLU(), "mse"), "no parameters"),
    "n_tasks": (lambda: sample(n_tasks=0), "n_tasks must be an integer of at least 1, got 0"),
    "n_shots": (lambda: sample(n_shots=2.5), "n_shots must be"),
    "n_queries": (lambda: Lines().sample(np.random.default_rng(0), 1, 1, -1), "n_queries must be"),
    "beta": (lambda: MetaConfig(beta=0), "beta must be"),
    "alpha": (lambda: MetaConfig(alpha=-1), "alpha must be"),
    "optimizer": (lambda: MetaConfig(optimizer="lbfgs"), "optimizer must be 'adam' or 'sgd'"),
    "n_meta_steps": (lambda: MetaConfig(n_meta_steps=0), "n_meta_steps must be"),
    "one_test_task": (
        lambda: evaluate(MLP((1, 1)), np.zeros(2), sample(n_tasks=1), alpha=0.1, n_inner_steps=1),
        "at least 2 tasks",
    ),
    "difference_of_ints": (lambda: central_difference(np.sum, np.arange(3)), "float64 vector"),
    "difference_step": (lambda: central_difference(np.sum, np.zeros(3), step=0), "step must be"),
    "error_of_shapes": (lambda: relative_error(np.zeros(2), np.zeros(3)), "value has shape"),
}


@pytest.mark.parametrize(("call", "message"), REJECTED.values(), ids=REJECTED)
def test_bad_settings_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
