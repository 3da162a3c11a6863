"""The exact meta-gradient here and in other libraries: the same number, and how long it takes.

Usage: make bench, or python benchmarks/compare.py [--rounds 11] [--only sinusoid conv4]
Peers are used where they are installed; `make bench` puts them into an environment of their own.

sinusoid   MLP 1-40-40-1 with ReLU, 25 tasks, 10 support and 10 query points
conv4      four convolutions of 64 filters with BatchNorm, 28 x 28 pixels, 4 tasks of 5-way 1-shot
           with 15 queries a class

Before anything is timed, every method's gradient in float64 is compared with plain PyTorch; one
that is off by more than 1e-8 is reported and not timed. Then float32, one thread, rounds in which
every method takes its turn, medians. Writes benchmarks/results/compare.json.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
import types
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from memory import conv4, random_tasks
from torch import nn

from maml_teach import lean, maml, maml_torch
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids

RESULTS = Path(__file__).parent / "results" / "compare.json"
ALPHA = 0.01
ALIKE = 1e-8


def flat(gradients):
    """One vector from a list of gradients, as NumPy."""
    return torch.cat([g.reshape(-1) for g in gradients]).detach().numpy()


def plain_pytorch(net, loss, tasks, n_inner_steps):
    """Autograd through the inner loop, task by task, with nothing but PyTorch."""
    parameters = dict(net.named_parameters())
    total = 0.0
    for t in range(tasks.n_tasks):
        task, theta = tasks.select(t), parameters
        for _ in range(n_inner_steps):
            support = loss(torch.func.functional_call(net, theta, task.x_support), task.y_support)
            gradients = torch.autograd.grad(support, list(theta.values()), create_graph=True)
            moves = zip(theta.items(), gradients, strict=True)
            theta = {name: value - ALPHA * g for (name, value), g in moves}
        total = total + loss(torch.func.functional_call(net, theta, task.x_query), task.y_query)
    return flat(torch.autograd.grad(total / tasks.n_tasks, list(parameters.values())))


def learn2learn(net, loss, tasks, n_inner_steps):
    """The clone and adapt of learn2learn."""
    from learn2learn.algorithms.maml import MAML

    learner = MAML(net, lr=ALPHA)
    total = 0.0
    for t in range(tasks.n_tasks):
        task, clone = tasks.select(t), learner.clone()
        for _ in range(n_inner_steps):
            clone.adapt(loss(clone(task.x_support), task.y_support))
        total = total + loss(clone(task.x_query), task.y_query)
    return flat(torch.autograd.grad(total / tasks.n_tasks, list(net.parameters())))


def higher(net, loss, tasks, n_inner_steps):
    """The differentiable optimiser of higher."""
    import higher as library

    total = 0.0
    for t in range(tasks.n_tasks):
        task, sgd = tasks.select(t), torch.optim.SGD(net.parameters(), lr=ALPHA)
        with library.innerloop_ctx(net, sgd, copy_initial_weights=False) as (copy, optimizer):
            for _ in range(n_inner_steps):
                optimizer.step(loss(copy(task.x_support), task.y_support))
            total = total + loss(copy(task.x_query), task.y_query)
    return flat(torch.autograd.grad(total / tasks.n_tasks, list(net.parameters())))


def torchopt(net, loss, tasks, n_inner_steps):
    """TorchOpt's MetaSGD; the net is put back after each task."""
    import torchopt as library

    optimizer = library.MetaSGD(net, lr=ALPHA)
    start, start_state = library.extract_state_dict(net), library.extract_state_dict(optimizer)
    parameters, total = list(net.parameters()), 0.0
    for t in range(tasks.n_tasks):
        task = tasks.select(t)
        for _ in range(n_inner_steps):
            optimizer.step(loss(net(task.x_support), task.y_support))
        total = total + loss(net(task.x_query), task.y_query)
        library.recover_state_dict(net, start)
        library.recover_state_dict(optimizer, start_state)
    return flat(torch.autograd.grad(total / tasks.n_tasks, parameters))


def torch_func(net, loss, tasks, n_inner_steps):
    """torch.func: vmap over tasks outermost, where it is right."""
    parameters = {name: p.detach() for name, p in net.named_parameters()}

    def one_loss(theta, x, y):
        return loss(torch.func.functional_call(net, theta, x), y)

    def query_loss(theta, x_support, y_support, x_query, y_query):
        for _ in range(n_inner_steps):
            gradients = torch.func.grad(one_loss)(theta, x_support, y_support)
            theta = {name: value - ALPHA * gradients[name] for name, value in theta.items()}
        return one_loss(theta, x_query, y_query)

    arrays = tasks.x_support, tasks.y_support, tasks.x_query, tasks.y_query
    each = torch.func.vmap(torch.func.grad(query_loss), in_dims=(None, 0, 0, 0, 0))
    return flat([g.mean(dim=0) for g in each(parameters, *arrays).values()])


def jax_method(net, tasks, n_inner_steps):
    """JAX's jit of grad of vmap, for the MLP; returns the call, compiled at its first use."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"  # one thread, as the others
    import jax

    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy

    def predict(theta, x):
        for W, b in theta[:-1]:
            x = jnp.maximum(x @ W + b, 0)
        return x @ theta[-1][0] + theta[-1][1]

    def one_loss(theta, x, y):
        return jnp.mean((predict(theta, x) - y) ** 2)

    def query_loss(theta, x_support, y_support, x_query, y_query):
        for _ in range(n_inner_steps):
            gradients = jax.grad(one_loss)(theta, x_support, y_support)
            theta = jax.tree.map(lambda value, g: value - ALPHA * g, theta, gradients)
        return one_loss(theta, x_query, y_query)

    def meta_loss(theta, *arrays):
        return jnp.mean(jax.vmap(query_loss, (None, 0, 0, 0, 0))(theta, *arrays))

    linear = [layer for layer in net if isinstance(layer, nn.Linear)]
    theta = [
        (jnp.array(w.weight.detach().numpy().T), jnp.array(w.bias.detach().numpy())) for w in linear
    ]
    arrays = [
        jnp.array(a) for a in (tasks.x_support, tasks.y_support, tasks.x_query, tasks.y_query)
    ]
    compiled = jax.jit(jax.grad(meta_loss))

    def call():
        layers = jax.block_until_ready(compiled(theta, *arrays))
        return np.concatenate([np.append(np.ravel(W.T), b) for W, b in layers])

    return call


def ours_torch(net, objective, tasks, n_inner_steps):
    """``maml_torch.maml_gradient`` for any module."""
    model = maml_torch.from_module(net, objective)
    theta, inner = model.theta(), {"alpha": ALPHA, "n_inner_steps": n_inner_steps}
    return lambda: maml_torch.maml_gradient(model, theta, tasks, **inner)[1].numpy()


def ours_on_mlp(core, net, tasks, n_inner_steps):
    """A core for the MLP: ``maml`` and ``lean`` on arrays, ``maml_torch`` on tensors."""
    sizes, inner = (1, 40, 40, 1), {"alpha": ALPHA, "n_inner_steps": n_inner_steps}
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    theta = torch.cat([p.detach().reshape(-1) for w in layers for p in (w.weight.T, w.bias)])
    model, arrays = maml_torch.MLP(sizes), tasks
    if core is not maml_torch:
        model, theta, arrays = MLP(sizes), theta.numpy(), tasks.map(lambda a: a.numpy())

    def call():
        gradient = np.asarray(core.maml_gradient(model, theta, arrays, **inner)[1])
        return torch_order(gradient, sizes)

    return call


def torch_order(theta, sizes):
    """A flat vector with each ``W`` transposed, as ``nn.Linear`` keeps it."""
    parts, start = [], 0
    for n_in, n_out in pairwise(sizes):
        end = start + n_in * n_out
        parts += [theta[start:end].reshape(n_in, n_out).T.ravel(), theta[end : end + n_out]]
        start = end + n_out
    return np.concatenate(parts)


LIBRARIES = {
    "plain PyTorch": plain_pytorch,
    "learn2learn": learn2learn,
    "higher": higher,
    "TorchOpt": torchopt,
    "torch.func": torch_func,
}


def sinusoid(dtype):
    """``(net, loss, objective, tasks)``."""
    torch.manual_seed(0)
    layers = nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)
    tasks = Sinusoids().sample(np.random.default_rng(0), 25, 10, 10)
    tasks = tasks.map(lambda a: torch.tensor(a, dtype=dtype))
    return nn.Sequential(*layers).to(dtype), nn.functional.mse_loss, "mse", tasks


def images(dtype):
    """The same for Conv4."""
    torch.manual_seed(0)
    tasks = random_tasks(4).map(lambda a: a.to(dtype) if a.is_floating_point() else a)
    return conv4().to(dtype), nn.functional.cross_entropy, "cross_entropy", tasks


WORKLOADS = {"sinusoid": sinusoid, "conv4": images}


def methods(workload, dtype, n_inner_steps):
    """Every method that there is for a workload: name to a call that returns the gradient."""
    net, loss, objective, tasks = WORKLOADS[workload](dtype)
    found = {name: partial(f, net, loss, tasks, n_inner_steps) for name, f in LIBRARIES.items()}
    found["maml_torch, any module"] = ours_torch(net, objective, tasks, n_inner_steps)
    if workload == "sinusoid":
        for name, core in (("maml_torch, MLP", maml_torch), ("NumPy", maml), ("NumPy, lean", lean)):
            found[name] = ours_on_mlp(core, net, tasks, n_inner_steps)
        try:
            found["JAX jit"] = jax_method(net, tasks, n_inner_steps)
        except ImportError as error:
            found["JAX jit"] = partial(_missing, error)
    return found


def _missing(error):
    raise error


def disagreements(workload, n_inner_steps):
    """For each method its relative distance from plain PyTorch in float64, or why there is none."""
    answers = {}
    for name, call in methods(workload, torch.float64, n_inner_steps).items():
        try:
            answers[name] = call()
        except ImportError as error:
            answers[name] = f"not installed: {error}"
        except RuntimeError as error:
            answers[name] = f"failed: {error}".splitlines()[0]
    wanted = answers["plain PyTorch"]
    size = np.linalg.norm(wanted)
    return {
        name: a if isinstance(a, str) else float(np.linalg.norm(a - wanted) / size)
        for name, a in answers.items()
    }


def milliseconds(calls, rounds):
    """Medians over rounds in which every method takes its turn, after one call to warm up."""
    record = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            record[name].append(1e3 * (time.perf_counter() - start))
    return {name: float(np.median(times)) for name, times in record.items()}


def compare(workload, n_inner_steps, rounds):
    """One table: per method its distance from plain PyTorch, its time, and the ratio."""
    off = disagreements(workload, n_inner_steps)
    right = [name for name, value in off.items() if not isinstance(value, str) and value < ALIKE]
    calls = {n: c for n, c in methods(workload, torch.float32, n_inner_steps).items() if n in right}
    times = milliseconds(calls, rounds)
    return {
        name: {"off": value, "ms": times.get(name), "ratio": _ratio(times, name)}
        for name, value in off.items()
    }


def _ratio(times, name):
    return times["plain PyTorch"] / times[name] if name in times else None


def show(table):
    """Print a table."""
    for name, row in table.items():
        if isinstance(row["off"], str):
            print(f"  {name:24s} left out: {row['off']}")
        elif row["ms"] is None:
            print(f"  {name:24s} not timed: its gradient is off by {row['off']:.0e}")
        else:
            print(
                f"  {name:24s} {row['ms']:9.2f} ms  {row['ratio']:6.1f} x  off by {row['off']:.0e}"
            )


def only_algorithms():
    """Make learn2learn's MAML importable where the package as a whole is not.

    To install it whole, a data loader has to be compiled, which today's Python refuses.
    """
    for name in ("learn2learn", "learn2learn.algorithms"):
        for folder in sys.path:
            path = Path(folder, *name.split("."))
            if path.is_dir() and name not in sys.modules:
                package = types.ModuleType(name)
                package.__path__ = [str(path)]
                sys.modules[name] = package


def versions():
    """What was measured, on what."""
    names = ("torch", "numpy", "learn2learn", "higher", "torchopt", "jax")
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "source" if name in sys.modules else None
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    return {
        "versions": found,
        "python": platform.python_version(),
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "commit": commit.stdout.strip(),
        "command": "python " + " ".join(sys.argv),
    }


def main():
    """Check, time, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    only_algorithms()
    results = {"about": versions(), "tables": {}}
    for workload in options.only:
        for n_inner_steps in (1, 5):
            print(f"{workload}, K = {n_inner_steps}")
            table = compare(workload, n_inner_steps, options.rounds)
            results["tables"][f"{workload}, K = {n_inner_steps}"] = table
            show(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
