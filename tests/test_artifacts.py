"""What the training scripts share: their options, and stages of falling outer rates."""

import importlib
import sys
from dataclasses import asdict
from functools import partial

import artifacts
import numpy as np
import pytest
import torch
from shipped import meta_gradient, trained_by_torch

from maml_teach import maml, maml_torch
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids
from maml_teach.train import MetaConfig, load_run

MODEL, NET = MLP((1, 8, 1), "tanh"), maml_torch.MLP((1, 8, 1), "tanh")
CONFIG = MetaConfig(alpha=0.02, n_inner_steps=2, n_tasks=4, n_shots=5, n_queries=6, n_meta_steps=10)
STAGES = [(1e-2, 0.5), (2e-3, 0.3), (5e-4, 0.2)]
BETAS = 5 * [1e-2] + 3 * [2e-3] + 2 * [5e-4]
COUNTS = (4, 5, 6)


def start():
    return MODEL.init(np.random.default_rng(7))


def stopping(gradient, after):
    """``gradient`` that is interrupted once ``after`` steps are done."""
    calls = iter(range(after))

    def function(*args, **inner):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return gradient(*args, **inner)

    return function


def train(file, stages=STAGES, config=CONFIG, *, gradient=maml.maml_gradient, seed=3, **how):
    rng = np.random.default_rng(seed)
    how = {"rng": rng, "file": file, "gradient": gradient, "progress": False, **how}
    return artifacts.train_in_stages(MODEL, start(), Sinusoids(), config, stages, **how)


@pytest.fixture
def options(monkeypatch, tmp_path):
    """``arguments`` with these words on the command line, in a repository of its own."""
    monkeypatch.setattr(artifacts, "ROOT", tmp_path)

    def asked(*words):
        monkeypatch.setattr(sys, "argv", ["train_it.py", *map(str, words)])
        found = artifacts.arguments("what it does", "robot", costs="only what it costs")
        return found.quick, found.folder, found.target, found.costs

    return asked


def test_a_plain_run_is_long_and_writes_into_the_package(options, tmp_path):
    folder = tmp_path / "_artifacts" / "robot"
    assert options() == (False, folder, tmp_path / "maml_teach" / "data" / "robot.npz", False)
    assert folder.is_dir()
    assert options()[1] == folder  # also when it is there


def test_a_quick_run_goes_where_it_is_told(options, tmp_path):
    folder, target = tmp_path / "runs" / "deep", tmp_path / "made.npz"
    words = ["--quick", "--folder", folder, "--target", target, "--costs"]
    assert options(*words) == (True, folder, target, True)
    assert folder.is_dir()
    assert not target.exists()


def test_help_says_what_the_script_does(options, capsys):
    with pytest.raises(SystemExit):
        options("--help")
    said = capsys.readouterr().out
    assert "what it does" in said and "only what it costs" in said


def test_the_repository_is_where_the_package_lies():
    assert (artifacts.ROOT / "maml_teach" / "data" / "robot.npz").is_file()


@pytest.mark.parametrize(
    ("n_meta_steps", "betas"),
    [(10, BETAS), (7, 4 * [1e-2] + 2 * [2e-3] + [5e-4]), (20, sorted(2 * BETAS, reverse=True))],
)
def test_stages_are_adam_at_falling_rates(tmp_path, n_meta_steps, betas):
    """Its moments and its count of steps go on from stage to stage, as ``torch.optim``'s do."""
    config = MetaConfig(**{**asdict(CONFIG), "n_meta_steps": n_meta_steps})
    found = train(tmp_path / "run.npz", config=config)
    gradient = partial(meta_gradient, NET, alpha=0.02, n_inner_steps=2)
    rng = np.random.default_rng(3)
    wanted = trained_by_torch(gradient, start(), Sinusoids(), COUNTS, betas, rng)
    assert np.abs(found - wanted).max() < 1e-10
    run = load_run(tmp_path / "run.npz")
    assert np.array_equal(run.theta, found)
    assert len(run.history) == run.config.n_meta_steps == n_meta_steps
    assert run.config.beta == 5e-4


@pytest.mark.parametrize("done", [0, 1, 5, 6, 8, 9])
def test_an_interrupted_training_goes_on_to_the_bit(tmp_path, done):
    whole = train(tmp_path / "whole.npz")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run.npz", gradient=stopping(maml.maml_gradient, done))
    assert len(load_run(tmp_path / "run.npz").history) == done
    rest = train(tmp_path / "run.npz", seed=99)  # the tasks go on from the file, not from here
    assert np.array_equal(rest, whole)
    one, two = (load_run(tmp_path / f"{name}.npz") for name in ("run", "whole"))
    assert np.array_equal(one.moments, two.moments) and np.array_equal(one.history, two.history)
    assert one.rng_state == two.rng_state


def test_a_finished_training_is_read_and_not_done_again(tmp_path):
    whole = train(tmp_path / "run.npz")
    assert np.array_equal(
        train(tmp_path / "run.npz", gradient=stopping(maml.maml_gradient, 0)), whole
    )


@pytest.mark.parametrize("done", [None, 3, 5])
def test_tensors_are_trained_alike_and_go_on_as_tensors(tmp_path, done):
    file, wanted = tmp_path / "run.npz", train(tmp_path / "numpy.npz")

    def on_tensors(gradient):
        rng = np.random.default_rng(3)
        theta = torch.tensor(start())
        how = {"rng": rng, "file": file, "gradient": gradient, "progress": False}
        return artifacts.train_in_stages(NET, theta, Sinusoids(), CONFIG, STAGES, **how)

    if done is not None:
        with pytest.raises(KeyboardInterrupt):
            on_tensors(stopping(maml_torch.maml_gradient, done))
    found = on_tensors(maml_torch.maml_gradient)
    assert found.dtype == torch.float64
    assert np.abs(found.numpy() - wanted).max() < 1e-10


def test_how_to_train_is_handed_on_to_every_stage(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(
        "maml_teach.train.save_run", lambda run, path: saved.append((len(run.history), path))
    )
    train(tmp_path / "run.npz", every=2, checkpoint=tmp_path / "other.npz")
    assert saved == [(n, tmp_path / "other.npz") for n in (2, 4, 5, 6, 8, 8, 10, 10)]


@pytest.mark.parametrize(("script", "lost"), [("driving", "fitted, 10"), ("robot", "arm true, 20")])
def test_rivals_without_a_network_are_put_into_the_file_that_is_there(
    script, lost, monkeypatch, tmp_path
):
    module, target = importlib.import_module(f"train_{script}"), tmp_path / "made.npz"
    words = ["--quick", "--folder", tmp_path, "--target", target]
    monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
    module.main()
    whole = dict(np.load(target))
    np.savez(target, **{name: array for name, array in whole.items() if name != lost})
    monkeypatch.setattr(sys, "argv", [script, *map(str, words), "--rivals"])
    monkeypatch.setattr(module, "train_in_stages", None)  # nothing is trained
    module.main()
    again = np.load(target)
    assert set(again) == set(whole)
    assert all(np.array_equal(again[name], array) for name, array in whole.items())
