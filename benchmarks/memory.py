"""Peak memory and time of one meta-gradient against the number of inner steps.

Conv4 with 64 filters and batch statistics on 28 x 28 images, 5 ways, 1 shot, 15 queries a class;
one thread. Every measurement has a process of its own.

Usage: python benchmarks/memory.py [--n-tasks 2] [--steps 1 5 10 20] [--repeat 3]
Writes maml_teach/data/memory.json: of every process the megabytes above those before the call
and the seconds of processor time, for exact MAML by the walk back and by plain autograd through
the inner loop, for FOMAML and for Reptile; and the least megabytes of each, with their growth.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

from maml_teach import maml_torch
from maml_teach.tasks import Task

RESULTS = Path(__file__).parents[1] / "maml_teach" / "data" / "memory.json"


def conv4(n_filters=64, n_ways=5):
    """Four blocks of convolution, BatchNorm, ReLU and pooling, and a linear layer."""
    blocks = []
    for n_in in (1, n_filters, n_filters, n_filters):
        conv = nn.Conv2d(n_in, n_filters, 3, padding=1)
        blocks += [conv, nn.BatchNorm2d(n_filters), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(n_filters, n_ways))


def random_tasks(n_tasks, n_queries=15, n_ways=5):
    """Noise for images, ``(n_tasks, n, 1, 28, 28)``: memory does not depend on what they show."""
    labels = torch.arange(n_ways).expand(n_tasks, -1)
    x_support = torch.randn(n_tasks, n_ways, 1, 28, 28)
    x_query = torch.randn(n_tasks, n_ways * n_queries, 1, 28, 28)
    return Task(x_support, labels, x_query, labels.repeat(1, n_queries))


def plain(model, theta, tasks, **inner):
    """Autograd through the inner loop, one task after the other, as other libraries do."""
    total = 0.0
    for t in range(tasks.n_tasks):
        part = tasks.select(slice(t, t + 1))
        total = total + maml_torch.unrolled_gradient(model, theta, part, **inner)[1]
    return total / tasks.n_tasks


METHODS = {
    "walk back": maml_torch.maml_gradient,
    "plain autograd": plain,
    "FOMAML": maml_torch.fomaml_gradient,
    "Reptile": maml_torch.reptile_gradient,
}


def peak():
    """Largest resident memory of this process so far, MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure(method, n_inner_steps, n_tasks):
    """Peak above the process before the call, MB, and processor time of the call, s."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model, tasks = maml_torch.from_module(conv4(), "cross_entropy"), random_tasks(n_tasks)
    small = random_tasks(1, n_queries=1)
    maml_torch.maml_gradient(model, model.theta(), small, alpha=0.01)  # libraries loaded
    before, began = peak(), time.process_time()
    METHODS[method](model, model.theta(), tasks, alpha=0.01, n_inner_steps=n_inner_steps)
    return peak() - before, time.process_time() - began


def in_a_process(*arguments):
    """:func:`measure` in a fresh process, which has no earlier peak."""
    command = [sys.executable, __file__, "--one", *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [float(number) for number in answer.split()]


def main():
    """Measure, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-tasks", type=int, default=2)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 5, 10, 20])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        method, n_inner_steps, n_tasks = options.one
        return print(*measure(method, int(n_inner_steps), int(n_tasks)))
    megabytes, seconds = {name: [] for name in METHODS}, {name: [] for name in METHODS}
    for k in options.steps:
        for method in METHODS:
            runs = [in_a_process(method, k, options.n_tasks) for _ in range(options.repeat)]
            for kept, values in zip((megabytes, seconds), zip(*runs, strict=True), strict=True):
                kept[method].append(values)
            print(f"{method}, {k} inner steps: {min(megabytes[method][-1]):.0f} MB", flush=True)
    found = {"n_tasks": options.n_tasks, "steps": options.steps, "torch": torch.__version__}
    found |= {"all_megabytes": megabytes, "all_seconds": seconds}
    least = {method: [min(runs) for runs in cells] for method, cells in megabytes.items()}
    ratio = {method: values[-1] / values[0] for method, values in least.items()}
    found |= {"megabytes_above_start": least, "last_over_first": ratio}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    return print(ratio)


if __name__ == "__main__":
    main()
