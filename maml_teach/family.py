"""The family of MAML: learned rates (Meta-SGD, MAML++) and implicit gradients (iMAML), in NumPy.

Each function is ``maml.maml_gradient`` with a few lines changed; compare them side by side.
FOMAML, Reptile and ANIL differ by one line and stand in ``maml``; here are ANIL at its own price
and Reptile with mini-batches.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .inputs import (
    Rates,
    check_array,
    check_callable,
    check_counts,
    check_generator,
    check_learned_rates,
    check_rate,
    check_shape,
    check_step_weights,
    check_theta,
    rate,
)
from .maml import adapt, inner_path, inner_steps, maml_gradient, query_gradient
from .protocols import HasFeatures, HasGradient, MetaGradient, Model
from .rules import Rule
from .tasks import Task, check_batch, mean_over_lists, needs, rows_over_lists


@mean_over_lists
@needs("head", "last_layer", "features", "features_gradient")
def anil_on_features_gradient(
    model: HasFeatures, theta: NDArray, tasks: Task, *, alpha: Rates, n_inner_steps: int = 1
) -> tuple[float, NDArray]:
    r"""ANIL whose inner loop stops at the features: the same numbers as ``maml.anil_gradient``.

    All layers below the last one run once, on the support and on the query points. The inner
    steps and the walk back stay in the last layer :math:`w`; on its way the walk collects the
    slope of the meta-loss in the support features :math:`h`,

    .. math:: s = -\sum_k \alpha \, \nabla_h \nabla_w L^S(w_k, h) \, v_{k+1}

    and one backpropagation from :math:`s` and one from the query features give the rest.

    Args:
        model: As ``maml.anil_gradient``, with ``last_layer``, ``features`` and
            ``features_gradient``.
        theta: The shared start, ``(n_params,)``.
        tasks: A batch of tasks.
        alpha: Inner learning rate of the last layer, a number or one row per step, ``(K, 1)``.
        n_inner_steps: Number of inner steps, at least 0.

    Returns:
        ``(meta_loss, gradient)``, as ``maml.maml_gradient``.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.

    Source:
        Raghu et al. (2020), *Rapid learning or feature reuse?*, section 4.
    """
    last, theta = model.last_layer, check_theta(theta)
    h, h_query = model.features(theta, tasks.x_support), model.features(theta, tasks.x_query)
    above = Task(h, tasks.y_support, h_query, tasks.y_query)
    path = inner_path(last, theta[model.head], above, alpha, n_inner_steps)
    meta_loss, v = query_gradient(last, path[-1], above)
    query_slope = last.gradient_in_x(path[-1], h_query, tasks.y_query)
    slope = np.zeros_like(h)
    for k in reversed(range(n_inner_steps)):
        step = path[k], rate(alpha, k) * v, h, tasks.y_support
        slope = slope - last.hvp_in_x(*step)
        v = v - last.hvp(*step)  # (3.6), in the last layer
    below = model.features_gradient(theta, tasks.x_support, slope)
    below = below + model.features_gradient(theta, tasks.x_query, query_slope)
    return meta_loss, np.concatenate([below, v], axis=-1).mean(axis=0)


@mean_over_lists
@needs("loss", "gradient")
def hf_maml_gradient(
    model: Model,
    theta: NDArray,
    tasks: Task,
    *,
    alpha: Rates,
    n_inner_steps: int = 1,
    inner: str | Rule = "sgd",
    step: float | None = None,
) -> tuple[float, NDArray]:
    r"""Hessian-free MAML: the walk back with differences of gradients in place of ``H v``.

    .. math:: H v \approx \frac{\nabla L(\theta + \delta v) - \nabla L(\theta - \delta v)}{2 \delta}

    It asks a model for first derivatives only, two gradients for each product.

    Args:
        model: Anything with ``loss`` and ``gradient``.
        theta: The shared start, ``(n_params,)``.
        tasks: A batch of tasks, or a list of single tasks.
        alpha: Inner learning rate, as in ``maml.adapt``.
        n_inner_steps: Number of inner steps, at least 0.
        inner: The rule of the inner loop, as in ``maml.adapt``.
        step: Length of ``delta v`` as a share of ``1 + |theta|``: 1e-7 unless given, or eight
            times the dtype's precision if that is more, 1e-6 in float32. Across a kink of a ReLU
            network a difference is wrong by more than first order is, so it is to be short.

    Returns:
        ``(meta_loss, gradient)``, as ``maml.maml_gradient``; exact up to the differences.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.

    Source:
        Fallah, Mokhtari, Ozdaglar (2020), *On the convergence theory of gradient-based
        model-agnostic meta-learning algorithms*, HF-MAML.
    """
    share = max(1e-7, 8 * np.finfo(theta.dtype).eps) if step is None else check_rate("step", step)

    def hvp(theta_k: NDArray, v: NDArray, x: NDArray, y: NDArray) -> NDArray:
        length, norm = (np.linalg.norm(part, axis=-1, keepdims=True) for part in (theta_k, v))
        delta = share * (1 + length) / np.where(norm > 0, norm, 1)
        ahead, behind = (model.gradient(theta_k + sign * delta * v, x, y) for sign in (1, -1))
        return (ahead - behind) / (2 * delta)  # (5.9)

    by_differences: Any = SimpleNamespace(loss=model.loss, gradient=model.gradient, hvp=hvp)
    settings: dict[str, Any] = {"alpha": alpha, "n_inner_steps": n_inner_steps, "inner": inner}
    return maml_gradient(by_differences, theta, tasks, **settings)


@mean_over_lists
@needs("loss", "gradient")
def reptile_on_batches_gradient(
    model: Model,
    theta: NDArray,
    tasks: Task,
    *,
    alpha: float,
    n_inner_steps: int = 1,
    rng: np.random.Generator,
) -> tuple[float, NDArray]:
    """Reptile as its paper runs it: every inner step draws a mini-batch of all points of a task.

    A mini-batch has as many points as the support set; they are drawn from support and query
    points together, without repetition within a step.

    Args:
        model: Anything with ``loss`` and ``gradient``.
        theta: The shared start, ``(n_params,)``.
        tasks: A batch of tasks.
        alpha: Inner learning rate, a number.
        n_inner_steps: Number of inner steps, at least 0.
        rng: Where the mini-batches are drawn from.

    Returns:
        ``(loss, gradient)``: the mean loss of ``theta_prime`` on all points, and the mean of
        ``(theta - theta_prime) / alpha``.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.

    Source:
        Nichol, Achiam, Schulman (2018), *On first-order meta-learning algorithms*, section 3.
    """
    alpha = check_rate("alpha", alpha)
    check_generator(rng)
    check_batch(tasks)
    x = np.concatenate([tasks.x_support, tasks.x_query], axis=1)
    y = np.concatenate([tasks.y_support, tasks.y_query], axis=1)
    theta_k = np.broadcast_to(check_theta(theta), (tasks.n_tasks, theta.shape[-1]))
    for _ in range(n_inner_steps):
        order = rng.permuted(np.tile(np.arange(x.shape[1]), (len(x), 1)), axis=1)
        rows = np.arange(len(x))[:, None], order
        batch = Task.split(x[rows], y[rows], tasks.x_support.shape[1])
        theta_k = adapt(model, theta_k, batch, alpha=alpha)
    losses = model.loss(theta_k, x, y)
    return losses.mean(), (theta - theta_k.mean(axis=0)) / alpha  # (3.9)


@mean_over_lists
@needs("loss", "gradient", "hvp")
def meta_sgd_gradient(
    model: Model, theta: NDArray, tasks: Task, *, alpha: NDArray, n_inner_steps: int = 1
) -> tuple[float, NDArray, NDArray]:
    r"""Meta-SGD: the inner rates are learned too, one per parameter.

    .. math:: v_k = v_{k+1} - H_k (\alpha \odot v_{k+1}), \qquad
              \nabla_\alpha F = -\sum_k v_{k+1} \odot g_k

    Args:
        model: Anything with ``loss``, ``gradient`` and ``hvp``.
        theta: The shared start, ``(n_params,)``.
        tasks: A batch of tasks.
        alpha: The rates, ``(n_params,)``; they may be negative.
        n_inner_steps: Number of inner steps, at least 0.

    Returns:
        ``(meta_loss, gradient, alpha_gradient)``; both gradients are ``(n_params,)``.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.

    Source:
        Li et al. (2017), *Meta-SGD*, Algorithm 1; there with one inner step.
    """
    check_learned_rates(alpha, theta.shape, "one rate per parameter")
    path, g, _ = zip(*inner_steps(model, theta, tasks, alpha, n_inner_steps), strict=True)
    meta_loss, v = query_gradient(model, path[-1], tasks)
    alpha_gradient = np.zeros_like(v)
    for k in reversed(range(n_inner_steps)):
        alpha_gradient = alpha_gradient - v * g[k]  # (5.4)
        v = v - model.hvp(path[k], alpha * v, tasks.x_support, tasks.y_support)  # (5.3)
    return meta_loss, v.mean(axis=0), alpha_gradient.mean(axis=0)


@mean_over_lists
@needs("loss", "gradient", "hvp")
def maml_plus_plus_gradient(
    model: Model,
    theta: NDArray,
    tasks: Task,
    *,
    alpha: NDArray,
    n_inner_steps: int,
    step_weights: Sequence[float],
) -> tuple[float, NDArray, NDArray]:
    r"""Two parts of MAML++: one learned rate per step, and a loss after every step.

    .. math:: F(\theta, \alpha) = \frac1T \sum_i \sum_{k=1}^{K} w_k L^Q_i(\theta_{i,k})

    Not here are its rates per layer, annealed order of derivatives, batch norm per step and
    cosine schedule.

    Args:
        model: Anything with ``loss``, ``gradient`` and ``hvp``.
        theta: The shared start, ``(n_params,)``.
        tasks: A batch of tasks.
        alpha: The rates, one row per step, ``(n_inner_steps, 1)``.
        n_inner_steps: Number of inner steps, at least 1.
        step_weights: ``w_1 ... w_K``, the weight of the query loss after each step,
            ``(n_inner_steps,)``. The paper starts from equal weights and lets all but the last
            go to zero; ``(0, ..., 0, 1)`` is MAML's objective.

    Returns:
        ``(meta_loss, gradient, alpha_gradient)``: the weighted loss, ``(n_params,)`` and
        ``(n_inner_steps, 1)``.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.

    Source:
        Antoniou et al. (2019), *How to train your MAML*, section 4: multi-step loss, and learned
        rates per step.
    """
    check_counts(n_inner_steps=n_inner_steps)
    check_learned_rates(alpha, (n_inner_steps, 1), "one row per step")
    step_weights = check_step_weights(step_weights, n_inner_steps)
    path, g, _ = zip(*inner_steps(model, theta, tasks, alpha, n_inner_steps), strict=True)
    meta_loss, alpha_gradient = 0.0, np.empty_like(alpha)
    v: Any = 0.0
    for k in reversed(range(n_inner_steps)):
        loss, v_query = query_gradient(model, path[k + 1], tasks)
        meta_loss = meta_loss + step_weights[k] * loss  # (5.5)
        v = v + step_weights[k] * v_query
        alpha_gradient[k] = -np.sum(v * g[k], axis=-1).mean()
        v = v - model.hvp(path[k], alpha[k] * v, tasks.x_support, tasks.y_support)  # (5.6)
    return meta_loss, v.mean(axis=0), alpha_gradient


@rows_over_lists(np.stack)
@needs("gradient")
def imaml_adapt(
    model: HasGradient,
    theta: NDArray,
    tasks: Task,
    *,
    alpha: Rates,
    n_inner_steps: int = 1,
    lam: float,
    anchor: NDArray | None = None,
) -> NDArray:
    r"""The inner loop of iMAML: gradient descent that a spring ties to the start.

    .. math:: \theta_{k+1} = \theta_k - \alpha (g_k + \mu (\theta_k - \theta))

    Args:
        model: Anything with ``gradient(theta, x, y)``.
        theta: Where to start, ``(n_params,)`` or ``(n_tasks, n_params)``.
        tasks: A batch of tasks.
        alpha: Inner learning rate, as in ``maml.adapt``.
        n_inner_steps: Number of inner steps, at least 0.
        lam: Strength of the spring, the paper's lambda, positive.
        anchor: Where the spring is fixed, ``(n_params,)``; ``theta`` unless given. (To take up
            an inner loop half way, ``theta`` is where it is and ``anchor`` where it began.)

    Returns:
        ``theta_prime``, ``(n_tasks, n_params)``.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.

    Source:
        Rajeswaran et al. (2019), *Meta-learning with implicit gradients*: the proximal term.
    """
    lam = check_rate("lam", lam)
    anchor = theta if anchor is None else anchor
    check_array("anchor", anchor, np.ndarray, holds="f")
    check_shape("anchor", anchor, theta.shape[-1], tasks.n_tasks)

    def gradient(theta_k: NDArray, x: NDArray, y: NDArray) -> NDArray:
        return model.gradient(theta_k, x, y) + lam * (theta_k - anchor)  # (5.7)

    tied: Any = SimpleNamespace(gradient=gradient)
    return inner_path(tied, theta, tasks, alpha, n_inner_steps)[-1]


@mean_over_lists
@needs("loss", "gradient", "hvp")
def imaml_gradient(
    model: Model,
    theta: NDArray,
    tasks: Task,
    *,
    alpha: Rates,
    n_inner_steps: int = 1,
    lam: float,
    n_cg_steps: int = 5,
) -> tuple[float, NDArray]:
    r"""iMAML: the meta-gradient from where the inner loop ends, whatever way it took there.

    .. math:: v = \Bigl(I + \frac1\mu H(\theta')\Bigr)^{-1} \nabla L^Q(\theta')

    solved by conjugate gradients. It is the exact gradient of the meta-loss where the inner loop
    has converged; memory and time of the way back do not depend on ``n_inner_steps``.

    Args:
        model: Anything with ``loss``, ``gradient`` and ``hvp``.
        theta: The shared start, ``(n_params,)``.
        tasks: A batch of tasks.
        alpha: Inner learning rate.
        n_inner_steps: Number of inner steps, at least 0.
        lam: Strength of the spring, positive. It must exceed the most negative curvature of the
            support losses for the solution to be a minimum.
        n_cg_steps: Most steps of conjugate gradients, at least 1.

    Returns:
        ``(meta_loss, gradient)``, as ``maml.maml_gradient``.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.

    Source:
        Rajeswaran et al. (2019), *Meta-learning with implicit gradients*, Lemma 1 and
        Algorithm 2.
    """
    lam, (n_cg_steps,) = check_rate("lam", lam), check_counts(n_cg_steps=n_cg_steps)
    settings: dict[str, Any] = {"alpha": alpha, "n_inner_steps": n_inner_steps, "lam": lam}
    theta_prime = imaml_adapt(model, theta, tasks, **settings)
    meta_loss, v_query = query_gradient(model, theta_prime, tasks)

    def product(v: NDArray) -> NDArray:
        return v + model.hvp(theta_prime, v, tasks.x_support, tasks.y_support) / lam

    v = conjugate_gradient(product, v_query, n_cg_steps)  # (5.8)
    return meta_loss, v.mean(axis=0)


def conjugate_gradient(product: Callable[[NDArray], NDArray], b: NDArray, n_steps: int) -> NDArray:
    """Solve ``A x = b`` for each row of ``b`` by conjugate gradients, all rows side by side.

    A row stops where it is solved, or where ``A`` is found not to be positive definite (a
    direction of negative curvature): it keeps what it has, or ``b`` if that is the first step.

    Args:
        product: Maps rows ``p`` to ``A p``, ``(n_rows, n)`` to ``(n_rows, n)``; ``A`` symmetric,
            each row may have its own.
        b: Right-hand sides, ``(n_rows, n)``.
        n_steps: Most steps, at least 1. In exact arithmetic ``n`` suffice.

    Returns:
        ``x``, ``(n_rows, n)``.

    Raises:
        ValueError: If ``n_steps`` is not a positive integer.

    Source:
        Hestenes and Stiefel (1952); the rule for negative curvature is that of Newton-CG,
        Nocedal and Wright (2006), Algorithm 7.1.

    >>> A = np.array([[4.0, 1.0], [1.0, 3.0]])
    >>> conjugate_gradient(lambda p: p @ A, np.array([[1.0, 2.0]]), n_steps=2).round(4)
    array([[0.0909, 0.6364]])
    """
    check_callable("product", product)
    check_array("b", b, np.ndarray, holds="f")
    (n_steps,) = check_counts(n_steps=n_steps)
    x, residual, p = np.zeros_like(b), b, b
    rr = _dot(residual, residual)
    going, tiny = rr > 0, np.finfo(b.dtype).eps ** 2 * rr
    for step in range(n_steps):
        Ap = product(p)
        curvature = _dot(p, Ap)
        if step == 0:
            x = np.where(curvature > 0, x, b)
        going = going & (curvature > 0) & (rr > tiny)
        length = np.where(going, rr / np.where(going, curvature, 1), 0)
        x, residual = x + length * p, residual - length * Ap
        rr, before = _dot(residual, residual), rr
        p = residual + np.where(going, rr / np.where(going, before, 1), 0) * p
    return x


def learn_rates(
    gradient: Callable[..., tuple[float, NDArray, NDArray]], first_rates: NDArray
) -> MetaGradient:
    """A gradient in theta and rates as a gradient in one flat vector, for ``train.meta_train``.

    The vector holds ``theta``, then the rates as multiples of their first values, row by row: one
    outer rate then suits both, where Adam would move a rate of 0.01 and a weight of 1 by the same
    amount. :func:`join_rates` makes the vector, :func:`split_rates` takes it apart.

    Args:
        gradient: :func:`meta_sgd_gradient`, or :func:`maml_plus_plus_gradient` with its
            ``step_weights`` given by ``functools.partial``.
        first_rates: The rates that training starts from, none of them zero.

    Returns:
        A function ``(model, vector, tasks, *, alpha, n_inner_steps) -> (meta_loss, gradient)``;
        it takes the rates from the vector and leaves ``alpha`` alone.

    Raises:
        ValueError: If a first rate is zero.
    """
    check_callable("gradient", gradient)
    check_array("first_rates", first_rates, np.ndarray, holds="f")
    if not np.all(first_rates):
        raise ValueError("first_rates must not hold a zero: they are the units of the rates")

    def joined_gradient(
        model: Model, vector: NDArray, tasks: Task, *, alpha: Any, n_inner_steps: int
    ) -> tuple[float, NDArray]:
        theta, rates = split_rates(vector, first_rates)
        meta_loss, in_theta, in_rates = gradient(
            model, theta, tasks, alpha=rates, n_inner_steps=n_inner_steps
        )
        return meta_loss, np.concatenate([in_theta, (first_rates * in_rates).ravel()])

    return joined_gradient


def join_rates(theta: NDArray, first_rates: NDArray) -> NDArray:
    """The flat vector that training starts from: ``theta``, then a one for each rate."""
    check_shape("theta", check_theta(theta), None)
    check_array("first_rates", first_rates, np.ndarray, holds="f")
    return np.concatenate([theta, np.ones(first_rates.size, theta.dtype)])


def split_rates(vector: NDArray, first_rates: NDArray) -> tuple[NDArray, NDArray]:
    """``(theta, rates)`` of a vector of :func:`learn_rates`."""
    check_array("vector", vector, np.ndarray, holds="f")
    check_array("first_rates", first_rates, np.ndarray, holds="f")
    if vector.ndim != 1 or vector.size <= first_rates.size:
        raise ValueError(
            f"vector has shape {vector.shape}; expected theta and {first_rates.size} rates in a row"
        )
    theta, multiples = np.split(vector, [vector.size - first_rates.size])
    return theta, first_rates * multiples.reshape(first_rates.shape)


def _dot(x: NDArray, y: NDArray) -> NDArray:
    return np.sum(x * y, axis=-1, keepdims=True)
