"""What the chapter *claims* measures: other waves, the spread of meta-gradients, kept features."""

from dataclasses import dataclass

import numpy as np

from .maml import adapt
from .mlp import MLP
from .tasks import Sinusoids, Task, check_counts


@dataclass(frozen=True)
class Waves:
    """The paper's sinusoids with another frequency, or with support and query sets apart.

    The same ``rng`` gives the same amplitudes, phases and places within the ranges whatever the
    frequency, so that two families can be compared wave by wave.

    Args:
        frequency: Of all waves, ``y = amplitude * sin(frequency * x - phase)``.
        x_support: Range of the support inputs.
        x_query: Range of the query inputs.

    Raises:
        ValueError: If the frequency is not positive or a range is empty.

    >>> tasks = Waves(frequency=2).sample(np.random.default_rng(0), 3, n_shots=5, n_queries=10)
    >>> tasks.x_support.shape, tasks.y_query.shape
    ((3, 5, 1), (3, 10, 1))
    """

    frequency: float = 1.0
    x_support: tuple[float, float] = Sinusoids.x
    x_query: tuple[float, float] = Sinusoids.x

    def __post_init__(self):
        if not 0 < self.frequency < np.inf:
            raise ValueError(f"frequency must be positive and finite, got {self.frequency}")
        for name in ("x_support", "x_query"):
            low, high = getattr(self, name)
            if not -np.inf < low < high < np.inf:
                raise ValueError(f"{name} must be a range (low, high), got {(low, high)}")

    def sample(self, rng, n_tasks, n_shots, n_queries):
        """A batch of ``n_tasks`` waves with ``n_shots`` support and ``n_queries`` query points."""
        check_counts(n_tasks=n_tasks, n_shots=n_shots, n_queries=n_queries)
        amplitude = rng.uniform(*Sinusoids.amplitude, size=(n_tasks, 1, 1))
        phase = rng.uniform(*Sinusoids.phase, size=(n_tasks, 1, 1))
        x_support = rng.uniform(*self.x_support, size=(n_tasks, n_shots, 1))
        x_query = rng.uniform(*self.x_query, size=(n_tasks, n_queries, 1))
        y_support, y_query = (
            amplitude * np.sin(self.frequency * x - phase) for x in (x_support, x_query)
        )
        return Task(x_support, y_support, x_query, y_query)


def task_gradients(model, theta, tasks, *, alpha):
    """Each task's own meta-gradient for one inner step, by MAML and by FOMAML.

    Args:
        model: Anything with ``gradient`` and ``hvp``.
        theta: The start, ``(n_params,)``.
        tasks: A batch of tasks.
        alpha: Inner learning rate.

    Returns:
        ``(maml, fomaml)``, each ``(n_tasks, n_params)``; their means over tasks are what
        ``maml_gradient`` and ``fomaml_gradient`` answer.
    """
    theta_prime = adapt(model, theta, tasks, alpha=alpha)
    v = model.gradient(theta_prime, tasks.x_query, tasks.y_query)
    return v - alpha * model.hvp(theta, v, tasks.x_support, tasks.y_support), v


def spread(gradients):
    """Standard deviation over tasks of a vector: root of the summed variances of its entries."""
    return np.sqrt(gradients.var(axis=0, ddof=1).sum())


def largest_curvature(model, theta, tasks, *, rng, n_steps=40):
    """Largest eigenvalue of each task's support Hessian at ``theta``, by power iteration.

    Args:
        model: Anything with ``hvp``.
        theta: ``(n_params,)``.
        tasks: A batch of tasks.
        rng: Draws the vectors to begin with.
        n_steps: Products with the Hessian.

    Returns:
        ``(n_tasks,)``: of the eigenvalue that is largest in size, with its sign.
    """
    v = rng.standard_normal((tasks.n_tasks, theta.size)).astype(theta.dtype)
    for _ in range(n_steps):
        v = v / np.linalg.norm(v, axis=1, keepdims=True)
        product = model.hvp(theta, v, tasks.x_support, tasks.y_support)
        curvature, v = np.sum(v * product, axis=1), product
    return curvature


def layer_outputs(model, theta, x):
    """Outputs of the hidden layers and of the last one, for an :class:`~maml_teach.mlp.MLP`.

    Returns:
        A list of arrays ``(..., n, width)``.
    """
    outputs = []
    for depth in range(2, len(model.sizes) + 1):
        part = MLP(model.sizes[:depth])
        outputs.append(part.predict(theta[..., : part.n_params], x))
    return [np.maximum(z, 0) for z in outputs[:-1]] + outputs[-1:]


def cka(one, two):
    """Linear CKA of two layers' outputs on the same inputs: 1 if one is the other turned.

    Args:
        one: ``(..., n, width)``.
        two: ``(..., n, another width)``.

    Returns:
        Numbers from 0 to 1, ``(...)``.

    Source:
        Kornblith et al. (2019), *Similarity of neural network representations revisited*.
    """
    one, two = (z - z.mean(axis=-2, keepdims=True) for z in (one, two))
    across, within, other = (
        np.sum((p.mT @ q) ** 2, axis=(-2, -1)) for p, q in ((one, two), (one, one), (two, two))
    )
    return across / np.sqrt(within * other)


def probe(features, curve):
    """How well a linear combination of features and a constant follows a curve.

    It is fitted at every second point and judged at those in between.

    Args:
        features: ``(n, width)``, at inputs in order.
        curve: ``(n,)``.

    Returns:
        R² at the points in between.
    """
    columns = np.column_stack([features, np.ones(len(features))])
    weights = np.linalg.lstsq(columns[::2], curve[::2])[0]
    residual = columns[1::2] @ weights - curve[1::2]
    return 1 - np.mean(residual**2) / np.var(curve[1::2])
