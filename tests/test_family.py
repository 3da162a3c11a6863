"""The relatives of MAML against something independent: differences, closed forms, autograd."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from problems import KINDS, random_problem

from maml_teach import family, family_torch, maml, maml_torch
from maml_teach.checks import central_difference, relative_error
from maml_teach.mlp import MLP
from maml_teach.tasks import Lines, Sinusoids
from maml_teach.train import MetaConfig, evaluate, meta_train

STEPS = (1, 2, 5)
ALPHA = 0.2
SPRING = {"alpha": 0.02, "lam": 20.0}  # stiff: every inner problem is strictly convex


def rates_like(theta):
    """Rates that differ from parameter to parameter, some of them negative."""
    return np.random.default_rng(5).uniform(-0.05, 0.3, theta.shape)


def step_rates(n_inner_steps):
    return np.linspace(0.05, 0.3, n_inner_steps)[:, None]


def step_weights(n_inner_steps):
    weights = np.arange(1.0, n_inner_steps + 1)
    return weights / weights.sum()


def plain_descent(model, theta, tasks, rates):
    """The inner loop with one rate per step or per parameter, task by task: ``theta_1, ...``."""
    path = []
    for t in range(tasks.n_tasks):
        theta_k, own = theta, []
        for rate in rates:
            theta_k = theta_k - rate * model.gradient(
                theta_k, tasks.x_support[t], tasks.y_support[t]
            )
            own.append(theta_k)
        path.append(own)
    return np.swapaxes(path, 0, 1)


def query_loss(model, theta_prime, tasks):
    return model.loss(theta_prime, tasks.x_query, tasks.y_query).mean()


def tensor(array):
    return torch.tensor(array, dtype=torch.float64)


def twin_of(model):
    return maml_torch.MLP(model.sizes, model.activation, model.objective)


# checks (5.1)
@pytest.mark.parametrize("n_inner_steps", STEPS)
@pytest.mark.parametrize("kind", KINDS)
def test_anil_is_the_central_difference_of_its_objective(kind, n_inner_steps):
    """Its own objective: the body is held, layer by layer, while the last layer descends."""
    model, theta, tasks = random_problem(*kind)
    n_head = (model.sizes[-2] + 1) * model.sizes[-1]

    def meta_loss(theta):
        total = 0.0
        for t in range(tasks.n_tasks):
            theta_k = theta.copy()
            for _ in range(n_inner_steps):
                gradient = model.gradient(theta_k, tasks.x_support[t], tasks.y_support[t])
                theta_k[-n_head:] -= ALPHA * gradient[-n_head:]
            total += model.loss(theta_k, tasks.x_query[t], tasks.y_query[t])
        return total / tasks.n_tasks

    expected = central_difference(meta_loss, theta)
    for anil in (maml.anil_gradient, family.anil_on_features_gradient):
        loss, gradient = anil(model, theta, tasks, alpha=ALPHA, n_inner_steps=n_inner_steps)
        assert loss == pytest.approx(meta_loss(theta), rel=1e-12)
        assert relative_error(gradient, expected) < 1e-6


@pytest.mark.parametrize("n_inner_steps", [0, *STEPS])
@pytest.mark.parametrize("sizes", [(2, 3), (2, 4, 3), (2, 5, 4, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_anil_on_features_is_anil(kind, sizes, n_inner_steps):
    """With one rate or one per step; with no layer below the last one it is MAML."""
    model, theta, tasks = random_problem(*kind, sizes=sizes)
    for alpha in (ALPHA, step_rates(max(1, n_inner_steps))):
        inner = {"alpha": alpha, "n_inner_steps": n_inner_steps}
        loss, gradient = maml.anil_gradient(model, theta, tasks, **inner)
        ours = family.anil_on_features_gradient(model, theta, tasks, **inner)
        assert ours[0] == pytest.approx(loss, rel=1e-12)
        assert relative_error(ours[1], gradient) < 1e-12
        theirs = family_torch.anil_on_features_gradient(
            twin_of(model), tensor(theta), tasks, **inner
        )
        assert relative_error(theirs[1].numpy(), gradient) < 1e-12


def test_anil_on_features_runs_the_layers_below_once_whatever_the_number_of_steps():
    class Counting(MLP):
        def _forward(self, layers, x):
            if len(layers) > 1:
                passes.append(x.shape)
            return super()._forward(layers, x)

    counts = []
    for n_inner_steps in (1, 2, 8):
        model, theta, tasks = random_problem("tanh", "mse")
        passes = []
        family.anil_on_features_gradient(
            Counting(model.sizes, model.activation, model.objective),
            theta,
            tasks,
            alpha=ALPHA,
            n_inner_steps=n_inner_steps,
        )
        counts.append(len(passes))
    assert counts == [4, 4, 4]  # support and query, there and back


@pytest.mark.parametrize("n_inner_steps", [0, *STEPS])
def test_reptile_on_batches_descends_on_fresh_mini_batches_of_all_points(n_inner_steps):
    model, theta, tasks = random_problem("tanh", "mse")
    n_shots, n_points = (
        tasks.x_support.shape[1],
        tasks.x_support.shape[1] + tasks.x_query.shape[1],
    )
    seen = []

    class Spy(MLP):
        def gradient(self, theta, x, y):
            seen.append(x)
            return super().gradient(theta, x, y)

    spy = Spy(model.sizes, model.activation, model.objective)
    rng = np.random.default_rng(0)
    loss, gradient = family.reptile_on_batches_gradient(
        spy, theta, tasks, alpha=ALPHA, n_inner_steps=n_inner_steps, rng=rng
    )
    ends, losses = [], []
    for t in range(tasks.n_tasks):
        x = np.concatenate([tasks.x_support[t], tasks.x_query[t]])
        y = np.concatenate([tasks.y_support[t], tasks.y_query[t]])
        theta_k = theta
        for batch in seen:
            rows = [int(np.flatnonzero((x == point).all(axis=1))[0]) for point in batch[t]]
            assert len(rows) == len(set(rows)) == n_shots
            theta_k = theta_k - ALPHA * model.gradient(theta_k, x[rows], y[rows])
        ends.append(theta_k)
        losses.append(model.loss(theta_k, x, y))
    assert len(seen) == n_inner_steps
    assert loss == pytest.approx(np.mean(losses), rel=1e-12)
    assert relative_error(gradient, (theta - np.mean(ends, axis=0)) / ALPHA) < 1e-9 or not seen
    assert seen or not gradient.any()
    theirs = family_torch.reptile_on_batches_gradient(
        twin_of(model),
        tensor(theta),
        tasks,
        alpha=ALPHA,
        n_inner_steps=n_inner_steps,
        rng=np.random.default_rng(0),
    )
    assert float(theirs[0]) == pytest.approx(loss, rel=1e-12)
    assert np.allclose(theirs[1].numpy(), gradient, rtol=1e-10)
    drawn = np.unique(np.concatenate([x[0] for x in seen]), axis=0) if seen else []
    assert n_inner_steps < 5 or len(drawn) == n_points


# checks (5.2) (5.3) (5.4)
@pytest.mark.parametrize("n_inner_steps", STEPS)
@pytest.mark.parametrize("kind", KINDS)
def test_meta_sgd_is_the_central_difference_in_theta_and_rates(kind, n_inner_steps):
    model, theta, tasks = random_problem(*kind)
    alpha = rates_like(theta)

    def meta_loss(theta, alpha):
        path = plain_descent(model, theta, tasks, [alpha] * n_inner_steps)
        return query_loss(model, path[-1], tasks)

    loss, gradient, alpha_gradient = family.meta_sgd_gradient(
        model, theta, tasks, alpha=alpha, n_inner_steps=n_inner_steps
    )
    assert loss == pytest.approx(meta_loss(theta, alpha), rel=1e-12)
    in_theta = central_difference(lambda t: meta_loss(t, alpha), theta)
    in_alpha = central_difference(lambda a: meta_loss(theta, a), alpha)
    assert relative_error(gradient, in_theta) < 1e-6
    assert relative_error(alpha_gradient, in_alpha) < 1e-6


# checks (5.5) (5.6)
@pytest.mark.parametrize("n_inner_steps", STEPS)
@pytest.mark.parametrize("kind", KINDS)
def test_maml_plus_plus_is_the_central_difference_in_theta_and_rates(kind, n_inner_steps):
    model, theta, tasks = random_problem(*kind)
    alpha, weights = step_rates(n_inner_steps), step_weights(n_inner_steps)

    def meta_loss(theta, alpha):
        path = plain_descent(model, theta, tasks, alpha)
        return sum(w * query_loss(model, p, tasks) for w, p in zip(weights, path, strict=True))

    settings = {"alpha": alpha, "n_inner_steps": n_inner_steps, "step_weights": weights}
    loss, gradient, alpha_gradient = family.maml_plus_plus_gradient(model, theta, tasks, **settings)
    assert loss == pytest.approx(meta_loss(theta, alpha), rel=1e-12)
    in_theta = central_difference(lambda t: meta_loss(t, alpha), theta)
    in_alpha = central_difference(lambda a: meta_loss(theta, a[:, None]), alpha[:, 0])
    assert relative_error(gradient, in_theta) < 1e-6
    assert relative_error(alpha_gradient[:, 0], in_alpha) < 1e-6


def test_maml_plus_plus_with_all_weight_on_the_last_step_is_maml():
    model, theta, tasks = random_problem("tanh", "mse")
    alpha = np.full((3, 1), ALPHA)
    loss, gradient, _ = family.maml_plus_plus_gradient(
        model, theta, tasks, alpha=alpha, n_inner_steps=3, step_weights=[0, 0, 1]
    )
    expected = maml.maml_gradient(model, theta, tasks, alpha=ALPHA, n_inner_steps=3)
    assert loss == pytest.approx(expected[0], rel=1e-12)
    assert relative_error(gradient, expected[1]) < 1e-12


@pytest.mark.parametrize("shape", ["parameter", "step", "step and parameter"])
@pytest.mark.parametrize("n_inner_steps", [1, 3])
def test_maml_takes_rates_of_every_shape(shape, n_inner_steps):
    model, theta, tasks = random_problem("relu", "mse")
    own = rates_like(theta)
    rates = {
        "parameter": own,
        "step": step_rates(n_inner_steps),
        "step and parameter": step_rates(n_inner_steps) * own,
    }[shape]
    by_step = rates if rates.ndim == 2 else [rates] * n_inner_steps

    def meta_loss(theta):
        return query_loss(model, plain_descent(model, theta, tasks, by_step)[-1], tasks)

    settings = {"alpha": rates, "n_inner_steps": n_inner_steps}
    _, gradient = maml.maml_gradient(model, theta, tasks, **settings)
    assert relative_error(gradient, central_difference(meta_loss, theta)) < 1e-6
    _, by_autograd = maml_torch.maml_gradient(twin_of(model), tensor(theta), tasks, **settings)
    assert relative_error(gradient, by_autograd.numpy()) < 1e-10
    first_order = maml.fomaml_gradient(model, theta, tasks, **settings)[1]
    _, by_autograd = maml_torch.fomaml_gradient(twin_of(model), tensor(theta), tasks, **settings)
    assert relative_error(first_order, by_autograd.numpy()) < 1e-10


# checks (5.7)
@pytest.mark.parametrize("kind", KINDS)
def test_imaml_descends_the_support_loss_with_a_spring(kind):
    model, theta, tasks = random_problem(*kind)
    for t in range(tasks.n_tasks):
        alone = theta

        def objective(free, t=t):
            spring = SPRING["lam"] / 2 * np.sum((free - theta) ** 2)
            return model.loss(free, tasks.x_support[t], tasks.y_support[t]) + spring

        for _ in range(3):
            alone = alone - SPRING["alpha"] * central_difference(objective, alone)
        own = tasks.select(slice(t, t + 1))
        theta_prime = family.imaml_adapt(model, theta, own, n_inner_steps=3, **SPRING)[0]
        assert relative_error(theta_prime - theta, alone - theta) < 1e-6


# checks (5.8)
@pytest.mark.parametrize("kind", KINDS)
def test_imaml_is_the_central_difference_once_the_inner_loop_has_converged(kind):
    model, theta, tasks = random_problem(*kind)
    settings = {**SPRING, "n_inner_steps": 60}

    def meta_loss(theta):
        return query_loss(model, family.imaml_adapt(model, theta, tasks, **settings), tasks)

    loss, gradient = family.imaml_gradient(model, theta, tasks, n_cg_steps=40, **settings)
    assert loss == meta_loss(theta)
    assert relative_error(gradient, central_difference(meta_loss, theta)) < 1e-6


# checks (5.8)
def test_imaml_of_lines_is_the_dense_solution():
    """One quadratic bowl per task: everything from 2 by 2 matrices, with a weak spring."""
    rng, lam = np.random.default_rng(0), 0.5
    model, tasks = MLP((1, 1)), Lines().sample(rng, 5, 6, 4)
    theta, expected = model.init(rng), []
    for t in range(tasks.n_tasks):
        X, Q = (np.c_[x[t], np.ones(len(x[t]))] for x in (tasks.x_support, tasks.x_query))
        H, c = 2 * X.T @ X / len(X), 2 * X.T @ tasks.y_support[t, :, 0] / len(X)
        theta_prime = np.linalg.solve(H + lam * np.eye(2), c + lam * theta)
        g = 2 * Q.T @ (Q @ theta_prime - tasks.y_query[t, :, 0]) / len(Q)
        expected.append(np.linalg.solve(np.eye(2) + H / lam, g))
    settings = {"alpha": 0.1, "n_inner_steps": 2000, "lam": lam, "n_cg_steps": 4}
    _, gradient = family.imaml_gradient(model, theta, tasks, **settings)
    assert relative_error(gradient, np.mean(expected, axis=0)) < 1e-9


# checks (5.9)
@pytest.mark.parametrize("inner", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("n_inner_steps", [0, *STEPS])
@pytest.mark.parametrize("kind", KINDS)
def test_hessian_free_maml_comes_close_to_maml_in_both_engines(kind, n_inner_steps, inner):
    model, theta, tasks = random_problem(*kind)
    settings = {"alpha": 0.03, "n_inner_steps": n_inner_steps, "inner": inner}
    loss, exact = maml.maml_gradient(model, theta, tasks, **settings)
    same, close = family.hf_maml_gradient(model, theta, tasks, **settings)
    # Adam's step is steep where a gradient is near zero, and there differences are off by more.
    tolerance = 1e-3 if inner == "adam" else 1e-6
    assert same == loss and relative_error(close, exact) < tolerance
    _, tensors = family_torch.hf_maml_gradient(twin_of(model), tensor(theta), tasks, **settings)
    assert relative_error(tensors.numpy(), exact) < tolerance


def test_hessian_free_maml_asks_for_first_derivatives_alone():
    model, theta, tasks = random_problem("tanh", "mse")
    plain = SimpleNamespace(loss=model.loss, gradient=model.gradient, n_params=model.n_params)
    _, close = family.hf_maml_gradient(plain, theta, tasks, alpha=ALPHA, n_inner_steps=3)
    _, exact = maml.maml_gradient(model, theta, tasks, alpha=ALPHA, n_inner_steps=3)
    assert relative_error(close, exact) < 1e-7


def test_its_error_grows_with_the_square_of_a_long_step():
    model, theta, tasks = random_problem("tanh", "mse")
    _, exact = maml.maml_gradient(model, theta, tasks, alpha=ALPHA)
    errors = [
        relative_error(family.hf_maml_gradient(model, theta, tasks, alpha=ALPHA, step=h)[1], exact)
        for h in (1e-3, 2e-3)
    ]
    assert errors[1] / errors[0] == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("n_inner_steps", STEPS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("algorithm", ["anil", "meta_sgd", "maml_plus_plus", "imaml"])
def test_numpy_equals_torch(algorithm, kind, n_inner_steps):
    model, theta, tasks = random_problem(*kind)
    settings = {
        "anil": {"alpha": ALPHA},
        "meta_sgd": {"alpha": rates_like(theta)},
        "maml_plus_plus": {
            "alpha": step_rates(n_inner_steps),
            "step_weights": step_weights(n_inner_steps),
        },
        "imaml": {"alpha": 0.05, "lam": 3.0, "n_cg_steps": 4},
    }[algorithm]
    name = f"{algorithm}_gradient"
    here, there = (maml, maml_torch) if algorithm == "anil" else (family, family_torch)
    by_hand = getattr(here, name)(model, theta, tasks, n_inner_steps=n_inner_steps, **settings)
    if not np.isscalar(settings["alpha"]):
        settings = {**settings, "alpha": tensor(settings["alpha"])}
    by_autograd = getattr(there, name)(
        twin_of(model), tensor(theta), tasks, n_inner_steps=n_inner_steps, **settings
    )
    assert len(by_hand) == len(by_autograd)
    for ours, theirs in zip(by_hand, by_autograd, strict=True):
        assert not theirs.requires_grad
        assert relative_error(ours, theirs.numpy()) < 1e-10


def test_the_head_of_a_module_is_its_last_layer():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 4))
    model = maml_torch.from_module(module.double(), "cross_entropy")
    assert model.head.tolist() == [False] * 9 + [True] * 16
    assert MLP((2, 3, 4)).head.tolist() == maml_torch.MLP((2, 3, 4)).head.tolist()
    assert MLP((2, 3, 4)).head.tolist() == model.head.tolist()
    _, _, tasks = random_problem("tanh", "cross_entropy", sizes=(2, 3, 4))
    theta_prime = maml_torch.adapt(
        model, model.theta(), tasks, alpha=0.1 * model.head.double(), n_inner_steps=2
    )
    moved = (theta_prime != model.theta()).any(dim=0)
    assert moved.tolist() == model.head.tolist()


def test_conjugate_gradients_solve_symmetric_systems():
    rng = np.random.default_rng(0)
    roots, b = rng.normal(size=(3, 6, 6)), rng.normal(size=(3, 6))
    A = roots @ roots.mT + 0.1 * np.eye(6)
    x = family.conjugate_gradient(lambda p: (A @ p[..., None])[..., 0], b, n_steps=40)
    assert relative_error(x, np.linalg.solve(A, b[..., None])[..., 0]) < 1e-9


def test_conjugate_gradients_stop_at_negative_curvature():
    """Each row on its own: the first is positive definite, the second never, the third later."""
    A = np.array([np.diag([2.0, 1.0]), np.diag([-1.0, -3.0]), np.diag([5.0, -1.0])])
    b = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.1]])
    x = family.conjugate_gradient(lambda p: (A @ p[..., None])[..., 0], b, n_steps=5)
    assert np.allclose(x[0], [0.5, 1.0])
    assert np.array_equal(x[1], b[1])
    first_step = b[2] * (b[2] @ b[2]) / (b[2] @ A[2] @ b[2])
    assert np.allclose(x[2], first_step)


def test_joined_gradient_is_the_central_difference_in_the_vector():
    model, theta, tasks = random_problem("tanh", "mse")
    first = step_rates(3)
    plus_plus = partial(family.maml_plus_plus_gradient, step_weights=step_weights(3))
    joined = partial(family.learn_rates(plus_plus, first), model)
    vector = family.join_rates(theta, first) * 1.1
    settings = {"tasks": tasks, "alpha": None, "n_inner_steps": 3}
    numerical = central_difference(lambda v: joined(v, **settings)[0], vector)
    assert relative_error(joined(vector, **settings)[1], numerical) < 1e-6


def test_learned_rates_train_and_go_to_evaluation():
    rng, model = np.random.default_rng(0), MLP((1, 8, 1), "tanh")
    theta, first = model.init(rng), np.full((3, 1), 0.01)
    gradient = family.learn_rates(
        partial(family.maml_plus_plus_gradient, step_weights=np.full(3, 1 / 3)), first
    )
    config = MetaConfig(n_inner_steps=3, n_meta_steps=30, n_tasks=5, beta=0.01)
    settings = {"rng": rng, "gradient": gradient, "progress": False}
    run = meta_train(model, family.join_rates(theta, first), Sinusoids(), config, **settings)
    trained, rates = family.split_rates(run.theta, first)
    assert trained.shape == theta.shape and rates.shape == first.shape
    assert not np.any(rates == 0.01)
    tasks = Sinusoids().sample(rng, 6, 5, 5)
    losses = evaluate(model, trained, tasks, alpha=rates, n_inner_steps=5).losses
    by_step = [*rates, rates[-1], rates[-1]]
    expected = plain_descent(model, trained, tasks, by_step)
    for k, theta_k in enumerate(expected, start=1):
        assert np.allclose(losses[:, k], model.loss(theta_k, tasks.x_query, tasks.y_query))


def test_a_rate_of_zero_has_no_unit():
    with pytest.raises(ValueError, match="first_rates must not hold a zero"):
        family.learn_rates(family.meta_sgd_gradient, np.array([0.1, 0.0]))


def test_evaluation_of_imaml_keeps_the_anchor():
    rng, model = np.random.default_rng(0), MLP((1, 8, 1), "tanh")
    theta, tasks = model.init(rng), Sinusoids().sample(rng, 6, 5, 5)
    settings = {"alpha": 0.05, "lam": 2.0}
    adapt = partial(family.imaml_adapt, lam=2.0, anchor=theta)
    losses = evaluate(model, theta, tasks, alpha=0.05, n_inner_steps=4, adapt=adapt).losses
    for k in range(5):
        theta_k = family.imaml_adapt(model, theta, tasks, n_inner_steps=k, **settings)
        assert np.allclose(losses[:, k], model.loss(theta_k, tasks.x_query, tasks.y_query))


MODEL, THETA, TASKS = random_problem("tanh", "mse")
N = MODEL.n_params
WRONG = {
    "alpha has shape": [
        (maml.maml_gradient, {"alpha": np.ones(N + 1)}),
        (maml.maml_gradient, {"alpha": np.ones((2, N, 1))}),
        (maml.maml_gradient, {"alpha": np.ones((0, 1))}),
        (family.meta_sgd_gradient, {"alpha": 0.1}),
        (family.meta_sgd_gradient, {"alpha": np.ones((2, 1))}),
        (
            family.maml_plus_plus_gradient,
            {"alpha": np.ones((2, 1)), "n_inner_steps": 3, "step_weights": np.ones(3)},
        ),
    ],
    "alpha must be": [
        (maml.maml_gradient, {"alpha": np.full(N, np.nan)}),
        (maml.reptile_gradient, {"alpha": np.full(N, 0.1)}),
        (maml.anil_gradient, {"alpha": float("nan")}),
        (family.imaml_gradient, {"alpha": -1.0, "lam": 1.0}),
    ],
    "step_weights must be": [
        (
            family.maml_plus_plus_gradient,
            {"alpha": np.ones((2, 1)), "n_inner_steps": 2, "step_weights": [1.0]},
        ),
    ],
    "lam must be": [
        (family.imaml_gradient, {"alpha": 0.1, "lam": 0.0}),
        (family.imaml_adapt, {"alpha": 0.1, "lam": float("inf")}),
    ],
    "n_cg_steps must be": [
        (family.imaml_gradient, {"alpha": 0.1, "lam": 5.0, "n_cg_steps": 0}),
        (family.imaml_gradient, {"alpha": 0.1, "lam": 5.0, "n_cg_steps": 2.5}),
    ],
}


@pytest.mark.parametrize(
    ("message", "function", "settings"),
    [(message, *case) for message, cases in WRONG.items() for case in cases],
)
def test_wrong_settings_are_named(message, function, settings):
    with pytest.raises(ValueError, match=message):
        function(MODEL, THETA, TASKS, **settings)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_names_the_rates():
    rates = np.full((40, 1), 1e4)
    with pytest.raises(FloatingPointError, match=r"alpha = 1e\+04 to 1e\+04 is too large"):
        maml.maml_gradient(MODEL, THETA, TASKS, alpha=rates, n_inner_steps=400)
    with pytest.raises(FloatingPointError, match="diverged on"):
        family.imaml_gradient(MODEL, THETA, TASKS, alpha=1e4, n_inner_steps=400, lam=1.0)
    with pytest.raises(FloatingPointError, match="diverged on"):
        maml_torch.maml_gradient(
            twin_of(MODEL), tensor(THETA), TASKS, alpha=tensor(rates), n_inner_steps=400
        )
