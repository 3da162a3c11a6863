"""The ladder of checks that every gradient of the package climbs.

Each rung compares the hand-derived NumPy gradient with something that shares no derivation with
it: central differences, a limit, a closed form, or autograd.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import KINDS, STEPS, random_problem

from maml_teach import maml, maml_torch
from maml_teach.checks import central_difference, relative_error
from maml_teach.mlp import MLP
from maml_teach.rules import clipped, decayed
from maml_teach.tasks import Lines

ALGORITHMS = ("maml_gradient", "fomaml_gradient", "reptile_gradient", "joint_gradient")
WITH_A_STATE = {
    "momentum": "momentum",
    "adam": "adam",
    "clipped": clipped("sgd", 0.5),
    "decayed": decayed("sgd", 0.1),
    "clipped momentum with decay": decayed(clipped("momentum", 0.5), 0.1),
    "Adam with decay, clipped": clipped(decayed("adam", 0.1), 0.5),
}
ALPHA = 0.3  # large, so that second-order terms are not small


def as_tensor(theta):
    return torch.tensor(theta, dtype=torch.float64)


# checks (3.14) (3.15) (3.16) (3.17)
@pytest.mark.parametrize(("activation", "objective"), KINDS)
def test_gradient_is_the_central_difference_of_the_loss(activation, objective):
    model, theta, tasks = random_problem(activation, objective)
    x, y = tasks.x_support[0], tasks.y_support[0]
    numerical = central_difference(lambda t: model.loss(t, x, y), theta)
    assert relative_error(model.gradient(theta, x, y), numerical) < 1e-6


# checks (3.13) (3.18) (3.19) (3.20) (3.21)
@pytest.mark.parametrize(("activation", "objective"), KINDS)
def test_hvp_is_the_central_difference_of_the_gradient(activation, objective):
    model, theta, tasks = random_problem(activation, objective)
    x, y = tasks.x_support[0], tasks.y_support[0]
    v = np.random.default_rng(1).normal(size=theta.shape)
    numerical = (
        model.gradient(theta + 1e-6 * v, x, y) - model.gradient(theta - 1e-6 * v, x, y)
    ) / 2e-6
    assert relative_error(model.hvp(theta, v, x, y), numerical) < 1e-6


# checks (3.13)
@pytest.mark.parametrize(("activation", "objective"), KINDS)
def test_hessian_is_symmetric(activation, objective):
    model, theta, tasks = random_problem(activation, objective)
    rng = np.random.default_rng(2)
    u, v = rng.normal(size=(2, *theta.shape))
    x, y = tasks.x_support[0], tasks.y_support[0]
    left, right = u @ model.hvp(theta, v, x, y), v @ model.hvp(theta, u, x, y)
    assert relative_error([left], [right]) < 1e-12


# checks (3.1) (3.4) (3.5) (3.6) (3.7)
@pytest.mark.parametrize("n_inner_steps", STEPS)
@pytest.mark.parametrize(("activation", "objective"), KINDS)
def test_maml_gradient_is_the_central_difference_of_the_meta_loss(
    activation, objective, n_inner_steps
):
    model, theta, tasks = random_problem(activation, objective)

    def meta_loss(theta):
        theta_prime = maml.adapt(model, theta, tasks, alpha=ALPHA, n_inner_steps=n_inner_steps)
        return np.mean(model.loss(theta_prime, tasks.x_query, tasks.y_query))

    loss, gradient = maml.maml_gradient(
        model, theta, tasks, alpha=ALPHA, n_inner_steps=n_inner_steps
    )
    assert loss == meta_loss(theta)
    assert relative_error(gradient, central_difference(meta_loss, theta)) < 1e-6


# checks (3.22) (3.23) (3.24) (3.25) (3.26)
@pytest.mark.parametrize("n_inner_steps", STEPS)
@pytest.mark.parametrize(("activation", "objective"), KINDS)
@pytest.mark.parametrize("rule", WITH_A_STATE)
def test_maml_gradient_goes_back_through_the_state_of_the_rule(
    rule, activation, objective, n_inner_steps
):
    model, theta, tasks = random_problem(activation, objective)
    inner = {"alpha": 0.03, "n_inner_steps": n_inner_steps, "inner": WITH_A_STATE[rule]}

    def meta_loss(theta):
        theta_prime = maml.adapt(model, theta, tasks, **inner)
        return np.mean(model.loss(theta_prime, tasks.x_query, tasks.y_query))

    loss, gradient = maml.maml_gradient(model, theta, tasks, **inner)
    assert loss == meta_loss(theta)
    judge = central_difference(meta_loss, theta, step=1e-7)
    assert relative_error(gradient, judge) < 1e-5
    twin = maml_torch.MLP(model.sizes, activation, objective)
    for of_torch in (maml_torch.maml_gradient, maml_torch.unrolled_gradient):
        _, tensors = of_torch(twin, as_tensor(theta), tasks, **inner)
        assert relative_error(tensors.numpy(), gradient) < 1e-9
    _, first_order = maml.fomaml_gradient(model, theta, tasks, **inner)
    if n_inner_steps > 1:  # the first step of Adam hardly depends on the gradient's size
        assert relative_error(first_order, gradient) > 1e-3


# checks (3.2)
@pytest.mark.parametrize("n_inner_steps", STEPS)
@pytest.mark.parametrize(("activation", "objective"), KINDS)
def test_adapt_is_plain_gradient_descent_task_by_task(activation, objective, n_inner_steps):
    model, theta, tasks = random_problem(activation, objective)
    theta_prime = maml.adapt(model, theta, tasks, alpha=ALPHA, n_inner_steps=n_inner_steps)
    for t in range(tasks.n_tasks):
        alone = theta
        for _ in range(n_inner_steps):
            alone = alone - ALPHA * model.gradient(alone, tasks.x_support[t], tasks.y_support[t])
        assert relative_error(theta_prime[t], alone) < 1e-12


# checks (3.8)
@pytest.mark.parametrize("n_inner_steps", STEPS)
@pytest.mark.parametrize(("activation", "objective"), KINDS)
def test_first_order_is_the_plain_gradient_at_theta_prime(activation, objective, n_inner_steps):
    model, theta, tasks = random_problem(activation, objective)
    settings = {"alpha": ALPHA, "n_inner_steps": n_inner_steps}
    theta_prime = maml.adapt(model, theta, tasks, **settings)
    plain = [
        central_difference(lambda t, i=i: model.loss(t, tasks.x_query[i], tasks.y_query[i]), start)
        for i, start in enumerate(theta_prime)
    ]
    _, gradient = maml.fomaml_gradient(model, theta, tasks, **settings)
    assert relative_error(gradient, np.mean(plain, axis=0)) < 1e-6


# checks (3.9)
@pytest.mark.parametrize("n_inner_steps", STEPS[1:])
@pytest.mark.parametrize(("activation", "objective"), KINDS)
def test_reptile_is_the_sum_of_the_inner_gradients(activation, objective, n_inner_steps):
    model, theta, tasks = random_problem(activation, objective)
    theta_k, total = theta, 0.0
    for _ in range(n_inner_steps):
        gradient = model.gradient(theta_k, tasks.x_support, tasks.y_support)
        total = total + gradient
        theta_k = theta_k - ALPHA * gradient
    _, reptile = maml.reptile_gradient(
        model, theta, tasks, alpha=ALPHA, n_inner_steps=n_inner_steps
    )
    assert relative_error(reptile, total.mean(axis=0)) < 1e-10


@pytest.mark.parametrize("n_inner_steps", STEPS[1:])
@pytest.mark.parametrize(("activation", "objective"), KINDS)
def test_maml_tends_to_joint_training_as_alpha_vanishes(activation, objective, n_inner_steps):
    model, theta, tasks = random_problem(activation, objective)
    _, joint = maml.joint_gradient(model, theta, tasks)
    errors = [
        relative_error(
            maml.maml_gradient(model, theta, tasks, alpha=alpha, n_inner_steps=n_inner_steps)[1],
            joint,
        )
        for alpha in (1e-4, 1e-6)
    ]
    assert errors[1] < 1e-4
    assert errors[1] == pytest.approx(errors[0] / 100, rel=0.1)  # first order in alpha


# checks (3.7)
@pytest.mark.parametrize("n_inner_steps", STEPS)
def test_linear_regression_has_a_closed_form(n_inner_steps):
    """For a quadratic loss the K-step Jacobian is the matrix power (I - alpha H)^K."""
    rng = np.random.default_rng(3)
    model, alpha = MLP((1, 1)), 0.1
    theta, tasks = model.init(rng), Lines().sample(rng, 6, 5, 4)

    def bowl(x, y):  # loss = theta' H theta / 2 - c' theta + constant
        features = np.column_stack([x[:, 0], np.ones(len(x))])
        return 2 * features.T @ features / len(x), 2 * features.T @ y[:, 0] / len(x)

    expected = []
    for t in range(tasks.n_tasks):
        hessian_s, c_s = bowl(tasks.x_support[t], tasks.y_support[t])
        hessian_q, c_q = bowl(tasks.x_query[t], tasks.y_query[t])
        jacobian = np.linalg.matrix_power(np.eye(2) - alpha * hessian_s, n_inner_steps)
        optimum = np.linalg.solve(hessian_s, c_s)
        theta_prime = optimum + jacobian @ (theta - optimum)
        expected.append(jacobian @ (hessian_q @ theta_prime - c_q))
    _, gradient = maml.maml_gradient(model, theta, tasks, alpha=alpha, n_inner_steps=n_inner_steps)
    assert relative_error(gradient, np.mean(expected, axis=0)) < 1e-10


# checks (3.1) (3.2) (3.6) (3.7) (3.8) (3.9)
@pytest.mark.parametrize("n_inner_steps", STEPS)
@pytest.mark.parametrize(("activation", "objective"), KINDS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_numpy_equals_torch(algorithm, activation, objective, n_inner_steps):
    if algorithm == "reptile_gradient" and n_inner_steps == 0:
        n_inner_steps = 3  # without a step both are zero
    model, theta, tasks = random_problem(activation, objective)
    twin = maml_torch.MLP(model.sizes, activation, objective)
    settings = {"alpha": ALPHA, "n_inner_steps": n_inner_steps}
    loss, gradient = getattr(maml, algorithm)(model, theta, tasks, **settings)
    loss_torch, gradient_torch = getattr(maml_torch, algorithm)(
        twin, as_tensor(theta), tasks, **settings
    )
    assert relative_error([loss], [loss_torch]) < 1e-10
    assert relative_error(gradient, gradient_torch.numpy()) < 1e-10


# checks (3.18) (3.19) (3.20) (3.21)
@pytest.mark.parametrize(("activation", "objective"), KINDS)
def test_numpy_hvp_equals_torch_double_backward(activation, objective):
    model, theta, tasks = random_problem(activation, objective)
    twin = maml_torch.MLP(model.sizes, activation, objective)
    v = np.random.default_rng(4).normal(size=theta.shape)
    x, y = torch.tensor(tasks.x_support[0]), torch.tensor(tasks.y_support[0])
    _, product = torch.autograd.functional.hvp(
        lambda t: twin.loss(t, x, y), as_tensor(theta), as_tensor(v)
    )
    by_hand = model.hvp(theta, v, tasks.x_support[0], tasks.y_support[0])
    assert relative_error(by_hand, product.numpy()) < 1e-10


@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    n_tasks=st.integers(1, 3),
    n=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    kind=st.sampled_from(KINDS),
    n_inner_steps=st.integers(0, 4),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_any_shape_numpy_equals_torch(sizes, n_tasks, n, kind, n_inner_steps, seed):
    model, theta, tasks = random_problem(*kind, seed=seed, sizes=tuple(sizes), n_tasks=n_tasks, n=n)
    twin = maml_torch.MLP(model.sizes, *kind)
    settings = {"alpha": 0.1, "n_inner_steps": n_inner_steps}
    _, gradient = maml.maml_gradient(model, theta, tasks, **settings)
    _, gradient_torch = maml_torch.maml_gradient(twin, as_tensor(theta), tasks, **settings)
    difference = np.abs(gradient - gradient_torch.numpy()).max()
    assert difference <= 1e-10 * (1 + np.abs(gradient).max())


@pytest.mark.parametrize(("activation", "objective"), KINDS)
def test_a_batch_is_the_mean_of_its_tasks(activation, objective):
    model, theta, tasks = random_problem(activation, objective)
    settings = {"alpha": ALPHA, "n_inner_steps": 2}
    whole = maml.maml_gradient(model, theta, tasks, **settings)
    alone = [
        maml.maml_gradient(model, theta, tasks.select(slice(t, t + 1)), **settings)
        for t in range(tasks.n_tasks)
    ]
    assert whole[0] == pytest.approx(np.mean([loss for loss, _ in alone]), rel=1e-12)
    assert relative_error(whole[1], np.mean([g for _, g in alone], axis=0)) < 1e-12


def test_theta_and_tasks_are_left_alone():
    model, theta, tasks = random_problem("tanh", "mse")
    before = theta.copy(), tasks.x_support.copy()
    for algorithm in ALGORITHMS:
        getattr(maml, algorithm)(model, theta, tasks, alpha=ALPHA, n_inner_steps=3)
    assert np.array_equal(theta, before[0])
    assert np.array_equal(tasks.x_support, before[1])


@pytest.mark.parametrize(("activation", "objective"), KINDS)
def test_float32_in_float32_out(activation, objective):
    model, theta, tasks = random_problem(activation, objective)
    _, exact = maml.maml_gradient(model, theta, tasks, alpha=0.1, n_inner_steps=2)
    twin = maml_torch.MLP(model.sizes, activation, objective)
    _, single = maml_torch.maml_gradient(
        twin, torch.tensor(theta, dtype=torch.float32), tasks, alpha=0.1, n_inner_steps=2
    )
    assert single.dtype == torch.float32
    assert relative_error(single.numpy(), exact) < 1e-4
