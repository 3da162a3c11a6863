"""Any ``nn.Module`` as a model on a flat theta: one task after the other, or all at once."""

from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value, vjp, vmap

from .inputs import Inputs, arrays_in, map_arrays
from .mlp_torch import (
    MLP,
    OBJECTIVES,
    Differentiable,
    Loss,
    check_target_shape,
    check_targets,
    choice,
)
from .protocols import Product

LAYERS = {nn.ReLU: "relu", nn.Tanh: "tanh"}  # what may stand between linear layers in an MLP
MANY_IMAGES = 16  # from here on convolutions on a CPU are faster with channels innermost


class FromModule(Differentiable):
    """Any ``nn.Module`` as a model on a flat ``theta``; made by :func:`from_module`."""

    def __init__(self, module: nn.Module, objective: str | Loss):
        self.module = module
        self.objective = objective
        self._parameters = _trainable(module)
        self._channels_last = True

    @property
    def n_params(self) -> int:
        """Length of ``theta``."""
        return sum(p.numel() for p in self._parameters.values())

    @property
    def head(self) -> Tensor:
        """Which entries of ``theta`` belong to the last layer that has parameters, bool."""
        layer = list(self._parameters)[-1].rpartition(".")[0]
        return self._entries(lambda name: name.rpartition(".")[0] == layer)

    def theta(self) -> Tensor:
        """The module's present parameters as a flat vector ``(n_params,)``, a copy."""
        return torch.cat([p.detach().reshape(-1) for p in self._parameters.values()])

    def load(self, theta: Tensor) -> nn.Module:
        """Put a trained ``theta`` back into the module, in place; returns the module.

        ``module.state_dict()`` then holds it, as after any other training.
        """
        with torch.no_grad():
            for name, value in self._unflatten(theta).items():
                self._parameters[name].copy_(value)
        return self.module

    def set_grad(self, gradient: Tensor) -> nn.Module:
        """Write ``gradient`` ``(n_params,)`` into the parameters' ``.grad``; returns the module.

        With it any ``torch.optim`` optimiser, clipping and schedule serve the outer step.
        """
        for name, value in self._unflatten(gradient.detach()).items():
            self._parameters[name].grad = value.clone()
        return self.module

    def portions(self, batch: tuple) -> list[tuple]:
        """The tasks one after the other, each without a task axis.

        So a layer that looks at its whole batch, such as BatchNorm, sees one task at a time.
        """
        return list(_each(batch))

    def predict(self, theta: Tensor, x: Inputs) -> Tensor:
        """The module's output for ``theta`` ``(n_params,)``, or task by task for a batch.

        Buffers are copied for each call: running statistics never leak from task to task, nor
        into the module.
        """
        if theta.ndim > 1:
            return torch.stack([self.predict(*one) for one in _each((theta, x))])
        if self._channels_last and _many_images(x):
            try:
                return _call(self.module, self._unflatten(theta), _channels_innermost(x))
            except RuntimeError as error:
                if "view size is not compatible" not in str(error):
                    raise
                self._channels_last = False  # the module relies on the usual layout
        return _call(self.module, self._unflatten(theta), x)

    def loss(self, theta: Tensor, x: Inputs, y: Tensor) -> Tensor:
        """The objective, one number per task when ``theta`` has a task axis, else one number."""
        if theta.ndim > 1:
            return torch.stack([self.loss(*one) for one in _each((theta, x, y))])
        output = self.predict(theta, x)
        if callable(self.objective):
            return self.objective(output, y)
        check_targets(self.objective, output, y)
        return OBJECTIVES[self.objective].value(output, y)

    def _entries(self, chosen: Callable[[str], bool]) -> Tensor:
        """``(n_params,)`` of bool: the entries of the parameters whose name is ``chosen``."""
        parts = [torch.full((p.numel(),), chosen(name)) for name, p in self._parameters.items()]
        return torch.cat(parts)

    def _unflatten(self, theta: Tensor) -> dict[str, Tensor]:
        if theta.shape[-1] != self.n_params:
            raise ValueError(
                f"theta has shape {tuple(theta.shape)}; expected n_params = {self.n_params}"
            )
        blocks = theta.split([p.numel() for p in self._parameters.values()])
        return {
            name: block.view_as(p)
            for (name, p), block in zip(self._parameters.items(), blocks, strict=True)
        }


class Stack(FromModule):
    """An ``nn.Sequential`` that is an MLP: all tasks at once, by the derivatives of ``MLP``."""

    by_hand = True
    n_kept = MLP.n_kept

    def __init__(self, module: nn.Module, objective: str | Loss, mlp: MLP):
        super().__init__(module, objective)
        self._mlp = mlp

    def portions(self, batch: tuple) -> list[tuple]:
        """All tasks together."""
        return [batch]

    def loss_and_gradient(self, theta: Tensor, x: Inputs, y: Tensor) -> tuple[Tensor, Tensor]:
        """Loss ``(n_tasks,)`` and gradient ``(n_tasks, n_params)``."""
        return self._mlp.loss_and_gradient(theta, x, y)

    def linearize(self, theta: Tensor, x: Inputs, y: Tensor) -> tuple[Tensor, Product]:
        """``(gradient, product)`` per task, as :meth:`MLP.linearize`."""
        return self._mlp.linearize(theta, x, y)


class AllAtOnce(FromModule):
    """A module whose tasks go through it together; made by :func:`from_module_all_at_once`.

    ``vmap`` over tasks is the outermost transform everywhere. Differentiating a ``vmap`` instead
    gives second derivatives of BatchNorm that are wrong, without a word.
    """

    n_kept = float("inf")  # a product holds no graph: it computes everything again

    def portions(self, batch: tuple) -> list[tuple]:
        """All tasks together."""
        return [batch]

    def loss_and_gradient(self, theta: Tensor, x: Inputs, y: Tensor) -> tuple[Tensor, Tensor]:
        """Loss ``(n_tasks,)`` and gradient ``(n_tasks, n_params)``."""
        one = grad_and_value(self._one_loss)
        gradient, loss = vmap(one)(theta, x, y, self._buffers(len(theta)))
        return loss, gradient

    def linearize(self, theta: Tensor, x: Inputs, y: Tensor) -> tuple[Tensor, Product]:
        """``(gradient, product)`` per task, gradient ``(n_tasks, n_params)``."""

        def one_product(theta, v, x, y, buffers):
            return vjp(lambda t: grad(self._one_loss)(t, x, y, buffers), theta)[1](v)[0]

        def product(v: Tensor) -> Tensor:
            return vmap(one_product)(theta, v, x, y, self._buffers(len(theta)))

        return self.gradient(theta, x, y), product

    def _buffers(self, n_tasks: int) -> dict[str, Tensor]:
        """One set of buffers per task: a layer that writes into them stays within its task."""
        return {name: b.expand(n_tasks, *b.shape) for name, b in self.module.named_buffers()}

    def _one_loss(self, theta: Tensor, x: Inputs, y: Tensor, buffers: dict[str, Tensor]) -> Tensor:
        output = _call(self.module, self._unflatten(theta), x, buffers)
        if callable(self.objective):
            return self.objective(output, y)
        check_target_shape(self.objective, output, y)
        return OBJECTIVES[self.objective].value(output, y)


def from_module(module: nn.Module, objective: str | Loss) -> FromModule:
    """Wrap any ``nn.Module`` so that every function here takes it as ``model``.

    ``model.theta()`` is the flat concatenation of ``module.parameters()``, in that order, without
    those that do not require gradients, which stay as they are. ``model.load(theta)`` puts trained
    weights back into the module. The module is used in the mode it is in: in training mode
    BatchNorm uses the statistics of each batch, support and query apart; running statistics are
    neither read nor changed. In ``eval()`` mode it uses the running statistics the module has.

    The tasks of a batch go through the module one after the other. An ``nn.Sequential`` of linear
    layers with ReLU or Tanh between them is recognised as an MLP: its tasks go together, about
    twenty times as fast.

    Args:
        module: The network. Its parameters are read, never changed, until ``load``. It is called
            as ``module(x)``, ``module(*x)`` if ``x`` is a tuple, ``module(**x)`` if a dict.
        objective: ``"mse"``, ``"cross_entropy"``, or a function ``(output, y) -> scalar``.

    Returns:
        A model with ``n_params``, ``theta()``, ``load``, ``set_grad``, ``predict`` and ``loss``.

    Raises:
        ValueError: If nothing in the module can be trained or the objective is not one of these.

    >>> model = from_module(torch.nn.Linear(3, 2), "cross_entropy")
    >>> model.theta().shape
    torch.Size([8])
    """
    mlp = as_mlp(*_checked(module, objective))
    return FromModule(module, objective) if mlp is None else Stack(module, objective, mlp)


def from_module_all_at_once(module: nn.Module, objective: str | Loss) -> AllAtOnce:
    """:func:`from_module` with all tasks of a batch in one call, by ``vmap``.

    Meant for a GPU, where many small kernels are the cost. On a CPU convolutions are several
    times slower this way. Tasks must not differ in shape, and a module or objective that asks for
    values (``.item()``, ``if``) or for random numbers (dropout) is refused by ``vmap``. Memory
    grows with the number of tasks.
    """
    return AllAtOnce(*_checked(module, objective))


def rates_by_name(
    module: nn.Module, rates: Mapping[str, float], *, otherwise: float = 0.0
) -> Tensor:
    """Inner rates from names of parts: one rate per parameter, zero where nothing adapts.

    Args:
        module: The module that was given to :func:`from_module`.
        rates: Rate by name of a parameter (``"head.weight"``) or of a submodule (``"head"``). Of
            several names that fit, the longest counts.
        otherwise: Rate of all other parameters.

    Returns:
        ``alpha`` ``(n_params,)`` for the functions of ``maml_torch``. With the last layer alone
        in ``rates`` this is ANIL.

    Raises:
        ValueError: If a name fits no trainable parameter.

    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.Linear(2, 1))
    >>> rates_by_name(net, {"1": 0.5})
    tensor([0.0000, 0.0000, 0.0000, 0.0000, 0.5000, 0.5000, 0.5000])
    """
    parameters = _trainable(module)
    for part in rates:
        if not any(_belongs(name, part) for name in parameters):
            raise ValueError(f"rates names {part!r}; parameters are {', '.join(parameters)}")
    blocks = []
    for name, p in parameters.items():
        fitting = [part for part in rates if _belongs(name, part)]
        value = rates[max(fitting, key=len)] if fitting else otherwise
        blocks.append(p.new_full((p.numel(),), value, requires_grad=False))
    return torch.cat(blocks)


def _each(batch: tuple) -> Iterator[tuple]:
    """The tasks of a batch one by one: a tuple of arrays with a task axis, each without it."""
    n_tasks = len(arrays_in(batch)[0])
    return (map_arrays(itemgetter(t), batch) for t in range(n_tasks))


def _belongs(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def _trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def _checked(module: nn.Module, objective: str | Loss) -> tuple[nn.Module, str | Loss]:
    if not callable(objective):
        choice("objective", objective, OBJECTIVES)
    if not _trainable(module):
        raise ValueError("module has no parameters to train: there is nothing to adapt")
    return module, objective


def _call(
    module: nn.Module,
    parameters: Mapping[str, Tensor],
    x: Inputs,
    buffers: Mapping[str, Tensor] | None = None,
) -> Tensor:
    buffers = dict(module.named_buffers()) if buffers is None else buffers
    buffers = {name: b.clone() for name, b in buffers.items()}
    args, kwargs = (x if isinstance(x, tuple) else (x,)), {}
    if isinstance(x, dict):
        args, kwargs = (), dict(x)
    return functional_call(module, {**parameters, **buffers}, args, kwargs)


def _many_images(x: Inputs) -> bool:
    first = arrays_in(x)[0]
    return first.ndim == 4 and len(first) >= MANY_IMAGES and first.device.type == "cpu"


def _channels_innermost(x: Inputs) -> Inputs:
    """The same images ``(n, c, h, w)`` with channels innermost in memory, also for ``c = 1``."""

    def convert(images: Tensor) -> Tensor:
        if images.ndim != 4 or not images.is_floating_point():
            return images
        n, c, h, w = images.shape
        laid_out = images.new_empty_strided((n, c, h, w), (c * h * w, 1, w * c, c))
        return laid_out.copy_(images)

    return map_arrays(convert, x)


class StackLayout(MLP):
    """The MLP on a ``theta`` laid out as in ``nn.Linear``: weights ``(n_out, n_in)``."""

    def _matrix(self, block: Tensor, n_in: int, n_out: int) -> Tensor:
        return block.view(*block.shape[:-1], n_out, n_in).mT

    def _join(self, blocks: list[tuple[Tensor, Tensor]]) -> Tensor:
        return super()._join([(W.mT, delta) for W, delta in blocks])


def as_mlp(module: nn.Module, objective: str | Loss) -> MLP | None:
    """The ``MLP`` that ``module`` is, or ``None`` if it is anything else.

    It is one if linear layers alternate with activations of one kind, and nobody has frozen, tied
    or hooked any of it.

    Args:
        module: An ``nn.Module``.
        objective: As in :func:`from_module`.
    """
    name = "mse" if objective is nn.functional.mse_loss else objective
    parts: list[Any] = list(module) if type(module) is nn.Sequential else []
    linear, kinds = parts[::2], {type(part) for part in parts[1::2]}
    if name not in OBJECTIVES or len(parts) % 2 == 0 or any(map(_has_hooks, module.modules())):
        return None
    if any(type(layer) is not nn.Linear for layer in linear):
        return None
    sizes = [linear[0].in_features, *(layer.out_features for layer in linear)]
    if len(kinds) > 1 or not kinds <= set(LAYERS) or sizes[1:-1] != _widths_in(linear[1:]):
        return None
    mlp = StackLayout(tuple(sizes), LAYERS[kinds.pop()] if kinds else "relu", name)
    n_trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    return mlp if mlp.n_params == n_trainable else None


def _widths_in(linear: list[nn.Linear]) -> list[int]:
    return [layer.in_features for layer in linear]


def _has_hooks(part: nn.Module) -> bool:
    return any((part._forward_hooks, part._forward_pre_hooks, part._backward_hooks))
