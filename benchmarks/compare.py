"""The exact meta-gradient here and in other libraries: the same number, and how long it takes.

Usage: make bench, or python benchmarks/compare.py [--rounds 11] [--only sinusoid] [--device cuda]
Peers are used where they are installed; `make bench` puts them into an environment of their own.

sinusoid   MLP 1-40-40-1 with ReLU, 25 tasks, 10 support and 10 query points
conv4      four convolutions of 64 filters with BatchNorm, 28 x 28 pixels, 4 tasks of 5-way 1-shot
           with 15 queries a class
lstm       a recurrent layer of 16 units over 12 points of a sequence, 8 tasks of 4-way 1-shot
           with 2 queries a class
encoder    one transformer encoder layer of width 16 over 6 points, the same tasks
conv4x32   conv4 with 32 tasks; only measured if asked for

Before anything is timed, every method's gradient in float64 is compared with plain PyTorch; one
that is off by more than 1e-8 is reported and not timed. Then float32, one thread, rounds in which
every method takes its turn, of 50 ms or one call, and medians. For the encoder every library gets
PyTorch's attention kernel that can be differentiated twice; this package asks for it itself. Writes
maml_teach/data/compare.json, or compare_cuda.json.
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
from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from memory import conv4, random_tasks
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from maml_teach import lean, maml, maml_torch
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids, Task

RESULTS = Path(__file__).parents[1] / "maml_teach" / "data"
ALPHA = 0.01
ALIKE = 1e-8
TURN = 0.05  # seconds
SIZES = (1, 40, 40, 1)  # of the sinusoid's network


def flat(gradients):
    """One vector from a list of gradients, as NumPy."""
    return torch.cat([g.reshape(-1) for g in gradients]).detach().cpu().numpy()


def plain_pytorch(net, loss, tasks, n_inner_steps, exact=True):
    """Autograd through the inner loop, task by task, with nothing but PyTorch."""
    parameters = dict(net.named_parameters())
    total = 0.0
    for t in range(tasks.n_tasks):
        task, theta = tasks.select(t), parameters
        for _ in range(n_inner_steps):
            support = loss(torch.func.functional_call(net, theta, task.x_support), task.y_support)
            gradients = torch.autograd.grad(support, list(theta.values()), create_graph=exact)
            moves = zip(theta.items(), gradients, strict=True)
            theta = {name: value - ALPHA * g for (name, value), g in moves}
        total = total + loss(torch.func.functional_call(net, theta, task.x_query), task.y_query)
    return flat(torch.autograd.grad(total / tasks.n_tasks, list(parameters.values())))


def learn2learn(net, loss, tasks, n_inner_steps, exact=True):
    """The clone and adapt of learn2learn."""
    from learn2learn.algorithms.maml import MAML

    learner = MAML(net, lr=ALPHA, first_order=not exact)
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


def jax_methods(net, tasks, n_inner_steps):
    """JAX on the MLP, jit over all tasks: the gradient of the unrolled loop, and the walk back.

    Returns name to call; a call compiles at its first use.
    """
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"  # one thread, as the others
    import jax

    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy

    def one_loss(theta, x, y):
        for W, b in theta[:-1]:
            x = jnp.maximum(x @ W + b, 0)
        return jnp.mean((x @ theta[-1][0] + theta[-1][1] - y) ** 2)

    def minus(theta, move):
        return jax.tree.map(lambda value, g: value - ALPHA * g, theta, move)

    def path(theta, x, y):
        thetas = [theta]
        for _ in range(n_inner_steps):
            thetas.append(minus(thetas[-1], jax.grad(one_loss)(thetas[-1], x, y)))
        return thetas

    def query_loss(theta, x_support, y_support, x_query, y_query):
        return one_loss(path(theta, x_support, y_support)[-1], x_query, y_query)

    def walk_back(theta, x_support, y_support, x_query, y_query):
        *thetas, theta_prime = path(theta, x_support, y_support)
        v = jax.grad(one_loss)(theta_prime, x_query, y_query)
        for theta_k in reversed(thetas):
            slope = partial(jax.grad(one_loss), x=x_support, y=y_support)
            v = minus(v, jax.jvp(slope, (theta_k,), (v,))[1])
        return v

    linear = [layer for layer in net if isinstance(layer, nn.Linear)]
    theta = [tuple(jnp.array(p.detach().numpy().T) for p in (w.weight, w.bias)) for w in linear]
    names = "x_support", "y_support", "x_query", "y_query"
    arrays = [jnp.array(getattr(tasks, name).numpy()) for name in names]

    def over_tasks(each):
        every = jax.vmap(each, (None, 0, 0, 0, 0))
        return jax.jit(lambda *args: jax.tree.map(lambda g: g.mean(axis=0), every(*args)))

    def call(compiled):
        layers = jax.block_until_ready(compiled(theta, *arrays))
        return np.concatenate([np.ravel(part) for layer in layers for part in layer])[order]

    order = torch_order(SIZES)
    each = {"JAX jit": jax.grad(query_loss), "JAX jit, walk back": walk_back}
    return {name: partial(call, over_tasks(gradient)) for name, gradient in each.items()}


def ours_torch(gradient, wrap, net, objective, tasks, n_inner_steps):
    """A gradient of ``maml_torch`` for any module, wrapped by ``wrap``."""
    model = wrap(net, objective)
    theta, inner = model.theta(), {"alpha": ALPHA, "n_inner_steps": n_inner_steps}
    return lambda: gradient(model, theta, tasks, **inner)[1].cpu().numpy()


def ours_on_mlp(core, net, tasks, n_inner_steps):
    """A core for the MLP: ``maml`` and ``lean`` on arrays, ``maml_torch`` on tensors."""
    inner, order = {"alpha": ALPHA, "n_inner_steps": n_inner_steps}, torch_order(SIZES)
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    theta = torch.cat([p.detach().reshape(-1) for w in layers for p in (w.weight.T, w.bias)])
    model, arrays = maml_torch.MLP(SIZES), tasks
    if core is not maml_torch:
        model, theta, arrays = MLP(SIZES), theta.cpu().numpy(), tasks.map(lambda a: a.cpu().numpy())

    def call():
        gradient = core.maml_gradient(model, theta, arrays, **inner)[1]
        return np.asarray(gradient.cpu() if core is maml_torch else gradient)[order]

    return call


def torch_order(sizes):
    """Where each number of a ``theta`` in the order of ``nn.Linear`` stands in ours."""
    parts, start = [], 0
    for n_in, n_out in pairwise(sizes):
        end = start + n_in * n_out
        parts += [np.arange(start, end).reshape(n_in, n_out).T.ravel(), end + np.arange(n_out)]
        start = end + n_out
    return np.concatenate(parts)


LIBRARIES = {
    "plain PyTorch": plain_pytorch,
    "learn2learn": learn2learn,
    "higher": higher,
    "TorchOpt": torchopt,
    "torch.func": torch_func,
}


def sinusoid(dtype, device):
    """``(net, loss, objective, tasks)``."""
    torch.manual_seed(0)
    layers = nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)
    tasks = Sinusoids().sample(np.random.default_rng(0), 25, 10, 10)
    tasks = tasks.map(lambda a: torch.tensor(a, dtype=dtype, device=device))
    return nn.Sequential(*layers).to(device, dtype), nn.functional.mse_loss, "mse", tasks


def images(dtype, device, n_tasks=4):
    """The same for Conv4."""
    torch.manual_seed(0)
    tasks = random_tasks(n_tasks).map(lambda a: a.to(device))
    tasks = tasks.map(lambda a: a.to(dtype) if a.is_floating_point() else a)
    return conv4().to(device, dtype), nn.functional.cross_entropy, "cross_entropy", tasks


class Written(nn.Module):
    """The network of the sinusoid as a class of one's own."""

    def __init__(self, net):
        super().__init__()
        self.first, self.second, self.last = (part for part in net if isinstance(part, nn.Linear))

    def forward(self, x):
        """Three layers with ReLU between them."""
        return self.last(torch.relu(self.second(torch.relu(self.first(x)))))


def written(net, objective):
    """``from_module`` of a class of one's own."""
    return maml_torch.from_module(Written(net), objective)


class Recurrent(nn.Module):
    """Classes of sequences by the last output of an LSTM."""

    def __init__(self):
        super().__init__()
        self.layer, self.out = nn.LSTM(3, 16, batch_first=True), nn.Linear(16, 4)

    def forward(self, x):
        """Scores of four classes."""
        return self.out(self.layer(x)[0][:, -1])


class Encoder(nn.Module):
    """Classes of sequences by one transformer encoder layer."""

    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Linear(3, 16), nn.Linear(16, 4)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)

    def forward(self, x):
        """Scores of four classes."""
        return self.out(self.layer(self.embed(x)).mean(1))


def sequences(make, length, dtype, device):
    """The same for sequences of three numbers."""
    torch.manual_seed(0)
    net, parts = make().to(device, dtype), []
    for n_each in (1, 2):
        parts.append(torch.randn(8, 4 * n_each, length, 3, dtype=dtype, device=device))
        parts.append(torch.arange(4, device=device).repeat(8, n_each))
    return net, nn.functional.cross_entropy, "cross_entropy", Task(*parts)


WORKLOADS = {
    "sinusoid": sinusoid,
    "conv4": images,
    "lstm": partial(sequences, Recurrent, 12),
    "encoder": partial(sequences, Encoder, 6),
    "conv4x32": partial(images, n_tasks=32),
}
WRAPS = {
    "maml_torch, from_module": maml_torch.from_module,
    "maml_torch, all at once": maml_torch.from_module_all_at_once,
}


def first_order_methods(workload, dtype, n_inner_steps, device):
    """The same for FOMAML, where a library has it."""
    net, loss, objective, tasks = WORKLOADS[workload](dtype, device)
    rest = (tasks, n_inner_steps)
    return {
        "plain PyTorch": partial(plain_pytorch, net, loss, *rest, exact=False),
        "learn2learn": partial(learn2learn, net, loss, *rest, exact=False),
        **{
            name: ours_torch(maml_torch.fomaml_gradient, wrap, net, objective, *rest)
            for name, wrap in WRAPS.items()
        },
    }


def methods(workload, dtype, n_inner_steps, device):
    """Every method that there is for a workload: name to a call that returns the gradient."""
    net, loss, objective, tasks = WORKLOADS[workload](dtype, device)
    found = {name: partial(f, net, loss, tasks, n_inner_steps) for name, f in LIBRARIES.items()}
    for name, wrap in WRAPS.items():
        found[name] = ours_torch(
            maml_torch.maml_gradient, wrap, net, objective, tasks, n_inner_steps
        )
    if workload == "sinusoid":
        found["maml_torch, a class"] = ours_torch(
            maml_torch.maml_gradient, written, net, objective, tasks, n_inner_steps
        )
        for name, core in (("maml_torch, MLP", maml_torch), ("NumPy", maml), ("NumPy, lean", lean)):
            found[name] = ours_on_mlp(core, net, tasks, n_inner_steps)
    if workload == "sinusoid" and device == "cpu":
        try:
            found |= jax_methods(net, tasks, n_inner_steps)
        except ImportError as error:
            found["JAX jit"] = partial(_missing, error)
    return found


def _missing(error):
    raise error


def disagreements(calls):
    """For each method its relative distance from plain PyTorch, or why there is none."""
    answers = {}
    for name, call in calls.items():
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
    """Medians over rounds in which every method takes its turn, after one call to warm up.

    A turn is as many calls as fit in ``TURN``, and counts as their mean: the first of them pays
    for what the other methods have left in the processor's caches.
    """
    record = {name: [] for name in calls}
    n_calls = {name: max(1, round(TURN / _seconds(call, 3))) for name, call in calls.items()}
    for _ in range(rounds):
        for name, call in calls.items():
            record[name].append(1e3 * _seconds(call, n_calls[name]))
    return {name: float(np.median(times)) for name, times in record.items()}


def _seconds(call, n_calls):
    start = time.perf_counter()
    for _ in range(n_calls):
        call()
    return (time.perf_counter() - start) / n_calls


def compare(methods_of, rounds):
    """One table: per method its distance from plain PyTorch, its time, and the ratio.

    ``methods_of`` makes the calls for a dtype: float64 to compare answers, float32 to time.
    """
    off = disagreements(methods_of(torch.float64))
    right = [name for name, value in off.items() if not isinstance(value, str) and value < ALIKE]
    calls = {name: call for name, call in methods_of(torch.float32).items() if name in right}
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


def versions(device):
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
        "device": torch.cuda.get_device_name() if device == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "commit": commit.stdout.strip(),
        "command": "python " + " ".join(sys.argv),
    }


def main():
    """Check, time, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS)[:4])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    only_algorithms()
    results = {"about": versions(options.device), "tables": {}}
    for workload in options.only:
        for name, make in (("", methods), (", first order", first_order_methods)):
            for k in (1, 5):
                title = f"{workload}, K = {k}{name}"
                print(title)
                methods_of = partial(make, workload, n_inner_steps=k, device=options.device)
                with sdpa_kernel(SDPBackend.MATH) if make is methods else nullcontext():
                    results["tables"][title] = compare(methods_of, options.rounds)
                show(results["tables"][title])
    name = "compare.json" if options.device == "cpu" else f"compare_{options.device}.json"
    (RESULTS / name).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
