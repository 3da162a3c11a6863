"""MAML and its relatives in NumPy, one line of code per equation of the derivation chapter.

Every function takes any ``model`` with ``loss``, ``gradient`` and ``hvp`` on a flat ``theta``
(``mlp.MLP`` is one) and a batch of tasks; none loops over tasks.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from .inputs import (
    Rates,
    check_convergence,
    check_inner_loop,
    check_model,
    check_rate,
    check_shape,
    check_theta,
    rate,
)
from .protocols import HasGradient, HasHead, Model
from .rules import SGD, Rule, chosen
from .tasks import Task, check_batch, check_tasks_for, mean_over_lists, needs, rows_over_lists

InnerStep = tuple[NDArray, NDArray, tuple]  # theta_k, its support gradient, the rule's state


@rows_over_lists(np.stack)
@needs("gradient")
def adapt(
    model: HasGradient,
    theta: NDArray,
    tasks: Task,
    *,
    alpha: Rates,
    n_inner_steps: int = 1,
    inner: str | Rule = "sgd",
) -> NDArray:
    r"""The inner loop: ``n_inner_steps`` of gradient descent on each task's support set.

    .. math:: \theta_{k+1} = \theta_k - \alpha \nabla L^S(\theta_k)

    and ``theta_prime`` is the last of them.

    Args:
        model: Anything with ``gradient(theta, x, y)``.
        theta: The start, ``(n_params,)``, or one start per task, ``(n_tasks, n_params)``.
        tasks: A batch of tasks, or a list of single tasks, which may be of different sizes.
        alpha: Inner learning rate, a positive number; or learned rates: one per parameter,
            ``(n_params,)``, or one row per step, ``(n_steps, 1)`` or ``(n_steps, n_params)``,
            whose last row serves all further steps.
        n_inner_steps: Number of inner steps, at least 0.
        inner: How a step follows from a gradient: ``"sgd"`` as above, ``"momentum"``, ``"adam"``,
            or a :class:`~maml_teach.rules.Rule`.

    Returns:
        ``theta_prime``, shape ``(n_tasks, n_params)``.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.

    Source:
        Finn et al. (2017), equation (1) and Algorithm 2, line 6.

    >>> from maml_teach.mlp import MLP
    >>> from maml_teach.tasks import Sinusoids
    >>> rng = np.random.default_rng(0)
    >>> model, tasks = MLP((1, 40, 40, 1)), Sinusoids().sample(rng, 25, 10, 10)
    >>> adapt(model, model.init(rng), tasks, alpha=0.01, n_inner_steps=5).shape
    (25, 1761)
    """
    return inner_path(model, theta, tasks, alpha, n_inner_steps, chosen(inner, "inner"))[-1]


@mean_over_lists
@needs("loss", "gradient", "hvp")
def maml_gradient(
    model: Model,
    theta: NDArray,
    tasks: Task,
    *,
    alpha: Rates,
    n_inner_steps: int = 1,
    inner: str | Rule = "sgd",
) -> tuple[float, NDArray]:
    r"""The exact meta-gradient, second order, for any number of inner steps.

    .. math:: v_K = \nabla L^Q(\theta_K), \qquad v_k = v_{k+1} - \alpha H_k v_{k+1}

    and the mean of :math:`v_0` over tasks, where :math:`H_k` is the Hessian of the support loss
    at :math:`\theta_k`. Only products ``H v`` are formed, never ``H``.

    Args:
        model: Anything with ``loss``, ``gradient`` and ``hvp``.
        theta: The shared start, ``(n_params,)``.
        tasks: A batch of tasks, or a list of single tasks, which may be of different sizes.
        alpha: Inner learning rate, as in :func:`adapt`.
        n_inner_steps: Number of inner steps, at least 0.
        inner: The rule of the inner loop, as in :func:`adapt`. Rules that are not ``"sgd"`` go
            back through their state as well, see :func:`gradient_through_rule`.

    Returns:
        ``(meta_loss, gradient)``: the mean query loss at ``theta_prime``, and its gradient in
        ``theta``, ``(n_params,)``.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.

    Source:
        Finn et al. (2017), Algorithm 2, line 10.
    """
    rule = chosen(inner, "inner")
    if rule is not SGD:
        return gradient_through_rule(model, theta, tasks, alpha, n_inner_steps, rule)
    path = inner_path(model, theta, tasks, alpha, n_inner_steps)
    meta_loss, v = query_gradient(model, path[-1], tasks)
    for k in reversed(range(n_inner_steps)):
        v = v - model.hvp(path[k], rate(alpha, k) * v, tasks.x_support, tasks.y_support)  # (3.6)
    return meta_loss, v.mean(axis=0)  # (3.7)


def gradient_through_rule(
    model: Model, theta: NDArray, tasks: Task, alpha: Rates, n_inner_steps: int, rule: Rule
) -> tuple[float, NDArray]:
    r"""The exact meta-gradient where a step keeps a state, such as momentum.

    .. math:: (\bar\theta_k, \bar g_k, \bar s_k) = U_k^\top (v_{k+1}, \bar s_{k+1}),
              \qquad v_k = \bar\theta_k + H_k \bar g_k

    where :math:`U_k` is the derivative of the rule's update, and the adjoint of the state begins
    at zero. With plain descent the first equation gives :math:`v_{k+1}` and
    :math:`-\alpha v_{k+1}`, and this is :func:`maml_gradient`.

    Raises:
        ValueError: Also if ``rule`` has no ``back``, or starts from a state that depends on
            ``theta``.
    """
    check_model(model, ["loss", "gradient", "hvp"], np.ndarray)
    check_shape("theta", check_theta(theta), getattr(model, "n_params", None))
    back = _way_back(chosen(rule, "rule"), theta)
    alpha, n_inner_steps = check_inner_loop(alpha, n_inner_steps, theta.shape[-1])
    *steps, (theta_prime, _, state) = inner_steps(model, theta, tasks, alpha, n_inner_steps, rule)
    meta_loss, v = query_gradient(model, theta_prime, tasks)
    adjoint = tuple(0 * part for part in state)
    for k, (theta_k, g, state) in reversed(list(enumerate(steps))):
        v, u, adjoint = back(v, adjoint, theta_k, g, state, rate(alpha, k), k + 1)  # (3.22)
        v = v + model.hvp(theta_k, u, tasks.x_support, tasks.y_support)  # (3.23)
    return meta_loss, v.mean(axis=0)  # (3.7)


def _way_back(rule: Rule, theta: NDArray) -> Callable[..., tuple]:
    if rule.back is None:
        raise ValueError(
            "inner has no way back, its third function: rules.Rule says what it answers. "
            "maml_torch.maml_gradient needs none"
        )
    starts = zip(rule.init(theta), rule.init(theta + 1), strict=True)
    if any(np.any(one != other) for one, other in starts):
        raise ValueError(
            "inner starts from a state that depends on theta; maml_torch.maml_gradient takes it"
        )
    return rule.back


@mean_over_lists
@needs("loss", "gradient")
def fomaml_gradient(
    model: Model,
    theta: NDArray,
    tasks: Task,
    *,
    alpha: Rates,
    n_inner_steps: int = 1,
    inner: str | Rule = "sgd",
) -> tuple[float, NDArray]:
    """First-order MAML: the query gradient at ``theta_prime``, used as if it were at ``theta``.

    Arguments, answer and errors are those of :func:`maml_gradient`.

    Source:
        Finn et al. (2017), section 5.2, 'first order approximation'.
    """
    settings = {"alpha": alpha, "n_inner_steps": n_inner_steps, "inner": inner}
    theta_prime = adapt(model, theta, tasks, **settings)
    meta_loss, v = query_gradient(model, theta_prime, tasks)
    return meta_loss, v.mean(axis=0)  # (3.8)


@mean_over_lists
@needs("loss", "gradient")
def reptile_gradient(
    model: Model, theta: NDArray, tasks: Task, *, alpha: float, n_inner_steps: int = 1
) -> tuple[float, NDArray]:
    """Reptile: the mean of ``(theta - theta_prime) / alpha``; queries are only scored.

    Arguments, answer and errors are those of :func:`maml_gradient`; ``alpha`` is a number.

    Source:
        Nichol, Achiam, Schulman (2018), *On first-order meta-learning algorithms*.
    """
    check_rate("alpha", alpha)
    theta_prime = adapt(model, theta, tasks, alpha=alpha, n_inner_steps=n_inner_steps)
    meta_loss = model.loss(theta_prime, tasks.x_query, tasks.y_query).mean()
    return meta_loss, (theta - theta_prime.mean(axis=0)) / alpha  # (3.9)


@mean_over_lists
@needs("loss", "gradient", "hvp", "head")
def anil_gradient(
    model: HasHead, theta: NDArray, tasks: Task, *, alpha: Rates, n_inner_steps: int = 1
) -> tuple[float, NDArray]:
    """ANIL, 'almost no inner loop': MAML whose inner loop moves the last layer only.

    The outer loop still trains all of ``theta``. To adapt as ANIL does, give :func:`adapt` the
    rates ``alpha * model.head``.

    Arguments, answer and errors are those of :func:`maml_gradient`; ``model.head`` says which
    entries of ``theta`` are the last layer's.

    Source:
        Raghu et al. (2020), *Rapid learning or feature reuse?*, section 4.
    """
    rates = alpha * model.head.astype(theta.dtype)  # (5.1)
    return maml_gradient(model, theta, tasks, alpha=rates, n_inner_steps=n_inner_steps)


@mean_over_lists
@needs("loss", "gradient")
def joint_gradient(
    model: Model,
    theta: NDArray,
    tasks: Task,
    *,
    alpha: Rates | None = None,
    n_inner_steps: int = 0,
) -> tuple[float, NDArray]:
    """Multi-task baseline: the gradient of the mean query loss at ``theta``; no task is adapted.

    This is the limit of :func:`maml_gradient` for ``alpha`` to 0. ``alpha`` and
    ``n_inner_steps`` are taken and not used, so that it can stand wherever the others do.

    Returns:
        ``(loss, gradient)``, as :func:`maml_gradient`.

    Raises:
        ValueError: If an argument has the wrong shape.

    Source:
        The baseline 'pretrained on all tasks' of Finn et al. (2017), section 5.1.
    """
    check_batch(tasks)
    loss, v = query_gradient(model, check_theta(theta), tasks)
    return loss, v.mean(axis=0)


def inner_path(
    model: HasGradient,
    theta: NDArray,
    tasks: Task,
    alpha: Rates,
    n_inner_steps: int,
    rule: Rule = SGD,
) -> list[NDArray]:
    """``[theta_0, ..., theta_K]``, each ``(n_tasks, n_params)``; see :func:`adapt`."""
    steps = inner_steps(model, theta, tasks, alpha, n_inner_steps, rule)
    return [theta_k for theta_k, _, _ in steps]


def inner_steps(
    model: HasGradient,
    theta: NDArray,
    tasks: Task,
    alpha: Rates,
    n_inner_steps: int,
    rule: Rule = SGD,
) -> Iterator[InnerStep]:
    """``(theta_k, g_k, state_k)`` of every inner step, the last with a gradient of zeros."""
    check_model(model, ["gradient"], np.ndarray)
    n_tasks = check_tasks_for(model, tasks, np.ndarray)
    check_shape("theta", check_theta(theta), getattr(model, "n_params", None), n_tasks)
    n_params = theta.shape[-1]
    alpha, n_inner_steps = check_inner_loop(alpha, n_inner_steps, n_params)
    theta_k = np.broadcast_to(theta, (n_tasks, n_params))
    rule = chosen(rule, "rule")
    state = rule.init(theta_k)
    for k in range(n_inner_steps):
        with np.errstate(over="ignore", invalid="ignore"):  # reported just below
            g = model.gradient(theta_k, tasks.x_support, tasks.y_support)
            after, next_state = rule.update(theta_k, g, state, rate(alpha, k), k + 1)  # (3.2)
        yield theta_k, g, state
        theta_k, state = after, next_state
    check_convergence(theta_k, alpha, n_inner_steps)
    yield theta_k, np.zeros_like(theta_k), state


def query_gradient(model: Model, theta_prime: NDArray, tasks: Task) -> tuple[float, NDArray]:
    """Mean query loss at ``theta_prime``, and each task's gradient of its own."""
    losses = model.loss(theta_prime, tasks.x_query, tasks.y_query)
    v = model.gradient(theta_prime, tasks.x_query, tasks.y_query)  # (3.5)
    return losses.mean(), v  # (3.1)
