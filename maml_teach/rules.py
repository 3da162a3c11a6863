"""Rules that turn a gradient into a step, for the outer loop and for the inner one.

The arithmetic is the same on NumPy arrays and torch tensors. Each rule of this module also has its
way back: what a step hands on to the parameters, the gradient and the state that it was made of.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .inputs import Array, check_rate

Step = tuple[Array, tuple]  # the next theta and the next state
TINY = 1e-38  # below it the root of Adam's second moment counts as flat; its square is below eps


class Rule(NamedTuple):
    """How a step follows from a gradient; a pair of functions is enough.

    ``init(theta)`` is the state before the first step, a tuple. ``update(theta, gradient, state,
    rate, k)`` answers the next ``theta`` and the next state; ``k`` counts steps from 1. ``theta``,
    the gradient and what the state holds have the same shape, ``(..., n_params)``.

    ``back(v, adjoint, theta, gradient, state, rate, k)`` is the transpose of ``update``'s
    derivative: from the slopes ``v`` of the next ``theta`` and ``adjoint`` of the next state it
    answers those of ``theta``, of the gradient, and of the state, a triple. The NumPy engine needs
    it for second order, and a start of the state that is the same for every ``theta``.
    ``maml_torch`` needs neither: it differentiates ``update`` and ``init``.
    """

    init: Callable[[Array], tuple]
    update: Callable[[Array, Array, tuple, Any, int], Step]
    back: Callable[..., tuple[Array, Array, tuple]] | None = None


def descend(theta: Array, gradient: Array, state: tuple, rate: Any, k: int) -> Step:
    """Plain gradient descent; it keeps no state."""
    return theta - rate * gradient, state


def descend_back(
    v: Array, adjoint: tuple, theta: Array, gradient: Array, state: tuple, rate: Any, k: int
) -> tuple[Array, Array, tuple]:
    """The way back through :func:`descend`."""
    return v, -rate * v, adjoint


def momentum(theta: Array, gradient: Array, state: tuple, rate: Any, k: int) -> Step:
    """Heavy ball with decay 0.9, as ``torch.optim.SGD(momentum=0.9)``; Polyak (1964)."""
    m = 0.9 * state[0] + gradient
    return theta - rate * m, (m,)


def momentum_back(
    v: Array, adjoint: tuple, theta: Array, gradient: Array, state: tuple, rate: Any, k: int
) -> tuple[Array, Array, tuple]:
    """The way back through :func:`momentum`."""
    in_m = adjoint[0] - rate * v  # (3.24)
    return v, in_m, (0.9 * in_m,)


def adam(theta: Array, gradient: Array, moments: tuple, rate: Any, k: int) -> Step:
    """Kingma and Ba (2015), Algorithm 1, with its default decay rates."""
    m, v, m_hat, root = _moments(gradient, moments, k)
    return theta - rate * m_hat / (root + 1e-8), (m, v)


def adam_back(
    v: Array, adjoint: tuple, theta: Array, gradient: Array, moments: tuple, rate: Any, k: int
) -> tuple[Array, Array, tuple]:
    """The way back through :func:`adam`, in NumPy.

    Where a parameter never had a gradient, the root of its second moment has no slope, and its
    first moment is zero: nothing goes back through the root there.
    """
    _, _, m_hat, root = _moments(gradient, moments, k)
    below = root + 1e-8
    in_m = adjoint[0] - rate * v / (below * (1 - 0.9**k))  # (3.25)
    in_root = rate * v * m_hat / below**2
    slope = np.where(root > TINY**0.5, 0.5 / root, 0)
    in_v = adjoint[1] + in_root * slope / (1 - 0.999**k)  # (3.26)
    return v, 0.1 * in_m + 0.002 * gradient * in_v, (0.9 * in_m, 0.999 * in_v)


def _moments(gradient: Array, moments: tuple, k: int) -> tuple[Array, Array, Array, Array]:
    """Adam's next moments, the first one without its bias, and the root of the second one."""
    m = 0.9 * moments[0] + 0.1 * gradient
    v = 0.999 * moments[1] + 0.001 * gradient**2
    v_hat = v / (1 - 0.999**k)
    return m, v, m / (1 - 0.9**k), v_hat.clip(min=TINY) ** 0.5


def _no_state(theta: Array) -> tuple:
    return ()


def _one_mean(theta: Array) -> tuple[Array]:
    return (0 * theta,)


def _two_means(theta: Array) -> tuple[Array, Array]:
    return 0 * theta, 0 * theta


SGD = Rule(_no_state, descend, descend_back)
MOMENTUM = Rule(_one_mean, momentum, momentum_back)
ADAM = Rule(_two_means, adam, adam_back)
RULES = {"adam": ADAM, "momentum": MOMENTUM, "sgd": SGD}


def clipped(rule: str | Rule, max_norm: float) -> Rule:
    """``rule`` on gradients that are scaled down to ``max_norm`` where their norm is larger.

    The norm is that of all parameters of a task together, as in
    ``torch.nn.utils.clip_grad_norm_``, which also adds ``1e-6`` to it.

    >>> clipped("sgd", 1.0).update(np.zeros(2), np.array([3.0, 4.0]), (), 0.5, 1)[0]
    array([-0.3, -0.4])
    """
    max_norm = check_rate("max_norm", max_norm)
    init, inner_update, inner_back = _parts(rule)

    def squared_norm(gradient):
        return (gradient**2).sum(-1)[..., None]

    def scale(gradient):
        return max_norm / squared_norm(gradient).clip(min=max_norm**2) ** 0.5

    def update(theta, gradient, state, rate, k):
        return inner_update(theta, gradient * scale(gradient), state, rate, k)

    def back(v, adjoint, theta, gradient, state, rate, k):
        shrunk = gradient * scale(gradient)
        v, u, adjoint = inner_back(v, adjoint, theta, shrunk, state, rate, k)
        norm2 = squared_norm(gradient)
        along = (gradient * u).sum(-1)[..., None] * gradient / norm2.clip(min=max_norm**2)
        return v, scale(gradient) * (u - (norm2 > max_norm**2) * along), adjoint

    return Rule(init, update, back if inner_back else None)


def decayed(rule: str | Rule, weight_decay: float) -> Rule:
    """``rule`` on gradients to which ``weight_decay * theta`` is added, as ``torch.optim`` does.

    >>> decayed("sgd", 0.1).update(np.ones(2), np.zeros(2), (), 0.5, 1)[0]
    array([0.95, 0.95])
    """
    weight_decay = check_rate("weight_decay", weight_decay)
    init, inner_update, inner_back = _parts(rule)

    def update(theta, gradient, state, rate, k):
        return inner_update(theta, gradient + weight_decay * theta, state, rate, k)

    def back(v, adjoint, theta, gradient, state, rate, k):
        decayed_gradient = gradient + weight_decay * theta
        v, u, adjoint = inner_back(v, adjoint, theta, decayed_gradient, state, rate, k)
        return v + weight_decay * u, u, adjoint

    return Rule(init, update, back if inner_back else None)


def _parts(rule: str | Rule | tuple) -> tuple[Callable, Callable, Any]:
    """``init``, ``update`` and ``back``, which may be ``None``."""
    return chosen(rule, "rule")


def chosen(rule: str | Rule | tuple, name: str) -> Rule:
    """The rule called ``rule``, or ``rule`` itself if it is one: a pair of functions is.

    Raises:
        ValueError: If there is no such rule; ``name`` says which argument it was.
    """
    if isinstance(rule, str) and rule in RULES:
        return RULES[rule]
    if isinstance(rule, tuple) and len(rule) in (2, 3) and all(map(callable, rule[:2])):
        return Rule(*rule)
    raise ValueError(
        f"{name} must be {', '.join(map(repr, RULES))}, or a pair of functions (init, update), "
        f"got {rule!r}"
    )
