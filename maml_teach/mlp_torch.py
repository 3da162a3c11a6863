"""The network of ``mlp`` in PyTorch, all tasks of a batch at once, and what every model offers.

The derivatives are written out by hand as in ``mlp``, because autograd's bookkeeping costs more
than the arithmetic of a small network.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .inputs import Inputs, check_array, check_sizes, choice, described
from .protocols import Product

Layer = tuple[Tensor, Tensor]  # W and b
Loss = Callable[[Tensor, Tensor], Tensor]  # of output and targets


class Activation(NamedTuple):
    """A function of ``z``, and its slope as a function of its value ``a``."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]


ACTIVATIONS = {
    "relu": Activation(torch.relu, torch.sign),
    "tanh": Activation(torch.tanh, lambda a: 1 - a * a),
}


def _mse(output: Tensor, y: Tensor) -> Tensor:
    return (output - y).square().mean(dim=(-2, -1))


def _mse_slope(output: Tensor, y: Tensor) -> Tensor:
    return (output - y) * (2 / (output.shape[-1] * output.shape[-2]))


def _mse_curvature(output: Tensor, r_output: Tensor) -> Tensor:
    return r_output * (2 / (output.shape[-1] * output.shape[-2]))


def _cross_entropy(output: Tensor, y: Tensor) -> Tensor:
    picked = functional.log_softmax(output, dim=-1).gather(-1, y.long().unsqueeze(-1))
    return -picked.squeeze(-1).mean(dim=-1)


def _cross_entropy_slope(output: Tensor, y: Tensor) -> Tensor:
    one_hot = functional.one_hot(y.long(), output.shape[-1])
    return (output.softmax(dim=-1) - one_hot) / output.shape[-2]


def _cross_entropy_curvature(output: Tensor, r_output: Tensor) -> Tensor:
    p = output.softmax(dim=-1)
    return p * (r_output - (p * r_output).sum(dim=-1, keepdim=True)) / output.shape[-2]


class Objective(NamedTuple):
    """``value(output, y)``, its derivative in the output, and its second one times ``r_output``."""

    value: Loss
    slope: Callable[[Tensor, Tensor], Tensor]
    curvature: Callable[[Tensor, Tensor], Tensor]


OBJECTIVES = {
    "mse": Objective(_mse, _mse_slope, _mse_curvature),
    "cross_entropy": Objective(_cross_entropy, _cross_entropy_slope, _cross_entropy_curvature),
}


def check_targets(objective: str, output: Tensor, y: Tensor) -> None:
    """Require targets that fit ``output`` ``(..., n, n_out)`` and labels within range."""
    check_target_shape(objective, output, y)
    n_out = output.shape[-1]
    if objective == "cross_entropy" and (int(y.min()) < 0 or int(y.max()) >= n_out):
        raise ValueError(f"y has labels in [{y.min()}, {y.max()}]; expected 0 to {n_out - 1}")


def check_target_shape(objective: str, output: Tensor, y: Tensor) -> None:
    """The part of :func:`check_targets` that looks at no value, so that ``vmap`` allows it."""
    wanted = tuple(output.shape[-2:])
    check_array("y", y, Tensor, holds="fiu")
    if objective == "mse":
        if y.shape[-2:] != wanted:
            raise ValueError(f"y has shape {tuple(y.shape)}; expected (..., {wanted})")
    elif y.is_floating_point() or y.shape[-1:] != wanted[:1]:
        raise ValueError(
            f"y must be integer labels (..., {wanted[0]}), got {y.dtype} {tuple(y.shape)}"
        )


class Differentiable:
    """What ``maml_torch`` asks of a model, for any ``loss``, by autograd.

    The contract is ``protocols.TorchModel``: there stands what each method and flag is for. A
    subclass adds ``loss``, and writes anew what it does better.
    """

    shares_theta: bool = False
    by_hand: bool = False
    n_kept: float = 1
    keeps_graphs: bool = True

    loss: Callable[..., Tensor]  # of a subclass

    def portions(self, batch: tuple) -> list[tuple]:
        """What goes through the model together, one after the other: here the batch as it is.

        Args:
            batch: A tuple, each part with a leading ``n_tasks`` axis: parameters, inputs, targets.

        Returns:
            A list of such tuples. A part without a task axis is that of a single task.
        """
        return [batch]

    def portion_loss(self, theta: Tensor, x: Inputs, y: Tensor) -> Tensor:
        """``loss`` of tasks that go through the model together, with its graph."""
        return self.loss(theta, x, y)

    def loss_and_gradient(self, theta: Tensor, x: Inputs, y: Tensor) -> tuple[Tensor, Tensor]:
        """``loss``, and its gradient in ``theta``, of the shape of ``theta``."""
        theta = theta.detach().requires_grad_()
        loss = depending(self.loss(theta, x, y))
        return loss.detach(), torch.autograd.grad(loss.sum(), theta)[0]

    def gradient(self, theta: Tensor, x: Inputs, y: Tensor) -> Tensor:
        """Gradient of ``loss`` in ``theta``, of the shape of ``theta``."""
        return self.loss_and_gradient(theta, x, y)[1]

    def hvp(self, theta: Tensor, v: Tensor, x: Inputs, y: Tensor) -> Tensor:
        """Hessian of ``loss`` times ``v``, of the shape of ``theta``."""
        check_array("theta", theta, Tensor, holds="f")
        check_array("v", v, Tensor, holds="f")
        if v.shape[-1:] != theta.shape[-1:]:
            raise ValueError(f"v has shape {tuple(v.shape)}, theta has {tuple(theta.shape)}")
        return self.linearize(theta, x, y)[1](v)

    def linearize(self, theta: Tensor, x: Inputs, y: Tensor) -> tuple[Tensor, Product]:
        """``(gradient, product)``: ``product(v)`` is the Hessian times ``v``, by double backward.

        The product can be taken once: it then frees the graph that it holds.
        """
        theta = theta.detach().requires_grad_()
        loss = depending(self.loss(theta, x, y)).sum()
        (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)

        def product(v: Tensor) -> Tensor:
            if not gradient.requires_grad:  # the loss is linear in theta
                return torch.zeros_like(v)
            return torch.autograd.grad(gradient, theta, v)[0]

        return gradient.detach(), product


def depending(loss: Tensor) -> Tensor:
    """``loss``, if a gradient can be taken of it.

    Raises:
        ValueError: If it does not depend on anything that requires gradients.
    """
    if not loss.requires_grad:
        raise ValueError(
            "objective does not depend on theta: there is nothing to take a gradient of. Does it, "
            "or the module, detach its input?"
        )
    return loss


@dataclass(frozen=True)
class MLP(Differentiable):
    """The network of ``mlp.MLP`` on tensors: same ``theta``, same layers, same derivatives.

    Args:
        sizes: Widths of all layers, input and output included.
        activation: ``"relu"`` or ``"tanh"``.
        objective: ``"mse"`` or ``"cross_entropy"``.

    Raises:
        ValueError: If a size, the activation or the objective is not one of these.
    """

    sizes: tuple[int, ...]
    activation: str = "relu"
    objective: str = "mse"

    shares_theta = True
    by_hand = True
    keeps_graphs = False
    n_kept = float("inf")  # activations are no larger than the theta_k that is kept anyway

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", check_sizes("sizes", self.sizes))
        choice("activation", self.activation, ACTIVATIONS)
        choice("objective", self.objective, OBJECTIVES)

    @cached_property
    def n_params(self) -> int:
        """Length of ``theta``."""
        return sum((n_in + 1) * n_out for n_in, n_out in self._shapes)

    @property
    def head(self) -> Tensor:
        """Which entries of ``theta`` belong to the last layer, ``(n_params,)`` of bool."""
        n_in, n_out = self._shapes[-1]
        return torch.arange(self.n_params) >= self.n_params - (n_in + 1) * n_out

    @property
    def last_layer(self) -> "MLP":
        """The last layer as a network of its own; its ``theta`` is ``theta[..., head]``."""
        return MLP(self.sizes[-2:], self.activation, self.objective)

    @cached_property
    def _shapes(self) -> list[tuple[int, int]]:
        return list(zip(self.sizes[:-1], self.sizes[1:], strict=True))

    def init(
        self,
        generator: torch.Generator,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """A random ``theta``, uniform in ``±1/sqrt(n_in)`` layer by layer."""
        if not isinstance(generator, torch.Generator):
            raise ValueError(f"generator must be a torch.Generator, got {described(generator)}")
        options: dict[str, Any] = {"generator": generator, "device": device, "dtype": dtype}
        return torch.cat(
            [
                (2 * torch.rand((n_in + 1) * n_out, **options) - 1) / n_in**0.5
                for n_in, n_out in self._shapes
            ]
        )

    def predict(self, theta: Tensor, x: Tensor) -> Tensor:
        """Outputs ``(..., n, n_out)`` for ``theta`` ``(..., n_params)``; as ``mlp.MLP.predict``."""
        self._check(theta, x)
        return self._forward(self._layers(theta), x)[-1]

    def features(self, theta: Tensor, x: Tensor) -> Tensor:
        """What the last layer is given, ``(..., n, sizes[-2])``."""
        self._check(theta, x)
        return self._forward(self._layers(theta), x)[-2]

    def loss(self, theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The objective, one number per leading index: shape ``(...)``."""
        output = self.predict(theta, x)
        check_targets(self.objective, output, y)
        return OBJECTIVES[self.objective].value(output, y)

    def loss_and_gradient(self, theta: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``loss`` ``(...)`` and its gradient ``(..., n_params)``, by backpropagation."""
        _, a, _, deltas = self._backward(theta, x, y)
        return OBJECTIVES[self.objective].value(a[-1], y), self._flatten(a, deltas)

    def linearize(self, theta: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Product]:
        """``(gradient, product)``: ``product(v)`` is ``H v``, from the activations already there.

        Args:
            theta: Parameters, ``(..., n_params)``.
            x: Inputs, ``(..., n, n_in)``; leading axes broadcast with those of ``theta``.
            y: Targets.

        Returns:
            The gradient ``(..., n_params)``, and a function of ``v`` ``(..., n_params)``;
            ``product(v, together=True)`` is the sum over tasks, ``(n_params,)``.
        """
        layers, a, slopes, deltas = self._backward(theta, x, y)
        return self._flatten(a, deltas), partial(self._product, layers, a, slopes, deltas)

    def _backward(self, theta, x, y):
        """Layers, activations, their slopes, and the derivative ``delta`` at each layer's ``z``."""
        self._check(theta, x)
        layers = self._layers(theta)
        a = self._forward(layers, x)
        check_targets(self.objective, a[-1], y)
        slopes: list[Any] = [None, *map(ACTIVATIONS[self.activation].slope, a[1:-1])]
        deltas = [OBJECTIVES[self.objective].slope(a[-1], y)]
        for (W, _), slope in zip(reversed(layers[1:]), reversed(slopes[1:]), strict=True):
            deltas.insert(0, _matmul(deltas[0], W.mT) * slope)
        return layers, a, slopes, deltas

    def _product(self, layers, a, slopes, deltas, v, together=False):
        """``H v``: every line of the gradient differentiated along ``v``; see ``mlp.MLP.hvp``.

        With ``together`` the sum over tasks, ``(n_params,)``: one product per layer for all
        points of all tasks.
        """
        points = (lambda z: z.flatten(0, -2)) if together else (lambda z: z)
        r_layers = self._layers(v)
        r_z: list[Any] = [None]  # the input does not depend on theta
        r_a: list[Any] = [None]
        for k, ((W, _), (r_W, r_b)) in enumerate(zip(layers, r_layers, strict=True)):
            along = _affine(a[k], r_W, r_b)
            r_z.append(_affine(r_a[k], W, along) if k else along)
            r_a.append(r_z[-1] * slopes[k + 1] if k + 1 < len(layers) else r_z[-1])
        r_delta = OBJECTIVES[self.objective].curvature(a[-1], r_a[-1])
        blocks: list[tuple[Tensor, Tensor]] = []
        for k in reversed(range(len(layers))):
            r_W = _matmul(points(a[k]).mT, points(r_delta))
            r_W = _affine(points(r_a[k]).mT, points(deltas[k]), r_W) if k else r_W
            blocks.insert(0, (r_W, points(r_delta)))
            if k:
                back = _matmul(r_delta, layers[k][0].mT)
                r_delta = _affine(deltas[k], r_layers[k][0].mT, back) * slopes[k]
                if self.activation == "tanh":  # the slope 1 - a^2 bends by -2 a
                    r_delta = r_delta - 2 * a[k] * r_z[k] * deltas[k - 1]
        return self._join(blocks)

    def _layers(self, theta: Tensor) -> list[Layer]:
        """The pairs ``(W, b)`` as views into ``theta``; ``b`` has a points axis to broadcast."""
        sizes = [n for n_in, n_out in self._shapes for n in (n_in * n_out, n_out)]
        blocks = theta.split(sizes, -1)
        return [
            (self._matrix(W, *shape), b.unsqueeze(-2))
            for shape, W, b in zip(self._shapes, blocks[::2], blocks[1::2], strict=True)
        ]

    def _matrix(self, block: Tensor, n_in: int, n_out: int) -> Tensor:
        """A layer's stretch of ``theta`` as ``W``, ``(..., n_in, n_out)``."""
        return block.view(*block.shape[:-1], n_in, n_out)

    def _flatten(self, a: list[Tensor], deltas: list[Tensor]) -> Tensor:
        """The gradient from each layer's input and ``delta``."""
        return self._join([(_matmul(a_in.mT, d), d) for a_in, d in zip(a, deltas, strict=False)])

    def _join(self, blocks: list[tuple[Tensor, Tensor]]) -> Tensor:
        """``(W, delta)`` of every layer as a flat vector per task; ``b`` sums ``delta``."""
        parts = [part for W, delta in blocks for part in (W.flatten(-2), delta.sum(-2))]
        return torch.cat(parts, dim=-1)

    def _forward(self, layers: list[Layer], x: Tensor) -> list[Tensor]:
        """Input, hidden activations and output: ``a_0 = x, ..., a_L``."""
        a = [x]
        for W, b in layers[:-1]:
            a.append(ACTIVATIONS[self.activation].value(_affine(a[-1], W, b)))
        W, b = layers[-1]
        return [*a, _affine(a[-1], W, b)]

    def _check(self, theta: Tensor, x: Tensor) -> None:
        check_array("theta", theta, Tensor, holds="f")
        check_array("x", x, Tensor)
        if theta.shape[-1:] != (self.n_params,):
            raise ValueError(
                f"theta has shape {tuple(theta.shape)}; its last axis must be "
                f"n_params = {self.n_params}"
            )
        if x.ndim < 2 or x.shape[-1] != self.sizes[0]:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; expected (..., n, n_in = {self.sizes[0]})"
            )
        if x.dtype != theta.dtype or x.device != theta.device:
            raise ValueError(
                f"x is {x.dtype} on {x.device}, theta {theta.dtype} on {theta.device}: both must "
                "be the same, x.to(theta) makes them so"
            )


def _matmul(x: Tensor, W: Tensor) -> Tensor:
    """``x @ W``, without the detour that ``@`` takes where both have the same tasks axis."""
    return torch.bmm(x, W) if x.ndim == W.ndim == 3 and len(x) == len(W) else x @ W


def _affine(x: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """``x @ W + b``, in one call where every task has its own ``W`` or there are no tasks."""
    if x.ndim == W.ndim == b.ndim == 3 and len(x) == len(W) == len(b):
        return torch.baddbmm(b, x, W)
    if x.ndim == W.ndim == b.ndim == 2:
        return torch.addmm(b, x, W)
    return x @ W + b
