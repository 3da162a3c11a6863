"""What a call needs that differentiates a model twice: the right kernels, and an error that helps.

PyTorch computes attention and recurrent layers by kernels whose backward pass has no derivative.
For both it also has a kernel that can be differentiated again.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

# How PyTorch says that the backward pass of an operation has no derivative of its own.
NO_DERIVATIVE = re.compile(
    r"derivative for '?(?:aten::)?_?(\w+?)(?:_backward)?'? is not implemented"
)
ONCE = "once_differentiable"


def second_order(method: Callable) -> Callable:
    """Let ``method(model, theta, tasks, ...)`` differentiate ``model`` twice where PyTorch can.

    Raises:
        NotImplementedError: Where PyTorch cannot; it names the operation and the ways out.
    """

    @wraps(method)
    def twice(model: Any, *args: Any, **settings: Any) -> Any:
        with twice_differentiable(model), _ways_out():
            return method(model, *args, **settings)

    return twice


@contextmanager
def twice_differentiable(model: Any) -> Iterator[None]:
    """Kernels that can be differentiated twice, for attention and for recurrent layers on a GPU.

    cuDNN stays on for a ``model`` without recurrent layers: its convolutions are not concerned.
    """
    module = getattr(model, "module", None)
    recurrent = isinstance(module, nn.Module) and any(
        isinstance(part, nn.RNNBase) for part in module.modules()
    )
    with ExitStack() as stack:
        if isinstance(module, nn.Module):
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if recurrent and torch.backends.cudnn.enabled:
            torch.backends.cudnn.enabled = False
            stack.callback(setattr, torch.backends.cudnn, "enabled", True)
        yield


@contextmanager
def _ways_out() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        found = NO_DERIVATIVE.search(str(error))
        if not found and ONCE not in str(error):
            raise
        operation = found[1] if found else f"an autograd.Function marked {ONCE}"
        raise NotImplementedError(
            f"the model uses {operation}, which PyTorch cannot differentiate twice. Ways out: "
            "family_torch.hf_maml_gradient, which takes differences of gradients instead; first "
            "order, fomaml_gradient or reptile_gradient; or the same computed from operations "
            "that have a second derivative"
        ) from error
