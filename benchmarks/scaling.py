"""How far a meta-batch can be spread over machines: what is measured here, and a computed curve.

Measured on this machine: the time of an exact meta-gradient per task (Conv4, 5 ways, 1 shot), and
the time of the one all-reduce between two processes, for vectors of several lengths, from which
latency and bandwidth are fitted. Computed: the time of a step on more machines, by

    time(n) = per_task * ceil(n_tasks / n) + all_reduce(n),
    all_reduce(n) = 2 (n - 1) latency + 2 (n - 1) / n * bytes / bandwidth  (a ring)

with the local latency and bandwidth, and with those of a network, given as options. Nothing was
run on more than one machine.

Usage: python benchmarks/scaling.py [--n-tasks 32] [--latency 5e-5] [--bandwidth 1.25e9]
Writes maml_teach/data/scaling.json.
"""

import argparse
import json
import math
import os
import socket
import statistics
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from memory import conv4, random_tasks

from maml_teach import maml_torch

RESULTS = Path(__file__).parents[1] / "maml_teach" / "data" / "scaling.json"
N_MACHINES = [1, 2, 4, 8, 16, 32, 64]
LENGTHS = [1_000, 10_000, 100_000, 1_000_000, 10_000_000]


def median_seconds(function, n_rounds):
    """Median time of a call, after one that is not counted."""
    function()
    times = []
    for _ in range(n_rounds):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def seconds_per_task(n_inner_steps, n_tasks=2, n_rounds=7):
    """Time of an exact meta-gradient, per task, one thread."""
    torch.manual_seed(0)
    model, tasks = maml_torch.from_module(conv4(), "cross_entropy"), random_tasks(n_tasks)
    inner = {"alpha": 0.01, "n_inner_steps": n_inner_steps}
    step = lambda: maml_torch.maml_gradient(model, model.theta(), tasks, **inner)  # noqa: E731
    return median_seconds(step, n_rounds) / n_tasks


def reduce_times(rank, port, path, n_ranks=2, n_rounds=15):
    """One process of the group: the times of an all-reduce; rank 0 writes them down."""
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=n_ranks)
    vectors = [torch.ones(n) for n in LENGTHS]
    seconds = [median_seconds(lambda v=v: dist.all_reduce(v), n_rounds) for v in vectors]
    if rank == 0:
        path.write_text(json.dumps(seconds))
    dist.destroy_process_group()


def measured_all_reduce(path):
    """Seconds for each of ``LENGTHS`` float32 numbers, between two processes on this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    mp.start_processes(reduce_times, (port, path), nprocs=2, start_method="spawn")
    seconds = json.loads(path.read_text())
    path.unlink()
    return seconds


def fitted(seconds):
    """``(latency, bandwidth)`` of the ring model with two ranks: the shortest, and the longest."""
    latency = min(seconds) / 2
    return latency, 4 * LENGTHS[-1] / (seconds[-1] - 2 * latency)


def curve(per_task, n_tasks, n_bytes, latency, bandwidth):
    """Computed seconds per step on each of ``N_MACHINES``."""
    return [
        per_task * math.ceil(n_tasks / n)
        + (2 * (n - 1) * latency + 2 * (n - 1) / n * n_bytes / bandwidth)
        for n in N_MACHINES
    ]


def measured(n_inner_steps):
    """Everything that was timed on this machine."""
    torch.set_num_threads(1)
    return {
        "seconds_per_task": seconds_per_task(n_inner_steps),
        "n_inner_steps": n_inner_steps,
        "all_reduce_lengths": LENGTHS,
        "all_reduce_seconds": measured_all_reduce(RESULTS.with_suffix(".part")),
        "n_cores": os.cpu_count(),
    }


def computed(times, n_tasks, network):
    """Seconds per step and speed-up on each of ``N_MACHINES``, from the measured times."""
    n_bytes = 4 * (sum(p.numel() for p in conv4().parameters()) + 1)
    networks = {"this machine": fitted(times["all_reduce_seconds"]), "network": network}
    seconds = {
        name: curve(times["seconds_per_task"], n_tasks, n_bytes, *pair)
        for name, pair in networks.items()
    }
    return {
        "n_tasks": n_tasks,
        "n_bytes": n_bytes,
        "n_machines": N_MACHINES,
        "latency_and_bandwidth": networks,
        "seconds_per_step": seconds,
        "speedup": {name: list(values[0] / np.array(values)) for name, values in seconds.items()},
    }


def main():
    """Measure, compute, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-tasks", type=int, default=32)
    parser.add_argument("--n-inner-steps", type=int, default=5)
    parser.add_argument("--latency", type=float, default=5e-5, help="of the network, s")
    parser.add_argument("--bandwidth", type=float, default=1.25e9, help="of the network, B/s")
    options = parser.parse_args()
    times = measured(options.n_inner_steps)
    found = computed(times, options.n_tasks, (options.latency, options.bandwidth))
    text = json.dumps({"measured": times, "computed, not measured": found}, indent=1)
    RESULTS.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
