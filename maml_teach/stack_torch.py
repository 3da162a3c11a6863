"""Which modules are a multilayer perceptron, so that the derivatives of ``MLP`` serve them."""

from torch import nn

from .mlp_torch import MLP
from .objectives_torch import OBJECTIVES

ACTIVATIONS = {nn.ReLU: "relu", nn.Tanh: "tanh"}


class StackLayout(MLP):
    """The MLP on a ``theta`` laid out as in ``nn.Linear``: weights ``(n_out, n_in)``."""

    def _matrix(self, block, n_in, n_out):
        return block.view(*block.shape[:-1], n_out, n_in).mT

    def _join(self, blocks):
        return super()._join([(W.mT, delta) for W, delta in blocks])


def as_mlp(module, objective):
    """The ``MLP`` that ``module`` is, or ``None`` if it is anything else.

    It is one if linear layers alternate with activations of one kind, and nobody has frozen, tied
    or hooked any of it.

    Args:
        module: An ``nn.Module``.
        objective: As in ``module_torch.from_module``.
    """
    name = "mse" if objective is nn.functional.mse_loss else objective
    parts = list(module) if type(module) is nn.Sequential else []
    linear, kinds = parts[::2], {type(part) for part in parts[1::2]}
    if name not in OBJECTIVES or len(parts) % 2 == 0 or any(map(_has_hooks, module.modules())):
        return None
    if any(type(layer) is not nn.Linear for layer in linear):
        return None
    sizes = [linear[0].in_features, *(layer.out_features for layer in linear)]
    if len(kinds) > 1 or not kinds <= set(ACTIVATIONS) or sizes[1:-1] != _widths_in(linear[1:]):
        return None
    mlp = StackLayout(tuple(sizes), ACTIVATIONS[kinds.pop()] if kinds else "relu", name)
    n_trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    return mlp if mlp.n_params == n_trainable else None


def _widths_in(linear):
    return [layer.in_features for layer in linear]


def _has_hooks(part):
    return any((part._forward_hooks, part._forward_pre_hooks, part._backward_hooks))
