"""What the book measures, for any module: the largest curvature, by products of autograd."""

import torch
from torch import Tensor

from .inputs import check_counts
from .maml_torch import prepare
from .mlp_torch import Differentiable
from .tasks import Task


def largest_curvature(
    model: Differentiable,
    theta: Tensor,
    tasks: Task,
    *,
    generator: torch.Generator,
    n_steps: int = 40,
) -> Tensor:
    """Largest eigenvalue of each task's support Hessian at ``theta``, by power iteration.

    The same as ``measures.largest_curvature``, on tensors. A module whose tasks go through it one
    after the other holds the graph of one of them at a time.

    Args:
        model: What ``module_torch.from_module`` makes, or ``mlp_torch.MLP``: anything with ``hvp``
            and ``portions``.
        theta: ``(n_params,)``, or one for each task, ``(n_tasks, n_params)``; float.
        tasks: A batch of tasks, arrays or tensors.
        generator: Draws the vectors to begin with.
        n_steps: Products with the Hessian.

    Returns:
        ``(n_tasks,)``: of the eigenvalue that is largest in size, with its sign.

    Raises:
        ValueError: If the model has no ``hvp``, ``tasks`` is no batch, ``theta`` is not finite or
            ``n_steps`` is not a positive integer.

    >>> from maml_teach.maml_torch import from_module
    >>> model = from_module(torch.nn.Linear(1, 1), "mse")  # curvature 2 along the intercept
    >>> x, theta = torch.zeros(3, 5, 1), model.theta()
    >>> generator = torch.Generator().manual_seed(0)
    >>> largest_curvature(model, theta, Task(x, x, x, x), generator=generator)
    tensor([2., 2., 2.])
    """
    check_counts(n_steps=n_steps)
    if not isinstance(model, Differentiable):
        raise ValueError(f"model has no hvp: wrap it by from_module, got {type(model).__name__}")
    start, _, tasks = prepare(theta, tasks, 1.0, 0)
    start = start.expand(tasks.n_tasks, -1)
    drawn = torch.randn(start.shape, generator=generator, device=generator.device)
    parts = start, (tasks.x_support, tasks.y_support), drawn.to(start)
    found = [_by_power(model, portion, n_steps) for portion in model.portions(parts)]
    return torch.cat([curvature.reshape(-1) for curvature in found])


def _by_power(model: Differentiable, portion: tuple, n_steps: int) -> Tensor:
    """Of one portion, parameters, support set and vector: a number, or one for each task."""
    theta, support, v = portion
    curvature, least = v[..., 0], torch.finfo(v.dtype).tiny
    for _ in range(n_steps):
        v = v / v.norm(dim=-1, keepdim=True).clamp_min(least)  # a loss without curvature leaves 0
        product = model.hvp(theta, v, *support)
        curvature, v = (v * product).sum(dim=-1), product
    return curvature
