"""Any ``nn.Module`` as a model on a flat theta: one task after the other, or all at once."""

import torch
from torch.func import functional_call, grad, grad_and_value, vjp, vmap

from .mlp_torch import MLP, Differentiable
from .objectives_torch import OBJECTIVES, check_target_shape, check_targets, choice
from .stack_torch import as_mlp
from .tasks import arrays_in, map_arrays

MANY_IMAGES = 16  # from here on convolutions on a CPU are faster with channels innermost


class FromModule(Differentiable):
    """Any ``nn.Module`` as a model on a flat ``theta``; made by :func:`from_module`."""

    one_by_one = True

    def __init__(self, module, objective):
        self.module = module
        self.objective = objective
        self._parameters = _trainable(module)
        self._channels_last = True

    @property
    def n_params(self):
        """Length of ``theta``."""
        return sum(p.numel() for p in self._parameters.values())

    @property
    def head(self):
        """Which entries of ``theta`` belong to the last layer that has parameters, bool."""
        layer = list(self._parameters)[-1].rpartition(".")[0]
        return self._entries(lambda name: name.rpartition(".")[0] == layer)

    def theta(self):
        """The module's present parameters as a flat vector ``(n_params,)``, a copy."""
        return torch.cat([p.detach().reshape(-1) for p in self._parameters.values()])

    def load(self, theta):
        """Put a trained ``theta`` back into the module, in place; returns the module.

        ``module.state_dict()`` then holds it, as after any other training.
        """
        with torch.no_grad():
            for name, value in self._unflatten(theta).items():
                self._parameters[name].copy_(value)
        return self.module

    def set_grad(self, gradient):
        """Write ``gradient`` ``(n_params,)`` into the parameters' ``.grad``; returns the module.

        With it any ``torch.optim`` optimiser, clipping and schedule serve the outer step.
        """
        for name, value in self._unflatten(gradient.detach()).items():
            self._parameters[name].grad = value.clone()
        return self.module

    def predict(self, theta, x):
        """The module's output for ``theta`` ``(n_params,)``, or task by task for a batch.

        The tasks go through one after the other, so that a layer that looks at its whole batch,
        such as BatchNorm, sees one task at a time. Buffers are copied for each call: running
        statistics never leak from task to task, nor into the module.
        """
        if theta.ndim > 1:
            inputs = (map_arrays(lambda a, t=t: a[t], x) for t in range(len(theta)))
            return torch.stack([self.predict(*one) for one in zip(theta, inputs, strict=True)])
        if self._channels_last and _many_images(x):
            try:
                return _call(self.module, self._unflatten(theta), _channels_innermost(x))
            except RuntimeError as error:
                if "view size is not compatible" not in str(error):
                    raise
                self._channels_last = False  # the module relies on the usual layout
        return _call(self.module, self._unflatten(theta), x)

    def loss(self, theta, x, y):
        """The objective, one number per task when ``theta`` has a task axis, else one number."""
        if callable(self.objective):
            if theta.ndim > 1:
                inputs = (map_arrays(lambda a, t=t: a[t], x) for t in range(len(theta)))
                return torch.stack([self.loss(*one) for one in zip(theta, inputs, y, strict=True)])
            return self.objective(self.predict(theta, x), y)
        output = self.predict(theta, x)
        check_targets(self.objective, output, y)
        return OBJECTIVES[self.objective](output, y)

    def _entries(self, chosen):
        """``(n_params,)`` of bool: the entries of the parameters whose name is ``chosen``."""
        parts = [torch.full((p.numel(),), chosen(name)) for name, p in self._parameters.items()]
        return torch.cat(parts)

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


class Stack(FromModule):
    """An ``nn.Sequential`` that is an MLP: all tasks at once, by the derivatives of ``MLP``."""

    one_by_one = False
    by_hand = True
    n_kept = MLP.n_kept

    def __init__(self, module, objective, mlp):
        super().__init__(module, objective)
        self._mlp = mlp

    def loss_and_gradient(self, theta, x, y):
        """Loss ``(n_tasks,)`` and gradient ``(n_tasks, n_params)``."""
        return self._mlp.loss_and_gradient(theta, x, y)

    def linearize(self, theta, x, y):
        """``(gradient, product)`` per task, as :meth:`MLP.linearize`."""
        return self._mlp.linearize(theta, x, y)


class AllAtOnce(FromModule):
    """A module whose tasks go through it together; made by :func:`from_module_all_at_once`.

    ``vmap`` over tasks is the outermost transform everywhere. Differentiating a ``vmap`` instead
    gives second derivatives of BatchNorm that are wrong, without a word.
    """

    one_by_one = False
    n_kept = float("inf")  # a product holds no graph: it computes everything again

    def loss_and_gradient(self, theta, x, y):
        """Loss ``(n_tasks,)`` and gradient ``(n_tasks, n_params)``."""
        one = grad_and_value(self._one_loss)
        gradient, loss = vmap(one)(theta, x, y, self._buffers(len(theta)))
        return loss, gradient

    def linearize(self, theta, x, y):
        """``(gradient, product)`` per task, gradient ``(n_tasks, n_params)``."""

        def one_product(theta, v, x, y, buffers):
            return vjp(lambda t: grad(self._one_loss)(t, x, y, buffers), theta)[1](v)[0]

        def product(v):
            return vmap(one_product)(theta, v, x, y, self._buffers(len(theta)))

        return self.gradient(theta, x, y), product

    def _buffers(self, n_tasks):
        """One set of buffers per task: a layer that writes into them stays within its task."""
        return {name: b.expand(n_tasks, *b.shape) for name, b in self.module.named_buffers()}

    def _one_loss(self, theta, x, y, buffers):
        output = _call(self.module, self._unflatten(theta), x, buffers)
        if callable(self.objective):
            return self.objective(output, y)
        check_target_shape(self.objective, output, y)
        return OBJECTIVES[self.objective](output, y)


def from_module(module, objective):
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


def from_module_all_at_once(module, objective):
    """:func:`from_module` with all tasks of a batch in one call, by ``vmap``.

    Meant for a GPU, where many small kernels are the cost. On a CPU convolutions are several
    times slower this way. Tasks must not differ in shape, and a module or objective that asks for
    values (``.item()``, ``if``) or for random numbers (dropout) is refused by ``vmap``. Memory
    grows with the number of tasks.
    """
    return AllAtOnce(*_checked(module, objective))


def rates_by_name(module, rates, *, otherwise=0.0):
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


def _belongs(name, part):
    return name == part or name.startswith(f"{part}.")


def _trainable(module):
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def _checked(module, objective):
    if not callable(objective):
        choice("objective", objective, OBJECTIVES)
    if not _trainable(module):
        raise ValueError("module has no parameters to train: there is nothing to adapt")
    return module, objective


def _call(module, parameters, x, buffers=None):
    buffers = dict(module.named_buffers()) if buffers is None else buffers
    buffers = {name: b.clone() for name, b in buffers.items()}
    args, kwargs = (x if isinstance(x, tuple) else (x,)), {}
    if isinstance(x, dict):
        args, kwargs = (), dict(x)
    return functional_call(module, {**parameters, **buffers}, args, kwargs)


def _many_images(x):
    first = arrays_in(x)[0]
    return first.ndim == 4 and len(first) >= MANY_IMAGES and first.device.type == "cpu"


def _channels_innermost(x):
    """The same images ``(n, c, h, w)`` with channels innermost in memory, also for ``c = 1``."""

    def convert(images):
        if images.ndim != 4 or not images.is_floating_point():
            return images
        n, c, h, w = images.shape
        laid_out = images.new_empty_strided((n, c, h, w), (c * h * w, 1, w * c, c))
        return laid_out.copy_(images)

    return map_arrays(convert, x)
