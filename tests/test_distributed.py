"""Many processes take the step of one; a killed rank costs the steps since the checkpoint."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import distributed_programs as programs
import numpy as np
import pytest
import torch

from maml_teach import distributed_torch, maml_torch
from maml_teach.checks import relative_error
from maml_teach.tasks import Sinusoids
from maml_teach.train import MetaConfig, meta_train

PROGRAM = Path(programs.__file__)
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1"]

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not hasattr(os, "fork"),
    reason="this torch has no torch.distributed, or this system no fork",
)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def run(command, environment=ENVIRONMENT):
    command = [sys.executable, *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def start(command):
    done = run(command)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """Answers of every rank of groups of 2 and 4 processes, by ``(n_ranks, rank)``."""
    folder = tmp_path_factory.mktemp("groups")
    start([str(PROGRAM), "groups", str(folder), free_port(), free_port()])
    return {
        (n_ranks, rank): torch.load(folder / f"{n_ranks}-{rank}.pt")
        for n_ranks in (2, 4)
        for rank in range(n_ranks)
    }


@pytest.mark.parametrize("n_ranks", [2, 4])
@pytest.mark.parametrize("case", [1, 6, 7, 8, "module"])
def test_many_processes_give_the_gradient_of_one(groups, n_ranks, case):
    """Also with fewer tasks than ranks, and with shares of unequal size."""
    model = programs.a_module() if case == "module" else programs.MODEL
    theta = model.theta() if case == "module" else programs.theta_of(model)
    tasks = programs.problem(6 if case == "module" else case)
    loss, gradient = maml_torch.maml_gradient(model, theta, tasks, **programs.INNER)
    for rank in range(n_ranks):
        its_loss, its_gradient = groups[n_ranks, rank]["answers"][case]
        assert relative_error([float(its_loss)], [float(loss)]) < 1e-10
        assert relative_error(its_gradient.numpy(), gradient.numpy()) < 1e-10
        assert torch.equal(its_gradient, groups[n_ranks, 0]["answers"][case][1])


@pytest.mark.parametrize("n_ranks", [2, 4])
def test_one_all_reduce_per_step(groups, n_ranks):
    assert all(groups[n_ranks, rank]["n_calls"] == 5 for rank in range(n_ranks))


@pytest.mark.parametrize("n_ranks", [2, 4])
def test_divergence_on_one_rank_stops_all(groups, n_ranks):
    messages = [groups[n_ranks, rank]["answers"]["diverged"] for rank in range(n_ranks)]
    assert "inner loop diverged" in messages[-1]
    assert all(message == "another rank's tasks diverged" for message in messages[:-1])


def test_a_killed_rank_costs_the_steps_since_the_checkpoint(tmp_path):
    log = start([*TORCHRUN, str(PROGRAM), "train", str(tmp_path)])
    at_checkpoint = (programs.KILLED_AT - 1) // programs.EVERY * programs.EVERY
    resumed = {int(step) for step in re.findall(r"goes on from step (\d+)", log)}
    assert len(resumed) == 1
    assert at_checkpoint <= resumed.pop() < programs.KILLED_AT
    config = MetaConfig(n_tasks=5, n_meta_steps=programs.N_META_STEPS, **programs.INNER)
    whole = meta_train(
        programs.MODEL,
        programs.theta_of(programs.MODEL),
        Sinusoids(),
        config,
        rng=np.random.default_rng(0),
        gradient=maml_torch.maml_gradient,
        progress=False,
    )
    ends = [torch.load(tmp_path / f"end-{rank}.pt", weights_only=False) for rank in (0, 1)]
    assert torch.equal(ends[0]["theta"], ends[1]["theta"])
    assert relative_error(ends[0]["theta"].numpy(), whole.theta.numpy()) < 1e-10
    assert np.allclose(ends[0]["history"], whole.history, rtol=1e-10)


@pytest.mark.parametrize("n_tasks", [0, 1, 5, 16])
@pytest.mark.parametrize("n_ranks", [1, 3, 16])
def test_shares_cover_every_task_once(n_tasks, n_ranks):
    slices = [distributed_torch.share(n_tasks, rank, n_ranks) for rank in range(n_ranks)]
    tasks = np.arange(n_tasks)
    assert np.array_equal(np.concatenate([tasks[s] for s in slices]), tasks)
    sizes = [s.stop - s.start for s in slices]
    assert max(sizes) - min(sizes) <= 1


def test_a_program_started_without_torchrun_is_told(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ValueError, match="start this program with torchrun"):
        distributed_torch.start()


def test_restarts_that_could_wait_for_a_dead_rank_are_refused(tmp_path):
    shared = ENVIRONMENT | {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "0"}
    done = run([*TORCHRUN, str(PROGRAM), "train", str(tmp_path)], shared)
    assert done.returncode != 0
    assert "ValueError: TORCH_DISABLE_SHARE_RDZV_TCP_STORE is not set" in done.stderr
