"""The family of MAML in PyTorch: the names of ``family``, gradients by autograd.

Rates are learned by differentiating the very same loss in them, and iMAML's Hessian products are
taken by double backward: again nothing is shared with the NumPy derivation but the objective.
"""

import torch

from .maml_torch import _check_convergence, _inner_loop, _prepare, _query_loss, adapt
from .tasks import check_rate, rate


def meta_sgd_gradient(model, theta, tasks, *, alpha, n_inner_steps=1):
    """Meta-SGD, ``(meta_loss, gradient, alpha_gradient)``; see ``family.meta_sgd_gradient``."""
    if tuple(alpha.shape) != tuple(theta.shape):
        raise ValueError(
            f"alpha has shape {tuple(alpha.shape)}; expected one rate per parameter, "
            f"{tuple(theta.shape)}"
        )
    theta, alpha, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    inputs = theta.requires_grad_(), alpha.clone().requires_grad_()
    theta_prime = _inner_loop(model, inputs[0], tasks, inputs[1], n_inner_steps, create_graph=True)
    meta_loss = _query_loss(model, theta_prime, tasks)
    return meta_loss.detach(), *_gradients(meta_loss, inputs)


def maml_plus_plus_gradient(model, theta, tasks, *, alpha, n_inner_steps, step_weights):
    """Two parts of MAML++; see ``family.maml_plus_plus_gradient``."""
    if tuple(alpha.shape) != (n_inner_steps, 1) or len(step_weights) != n_inner_steps:
        raise ValueError(
            f"alpha has shape {tuple(alpha.shape)} and step_weights {len(step_weights)} entries; "
            f"expected ({n_inner_steps}, 1) and {n_inner_steps}"
        )
    theta, alpha, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    inputs = theta.requires_grad_(), alpha.clone().requires_grad_()
    theta_k, meta_loss = inputs[0].expand(tasks.n_tasks, -1), 0.0
    for k in range(n_inner_steps):
        theta_k = _inner_loop(model, theta_k, tasks, inputs[1][k], 1, create_graph=True)
        meta_loss = meta_loss + step_weights[k] * _query_loss(model, theta_k, tasks)  # (5.5)
    return meta_loss.detach(), *_gradients(meta_loss, inputs)


def imaml_adapt(model, theta, tasks, *, alpha, n_inner_steps=1, lam, anchor=None):
    """The inner loop of iMAML; see ``family.imaml_adapt``."""
    check_rate("lam", lam)
    theta_k = adapt(model, theta, tasks, alpha=alpha, n_inner_steps=0)  # checks, and task axis
    anchor = theta if anchor is None else anchor
    _, alpha, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    for k in range(n_inner_steps):
        gradient = _support_gradient(model, theta_k.requires_grad_(), tasks)
        pull = lam * (theta_k - anchor)
        theta_k = (theta_k - rate(alpha, k) * (gradient + pull)).detach()  # (5.7)
    _check_convergence(theta_k, alpha, n_inner_steps)
    return theta_k


def imaml_gradient(model, theta, tasks, *, alpha, n_inner_steps=1, lam, n_cg_steps=5):
    """iMAML; see ``family.imaml_gradient``."""
    settings = {"alpha": alpha, "n_inner_steps": n_inner_steps, "lam": lam}
    theta_prime = imaml_adapt(model, theta, tasks, **settings).requires_grad_()
    _, _, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    losses = model.loss(theta_prime, tasks.x_query, tasks.y_query)
    (query_gradient,) = torch.autograd.grad(losses.sum(), theta_prime)
    gradient = _support_gradient(model, theta_prime, tasks, create_graph=True)

    def product(v):
        return v + torch.autograd.grad(gradient, theta_prime, v, retain_graph=True)[0] / lam

    v = conjugate_gradient(product, query_gradient, n_cg_steps)  # (5.8)
    return losses.mean().detach(), v.mean(dim=0)


def conjugate_gradient(product, b, n_steps):
    """Solve ``A x = b`` for each row of ``b``; see ``family.conjugate_gradient``."""
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


def _support_gradient(model, theta_k, tasks, create_graph=False):
    losses = model.loss(theta_k, tasks.x_support, tasks.y_support)
    return torch.autograd.grad(losses.sum(), theta_k, create_graph=create_graph)[0]


def _gradients(meta_loss, inputs):
    return torch.autograd.grad(meta_loss, inputs)


def _dot(x, y):
    return (x * y).sum(dim=-1, keepdim=True)
