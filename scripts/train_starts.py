"""Train the starts that the Playground compares, with the settings of the MAML paper.

    python scripts/train_starts.py            # about 10 minutes on one CPU core

For each seed, MAML and the baseline that is pretrained on all tasks are trained for 70,000
outer steps (Finn et al. 2017, section 5.1; outer rate, batch and number of steps from the official
code) from the official initialisation. Each is then judged on the same 600 test tasks with 5
support points. The starts of the first seed and the test losses of all seeds are written to
maml_teach/data/sinusoid_starts.npz.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from maml_teach.maml import joint_gradient, maml_gradient
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids
from maml_teach.train import MetaConfig, evaluate, meta_train

MODEL = MLP((1, 40, 40, 1))
TARGET = Path(__file__).parent.parent / "maml_teach" / "data" / "sinusoid_starts.npz"
GRADIENTS = {"pretrained": joint_gradient, "maml": maml_gradient}
N_STEPS, N_TEST_TASKS, TEST_SEED = 10, 600, 12345


def paper_init(rng):
    """Weights from a normal of deviation 0.01 cut at two deviations, biases zero."""
    blocks = []
    for n_in, n_out in zip(MODEL.sizes[:-1], MODEL.sizes[1:], strict=True):
        weights = rng.standard_normal(n_in * n_out)
        while (outside := np.abs(weights) > 2).any():
            weights[outside] = rng.standard_normal(outside.sum())
        blocks += [0.01 * weights, np.zeros(n_out)]
    return np.concatenate(blocks)


def train(name, seed, n_meta_steps):
    """The start ``name`` after meta-training from ``seed``."""
    rng = np.random.default_rng(seed)
    config = MetaConfig(n_meta_steps=n_meta_steps)
    gradient = GRADIENTS[name]
    return meta_train(MODEL, paper_init(rng), Sinusoids(), config, rng=rng, gradient=gradient).theta


def judge(theta):
    """5-shot test MSE of 600 tasks after 0 to 10 steps, ``(600, 11)``; no training saw them."""
    rng = np.random.default_rng(TEST_SEED)
    tasks = Sinusoids().sample(rng, N_TEST_TASKS, n_shots=5, n_queries=100)
    return evaluate(MODEL, theta, tasks, alpha=0.01, n_inner_steps=N_STEPS).losses


def main():
    """Train, judge and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--n-meta-steps", type=int, default=MetaConfig().n_meta_steps)
    parser.add_argument("--target", type=Path, default=TARGET)
    options = parser.parse_args()
    starts, mse = {"random": MODEL.init(np.random.default_rng(options.seeds[0]))}, {}
    for name in GRADIENTS:
        thetas = [train(name, seed, options.n_meta_steps) for seed in options.seeds]
        starts[name] = thetas[0]
        losses = np.array([judge(theta) for theta in thetas])  # (n_seeds, n_test_tasks, 11)
        mse[f"mse_{name}"] = losses.astype(np.float32)
    settings = {
        "made_by": "scripts/train_starts.py",
        "seeds": options.seeds,
        "config": asdict(MetaConfig(n_meta_steps=options.n_meta_steps)),
        "sizes": MODEL.sizes,
        "test": {"n_tasks": N_TEST_TASKS, "n_shots": 5, "n_queries": 100, "seed": TEST_SEED},
    }
    options.target.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        options.target,
        settings=json.dumps(settings),
        **{name: theta.astype(np.float32) for name, theta in starts.items()},
        **mse,
    )
    for name, losses in mse.items():
        for what in (np.mean, np.median):
            value = what(losses, axis=1)[:, [1, 5, 10]].round(3).tolist()
            print(f"{name}, {what.__name__} over tasks after 1, 5, 10 steps, by seed: {value}")


if __name__ == "__main__":
    main()
