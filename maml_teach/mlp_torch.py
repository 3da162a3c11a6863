"""Models on a flat theta in PyTorch: the network of ``mlp``, and any ``nn.Module``."""

from dataclasses import dataclass

import torch
from torch.func import functional_call
from torch.nn import functional


def _mse(output, y):
    return (output - y).square().mean(dim=(-2, -1))


def _cross_entropy(output, y):
    picked = functional.log_softmax(output, dim=-1).gather(-1, y.long().unsqueeze(-1))
    return -picked.squeeze(-1).mean(dim=-1)


OBJECTIVES = {"mse": _mse, "cross_entropy": _cross_entropy}
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}


class Differentiable:
    """The two derivatives that the NumPy models have, for any ``loss``, by autograd."""

    def gradient(self, theta, x, y):
        """Gradient of ``loss`` in ``theta``, of the shape of ``theta``."""
        theta = theta.detach().requires_grad_()
        return torch.autograd.grad(self.loss(theta, x, y).sum(), theta)[0]

    def hvp(self, theta, v, x, y):
        """Hessian of ``loss`` times ``v``, of the shape of ``theta``, by double backward."""
        theta = theta.detach().requires_grad_()
        loss = self.loss(theta, x, y).sum()
        (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)
        return torch.autograd.grad(gradient, theta, v)[0]


@dataclass(frozen=True)
class MLP(Differentiable):
    """The network of ``mlp.MLP`` on tensors: same ``theta``, same layers, gradients by autograd.

    Args:
        sizes: Widths of all layers, input and output included.
        activation: ``"relu"`` or ``"tanh"``.
        objective: ``"mse"`` or ``"cross_entropy"``.

    Raises:
        ValueError: If the activation or the objective is not one of these.
    """

    sizes: tuple[int, ...]
    activation: str = "relu"
    objective: str = "mse"

    def __post_init__(self):
        _choice("activation", self.activation, ACTIVATIONS)
        _choice("objective", self.objective, OBJECTIVES)

    @property
    def n_params(self):
        """Length of ``theta``."""
        return sum((n_in + 1) * n_out for n_in, n_out in self._shapes)

    @property
    def head(self):
        """Which entries of ``theta`` belong to the last layer, ``(n_params,)`` of bool."""
        n_in, n_out = self._shapes[-1]
        return torch.arange(self.n_params) >= self.n_params - (n_in + 1) * n_out

    @property
    def _shapes(self):
        return list(zip(self.sizes[:-1], self.sizes[1:], strict=True))

    def init(self, generator, *, device=None, dtype=torch.float32):
        """A random ``theta``, uniform in ``±1/sqrt(n_in)`` layer by layer."""
        options = {"generator": generator, "device": device, "dtype": dtype}
        return torch.cat(
            [
                (2 * torch.rand((n_in + 1) * n_out, **options) - 1) / n_in**0.5
                for n_in, n_out in self._shapes
            ]
        )

    def predict(self, theta, x):
        """Outputs ``(..., n, n_out)`` for ``theta`` ``(..., n_params)``; as ``mlp.MLP.predict``."""
        if theta.shape[-1] != self.n_params:
            raise ValueError(
                f"theta has shape {tuple(theta.shape)}; its last axis must be "
                f"n_params = {self.n_params}"
            )
        if x.shape[-1] != self.sizes[0]:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; expected (..., n, n_in = {self.sizes[0]})"
            )
        blocks = theta.split([n for pair in self._shapes for n in (pair[0] * pair[1], pair[1])], -1)
        for k, shape in enumerate(self._shapes):
            W = blocks[2 * k].unflatten(-1, shape)
            z = x @ W + blocks[2 * k + 1].unsqueeze(-2)
            x = ACTIVATIONS[self.activation](z) if k < len(self._shapes) - 1 else z
        return x

    def loss(self, theta, x, y):
        """The objective, one number per leading index: shape ``(...)``."""
        output = self.predict(theta, x)
        _check_targets(self.objective, output, y)
        return OBJECTIVES[self.objective](output, y)


class FromModule(Differentiable):
    """Any ``nn.Module`` as a model on a flat ``theta``; made by :func:`from_module`."""

    def __init__(self, module, objective):
        self.module = module
        self.objective = objective
        self._parameters = dict(module.named_parameters())

    @property
    def n_params(self):
        """Length of ``theta``."""
        return sum(p.numel() for p in self._parameters.values())

    @property
    def head(self):
        """Which entries of ``theta`` belong to the last layer that has parameters, bool."""
        layer = list(self._parameters)[-1].rpartition(".")[0]
        return torch.cat(
            [
                torch.full((p.numel(),), name.rpartition(".")[0] == layer)
                for name, p in self._parameters.items()
            ]
        )

    def theta(self):
        """The module's present parameters as a flat vector ``(n_params,)``, a copy."""
        return torch.cat([p.detach().reshape(-1) for p in self._parameters.values()])

    def load(self, theta):
        """Put a trained ``theta`` back into the module, in place; returns the module."""
        with torch.no_grad():
            for name, value in self._unflatten(theta).items():
                self._parameters[name].copy_(value)
        return self.module

    def predict(self, theta, x):
        """The module's output for ``theta`` ``(n_params,)``, or task by task for a batch.

        The tasks go through one after the other, so that a layer that looks at its whole batch,
        such as BatchNorm, sees one task at a time. Buffers are copied for each call: running
        statistics never leak from task to task, nor into the module.
        """
        if theta.ndim > 1:
            return torch.stack([self.predict(t, x_t) for t, x_t in zip(theta, x, strict=True)])
        buffers = {name: b.clone() for name, b in self.module.named_buffers()}
        return functional_call(self.module, {**self._unflatten(theta), **buffers}, (x,))

    def loss(self, theta, x, y):
        """The objective, one number per task when ``theta`` has a task axis, else one number."""
        if callable(self.objective):
            if theta.ndim > 1:
                return torch.stack([self.loss(*one) for one in zip(theta, x, y, strict=True)])
            return self.objective(self.predict(theta, x), y)
        output = self.predict(theta, x)
        _check_targets(self.objective, output, y)
        return OBJECTIVES[self.objective](output, y)

    def _unflatten(self, theta):
        if theta.shape[-1] != self.n_params:
            raise ValueError(
                f"theta has shape {tuple(theta.shape)}; expected n_params = {self.n_params}"
            )
        blocks = theta.split([p.numel() for p in self._parameters.values()])
        return {
            name: block.view_as(p)
            for (name, p), block in zip(self._parameters.items(), blocks, strict=True)
        }


def from_module(module, objective):
    """Wrap any ``nn.Module`` so that every function here takes it as ``model``.

    ``model.theta()`` is the flat concatenation of ``module.parameters()``, in that order, and
    ``model.load(theta)`` puts trained weights back into the module. The module is used in the
    mode it is in: in training mode BatchNorm uses the statistics of each batch.

    Args:
        module: The network. Its parameters are read, never changed, until ``load``.
        objective: ``"mse"``, ``"cross_entropy"``, or a function ``(output, y) -> scalar``.

    Returns:
        A model with ``n_params``, ``theta()``, ``load(theta)``, ``predict`` and ``loss``.

    Raises:
        ValueError: If the module has no parameters or the objective is not one of these.

    >>> model = from_module(torch.nn.Linear(3, 2), "cross_entropy")
    >>> model.theta().shape
    torch.Size([8])
    """
    if not callable(objective):
        _choice("objective", objective, OBJECTIVES)
    if not any(True for _ in module.parameters()):
        raise ValueError("module has no parameters: there is nothing to adapt")
    return FromModule(module, objective)


def _choice(name, value, table):
    if value not in table:
        raise ValueError(f"{name} must be {' or '.join(map(repr, table))}, got {value!r}")


def _check_targets(objective, output, y):
    if objective == "mse":
        if y.shape[-2:] != output.shape[-2:]:
            raise ValueError(
                f"y has shape {tuple(y.shape)}; expected (..., {tuple(output.shape[-2:])})"
            )
        return
    n, n_out = output.shape[-2:]
    if y.is_floating_point() or y.shape[-1:] != (n,):
        raise ValueError(f"y must be integer labels (..., {n}), got {y.dtype} {tuple(y.shape)}")
    if int(y.min()) < 0 or int(y.max()) >= n_out:
        raise ValueError(f"y has labels in [{y.min()}, {y.max()}]; expected 0 to {n_out - 1}")
