"""Train and judge the few-shot image classifiers of the book.

    OMP_NUM_THREADS=1 python scripts/train_images.py          # about 75 minutes on one CPU core

For each seed MAML, ANIL, ProtoNet and a classifier of all training classes are trained on the
glyphs of the training scripts, in 5-way 1-shot episodes; runs are kept in _artifacts/ and go on
where they stopped. Inner rates and steps for testing are chosen on episodes of the training
scripts. All methods are then judged on the same tasks, 5-way with 1 and 5 shots, of the test
scripts and of scikit-learn's handwritten digits, each query picture by itself. Counts of every task
and seed, and the MAML start of the first seed for the page, go to maml_teach/data/images.npz.
"""

import json
from functools import partial

import numpy as np
import torch
from artifacts import add_to, arguments, seconds_a_step, train_in_stages, training_seconds
from tqdm import tqdm

from maml_teach import maml_torch
from maml_teach.applications.images import FewShotImages, digits, glyphs
from maml_teach.applications.images_torch import (
    correct_after,
    correct_by_means,
    cosine_distance,
    protonet_gradient,
    squared_distance,
    wrapped,
)
from maml_teach.tasks import Task
from maml_teach.train import MetaConfig

CONFIG = {
    "made_by": "scripts/train_images.py",
    "seeds": [0, 1, 2],
    "alpha": 0.4,
    "n_tasks": 4,
    "n_queries": 5,
    "stages": [[2e-3, 0.6], [6e-4, 0.25], [2e-4, 0.15]],  # outer rate, share of the steps
    # As many as take the same time on one core: see ``seconds`` in the file of results.
    "n_meta_steps": {"maml": 3000, "anil": 3000, "protonet": 6000, "joint": 6000},
    "joint_batch": 128,
    "embedding": 64,
    "test": {"n_tasks": 200, "seed": 12345},
    "choice": {"n_tasks": 20, "seed": 54321},
    "rates": [0.03, 0.1, 0.3, 1.0],
    "steps": [1, 5, 20],
    "rates_shown": [0.02, 0.1, 0.4, 4.0],
}
# Settings small enough for a test of the script itself.
QUICK = {
    **CONFIG,
    "n_meta_steps": dict.fromkeys(CONFIG["n_meta_steps"], 4),
    "seeds": [0],
    "test": {"n_tasks": 2, "seed": 12345},
    "choice": {"n_tasks": 2, "seed": 54321},
    "rates": [0.1],
    "steps": [1, 3],
}
SETTINGS = {"5w1s": (5, 1), "5w5s": (5, 5)}  # ways and shots
DISTANCES = {"protonet": squared_distance, "joint": cosine_distance}
ADAPTING = ("maml", "anil", "finetuned", "scratch")


class AllClasses:
    """Not episodes but one batch of pictures, labelled with their class among all: for ``joint``.

    The support set is not used.
    """

    def __init__(self, episodes, n_pictures):
        self.episodes, self.n_pictures = episodes, n_pictures

    def sample(self, rng, n_tasks, n_shots, n_queries):
        """One task of ``n_pictures`` pictures."""
        del n_tasks, n_shots, n_queries
        labels = rng.integers(len(self.episodes.classes) * 4, size=(1, self.n_pictures))
        x = self.episodes.pictures(rng, labels[0], 1)[None, :, None]
        return Task(x, labels, x, labels)


def head_only(model, alpha):
    """The inner rate for the last layer, and none below."""
    return maml_torch.rates_by_name(model.module, {"13": alpha})


def anil_gradient(model, theta, tasks, *, alpha, n_inner_steps):
    """MAML with a rate for the head only."""
    how = {"alpha": head_only(model, alpha), "n_inner_steps": n_inner_steps}
    return maml_torch.maml_gradient(model, theta, tasks, **how)


def recipe(name, config):
    """``(n_out, gradient, family)`` of a method."""
    episodes = FewShotImages(glyphs("train"), turn_classes=True)
    if name == "joint":
        every = AllClasses(episodes, config["joint_batch"])
        return 4 * len(episodes.classes), maml_torch.joint_gradient, every
    if name == "protonet":
        return config["embedding"], protonet_gradient, episodes
    return 5, anil_gradient if name == "anil" else maml_torch.maml_gradient, episodes


def train(name, seed, config, folder):
    """Parameters of a method trained from ``seed``; goes on from the file if there is one."""
    n_out, gradient, family = recipe(name, config)
    model, theta = wrapped(n_out, seed)
    settings = {key: config[key] for key in ("alpha", "n_tasks", "n_queries")}
    settings = MetaConfig(n_meta_steps=config["n_meta_steps"][name], n_shots=1, **settings)
    rng, file = np.random.default_rng(seed), folder / f"{name}_{seed}.npz"
    how = {"rng": rng, "file": file, "gradient": gradient, "every": 250}
    return train_in_stages(model, theta, family, settings, config["stages"], **how)


def tasks_of(classes, setting, what, *, vary=1.0):
    """The same tasks for every method."""
    ways, shots = SETTINGS[setting]
    rng = np.random.default_rng(what["seed"])
    return FewShotImages(classes, ways, vary=vary).sample(rng, what["n_tasks"], shots, 5)


def pixels(tasks):
    """Nearest class mean of the raw pictures: right answers, ``(n_tasks,)``."""
    theta = torch.zeros(1)
    flat = maml_torch.from_module(Flat(), "cross_entropy")
    return correct_by_means(flat, theta, tasks, squared_distance)


class Flat(torch.nn.Module):
    """The picture itself as a vector."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        """``(n, 784)``."""
        return x.flatten(1)


def features(model, theta):
    """The network without its last layer, and the parameters of that."""
    below = maml_torch.from_module(model.module[:-1], "cross_entropy")
    return below, theta[: below.n_params]


def correct_by(name, model, theta, tasks, alpha, steps):
    """Right answers of a method that adapts, after each number of steps."""
    rates = head_only(model, alpha) if name == "anil" else alpha
    return correct_after(model, theta, tasks, alpha=rates, steps=steps)


def choose(name, model, theta, tasks, config):
    """The inner rate and number of steps that do best on the tasks, of those in config."""
    table = [
        correct_by(name, model, theta, tasks, alpha, config["steps"]).mean(axis=1)
        for alpha in config["rates"]
    ]
    i, j = np.unravel_index(np.argmax(table), np.shape(table))
    return config["rates"][i], config["steps"][j]


def start_of(name, thetas, seed, config):
    """Model and parameters that a method is tested with."""
    model, theta = wrapped(recipe(name, config)[0], seed)
    if name == "joint":  # its features, not its classes
        return features(model, thetas[name])
    if name == "finetuned":  # the features of joint, with a new head
        n_head = 5 * 129
        theta = torch.cat([thetas["joint"][: theta.numel() - n_head], theta[-n_head:]])
    elif name != "scratch":
        theta = thetas[name]
    return model, theta


def judge(name, setting, tests, thetas, seed, config):
    """Right answers ``(n_tasks,)`` of a method per test set, and its inner loop if it has one."""
    model, theta = start_of(name, thetas, seed, config)
    if name in DISTANCES:
        distance = DISTANCES[name]
        return {k: correct_by_means(model, theta, t, distance) for k, t in tests.items()}, None
    tasks = tasks_of(glyphs("train"), setting, config["choice"])
    alpha, n = choose(name, model, theta, tasks, config)
    return {k: correct_by(name, model, theta, t, alpha, [n])[0] for k, t in tests.items()}, [
        alpha,
        n,
    ]


def judge_all(thetas, seed, config, folder):
    """For ``method setting test-set`` the right answers of one seed, and the inner loops.

    They are kept in a file, as the trained runs are.
    """
    file = folder / f"judged_{seed}.npz"
    if file.exists():
        with np.load(file) as kept:
            counts = dict(kept)
        return counts, json.loads(str(counts.pop("inner")))
    counts, inner = {}, {}
    for setting in SETTINGS:
        tests = {
            "glyphs": tasks_of(glyphs("test"), setting, config["test"]),
            "digits": tasks_of(digits(), setting, config["test"], vary=0.0),
        }
        for name in tqdm([*ADAPTING, *DISTANCES], desc=f"seed {seed}, {setting}"):
            right, chosen = judge(name, setting, tests, thetas, seed, config)
            inner[f"{name} {setting}"] = chosen
            counts |= {f"{name} {setting} {test}": n for test, n in right.items()}
        counts |= {f"pixels {setting} {test}": pixels(tasks) for test, tasks in tests.items()}
    np.savez(file, inner=json.dumps(inner), **counts)
    return counts, inner


def by_rate(theta, seed, config):
    """Right answers after 0 to 10 steps at several inner rates, ``(n_rates, 11, n_tasks)``."""
    model, _ = wrapped(5, seed)
    tasks = tasks_of(glyphs("test"), "5w1s", config["test"])
    steps = range(11)
    return [correct_after(model, theta, tasks, alpha=a, steps=steps) for a in config["rates_shown"]]


def costs(seed, config, inner):
    """What each method costs on this machine, from calls in turns, untrained as it is.

    ``seconds`` of the whole training, and ``milliseconds`` to learn five characters from one
    example each and to name 25 pictures, with the inner loop that was chosen.
    """
    sizes = (np.random.default_rng(0), config["n_tasks"], 1, config["n_queries"])
    methods = {}
    for name in config["n_meta_steps"]:
        n_out, gradient, family = recipe(name, config)
        methods[name] = gradient, wrapped(n_out, seed), partial(family.sample, *sizes)
    thetas = {name: start[1] for name, (_, start, _) in methods.items()}
    took = training_seconds(methods, config["n_meta_steps"], alpha=config["alpha"], n_inner_steps=1)
    uses = {}
    one = tasks_of(glyphs("test"), "5w1s", {**config["test"], "n_tasks": 1})
    for name in (*ADAPTING, *DISTANCES):
        model, theta = start_of(name, thetas, seed, config)
        if name in DISTANCES:
            use = partial(correct_by_means, model, theta, one, DISTANCES[name])
        else:
            alpha, n = inner[f"{name} 5w1s"]
            use = partial(correct_by, name, model, theta, one, alpha, [n])
        uses[name] = use
    return {
        "seconds": took,
        "milliseconds": {name: 1000 * value for name, value in seconds_a_step(uses).items()},
    }


def example_sets(classes, n_sets=8, seed=7):
    """What Draw it shows first: five characters and another picture of one of them, and which."""
    rng = np.random.default_rng(seed)
    tasks = FewShotImages(classes, 5, vary=0.7).sample(rng, n_sets, 1, 1)
    truths = rng.integers(5, size=n_sets)
    asked = tasks.x_query[np.arange(n_sets), truths]
    return np.uint8(255 * np.concatenate([tasks.x_support[:, :, 0], asked], axis=1)), truths


def main():
    """Train, judge and write."""
    purpose = "only what the methods cost on this machine, into the file as it is"
    asked = arguments(__doc__.splitlines()[0], "images", costs=purpose)
    folder, target, config = asked.folder, asked.target, QUICK if asked.quick else CONFIG
    if asked.costs:
        inner = json.loads(str(np.load(target)["inner"]))[0]
        return add_to(target, {"costs": json.dumps(costs(config["seeds"][0], config, inner))})
    names = config["n_meta_steps"]
    thetas = {
        seed: {name: train(name, seed, config, folder) for name in names}
        for seed in config["seeds"]
    }
    results = [judge_all(thetas[seed], seed, config, folder) for seed in config["seeds"]]
    counts = {key: np.uint8([right[key] for right, _ in results]) for key in results[0][0]}
    first = config["seeds"][0]
    examples, truths = example_sets(glyphs("test"))
    np.savez_compressed(
        target,
        config=json.dumps(config),
        inner=json.dumps([inner for _, inner in results]),
        costs=json.dumps(costs(first, config, results[0][1])),
        maml=thetas[first]["maml"].numpy().astype(np.float16),
        examples=examples,
        truths=truths,
        by_rate=np.uint8(by_rate(thetas[first]["maml"], first, config)),
        **counts,
    )
    for key, right in counts.items():
        print(f"{key:28s}", (right / 25).mean(axis=1).round(3).tolist())


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
