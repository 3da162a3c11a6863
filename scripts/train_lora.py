"""LoRA through a pretrained encoder, fine-tuned and meta-trained, on intents of unseen domains.

    python scripts/train_lora.py --data FOLDER      # about 80 minutes on one CPU core

Data, encoder, split and test tasks are those of train_intents.py; this script takes the first of
its test tasks, since each pass runs the whole encoder. The outer rate is the one that does best on
the intents kept for choosing, among those tried with the first setting and seed; rates and steps
for testing are chosen there for each run. Runs are kept in _artifacts/ and go on where they
stopped. Accuracies of every task and seed go to maml_teach/data/lora.npz.
"""

import json
from functools import partial

import numpy as np
import torch
import train_intents
from artifacts import train_in_stages
from train_intents import arguments, best, families_of, tasks_of

from maml_teach import maml_torch
from maml_teach.applications.intents import clinc150
from maml_teach.train import MetaConfig

SHARED = ("split", "split_seed", "settings", "test", "choice")
CONFIG = {
    **{key: train_intents.CONFIG[key] for key in SHARED},
    "made_by": "scripts/train_lora.py",
    "seeds": [0, 1],
    "settings_of_lora": ["5w1s", "5w5s"],
    "alpha": 0.1,
    "n_inner_steps": 2,
    "n_tasks": 2,
    "n_queries": 2,
    "n_meta_steps": 400,
    "betas": [1e-3, 3e-4, 1e-4],  # outer rates that are tried
    "stages": [[1.0, 0.7], [0.3, 0.3]],  # share of the outer rate, share of the steps
    "n_test": 40,
    "n_choice": 20,
    "rates": [0.03, 0.1, 0.3, 1.0],
    "steps": [1, 3],
}
# Settings small enough for a test of the script itself.
QUICK = {
    **CONFIG,
    **{key: train_intents.QUICK[key] for key in SHARED},
    "seeds": [0],
    "settings_of_lora": ["5w1s"],
    "n_meta_steps": 2,
    "betas": [1e-3, 1e-4],
    "n_test": 2,
    "n_choice": 1,
    "rates": [0.1],
    "steps": [1],
}


class Tokens:
    """A family of numbers of sentences, with the sentences' tokens in their place."""

    def __init__(self, family, batch):
        self.family, self.batch = family, batch

    def sample(self, *counts):
        """A batch of tasks whose inputs are dictionaries of tokens."""
        from maml_teach.applications.intents_torch import of_rows

        tasks = self.family.sample(*counts)
        x = [of_rows(self.batch, rows[..., 0]) for rows in (tasks.x_support, tasks.x_query)]
        return type(tasks)(x[0], tasks.y_support, x[1], tasks.y_query)


def families_in(setting, sentences, batch, config):
    """The families of the parts in a setting, their inputs tokens."""
    numbers, (n_ways, _) = np.arange(len(sentences.texts))[:, None], config["settings"][setting]
    families = families_of(numbers, sentences, n_ways, config, "clinc150")
    return {part: Tokens(family, batch) for part, family in families.items()}


def train(model, theta, family, setting, seed, beta, config, folder):
    """LoRA and head, meta-trained at an outer rate that falls from ``beta``."""
    keys = ("alpha", "n_inner_steps", "n_tasks", "n_queries", "n_meta_steps")
    shots = config["settings"][setting][1]
    settings = MetaConfig(n_shots=shots, **{key: config[key] for key in keys})
    stages = [[share * beta, part] for share, part in config["stages"]]
    file = folder / f"{setting} {seed} {beta:g}.npz"
    how = {"rng": np.random.default_rng(seed), "file": file, "every": 50}
    how["gradient"] = maml_torch.maml_gradient
    return train_in_stages(model, theta, family, settings, stages, **how)


def judge(model, theta, families, shots, part, config, file):
    """Accuracy ``(n_tasks,)`` after the inner loop that is best on the choice intents, and it.

    They are kept in a file, as the trained runs are.
    """
    if not file.exists():
        choice, tasks = (
            tasks_of(families, one, shots, {one: {**config[one], "n_tasks": config[f"n_{one}"]}})
            for one in ("choice", part)
        )
        table = {}
        for alpha in config["rates"]:
            rows = right_after(model, theta, choice, alpha, config["steps"])
            table |= {(alpha, n): row for n, row in zip(config["steps"], rows, strict=True)}
        alpha, n = best(table)
        np.savez(file, row=right_after(model, theta, tasks, alpha, [n])[0], inner=[alpha, n])
    with np.load(file) as kept:
        alpha, n = kept["inner"].tolist()
        return kept["row"], [alpha, int(n)]


def right_after(model, theta, tasks, alpha, steps):
    """Accuracy after some numbers of inner steps, ``(len(steps), n_tasks)``.

    A rate that diverges has nothing right.
    """
    shares = np.zeros((len(steps), tasks.n_tasks))
    for t in range(tasks.n_tasks):
        one = maml_torch.as_tensors(tasks.select(slice(t, t + 1)), theta)
        theta_k, done = theta, 0
        for row, n in enumerate(steps):
            try:
                more = {"alpha": alpha, "n_inner_steps": n - done}
                theta_k, done = maml_torch.adapt(model, theta_k, one, **more)[0], n
            except FloatingPointError:
                break
            with torch.no_grad():
                scores = model.predict(theta_k, one.select(0).x_query)
            right = scores.argmax(dim=1) == one.y_query[0]
            shares[row, t] = float(right.double().mean())
    return shares


def by_beta(wrapped, families, setting, config, folder):
    """Accuracy on the choice intents, with the first seed, for each outer rate that is tried."""
    (n_ways, shots), seed, found = config["settings"][setting], config["seeds"][0], {}
    model, theta = wrapped(n_ways, seed)
    for beta in config["betas"]:
        at = train(model, theta, families["train"], setting, seed, beta, config, folder)
        file = folder / f"choice {setting} {seed} {beta:g}.npz"
        found[beta] = judge(model, at, families, shots, "choice", config, file)[0].mean()
    model.module.encoder.unload()
    return found


def judge_all(wrapped, families, setting, beta, config, folder):
    """Accuracies ``(n_seeds, n_tasks)`` of LoRA fine-tuned and meta-trained, and inner loops."""
    n_ways, shots = config["settings"][setting]
    rows, inner = {"finetuned": [], "maml": []}, {"finetuned": [], "maml": []}
    for seed in config["seeds"]:
        model, theta = wrapped(n_ways, seed)
        at = train(model, theta, families["train"], setting, seed, beta, config, folder)
        for name, begin in (("finetuned", theta), ("maml", at)):
            file = folder / f"test {setting} {seed} {name}.npz"
            row, loop = judge(model, begin, families, shots, "test", config, file)
            rows[name].append(row)
            inner[name].append(loop)
        model.module.encoder.unload()
    return rows, inner


def main():
    """Train, judge and write."""
    from maml_teach.applications import intents_torch

    asked = arguments(__doc__.splitlines()[0], "lora")
    config = QUICK if asked.quick else CONFIG
    sentences = clinc150(asked.data / "clinc150")
    tokenizer, encoder = intents_torch.encoder_from(asked.encoder)
    batch = intents_torch.tokens(tokenizer, sentences.texts)
    wrapped = partial(intents_torch.wrapped, encoder)
    settings = config["settings_of_lora"]
    families = {setting: families_in(setting, sentences, batch, config) for setting in settings}
    first = settings[0]
    tried = by_beta(wrapped, families[first], first, config, asked.folder)
    found, inner = {}, {}
    for setting in settings:
        how = (setting, max(tried, key=tried.get), config, asked.folder)
        rows, inner[setting] = judge_all(wrapped, families[setting], *how)
        found |= {f"{name} {setting}": np.float32(row) for name, row in rows.items()}
    texts = {"config": config, "inner": inner, "betas": {f"{b:g}": v for b, v in tried.items()}}
    texts = {name: json.dumps(value) for name, value in texts.items()}
    np.savez_compressed(asked.target, **texts, **found)
    for key, row in found.items():
        print(f"{key:20s}", row.mean(axis=1).round(3).tolist())


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
