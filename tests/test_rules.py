"""Rules that make a step of a gradient take the steps of ``torch.optim``, in both engines."""

import numpy as np
import pytest
import torch
from problems import random_problem

from maml_teach import maml, maml_torch
from maml_teach.checks import relative_error
from maml_teach.rules import RULES, chosen

OPTIMIZERS = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}


def by_optimizer(name, theta, tasks, alpha, n_inner_steps):
    """Each task by itself with an optimiser of torch."""
    model, done = random_problem("tanh", "mse")[0], []
    for t in range(tasks.n_tasks):
        theta_k = torch.tensor(theta, requires_grad=True)
        optimizer = OPTIMIZERS[name]([theta_k], lr=alpha)
        for _ in range(n_inner_steps):
            at = theta_k.detach().numpy()
            theta_k.grad = torch.tensor(model.gradient(at, tasks.x_support[t], tasks.y_support[t]))
            optimizer.step()
        done.append(theta_k.detach().numpy())
    return np.stack(done)


def test_every_rule_is_compared():
    assert set(OPTIMIZERS) == set(RULES)


@pytest.mark.parametrize("n_inner_steps", [0, 1, 2, 10])
@pytest.mark.parametrize("name", RULES)
def test_the_inner_loop_takes_the_steps_of_torch(name, n_inner_steps):
    model, theta, tasks = random_problem("tanh", "mse")
    settings = {"alpha": 0.03, "n_inner_steps": n_inner_steps, "inner": name}
    expected = by_optimizer(name, theta, tasks, 0.03, n_inner_steps)
    numpy = maml.adapt(model, theta, tasks, **settings)
    assert relative_error(numpy, expected) < 1e-10
    twin = maml_torch.MLP(model.sizes, "tanh", "mse")
    tensors = maml_torch.adapt(twin, torch.tensor(theta), tasks, **settings)
    assert relative_error(tensors.numpy(), numpy) < 1e-10
    same = maml.adapt(model, theta, tasks, **{**settings, "inner": RULES[name]})
    assert np.array_equal(same, numpy)


@pytest.mark.parametrize("adapt", [maml.adapt, maml_torch.adapt])
def test_an_unknown_rule_is_named(adapt):
    model, theta, tasks = random_problem("tanh", "mse")
    if adapt is maml_torch.adapt:
        model, theta = maml_torch.MLP(model.sizes, "tanh", "mse"), torch.tensor(theta)
    known = " or ".join(map(repr, RULES))
    with pytest.raises(ValueError, match=f"inner must be {known}, got 'newton'"):
        adapt(model, theta, tasks, alpha=0.1, inner="newton")


def test_a_rule_is_found_by_its_name():
    assert all(chosen(name, "rule") is rule for name, rule in RULES.items())
