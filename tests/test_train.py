import numpy as np
import pytest
import torch

from maml_teach import maml, maml_torch
from maml_teach.mlp import MLP
from maml_teach.tasks import Lines, Sinusoids
from maml_teach.train import MetaConfig, evaluate, load_run, meta_train, resume, save_run

MODEL = MLP((1, 8, 1))


def quick(n_meta_steps, seed=0, family=None, **changes):
    rng = np.random.default_rng(seed)
    gradient = changes.pop("gradient", maml.maml_gradient)
    config = MetaConfig(n_tasks=4, n_meta_steps=n_meta_steps, **changes)
    return meta_train(
        MODEL,
        MODEL.init(rng),
        family or Sinusoids(),
        config,
        rng=rng,
        gradient=gradient,
        progress=False,
    )


def assert_same(run, other):
    assert np.array_equal(np.asarray(run.theta), np.asarray(other.theta))
    assert np.array_equal(run.history, other.history)
    for one, two in zip(run.moments, other.moments, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(two))
    assert run.rng_state == other.rng_state


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_saved_run_resumes_to_the_bit(tmp_path, optimizer):
    whole = quick(30, optimizer=optimizer)
    save_run(quick(18, optimizer=optimizer), tmp_path / "run.npz")
    rest = resume(
        MODEL, load_run(tmp_path / "run.npz"), Sinusoids(), n_meta_steps=12, progress=False
    )
    assert_same(whole, rest)


def test_a_saved_torch_run_resumes_to_the_bit(tmp_path):
    twin, start = maml_torch.MLP((1, 8, 1)), torch.zeros(25) + 0.1

    def train(n_meta_steps):
        config = MetaConfig(n_tasks=4, n_meta_steps=n_meta_steps)
        return meta_train(
            twin,
            start,
            Sinusoids(),
            config,
            rng=np.random.default_rng(0),
            gradient=maml_torch.maml_gradient,
            progress=False,
        )

    save_run(train(7), tmp_path / "run.npz")
    rest = resume(
        twin,
        load_run(tmp_path / "run.npz", like=start),
        Sinusoids(),
        n_meta_steps=5,
        gradient=maml_torch.maml_gradient,
        progress=False,
    )
    assert rest.theta.dtype == torch.float32
    assert_same(train(12), rest)


def test_a_file_that_is_not_a_run_is_named(tmp_path):
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(ValueError, match=r"other.npz.* is not a saved run"):
        load_run(tmp_path / "other.npz")


def test_adam_takes_the_steps_of_torch():
    run = quick(1)
    rng = np.random.default_rng(0)
    theta = torch.tensor(MODEL.init(rng), requires_grad=True)
    optimizer = torch.optim.Adam([theta], lr=0.001)
    config = MetaConfig(n_tasks=4)
    for n_steps in (1, 2, 3, 10):
        run = quick(n_steps)
        while optimizer.state[theta].get("step", 0) < n_steps:
            tasks = Sinusoids().sample(rng, config.n_tasks, config.n_shots, config.n_queries)
            _, gradient = maml.maml_gradient(
                MODEL, theta.detach().numpy(), tasks, alpha=config.alpha
            )
            theta.grad = torch.tensor(gradient)
            optimizer.step()
        assert np.allclose(run.theta, theta.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "gradient", [maml.maml_gradient, maml.fomaml_gradient, maml.reptile_gradient]
)
def test_training_lowers_the_loss_after_adapting(gradient):
    run = quick(400, beta=0.01, alpha=0.02, gradient=gradient)
    tasks = Sinusoids().sample(np.random.default_rng(99), 200, 10, 20)
    start = MODEL.init(np.random.default_rng(0))
    after, before = (
        evaluate(MODEL, theta, tasks, alpha=0.02, n_inner_steps=1).mean[1]
        for theta in (run.theta, start)
    )
    assert after < 0.9 * before


def test_sgd_finds_the_minimum_of_a_quadratic_meta_objective():
    """With one fixed batch of lines the meta-objective is a bowl; its gradient must vanish."""
    model, tasks = MLP((1, 1)), Lines().sample(np.random.default_rng(0), 6, 5, 5)

    class OneBatch:
        def sample(self, *_):
            return tasks

    config = MetaConfig(alpha=0.1, beta=0.3, optimizer="sgd", n_meta_steps=2000)
    run = meta_train(
        model, np.zeros(2), OneBatch(), config, rng=np.random.default_rng(0), progress=False
    )
    assert np.linalg.norm(maml.maml_gradient(model, run.theta, tasks, alpha=0.1)[1]) < 1e-10


@pytest.mark.parametrize("change", [{"beta": 1e200, "optimizer": "sgd"}, {"alpha": 1e60}])
def test_divergence_stops_training_with_the_step_and_the_rates(change):
    with pytest.raises(FloatingPointError, match=r"stopped at step \d+ \(alpha = .*, beta = "):
        quick(50, n_inner_steps=3, **change)


def test_evaluation_reports_every_step_of_every_task():
    theta = MODEL.init(np.random.default_rng(1))
    tasks = Sinusoids().sample(np.random.default_rng(2), 30, 5, 50)
    evaluation = evaluate(MODEL, theta, tasks, alpha=0.01, n_inner_steps=3)
    for k in range(4):
        theta_k = maml.adapt(MODEL, theta, tasks, alpha=0.01, n_inner_steps=k)
        expected = MODEL.loss(theta_k, tasks.x_query, tasks.y_query)
        assert np.allclose(evaluation.losses[:, k], expected, rtol=1e-12)
        assert evaluation.mean[k] == pytest.approx(expected.mean())
        standard_error = np.std(expected, ddof=1) / np.sqrt(30)
        assert evaluation.half_width[k] == pytest.approx(1.96 * standard_error)


def test_evaluation_is_the_same_in_torch():
    theta = MODEL.init(np.random.default_rng(1))
    tasks = Sinusoids().sample(np.random.default_rng(2), 5, 5, 50)
    as_tensors = type(tasks)(
        *(torch.tensor(a) for a in (tasks.x_support, tasks.y_support, tasks.x_query, tasks.y_query))
    )
    one = evaluate(MODEL, theta, tasks, alpha=0.01, n_inner_steps=3)
    two = evaluate(
        maml_torch.MLP(MODEL.sizes),
        torch.tensor(theta),
        as_tensors,
        alpha=0.01,
        n_inner_steps=3,
        adapt=maml_torch.adapt,
    )
    assert np.allclose(one.losses, two.losses, rtol=1e-10)
