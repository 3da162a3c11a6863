"""Numerical checks: what a gradient must equal, and by how much it misses."""

import numpy as np


def central_difference(function, theta, step=1e-6):
    r"""Gradient of a scalar function by central differences, one coordinate at a time.

    .. math:: \partial_j f \approx \frac{f(\theta + h e_j) - f(\theta - h e_j)}{2h}

    Args:
        function: Maps ``theta`` to a number.
        theta: Where, ``(n_params,)``; float64.
        step: ``h``, in units of ``theta``. The error is of order ``h**2`` plus rounding of order
            ``1e-16 / h``; a kink (ReLU) closer than ``h`` spoils it.

    Returns:
        The gradient, ``(n_params,)``.

    Raises:
        ValueError: If ``theta`` is not a float64 vector or ``step`` is not positive.

    >>> central_difference(lambda theta: float(theta @ theta), np.array([1.0, 2.0])).round(6)
    array([2., 4.])
    """
    if theta.ndim != 1 or theta.dtype != np.float64:
        raise ValueError(f"theta must be a float64 vector, got {theta.dtype} {theta.shape}")
    if not 0 < step < float("inf"):
        raise ValueError(f"step must be positive and finite, got {step!r}")
    gradient = np.empty_like(theta)
    for j in range(theta.size):
        e = np.zeros_like(theta)
        e[j] = step
        gradient[j] = (function(theta + e) - function(theta - e)) / (2 * step)
    return gradient


def relative_error(value, reference):
    """``|value - reference| / max(|value|, |reference|)`` in the Euclidean norm; 0 for 0 and 0.

    >>> float(relative_error(np.array([3.0, 4.0]), np.array([3.0, 4.0])))
    0.0
    >>> float(relative_error(np.array([0.0]), np.array([2.0])))
    1.0
    """
    value, reference = np.asarray(value, dtype=float), np.asarray(reference, dtype=float)
    if value.shape != reference.shape:
        raise ValueError(f"value has shape {value.shape}, reference has {reference.shape}")
    scale = max(np.linalg.norm(value), np.linalg.norm(reference))
    return np.linalg.norm(value - reference) / scale if scale > 0 else 0.0
