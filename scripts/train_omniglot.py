"""The official one-shot task of Omniglot, from five alphabets.

    python scripts/train_omniglot.py --data FOLDER      # about two hours on one CPU core

FOLDER holds images_background_small1.zip, images_background_small2.zip and all_runs.zip as they
are in the folder python of github.com/brendenlake/omniglot. For each of the two background sets and
each seed five methods are trained for about the same time; runs are kept in _artifacts/ and go on
where they stopped. Inner rates and numbers of steps are chosen on tasks of the background set. All
are judged on the 20 official runs, each test picture by itself. Errors of every seed and run, and
the MAML start of the first seed, go to maml_teach/data/omniglot.npz.

Three more parts go to the same file; --part makes one alone. *untrained*: nearest pictures by the
angle of pixels, and by the modified Hausdorff distance of inked points. *unframed*: MAML and
ProtoNet, trained and judged on drawings that lie as they were drawn. *figure*: a network for
*Draw it*, of five ways, trained on both background sets and on the glyphs of the fonts in turn; its
right answers on drawings and on glyphs stand beside those of the network for glyphs alone.
"""

import argparse
import json
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
import torch
from artifacts import ROOT, add_to, train_in_stages, training_seconds
from scipy.spatial.distance import cdist
from tqdm import tqdm
from train_images import (
    DISTANCES,
    AllClasses,
    Flat,
    anil_gradient,
    choose,
    correct_by,
    features,
)

from maml_teach import maml_torch
from maml_teach.applications.handwriting import Alphabets, framed
from maml_teach.applications.images import (
    FewShotImages,
    ImageClasses,
    cut_out,
    glyphs,
    omniglot,
    one_shot_runs,
    page,
    shrunk,
)
from maml_teach.applications.images_torch import (
    correct_after,
    correct_by_means,
    cosine_distance,
    protonet_gradient,
    wrapped,
)
from maml_teach.data import load
from maml_teach.tasks import Task, batches_of
from maml_teach.train import MetaConfig

WHERE = "the folder python of github.com/brendenlake/omniglot"
CONFIG = {
    "made_by": "scripts/train_omniglot.py",
    "backgrounds": ["small1", "small2"],
    "seeds": [0, 1, 2],
    "n_ways": 20,
    "vary": 0.5,
    "alpha": 0.4,
    "n_tasks": 2,
    "stages": [[2e-3, 0.6], [6e-4, 0.25], [2e-4, 0.15]],  # outer rate, share of the steps
    # As many as take the same time on one core: see ``seconds`` in the file of results.
    "n_meta_steps": {
        "maml": 3000,
        "fomaml": 6500,
        "anil": 3000,
        "protonet": 7500,
        "joint": 4700,
    },
    "unframed": {
        "names": ["maml", "protonet"],
        "rates": [0.01, 0.03, 0.1, 0.3],
        "steps": [1, 3, 10, 30, 100],
    },
    "joint_batch": 128,
    "embedding": 64,
    "choice": {"n_tasks": 10, "seed": 54321},
    "rates": [0.03, 0.1, 0.3],
    "steps": [1, 3, 10, 30],
    "figure": {"n_meta_steps": 5000, "n_tasks": 4, "n_queries": 5},
    "shown": {"alpha": 0.1, "n_steps": 5, "n_glyph_tasks": 60},  # what Draw it begins with
}
# Settings small enough for a test of the script itself.
QUICK = {
    **CONFIG,
    "seeds": [0],
    "n_meta_steps": dict.fromkeys(CONFIG["n_meta_steps"], 4),
    "choice": {"n_tasks": 2, "seed": 54321},
    "rates": [0.1],
    "steps": [1, 3],
    "unframed": {**CONFIG["unframed"], "rates": [0.1], "steps": [1, 3]},
    "figure": {"n_meta_steps": 4, "n_tasks": 2, "n_queries": 1},
    "shown": {"alpha": 0.1, "n_steps": 5, "n_glyph_tasks": 2},
}
GRADIENTS = {
    "maml": maml_torch.maml_gradient,
    "fomaml": maml_torch.fomaml_gradient,
    "anil": anil_gradient,
    "protonet": protonet_gradient,
    "joint": maml_torch.joint_gradient,
}


def recipe(name, classes, config, place):
    """``(n_out, family)`` of a method."""
    family = Alphabets(classes, config["n_ways"], config["vary"], place)
    if name == "joint":
        return 4 * len(classes), AllClasses(family, config["joint_batch"])
    return config["embedding"] if name == "protonet" else config["n_ways"], family


def train(name, family, n_out, seed, config, file):
    """Parameters of a method trained from ``seed``; goes on from the file if there is one."""
    model, theta = wrapped(n_out, seed)
    settings = {key: config[key] for key in ("alpha", "n_tasks")}
    settings = MetaConfig(
        n_meta_steps=config["n_meta_steps"][name], n_shots=1, n_queries=1, **settings
    )
    how = {"rng": np.random.default_rng(seed), "gradient": GRADIENTS[name], "every": 250}
    return train_in_stages(model, theta, family, settings, config["stages"], file=file, **how)


def as_batch(runs):
    """The official runs as a batch of tasks."""
    shown, asked, labels = (np.stack(part) for part in zip(*runs, strict=True))
    own = np.tile(np.arange(shown.shape[1]), (len(runs), 1))
    return Task(shown, own, asked, labels)


def judge(name, theta, family, n_out, runs, seed, config):
    """Share of wrong answers in each run, ``(n_runs,)``, and the inner loop if there is one."""
    model, _ = wrapped(n_out, seed)
    if name == "joint":  # its features, not its classes
        model, theta = features(model, theta)
    if name in DISTANCES:
        right, inner = correct_by_means(model, theta, runs, DISTANCES[name]), None
    else:
        rng = np.random.default_rng(config["choice"]["seed"])
        tasks = family.sample(rng, config["choice"]["n_tasks"], 1, 1)
        alpha, n = inner = choose(name, model, theta, tasks, config)
        right = correct_by(name, model, theta, runs, alpha, [n])[0]
    return 1 - right / runs.y_query.shape[1], inner


def pixels(runs):
    """Share of wrong answers of the nearest picture, ``(n_runs,)``."""
    flat = maml_torch.from_module(Flat(), "cross_entropy")
    right = correct_by_means(flat, torch.zeros(1), runs, cosine_distance)
    return 1 - right / runs.y_query.shape[1]


def by_points(runs):
    """Share of wrong answers by the modified Hausdorff distance of the inked pixels, per run.

    Each drawing is a set of points around their mean. The distance of two sets is the mean way from
    a point to the nearest of the other set, in the worse direction of the two (Dubuisson and Jain,
    1994). The authors of Omniglot report 38.8 % errors for it (demo_classification.py).
    """
    return [np.mean(nearest(*pages) != labels) for *pages, labels in runs]


def nearest(shown, asked):
    """For each page asked the number of the page shown that has the nearest points."""
    shown, asked = ([points(page[0]) for page in pages] for pages in (shown, asked))
    pairs = (cdist(one, other) for one in asked for other in shown)
    ways = [max(d.min(axis=0).mean(), d.min(axis=1).mean()) for d in pairs]
    return np.reshape(ways, (len(asked), len(shown))).argmin(axis=1)


def points(page):
    """The inked pixels of a page around their mean, ``(n, 2)``."""
    inked = np.argwhere(page > 0.5)
    return inked - inked.mean(axis=0)


def all_errors(names, backgrounds, runs, place, config, folder):
    """Errors of each method, background and seed, the inner loops, and the first MAML starts."""
    errors, inner, starts = {}, {}, {}
    for name in names:
        for background, classes in backgrounds.items():
            key = f"{name} {background}"
            errors[key], inner[key] = [], []
            n_out, family = recipe(name, classes, config, place)
            for seed in tqdm(config["seeds"], desc=key):
                file = folder / f"{name}_{background}_{seed}.npz"
                theta = train(name, family, n_out, seed, config, file)
                wrong, loop = judge(name, theta, family, n_out, runs, seed, config)
                errors[key].append(wrong)
                inner[key].append(loop)
                if name == "maml" and seed == config["seeds"][0]:
                    starts[f"theta {key}"] = theta.numpy().astype(np.float16)
    return {key: np.float32(rows) for key, rows in errors.items()}, inner, starts


class Halves:
    """Half of the tasks of a batch from each of two families."""

    def __init__(self, *families):
        self.families = families

    def sample(self, rng, n_tasks, n_shots, n_queries):
        """A batch of tasks."""
        halves = [each.sample(rng, n_tasks // 2, n_shots, n_queries) for each in self.families]
        names = [field.name for field in fields(Task)]
        return Task(*(np.concatenate([getattr(half, name) for half in halves]) for name in names))


def together(backgrounds):
    """The classes of all background sets as one; an alphabet that two sets have counts once."""
    by_name = {}
    for classes in backgrounds.values():
        for label, name in enumerate(classes.names):
            by_name[name] = classes.images[classes.labels == label]
    names = sorted(by_name)
    sizes = [len(by_name[name]) for name in names]
    labels = np.repeat(np.arange(len(names)), sizes)
    return ImageClasses(np.concatenate([by_name[name] for name in names]), labels, tuple(names))


def by_fives(runs):
    """Tasks of five characters each from the official runs, as the figure has them."""
    found = []
    for shown, asked, labels in zip(runs.x_support, runs.x_query, runs.y_query, strict=True):
        for first in range(0, len(shown) - 4, 5):
            own = (labels >= first) & (labels < first + 5)
            found.append(Task(shown[first:][:5], np.arange(5), asked[own], labels[own] - first))
    ((_, batch),) = batches_of(found)
    return batch


def for_the_figure(backgrounds, runs, config, folder):
    """The network of Draw it; right answers of this one and of that for glyphs alone, per task."""
    handwriting = Alphabets(together(backgrounds), 5, config["vary"])
    printed = FewShotImages(glyphs("train"), 5, turn_classes=True)
    model, theta = wrapped(5, 0)
    settings = MetaConfig(alpha=config["alpha"], n_shots=1, **config["figure"])
    rng, file = np.random.default_rng(0), folder / "figure.npz"
    how = {"rng": rng, "file": file, "gradient": GRADIENTS["maml"], "every": 250}
    families = Halves(handwriting, printed)
    theta = train_in_stages(model, theta, families, settings, config["stages"], **how)
    alone = torch.tensor(load("images")["maml"].astype(np.float32))
    shown = config["shown"]
    new = FewShotImages(glyphs("test"), 5).sample(
        np.random.default_rng(1), shown["n_glyph_tasks"], 1, 5
    )
    found = {"figure theta": theta.numpy().astype(np.float16)}
    for name, tasks in (("drawings", by_fives(runs)), ("glyphs", new)):
        inner = {"alpha": shown["alpha"], "steps": [shown["n_steps"]]}
        rows = [correct_after(model, each, tasks, **inner)[0] for each in (theta, alone)]
        found[f"figure {name}"] = np.uint8(rows)
    return found


def seconds(classes, config):
    """Seconds of the whole training of each method on this machine."""
    sizes, methods = (np.random.default_rng(0), config["n_tasks"], 1, 1), {}
    for name in config["n_meta_steps"]:
        n_out, family = recipe(name, classes, config, framed)
        methods[name] = GRADIENTS[name], wrapped(n_out, 0), partial(family.sample, *sizes)
    how = {"alpha": config["alpha"], "n_inner_steps": 1}
    return training_seconds(methods, config["n_meta_steps"], **how)


def read(data, config, how):
    """The background sets by name, and the official runs as a batch of tasks."""
    files = {name: data / f"images_background_{name}.zip" for name in config["backgrounds"]}
    backgrounds = {name: omniglot(file, how) for name, file in files.items()}
    return backgrounds, as_batch(one_shot_runs(data / "all_runs.zip", how))


def part_errors(data, config, folder):
    """All methods on framed drawings, and their costs."""
    backgrounds, runs = read(data, config, cut_out)
    errors, inner, starts = all_errors(
        config["n_meta_steps"], backgrounds, runs, framed, config, folder
    )
    took = seconds(backgrounds[config["backgrounds"][0]], config)
    settings = {"inner": json.dumps(inner), "seconds": json.dumps(took)}
    return settings | starts | {f"errors {key}": rows for key, rows in errors.items()}


def part_untrained(data, config, folder):
    """Two rivals that learn nothing from a background set."""
    del folder
    _, runs = read(data, config, cut_out)
    by_pages = by_points(one_shot_runs(data / "all_runs.zip", page))
    return {"errors pixels none": [pixels(runs)], "errors points none": [by_pages]}


def part_unframed(data, config, folder):
    """Some methods on drawings as they lie on their pages, in training and in the runs."""
    folder = folder / "unframed"
    folder.mkdir(exist_ok=True)
    own = {**config, **config["unframed"]}
    how = (*read(data, config, shrunk), np.asarray, own, folder)
    errors, inner, _ = all_errors(own["names"], *how)
    found = {f"unframed {key}": rows for key, rows in errors.items()}
    return {"unframed inner": json.dumps(inner)} | found


def part_figure(data, config, folder):
    """The network of Draw it."""
    return for_the_figure(*read(data, config, cut_out), config, folder)


PARTS = {
    "errors": part_errors,
    "untrained": part_untrained,
    "unframed": part_unframed,
    "figure": part_figure,
}


def main():
    """Train, judge and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help=f"what comes from {WHERE}")
    parser.add_argument("--quick", action="store_true", help="a tiny run, to test the script")
    parser.add_argument("--part", choices=PARTS, help="only this part, into the file as it is")
    parser.add_argument("--folder", type=Path, default=ROOT / "_artifacts" / "omniglot")
    parser.add_argument("--target", type=Path, default=ROOT / "maml_teach/data/omniglot.npz")
    options = parser.parse_args()
    config = QUICK if options.quick else CONFIG
    names = [f"images_background_{b}.zip" for b in config["backgrounds"]]
    for name in (*names, "all_runs.zip"):
        if not (options.data / name).exists():
            parser.error(f"{options.data / name} is not there: get it from {WHERE}")
    options.folder.mkdir(parents=True, exist_ok=True)
    found = {"config": json.dumps(config)}
    for part in [options.part] if options.part else PARTS:
        found |= PARTS[part](options.data, config, options.folder)
    if options.part:
        return add_to(options.target, found)
    np.savez_compressed(options.target, **found)
    for key, rows in found.items():
        if key.startswith(("errors", "unframed ")) and key != "unframed inner":
            print(f"{key:28s}", (100 * np.mean(rows, axis=1)).round(1).tolist())


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
