"""What installs today, and whether its meta-gradient is exact: each library in a fresh environment.

Usage: python benchmarks/try_libraries.py; ten minutes, with a network.

For each library: `pip install`, an import, and two inner SGD steps on a 1-16-1 tanh network with
four tasks. Its meta-gradient is compared in float64 with autograd through a plain loop; that of JAX
with the derivatives by hand in NumPy, and easyfsl, which has no MAML, with prototypes by hand.
Where a library as a whole does not install or import, the files of its MAML alone are tried.
Last releases are those of the index. Writes maml_teach/data/libraries.json.
"""

import json
import platform
import re
import subprocess
import sys
import tempfile
import types
import venv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = ("learn2learn", "higher", "torchopt", "torchmeta", "easyfsl", "jax", "maml_teach")
SEED, N_STEPS, LIMIT = 0, 2, 600  # LIMIT: seconds for one command
TORCH = "torch==2.13.0"
ALONE = {  # how to get the files of MAML, and the packages whose own start is left out
    "learn2learn": ([f"{ROOT}/benchmarks/install_peers.py"], ["", ".algorithms"]),
    "torchmeta": (["-m", "pip", "install", "--no-deps", "torchmeta"], ["", ".utils"]),
}
TELLING = (r"fatal error: .*", r"(?m)^\w+Error: .*", r"(?m)^(?:ERROR|error): .*")


def torchmeta(net, loss, tasks, n_inner_steps):
    """Torchmeta's modules, which take their parameters as an argument."""
    import compare
    import torch
    from torchmeta.modules import MetaLinear, MetaSequential
    from torchmeta.utils.gradient_based import gradient_update_parameters

    meta = MetaSequential(MetaLinear(1, 16), torch.nn.Tanh(), MetaLinear(16, 1)).double()
    meta.load_state_dict(net.state_dict())
    total = 0.0
    for t in range(tasks.n_tasks):
        task, theta = tasks.select(t), None
        for _ in range(n_inner_steps):
            support = loss(meta(task.x_support, params=theta), task.y_support)
            theta = gradient_update_parameters(meta, support, theta, step_size=compare.ALPHA)
        total = total + loss(meta(task.x_query, params=theta), task.y_query)
    return compare.flat(torch.autograd.grad(total / tasks.n_tasks, list(meta.parameters())))


def jax():
    """``jax.grad`` of ``jax.lax.scan`` over steps of optax, and the same in NumPy by hand."""
    import jax
    import numpy as np
    import optax

    from maml_teach import maml, mlp, tasks

    jax.config.update("jax_enable_x64", True)
    rng, model, sgd = np.random.default_rng(SEED), mlp.MLP((1, 16, 1), "tanh"), optax.sgd(0.01)
    theta, batch = model.init(rng), tasks.Sinusoids().sample(rng, 4, 10, 10)

    def loss(theta, x, y):
        W, b, V, c = theta[:16], theta[16:32], theta[32:48, None], theta[48:]
        return jax.numpy.mean((jax.numpy.tanh(x * W + b) @ V + c - y) ** 2)

    def query_loss(theta, x_support, y_support, x_query, y_query):
        def step(theta, _):
            gradient = jax.grad(loss)(theta, x_support, y_support)
            return optax.apply_updates(theta, sgd.update(gradient, sgd.init(theta))[0]), None

        return loss(jax.lax.scan(step, theta, length=N_STEPS)[0], x_query, y_query)

    each = jax.vmap(jax.grad(query_loss), (None, 0, 0, 0, 0))(theta, *vars(batch).values())
    wanted = maml.maml_gradient(model, theta, batch, alpha=0.01, n_inner_steps=N_STEPS)[1]
    return {"error": distance(np.asarray(each).mean(axis=0), wanted)}


def easyfsl():
    """Raises if the scores are not the distances to the mean of each class, with a minus."""
    import torch
    from easyfsl.methods import PrototypicalNetworks

    support, query = torch.arange(80.0).reshape(10, 8).sin(), torch.arange(48.0).reshape(6, 8).cos()
    learner, labels = PrototypicalNetworks(torch.nn.Identity()), torch.arange(10) % 5
    learner.process_support_set(support, labels)
    means = torch.stack([support[labels == way].mean(dim=0) for way in range(5)])
    torch.testing.assert_close(learner(query), -(query[:, None] - means).norm(dim=2))
    return {}


def distance(got, wanted):
    """How far apart two arrays are, relative to the second."""
    return float(((got - wanted) ** 2).sum() ** 0.5 / (wanted**2).sum() ** 0.5)


def in_torch(name):
    """Errors of a library's gradient, and for scale of one without second derivatives."""
    import compare

    compare.torch.manual_seed(SEED)
    nn, core, rng = compare.nn, compare.maml_torch, compare.np.random.default_rng(SEED)
    net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    tasks = compare.Sinusoids().sample(rng, 4, 10, 10).map(compare.torch.tensor)
    given = net, nn.functional.mse_loss, tasks, N_STEPS
    wanted, first = (compare.plain_pytorch(*given, exact) for exact in (True, False))
    ours = compare.ours_torch(core.maml_gradient, core.from_module, net, "mse", tasks, N_STEPS)
    method = {"torchmeta": torchmeta, "maml_teach": lambda *_: ours()}.get(name)
    found = (method or getattr(compare, name))(*given)
    return {"error": distance(found, wanted), "first order": distance(first, wanted)}


def trial(name, alone=""):
    """One library, inside of its environment; alone: without what it imports at its start."""
    for package in [name + part for part in (ALONE[name][1] if alone else [])]:
        places = [Path(folder, *package.split(".")) for folder in sys.path]
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = [str(place) for place in places if place.is_dir()]
    special = {"jax": jax, "easyfsl": easyfsl}
    print(json.dumps(special[name]() if name in special else in_torch(name)))


def run(*command):
    """Whether a command did its work, and what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return False, f"TimeoutError: no end within {LIMIT} s"
    return done.returncode == 0, f"{done.stdout}\n{done.stderr}".strip()


def reason(said):
    """The last line that names the fault, without places on this machine or in the network."""
    found = next((lines[-1] for kind in TELLING if (lines := re.findall(kind, said))), "unknown")
    return re.sub(r"ERROR: |(: for help visit)? \(?(\w+:/)?/\S+", "", found).strip()


def newest(pip, name, before):
    """The highest version on the index before a day, or nothing."""
    asked = "index", "versions", name, "--json", "--ignore-requires-python"
    good, said = run(*pip, *asked, "--uploaded-prior-to", f"{before}T00:00:00Z")
    return re.search(r'"latest": "([^"]+)"', said)[1] if good else None


def last_release(pip, name):
    """Version and day of the last release: halve the time until only one day is left."""
    low, high = date(2015, 1, 1), datetime.now(UTC).date() + timedelta(1)
    last = newest(pip, name, high)
    if last is None or newest(pip, name, low) == last:
        return {"last": last, "released": None}
    while high - low > timedelta(1):
        middle = low + (high - low) // 2
        low, high = (low, middle) if newest(pip, name, middle) == last else (middle, high)
    return {"last": last, "released": str(low)}


def try_one(name, wheel, folder):
    """The row of one library; ``wheel`` is this project, ``folder`` is for the environment."""
    venv.create(folder, with_pip=True)
    pip = (python := f"{folder}/bin/python"), "-m", "pip"
    run(*pip, "install", "--upgrade", "pip")
    wanted = {"jax": ["jax", "optax"], "maml_teach": [wheel, TORCH], "easyfsl": ["easyfsl"]}
    wanted = wanted.get(name, [name, TORCH])  # easyfsl's torchvision chooses its own torch
    installs, said = run(*pip, "install", *wanted)
    imports, why = run(python, "-c", f"import {name}") if installs else (False, said)
    found = f"from importlib.metadata import version; print(version({name!r}))"
    version = run(python, "-c", found)[1] if installs else None
    row = {"version": version, "installs": installs, "imports": imports, "alone": False}
    row |= {"error": None, "reason": None if imports else reason(why)}
    run(*pip, "install", wheel, *[TORCH] * (TORCH in wanted))  # to compare with
    if not imports and name in ALONE:
        row["alone"], _ = run(python, *ALONE[name][0])
    if imports or row["alone"]:
        good, said = run(python, __file__, name, *["alone"] * row["alone"])
        row |= json.loads(said.splitlines()[-1]) if good else {"reason": reason(said)}
    return row | (last_release(pip, name) if name != "maml_teach" else {})


def main():
    """Try each, print and write."""
    about = {"date": str(date.today()), "python": platform.python_version(), "torch": TORCH}
    about |= {"seed": SEED, "inner steps": N_STEPS, "command": f"python {' '.join(sys.argv)}"}
    results = {"about": about, "rows": {}}
    with tempfile.TemporaryDirectory() as place:
        run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", place, f"git+file://{ROOT}")
        wheel = str(next(Path(place).glob("*.whl")))
        for name in NAMES:
            results["rows"][name] = try_one(name, wheel, f"{place}/{name}")
            print(name, results["rows"][name], flush=True)
        text = json.dumps(results, indent=1) + "\n"
        (ROOT / "maml_teach" / "data" / "libraries.json").write_text(text)


if __name__ == "__main__":
    trial(*sys.argv[1:]) if sys.argv[1:] else main()
