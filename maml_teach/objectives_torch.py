"""Objectives on tensors with their derivatives, and the checks of their targets."""

from torch.nn import functional


def _mse(output, y):
    return (output - y).square().mean(dim=(-2, -1))


def _mse_slope(output, y):
    return (output - y) * (2 / (output.shape[-1] * output.shape[-2]))


def _mse_curvature(output, r_output):
    return r_output * (2 / (output.shape[-1] * output.shape[-2]))


def _cross_entropy(output, y):
    picked = functional.log_softmax(output, dim=-1).gather(-1, y.long().unsqueeze(-1))
    return -picked.squeeze(-1).mean(dim=-1)


def _cross_entropy_slope(output, y):
    one_hot = functional.one_hot(y.long(), output.shape[-1])
    return (output.softmax(dim=-1) - one_hot) / output.shape[-2]


def _cross_entropy_curvature(output, r_output):
    p = output.softmax(dim=-1)
    return p * (r_output - (p * r_output).sum(dim=-1, keepdim=True)) / output.shape[-2]


OBJECTIVES = {"mse": _mse, "cross_entropy": _cross_entropy}
# The derivative of an objective in the output, and its second derivative times r_output.
DERIVATIVES = {
    "mse": (_mse_slope, _mse_curvature),
    "cross_entropy": (_cross_entropy_slope, _cross_entropy_curvature),
}


def choice(name, value, table):
    """Require ``value`` to be a key of ``table``, else ``ValueError``."""
    if value not in table:
        raise ValueError(f"{name} must be {' or '.join(map(repr, table))}, got {value!r}")


def check_targets(objective, output, y):
    """Require targets that fit ``output`` ``(..., n, n_out)`` and labels within range."""
    check_target_shape(objective, output, y)
    n_out = output.shape[-1]
    if objective == "cross_entropy" and (int(y.min()) < 0 or int(y.max()) >= n_out):
        raise ValueError(f"y has labels in [{y.min()}, {y.max()}]; expected 0 to {n_out - 1}")


def check_target_shape(objective, output, y):
    """The part of :func:`check_targets` that looks at no value, so that ``vmap`` allows it."""
    wanted = tuple(output.shape[-2:])
    if objective == "mse":
        if y.shape[-2:] != wanted:
            raise ValueError(f"y has shape {tuple(y.shape)}; expected (..., {wanted})")
    elif y.is_floating_point() or y.shape[-1:] != wanted[:1]:
        raise ValueError(
            f"y must be integer labels (..., {wanted[0]}), got {y.dtype} {tuple(y.shape)}"
        )
