"""Six kinds of differentiable model, each with a small family of tasks that suits it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from ..inputs import check_counts
from ..tasks import Sinusoids, Task


class Kernel(nn.Module):
    """A kernel machine: a sum of Gaussian bumps, whose heights and width are learned."""

    centres: Tensor

    def __init__(self, n_centres: int = 20):
        super().__init__()
        self.register_buffer("centres", torch.linspace(-5, 5, n_centres))
        self.heights = nn.Parameter(0.1 * torch.randn(n_centres, 1))
        self.log_width = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """``(n, 1)`` to ``(n, 1)``."""
        return torch.exp(-(((x - self.centres) / self.log_width.exp()) ** 2)) @ self.heights


class Recurrent(nn.Module):
    """A GRU that reads a sequence; its last state gives the answer."""

    def __init__(self, width: int = 16):
        super().__init__()
        self.reader, self.answer = nn.GRU(1, width, batch_first=True), nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, length, 1)`` to ``(n, 1)``."""
        return self.answer(self.reader(x)[0][:, -1])


class Attention(nn.Module):
    """Softmax attention over a sequence with learned places."""

    def __init__(self, length: int = 6, width: int = 16):
        super().__init__()
        self.embed, self.places = nn.Linear(1, width), nn.Parameter(torch.randn(length, width))
        self.parts, self.answer = nn.Linear(width, 3 * width), nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, length, 1)`` to ``(n, 1)``."""
        q, k, v = self.parts(self.embed(x) + self.places).chunk(3, dim=-1)
        seen = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-1) @ v
        return self.answer(seen.mean(dim=-2))


def mlp() -> nn.Module:
    """The network of the sinusoids."""
    layers = nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)
    return nn.Sequential(*layers)


def conv_net(n_ways: int = 3) -> nn.Module:
    """Two convolutions on images of 8 by 8 pixels."""
    first = nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2)
    second = nn.Conv2d(8, 16, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2)
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(64, n_ways))


@dataclass(frozen=True)
class Echoes:
    """Sequences of noise; the target is a task's own mixture of the first and the last number."""

    length: int = 6

    def sample(self, rng: Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """``x`` ``(n_tasks, n, length, 1)``, ``y`` ``(n_tasks, n, 1)``."""
        check_counts(n_tasks=n_tasks, n_shots=n_shots, n_queries=n_queries)
        first, last = rng.uniform(0.5, 2, size=(2, n_tasks, 1, 1))
        x = rng.standard_normal((n_tasks, n_shots + n_queries, self.length, 1))
        return Task.split(x, first * x[:, :, 0] - last * x[:, :, -1], n_shots)


@dataclass(frozen=True)
class Patterns:
    """Few-shot images: each class of a task is a smooth random pattern, seen through noise."""

    n_ways: int = 3

    def sample(self, rng: Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """``x`` ``(n_tasks, n, 1, 8, 8)``, labels ``(n_tasks, n)``; counts are per task."""
        check_counts(n_tasks=n_tasks, n_shots=n_shots, n_queries=n_queries)
        coarse = rng.standard_normal((n_tasks, self.n_ways, 4, 4))
        patterns = np.kron(coarse, np.ones((2, 2)))
        labels = np.arange(n_shots + n_queries) % self.n_ways
        x = patterns[:, labels] + 0.7 * rng.standard_normal((n_tasks, len(labels), 8, 8))
        return Task.split(x[:, :, None], np.tile(labels, (n_tasks, 1)), n_shots)


@dataclass(frozen=True)
class Borders:
    """Two classes with a straight border, which lies nearly the same way in every task."""

    n_in: int = 4

    def sample(self, rng: Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """``x`` ``(n_tasks, n, n_in)``, labels ``(n_tasks, n)``."""
        check_counts(n_tasks=n_tasks, n_shots=n_shots, n_queries=n_queries)
        normal = np.linspace(2, -2, self.n_in) + rng.standard_normal((n_tasks, 1, self.n_in))
        x = rng.standard_normal((n_tasks, n_shots + n_queries, self.n_in))
        return Task.split(x, (np.sum(normal * x, axis=-1) > 0).astype(int), n_shots)


@dataclass(frozen=True)
class Contestant:
    """A kind of model, the objective and the family it is tried on, and its inner rate."""

    make: Callable[[], nn.Module]
    objective: str
    family: Any
    alpha: float


CONTESTANTS = {
    "MLP": Contestant(mlp, "mse", Sinusoids(), 0.01),
    "convolutions": Contestant(conv_net, "cross_entropy", Patterns(), 0.3),
    "recurrent (GRU)": Contestant(Recurrent, "mse", Echoes(), 0.1),
    "attention": Contestant(Attention, "mse", Echoes(), 0.1),
    "logistic regression": Contestant(lambda: nn.Linear(4, 2), "cross_entropy", Borders(), 0.3),
    "kernel machine": Contestant(Kernel, "mse", Sinusoids(), 0.1),
}
