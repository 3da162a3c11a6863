"""The paper's sinusoid training, all 70,000 outer steps, on one core, and its test error.

    OMP_NUM_THREADS=1 python scripts/train_paper.py          # about a minute

The settings are those of Finn et al. (2017), section 5.1, and of the official code; the gradient is
exact, in float32, from ``maml_teach.lean``. Seed 0. Prints the time and the MSE of 600 test tasks.
"""

import argparse
import time

import numpy as np
from train_starts import MODEL, judge, paper_init

from maml_teach import lean
from maml_teach.tasks import Sinusoids
from maml_teach.train import MetaConfig, meta_train


def main():
    """Train, time and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-meta-steps", type=int, default=MetaConfig().n_meta_steps)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    theta, config = (
        paper_init(rng).astype(np.float32),
        MetaConfig(n_meta_steps=options.n_meta_steps),
    )
    start = time.perf_counter()
    run = meta_train(MODEL, theta, Sinusoids(), config, rng=rng, gradient=lean.maml_gradient)
    seconds = time.perf_counter() - start
    print(f"{config.n_meta_steps} outer steps in {seconds:.1f} s")
    losses = judge(run.theta.astype(float))
    for k in (0, 1, 5, 10):
        half = 1.96 * losses[:, k].std(ddof=1) / np.sqrt(len(losses))
        print(f"test MSE after {k:2d} steps: {losses[:, k].mean():.3f} ± {half:.3f} over tasks")


if __name__ == "__main__":
    main()
