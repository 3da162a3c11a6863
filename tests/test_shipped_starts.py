"""Every number in ``sinusoid_starts.npz`` again, and how its start was trained."""

import json
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import train_paper
import train_starts as script
from scipy import stats
from shipped import meta_gradient, trained_by_torch

from maml_teach import data, maml_torch
from maml_teach.tasks import Sinusoids
from maml_teach.train import MetaConfig, evaluate

SHIPPED = data.load("sinusoid_starts")
SETTINGS = json.loads(str(SHIPPED["settings"]))
TARGET = script.TARGET
NET = maml_torch.MLP((1, 40, 40, 1))
N_INNER_STEPS = {"maml": 1, "pretrained": 0}


def tasks_to_test(n_tasks=600):
    return Sinusoids().sample(np.random.default_rng(12345), n_tasks, 5, 100)


def trained_again(name, seed, n_meta_steps):
    """The paper's training by autograd and ``torch.optim.Adam``."""
    gradient = partial(meta_gradient, NET, alpha=0.01, n_inner_steps=N_INNER_STEPS.get(name, 1))
    rng = np.random.default_rng(seed)
    start, betas = script.paper_init(rng), n_meta_steps * [0.001]
    return trained_by_torch(gradient, start, Sinusoids(), (25, 10, 10), betas, rng)


def error_of_the_mean_wave(tasks):
    """MSE of the best that does not adapt: the mean of amplitude times the mean of sin(x - p)."""
    wave = (0.1 + 5) / 2 * -2 / np.pi * np.cos(tasks.x_query)
    return np.mean((wave - tasks.y_query) ** 2, axis=(1, 2))


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a script with these words on its command line: its file, if any, and what it prints."""

    def runs(main, *words, target=None):
        target, words = (target, [*words, "--target", str(target)]) if target else (here, words)
        monkeypatch.setattr(sys, "argv", ["train.py", *words])
        main()
        made = dict(np.load(target)) if target.exists() else None
        return made, capsys.readouterr().out

    here = tmp_path / "data" / "sinusoid_starts.npz"
    monkeypatch.setattr(script, "TARGET", here)
    return runs


def test_the_shipped_file_is_of_the_papers_settings():
    assert SETTINGS == {
        "made_by": "scripts/train_starts.py",
        "seeds": [0, 1, 2],
        "config": {
            "alpha": 0.01,
            "beta": 0.001,
            "n_inner_steps": 1,
            "n_tasks": 25,
            "n_shots": 10,
            "n_queries": 10,
            "n_meta_steps": 70_000,
            "optimizer": "adam",
        },
        "sizes": [1, 40, 40, 1],
        "test": {"n_tasks": 600, "n_shots": 5, "n_queries": 100, "seed": 12345},
    }
    names = {"settings", "random", "pretrained", "maml", "mse_pretrained", "mse_maml"}
    assert set(SHIPPED) == names
    assert TARGET.samefile(Path(data.__file__).parent / "sinusoid_starts.npz")


@pytest.mark.parametrize("name", N_INNER_STEPS)
def test_the_shipped_start_gives_the_shipped_errors(name):
    """Those of a task that nearly diverges enlarge the rounding of the stored start."""
    found, shipped = script.judge(SHIPPED[name].astype(float)), SHIPPED[f"mse_{name}"][0]
    assert np.array_equal(np.isinf(found), np.isinf(shipped))
    assert np.mean(np.isclose(found, shipped, rtol=1e-6, atol=0)) > 0.9
    assert np.allclose(found, shipped, rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", N_INNER_STEPS)
def test_the_shipped_errors_are_those_of_the_test_tasks_by_torch(name):
    few, theta = tasks_to_test().select(np.arange(30)), SHIPPED[name].astype(float)
    tasks = maml_torch.as_tensors(few, torch.tensor(theta))
    found = evaluate(
        NET,
        torch.tensor(theta),
        tasks,
        alpha=0.01,
        n_inner_steps=10,
        adapt=maml_torch.adapt,
    )
    assert np.allclose(found.losses, SHIPPED[f"mse_{name}"][0, :30], rtol=1e-5, atol=0)


def test_the_random_start_is_the_models_own():
    start = script.MODEL.init(np.random.default_rng(SETTINGS["seeds"][0]))
    assert np.array_equal(SHIPPED["random"], start.astype(np.float32))


@pytest.mark.parametrize("seed", range(3))
def test_before_adapting_all_seeds_are_near_the_mean_wave_on_the_test_tasks(seed):
    """The starts of the other seeds are not kept; what they share with the first is."""
    wanted = error_of_the_mean_wave(tasks_to_test())
    for name in N_INNER_STEPS:
        found = SHIPPED[f"mse_{name}"][seed, :, 0]
        assert np.corrcoef(found, wanted)[0, 1] > 0.99
        assert found.mean() == pytest.approx(wanted.mean(), rel=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_five_points_help_maml_at_once_and_pretraining_little(seed):
    maml, pretrained = (np.median(SHIPPED[f"mse_{n}"][seed], axis=0) for n in N_INNER_STEPS)
    assert maml[1] < 0.3 * maml[0] and maml[10] < 0.15 * maml[0]
    assert (maml[1:] < 0.5 * pretrained[1:]).all()


def test_the_papers_weights_are_normal_and_cut_at_two_deviations():
    draws = [script.paper_init(np.random.default_rng(seed)) for seed in range(10)]
    layers = [(start, *split_layers(start)) for start in draws]
    for _, weights, biases in layers:
        assert not biases.any()
        assert len(weights) == 40 + 1600 + 40 and len(biases) == 81
    weights = np.concatenate([weights for _, weights, _ in layers])
    assert 0.0199 < np.abs(weights).max() <= 0.02
    assert stats.kstest(weights / 0.01, stats.truncnorm(-2, 2).cdf).pvalue > 0.01
    assert len(np.unique(weights)) == len(weights)


def split_layers(theta):
    """Weights and biases of MLP 1-40-40-1, by their places in ``theta``."""
    is_bias = np.zeros(theta.size, bool)
    for first, last in ((40, 80), (1680, 1720), (1760, 1761)):
        is_bias[first:last] = True
    return theta[~is_bias], theta[is_bias]


@pytest.mark.parametrize("name", N_INNER_STEPS)
def test_a_start_is_trained_as_in_the_paper(name):
    assert np.abs(script.train(name, 4, 5) - trained_again(name, 4, 5)).max() < 1e-9


def test_the_script_trains_judges_and_writes(run, monkeypatch, tmp_path):
    monkeypatch.setattr(script, "N_TEST_TASKS", 8)
    made, printed = run(
        script.main,
        "--seeds",
        "4",
        "6",
        "--n-meta-steps",
        "3",
        target=tmp_path / "new" / "made.npz",
    )
    settings = json.loads(str(made["settings"]))
    assert settings["seeds"] == [4, 6]
    assert settings["config"] == {**SETTINGS["config"], "n_meta_steps": 3}
    assert settings["test"] == {**SETTINGS["test"], "n_tasks": 8}
    for name in ("made_by", "sizes"):
        assert settings[name] == SETTINGS[name]
    start, tasks = script.MODEL.init(np.random.default_rng(4)), tasks_to_test(8)
    assert np.array_equal(made["random"], start.astype(np.float32))
    for name in N_INNER_STEPS:
        thetas = [script.train(name, seed, 3) for seed in (4, 6)]
        assert np.array_equal(made[name], thetas[0].astype(np.float32))
        found = made[f"mse_{name}"]
        for losses, theta in zip(found, thetas, strict=True):
            again = evaluate(script.MODEL, theta, tasks, alpha=0.01, n_inner_steps=10).losses
            assert np.array_equal(losses, again.astype(np.float32))
        for word, middle in (("mean", np.mean), ("median", np.median)):
            line = f"mse_{name}, {word} over tasks after 1, 5, 10 steps, by seed: (.*)"
            shown = json.loads(re.search(line, printed)[1])
            assert np.allclose(shown, middle(found, axis=1)[:, [1, 5, 10]], rtol=0, atol=6e-4)


def test_left_alone_the_script_trains_the_shipped_starts(run, monkeypatch):
    asked = []

    def train(name, seed, n_meta_steps):
        asked.append((name, seed, n_meta_steps))
        return SHIPPED[name].astype(float)

    def judge(theta):
        (name,) = (name for name in N_INNER_STEPS if np.array_equal(theta, SHIPPED[name]))
        return SHIPPED[f"mse_{name}"][0]

    monkeypatch.setattr(script, "train", train)
    monkeypatch.setattr(script, "judge", judge)
    made, _ = run(script.main)
    wanted = [(name, seed, 70_000) for name in ("pretrained", "maml") for seed in (0, 1, 2)]
    assert asked == wanted
    assert json.loads(str(made["settings"])) == SETTINGS
    assert {key: array.shape for key, array in made.items()} == {
        key: array.shape for key, array in SHIPPED.items()
    }
    assert all(made[key].dtype == SHIPPED[key].dtype for key in made if key != "settings")


def test_no_training_sees_a_test_task(monkeypatch):
    seen = {"train": set(), "test": set()}
    sample = Sinusoids.sample

    def watched(family, rng, n_tasks, n_shots, n_queries):
        tasks = sample(family, rng, n_tasks, n_shots, n_queries)
        part = "train" if (n_shots, n_queries) == (10, 10) else "test"
        seen[part].update(tasks.y_support.min(axis=(1, 2)))
        return tasks

    monkeypatch.setattr(Sinusoids, "sample", watched)
    for seed in SETTINGS["seeds"]:
        for name in N_INNER_STEPS:
            theta = script.train(name, seed, 2)
    script.judge(theta)
    assert len(seen["train"]) == 3 * 2 * 25  # both methods learn from the same tasks
    assert seen["test"] == set(tasks_to_test().y_support.min(axis=(1, 2)))
    assert not seen["train"] & seen["test"]


def test_the_papers_training_in_single_precision(run, monkeypatch):
    judged = []

    def judge(theta):
        judged.append((theta, script.judge(theta)))
        return judged[-1][1]

    monkeypatch.setattr(script, "N_TEST_TASKS", 8)
    monkeypatch.setattr(train_paper, "judge", judge)
    _, printed = run(train_paper.main, "--n-meta-steps", "5")
    theta, losses = judged[0]
    assert theta.dtype == np.float64 and np.array_equal(theta, theta.astype(np.float32))
    assert np.abs(theta - trained_again("maml", 0, 5)).max() < 2e-6
    assert re.match(r"5 outer steps in \d+\.\d s\n", printed)
    shown = re.findall(r"test MSE after +(\d+) steps: (\S+) ± (\S+) over tasks", printed)
    assert [int(k) for k, *_ in shown] == [0, 1, 5, 10]
    for k, mean, half in shown:
        column = losses[:, int(k)]
        interval = stats.norm.interval(0.95, column.mean(), stats.sem(column))
        assert float(mean) == pytest.approx(np.mean(interval), abs=6e-4)
        assert float(half) == pytest.approx(np.ptp(interval) / 2, abs=6e-4)


def test_left_alone_the_papers_training_has_all_its_steps(run, monkeypatch):
    configs = []

    def meta_train(model, theta, family, config, **how):
        configs.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(train_paper, "meta_train", meta_train)
    with pytest.raises(KeyboardInterrupt):
        run(train_paper.main)
    assert configs == [MetaConfig()]
