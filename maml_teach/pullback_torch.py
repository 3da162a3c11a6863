"""The way back through any rule of the inner loop, by autograd of its update alone."""

from typing import Any

import torch
from torch import Tensor

from .rules import SGD as PLAIN
from .rules import Rule, chosen

__all__ = ["SGD", "back", "from_start", "rule_of"]


def _descend(
    theta: Tensor, gradient: Tensor, state: tuple, alpha: Any, k: int
) -> tuple[Tensor, tuple]:
    """``theta - alpha * gradient``; in one go over memory if ``alpha`` is a number."""
    if isinstance(alpha, Tensor):
        return theta - alpha * gradient, state
    return torch.sub(theta, gradient, alpha=alpha), state


SGD = PLAIN._replace(update=_descend)


def rule_of(inner: str | Rule | tuple) -> Rule:
    """The rule of an inner loop by its name or as it is; plain descent in its faster form."""
    rule = chosen(inner, "inner")
    return SGD if rule is PLAIN else rule


def back(
    rule: Rule,
    v: Tensor,
    adjoint: tuple,
    theta: Tensor,
    gradient: Tensor,
    state: tuple,
    rate: Any,
    k: int,
) -> tuple[Tensor, Tensor, tuple]:
    """What ``rules.Rule.back`` answers, from ``rule.update`` and autograd."""
    inputs = [part.detach().requires_grad_() for part in (theta, gradient, *state)]
    with torch.enable_grad():
        theta_next, state_next = rule.update(inputs[0], inputs[1], tuple(inputs[2:]), rate, k)
    v, u, *rest = _pull((theta_next, *state_next), (v, *adjoint), inputs)
    return v, u, tuple(rest)


def from_start(rule: Rule, adjoint: tuple, theta: Tensor) -> Tensor | float:
    """What the slopes of the first state hand on to the start of the inner loop."""
    if not adjoint:
        return 0.0
    theta = theta.detach().requires_grad_()
    with torch.enable_grad():
        state = rule.init(theta)
    return _pull(state, adjoint, [theta])[0]


def _pull(outputs: tuple, slopes: tuple, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    """Slopes of ``inputs`` from those of ``outputs``; zeros where nothing depends on them."""
    pairs = [pair for pair in zip(outputs, slopes, strict=True) if pair[0].requires_grad]
    if not pairs:
        return tuple(map(torch.zeros_like, inputs))
    reached, from_above = zip(*pairs, strict=True)
    return torch.autograd.grad(
        reached, inputs, from_above, allow_unused=True, materialize_grads=True
    )
