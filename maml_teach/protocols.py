"""What the parts of the package ask of each other: a model, a family of tasks, a meta-gradient.

Nothing here runs. Whatever has these methods, with these shapes, can stand wherever the package
takes a ``model``, a ``family`` or a ``gradient``; ``mlp.MLP`` and ``tasks.Sinusoids`` are examples.

==============  ==================================================================================
HasLoss         all that ``maml_torch`` and ``family_torch`` need, by autograd; ``evaluate`` too
HasGradient     all that an inner loop in NumPy needs
Model           what ``maml`` and ``family`` need for derivatives of second order
HasHead         the same with a last layer, for ANIL
HasFeatures     the same with what stands below the last layer, for ANIL at its own price
TorchModel      what makes ``maml_torch`` fast; ``mlp_torch.Differentiable`` has all but ``loss``
==============  ==================================================================================
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from .inputs import Array, Inputs
from .tasks import Task

Product = Callable[..., Array]  # what ``TorchModel.linearize`` answers: v to H v


class HasLoss(Protocol):
    """An objective on one flat ``theta``.

    All arguments may carry leading task axes, which broadcast: ``theta`` is ``(..., n_params)``,
    ``x`` is ``(..., n, n_in)`` (or a tuple or dict of arrays), ``y`` is ``(..., n, n_out)``, or
    ``(..., n)`` of integer labels.
    """

    def loss(self, theta: Array, x: Inputs, y: Array) -> Array:
        """The objective, a mean over the points: ``(...)``."""


class HasGradient(Protocol):
    """The first derivative of an objective; axes are those of :class:`HasLoss`."""

    def gradient(self, theta: Array, x: Inputs, y: Array) -> Array:
        """Gradient of the loss in ``theta``: ``(..., n_params)``."""


class Model(HasLoss, HasGradient, Protocol):
    """A model on one flat ``theta``, with as many derivatives as its user takes.

    Axes are those of :class:`HasLoss`.
    """

    @property
    def n_params(self) -> int:
        """Length of ``theta``."""

    def predict(self, theta: Array, x: Inputs) -> Array:
        """Outputs, ``(..., n, n_out)``."""

    def hvp(self, theta: Array, v: Array, x: Inputs, y: Array) -> Array:
        """Hessian of the loss at ``theta`` times ``v`` ``(..., n_params)``: ``(..., n_params)``."""


class HasHead(Model, Protocol):
    """A model that knows its last layer."""

    @property
    def head(self) -> Array:
        """Which entries of ``theta`` belong to the last layer, ``(n_params,)`` of bool."""


class HasFeatures(HasHead, Protocol):
    """A model that can stop below its last layer, as :class:`mlp.MLP` does."""

    @property
    def last_layer(self) -> Any:
        """The last layer as a model of its own, on ``theta[..., head]`` and the features.

        It has ``gradient_in_x(w, h, y)``, the gradient of its loss in the features, and
        ``hvp_in_x(w, v, h, y)``, its derivative along ``v`` in ``w``: ``(..., n, n_features)``.
        """

    def features(self, theta: Array, x: Inputs) -> Array:
        """What the last layer is given: ``(..., n, n_features)``."""

    def features_gradient(self, theta: Array, x: Inputs, slope: Array) -> Array:
        """Gradient of ``sum(slope * features)`` in all of ``theta`` that is not in ``head``."""


class TorchModel(HasLoss, HasGradient, Protocol):
    """What ``maml_torch`` asks of a model so that it can walk back over the inner steps.

    ``maml_torch`` recognises one by its base class, ``mlp_torch.Differentiable``, which derives
    everything here from ``loss`` by autograd. A model that has only ``loss`` is differentiated
    through the whole inner loop instead: the same numbers, more memory.

    Attributes:
        shares_theta: Whether one ``theta`` ``(n_params,)`` may serve a batch of tasks. If so,
            ``product`` of :meth:`linearize` takes ``together=True``.
        by_hand: Whether it does without autograd.
        n_kept: How many of the last inner steps keep what they computed for the walk back;
            ``inf`` for all of them.
        keeps_graphs: Whether what it keeps of a step is a graph of autograd. If so, an inner loop
            of which every step is kept is differentiated as a whole, by ``portion_loss``.
    """

    shares_theta: bool
    by_hand: bool
    n_kept: float
    keeps_graphs: bool

    def portions(self, batch: tuple) -> list[tuple]:
        """What goes through the model together, one portion after the other.

        Args:
            batch: A tuple of arrays or of tuples of them, each with a leading ``n_tasks`` axis:
                parameters, then inputs and targets.

        Returns:
            Tuples like ``batch``, the tasks in the same order. A part without a task axis is that
            of a single task.
        """

    def portion_loss(self, theta: Array, x: Inputs, y: Array) -> Array:
        """``loss`` of a portion of :meth:`portions`, with its graph."""

    def loss_and_gradient(self, theta: Array, x: Inputs, y: Array) -> tuple[Array, Array]:
        """``loss`` ``(...)`` and its gradient ``(..., n_params)``, both without a graph."""

    def linearize(self, theta: Array, x: Inputs, y: Array) -> tuple[Array, Product]:
        """``(gradient, product)`` at ``theta``: the gradient ``(..., n_params)``, and a function.

        ``product(v)`` is the Hessian times ``v``, both ``(..., n_params)``, and may be called
        once: it may free what it holds. ``product(v, together=True)`` is its sum over tasks,
        ``(n_params,)``.
        """


class Family(Protocol):
    """Where tasks are drawn from."""

    def sample(self, rng: np.random.Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """A batch of ``n_tasks`` tasks; the same state of ``rng`` gives the same batch."""


class MetaGradient(Protocol):
    """One step of the outer loop: what ``maml_gradient`` and all its relatives are."""

    def __call__(
        self, model: Any, theta: Array, tasks: Task, /, *, alpha: Any, n_inner_steps: int
    ) -> tuple[Array, Array]:
        """``(meta_loss, gradient)``: a number, and ``(n_params,)``."""


class Adapt(Protocol):
    """An inner loop: what ``adapt`` of both engines is."""

    def __call__(
        self, model: Any, theta: Array, tasks: Task, /, *, alpha: Any, n_inner_steps: int
    ) -> Array:
        """``theta_prime``, ``(n_tasks, n_params)``."""
