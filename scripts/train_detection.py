"""Train and judge the detectors of the book.

    OMP_NUM_THREADS=1 python scripts/train_detection.py          # about 45 minutes on one CPU core

For each seed MAML, one network for all glyphs at once ("joint") and learned template matching
("match") are trained for about the same time on scenes of the training scripts; runs are kept in
_artifacts/ and go on where they stopped. Rates and steps for
testing, and the scales for template matching, are chosen on scenes of the training scripts. All
methods are then judged on the same tasks of scripts that no training saw, with one and with five
examples. Counts of every task and seed, and what the page shows, go to
maml_teach/data/detection.npz.
"""

import json
from functools import partial

import numpy as np
import torch
from artifacts import arguments, seconds_a_step, train_in_stages, training_seconds
from tqdm import tqdm

from maml_teach import maml_torch
from maml_teach.applications.detection import (
    FOUND,
    Scenes,
    as_bytes,
    best_match,
    crops,
    iou,
    mean_picture,
)
from maml_teach.applications.detection_torch import (
    found_after,
    found_by_match,
    match_gradient,
    wrapped,
    wrapped_matcher,
)
from maml_teach.applications.images import glyphs
from maml_teach.train import MetaConfig

CONFIG = {
    "made_by": "scripts/train_detection.py",
    "seeds": [0, 1, 2],
    "alpha": 0.05,
    "n_inner_steps": 3,
    "n_tasks": 4,
    "most_shots": 5,
    "n_queries": 5,
    "longest": 5.0,  # a longer meta-gradient is cut to this length
    "stages": [[2e-3, 0.6], [6e-4, 0.25], [2e-4, 0.15]],  # outer rate, share of the steps
    # As many as take the same time on one core: see ``seconds`` in the file of results.
    "n_meta_steps": {"maml": 3000, "joint": 13500, "match": 11000},
    "test": {"n_tasks": 200, "seed": 12345},
    "choice": {"n_tasks": 40, "seed": 54321},
    "n_shots": [1, 5],
    "rates": {
        "sgd": [0.005, 0.01, 0.02, 0.035, 0.05, 0.1],
        "adam": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2],
    },
    "steps": {"sgd": [1, 3, 5, 10], "adam": [3, 10, 30, 60]},
    "scales": [[0.7, 0.85, 1.0, 1.2, 1.4], [0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3, 1.5, 1.7]],
    "most_steps": 20,  # as far as MAML is followed
}
# Settings small enough for a test of the script itself.
QUICK = {
    **CONFIG,
    "seeds": [0],
    "n_meta_steps": dict.fromkeys(CONFIG["n_meta_steps"], 4),
    "test": {"n_tasks": 2, "seed": 12345},
    "choice": {"n_tasks": 2, "seed": 54321},
    "rates": {"sgd": [0.05], "adam": [1e-3]},
    "steps": {"sgd": [1, 3], "adam": [2]},
}
GRADIENTS = {
    "maml": maml_torch.maml_gradient,
    "joint": maml_torch.joint_gradient,
    "match": match_gradient,
}
# The start and the inner loop of each method that adapts.
CONTESTANTS = {
    "maml": ("maml", "sgd"),
    "joint": ("joint", "sgd"),
    "joint adam": ("joint", "adam"),
    "scratch": ("scratch", "adam"),
}


def cut(gradient, longest):
    """``gradient`` with its answer scaled down to length ``longest`` where it is longer."""

    def shorter(model, theta, tasks, **inner):
        loss, g = gradient(model, theta, tasks, **inner)
        return loss, g * min(1.0, longest / float(g.norm()))

    return shorter


def train(name, seed, config, folder):
    """Parameters of a method trained from ``seed``; goes on from the file if there is one."""
    model, theta = model_for(name, seed)
    keys = ("alpha", "n_inner_steps", "n_tasks", "n_queries")
    counts = {"n_shots": config["most_shots"], "n_meta_steps": config["n_meta_steps"][name]}
    settings = MetaConfig(**{key: config[key] for key in keys}, **counts)
    gradient = cut(GRADIENTS[name], config["longest"])
    rng, file = np.random.default_rng(seed), folder / f"{name}_{seed}.npz"
    how = {"rng": rng, "file": file, "gradient": gradient, "every": 100}
    family = Scenes(glyphs("train"), fewest=1)
    return train_in_stages(model, theta, family, settings, config["stages"], **how)


def tasks_of(split, n_shots, what, config):
    """The same tasks for every method."""
    rng = np.random.default_rng(what["seed"])
    return Scenes(glyphs(split)).sample(rng, what["n_tasks"], n_shots, config["n_queries"])


def choose(model, theta, optimizer, n_shots, config):
    """The inner rate and number of steps that find most on scenes of the training scripts."""
    tasks = tasks_of("train", n_shots, config["choice"], config)
    rates, steps = config["rates"][optimizer], config["steps"][optimizer]
    table = [
        found_after(model, theta, tasks, alpha=a, steps=steps, optimizer=optimizer).sum(axis=1)
        for a in rates
    ]
    i, j = np.unravel_index(np.argmax(table), np.shape(table))
    return rates[i], steps[j]


def judge(thetas, seed, config):
    """Counts of every contestant, for ``name, n_shots``, and the inner loops chosen."""
    model, counts, inner = wrapped(seed)[0], {}, {}
    for n_shots in config["n_shots"]:
        tasks = tasks_of("test", n_shots, config["test"], config)
        ready = {name: how for name, how in CONTESTANTS.items() if how[0] in thetas}
        for name, (start, optimizer) in tqdm(ready.items(), desc=f"seed {seed}"):
            key, theta = f"{name}, {n_shots}", thetas[start]
            alpha, n = inner[key] = choose(model, theta, optimizer, n_shots, config)
            loop = {"alpha": alpha, "steps": [n], "optimizer": optimizer}
            counts[key] = found_after(model, theta, tasks, **loop)[0]
        counts[f"match, {n_shots}"] = found_by_match(
            wrapped_matcher(seed)[0], thetas["match"], tasks
        )
        loop = {"alpha": config["alpha"], "steps": range(config["most_steps"] + 1)}
        counts[f"by step, {n_shots}"] = found_after(model, thetas["maml"], tasks, **loop)
    return counts, inner


def judged(thetas, seed, config, folder):
    """What :func:`judge` answers; kept in a file, as the trained runs are."""
    file = folder / f"judged_{seed}.npz"
    if not file.exists():
        counts, inner = judge(thetas, seed, config)
        np.savez(file, inner=json.dumps(inner), **counts)
    with np.load(file) as kept:
        counts = dict(kept)
    return counts, json.loads(str(counts.pop("inner")))


def found_by_template(tasks, pool, scales):
    """Query glyphs found by template matching, ``(n_tasks,)``."""
    counts = []
    for t in range(tasks.n_tasks):
        templates = pool(crops(tasks.x_support[t, :, 0], tasks.y_support[t]))
        boxes = best_match(templates, tasks.x_query[t, :, 0], scales)
        counts.append((iou(boxes, tasks.y_query[t]) > FOUND).sum())
    return np.array(counts)


def match_templates(n_shots, config):
    """Template matching in the way that does best on the training scripts: counts, and that way."""
    pools = {"each crop": lambda pictures: pictures, "mean crop": lambda p: [mean_picture(p)]}
    tasks = tasks_of("train", n_shots, config["choice"], config)
    ways = [(name, scales) for name in pools for scales in config["scales"]]
    found = [found_by_template(tasks, pools[name], scales).sum() for name, scales in ways]
    name, scales = ways[int(np.argmax(found))]
    tasks = tasks_of("test", n_shots, config["test"], config)
    return found_by_template(tasks, pools[name], scales), [name, scales]


def model_for(name, seed):
    """Network and start of a method."""
    return wrapped_matcher(seed) if name == "match" else wrapped(seed)


def costs(config, inner):
    """What each method costs on this machine, from calls in turns.

    ``seconds`` of the whole training, and ``milliseconds`` to use five examples and find the glyph
    in five scenes, with the inner loop that was chosen.
    """
    n_shots, rng = config["most_shots"], np.random.default_rng(0)
    sizes = (rng, config["n_tasks"], n_shots, config["n_queries"])
    draw = partial(Scenes(glyphs("train"), fewest=1).sample, *sizes)
    methods = {name: (gradient, model_for(name, 0), draw) for name, gradient in GRADIENTS.items()}
    inner_loop = {"alpha": config["alpha"], "n_inner_steps": config["n_inner_steps"]}
    took = training_seconds(methods, config["n_meta_steps"], **inner_loop)
    tasks = tasks_of("test", n_shots, {**config["test"], "n_tasks": 1}, config)
    uses = {"match": partial(found_by_match, *model_for("match", 0), tasks)}
    for name, (_, optimizer) in CONTESTANTS.items():
        alpha, n = inner[f"{name}, {n_shots}"]
        loop = {"alpha": alpha, "steps": [n], "optimizer": optimizer}
        uses[name] = partial(found_after, *wrapped(0), tasks, **loop)
    used = seconds_a_step(uses)
    return {
        "seconds": took,
        "milliseconds": {name: 1000 * value for name, value in used.items()},
    }


def shown_in_the_page(config, n_sets=6, seed=7):
    """Scenes ``(n_sets, 9, 48, 48)`` of bytes and their boxes: five to adapt on, four to try."""
    rng = np.random.default_rng(seed)
    tasks = Scenes(glyphs("test")).sample(rng, n_sets, config["most_shots"], 4)
    x = np.concatenate([tasks.x_support, tasks.x_query], axis=1)[:, :, 0]
    boxes = np.concatenate([tasks.y_support, tasks.y_query], axis=1)
    return as_bytes(x), boxes.astype(np.float16)


def main():
    """Train, judge and write."""
    asked = arguments(__doc__.splitlines()[0], "detection")
    quick, folder, target = asked.quick, asked.folder, asked.target
    config = QUICK if quick else CONFIG
    starts, results = [], []
    for seed in config["seeds"]:
        thetas = {name: train(name, seed, config, folder) for name in GRADIENTS}
        if not starts:  # no training stands behind it, so once is enough
            thetas["scratch"] = wrapped(1000 + seed)[1]
        starts.append(thetas)
        results.append(judged(thetas, seed, config, folder))
    counts = {
        key: np.uint8([found[key] for found, _ in results if key in found]) for key in results[0][0]
    }
    inner = [chosen for _, chosen in results]
    for n_shots in config["n_shots"]:
        found, way = match_templates(n_shots, config)
        counts[f"template, {n_shots}"] = np.uint8([found])
        inner[0][f"template, {n_shots}"] = way
    scenes, boxes = shown_in_the_page(config)
    network = {"maml": starts[0]["maml"].numpy().astype(np.float16)}
    settings = {
        "config": json.dumps(config),
        "inner": json.dumps(inner),
        "costs": json.dumps(costs(config, inner[0])),
    }
    shown = {"scenes": scenes, "boxes": boxes}
    np.savez_compressed(target, **settings, **network, **shown, **counts)
    for key, found in counts.items():
        shares = (found / config["n_queries"]).mean(axis=-1).round(3)
        print(f"{key:16s}", shares[..., :: max(1, shares.shape[-1] // 7)].tolist())


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
