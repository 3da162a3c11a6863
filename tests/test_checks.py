"""The checker passes what is right and names what is wrong, for NumPy and for PyTorch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from problems import KINDS, random_problem

from maml_teach import maml, maml_torch
from maml_teach.checks import check_meta_gradient
from maml_teach.mlp import MLP

INNER = {"alpha": 0.1, "n_inner_steps": 3}


def problem(kind=("tanh", "mse")):
    return random_problem(*kind)


def torch_problem(kind=("tanh", "mse")):
    model, theta, tasks = random_problem(*kind)
    theta = torch.tensor(theta)
    return maml_torch.MLP(model.sizes, *kind), theta, maml_torch.as_tensors(tasks, theta)


def walk(model, theta, tasks, alpha, points, sign=-1):
    """The walk back over other points than the inner path's, on its query gradient."""
    path = [maml.adapt(model, theta, tasks, alpha=alpha, n_inner_steps=k) for k in range(4)]
    v = model.gradient(path[-1], tasks.x_query, tasks.y_query)
    for theta_k in reversed(points(path)):
        v = v + sign * alpha * model.hvp(theta_k, v, tasks.x_support, tasks.y_support)
    return v


def each_task(model, theta, tasks, inner):
    """The exact gradient of every task, ``(n_tasks, n_params)``."""
    one = [tasks.select(slice(t, t + 1)) for t in range(tasks.n_tasks)]
    return np.array([maml.maml_gradient(model, theta, task, **inner)[1] for task in one])


def after_each_task(model, theta, tasks, **inner):
    own, beta = theta.copy(), 0.1
    for t in range(tasks.n_tasks):
        own -= beta * maml.maml_gradient(model, own, tasks.select(slice(t, t + 1)), **inner)[1]
    return (theta - own) / beta


def overwriting(model, theta, tasks, **inner):
    answer = maml.maml_gradient(model, theta, tasks, **inner)
    theta[:] = maml.adapt(model, theta, tasks, **inner)[0]
    return answer


def normalised(model, theta, tasks, **inner):
    each = each_task(model, theta, tasks, inner)
    return np.mean(each / np.linalg.norm(each, axis=1, keepdims=True), axis=0)


def first_order_clipped(model, theta, tasks, **inner):
    theta_prime = maml.adapt(model, theta, tasks, **inner)
    v = model.gradient(theta_prime, tasks.x_query, tasks.y_query)
    return np.mean(v / np.linalg.norm(v, axis=1, keepdims=True), axis=0)


def other_descent(model, theta, tasks, alpha, n_inner_steps):
    """The inner loop follows the sign of the gradient."""
    theta_k = np.broadcast_to(theta, (tasks.n_tasks, theta.size))
    for _ in range(n_inner_steps):
        sign = np.sign(model.gradient(theta_k, tasks.x_support, tasks.y_support))
        theta_k = theta_k - alpha * sign
    loss = model.loss(theta_k, tasks.x_query, tasks.y_query).mean()
    return loss, model.gradient(theta_k, tasks.x_query, tasks.y_query).mean(axis=0)


def noisy(rng):
    return lambda model, theta, tasks, **inner: rng.normal(size=theta.shape)


def damped(model, theta, tasks, *, alpha, n_inner_steps):
    """Right meta-loss, and a walk back that halves the second-order term."""
    loss, exact = maml.maml_gradient(model, theta, tasks, alpha=alpha, n_inner_steps=n_inner_steps)
    _, first = maml.fomaml_gradient(model, theta, tasks, alpha=alpha, n_inner_steps=n_inner_steps)
    return loss, (exact + first) / 2


def scaled(factor, gradient=maml.maml_gradient):
    return lambda *args, **inner: factor * gradient(*args, **inner)[1]


def mean_walk(points, sign=-1):
    return lambda m, theta, tasks, alpha, n_inner_steps: walk(
        m, theta, tasks, alpha, points, sign
    ).mean(axis=0)


def on_other_sets(change):
    return lambda m, theta, tasks, **inner: maml.maml_gradient(m, theta, change(tasks), **inner)[1]


def with_inner(**change):
    return lambda m, theta, tasks, **inner: maml.maml_gradient(
        m, theta, tasks, **{**inner, **change}
    )


def support_only(tasks):
    return replace(tasks, x_query=tasks.x_support, y_query=tasks.y_support)


def query_only(tasks):
    return replace(tasks, x_support=tasks.x_query, y_support=tasks.y_query)


PLANTED = {
    "first-order only": maml.fomaml_gradient,
    "collapsed product": mean_walk(lambda path: path[:1] * 3),
    "Hessians at theta_prime": mean_walk(lambda path: path[-1:] * 3),
    "factors in the wrong order": mean_walk(lambda path: path[2::-1]),
    "sign of the Hessian": mean_walk(lambda path: path[:-1], sign=1),
    "support as query": on_other_sets(support_only),
    "query as support": on_other_sets(query_only),
    "Reptile": maml.reptile_gradient,
    "no inner loop": maml.joint_gradient,
    "one step too few": with_inner(n_inner_steps=2),
    "one step too many": with_inner(n_inner_steps=4),
    "alpha times 1/10": with_inner(alpha=0.01),
    "alpha times 2": with_inner(alpha=0.2),
    "sum for mean": scaled(4),
    "divided twice": scaled(1 / 4),
    "uphill": scaled(-1),
    "sum over points": scaled(6),
    "times alpha": scaled(0.1),
    "scaled": scaled(1.7),
    "first-order only, sum for mean": scaled(4, maml.fomaml_gradient),
    "per-task scaling": normalised,
    "first-order only, per-task scaling": first_order_clipped,
    "order of the tasks": after_each_task,
    "theta overwritten": overwriting,
    "not repeatable": noisy(np.random.default_rng(0)),
    "another inner loop": other_descent,
    "way back": damped,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_inner_steps", [1, 3])
def test_the_exact_gradient_passes(kind, n_inner_steps):
    for engine, make in ((maml, problem), (maml_torch, torch_problem)):
        verdict = check_meta_gradient(
            engine.maml_gradient, *make(kind), alpha=0.1, n_inner_steps=n_inner_steps
        )
        assert verdict.passed and verdict, verdict
        assert verdict.mistake == "" and verdict.error < 1e-6
        assert str(verdict).startswith("passed: gradient and meta-loss are those")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mistake", PLANTED)
def test_planted_mistakes_are_named(mistake, kind):
    verdict = check_meta_gradient(PLANTED[mistake], *problem(kind), **INNER)
    assert not verdict
    assert verdict.mistake == mistake, verdict
    assert str(verdict).startswith("failed: ")


@pytest.mark.parametrize(
    ("mistake", "gradient"),
    [
        ("first-order only", maml_torch.fomaml_gradient),
        ("Reptile", maml_torch.reptile_gradient),
        ("sum for mean", scaled(4, maml_torch.maml_gradient)),
    ],
)
def test_torch_functions_are_judged_alike(mistake, gradient):
    assert check_meta_gradient(gradient, *torch_problem(), **INNER).mistake == mistake


def test_any_module_is_judged():
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(2, 5), torch.nn.BatchNorm1d(5), torch.nn.Tanh(), torch.nn.Linear(5, 3)
    ).double()
    model = maml_torch.from_module(module, torch.nn.functional.cross_entropy)
    _, _, tasks = torch_problem(("tanh", "cross_entropy"))
    here = model, model.theta(), tasks
    assert check_meta_gradient(maml_torch.maml_gradient, *here, **INNER)
    wrong = check_meta_gradient(maml_torch.fomaml_gradient, *here, **INNER)
    assert wrong.mistake == "first-order only"


def test_a_wrong_meta_loss_is_named():
    model, theta, tasks = problem()
    before = model.loss(theta, tasks.x_query, tasks.y_query).mean()
    exact = maml.maml_gradient(model, theta, tasks, **INNER)
    for meta_loss, words in (
        (before, "before adapting"),
        (4 * exact[0], "summed over tasks"),
        (exact[0] + 1, "adapts in another way"),
    ):
        verdict = check_meta_gradient(
            lambda *_, loss=meta_loss, **__: (loss, exact[1]), model, theta, tasks, **INNER
        )
        assert not verdict and words in verdict.sentence


def test_a_wrong_hvp_of_the_model_is_not_taken_for_the_truth():
    class Bent(MLP):
        def hvp(self, theta, v, x, y):
            return 0.5 * super().hvp(theta, v, x, y)

    model, theta, tasks = problem()
    bent = Bent(model.sizes, "tanh", "mse")
    verdict = check_meta_gradient(maml.maml_gradient, bent, theta, tasks, **INNER)
    assert verdict.mistake == "finite differences" and verdict.error > 1e-3


def test_directions_come_from_the_generator_given():
    one, two, three = (
        check_meta_gradient(
            maml.maml_gradient, *problem(), **INNER, rng=np.random.default_rng(seed)
        ).numerical
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, two) and not np.allclose(one, three)


MODEL, THETA, TASKS = random_problem("tanh", "mse")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"theta": THETA.astype(np.float32)}, "theta must be a float64 vector"),
        ({"theta": THETA[None]}, "theta must be a float64 vector"),
        ({"theta": torch.tensor(THETA)}, "tasks hold ndarray, theta is a Tensor"),
        ({"tasks": TASKS.select(slice(0, 1))}, "at least 2 tasks"),
        ({"tasks": TASKS.select(0)}, "tasks must be a batch"),
        ({"alpha": 0.0}, "alpha must be"),
        ({"alpha": np.full(THETA.size, 0.1)}, "alpha must be"),
        ({"n_inner_steps": 0}, "n_inner_steps must be at least 1"),
        ({"n_directions": 0}, "n_directions must be an integer of at least 1"),
        ({"model": torch.nn.Linear(1, 1)}, "model has no loss"),
        ({"meta_gradient": lambda *_, **__: THETA[:-1]}, "of shape .*, got shape"),
        ({"meta_gradient": lambda *_, **__: np.nan * THETA}, "must return a finite gradient"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    arguments = {"meta_gradient": maml.maml_gradient, "model": MODEL, "theta": THETA}
    with pytest.raises(ValueError, match=message):
        check_meta_gradient(**{**arguments, "tasks": TASKS, **INNER, **change})


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_diverging_objective_is_reported():
    model, theta, tasks = MLP((2, 3)), np.ones(9), replace(TASKS, x_support=1e160 * TASKS.x_support)
    with pytest.raises(FloatingPointError, match="alpha"):
        check_meta_gradient(maml.joint_gradient, model, theta, tasks, alpha=10.0)


def test_nothing_is_said_of_a_meta_loss_that_was_not_returned():
    place = problem()
    right = check_meta_gradient(lambda *a, **k: maml.maml_gradient(*a, **k)[1], *place)
    assert right.passed and "no meta-loss was returned" in str(right)
    wrong = check_meta_gradient(lambda *a, **k: np.sin(9 * a[1]), *place)
    assert not wrong.passed and wrong.mistake == "unknown"
    assert "return the meta-loss as well" in str(wrong) and "is right, so" not in str(wrong)
