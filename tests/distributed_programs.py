"""Programs that test_distributed.py starts; each process of a group runs one of them.

``group FOLDER`` forks groups of 2 and 4 processes, so that torch is loaded once. ``train FOLDER``
is started by torchrun; in the first attempt one rank is killed in the middle of the training.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing as mp
from torch import nn

from maml_teach import distributed_torch, maml_torch
from maml_teach.tasks import Sinusoids
from maml_teach.train import MetaConfig, load_run, meta_train, resume

MODEL = maml_torch.MLP((1, 8, 1), activation="tanh")
INNER = {"alpha": 0.05, "n_inner_steps": 2}
KILLED_AT, EVERY, N_META_STEPS = 8, 3, 12


def theta_of(model):
    return model.init(torch.Generator().manual_seed(0), dtype=torch.float64)


def problem(n_tasks):
    return Sinusoids().sample(np.random.default_rng(n_tasks), n_tasks, 5, 6)


def a_module():
    torch.manual_seed(0)
    layers = [nn.Linear(1, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 1)]
    return maml_torch.from_module(nn.Sequential(*layers).double(), "mse")


def counted(calls):
    """``all_reduce`` that counts how often it is called."""
    real = torch.distributed.all_reduce

    def all_reduce(tensor):
        calls.append(tensor.numel())
        return real(tensor)

    return all_reduce


def one_of_a_group(rank, n_ranks, port, folder):
    addresses = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": n_ranks}
    os.environ.update({k: str(v) for k, v in (addresses | {"RANK": rank}).items()})
    distributed_torch.start()
    calls = []
    torch.distributed.all_reduce = counted(calls)
    answers = {}
    gradient = distributed_torch.shared(maml_torch.maml_gradient)
    for n_tasks in (1, 6, 7, 8):
        answers[n_tasks] = gradient(MODEL, theta_of(MODEL), problem(n_tasks), **INNER)
    module = a_module()
    answers["module"] = gradient(module, module.theta(), problem(6), **INNER)
    n_calls = len(calls)
    tasks = problem(6)
    tasks.x_support[-1] *= 1e200  # on the last rank alone
    try:
        gradient(maml_torch.MLP((1, 8, 1)), theta_of(MODEL), tasks, **INNER)
        answers["diverged"] = "nothing raised"
    except FloatingPointError as error:
        answers["diverged"] = str(error)
    torch.save({"answers": answers, "n_calls": n_calls}, f"{folder}/{n_ranks}-{rank}.pt")
    distributed_torch.stop()


def groups(folder, ports):
    torch.set_num_threads(1)
    for n_ranks, port in zip((2, 4), ports, strict=True):
        mp.start_processes(
            one_of_a_group, (n_ranks, port, folder), nprocs=n_ranks, start_method="fork"
        )


def killing(gradient, rank):
    """``gradient`` that ends its process without a word, once, in the middle of the training."""
    calls = []

    def once(*args, **inner):
        calls.append(1)
        if (
            len(calls) == KILLED_AT
            and rank == 1
            and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        ):
            os.kill(os.getpid(), signal.SIGKILL)
        return gradient(*args, **inner)

    return once


def train(folder):
    torch.set_num_threads(1)
    rank, _ = distributed_torch.start()
    path = Path(folder) / "run.npz"
    settings = {
        "gradient": killing(distributed_torch.shared(maml_torch.maml_gradient), rank),
        "progress": False,
        "checkpoint": path if rank == 0 else None,
        "every": EVERY,
    }
    theta, family = theta_of(MODEL), Sinusoids()
    if path.exists():
        run = load_run(path, like=theta)
        print(f"rank {rank} goes on from step {len(run.history)}", flush=True)
        torch.distributed.barrier()  # nobody writes before all have read
        run = resume(MODEL, run, family, **settings)
    else:
        config = MetaConfig(n_tasks=5, n_meta_steps=N_META_STEPS, **INNER)
        run = meta_train(MODEL, theta, family, config, rng=np.random.default_rng(0), **settings)
    torch.save({"theta": run.theta, "history": run.history}, f"{folder}/end-{rank}.pt")
    distributed_torch.stop()


if __name__ == "__main__":
    if sys.argv[1] == "groups":
        groups(sys.argv[2], sys.argv[3:])
    else:
        train(sys.argv[2])
