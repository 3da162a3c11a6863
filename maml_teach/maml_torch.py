"""MAML and its relatives in PyTorch: the same names as in ``maml``, for any ``nn.Module``.

The meta-gradient is taken by autograd through the whole inner loop. It shares no derivation
with the NumPy reference, so that the agreement of the two is evidence for both. Device and
dtype follow ``theta``; arrays in a task are converted to them.
"""

import numpy as np
import torch

from .mlp_torch import MLP, FromModule, from_module
from .tasks import Task, check_batch, check_inner_loop, check_rate, rate

__all__ = [
    "MLP",
    "FromModule",
    "adapt",
    "anil_gradient",
    "as_tensors",
    "fomaml_gradient",
    "from_module",
    "joint_gradient",
    "maml_gradient",
    "reptile_gradient",
]


def adapt(model, theta, tasks, *, alpha, n_inner_steps=1):
    """The inner loop; see ``maml.adapt``. Returns ``theta_prime`` ``(n_tasks, n_params)``."""
    theta, alpha, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    return _inner_loop(model, theta, tasks, alpha, n_inner_steps, create_graph=False)


def maml_gradient(model, theta, tasks, *, alpha, n_inner_steps=1):
    """The exact meta-gradient by autograd through the inner loop; see ``maml.maml_gradient``.

    Returns:
        ``(meta_loss, gradient)``: a scalar tensor and a tensor ``(n_params,)``, both detached.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.
    """
    theta, alpha, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    theta.requires_grad_()
    theta_prime = _inner_loop(model, theta, tasks, alpha, n_inner_steps, create_graph=True)
    meta_loss = _query_loss(model, theta_prime, tasks)
    return meta_loss.detach(), torch.autograd.grad(meta_loss, theta)[0]


def fomaml_gradient(model, theta, tasks, *, alpha, n_inner_steps=1):
    """First-order MAML; see ``maml.fomaml_gradient``."""
    theta, alpha, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    theta_prime = _inner_loop(model, theta, tasks, alpha, n_inner_steps, create_graph=False)
    theta_prime.requires_grad_()
    meta_loss = _query_loss(model, theta_prime, tasks)
    return meta_loss.detach(), torch.autograd.grad(meta_loss, theta_prime)[0].sum(dim=0)  # (3.17)


def reptile_gradient(model, theta, tasks, *, alpha, n_inner_steps=1):
    """Reptile; see ``maml.reptile_gradient``."""
    check_rate("alpha", alpha)
    theta, alpha, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    theta_prime = _inner_loop(model, theta, tasks, alpha, n_inner_steps, create_graph=False)
    with torch.no_grad():
        meta_loss = _query_loss(model, theta_prime, tasks)
    return meta_loss, (theta - theta_prime.mean(dim=0)) / alpha  # (3.18)


def anil_gradient(model, theta, tasks, *, alpha, n_inner_steps=1):
    """ANIL: MAML whose inner loop moves the last layer only; see ``maml.anil_gradient``."""
    rates = alpha * model.head.to(theta)  # (5.1)
    return maml_gradient(model, theta, tasks, alpha=rates, n_inner_steps=n_inner_steps)


def joint_gradient(model, theta, tasks, *, alpha=None, n_inner_steps=0):
    """Multi-task baseline, nobody adapts; see ``maml.joint_gradient``."""
    return maml_gradient(model, theta, tasks, alpha=1.0, n_inner_steps=0)


def _prepare(theta, tasks, alpha, n_inner_steps):
    """Checked arguments: a copy of ``theta``, and rates and tasks as tensors like it."""
    check_batch(tasks)
    check_inner_loop(alpha, n_inner_steps, theta.shape[-1])
    if not torch.is_floating_point(theta) or not bool(theta.isfinite().all()):
        raise ValueError(f"theta must be finite and of a float dtype, got {theta.dtype}")
    rates = alpha if np.ndim(alpha) == 0 else torch.as_tensor(alpha).detach().to(theta)
    return theta.detach().clone(), rates, as_tensors(tasks, theta)


def as_tensors(tasks, like):
    """The batch ``tasks`` as tensors on the device of ``like``; floats also of its dtype."""

    def convert(array):
        tensor = torch.as_tensor(array, device=like.device)
        return tensor.to(like.dtype) if tensor.is_floating_point() else tensor

    return Task(*map(convert, (tasks.x_support, tasks.y_support, tasks.x_query, tasks.y_query)))


def _inner_loop(model, theta, tasks, alpha, n_inner_steps, *, create_graph):
    theta_k = theta.expand(tasks.n_tasks, theta.shape[-1])
    for k in range(n_inner_steps):
        if not create_graph:
            theta_k = theta_k.detach().requires_grad_()
        losses = model.loss(theta_k, tasks.x_support, tasks.y_support)
        (gradient,) = torch.autograd.grad(losses.sum(), theta_k, create_graph=create_graph)
        theta_k = theta_k - rate(alpha, k) * gradient  # (3.2)
    _check_convergence(theta_k, alpha, n_inner_steps)
    return theta_k if create_graph else theta_k.detach()


def _query_loss(model, theta_prime, tasks):
    return model.loss(theta_prime, tasks.x_query, tasks.y_query).mean()  # (3.1)


def _check_convergence(theta_prime, alpha, n_inner_steps):
    finite = theta_prime.isfinite().all(dim=-1)
    if not finite.all():
        shown = alpha if np.ndim(alpha) == 0 else f"{alpha.min():.3g} to {alpha.max():.3g}"
        raise FloatingPointError(
            f"the inner loop diverged on {int((~finite).sum())} of {finite.numel()} tasks within "
            f"{n_inner_steps} steps: alpha = {shown} is too large"
        )
