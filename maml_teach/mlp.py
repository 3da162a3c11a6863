"""A multilayer perceptron on a flat theta: predict, loss, gradient and Hessian-vector product.

Everything is derived by hand and batched: ``theta`` is ``(..., n_params)``, ``x`` is
``(..., n, n_in)``, and the leading axes broadcast, so that one call serves all tasks of a batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .inputs import check_array, check_generator, check_sizes, choice, is_tensor

Layer = tuple[NDArray, NDArray]  # W and b


class Activation(NamedTuple):
    """A function of ``z``; its slope and bend are functions of its value ``a``."""

    value: Callable[[NDArray], NDArray]
    slope: Callable[[NDArray], NDArray]
    bend: Callable[[NDArray], NDArray]


ACTIVATIONS = {
    "relu": Activation(
        lambda z: np.maximum(z, 0),
        lambda a: (a > 0).astype(a.dtype),
        lambda a: 0 * a,
    ),
    "tanh": Activation(
        np.tanh,
        lambda a: 1 - a * a,
        lambda a: -2 * a * (1 - a * a),
    ),
}


def _mse(output: NDArray, y: NDArray) -> NDArray:
    return np.mean((output - y) ** 2, axis=(-2, -1))


def _mse_slope(output: NDArray, y: NDArray) -> NDArray:
    return 2 * (output - y) / (output.shape[-1] * output.shape[-2])


def _mse_curvature(output: NDArray, y: NDArray, r_output: NDArray) -> NDArray:
    return 2 * r_output / (output.shape[-1] * output.shape[-2])


def _weighted_mse(output: NDArray, y: NDArray) -> NDArray:
    return np.mean(y[..., -1:] * (output - y[..., :-1]) ** 2, axis=(-2, -1))


def _weighted_mse_slope(output: NDArray, y: NDArray) -> NDArray:
    return y[..., -1:] * _mse_slope(output, y[..., :-1])


def _weighted_mse_curvature(output: NDArray, y: NDArray, r_output: NDArray) -> NDArray:
    return y[..., -1:] * _mse_curvature(output, y, r_output)


def _log_softmax(output: NDArray) -> NDArray:
    shifted = output - output.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _cross_entropy(output: NDArray, y: NDArray) -> NDArray:
    picked = np.take_along_axis(_log_softmax(output), _labels_like(y, output), axis=-1)
    return -np.mean(picked[..., 0], axis=-1)


def _cross_entropy_slope(output: NDArray, y: NDArray) -> NDArray:
    one_hot = np.arange(output.shape[-1]) == _labels_like(y, output)
    return (np.exp(_log_softmax(output)) - one_hot) / output.shape[-2]


def _cross_entropy_curvature(output: NDArray, y: NDArray, r_output: NDArray) -> NDArray:
    p = np.exp(_log_softmax(output))
    return p * (r_output - np.sum(p * r_output, axis=-1, keepdims=True)) / output.shape[-2]


def _labels_like(y: NDArray, output: NDArray) -> NDArray:
    return np.broadcast_to(y[..., None], (*output.shape[:-1], 1))


class Objective(NamedTuple):
    """``value(output, y)``, its derivative in the output, and its second one times ``r_output``."""

    value: Callable[[NDArray, NDArray], NDArray]
    slope: Callable[[NDArray, NDArray], NDArray]
    curvature: Callable[[NDArray, NDArray, NDArray], NDArray]


OBJECTIVES = {
    "mse": Objective(_mse, _mse_slope, _mse_curvature),
    "weighted_mse": Objective(_weighted_mse, _weighted_mse_slope, _weighted_mse_curvature),
    "cross_entropy": Objective(_cross_entropy, _cross_entropy_slope, _cross_entropy_curvature),
}


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron whose parameters are one flat vector ``theta``.

    ``theta`` holds, layer by layer, ``W`` of shape ``(n_in, n_out)`` in C order, then ``b``
    ``(n_out,)``; a layer computes ``x @ W + b``, all but the last followed by the activation.

    Args:
        sizes: Widths of all layers, input and output included.
        activation: ``"relu"`` or ``"tanh"``.
        objective: ``"mse"``, the mean over every entry with no factor 1/2;
            ``"weighted_mse"``, the same with the last column of ``y`` as the weight of each point;
            or ``"cross_entropy"``, the mean over points in nats, for integer labels ``(..., n)``.

    Raises:
        ValueError: If a size, the activation or the objective is not one of these.

    >>> model = MLP((1, 40, 40, 1))
    >>> model.n_params
    1761
    >>> model.predict(model.init(np.random.default_rng(0)), np.zeros((5, 1))).shape
    (5, 1)
    """

    sizes: tuple[int, ...]
    activation: str = "relu"
    objective: str = "mse"

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", check_sizes("sizes", self.sizes))
        choice("activation", self.activation, ACTIVATIONS)
        choice("objective", self.objective, OBJECTIVES)

    @cached_property
    def n_params(self) -> int:
        """Length of ``theta``."""
        return sum((n_in + 1) * n_out for n_in, n_out in self._shapes)

    @property
    def head(self) -> NDArray:
        """Which entries of ``theta`` belong to the last layer, ``(n_params,)`` of bool."""
        n_in, n_out = self._shapes[-1]
        return np.arange(self.n_params) >= self.n_params - (n_in + 1) * n_out

    @property
    def last_layer(self) -> "MLP":
        """The last layer as a network of its own; its ``theta`` is ``theta[..., head]``."""
        return MLP(self.sizes[-2:], self.activation, self.objective)

    @cached_property
    def _shapes(self) -> list[tuple[int, int]]:
        return list(zip(self.sizes[:-1], self.sizes[1:], strict=True))

    def init(self, rng: np.random.Generator) -> NDArray:
        """A random ``theta``, uniform in ``±1/sqrt(n_in)`` layer by layer (as torch's Linear)."""
        check_generator(rng)
        return np.concatenate(
            [rng.uniform(-1, 1, (n_in + 1) * n_out) / np.sqrt(n_in) for n_in, n_out in self._shapes]
        )

    def predict(self, theta: NDArray, x: NDArray) -> NDArray:
        """Outputs ``(..., n, n_out)`` for inputs ``x`` ``(..., n, n_in)``."""
        self.check(theta, x)
        return self._forward(self._layers(theta), x)[-1]

    def features(self, theta: NDArray, x: NDArray) -> NDArray:
        """What the last layer is given, ``(..., n, sizes[-2])``."""
        self.check(theta, x)
        return self._forward(self._layers(theta), x)[-2]

    def loss(self, theta: NDArray, x: NDArray, y: NDArray) -> NDArray:
        """The objective, one number per leading index: shape ``(...)``."""
        output = self.predict(theta, x)
        self.check_targets(output, y)
        return OBJECTIVES[self.objective].value(output, y)

    def gradient(self, theta: NDArray, x: NDArray, y: NDArray) -> NDArray:
        """Gradient of :meth:`loss` in ``theta``, by backpropagation: ``(..., n_params)``."""
        self.check(theta, x)
        layers = self._layers(theta)
        a = self._forward(layers, x)
        self.check_targets(a[-1], y)
        delta = OBJECTIVES[self.objective].slope(a[-1], y)  # (3.15)
        return self._backward(layers, a[:-1], delta)

    def features_gradient(self, theta: NDArray, x: NDArray, slope: NDArray) -> NDArray:
        """Gradient of ``sum(slope * features(theta, x))`` in all of ``theta`` below the last layer.

        Args:
            theta: Parameters, ``(..., n_params)``.
            x: Inputs, ``(..., n, n_in)``.
            slope: The derivative of an objective in each feature, ``(..., n, sizes[-2])``.

        Returns:
            ``(..., n)``, one entry for each parameter that is not in ``head``.
        """
        self.check(theta, x)
        check_array("slope", slope, np.ndarray, holds="f")
        if slope.shape[-2:] != (x.shape[-2], self.sizes[-2]):
            raise ValueError(
                f"slope has shape {slope.shape}; expected (..., {x.shape[-2]}, {self.sizes[-2]})"
            )
        layers = self._layers(theta)
        if len(layers) == 1:  # the features are the inputs
            return np.zeros((*slope.shape[:-2], 0), slope.dtype)
        *a, features, _ = self._forward(layers, x)
        return self._backward(layers[:-1], a, slope * self._slope(features))

    def hvp(self, theta: NDArray, v: NDArray, x: NDArray, y: NDArray) -> NDArray:
        """Hessian of :meth:`loss` times ``v``, exactly, without forming the Hessian.

        Args:
            theta: Parameters, ``(..., n_params)``.
            v: The vector, ``(..., n_params)``.
            x: Inputs, ``(..., n, n_in)``.
            y: Targets.

        Returns:
            ``H v``, shape ``(..., n_params)``: about twice the work of a gradient.

        Raises:
            ValueError: If a shape does not fit, or a label is out of range.

        Source:
            Pearlmutter (1994), *Fast exact multiplication by the Hessian*: every line of the
            gradient is differentiated along ``v``; ``r_z`` is the derivative of ``z`` along it.
        """
        self.check(theta, x)
        self.check(v, x, name="v")
        layers, r_layers = self._layers(theta), self._layers(v)
        a = self._forward(layers, x)
        self.check_targets(a[-1], y)
        r_z, r_a = self._r_forward(layers, r_layers, a)
        objective = OBJECTIVES[self.objective]
        delta = objective.slope(a[-1], y)
        r_delta = objective.curvature(a[-1], y, r_z[-1])  # (3.19)
        blocks = []
        for k in reversed(range(len(layers))):
            r_W = a[k].mT @ r_delta + (r_a[k].mT @ delta if k else 0)  # (3.21)
            blocks += [r_delta.sum(axis=-2), r_W]
            if k:
                delta, r_delta = self._r_backward(
                    layers[k][0], r_layers[k][0], a[k], r_z[k - 1], delta, r_delta
                )
        return _flatten(blocks[::-1])

    def gradient_in_x(self, theta: NDArray, x: NDArray, y: NDArray) -> NDArray:
        """Gradient of :meth:`loss` in the inputs ``x``: ``(..., n, n_in)``."""
        self.check(theta, x)
        layers = self._layers(theta)
        a = self._forward(layers, x)
        self.check_targets(a[-1], y)
        delta = OBJECTIVES[self.objective].slope(a[-1], y)
        for k in reversed(range(1, len(layers))):
            delta = (delta @ layers[k][0].mT) * self._slope(a[k])
        return delta @ layers[0][0].mT

    def hvp_in_x(self, theta: NDArray, v: NDArray, x: NDArray, y: NDArray) -> NDArray:
        """:meth:`gradient_in_x` differentiated along ``v`` in ``theta``: ``(..., n, n_in)``."""
        self.check(theta, x)
        self.check(v, x, name="v")
        layers, r_layers = self._layers(theta), self._layers(v)
        a = self._forward(layers, x)
        self.check_targets(a[-1], y)
        r_z, _ = self._r_forward(layers, r_layers, a)
        objective = OBJECTIVES[self.objective]
        delta, r_delta = objective.slope(a[-1], y), objective.curvature(a[-1], y, r_z[-1])
        for k in reversed(range(1, len(layers))):
            delta, r_delta = self._r_backward(
                layers[k][0], r_layers[k][0], a[k], r_z[k - 1], delta, r_delta
            )
        return r_delta @ layers[0][0].mT + delta @ r_layers[0][0].mT

    def _backward(self, layers: list[Layer], a: list[NDArray], delta: NDArray) -> NDArray:
        """The gradient from ``delta`` at the last ``z`` and each layer's input ``a``."""
        blocks = []
        for k in reversed(range(len(layers))):
            blocks += [delta.sum(axis=-2), a[k].mT @ delta]  # (3.17)
            if k:
                delta = (delta @ layers[k][0].mT) * self._slope(a[k])  # (3.16)
        return _flatten(blocks[::-1])

    def _layers(self, theta: NDArray) -> list[Layer]:
        """The pairs ``(W, b)`` as views into ``theta``; ``b`` has a points axis to broadcast."""
        layers, start = [], 0
        for n_in, n_out in self._shapes:
            middle, end = start + n_in * n_out, start + (n_in + 1) * n_out
            W = theta[..., start:middle].reshape(*theta.shape[:-1], n_in, n_out)
            layers.append((W, theta[..., None, middle:end]))
            start = end
        return layers

    def _forward(self, layers: list[Layer], x: NDArray) -> list[NDArray]:
        """Input, hidden activations and output: ``a_0 = x, ..., a_L``."""
        activate = ACTIVATIONS[self.activation].value
        a = [x]
        for W, b in layers[:-1]:
            a.append(activate(a[-1] @ W + b))  # (3.14)
        W, b = layers[-1]
        return [*a, a[-1] @ W + b]

    def _slope(self, a: NDArray) -> NDArray:
        return ACTIVATIONS[self.activation].slope(a)

    def _r_forward(self, layers, r_layers, a):
        """Derivatives along ``v`` of pre-activations ``r_z`` and activations ``r_a``."""
        r_z, r_a = [], [None]  # the input does not depend on theta
        for k, ((W, _), (r_W, r_b)) in enumerate(zip(layers, r_layers, strict=True)):
            r_z.append(a[k] @ r_W + r_b + (r_a[k] @ W if k else 0))  # (3.18)
            r_a.append(self._slope(a[k + 1]) * r_z[k])
        return r_z, r_a

    def _r_backward(self, W, r_W, a, r_z, delta, r_delta):
        """One layer back: ``delta`` below it, and its derivative along ``v``."""
        _, slope, bend = ACTIVATIONS[self.activation]
        back = delta @ W.mT
        r_back = r_delta @ W.mT + delta @ r_W.mT
        return back * slope(a), r_back * slope(a) + back * bend(a) * r_z  # (3.20)

    def check(self, theta: NDArray, x: NDArray, name: str = "theta") -> None:
        """Require parameters and inputs of fitting shapes, or raise ``ValueError``."""
        if is_tensor(theta):
            raise ValueError(
                f"{name} is a tensor, but the model is an mlp.MLP, which takes NumPy arrays: "
                "maml_torch.MLP takes tensors"
            )
        check_array(name, theta, np.ndarray, holds="f")
        check_array("x", x, np.ndarray)
        if theta.shape[-1:] != (self.n_params,):
            raise ValueError(
                f"{name} has shape {theta.shape}; its last axis must be n_params = {self.n_params}"
            )
        if x.ndim < 2 or x.shape[-1] != self.sizes[0]:
            raise ValueError(f"x has shape {x.shape}; expected (..., n, n_in = {self.sizes[0]})")

    def check_targets(self, output: NDArray, y: NDArray) -> None:
        """Require targets that fit the output and the objective, or raise ``ValueError``."""
        check_array("y", y, np.ndarray)
        n, n_out = output.shape[-2:]
        if self.objective != "cross_entropy":
            wanted = (n, n_out + (self.objective == "weighted_mse"))
            if y.shape[-2:] != wanted:
                raise ValueError(f"y has shape {y.shape}; expected (..., {wanted})")
            return
        if not np.issubdtype(y.dtype, np.integer) or y.shape[-1:] != (n,):
            raise ValueError(f"y must be integer labels (..., {n}), got {y.dtype} {y.shape}")
        if y.min() < 0 or y.max() >= n_out:
            raise ValueError(f"y has labels in [{y.min()}, {y.max()}]; expected 0 to {n_out - 1}")


def _flatten(blocks: list[NDArray]) -> NDArray:
    """Join ``b`` and ``W`` blocks into one flat vector per leading index."""
    parts = [
        block.reshape(*block.shape[:-1], -1)
        if k % 2
        else block.reshape(*block.shape[:-2], block.shape[-2] * block.shape[-1])
        for k, block in enumerate(blocks)
    ]
    return np.concatenate(parts, axis=-1)
