"""Rules that turn a gradient into a step, for the outer loop and for the inner one.

The arithmetic is the same on NumPy arrays and torch tensors.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from .inputs import Array

Step = tuple[Array, tuple]  # the next theta and the next state


class Rule(NamedTuple):
    """How a step follows from a gradient.

    ``init(theta)`` is the state before the first step. ``update(theta, gradient, state, rate, k)``
    answers the next ``theta`` and the next state; ``k`` counts steps from 1. ``theta``, the
    gradient and what the state holds have the same shape, ``(..., n_params)``.
    """

    init: Callable[[Array], tuple]
    update: Callable[[Array, Array, tuple, Any, int], Step]


def descend(theta: Array, gradient: Array, state: tuple, rate: Any, k: int) -> Step:
    """Plain gradient descent; it keeps no state."""
    return theta - rate * gradient, state


def _two_means(theta: Array) -> tuple[Array, Array]:
    return 0 * theta, 0 * theta


def adam(theta: Array, gradient: Array, moments: tuple, rate: Any, k: int) -> Step:
    """Kingma and Ba (2015), Algorithm 1, with its default decay rates."""
    m = 0.9 * moments[0] + 0.1 * gradient
    v = 0.999 * moments[1] + 0.001 * gradient**2
    m_hat, v_hat = m / (1 - 0.9**k), v / (1 - 0.999**k)
    return theta - rate * m_hat / (v_hat**0.5 + 1e-8), (m, v)


SGD = Rule(lambda theta: (), descend)
ADAM = Rule(_two_means, adam)
RULES = {"adam": ADAM, "sgd": SGD}


def chosen(rule: str | Rule, name: str) -> Rule:
    """The rule called ``rule``, or ``rule`` itself if it is one.

    Raises:
        ValueError: If there is no such rule; ``name`` says which argument it was.
    """
    if isinstance(rule, Rule):
        return rule
    if rule not in RULES:
        raise ValueError(f"{name} must be {' or '.join(map(repr, RULES))}, got {rule!r}")
    return RULES[rule]
