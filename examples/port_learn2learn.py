"""learn2learn's sinusoid example, written with this package: a module, a loss, any optimiser.

Usage: python examples/port_learn2learn.py [n_meta_steps]
"""

import sys

import numpy as np
import torch
from torch import nn, optim

from maml_teach import maml_torch
from maml_teach.tasks import Sinusoids


class SineModel(nn.Module):
    """Three linear layers with ReLU between them."""

    def __init__(self, dim):
        super().__init__()
        self.hidden1 = nn.Linear(1, dim)
        self.hidden2 = nn.Linear(dim, dim)
        self.hidden3 = nn.Linear(dim, 1)

    def forward(self, x):
        """Outputs ``(n, 1)`` for inputs ``x`` ``(n, 1)``."""
        x = nn.functional.relu(self.hidden1(x))
        x = nn.functional.relu(self.hidden2(x))
        return self.hidden3(x)


def main(
    shots=10, tasks_per_batch=16, n_meta_steps=10_000, adapt_lr=0.01, meta_lr=0.001, adapt_steps=5
):
    """Meta-train, print the meta-loss now and then, and return the trained module."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rng, net = np.random.default_rng(0), SineModel(dim=32)
    model = maml_torch.from_module(net, nn.MSELoss())
    optimizer = optim.Adam(net.parameters(), meta_lr)
    for step in range(n_meta_steps):
        tasks = Sinusoids().sample(rng, tasks_per_batch, shots, shots)
        meta_loss, gradient = maml_torch.maml_gradient(
            model, model.theta(), tasks, alpha=adapt_lr, n_inner_steps=adapt_steps
        )
        if step % 100 == 0:
            print("step", step, "meta-loss", float(meta_loss))
        model.set_grad(gradient)
        optimizer.step()
    return net


if __name__ == "__main__":
    main(n_meta_steps=int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
