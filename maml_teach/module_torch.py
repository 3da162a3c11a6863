"""Any ``nn.Module`` as a model on a flat theta, one task after the other."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_map

from .inputs import Inputs, arrays_in, map_arrays
from .mlp_torch import Differentiable, Loss, check_target_shape, check_targets

# From here on first derivatives of convolutions on a CPU are faster with channels innermost; second
# ones are slower.
MANY_IMAGES = 16
# The objectives of ``mlp_torch`` for one task, in one call of PyTorch.
ONE_CALL: dict[str, Loss] = {
    "mse": functional.mse_loss,
    "cross_entropy": lambda output, y: functional.cross_entropy(
        output.flatten(0, -2), y.long().flatten()
    ),
}
RECOMPUTES = (
    "module computes layers again in the backward pass (gradient checkpointing), when it no longer "
    "has the parameters that theta stands for: switch this off"
)


class FromModule(Differentiable):
    """Any ``nn.Module`` as a model on a flat ``theta``: what ``paths_torch`` builds on."""

    def __init__(self, module: nn.Module, objective: str | Loss):
        self.module = module
        self.objective = objective
        self._parameters = trainable(module)
        self._parts = list(module.modules())
        self._places = _places(self._parts, self._parameters)
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
            for name, value in self.unflatten(theta).items():
                self._parameters[name].copy_(value)
        return self.module

    def set_grad(self, gradient: Tensor) -> nn.Module:
        """Write ``gradient`` ``(n_params,)`` into the parameters' ``.grad``; returns the module.

        With it any ``torch.optim`` optimiser, clipping and schedule serve the outer step.
        """
        for name, value in self.unflatten(gradient.detach()).items():
            self._parameters[name].grad = value.clone()
        return self.module

    def portions(self, batch: tuple) -> list[tuple]:
        """The tasks one after the other, each without a task axis.

        So a layer that looks at its whole batch, such as BatchNorm, sees one task at a time.
        """
        return list(each(batch))

    def predict(self, theta: Tensor, x: Inputs) -> Any:
        """The module's output for ``theta`` ``(n_params,)``, or task by task for a batch.

        Tensors of a batch have a leading task axis, also in a tuple, a dict or another container.

        Buffers are copied for each call: running statistics never leak from task to task, nor
        into the module.
        """
        if theta.ndim > 1:
            return tree_map(_stacked, *(self.predict(*one) for one in each((theta, x))))
        return self.output(theta, x)

    def output(self, theta: Tensor, x: Inputs, buffers: list[Tensor] | None = None) -> Any:
        """What the module answers with ``theta`` in place of its parameters, for one task.

        Its buffers are copies for the call, of its own or of ``buffers``, which come in the order
        of :meth:`buffers`. This is ``torch.func.functional_call`` with less to look up.
        """
        values, places = self.unflatten(theta), self._buffer_places()
        swaps = [(store, key, values[name]) for store, key, name in self._places]
        given = [store[key] for store, key in places] if buffers is None else buffers
        pairs = zip(places, given, strict=True)
        swaps += [(store, key, buffer.clone()) for (store, key), buffer in pairs]
        before = [store[key] for store, key, _ in swaps]
        args, kwargs = (x if isinstance(x, tuple) else (x,)), {}
        if isinstance(x, Mapping):
            args, kwargs = (), dict(x)
        try:
            for store, key, value in swaps:
                store[key] = value
            with torch.autograd.graph.disable_saved_tensors_hooks(RECOMPUTES):
                return self.module(*args, **kwargs)
        except RuntimeError as error:
            if RECOMPUTES not in str(error):
                raise
            raise ValueError(RECOMPUTES) from error
        finally:
            for (store, key, _), value in zip(swaps, before, strict=True):
                store[key] = value

    def buffers(self) -> list[Tensor]:
        """The module's buffers, as :meth:`output` takes them."""
        return [store[key] for store, key in self._buffer_places()]

    def _buffer_places(self) -> list[tuple[dict, str]]:
        """Where each buffer stands: the dict that holds it, and its key there."""
        stores = [part._buffers for part in self._parts if part._buffers]
        return [(store, key) for store in stores for key, b in store.items() if b is not None]

    def loss(self, theta: Tensor, x: Inputs, y: Tensor) -> Tensor:
        """The objective, one number per task when ``theta`` has a task axis, else one number."""
        if theta.ndim > 1:
            return torch.stack([self.loss(*one) for one in each((theta, x, y))])
        return self.scored(self.predict(theta, x), y)

    def loss_and_gradient(self, theta: Tensor, x: Inputs, y: Tensor) -> tuple[Tensor, Tensor]:
        """``loss``, and its gradient in ``theta``; many images on a CPU in the faster layout."""
        if theta.ndim == 1 and self._channels_last and _many_images(x):
            drawn_from = torch.get_rng_state()
            try:
                return super().loss_and_gradient(theta, _channels_innermost(x), y)
            except RuntimeError as error:
                if "view size is not compatible" not in str(error):
                    raise
                self._channels_last = False  # the module relies on the usual layout
                torch.set_rng_state(drawn_from)
        return super().loss_and_gradient(theta, x, y)

    def scored(self, output: Any, y: Tensor, *, values: bool = True) -> Tensor:
        """The objective of one task's ``output``; ``values`` of labels are looked at if allowed."""
        if callable(self.objective):
            return _as_scalar(self.objective(output, y))
        if not isinstance(output, Tensor):
            raise ValueError(
                f"objective {self.objective!r} needs a tensor from the module, got "
                f"{type(output).__name__}: give a function (output, y) -> scalar instead"
            )
        check = check_targets if values else check_target_shape
        check(self.objective, output, y)
        return ONE_CALL[self.objective](output, y)

    def _entries(self, chosen: Callable[[str], bool]) -> Tensor:
        """``(n_params,)`` of bool: the entries of the parameters whose name is ``chosen``."""
        parts = [torch.full((p.numel(),), chosen(name)) for name, p in self._parameters.items()]
        return torch.cat(parts)

    def unflatten(self, theta: Tensor) -> dict[str, Tensor]:
        """``theta`` ``(n_params,)`` as parameters by name, each of its own shape."""
        if theta.shape[-1] != self.n_params:
            raise ValueError(
                f"theta has shape {tuple(theta.shape)}; expected n_params = {self.n_params}"
            )
        blocks = theta.split([p.numel() for p in self._parameters.values()])
        pairs = zip(self._parameters.items(), blocks, strict=True)
        found = {name: block.view_as(p) for (name, p), block in pairs}
        for name, p in self._parameters.items():
            if p.element_size() < theta.element_size() == 4:  # half beside single: theta is single
                found[name] = found[name].to(p.dtype)
        return found


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
    parameters = trainable(module)
    for part in rates:
        if not any(_belongs(name, part) for name in parameters):
            raise ValueError(f"rates names {part!r}; parameters are {', '.join(parameters)}")
    blocks = []
    for name, p in parameters.items():
        fitting = [part for part in rates if _belongs(name, part)]
        value = rates[max(fitting, key=len)] if fitting else otherwise
        blocks.append(p.new_full((p.numel(),), value, requires_grad=False))
    return torch.cat(blocks)


def each(batch: tuple) -> Iterator[tuple]:
    """The tasks of a batch one by one: a tuple of arrays with a task axis, each without it."""
    n_tasks = len(arrays_in(batch)[0])
    return (map_arrays(itemgetter(t), batch) for t in range(n_tasks))


def _belongs(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that require gradients, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def _places(parts: list[nn.Module], parameters: Mapping[str, nn.Parameter]) -> list[tuple]:
    """Where each parameter stands: the dict that holds it, its key there, and its name.

    One that is tied stands in several places.
    """
    names = {id(p): name for name, p in parameters.items()}
    return [
        (part._parameters, key, names[id(p)])
        for part in parts
        for key, p in part._parameters.items()
        if id(p) in names
    ]


def _stacked(*parts: Any) -> Any:
    """A tensor of each task with a task axis; what is no tensor as it is in the first task."""
    return torch.stack(parts) if isinstance(parts[0], Tensor) else parts[0]


def _as_scalar(value: Any) -> Tensor:
    """What an objective returned, if it is a single number that a gradient can be taken of."""
    if not isinstance(value, Tensor):
        raise ValueError(f"objective must return a tensor, got {type(value).__name__}")
    if value.numel() != 1:
        raise ValueError(
            f"objective must return a scalar, got shape {tuple(value.shape)}: take the mean"
        )
    return value.reshape(())


def random_state(like: Tensor) -> tuple:
    """State of the generators that a layer may draw from, on the CPU and on the device."""
    on_gpu = like.device if like.is_cuda else None
    return torch.get_rng_state(), on_gpu, on_gpu and torch.cuda.get_rng_state(on_gpu)


@contextmanager
def replayed(drawn_from: tuple) -> Iterator[None]:
    """Draw once more what was drawn from ``drawn_from`` on; the generators do not notice."""
    cpu, on_gpu, gpu = drawn_from
    with torch.random.fork_rng(devices=[on_gpu] if on_gpu else []):
        torch.set_rng_state(cpu)
        if on_gpu:
            torch.cuda.set_rng_state(gpu, on_gpu)
        yield


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
