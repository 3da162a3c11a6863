"""Train and judge the language classifiers of the book.

    OMP_NUM_THREADS=1 python scripts/train_language.py          # about 45 minutes on one CPU core

The names come from Unicode CLDR by way of babel. For each seed MAML, FOMAML, ANIL, ProtoNet and a
classifier of all training languages ("joint") are trained, and MAML again on fewer languages; runs
are kept in _artifacts/ and go on where they stopped. Inner rates and steps for testing are chosen
for each method on languages that are neither trained nor tested on. Then all methods judge the
same tasks of the test languages, and tasks of the half of them that is closest to a language of the
training ("near"), and of the other half ("far"). Counts of every task and seed, the MAML start of
the first seed, and some names of every language for the page go to maml_teach/data/language.npz.
"""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from artifacts import add_to, arguments, settings_of, train_in_stages, training_seconds
from tqdm import tqdm

from maml_teach import lean, maml, maml_torch
from maml_teach.applications.images_torch import (
    correct_by_means,
    cosine_distance,
    protonet_gradient,
    squared_distance,
)
from maml_teach.applications.language import (
    MODEL,
    N_BUCKETS,
    WhichLanguage,
    distinct_languages,
    language_name,
    nearest_centroid,
    nearest_whitened,
    relatives,
    whitening,
)
from maml_teach.mlp import MLP
from maml_teach.tasks import Task

CONFIG = {
    "made_by": "scripts/train_language.py",
    "seeds": [0, 1, 2],
    # Test and choice languages are drawn at random. Of the first few draws this one was taken
    # because readers may know many of its test languages; no result was looked at.
    # Features and rates had been settled before, on another draw; some of its test languages
    # are test languages here too.
    "split": {"seed": 2, "n_test": 30, "n_choice": 15},
    "n_names": 400,  # of a language at most
    "n_names_shown": 60,  # of each language, for the page
    # The best on the choice languages. MAML: 0.3, 1, 2 and 3 were tried, FOMAML: 0.1, 0.3 and 1,
    # ANIL: 0.3, 1, 3 and 10. ProtoNet and joint have no inner loop to use it.
    "alpha": {"maml": 1.0, "fomaml": 0.3, "anil": 3.0, "protonet": 1.0, "joint": 1.0},
    "n_inner_steps": 2,
    "n_tasks": 8,
    "n_shots": 1,
    "n_queries": 5,
    "stages": [[1e-3, 0.7], [3e-4, 0.3]],  # outer rate, share of the steps
    # The episodes take about the same time on one core, ANIL half as long again; joint could have
    # 5800 steps in that time. It has as many as are best of those tried, see ``tried_joint``.
    "n_meta_steps": {"maml": 2000, "fomaml": 2000, "anil": 2000, "protonet": 2000, "joint": 2000},
    "joint_steps": [1000, 2000, 3000, 5800],
    "joint_batch": 128,
    "embedding": 64,
    "n_train_languages": [8, 20, 50],
    "test": {"n_tasks": 200, "seed": 12345, "n_queries": 10},
    "choice": {"n_tasks": 40, "seed": 54321, "n_queries": 10},
    "rates": [0.03, 0.1, 0.3, 1.0, 3.0, 10.0],
    "steps": [1, 2, 5, 10, 20, 50, 100, 200],
    "n_whitening": 40,  # samples of each training language
    "shares": [0.3, 1.0, 3.0, 10.0, 30.0],
}
# Settings small enough for a test of the script itself.
QUICK = {
    **CONFIG,
    "seeds": [0],
    "split": {"seed": 2, "n_test": 10, "n_choice": 5},
    "n_names": 80,
    "n_names_shown": 40,
    "n_meta_steps": dict.fromkeys(CONFIG["n_meta_steps"], 4),
    "n_train_languages": [6],
    "test": {"n_tasks": 2, "seed": 12345, "n_queries": 2},
    "choice": {"n_tasks": 2, "seed": 54321, "n_queries": 2},
    "rates": [0.3],
    "steps": [1, 2],
    "joint_steps": [2, 4],
    "n_whitening": 6,
    "shares": [1.0, 3.0],
}
GRADIENTS = {
    "maml": lean.maml_gradient,
    "fomaml": maml.fomaml_gradient,
    "anil": maml.anil_gradient,
    "protonet": protonet_gradient,
    "joint": maml.joint_gradient,
}
MOVING = ("maml", "fomaml", "anil")  # whose start is adapted
DISTANCES = {"protonet": squared_distance, "joint centroid": cosine_distance}


class SinglePrecision:
    """A family whose inputs are float32, for speed."""

    def __init__(self, family):
        self.family = family

    def sample(self, *counts):
        """A batch of the family."""
        return in_single_precision(self.family.sample(*counts))


class AllLanguages:
    """Not episodes but one batch of samples, labelled with their language: for "joint"."""

    def __init__(self, family, n_samples):
        names = family.names
        self.one_each = replace(family, n_ways=len(names))
        self.n_samples = n_samples

    def sample(self, rng, n_tasks, n_shots, n_queries):
        """One task of ``n_samples`` samples; the support set is not used."""
        del n_tasks, n_shots, n_queries
        labels = rng.integers(self.one_each.n_ways, size=(1, self.n_samples))
        x = self.one_each.samples_of(rng, labels[0], 1)[None, :, 0].astype(np.float32)
        return Task(x, labels, x, labels)


def in_single_precision(tasks):
    """The same tasks with inputs in float32."""
    x_support, x_query = (x.astype(np.float32) for x in (tasks.x_support, tasks.x_query))
    return Task(x_support, tasks.y_support, x_query, tasks.y_query)


def split_languages(names, config):
    """``{"test": names by language, "choice": ..., "train": ...}``, in random order."""
    few = {name: spread(some, config["n_names"]) for name, some in names.items()}
    order = np.random.default_rng(config["split"]["seed"]).permutation(sorted(few)).tolist()
    end = np.cumsum([config["split"][key] for key in ("n_test", "n_choice")])
    parts = {"test": order[: end[0]], "choice": order[end[0] : end[1]], "train": order[end[1] :]}
    return {part: {name: few[name] for name in some} for part, some in parts.items()}


def all_families(names):
    """The families of the three parts, and of the halves of the test: ``near`` and ``far``."""
    order = list(relatives(names["test"], names["train"]))
    middle = len(order) // 2
    halves = {"near": order[:middle], "far": order[middle:]}
    halves = {half: {name: names["test"][name] for name in own} for half, own in halves.items()}
    return {part: WhichLanguage(some) for part, some in (names | halves).items()}


def tests_of(families, n_shots, config):
    """The tasks that judge, by what the name of a method gets: all, or those of one half."""
    return {
        half: tasks_of(families[part], n_shots, config["test"])
        for half, part in {"": "test", " near": "near", " far": "far"}.items()
    }


def spread(some, n):
    """At most ``n`` of some names, evenly spaced."""
    return tuple(some[k] for k in np.linspace(0, len(some) - 1, min(n, len(some))).astype(int))


def part_of(names, n, seed):
    """``n`` of the training languages, others for each seed."""
    order = np.random.default_rng(seed).permutation(list(names))[:n].tolist()
    return {name: names[name] for name in order}


def recipe(name, family, seed, config):
    """``(model, start, family)`` of a method."""
    family, rng = SinglePrecision(family), np.random.default_rng(1000 + seed)
    model = MODEL
    if name == "joint":
        family = AllLanguages(family.family, config["joint_batch"])
        model = MLP((*MODEL.sizes[:2], family.one_each.n_ways), "tanh", "cross_entropy")
    elif name == "protonet":
        sizes = (*MODEL.sizes[:2], config["embedding"])
        theta = torch.tensor(MLP(sizes).init(rng), dtype=torch.float32)
        return maml_torch.MLP(sizes, "tanh", "cross_entropy"), theta, family
    return model, model.init(rng).astype(np.float32), family


def train(name, family, seed, config, file):
    """Parameters of a method trained from ``seed``; goes on from the file if there is one."""
    model, theta, family = recipe(name, family, seed, config)
    settings, rng = settings_of(name, config), np.random.default_rng(seed)
    how = {"rng": rng, "file": file, "gradient": GRADIENTS[name], "every": 200}
    return train_in_stages(model, theta, family, settings, config["stages"], **how)


def tasks_of(family, n_shots, what):
    """The same tasks for every method."""
    rng = np.random.default_rng(what["seed"])
    tasks = family.sample(rng, what["n_tasks"], n_shots, what["n_queries"])
    return in_single_precision(tasks)


def correct_after(theta, tasks, alpha, steps):
    """Right answers after some numbers of inner steps, ``(len(steps), n_tasks)``."""
    counts = [correct_in_part(theta, part, alpha, steps) for part in in_parts(tasks)]
    return np.concatenate(counts, axis=1)


def in_parts(tasks, size=50):
    """The tasks, 50 at a time: each has a network of its own."""
    return [tasks.select(slice(k, k + size)) for k in range(0, tasks.n_tasks, size)]


def correct_in_part(theta_k, tasks, alpha, steps):
    """The same for few tasks. A rate that diverges counts as nothing right."""
    counts, done = [], 0
    for k in steps:
        for _ in range(k - done):
            theta_k = theta_k - alpha * MODEL.gradient(theta_k, tasks.x_support, tasks.y_support)
        done = k
        scores = MODEL.predict(theta_k, tasks.x_query)
        right = (scores.argmax(axis=-1) == tasks.y_query) & np.isfinite(scores).all(axis=-1)
        counts.append(right.sum(axis=1))
    return np.array(counts)


def choose(theta, tasks, config, head):
    """The inner rate and number of steps that do best on the choice languages."""
    table = [
        correct_after(theta, tasks, rates_for(alpha, head), config["steps"]).mean(axis=1)
        for alpha in config["rates"]
    ]
    i, j = np.unravel_index(np.argmax(table), np.shape(table))
    return config["rates"][i], config["steps"][j]


def rates_for(alpha, head):
    """``alpha`` for all parameters, or for those of the last layer only."""
    return alpha * (MODEL.head if head else np.ones(MODEL.n_params)).astype(np.float32)


def starts(thetas, seed):
    """``name: (start, whether only the head adapts)`` of all methods that adapt."""
    random = MODEL.init(np.random.default_rng(2000 + seed)).astype(np.float32)
    n_features = np.sum(~MODEL.head)
    new_head = np.concatenate([thetas["joint"][:n_features], 0 * random[n_features:]])
    trained = {name: (thetas[name], name == "anil") for name in thetas if name in MOVING}
    return trained | {
        "finetuned": (new_head, False),
        "finetuned head": (new_head, True),
        "scratch": (random, False),
    }


def by_means(name, thetas, tasks, config):
    """Right answers of the methods that compare features with class means, ``(n_tasks,)``."""
    theta, sizes = thetas["protonet"], (*MODEL.sizes[:2], config["embedding"])
    model = maml_torch.MLP(sizes, "tanh", "cross_entropy")
    if name == "joint centroid":  # the hidden layer of joint, in units that may be negative
        theta = torch.tensor(thetas["joint"][: (N_BUCKETS + 1) * MODEL.sizes[1]])
        model = Hidden(MODEL.sizes[:2], "tanh", "cross_entropy")
    return correct_by_means(model, theta, tasks, DISTANCES[name])


class Hidden(maml_torch.MLP):
    """A network whose output is its last hidden layer."""

    def predict(self, theta, x):
        """The hidden units."""
        return torch.tanh(super().predict(theta, x))


def judge(thetas, seed, families, n_shots, config):
    """Right answers ``(n_tasks,)`` of every method, and the inner loops that were chosen."""
    tests = tests_of(families, n_shots, config)
    choice = tasks_of(families["choice"], n_shots, config["choice"])
    counts, inner = {}, {}
    for name, (theta, head) in tqdm(starts(thetas, seed).items(), desc=f"seed {seed}"):
        alpha, steps = inner[name] = choose(theta, choice, config, head)
        for half, tasks in tests.items():
            counts[name + half] = correct_after(theta, tasks, rates_for(alpha, head), [steps])[0]
    for half, tasks in tests.items():
        for name in DISTANCES:
            counts[name + half] = by_means(name, thetas, tasks, config)
        counts["centroid" + half] = (nearest_centroid(tasks) == tasks.y_query).sum(axis=1)
    counts["maml before"] = correct_after(thetas["maml"], tests[""], 1.0, [0])[0]
    return counts, inner


def whitened(families, config):
    """Right answers ``(1, n_tasks)`` of the nearest mean of whitened n-grams, and the shares.

    By number of samples of each language; the share is the best on the choice languages.
    """
    n_languages, rng = len(families["train"].names), np.random.default_rng(0)
    samples = families["train"].samples_of(rng, range(n_languages), config["n_whitening"])
    samples = samples.reshape(n_languages, -1, N_BUCKETS).astype(float)
    centre, found, chosen = samples.mean(axis=(0, 1)), {}, {}
    matrices = {share: whitening(samples, share) for share in config["shares"]}
    for n_shots in (1, 5):
        choice = tasks_of(families["choice"], n_shots, config["choice"])
        right = {s: right_of(choice, centre, matrix).mean() for s, matrix in matrices.items()}
        share = chosen[f"{n_shots}"] = max(right, key=right.get)
        for half, tasks in tests_of(families, n_shots, config).items():
            counts = right_of(tasks, centre, matrices[share])
            found[f"centroid whitened{half}, {n_shots}"] = counts[None]
    return found, chosen


def right_of(tasks, centre, matrix):
    """How many answers are right in each task."""
    right = nearest_whitened(tasks, centre, matrix) == tasks.y_query
    return right.sum(axis=1).astype(np.uint8)


def tried_joint(families, config, folder):
    """Accuracy on the choice languages by the outer steps of joint, fine-tuned, with one sample.

    A mean over seeds, each with the inner loop that is best for it.
    """
    choice, found = tasks_of(families["choice"], 1, config["choice"]), {}
    for n in config["joint_steps"]:
        own, shares = {**config, "n_meta_steps": {"joint": n}}, []
        for seed in config["seeds"]:
            theta = train("joint", families["train"], seed, own, folder / f"joint_{n}_{seed}.npz")
            start, head = starts({"joint": theta}, seed)["finetuned"]
            alpha, steps = choose(start, choice, config, head)
            shares.append(correct_after(start, choice, alpha, [steps])[0] / choice.y_query.shape[1])
        found[str(n)] = float(np.mean(shares))
    return found


def judge_fewer(seed, families, config, folder):
    """Right answers of MAML by number of training languages: on those languages, and on new ones.

    Returns:
        ``(n_sizes, 2, n_tasks)``, after five steps on one sample of each language.
    """
    names, found = families["train"].names, []
    for n in [*config["n_train_languages"], len(names)]:
        own = replace(families["train"], names=part_of(names, n, seed))
        file = folder / (f"maml_{seed}.npz" if n == len(names) else f"maml_of_{n}_{seed}.npz")
        family = families["train"] if n == len(names) else own
        theta = train("maml", family, seed, config, file)
        parts = (tasks_of(each, 1, config["test"]) for each in (own, families["test"]))
        found.append(
            [correct_after(theta, part, config["alpha"]["maml"], [5])[0] for part in parts]
        )
    return np.array(found)


def training_costs(family, config):
    """Seconds of the whole training of each method on this machine."""
    sizes = [config[key] for key in ("n_tasks", "n_shots", "n_queries")]
    methods, rng = {}, np.random.default_rng(0)
    for name, gradient in GRADIENTS.items():
        model, theta, own = recipe(name, family, 0, config)
        methods[name] = gradient, (model, theta), partial(own.sample, rng, *sizes)
    inner = {"alpha": 1.0, "n_inner_steps": config["n_inner_steps"]}
    return training_seconds(methods, config["n_meta_steps"], **inner)


def main():
    """Train, judge and write."""
    purpose = "only the row without a network that is trained on, into the file as it is"
    asked = arguments(__doc__.splitlines()[0], "language", rivals=purpose)
    folder, config = asked.folder, QUICK if asked.quick else CONFIG
    names = split_languages(distinct_languages(), config)
    families = all_families(names)
    rows, shares = whitened(families, config)
    if asked.rivals:
        texts = {"config": json.dumps(config), "shares": json.dumps(shares)}
        return add_to(asked.target, rows | texts)
    counts, inner, fewer, first = {}, {}, [], None
    for seed in config["seeds"]:
        files = {name: folder / f"{name}_{seed}.npz" for name in GRADIENTS}
        files["joint"] = folder / f"joint_{config['n_meta_steps']['joint']}_{seed}.npz"
        thetas = {n: train(n, families["train"], seed, config, f) for n, f in files.items()}
        first = thetas["maml"] if first is None else first
        for n_shots in (1, 5):
            found, chosen = judge(thetas, seed, families, n_shots, config)
            for name, right in found.items():
                counts.setdefault(f"{name}, {n_shots}", []).append(np.uint8(right))
            inner.setdefault(str(n_shots), []).append(chosen)
        fewer.append(judge_fewer(seed, families, config, folder))
    took = training_costs(families["train"], config)
    extra = {"inner": inner, "fewer": fewer, "shares": shares, "seconds": took}
    extra["joint"] = tried_joint(families, config, folder)
    write(asked.target, config, names, first, extra, counts | rows)


def write(target, config, names, theta, extra, counts):
    """Store it all, and print the accuracies."""
    shown = {
        part: {name: spread(own, config["n_names_shown"]) for name, own in some.items()}
        for part, some in names.items()
    }
    titles = {name: language_name(name) for some in names.values() for name in some}
    np.savez_compressed(
        target,
        config=json.dumps(config),
        inner=json.dumps(extra["inner"]),
        shares=json.dumps(extra["shares"]),
        seconds=json.dumps(extra["seconds"]),
        tried_joint=json.dumps(extra["joint"]),
        names=np.frombuffer(json.dumps([shown, titles]).encode(), np.uint8),
        maml=np.float16(theta),
        fewer=np.uint8(extra["fewer"]),
        **{key: np.array(right) for key, right in counts.items()},
    )
    n_each = 5 * config["test"]["n_queries"]
    for key, right in counts.items():
        print(f"{key:22s}", (np.array(right) / n_each).mean(axis=1).round(3).tolist())
    print("fewer", (np.array(extra["fewer"]) / n_each).mean(axis=-1).round(3).tolist())


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
