"""The outer loop: what it hands on, what it keeps, and where it stops."""

from dataclasses import fields, replace

import numpy as np
import pytest

from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids
from maml_teach.train import MetaConfig, Run, load_run, meta_train, resume, save_run

MODEL, START = MLP((1, 2, 1)), np.linspace(-1, 1, 7)
CONFIG = MetaConfig(
    alpha=0.02, beta=0.5, n_inner_steps=3, n_tasks=4, n_shots=5, n_queries=6, n_meta_steps=8
)


class Counted:
    """Sinusoids that note how many were asked for."""

    def __init__(self):
        self.asked = []

    def sample(self, rng, n_tasks, n_shots, n_queries):
        self.asked.append((n_tasks, n_shots, n_queries))
        return Sinusoids().sample(rng, n_tasks, n_shots, n_queries)


def answers(*given):
    """A meta-gradient that gives one answer after the other, and notes what it was given."""
    seen = []

    def gradient(model, theta, tasks, **inner):
        seen.append((model, theta.copy(), tasks, inner))
        loss, g = given[min(len(seen), len(given)) - 1]
        return loss, np.broadcast_to(g, theta.shape)

    return gradient, seen


def train(gradient, config=CONFIG, family=None, **options):
    rng = np.random.default_rng(0)
    family = family or Sinusoids()
    settings = {"rng": rng, "gradient": gradient, "progress": False}
    return meta_train(MODEL, START, family, config, **settings, **options)


def test_each_outer_step_has_its_tasks_and_its_rates():
    family, (gradient, seen) = Counted(), answers((1.0, 0.0))
    train(gradient, family=family)
    assert family.asked == [(4, 5, 6)] * 8
    rng = np.random.default_rng(0)
    for model, theta, tasks, inner in seen:
        assert model is MODEL
        assert np.array_equal(theta, START)  # a gradient of zero moves nothing
        assert np.array_equal(tasks.y_query, Sinusoids().sample(rng, 4, 5, 6).y_query)
        assert inner == {"alpha": 0.02, "n_inner_steps": 3}


def test_the_outer_step_goes_down_the_gradient_at_beta():
    config = MetaConfig(beta=0.5, optimizer="sgd", n_meta_steps=3)
    slope = np.arange(7.0)
    gradient, seen = answers((3.0, slope), (2.0, 2 * slope), (1.0, -slope))
    run = train(gradient, config)
    assert np.allclose(run.theta, START - 0.5 * (slope + 2 * slope - slope), rtol=1e-12)
    assert np.allclose(seen[2][1], START - 0.5 * 3 * slope, rtol=1e-12)
    assert run.history.tolist() == [3.0, 2.0, 1.0]


BAD = {
    "an infinite loss": (np.inf, 0.0),
    "a loss that is no number": (np.nan, 0.0),
    "an infinite gradient": (1.0, np.inf),
    "one infinite entry": (1.0, np.array([0, 0, 0, -np.inf, 0, 0, 0])),
    "one entry that is no number": (1.0, np.array([0, 0, 0, 0, 0, np.nan, 0])),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_finite_stops_the_training_at_its_step(what, tmp_path):
    path = tmp_path / "run.npz"
    gradient, _ = answers((1.0, 0.1), (0.5, 0.1), BAD[what])
    words = r"stopped at step 3 \(alpha = 0.02, beta = 0.5\): .* no longer finite"
    with pytest.raises(FloatingPointError, match=words):
        train(gradient, checkpoint=path)
    kept = load_run(path)
    assert kept.history.tolist() == [1.0, 0.5]
    good, _ = answers((1.0, 0.1), (0.5, 0.1))
    two = train(good, replace(CONFIG, n_meta_steps=2))
    assert np.array_equal(kept.theta, two.theta)
    assert np.array_equal(kept.moments, two.moments)
    assert kept.rng_state == two.rng_state
    with pytest.raises(FloatingPointError, match=r"stopped at step 3 "):
        resume(MODEL, kept, Sinusoids(), gradient=answers(BAD[what])[0], progress=False)


def test_an_inner_loop_that_diverges_is_told_with_the_outer_step():
    def gradient(*args, **inner):
        raise FloatingPointError("the inner loop diverged")

    with pytest.raises(FloatingPointError, match=r"step 1 \(alpha.*\): the inner loop diverged"):
        train(gradient)


def test_every_part_of_a_run_is_kept(tmp_path):
    """Every number differs from every other, so that none can stand in another's place."""
    state = np.random.default_rng(5).bit_generator.state
    config = MetaConfig(0.1, 0.2, 3, 4, 5, 6, 7, "sgd")
    run = Run(config, np.arange(3.0), (np.arange(3.0) + 10, np.arange(3.0) + 20), START + 30, state)
    save_run(run, tmp_path / "run.npz")
    kept = load_run(tmp_path / "run.npz")
    assert kept.config == config
    assert kept.rng_state == state
    assert np.array_equal(kept.history, run.history)
    for one, two in zip((kept.theta, *kept.moments), (run.theta, *run.moments), strict=True):
        assert np.array_equal(one, two)


def test_the_settings_are_those_of_the_paper_and_its_code():
    assert vars(MetaConfig()) == {
        **{"alpha": 0.01, "beta": 0.001, "n_inner_steps": 1, "n_tasks": 25, "n_shots": 10},
        **{"n_queries": 10, "n_meta_steps": 70_000, "optimizer": "adam"},
    }


@pytest.mark.parametrize("field", [field.name for field in fields(MetaConfig)])
def test_a_bad_setting_is_named(field):
    for value in (0, -1, float("nan")) if field != "optimizer" else ("newton", None):
        if field == "n_inner_steps" and value == 0:
            continue  # no inner step is joint training
        with pytest.raises(ValueError, match=field):
            MetaConfig(**{field: value})


def test_the_bar_shows_the_mean_of_the_last_hundred_losses(capsys):
    gradient, _ = answers(*[(float(k), 0.0) for k in range(1, 301)])
    config = MetaConfig(n_tasks=1, n_shots=1, n_queries=1, n_meta_steps=300)
    rng = np.random.default_rng(0)
    meta_train(MODEL, START, Sinusoids(), config, rng=rng, gradient=gradient)
    assert "loss 250.500" in capsys.readouterr().err


def test_no_bar_is_shown_where_none_is_wanted(capsys):
    train(answers((1.0, 0.0))[0])
    assert capsys.readouterr().err == ""
