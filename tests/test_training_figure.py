"""Train it here: the page's meta-training against the package's, and its settings."""

import numpy as np
import pytest
from node import relative_error, run_node
from test_javascript import as_json, flat

from maml_teach import maml
from maml_teach.mlp import MLP
from maml_teach.rules import ADAM
from maml_teach.tasks import Sinusoids
from maml_teach.widgets import Training

MODEL = MLP((1, 40, 40, 1))
GRADIENTS = {
    "MAML": maml.maml_gradient,
    "FOMAML": maml.fomaml_gradient,
    "Reptile": maml.reptile_gradient,
}
# Reptile's gradient is a difference of nearly equal vectors, and Adam divides it by its size.
TOLERANCE = {"MAML": 1e-9, "FOMAML": 1e-9, "Reptile": 1e-7}
SETTINGS = {"alpha": 0.01, "beta": 0.003}


def meta_batch(rng):
    return Sinusoids().sample(rng, 25, 10, 10)


def first_run(theta):
    return {"theta": flat(theta), "m": [0.0] * theta.size, "v": [0.0] * theta.size, "nSteps": 0}


def step_in_node(run, tasks, settings):
    [answer] = run_node("training", [("metaStep", [run, as_json(tasks), settings])])
    return answer


@pytest.mark.parametrize("n_inner_steps", [1, 5])
@pytest.mark.parametrize("algorithm", GRADIENTS)
def test_three_meta_steps_match_numpy(algorithm, n_inner_steps):
    rng = np.random.default_rng(n_inner_steps)
    theta = MODEL.init(rng)
    run, moments = first_run(theta), (0 * theta, 0 * theta)
    settings = {"algorithm": algorithm, "n_inner_steps": n_inner_steps, **SETTINGS}
    for step in range(1, 4):
        tasks = meta_batch(rng)
        answer = step_in_node(run, tasks, settings)
        meta_loss, gradient = GRADIENTS[algorithm](
            MODEL, theta, tasks, alpha=SETTINGS["alpha"], n_inner_steps=n_inner_steps
        )
        theta, moments = ADAM.update(theta, gradient, moments, SETTINGS["beta"], step)
        run = answer["run"]
        assert relative_error(answer["metaLoss"], meta_loss) < 1e-9
        assert relative_error(run["theta"], theta) < TOLERANCE[algorithm]
        assert run["nSteps"] == step and run["lost"] == ""


def test_the_first_theta_is_that_of_a_linear_layer():
    first, again, other = run_node("training", [("firstTheta", [seed]) for seed in (3, 3, 4)])
    assert first == again != other
    theta = np.array(first)
    for block, n_in in ((theta[:80], 1), (theta[80:1720], 40), (theta[1720:], 40)):
        bound = 1 / np.sqrt(n_in)
        assert np.abs(block).max() <= bound
        assert np.abs(block).max() > 0.9 * bound
        assert abs(block.mean()) < 0.25 * bound


@pytest.mark.parametrize(
    ("scale", "alpha", "rate"), [(1.0, 100.0, "inner rate"), (30.0, 0.001, "outer rate")]
)
def test_divergence_names_the_rate(scale, alpha, rate):
    rng = np.random.default_rng(0)
    theta = scale * MODEL.init(rng)
    settings = {"algorithm": "MAML", "n_inner_steps": 2, "alpha": alpha, "beta": 0.003}
    answer = step_in_node(first_run(theta), meta_batch(rng), settings)
    assert rate in answer["run"]["lost"]
    assert answer["run"]["theta"] == flat(theta)


def test_a_long_curve_keeps_its_means_in_few_blocks():
    losses = np.random.default_rng(0).uniform(size=1600)
    [curve] = run_node("training", [("curveOf", [flat(losses)])])
    assert curve["size"] == 16 and len(curve["blocks"]) == 100
    assert np.allclose(curve["blocks"], losses.reshape(100, 16).mean(axis=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha_a": 0.5}, "alpha_a"),
        ({"beta_b": 0.0}, "beta_b"),
        ({"n_inner_steps_a": 0}, "n_inner_steps_a"),
        ({"algorithm_b": "ANIL"}, "algorithm_b"),
        ({"steps": 3}, "no setting steps"),
    ],
)
def test_wrong_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        Training(**change)
