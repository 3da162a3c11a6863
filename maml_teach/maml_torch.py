"""MAML and its relatives in PyTorch: the same names as in ``maml``, for any ``nn.Module``.

The meta-gradient is taken by autograd through the whole inner loop. It shares no derivation
with the NumPy reference, so that the agreement of the two is evidence for both. Device and
dtype follow ``theta``; arrays in a task are converted to them.
"""

from dataclasses import dataclass

import torch
from torch.func import functional_call
from torch.nn import functional

from .tasks import Task, check_batch, check_inner_loop


def _mse(output, y):
    return (output - y).square().mean(dim=(-2, -1))


def _cross_entropy(output, y):
    picked = functional.log_softmax(output, dim=-1).gather(-1, y.long().unsqueeze(-1))
    return -picked.squeeze(-1).mean(dim=-1)


OBJECTIVES = {"mse": _mse, "cross_entropy": _cross_entropy}
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}


@dataclass(frozen=True)
class MLP:
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


class FromModule:
    """Any ``nn.Module`` as a model on a flat ``theta``; made by :func:`from_module`."""

    def __init__(self, module, objective):
        self.module = module
        self.objective = objective
        self._parameters = dict(module.named_parameters())

    @property
    def n_params(self):
        """Length of ``theta``."""
        return sum(p.numel() for p in self._parameters.values())

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


def adapt(model, theta, tasks, *, alpha, n_inner_steps=1):
    """The inner loop; see ``maml.adapt``. Returns ``theta_prime`` ``(n_tasks, n_params)``."""
    theta, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    return _inner_loop(model, theta, tasks, alpha, n_inner_steps, create_graph=False)


def maml_gradient(model, theta, tasks, *, alpha, n_inner_steps=1):
    """The exact meta-gradient by autograd through the inner loop; see ``maml.maml_gradient``.

    Returns:
        ``(meta_loss, gradient)``: a scalar tensor and a tensor ``(n_params,)``, both detached.

    Raises:
        ValueError: If an argument has the wrong shape or range.
        FloatingPointError: If the inner loop diverged.
    """
    theta, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    theta.requires_grad_()
    theta_prime = _inner_loop(model, theta, tasks, alpha, n_inner_steps, create_graph=True)
    meta_loss = _query_loss(model, theta_prime, tasks)
    return meta_loss.detach(), torch.autograd.grad(meta_loss, theta)[0]


def fomaml_gradient(model, theta, tasks, *, alpha, n_inner_steps=1):
    """First-order MAML; see ``maml.fomaml_gradient``."""
    theta, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    theta_prime = _inner_loop(model, theta, tasks, alpha, n_inner_steps, create_graph=False)
    theta_prime.requires_grad_()
    meta_loss = _query_loss(model, theta_prime, tasks)
    return meta_loss.detach(), torch.autograd.grad(meta_loss, theta_prime)[0].sum(dim=0)  # (3.17)


def reptile_gradient(model, theta, tasks, *, alpha, n_inner_steps=1):
    """Reptile; see ``maml.reptile_gradient``."""
    theta, tasks = _prepare(theta, tasks, alpha, n_inner_steps)
    theta_prime = _inner_loop(model, theta, tasks, alpha, n_inner_steps, create_graph=False)
    with torch.no_grad():
        meta_loss = _query_loss(model, theta_prime, tasks)
    return meta_loss, (theta - theta_prime.mean(dim=0)) / alpha  # (3.18)


def joint_gradient(model, theta, tasks, *, alpha=None, n_inner_steps=0):
    """Multi-task baseline, nobody adapts; see ``maml.joint_gradient``."""
    return maml_gradient(model, theta, tasks, alpha=1.0, n_inner_steps=0)


def _prepare(theta, tasks, alpha, n_inner_steps):
    """Checked arguments: a detached copy of ``theta``, and the tasks as tensors like it."""
    check_batch(tasks)
    check_inner_loop(alpha, n_inner_steps)
    if not torch.is_floating_point(theta) or not bool(theta.isfinite().all()):
        raise ValueError(f"theta must be finite and of a float dtype, got {theta.dtype}")
    return theta.detach().clone(), _as_tensors(tasks, theta)


def _as_tensors(tasks, like):
    def convert(array):
        tensor = torch.as_tensor(array, device=like.device)
        return tensor.to(like.dtype) if tensor.is_floating_point() else tensor

    return Task(*map(convert, (tasks.x_support, tasks.y_support, tasks.x_query, tasks.y_query)))


def _inner_loop(model, theta, tasks, alpha, n_inner_steps, *, create_graph):
    theta_k = theta.expand(tasks.n_tasks, theta.shape[-1])
    for _ in range(n_inner_steps):
        if not create_graph:
            theta_k = theta_k.detach().requires_grad_()
        losses = model.loss(theta_k, tasks.x_support, tasks.y_support)
        (gradient,) = torch.autograd.grad(losses.sum(), theta_k, create_graph=create_graph)
        theta_k = theta_k - alpha * gradient  # (3.2)
    _check_convergence(theta_k, alpha, n_inner_steps)
    return theta_k if create_graph else theta_k.detach()


def _query_loss(model, theta_prime, tasks):
    return model.loss(theta_prime, tasks.x_query, tasks.y_query).mean()  # (3.1)


def _check_convergence(theta_prime, alpha, n_inner_steps):
    finite = theta_prime.isfinite().all(dim=-1)
    if not finite.all():
        raise FloatingPointError(
            f"the inner loop diverged on {int((~finite).sum())} of {finite.numel()} tasks within "
            f"{n_inner_steps} steps: alpha = {alpha} is too large"
        )


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
