"""Rules that make a step of a gradient take the steps of ``torch.optim``, in both engines."""

import re
from functools import partial

import numpy as np
import pytest
import torch
from problems import random_problem

from maml_teach import maml, maml_torch
from maml_teach.checks import central_difference, relative_error
from maml_teach.rules import RULES, Rule, chosen, clipped, decayed
from maml_teach.tasks import Task

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "sgd": torch.optim.SGD,
}


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
    known = ", ".join(map(repr, RULES))
    for wrong in ("newton", None, 3, ["sgd"], (1, 2), torch.optim.Adam):
        message = f"inner must be {known}, or a pair of functions (init, update), got {wrong!r}"
        with pytest.raises(ValueError, match=re.escape(message)):
            adapt(model, theta, tasks, alpha=0.1, inner=wrong)


def test_a_rule_is_found_by_its_name():
    assert all(chosen(name, "rule") is rule for name, rule in RULES.items())


def plain_adam(theta, gradient, state, alpha, k):
    """Adam as the documentation of ``torch.optim.Adam`` writes it down."""
    m, v = (0.9 * state[0] + 0.1 * gradient, 0.999 * state[1] + 0.001 * gradient * gradient)
    m_hat, v_hat = m / (1 - 0.9**k), v / (1 - 0.999**k)
    return theta - alpha * m_hat / (torch.sqrt(v_hat) + 1e-8), (m, v)


def heavy_ball(theta, gradient, state, alpha, k):
    """SGD with momentum as the documentation of ``torch.optim.SGD`` writes it down."""
    b = gradient if k == 1 else 0.9 * state[0] + gradient
    return theta - alpha * b, (b, state[1])


def by_plain_autograd(step, theta, tasks, alpha, n_inner_steps):
    """The meta-gradient of a tanh network, from nothing of the package but its loss."""
    model = maml_torch.MLP((2, 6, 5, 3), "tanh", "mse")
    theta = torch.tensor(theta, requires_grad=True)
    tasks = maml_torch.as_tensors(tasks, theta)
    total = 0.0
    for t in range(tasks.n_tasks):
        task, theta_k = tasks.select(t), theta
        state = torch.zeros_like(theta), torch.zeros_like(theta)
        for k in range(1, n_inner_steps + 1):
            loss = model.loss(theta_k, task.x_support, task.y_support)
            (g,) = torch.autograd.grad(loss, theta_k, create_graph=True)
            theta_k, state = step(theta_k, g, state, alpha, k)
        total = total + model.loss(theta_k, task.x_query, task.y_query) / tasks.n_tasks
    return torch.autograd.grad(total, theta)[0].numpy()


@pytest.mark.parametrize("n_inner_steps", [1, 2, 5, 10])
@pytest.mark.parametrize(("name", "step"), [("adam", plain_adam), ("momentum", heavy_ball)])
def test_the_walk_back_is_autograd_through_the_formulas_of_torch(name, step, n_inner_steps):
    model, theta, tasks = random_problem("tanh", "mse")
    expected = by_plain_autograd(step, theta, tasks, 0.03, n_inner_steps)
    settings = {"alpha": 0.03, "n_inner_steps": n_inner_steps, "inner": name}
    _, gradient = maml.maml_gradient(model, theta, tasks, **settings)
    assert relative_error(gradient, expected) < 1e-9


def higher_steps(optimizer, settings, theta, tasks, n_inner_steps):
    """The meta-gradient by the library ``higher``."""
    higher = pytest.importorskip("higher", reason="higher is not installed: pip install higher")
    module = torch.nn.Sequential(
        torch.nn.Linear(2, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)
    ).double()
    torch.nn.utils.vector_to_parameters(theta, module.parameters())
    total = 0.0
    for t in range(tasks.n_tasks):
        task = tasks.select(t)
        inner = optimizer(module.parameters(), **settings)
        with higher.innerloop_ctx(module, inner, copy_initial_weights=False) as (fast, steps):
            for _ in range(n_inner_steps):
                steps.step(torch.nn.functional.mse_loss(fast(task.x_support), task.y_support))
            total = total + torch.nn.functional.mse_loss(fast(task.x_query), task.y_query)
    grads = torch.autograd.grad(total / tasks.n_tasks, list(module.parameters()))
    return torch.cat([g.reshape(-1) for g in grads]), module


@pytest.mark.parametrize("n_inner_steps", [1, 3])
def test_momentum_is_that_of_higher(n_inner_steps):
    _, _, tasks = random_problem("tanh", "mse")
    tasks = maml_torch.as_tensors(tasks, torch.zeros(1, dtype=torch.float64))
    theta = torch.tensor(np.random.default_rng(0).normal(size=39) / 2)
    optimizer, settings = torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}
    expected, module = higher_steps(optimizer, settings, theta, tasks, n_inner_steps)
    model = maml_torch.from_module(module, "mse")
    settings = {"alpha": 0.1, "n_inner_steps": n_inner_steps, "inner": "momentum"}
    _, gradient = maml_torch.maml_gradient(model, theta, tasks, **settings)
    assert relative_error(gradient.numpy(), expected.numpy()) < 1e-12


def proximal(theta, gradient, state, alpha, k):
    """A reader's own rule: a step, and half of the way back to where the loop began."""
    return 0.5 * (theta - alpha * gradient + state[0]), state


def test_a_rule_of_the_reader_whose_state_starts_from_theta():
    model, theta, tasks = random_problem("tanh", "mse")
    inner = (lambda theta: (theta,), proximal)
    settings = {"alpha": 0.3, "n_inner_steps": 3, "inner": inner}

    def meta_loss(theta):
        theta_prime = maml.adapt(model, theta, tasks, **settings)
        return np.mean(model.loss(theta_prime, tasks.x_query, tasks.y_query))

    twin = maml_torch.MLP(model.sizes, "tanh", "mse")
    for of_torch in (maml_torch.maml_gradient, maml_torch.unrolled_gradient):
        _, gradient = of_torch(twin, torch.tensor(theta), tasks, **settings)
        assert relative_error(gradient.numpy(), central_difference(meta_loss, theta)) < 1e-6
    with pytest.raises(ValueError, match="inner has no way back"):
        maml.maml_gradient(model, theta, tasks, **settings)
    settings["inner"] = Rule(*inner, back=RULES["sgd"].back)
    with pytest.raises(ValueError, match="inner starts from a state that depends on theta"):
        maml.maml_gradient(model, theta, tasks, **settings)


def net(n_in=2, n_out=3):
    """A network that is not recognised as an MLP."""
    torch.manual_seed(0)
    middle = torch.nn.Sigmoid()
    return torch.nn.Sequential(torch.nn.Linear(n_in, 5), middle, torch.nn.Linear(5, n_out)).double()


@pytest.mark.parametrize("wrap", [maml_torch.from_module, maml_torch.from_module_all_at_once])
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("n_inner_steps", [0, 1, 4])
def test_modules_take_every_rule(wrap, name, n_inner_steps):
    _, _, tasks = random_problem("tanh", "mse")
    model = wrap(net(), "mse")
    settings = {"alpha": 0.03, "n_inner_steps": n_inner_steps, "inner": name}
    _, gradient = maml_torch.maml_gradient(model, model.theta(), tasks, **settings)
    _, unrolled = maml_torch.unrolled_gradient(
        maml_torch.from_module(net(), "mse"), model.theta(), tasks, **settings
    )
    assert relative_error(gradient.numpy(), unrolled.numpy()) < 1e-10


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_rates_of_their_own_and_frozen_parameters(name):
    model, theta, tasks = random_problem("tanh", "mse")
    twin = maml_torch.MLP(model.sizes, "tanh", "mse")
    rates = 0.03 * model.head
    settings = {"alpha": rates, "n_inner_steps": 3, "inner": name}
    theta_prime = maml.adapt(model, theta, tasks, **settings)
    assert np.array_equal(theta_prime[0][~model.head], theta[~model.head])
    _, gradient = maml.maml_gradient(model, theta, tasks, **settings)
    _, tensors = maml_torch.maml_gradient(twin, torch.tensor(theta), tasks, **settings)
    assert relative_error(tensors.numpy(), gradient) < 1e-10


def test_parameters_without_a_gradient_do_not_spoil_adam():
    """Inputs of zeros leave the first weights without a gradient: Adam's root is flat there."""
    model, theta, tasks = random_problem("tanh", "mse")
    x = np.zeros_like(tasks.x_support)
    tasks = Task(x, tasks.y_support, tasks.x_query, tasks.y_query)
    settings = {"alpha": 0.03, "n_inner_steps": 2, "inner": "adam"}
    _, gradient = maml.maml_gradient(model, theta, tasks, **settings)
    twin = maml_torch.MLP(model.sizes, "tanh", "mse")
    for of_torch in (maml_torch.maml_gradient, maml_torch.unrolled_gradient):
        _, tensors = of_torch(twin, torch.tensor(theta), tasks, **settings)
        assert relative_error(tensors.numpy(), gradient) < 1e-10
    assert np.isfinite(gradient).all()


def test_clipping_and_decay_are_those_of_torch():
    theta, g = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([3.0, 0.0, 4.0])
    for make, options in ((torch.optim.SGD, {"momentum": 0.9}), (torch.optim.Adam, {})):
        name = "momentum" if options else "adam"
        rule, point = decayed(name, 0.1), theta.clone().requires_grad_()
        optimizer = make([point], lr=0.1, weight_decay=0.1, **options)
        theta_k, state = theta, rule.init(theta)
        for k in (1, 2, 3):
            point.grad = g.clone()
            optimizer.step()
            theta_k, state = rule.update(theta_k, g, state, 0.1, k)
        torch.testing.assert_close(theta_k, point.detach())
    for max_norm in (1.0, 5.0, 9.0):
        point = theta.clone().requires_grad_()
        point.grad = g.clone()
        torch.nn.utils.clip_grad_norm_([point], max_norm)
        moved, _ = clipped("sgd", max_norm).update(theta, g, (), 1.0, 1)
        torch.testing.assert_close(theta - moved, point.grad, rtol=1e-6, atol=0)


@pytest.mark.parametrize("make", [clipped, decayed])
@pytest.mark.parametrize("value", [0, -1.0, np.inf, "1", None])
def test_a_wrong_norm_or_decay_is_named(make, value):
    name = "max_norm" if make is clipped else "weight_decay"
    with pytest.raises(ValueError, match=f"{name} must be a positive finite number"):
        make("sgd", value)
