"""Meta-training on many processes: each takes part of every meta-batch, one all-reduce a step.

Every rank draws the same meta-batch from the same generator, differentiates its share, and after
the all-reduce holds the same meta-gradient as all others. So every rank walks the same path as a
single process, and a checkpoint written by one serves all. Start with ``torchrun``::

    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    torchrun --standalone --nproc-per-node 4 --max-restarts 3 train.py

The variable gives each attempt its own list of addresses. Without it a restarted rank may read the
address of a dead one and wait for it (https://github.com/pytorch/pytorch/issues/135712). The
program ``train.py`` has::

    rank, device = distributed.start()
    gradient = distributed.shared(maml_torch.maml_gradient)
    meta_train(..., gradient=gradient, progress=rank == 0, checkpoint=path if rank == 0 else None)
"""

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from .protocols import MetaGradient
from .tasks import Task


def start() -> tuple[int, torch.device]:
    """Join the group of processes that ``torchrun`` started: NCCL where there is a GPU, else Gloo.

    Returns:
        ``(rank, device)``: this process's number, and the device it is to keep ``theta`` on.

    Raises:
        ValueError: If the process was not started by ``torchrun``, or by one that restarts ranks
            and has all attempts share one list of addresses.
    """
    if "RANK" not in os.environ:
        raise ValueError("RANK is not set: start this program with torchrun")
    may_restart = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0"
    if may_restart and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        raise ValueError(
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE is not set: torchrun with --max-restarts needs it"
            " to be 1, or a restarted rank may wait for a dead one"
        )
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return dist.get_rank(), device


def stop() -> None:
    """Leave the group; the last call of a program that called :func:`start`."""
    dist.destroy_process_group()


def share(n_tasks: int, rank: int, n_ranks: int) -> slice:
    """The tasks of a rank, as a slice: sizes differ by at most one, and some may be empty.

    >>> [share(7, rank, 3) for rank in range(3)]
    [slice(0, 3, None), slice(3, 5, None), slice(5, 7, None)]
    """
    size, rest = divmod(n_tasks, n_ranks)
    first = rank * size + min(rank, rest)
    return slice(first, first + size + (rank < rest))


def shared(gradient: MetaGradient) -> MetaGradient:
    """A gradient function that spreads its tasks over all ranks; arguments and answer are its own.

    Each rank sums over its share; one all-reduce adds ``n_params + 1`` numbers, and the division
    by ``n_tasks`` comes last, so that shares of unequal size count as they should.

    Args:
        gradient: A function of ``maml_torch`` that averages over tasks,
            ``(model, theta, tasks, alpha=, n_inner_steps=) -> (meta_loss, gradient)``.

    Returns:
        A function like it. Every rank must call it with the same ``theta`` and the same tasks. If
        the inner loop diverges on one rank, every rank raises ``FloatingPointError``, so that no
        rank waits for another.
    """

    def spread(model: Any, theta: Tensor, tasks: Task, **inner: Any) -> tuple[Tensor, Tensor]:
        chosen = share(tasks.n_tasks, dist.get_rank(), dist.get_world_size())
        total, error = theta.new_zeros(theta.shape[-1] + 1), None
        if chosen.start < chosen.stop:
            try:
                meta_loss, g = gradient(model, theta, tasks.select(chosen), **inner)
                total[0], total[1:] = meta_loss, g
                total *= chosen.stop - chosen.start
            except FloatingPointError as diverged:
                error, total = diverged, total + float("nan")
        dist.all_reduce(total)
        if not bool(total.isfinite().all()):
            raise FloatingPointError(str(error or "another rank's tasks diverged")) from error
        total /= tasks.n_tasks
        return total[0], total[1:]

    return spread
