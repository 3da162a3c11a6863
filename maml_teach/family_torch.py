"""The family of MAML in PyTorch: the names of ``family``, gradients by autograd.

Rates are learned by differentiating the very same loss in them, and iMAML's Hessian products are
taken by double backward: again nothing is shared with the NumPy derivation but the objective.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .inputs import (
    check_array,
    check_callable,
    check_counts,
    check_generator,
    check_learned_rates,
    check_rate,
    check_shape,
    check_step_weights,
)
from .maml_torch import (
    Rates,
    adapt,
    check_convergence,
    inner_loop,
    method,
    portions,
    prepare,
    query_loss,
    unrolled,
    walk,
    walk_back,
)
from .module_torch import random_state, replayed
from .protocols import HasFeatures, HasLoss, Product
from .pullback_torch import rule_of
from .rules import Rule
from .second_order_torch import second_order
from .tasks import Task, mean_over_lists, needs, rows_over_lists


@mean_over_lists
@needs("head", "last_layer", "features")
@second_order
def anil_on_features_gradient(
    model: HasFeatures, theta: Tensor, tasks: Task, *, alpha: Rates, n_inner_steps: int = 1
) -> tuple[Tensor, Tensor]:
    """ANIL whose inner loop stops at the features; see ``family.anil_on_features_gradient``."""
    theta, alpha, tasks = prepare(theta, tasks, alpha, n_inner_steps)
    theta.requires_grad_()
    h, h_query = model.features(theta, tasks.x_support), model.features(theta, tasks.x_query)
    above = Task(h, tasks.y_support, h_query, tasks.y_query)
    last, start = model.last_layer, theta[model.head]
    theta_prime = unrolled(last, start, above, alpha, n_inner_steps)
    meta_loss = query_loss(last, theta_prime, above)
    return meta_loss.detach(), torch.autograd.grad(meta_loss, theta)[0]


@mean_over_lists
def hf_maml_gradient(
    model: HasLoss,
    theta: Tensor,
    tasks: Task,
    *,
    alpha: Rates,
    n_inner_steps: int = 1,
    inner: str | Rule = "sgd",
    step: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Hessian-free MAML; see ``family.hf_maml_gradient``. Needs no second derivative of a model.

    Both gradients of a difference draw the random numbers that their inner step drew.
    """
    rule = rule_of(inner)
    theta, alpha, tasks = prepare(theta, tasks, alpha, n_inner_steps)
    share = (
        max(1e-7, 8 * torch.finfo(theta.dtype).eps) if step is None else check_rate("step", step)
    )
    loss_and_gradient = method(model, "loss_and_gradient")
    start = theta.expand(tasks.n_tasks, -1)
    meta_loss: Any = 0.0
    gradient: Any = 0.0
    for theta_0, support, query in portions(model, start, tasks):
        linearize = partial(_by_differences, loss_and_gradient, support, share)
        path, theta_prime = walk(model, theta_0, support, alpha, n_inner_steps, rule=rule)
        losses, v = loss_and_gradient(theta_prime, *query)
        meta_loss = meta_loss + losses.sum()
        gradient = gradient + walk_back(linearize, path, v, alpha, rule)
    return meta_loss / tasks.n_tasks, gradient / tasks.n_tasks


def _by_differences(
    loss_and_gradient: Callable, support: tuple, share: float, theta_k: Tensor
) -> tuple[Tensor, Product]:
    """The support gradient at ``theta_k``, and products ``H v`` by a central difference."""
    drawn_from = random_state(theta_k)

    def gradient(at: Tensor) -> Tensor:
        with replayed(drawn_from):
            return loss_and_gradient(at, *support)[1]

    def product(v: Tensor) -> Tensor:
        length, norm = (part.norm(dim=-1, keepdim=True) for part in (theta_k, v))
        delta = share * (1 + length) / norm.where(norm > 0, 1)
        ahead, behind = (gradient(theta_k + sign * delta * v) for sign in (1, -1))
        return (ahead - behind) / (2 * delta)  # (5.9)

    return gradient(theta_k), product


@mean_over_lists
def reptile_on_batches_gradient(
    model: HasLoss,
    theta: Tensor,
    tasks: Task,
    *,
    alpha: float,
    n_inner_steps: int = 1,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Reptile with a mini-batch in each step; see ``family.reptile_on_batches_gradient``."""
    alpha = check_rate("alpha", alpha)
    check_generator(rng)
    theta, alpha, tasks = prepare(theta, tasks, alpha, n_inner_steps)
    n_shots = tasks.x_support.shape[1]
    x = torch.cat([tasks.x_support, tasks.x_query], dim=1)
    y = torch.cat([tasks.y_support, tasks.y_query], dim=1)
    theta_k = theta.expand(tasks.n_tasks, -1)
    for _ in range(n_inner_steps):
        order = rng.permuted(np.tile(np.arange(x.shape[1]), (len(x), 1)), axis=1)
        rows = torch.arange(len(x))[:, None], torch.from_numpy(order)
        theta_k = adapt(model, theta_k, Task.split(x[rows], y[rows], n_shots), alpha=alpha)
    with torch.no_grad():
        meta_loss = model.loss(theta_k, x, y).mean()
    return meta_loss, (theta - theta_k.mean(dim=0)) / alpha  # (3.9)


@mean_over_lists
@second_order
def meta_sgd_gradient(
    model: HasLoss, theta: Tensor, tasks: Task, *, alpha: Tensor, n_inner_steps: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """Meta-SGD, ``(meta_loss, gradient, alpha_gradient)``; see ``family.meta_sgd_gradient``."""
    check_learned_rates(alpha, tuple(theta.shape), "one rate per parameter")
    theta, alpha, tasks = prepare(theta, tasks, alpha, n_inner_steps)
    inputs = theta.requires_grad_(), alpha.clone().requires_grad_()
    theta_prime = unrolled(model, inputs[0], tasks, inputs[1], n_inner_steps)
    meta_loss = query_loss(model, theta_prime, tasks)
    return meta_loss.detach(), *_gradients(meta_loss, inputs)


@mean_over_lists
@second_order
def maml_plus_plus_gradient(
    model: HasLoss,
    theta: Tensor,
    tasks: Task,
    *,
    alpha: Tensor,
    n_inner_steps: int,
    step_weights: Sequence[float],
) -> tuple[Tensor, Tensor, Tensor]:
    """Two parts of MAML++; see ``family.maml_plus_plus_gradient``."""
    check_counts(n_inner_steps=n_inner_steps)
    check_learned_rates(alpha, (n_inner_steps, 1), "one row per step")
    step_weights = check_step_weights(step_weights, n_inner_steps)
    theta, alpha, tasks = prepare(theta, tasks, alpha, n_inner_steps)
    inputs = theta.requires_grad_(), alpha.clone().requires_grad_()
    theta_k = inputs[0].expand(tasks.n_tasks, -1)
    meta_loss: Any = 0.0
    for k in range(n_inner_steps):
        theta_k = unrolled(model, theta_k, tasks, inputs[1][k], 1)
        meta_loss = meta_loss + step_weights[k] * query_loss(model, theta_k, tasks)  # (5.5)
    return meta_loss.detach(), *_gradients(meta_loss, inputs)


@rows_over_lists(torch.stack)
def imaml_adapt(
    model: HasLoss,
    theta: Tensor,
    tasks: Task,
    *,
    alpha: Rates,
    n_inner_steps: int = 1,
    lam: float,
    anchor: Tensor | None = None,
) -> Tensor:
    """The inner loop of iMAML; see ``family.imaml_adapt``."""
    lam = check_rate("lam", lam)
    anchor = theta if anchor is None else anchor
    check_array("anchor", anchor, Tensor, holds="f")
    check_shape("anchor", anchor, theta.shape[-1], tasks.n_tasks)
    theta, alpha, tasks = prepare(theta, tasks, alpha, n_inner_steps)

    def gradient(k: int, theta_k: Tensor, state: tuple) -> Tensor:
        here = theta_k.detach().requires_grad_()
        return _support_gradient(model, here, tasks) + lam * (theta_k - anchor)  # (5.7)

    start = theta.expand(tasks.n_tasks, theta.shape[-1])
    theta_prime = inner_loop(start, gradient, alpha, n_inner_steps)
    check_convergence(theta_prime, alpha, n_inner_steps)
    return theta_prime


@mean_over_lists
@second_order
def imaml_gradient(
    model: HasLoss,
    theta: Tensor,
    tasks: Task,
    *,
    alpha: Rates,
    n_inner_steps: int = 1,
    lam: float,
    n_cg_steps: int = 5,
) -> tuple[Tensor, Tensor]:
    """iMAML; see ``family.imaml_gradient``."""
    lam, (n_cg_steps,) = check_rate("lam", lam), check_counts(n_cg_steps=n_cg_steps)
    settings: dict[str, Any] = {"alpha": alpha, "n_inner_steps": n_inner_steps, "lam": lam}
    theta_prime = imaml_adapt(model, theta, tasks, **settings).requires_grad_()
    _, _, tasks = prepare(theta, tasks, alpha, n_inner_steps)
    losses = model.loss(theta_prime, tasks.x_query, tasks.y_query)
    (query_gradient,) = torch.autograd.grad(losses.sum(), theta_prime)
    gradient = _support_gradient(model, theta_prime, tasks, create_graph=True)

    def product(v: Tensor) -> Tensor:
        return v + torch.autograd.grad(gradient, theta_prime, v, retain_graph=True)[0] / lam

    v = conjugate_gradient(product, query_gradient, n_cg_steps)  # (5.8)
    return losses.mean().detach(), v.mean(dim=0)


def conjugate_gradient(product: Callable[[Tensor], Tensor], b: Tensor, n_steps: int) -> Tensor:
    """Solve ``A x = b`` for each row of ``b``; see ``family.conjugate_gradient``."""
    check_callable("product", product)
    check_array("b", b, Tensor, holds="f")
    (n_steps,) = check_counts(n_steps=n_steps)
    x, residual, p = torch.zeros_like(b), b, b
    rr = _dot(b, b)
    going, tiny = rr > 0, torch.finfo(b.dtype).eps ** 2 * rr
    for step in range(n_steps):
        Ap = product(p)
        curvature = _dot(p, Ap)
        if step == 0:
            x = torch.where(curvature > 0, x, b)
        going = going & (curvature > 0) & (rr > tiny)
        length = torch.where(going, rr / curvature.where(going, 1), 0)
        x, residual = x + length * p, residual - length * Ap
        rr, before = _dot(residual, residual), rr
        p = residual + torch.where(going, rr / before.where(going, 1), 0) * p
    return x


def _support_gradient(
    model: HasLoss, theta_k: Tensor, tasks: Task, create_graph: bool = False
) -> Tensor:
    losses = model.loss(theta_k, tasks.x_support, tasks.y_support)
    return torch.autograd.grad(losses.sum(), theta_k, create_graph=create_graph)[0]


def _gradients(meta_loss: Tensor, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    in_theta, in_alpha = torch.autograd.grad(meta_loss, inputs)
    return in_theta, in_alpha


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum(dim=-1, keepdim=True)
