"""MAML and its relatives in PyTorch: the same names as in ``maml``, for any ``nn.Module``.

``maml_gradient`` walks back over the inner steps, so that its memory hardly grows with their
number. ``unrolled_gradient`` is plain autograd through the whole inner loop: slower, and sharing no
derivation with the walk or with the NumPy reference, so that their agreement is evidence for all.
Device and dtype follow ``theta``; arrays in a task are converted to them.
"""

from contextlib import contextmanager
from functools import partial

import numpy as np
import torch

from .mlp_torch import MLP, Differentiable
from .module_torch import FromModule, from_module, from_module_all_at_once, rates_by_name
from .tasks import arrays_in, check_batch, check_inner_loop, check_rate, rate

__all__ = [
    "MLP",
    "FromModule",
    "adapt",
    "anil_gradient",
    "as_tensors",
    "fomaml_gradient",
    "from_module",
    "from_module_all_at_once",
    "joint_gradient",
    "maml_gradient",
    "rates_by_name",
    "reptile_gradient",
    "unrolled_gradient",
]


def adapt(model, theta, tasks, *, alpha, n_inner_steps=1):
    """The inner loop; see ``maml.adapt``. Returns ``theta_prime`` ``(n_tasks, n_params)``."""
    theta, alpha, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    return _adapted(model, theta, tasks, alpha, n_inner_steps)


def maml_gradient(model, theta, tasks, *, alpha, n_inner_steps=1):
    r"""The exact meta-gradient by a walk back over the inner steps; see ``maml.maml_gradient``.

    The ``theta_k`` of each step are stored and ``H_k v`` is computed again on the way back, except
    for the last ``model.n_kept`` steps, or for all where their graphs are small beside the one
    that the query set needs anyway. A module's tasks go one after the other. A random layer such
    as dropout draws the same numbers when its step is computed again. A model that is not of this
    engine needs only ``loss`` and goes through :func:`unrolled_gradient`.

    Returns:
        ``(meta_loss, gradient)``: a scalar tensor and a tensor ``(n_params,)``, both detached.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.
    """
    if not isinstance(model, Differentiable):
        return unrolled_gradient(model, theta, tasks, alpha=alpha, n_inner_steps=n_inner_steps)
    meta_loss, gradient = 0.0, 0.0
    with torch.inference_mode(model.by_hand):  # many small steps, and none of them recorded
        theta, alpha, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
        for some in _portions(model, tasks):
            path, theta_prime = _walk(model, theta, some, alpha, n_inner_steps)
            losses, v = _query(model, theta_prime, some)
            meta_loss = meta_loss + losses.sum()
            gradient = gradient + _walk_back(model, path, v, some, alpha)
    return meta_loss / tasks.n_tasks, gradient / tasks.n_tasks  # (3.7)


def unrolled_gradient(model, theta, tasks, *, alpha, n_inner_steps=1):
    """The same by autograd through the inner loop; for any ``model`` that has ``loss``."""
    theta, alpha, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    theta.requires_grad_()
    theta_prime = _inner_loop(model, theta, tasks, alpha, n_inner_steps, create_graph=True)
    meta_loss = _query_loss(model, theta_prime, tasks)
    return meta_loss.detach(), torch.autograd.grad(meta_loss, theta)[0]


def fomaml_gradient(model, theta, tasks, *, alpha, n_inner_steps=1):
    """First-order MAML; see ``maml.fomaml_gradient``."""
    theta, alpha, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    meta_loss, gradient = 0.0, 0.0
    for some in _portions(model, tasks):
        theta_prime = _adapted(model, theta, some, alpha, n_inner_steps)
        losses, v = _query(model, theta_prime, some)
        meta_loss, gradient = meta_loss + losses.sum(), gradient + v.sum(dim=0)
    return meta_loss / tasks.n_tasks, gradient / tasks.n_tasks  # (3.17)


def reptile_gradient(model, theta, tasks, *, alpha, n_inner_steps=1):
    """Reptile; see ``maml.reptile_gradient``."""
    check_rate("alpha", alpha)
    theta, alpha, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    theta_prime = _adapted(model, theta, tasks, alpha, n_inner_steps)
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

    return tasks.map(convert)


def _portions(model, batch):
    """A batch in portions of one if the model wants tasks one by one; else the batch itself."""
    if not getattr(model, "one_by_one", False):
        return [batch]
    if torch.is_tensor(batch):
        return batch.split(1)
    return [batch.select(slice(t, t + 1)) for t in range(batch.n_tasks)]


def _adapted(model, theta, tasks, alpha, n_inner_steps):
    """``theta_prime`` ``(n_tasks, n_params)``; no graph outlives its step and its portion."""
    starts = theta.expand(tasks.n_tasks, theta.shape[-1])
    done = []
    for theta_k, some in zip(_portions(model, starts), _portions(model, tasks), strict=True):
        for k in range(n_inner_steps):
            gradient = _support(model, "loss_and_gradient", theta_k, some)[1]
            theta_k = _moved(theta_k, gradient, rate(alpha, k))
        done.append(theta_k)
    theta_prime = torch.cat(done)
    _check_convergence(theta_prime, alpha, n_inner_steps)
    return theta_prime


def _walk(model, theta, tasks, alpha, n_inner_steps):
    """The inner steps: for each what ``_walk_back`` needs, and ``theta_prime``."""
    theta_k, path = theta if model.shares_theta else theta.expand(tasks.n_tasks, -1), []
    n_kept = _n_kept(model, tasks, n_inner_steps)
    for k in range(n_inner_steps):
        random_state, product = None, None
        if k >= n_inner_steps - n_kept:
            gradient, product = _support(model, "linearize", theta_k, tasks)
        else:
            random_state = _random_state(theta)
            _, gradient = _support(model, "loss_and_gradient", theta_k, tasks)
        path.append((theta_k, product, random_state))
        theta_k = _moved(theta_k, gradient, rate(alpha, k))
    theta_prime = theta_k.expand(tasks.n_tasks, -1)
    _check_convergence(theta_prime, alpha, n_inner_steps)
    return path, theta_prime


def _moved(theta, gradient, alpha):
    """``theta - alpha * gradient``; in one go over memory if ``alpha`` is a number."""
    if np.isscalar(alpha):
        return torch.sub(theta, gradient, alpha=alpha)
    return theta - alpha * gradient


def _n_kept(model, tasks, n_inner_steps):
    """How many of the last inner steps keep their graphs for the way back.

    All, if together they are small beside the query set's graph; else as many as the model says.
    """
    n_shots, n_queries = (arrays_in(x)[0].shape[1] for x in (tasks.x_support, tasks.x_query))
    return n_inner_steps if 2 * n_inner_steps * n_shots <= n_queries else model.n_kept


def _walk_back(model, path, v, tasks, alpha):
    """From ``v`` ``(n_tasks, n_params)`` at ``theta_prime`` to its sum over tasks at ``theta``."""
    for k in reversed(range(len(path))):
        theta_k, product, random_state = path.pop()
        if product is None:
            with _replayed(random_state):
                product = _support(model, "linearize", theta_k, tasks)[1]
        if theta_k.ndim == 1:  # shared by all tasks, so only the sum is needed
            return v.sum(dim=0) - product(rate(alpha, k) * v, together=True)
        v = v - product(rate(alpha, k) * v)  # (3.6)
    return v.sum(dim=0)


def _random_state(like):
    """State of the generators that a layer may draw from, on the CPU and on the device."""
    on_gpu = like.device if like.is_cuda else None
    return torch.get_rng_state(), on_gpu, on_gpu and torch.cuda.get_rng_state(on_gpu)


@contextmanager
def _replayed(random_state):
    """Draw once more what was drawn from ``random_state`` on; the generators do not notice."""
    cpu, on_gpu, gpu = random_state
    with torch.random.fork_rng(devices=[on_gpu] if on_gpu else []):
        torch.set_rng_state(cpu)
        if on_gpu:
            torch.cuda.set_rng_state(gpu, on_gpu)
        yield


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


def _support(model, method, theta_k, tasks):
    return _method(model, method)(theta_k, tasks.x_support, tasks.y_support)


def _query(model, theta_prime, tasks):
    """Query losses ``(n_tasks,)`` and their gradients ``(n_tasks, n_params)``."""
    return _method(model, "loss_and_gradient")(theta_prime, tasks.x_query, tasks.y_query)  # (3.5)


def _method(model, name):
    """The model's own, or by autograd from its ``loss``."""
    own = getattr(model, name, None)
    return own or partial(getattr(Differentiable, name), model)


def _query_loss(model, theta_prime, tasks):
    return model.loss(theta_prime, tasks.x_query, tasks.y_query).mean()  # (3.1)


def _check_convergence(theta_prime, alpha, n_inner_steps):
    if not theta_prime.sum().isfinite():  # one number is looked at sooner than all of them
        _report_divergence(theta_prime.isfinite().all(dim=-1), alpha, n_inner_steps)


def _report_divergence(finite, alpha, n_inner_steps):
    if not finite.all():
        shown = alpha if np.ndim(alpha) == 0 else f"{alpha.min():.3g} to {alpha.max():.3g}"
        n_tasks = finite.numel()
        which = f"{int((~finite).sum())} of {n_tasks} tasks" if n_tasks > 1 else "a task"
        raise FloatingPointError(
            f"the inner loop diverged on {which} within "
            f"{n_inner_steps} steps: alpha = {shown} is too large"
        )
