"""A long training survives: checkpoints are whole, and going on from one loses nothing."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from maml_teach import maml, maml_torch
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids
from maml_teach.train import MetaConfig, load_run, meta_train, resume, save_run

ENGINES = {
    "numpy": (MLP((1, 8, 1)), np.full(25, 0.1), maml.maml_gradient),
    "torch": (maml_torch.MLP((1, 8, 1)), torch.full((25,), 0.1), maml_torch.maml_gradient),
}
ENDLESS = """
import numpy as np
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids
from maml_teach.train import MetaConfig, meta_train

config = MetaConfig(n_tasks=4, n_meta_steps=10**7)
meta_train(MLP((1, 8, 1)), np.full(25, 0.1), Sinusoids(), config, rng=np.random.default_rng(0),
           progress=False, checkpoint={path!r}, every={every})
"""


def train(engine, n_meta_steps, **options):
    model, theta, gradient = ENGINES[engine]
    config = MetaConfig(n_tasks=4, n_meta_steps=n_meta_steps)
    options = {"progress": False, "gradient": gradient} | options
    rng = np.random.default_rng(0)
    return meta_train(model, theta, Sinusoids(), config, rng=rng, **options)


def go_on(engine, path, **options):
    model, theta, gradient = ENGINES[engine]
    run = load_run(path, like=theta if engine == "torch" else None)
    return resume(model, run, Sinusoids(), gradient=gradient, progress=False, **options)


def assert_same(one, two):
    assert np.array_equal(np.asarray(one.theta), np.asarray(two.theta))
    assert np.array_equal(one.history, two.history)
    assert all(map(np.array_equal, map(np.asarray, one.moments), map(np.asarray, two.moments)))
    assert one.rng_state == two.rng_state


def steps_in(path):
    return len(load_run(path).history)


def failing(gradient, error, after):
    """``gradient`` that raises ``error`` at its call number ``after``."""
    calls = []

    def function(*args, **inner):
        calls.append(1)
        if len(calls) == after:
            raise error
        return gradient(*args, **inner)

    return function


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), FloatingPointError("diverged")])
def test_an_interrupted_training_goes_on_to_the_bit(tmp_path, engine, error):
    """Stopped twice, the second time by an interrupt within ``resume``."""
    path, gradient = tmp_path / "run.npz", ENGINES[engine][2]
    with pytest.raises(type(error)):
        train(engine, 30, gradient=failing(gradient, error, 12), checkpoint=path, every=5)
    assert len(load_run(path).history) == 11
    model, theta, _ = ENGINES[engine]
    with pytest.raises(KeyboardInterrupt):
        resume(
            model,
            load_run(path, like=theta if engine == "torch" else None),
            Sinusoids(),
            gradient=failing(gradient, KeyboardInterrupt(), 8),
            progress=False,
            checkpoint=path,
        )
    assert len(load_run(path).history) == 18
    rest = go_on(engine, path, checkpoint=path)
    assert_same(rest, train(engine, 30))
    assert_same(load_run(path), rest)


@pytest.mark.parametrize("engine", ENGINES)
def test_running_means_of_gradients_outlive_the_file_and_a_change_of_rate(tmp_path, engine):
    """Adam of ``torch.optim``, never stopped, over the same gradients."""
    path, (model, theta, gradient) = tmp_path / "run.npz", ENGINES[engine]
    save_run(train(engine, 12), path)
    run = load_run(path, like=theta if engine == "torch" else None)
    run = replace(run, config=replace(run.config, beta=0.01))
    how = {"n_meta_steps": 8, "gradient": gradient, "progress": False}
    run = resume(model, run, Sinusoids(), **how)
    theta, rng = torch.as_tensor(theta).double().clone(), np.random.default_rng(0)
    adam = torch.optim.Adam([theta])
    for k in range(20):
        adam.param_groups[0]["lr"] = 0.001 if k < 12 else 0.01
        tasks = maml_torch.as_tensors(Sinusoids().sample(rng, 4, 10, 10), theta)
        net = maml_torch.MLP((1, 8, 1))
        theta.grad = maml_torch.unrolled_gradient(net, theta.clone(), tasks, alpha=0.01)[1]
        adam.step()
    rtol = 1e-9 if engine == "numpy" else 1e-5  # single precision
    assert np.allclose(run.theta, theta, rtol=rtol, atol=0)
    for name, found in zip(("exp_avg", "exp_avg_sq"), run.moments, strict=True):
        wanted = adam.state[theta][name]
        assert np.allclose(found, wanted, rtol=rtol, atol=rtol * float(wanted.abs().max()))


@pytest.mark.parametrize("engine", ENGINES)
def test_checkpoints_come_every_so_often_and_change_nothing(tmp_path, engine, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "maml_teach.train.save_run", lambda run, path: seen.append(len(run.history))
    )
    run = train(engine, 23, checkpoint=tmp_path / "run.npz", every=5)
    assert seen == [5, 10, 15, 20, 23]
    assert_same(run, train(engine, 23))


def test_a_killed_process_loses_at_most_one_interval(tmp_path):
    path, every = tmp_path / "run.npz", 20
    process = subprocess.Popen([sys.executable, "-c", ENDLESS.format(path=str(path), every=every)])
    try:
        while process.poll() is None and not (path.exists() and steps_in(path) > every):
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    run = load_run(path)
    assert len(run.history) >= 2 * every
    assert len(run.history) % every == 0  # nothing was written on the way out
    whole = train("numpy", len(run.history) + 7)
    assert_same(go_on("numpy", path, n_meta_steps=7), whole)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_checkpoint_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch, step):
    path = tmp_path / "run.npz"
    before = train("numpy", 3)
    save_run(before, path)
    monkeypatch.setattr(os, step, failing(getattr(os, step), OSError("no space left"), 1))
    with pytest.raises(OSError, match="no space left"):
        save_run(train("numpy", 5), path)
    assert_same(load_run(path), before)
    monkeypatch.undo()
    save_run(train("numpy", 5), path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]


def test_resume_does_the_steps_that_were_planned_or_asked_for(tmp_path):
    save_run(train("numpy", 6), tmp_path / "run.npz")
    assert len(go_on("numpy", tmp_path / "run.npz").history) == 6
    more = go_on("numpy", tmp_path / "run.npz", n_meta_steps=4)
    assert len(more.history) == more.config.n_meta_steps == 10


def test_the_progress_bar_counts_from_where_the_run_stands(tmp_path, capsys):
    save_run(train("numpy", 150), tmp_path / "run.npz")
    model, _, gradient = ENGINES["numpy"]
    resume(model, load_run(tmp_path / "run.npz"), Sinusoids(), n_meta_steps=50, gradient=gradient)
    shown = capsys.readouterr().err
    assert "150/200" in shown
    assert "200/200" in shown
    assert "loss " in shown
    assert "steps/s" in shown


@pytest.mark.parametrize("every", [0, -1, 2.5, True])
def test_a_bad_interval_is_named(every):
    with pytest.raises(ValueError, match="every must be an integer of at least 1"):
        train("numpy", 3, every=every)
