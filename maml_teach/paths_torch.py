"""How a batch of tasks goes through a module: together where that is exact and faster, else alone.

There are four ways, and :func:`from_module` takes the first that will do:

- an MLP is recognised, and its tasks go together by derivatives that are written by hand
  (``recognised_torch``);
- ``vmap`` over the tasks of a batch, with autograd through it;
- autograd within ``vmap``, for what the second way cannot take, such as recurrent layers;
- one task after the other.
"""

import warnings
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import grad, grad_and_value, vjp, vmap
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .inputs import Inputs, arrays_in, map_arrays
from .mlp_torch import OBJECTIVES, Loss, check_targets, choice, depending
from .module_torch import FromModule, each, random_state, replayed, trainable
from .protocols import Product
from .recognised_torch import Stack, as_mlp

# Numbers (results and parameters) that one operation of one task handles in the time that it takes
# to call it. That of the CPU was measured, that of a GPU not.
SIZE = {"cpu": 3_300, "cuda": 330_000}
KEPT_BYTES = 2**24  # what the graphs of a portion of tasks may take together
GRAPH = 3  # bytes that a graph for two derivatives holds, per byte that the forward pass computes


class WithinVmap(FromModule):
    """A module whose tasks go through it together; made by :func:`from_module_all_at_once`.

    ``vmap`` over tasks is the outermost transform everywhere.
    """

    n_kept = float("inf")  # a product holds no graph: it computes everything again
    keeps_graphs = False
    call = 2.0  # what the call of an operation costs, in calls without vmap; measured

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

    def _buffers(self, n_tasks: int) -> list[Tensor]:
        """One set of buffers per task: a layer that writes into them stays within its task."""
        return [b.expand(n_tasks, *b.shape) for b in self.buffers()]

    def _one_loss(self, theta: Tensor, x: Inputs, y: Tensor, buffers: list[Tensor]) -> Tensor:
        return self.scored(self.output(theta, x, buffers), y, values=False)


class AroundVmap(WithinVmap):
    """The same with autograd around ``vmap``, which keeps what a step has computed."""

    n_kept = 1
    keeps_graphs = True
    call = 1.25

    def loss(self, theta: Tensor, x: Inputs, y: Tensor) -> Tensor:
        """The objective ``(n_tasks,)``, or one number for a ``theta`` without a task axis."""
        if theta.ndim == 1:
            return super().loss(theta, x, y)
        if callable(self.objective):
            return vmap(self._one_loss)(theta, x, y, self._buffers(len(theta)))
        output = vmap(self.output)(theta, x, self._buffers(len(theta)))
        check_targets(self.objective, output, y)
        return OBJECTIVES[self.objective].value(output, y)

    loss_and_gradient = FromModule.loss_and_gradient
    linearize = FromModule.linearize


class Way(NamedTuple):
    """How tasks go together, if they can, in a sentence, and how many operations that takes."""

    together: WithinVmap | None
    text: str
    ratio: float = 1.0  # operations of all tasks together, per operation of one task alone


def fewest(ratio: float, call: float, size: float) -> float:
    """Tasks from which on they are faster together.

    Together each operation of a task alone becomes ``ratio`` operations, which take the time
    ``ratio (call + n size)`` for n tasks; alone it takes ``n (1 + size)``.
    """
    rest = 1 - size * (ratio - 1)
    return call * ratio / rest if rest > 0 else float("inf")


class Sizes(NamedTuple):
    """What a task computes, per number in its input."""

    numbers: float  # of an operation on the way to the derivatives, on average
    n_bytes: float  # of the forward pass


class ByTrial(FromModule):
    """A module that decides with its first batch how tasks go through it.

    The trial is repeated where a batch has arrays of another kind, or the module another mode. It
    depends on shapes and values alone, never on a clock: equal runs have equal bits.
    """

    def __init__(self, module: nn.Module, objective: str | Loss):
        super().__init__(module, objective)
        self.path = "Decided with the first batch of tasks."
        self._alone = FromModule(module, objective)
        self._together: WithinVmap | None = None
        self._sizes: dict[tuple, Sizes] = {}
        self._ways: dict[tuple, Way] = {}

    def portions(self, batch: tuple) -> list[tuple]:
        """Tasks in portions that go through the module together, or one by one."""
        theta, (x, y), _ = batch
        sizes, numbers = self._once(self._sizes, self._measured, theta, x, y), _n_numbers(x)
        room = max(1, int(KEPT_BYTES / (1 + GRAPH * sizes.n_bytes * numbers)))  # tasks times steps
        at_once = min(len(theta), room)
        size = sizes.numbers * numbers / SIZE.get(theta.device.type, SIZE["cuda"])
        if len(theta) == 1:
            way = SINGLE
        elif at_once < fewest(LEAST, AroundVmap.call, size):
            way = LARGE
        else:
            way = self._once(self._ways, self._tried, theta, x, y)
            if way.together and at_once < fewest(way.ratio, way.together.call, size):
                way = FEW
        self._together, self.path = way.together, way.text
        self.keeps_graphs = self._together is None or self._together.keeps_graphs
        if self._together is None:
            self.n_kept = room
            return super().portions(batch)
        self.n_kept = max(self._together.n_kept, room // at_once)
        return list(_slices(batch, at_once))

    def loss_and_gradient(self, theta: Tensor, x: Inputs, y: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and gradient, of one task or of those that go together."""
        return self._of(theta).loss_and_gradient(theta, x, y)

    def linearize(self, theta: Tensor, x: Inputs, y: Tensor) -> tuple[Tensor, Product]:
        """``(gradient, product)``, of one task or of those that go together."""
        return self._of(theta).linearize(theta, x, y)

    def portion_loss(self, theta: Tensor, x: Inputs, y: Tensor) -> Tensor:
        """Losses with their graph, of one task or of those that go together."""
        return self._of(theta).loss(theta, x, y)

    def _of(self, theta: Tensor) -> FromModule:
        """The model for tasks that go together, or for one."""
        return self._together if theta.ndim > 1 and self._together else self._alone

    def _once(self, known: dict, find: Callable, theta: Tensor, x: Inputs, y: Tensor) -> Any:
        """What ``find`` finds for arrays of this kind, from the first time that they came."""
        modes = tuple(part.training for part in self.module.modules())
        kinds = tuple((a.ndim, a.dtype) for a in arrays_in((theta, x, y)))
        kind = theta.device, modes, kinds, _twice()
        if kind not in known:
            with warnings.catch_warnings(), replayed(random_state(theta)):
                warnings.simplefilter("ignore")
                known[kind] = find(theta, x, y)
        return known[kind]

    def _measured(self, theta: Tensor, x: Inputs, y: Tensor) -> Sizes:
        """The sizes of the module's operations, by one pass of one task."""
        one = next(each((theta, x, y)))
        with Meter() as forward:
            self._alone.loss(*one)
        with Meter() as meter:
            if _twice():
                _reach_every_leaf(self._alone, one)
            else:
                self._alone.loss_and_gradient(*one)
        n = _n_numbers(x)
        return Sizes(meter.numbers / meter.n_operations / n, forward.n_bytes / n)

    def _tried(self, theta: Tensor, x: Inputs, y: Tensor) -> Way:
        """The first way together that gives two tasks what they get alone."""
        noise = torch.randn(2, *theta.shape[1:], generator=torch.Generator().manual_seed(0))
        v = noise.to(theta)  # parameters away from the start, where weights are often 0 or 1
        pair = theta[:2] + 0.1 * v * (1 + theta[:2].abs()), *map_arrays(lambda a: a[:2], (x, y))
        for kind, text in WAYS:
            together = kind(self.module, self.objective)
            try:
                with Meter() as of_both:
                    found = _derivatives(together, pair, v)
            except Exception as error:  # vmap cannot take every module
                why = str(error).partition("\n")[0].rstrip(".")
                continue
            with Meter() as one_by_one:
                alone = [_derivatives(self._alone, one, v[i]) for i, one in enumerate(each(pair))]
            if _close(found, [torch.stack(parts) for parts in zip(*alone, strict=True)]):
                return Way(together, text, 2 * of_both.n_operations / one_by_one.n_operations)
            why = "the tasks would have other derivatives together"
        return Way(None, f"One task after the other, since vmap cannot take them: {why}.")


WAYS = (
    (AroundVmap, "All tasks together, by autograd around vmap."),
    (WithinVmap, "All tasks together, by autograd within vmap."),
)
LEAST = 1.1  # no way together has fewer operations, per operation of one task alone
SINGLE = Way(None, "The batch has a single task.")
LARGE = Way(None, "One task after the other, since the module's operations are large.")
FEW = Way(None, "One task after the other, since so few at once would not be faster.")


class Meter(TorchDispatchMode):
    """Counts what is computed meanwhile; views of what is there already do not count."""

    n_operations = numbers = n_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """One operation."""
        answer = func(*args, **(kwargs or {}))
        if not func.is_view:
            arrays = [part for part in tree_leaves(answer) if isinstance(part, Tensor)]
            self.n_operations += 1
            self.numbers += sum(array.numel() for array in arrays)
            self.n_bytes += sum(array.numel() * array.element_size() for array in arrays)
        return answer


def from_module(module: nn.Module, objective: str | Loss) -> FromModule:
    """Wrap any ``nn.Module`` so that every function here takes it as ``model``.

    ``model.theta()`` is the flat concatenation of ``module.parameters()``, in that order, without
    those that do not require gradients, which stay as they are. ``model.load(theta)`` puts trained
    weights back into the module. The module is used in the mode it is in: in training mode
    BatchNorm uses the statistics of each batch, support and query apart; running statistics are
    neither read nor changed. In ``eval()`` mode it uses the running statistics the module has.

    ``model.path`` says in a sentence how the tasks of a batch go through the module. Linear layers
    with ReLU or tanh between them are recognised as an MLP, in an ``nn.Sequential`` or in a class
    of one's own, and go together by hand. Another module decides with its first batch: tasks go
    together by ``vmap`` where a trial with two of them gives the derivatives that they have alone
    and is faster, by the number and the size of operations; else they go one after the other, as
    with random layers such as dropout, or with values that decide (``.item()``, ``if``).

    Args:
        module: The network. Its parameters are read, never changed, until ``load``. It is called
            as ``module(x)``, ``module(*x)`` if ``x`` is a tuple, ``module(**x)`` if a dict.
        objective: ``"mse"``, ``"cross_entropy"``, or a function ``(output, y) -> scalar``.

    Returns:
        A model with ``n_params``, ``theta()``, ``load``, ``set_grad``, ``predict``, ``loss`` and
        ``path``.

    Raises:
        ValueError: If nothing in the module can be trained or the objective is not one of these.

    >>> model = from_module(torch.nn.Linear(3, 2), "cross_entropy")
    >>> model.theta().shape
    torch.Size([8])
    """
    mlp = as_mlp(*_checked(module, objective))
    return ByTrial(module, objective) if mlp is None else Stack(module, objective, mlp)


def from_module_all_at_once(module: nn.Module, objective: str | Loss) -> WithinVmap:
    """:func:`from_module` with all tasks of a batch in one call, whatever their size, by ``vmap``.

    Tasks must not differ in shape, and a module or objective that asks for values (``.item()``,
    ``if``) or for random numbers (dropout) is refused by ``vmap``. Memory grows with the number
    of tasks.
    """
    return WithinVmap(*_checked(module, objective))


def _checked(module: nn.Module, objective: str | Loss) -> tuple[nn.Module, str | Loss]:
    if not isinstance(module, nn.Module):
        raise ValueError(f"module must be an nn.Module, got {type(module).__name__}")
    if not callable(objective):
        choice("objective", objective, OBJECTIVES)
    if not trainable(module):
        raise ValueError("module has no parameters to train: there is nothing to adapt")
    return module, objective


def _n_numbers(x: Inputs) -> int:
    """Numbers in the input of one task of a batch."""
    return arrays_in(x)[0][0].numel()


def _slices(batch: tuple, size: int) -> Iterator[tuple]:
    """The batch in portions of ``size`` tasks."""
    for start in range(0, len(batch[0]), size):
        yield map_arrays(itemgetter(slice(start, start + size)), batch)


def _twice() -> bool:
    """Whether a call for second derivatives is under way: it has the fast attention off."""
    return not torch.backends.cuda.flash_sdp_enabled()


def _reach_every_leaf(model: FromModule, point: tuple) -> None:
    """Differentiate twice as ``backward`` does, to every leaf of the graph.

    What is marked ``once_differentiable`` refuses this. ``autograd.grad``, which goes the ways to
    ``theta`` alone, never meets the refusal, and its second derivative lacks a part in silence.
    """
    theta, x, y = point
    theta = theta.detach().requires_grad_()
    loss = depending(model.loss(theta, x, y))
    (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)
    if gradient.requires_grad:
        gradient.backward(torch.ones_like(gradient))


def _derivatives(model: Any, point: tuple, v: Tensor) -> list[Tensor]:
    """Loss and gradient, and with second derivatives under way the product with ``v``."""
    found = list(model.loss_and_gradient(*point))
    return [*found, model.linearize(*point)[1](v)] if _twice() else found


def _close(found: list[Tensor], expected: list[Tensor]) -> bool:
    """Equal but for rounding, which is far below the root of the precision."""
    gaps = [(a - b).norm() / (b.norm() + 1e-30) for a, b in zip(found, expected, strict=True)]
    return all(bool(gap < torch.finfo(gap.dtype).eps ** 0.5) for gap in gaps)
