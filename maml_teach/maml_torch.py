"""MAML and its relatives in PyTorch: the same names as in ``maml``, for any ``nn.Module``.

``maml_gradient`` walks back over the inner steps, so that its memory hardly grows with their
number. ``unrolled_gradient`` is plain autograd through the whole inner loop: slower, and sharing no
derivation with the walk or with the NumPy reference, so that their agreement is evidence for all.
Device and dtype follow ``theta``; arrays in a task are converted to them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .inputs import Array, arrays_in, check_array, check_inner_loop, check_rate, described, rate
from .mlp_torch import MLP, Differentiable, depending
from .module_torch import FromModule, random_state, rates_by_name, replayed
from .paths_torch import from_module, from_module_all_at_once
from .protocols import HasHead, HasLoss, Product, TorchModel
from .pullback_torch import SGD, back, from_start, rule_of
from .rules import Rule
from .second_order_torch import second_order
from .tasks import Task, check_batch, mean_over_lists, needs, rows_over_lists

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

Rates = float | NDArray | Tensor  # alpha: as in ``inputs``, or a tensor


@rows_over_lists(torch.stack)
def adapt(
    model: HasLoss,
    theta: Tensor,
    tasks: Task,
    *,
    alpha: Rates,
    n_inner_steps: int = 1,
    inner: str | Rule = "sgd",
) -> Tensor:
    """The inner loop; see ``maml.adapt``. Returns ``theta_prime`` ``(n_tasks, n_params)``."""
    theta, alpha, tasks = prepare(theta, tasks, alpha, n_inner_steps)
    return _adapted(model, theta, tasks, alpha, n_inner_steps, rule_of(inner))


@mean_over_lists
@second_order
def maml_gradient(
    model: HasLoss,
    theta: Tensor,
    tasks: Task,
    *,
    alpha: Rates,
    n_inner_steps: int = 1,
    inner: str | Rule = "sgd",
) -> tuple[Tensor, Tensor]:
    r"""The exact meta-gradient by a walk back over the inner steps; see ``maml.maml_gradient``.

    The ``theta_k`` of each step are stored and ``H_k v`` is computed again on the way back, except
    for the last ``model.n_kept`` steps, or for all where their graphs are small beside the one
    that the query set needs anyway. A random layer such as dropout draws the same numbers when its
    step is computed again. A model that is not of this engine needs only ``loss`` and goes through
    :func:`unrolled_gradient`.

    Attention takes the one of PyTorch's kernels that can be differentiated twice, and so do
    recurrent layers on a GPU; ``fomaml_gradient`` keeps the faster ones.

    Returns:
        ``(meta_loss, gradient)``: a scalar tensor and a tensor ``(n_params,)``, both detached.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.
        NotImplementedError: If the model has an operation without a second derivative; it names
            the operation and the ways out.
    """
    rule = rule_of(inner)
    if not isinstance(model, Differentiable):
        settings: dict[str, Any] = {"alpha": alpha, "n_inner_steps": n_inner_steps, "inner": rule}
        return unrolled_gradient(model, theta, tasks, **settings)
    plain = rule is SGD
    meta_loss: Any = 0.0
    gradient: Any = 0.0
    with torch.inference_mode(model.by_hand and plain):  # many small steps, none recorded
        theta, alpha, tasks = prepare(theta, tasks, alpha, n_inner_steps)
        start = theta if model.shares_theta and plain else theta.expand(tasks.n_tasks, -1)
        parts = portions(model, start, tasks)
        n_kept = _n_kept(model, tasks, n_inner_steps)
        for theta_0, support, query in parts:
            whole = n_kept >= n_inner_steps and model.keeps_graphs
            through = _through_graph if whole else _through_walk
            losses, v = through(model, theta_0, support, query, alpha, n_inner_steps, n_kept, rule)
            meta_loss, gradient = meta_loss + losses.sum(), gradient + v
    return meta_loss / tasks.n_tasks, gradient / tasks.n_tasks  # (3.7)


def _through_graph(model, theta, support, query, alpha, n_inner_steps, n_kept, rule):
    """Losses of a portion of tasks and the sum of their gradients, from one graph of all steps."""
    theta = theta.detach().requires_grad_()

    def gradient(k: int, theta_k: Tensor, state: tuple) -> Tensor:
        losses = depending(model.portion_loss(theta_k, *support))
        return torch.autograd.grad(losses.sum(), theta_k, create_graph=True)[0]

    theta_prime = inner_loop(theta, gradient, alpha, n_inner_steps, rule)
    check_convergence(theta_prime, alpha, n_inner_steps)
    losses, v = model.loss_and_gradient(theta_prime, *query)  # (3.5)
    if n_inner_steps:
        (v,) = torch.autograd.grad(theta_prime, theta, v)
    return losses, _over_tasks(v)


def _through_walk(model, theta, support, query, alpha, n_inner_steps, n_kept, rule):
    """The same step by step, with the graph of one step at a time."""
    linearize = partial(_linearized, model, support)
    path, theta_prime = walk(model, theta, support, alpha, n_inner_steps, n_kept, rule)
    losses, v = model.loss_and_gradient(theta_prime, *query)  # (3.5)
    return losses, walk_back(linearize, path, v, alpha, rule)


@mean_over_lists
@second_order
def unrolled_gradient(
    model: HasLoss,
    theta: Tensor,
    tasks: Task,
    *,
    alpha: Rates,
    n_inner_steps: int = 1,
    inner: str | Rule = "sgd",
) -> tuple[Tensor, Tensor]:
    """The same by autograd through the inner loop; for any ``model`` that has ``loss``."""
    theta, alpha, tasks = prepare(theta, tasks, alpha, n_inner_steps)
    theta.requires_grad_()
    theta_prime = unrolled(model, theta, tasks, alpha, n_inner_steps, rule_of(inner))
    meta_loss = query_loss(model, theta_prime, tasks)
    return meta_loss.detach(), torch.autograd.grad(meta_loss, theta)[0]


@mean_over_lists
def fomaml_gradient(
    model: HasLoss,
    theta: Tensor,
    tasks: Task,
    *,
    alpha: Rates,
    n_inner_steps: int = 1,
    inner: str | Rule = "sgd",
) -> tuple[Tensor, Tensor]:
    """First-order MAML; see ``maml.fomaml_gradient``."""
    theta, alpha, tasks = prepare(theta, tasks, alpha, n_inner_steps)
    start = theta.expand(tasks.n_tasks, -1)
    meta_loss: Any = 0.0
    gradient: Any = 0.0
    rule = rule_of(inner)
    for theta_0, support, query in portions(model, start, tasks):
        gradient_of = _gradient_of(model, support)
        theta_prime = inner_loop(theta_0, gradient_of, alpha, n_inner_steps, rule)
        check_convergence(theta_prime, alpha, n_inner_steps)
        losses, v = method(model, "loss_and_gradient")(theta_prime, *query)  # (3.5)
        meta_loss, gradient = meta_loss + losses.sum(), gradient + _over_tasks(v)
    return meta_loss / tasks.n_tasks, gradient / tasks.n_tasks  # (3.8)


@mean_over_lists
def reptile_gradient(
    model: HasLoss, theta: Tensor, tasks: Task, *, alpha: float, n_inner_steps: int = 1
) -> tuple[Tensor, Tensor]:
    """Reptile; see ``maml.reptile_gradient``."""
    alpha = check_rate("alpha", alpha)
    theta, alpha, tasks = prepare(theta, tasks, alpha, n_inner_steps)
    theta_prime = _adapted(model, theta, tasks, alpha, n_inner_steps)
    with torch.no_grad():
        meta_loss = query_loss(model, theta_prime, tasks)
    return meta_loss, (theta - theta_prime.mean(dim=0)) / alpha  # (3.9)


@mean_over_lists
@needs("loss", "head")
def anil_gradient(
    model: HasHead, theta: Tensor, tasks: Task, *, alpha: Rates, n_inner_steps: int = 1
) -> tuple[Tensor, Tensor]:
    """ANIL: MAML whose inner loop moves the last layer only; see ``maml.anil_gradient``."""
    check_array("model.head", model.head, Tensor)
    rates = _rates_like(theta, alpha) * model.head.to(theta)  # (5.1)
    return maml_gradient(model, theta, tasks, alpha=rates, n_inner_steps=n_inner_steps)


@mean_over_lists
def joint_gradient(
    model: HasLoss,
    theta: Tensor,
    tasks: Task,
    *,
    alpha: Rates | None = None,
    n_inner_steps: int = 0,
) -> tuple[Tensor, Tensor]:
    """Multi-task baseline, no task is adapted; see ``maml.joint_gradient``."""
    return maml_gradient(model, theta, tasks, alpha=1.0, n_inner_steps=0)


def prepare(
    theta: Tensor, tasks: Task, alpha: Rates, n_inner_steps: int
) -> tuple[Tensor, Any, Task]:
    """Checked arguments: a copy of ``theta``, and rates and tasks as tensors like it."""
    check_batch(tasks)
    check_array("theta", theta, Tensor, holds="f")
    alpha, _ = check_inner_loop(alpha, n_inner_steps, theta.shape[-1])
    if not bool(theta.isfinite().all()):
        raise ValueError("theta must be finite, but holds nan or inf")
    return theta.detach().clone(), _rates_like(theta, alpha), as_tensors(tasks, theta)


def _rates_like(theta: Tensor, alpha: Rates) -> Any:
    """A number as it is, rates as a tensor of the dtype of ``theta`` and on its device."""
    return alpha if np.ndim(alpha) == 0 else _as_tensor(alpha).detach().to(theta)


def as_tensors(tasks: Task, like: Tensor) -> Task:
    """The batch ``tasks`` as tensors on the device of ``like``; floats also of its dtype."""
    if not isinstance(tasks, Task):
        raise ValueError(f"tasks must be a Task, got {described(tasks)}")
    check_array("like", like, Tensor, holds="f")

    def convert(array: Array) -> Tensor:
        tensor = _as_tensor(array).to(like.device)
        return tensor.to(like.dtype) if tensor.is_floating_point() else tensor

    return tasks.map(convert)


def _as_tensor(array: Array) -> Tensor:
    """An array as a tensor, also one that runs backwards or that torch has no dtype for."""
    try:
        return torch.as_tensor(array)
    except (TypeError, ValueError):
        kind = {"f": np.float64, "u": np.int64}.get(array.dtype.kind)
        return torch.as_tensor(np.array(array, kind or array.dtype.newbyteorder("="), order="C"))


def portions(model: HasLoss, start: Tensor, tasks: Task) -> list[tuple]:
    """``(theta, support, query)`` of what goes through the model together, one after the other.

    Support and query are pairs ``(x, y)``; see ``Differentiable.portions``.
    """
    support, query = (tasks.x_support, tasks.y_support), (tasks.x_query, tasks.y_query)
    return method(model, "portions")((start, support, query))


def inner_loop(
    theta: Tensor,
    gradient: Callable[[int, Tensor, tuple], Tensor],
    alpha: Rates,
    n_inner_steps: int,
    rule: Rule = SGD,
) -> Tensor:
    """Where ``n_inner_steps`` steps lead: the one inner loop of this engine.

    Args:
        theta: The start, ``(..., n_params)``.
        gradient: ``gradient(k, theta_k, state)`` answers the support gradient of step ``k``.
        alpha: Inner rate or rates, as in ``maml.adapt``.
        n_inner_steps: Number of inner steps.
        rule: What a step makes of a gradient.

    Returns:
        ``theta_prime``, of the shape that ``theta`` and the gradients have together.
    """
    theta_k, state = theta, rule.init(theta)
    for k in range(n_inner_steps):
        g = gradient(k, theta_k, state)
        theta_k, state = rule.update(theta_k, g, state, rate(alpha, k), k + 1)  # (3.2)
    return theta_k


def _gradient_of(model: HasLoss, support: tuple) -> Callable[[int, Tensor, tuple], Tensor]:
    """The gradient of each inner step, with no graph that outlives it."""
    loss_and_gradient = method(model, "loss_and_gradient")
    return lambda k, theta_k, state: loss_and_gradient(theta_k, *support)[1]


def _adapted(
    model: HasLoss, theta: Tensor, tasks: Task, alpha: Rates, n_inner_steps: int, rule: Rule = SGD
) -> Tensor:
    """``theta_prime`` ``(n_tasks, n_params)``; no graph outlives its step and its portion."""
    start = theta.expand(tasks.n_tasks, theta.shape[-1])
    done = [
        inner_loop(theta_0, _gradient_of(model, support), alpha, n_inner_steps, rule)
        for theta_0, support, _ in portions(model, start, tasks)
    ]
    theta_prime = torch.cat([part.reshape(-1, theta.shape[-1]) for part in done])
    check_convergence(theta_prime, alpha, n_inner_steps)
    return theta_prime


def unrolled(
    model: HasLoss,
    theta: Tensor,
    tasks: Task,
    alpha: Rates,
    n_inner_steps: int,
    rule: Rule = SGD,
) -> Tensor:
    """``theta_prime`` with its graph, back to ``theta`` and ``alpha``."""

    def gradient(k: int, theta_k: Tensor, state: tuple) -> Tensor:
        losses = depending(model.loss(theta_k, tasks.x_support, tasks.y_support))
        return torch.autograd.grad(losses.sum(), theta_k, create_graph=True)[0]

    start = theta.expand(tasks.n_tasks, theta.shape[-1])
    theta_prime = inner_loop(start, gradient, alpha, n_inner_steps, rule)
    check_convergence(theta_prime, alpha, n_inner_steps)
    return theta_prime


def walk(
    model: HasLoss,
    theta: Tensor,
    support: tuple,
    alpha: Rates,
    n_inner_steps: int,
    n_kept: float = 0,
    rule: Rule = SGD,
) -> tuple[list[tuple], Tensor]:
    """The inner steps: for each what :func:`walk_back` needs, and ``theta_prime``."""
    path: list[tuple] = []
    gradient_of = _gradient_of(model, support)

    def gradient(k: int, theta_k: Tensor, state: tuple) -> Tensor:
        if k >= n_inner_steps - n_kept:
            g, product = model.linearize(theta_k, *support)  # type: ignore[attr-defined]
            path.append((theta_k, state, g, product, None))
        else:
            drawn_from = random_state(theta)
            g = gradient_of(k, theta_k, state)
            path.append((theta_k, state, None, None, drawn_from))
        return g

    theta_prime = inner_loop(theta, gradient, alpha, n_inner_steps, rule)
    check_convergence(theta_prime, alpha, n_inner_steps)
    return path, theta_prime


def _n_kept(model: TorchModel, tasks: Task, n_inner_steps: int) -> float:
    """How many of the last inner steps keep their graphs for the way back.

    All, if together they are small beside the query set's graph; else as many as the model says.
    """
    n_shots, n_queries = (arrays_in(x)[0].shape[1] for x in (tasks.x_support, tasks.x_query))
    return n_inner_steps if 2 * n_inner_steps * n_shots <= n_queries else model.n_kept


def _linearized(model: TorchModel, support: tuple, theta_k: Tensor) -> tuple[Tensor, Product]:
    return model.linearize(theta_k, *support)


def walk_back(
    linearize: Callable[[Tensor], tuple[Tensor, Product]],
    path: list[tuple],
    v: Tensor,
    alpha: Rates,
    rule: Rule = SGD,
) -> Tensor:
    """From ``v`` ``(..., n_params)`` at ``theta_prime`` to its sum over tasks at ``theta``.

    ``linearize(theta_k)`` answers the support gradient there and its derivative, as
    ``TorchModel.linearize`` does; it is asked for the steps of ``path`` that have kept neither.
    """
    adjoint: tuple | None = None
    for k in reversed(range(len(path))):
        theta_k, state, g, product, drawn_from = path.pop()
        if product is None:
            with replayed(drawn_from):
                g, product = linearize(theta_k)
        if rule is not SGD:
            adjoint = tuple(map(torch.zeros_like, state)) if adjoint is None else adjoint
            v, u, adjoint = back(rule, v, adjoint, theta_k, g, state, rate(alpha, k), k + 1)
            v = v + product(u)  # (3.23)
        elif theta_k.ndim < v.ndim:  # shared by all tasks, so only the sum is needed
            return v.sum(dim=0) - product(rate(alpha, k) * v, together=True)
        else:
            v = v - product(rate(alpha, k) * v)  # (3.6)
    return _over_tasks(v + from_start(rule, adjoint, theta_k) if adjoint else v)


def _over_tasks(v: Tensor) -> Tensor:
    """The sum over tasks ``(n_params,)``; of a single task, ``v`` itself."""
    return v.sum(dim=0) if v.ndim > 1 else v


def method(model: HasLoss, name: str) -> Callable[..., Any]:
    """The model's own, or that of any model that has ``loss``, by autograd."""
    own = getattr(model, name, None)
    return own or partial(getattr(Differentiable, name), model)


def query_loss(model: HasLoss, theta_prime: Tensor, tasks: Task) -> Tensor:
    """The meta-loss: mean query loss of the tasks at ``theta_prime`` ``(n_tasks, n_params)``."""
    return model.loss(theta_prime, tasks.x_query, tasks.y_query).mean()  # (3.1)


def check_convergence(theta_prime: Tensor, alpha: Rates, n_inner_steps: int) -> None:
    """Require finite parameters after an inner loop; see ``inputs.check_convergence``."""
    if not theta_prime.sum().isfinite():  # one number is looked at sooner than all of them
        _report_divergence(theta_prime.isfinite().all(dim=-1), alpha, n_inner_steps)


def _report_divergence(finite: Tensor, alpha: Any, n_inner_steps: int) -> None:
    if not finite.all():
        shown = alpha if np.ndim(alpha) == 0 else f"{alpha.min():.3g} to {alpha.max():.3g}"
        n_tasks = finite.numel()
        which = f"{int((~finite).sum())} of {n_tasks} tasks" if n_tasks > 1 else "a task"
        raise FloatingPointError(
            f"the inner loop diverged on {which} within "
            f"{n_inner_steps} steps: alpha = {shown} is too large"
        )
