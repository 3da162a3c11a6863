"""Modules that are a multilayer perceptron: their tasks go together, by hand."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, fx, nn

from .inputs import Inputs
from .mlp_torch import MLP, OBJECTIVES, Loss
from .module_torch import FromModule
from .protocols import Product

ACTIVATIONS: dict[Any, str] = {
    nn.ReLU: "relu",
    nn.functional.relu: "relu",
    torch.relu: "relu",
    "relu": "relu",
    nn.Tanh: "tanh",
    nn.functional.tanh: "tanh",
    torch.tanh: "tanh",
    "tanh": "tanh",
}


class StackLayout(MLP):
    """The MLP on a ``theta`` laid out as in ``nn.Linear``: weights ``(n_out, n_in)``."""

    def _matrix(self, block: Tensor, n_in: int, n_out: int) -> Tensor:
        return block.view(*block.shape[:-1], n_out, n_in).mT

    def _join(self, blocks: list[tuple[Tensor, Tensor]]) -> Tensor:
        return super()._join([(W.mT, delta) for W, delta in blocks])


class Stack(FromModule):
    """A module that is an MLP: all tasks at once, by the derivatives of ``MLP``."""

    by_hand = True
    n_kept = MLP.n_kept
    keeps_graphs = False

    def __init__(self, module: nn.Module, objective: str | Loss, mlp: MLP):
        super().__init__(module, objective)
        self._mlp = mlp

    @property
    def path(self) -> str:
        """How the tasks of a batch go through the module, in a sentence."""
        layers = "-".join(map(str, self._mlp.sizes))
        return (
            f"All tasks together, by hand: the module is a multilayer perceptron of {layers} units "
            f"with {self._mlp.activation}."
        )

    def portions(self, batch: tuple) -> list[tuple]:
        """All tasks together."""
        return [batch]

    def loss_and_gradient(self, theta: Tensor, x: Inputs, y: Tensor) -> tuple[Tensor, Tensor]:
        """Loss ``(n_tasks,)`` and gradient ``(n_tasks, n_params)``."""
        return self._mlp.loss_and_gradient(theta, x, y)

    def linearize(self, theta: Tensor, x: Inputs, y: Tensor) -> tuple[Tensor, Product]:
        """``(gradient, product)`` per task, as :meth:`MLP.linearize`."""
        return self._mlp.linearize(theta, x, y)


def as_mlp(module: nn.Module, objective: str | Loss) -> MLP | None:
    """The ``MLP`` that ``module`` is, or ``None`` if it is anything else.

    It is one if ``forward`` sends its input through linear layers with activations of one kind
    between them, in training and in ``eval()`` mode, in the order in which they were registered,
    and nobody has frozen, tied or hooked any of it. ``forward`` is read once, by
    ``torch.fx.symbolic_trace``.

    Args:
        module: An ``nn.Module``.
        objective: As in :func:`~maml_teach.paths_torch.from_module`.

    >>> net = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> as_mlp(net, "mse").sizes
    (1, 4, 1)
    """
    name = _name_of(objective)
    if name is None or any(map(_has_hooks, module.modules())):
        return None
    found = {_in_mode(module, training, _chain) for training in (True, False)}
    if len(found) > 1 or None in found:
        return None
    linear, kinds = found.pop()
    parameters = [p for layer in linear for p in (layer.weight, layer.bias)]
    own = list(module.parameters())
    same = len(own) == len(parameters) and all(map(lambda p, q: p is q, own, parameters))
    if not same or not all(p.requires_grad for p in own):
        return None
    sizes = (linear[0].in_features, *(layer.out_features for layer in linear))
    return StackLayout(sizes, kinds or "relu", name)


def _name_of(objective: str | Loss) -> str | None:
    """The name of the objective if ``MLP`` has it."""
    plain_mse = type(objective) is nn.MSELoss and objective.reduction == "mean"
    if plain_mse or objective is nn.functional.mse_loss:
        return "mse"
    return objective if isinstance(objective, str) and objective in OBJECTIVES else None


def _in_mode(module: nn.Module, training: bool, method: Callable[[nn.Module], Any]) -> Any:
    """``method`` of the module with all its parts in training mode or not; put back afterwards."""
    before = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in before:
            part.training = training
        return method(module)
    finally:
        for part, mode in before:
            part.training = mode


def _chain(module: nn.Module) -> tuple[tuple, str] | None:
    """The linear layers from input to output and the kind of activation between them."""
    try:
        graph = fx.symbolic_trace(module).graph
    except Exception:  # what cannot be read is something else
        return None
    first, *nodes = graph.nodes
    last = first
    linear, kinds, wants_linear = [], set(), True
    for node in nodes[:-1]:
        if node.op == "placeholder" or list(node.all_input_nodes) != [last]:
            return None
        part = module.get_submodule(node.target) if node.op == "call_module" else node.target
        kind = ACTIVATIONS.get(type(part) if node.op == "call_module" else part)
        if wants_linear and type(part) is nn.Linear and part.bias is not None:
            linear.append(part)
        elif not wants_linear and kind:
            kinds.add(kind)
        else:
            return None
        last, wants_linear = node, not wants_linear
    widths = [(a.out_features, b.in_features) for a, b in pairwise(linear)]
    fits = all(out == into for out, into in widths)
    if wants_linear or nodes[-1].args != (last,) or len(kinds) > 1 or not fits:
        return None
    return tuple(linear), "".join(kinds)


def _has_hooks(part: nn.Module) -> bool:
    return any((part._forward_hooks, part._forward_pre_hooks, part._backward_hooks))
