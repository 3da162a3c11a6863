"""Family map: where each relative of MAML learns, stalls or diverges, over alpha and beta."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from ...data import load
from ..base import Figure, settable
from ..front_end import bundle, style

SPACING = 0.2  # how unevenly, in parts of a step, the rates may lie on their logarithmic axis


def reference_mse(mse: NDArray) -> float:
    """The MSE before training that the map compares with: the median of the finite ones.

    The value itself cannot serve at every alpha: where alpha is too large for the untrained
    network, adapting diverges at once.

    Args:
        mse: The grid, ``(n_algorithms, n_alphas, n_betas, n_stages + 1)``.

    Raises:
        ValueError: If no value before training is finite and positive.
    """
    start = mse[..., 0][np.isfinite(mse[..., 0])]
    if start.size == 0 or np.median(start) <= 0:
        raise ValueError("mse must have finite, positive values before training")
    return float(np.median(start))


class FamilyMap(Figure):
    """A map of real trainings: one cell for each pair of rates, one map for each algorithm.

    Nothing is trained here: the page shows and sorts the numbers that it is given. A cell *learns*
    if its last MSE is at most half of ``reference_mse``; it *diverges* if that is not finite or
    more than ten times the reference; else it *stalls*.

    Args:
        mse: ``(n_algorithms, n_alphas, n_betas, n_stages + 1)``: the MSE after adapting, before
            training and after each stage. NaN once training has stopped because something was
            not finite; infinite where adapting diverges.
        names: Of the algorithms.
        alphas: Inner rates, increasing and about evenly spaced on a logarithmic axis.
        betas: Outer rates, likewise.
        n_meta_steps: Outer steps of all stages together.
        **settings: First values of the traits ``algorithm`` (one of ``names``), ``alpha`` and
            ``beta`` (on the grid). MAML, 0.01 and 0.001 by default, where the grid has them.

    Raises:
        ValueError: If an array has the wrong shape or values, or a setting is unknown or not on
            the grid.
    """

    _esm, _css = bundle("family_map"), style("family_map")

    algorithm = traitlets.Unicode("MAML").tag(**settable())
    alpha = traitlets.Float(0.01).tag(**settable())
    beta = traitlets.Float(0.001).tag(**settable())
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    alphas = traitlets.List(traitlets.Float()).tag(sync=True)
    betas = traitlets.List(traitlets.Float()).tag(sync=True)
    n_meta_steps = traitlets.Int().tag(sync=True)
    # float32, little-endian, C order: (algorithm, alpha, beta, stage)
    grid = traitlets.Bytes(b"").tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    reference = traitlets.Float().tag(sync=True)

    def __init__(
        self,
        mse: ArrayLike,
        names: Sequence[str],
        alphas: Sequence[float],
        betas: Sequence[float],
        n_meta_steps: int,
        **settings: Any,
    ):
        axes: dict[str, list] = {
            "algorithm": _checked_names(names),
            "alpha": _checked_rates(alphas, "alphas"),
            "beta": _checked_rates(betas, "betas"),
        }
        mse = _checked_mse(mse, [len(axis) for axis in axes.values()])
        _check_steps(n_meta_steps, mse.shape[-1] - 1)
        reference = reference_mse(mse)
        settings = _on_the_grid(settings, axes)
        super().__init__(**settings)
        self.names, self.alphas, self.betas = axes.values()
        self.n_meta_steps, self.reference = int(n_meta_steps), reference
        self.grid, self.shape = mse.astype("<f4").tobytes(), list(mse.shape)

    @classmethod
    def from_package(cls, **settings: Any) -> Self:
        """The figure for the trainings on sinusoids that the package brings along."""
        saved = load("sinusoid_family")
        mse, made = saved["grid_mse"], json.loads(str(saved["settings"]))
        axes = made["algorithms"], made["alphas"], made["betas"]
        return cls(mse, *axes, made["grid"]["n_meta_steps"], **settings)

    @traitlets.validate("algorithm", "alpha", "beta")
    def _stay_on_the_grid(self, proposal: Mapping[str, Any]) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        axes: dict[str, list] = {"algorithm": self.names, "alpha": self.alphas, "beta": self.betas}
        axis = axes[name]
        if axis and value not in axis:  # empty until the grid is there, see __init__
            raise traitlets.TraitError(f"{name} must be one of {axis}, got {value!r}")
        return value


def _on_the_grid(settings: Mapping[str, Any], axes: Mapping[str, list]) -> dict[str, Any]:
    """The settings, with a value from the grid wherever the default is not on it."""
    settings = dict(settings)
    for name, axis in axes.items():
        if name not in settings and getattr(FamilyMap, name).default_value not in axis:
            settings[name] = axis[len(axis) // 2]
        if name in settings and settings[name] not in axis:
            raise ValueError(f"{name} must be one of {axis}, got {settings[name]!r}")
    return settings


def _checked_names(names: Sequence[str]) -> list[str]:
    names = list(names)
    if not names or len(set(names)) < len(names) or not all(isinstance(n, str) for n in names):
        raise ValueError(f"names must be one or more different strings, got {names}")
    return names


def _checked_rates(rates: Sequence[float], name: str) -> list[float]:
    values = np.asarray(rates, float)
    if values.ndim != 1 or values.size < 2 or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"{name} must be two or more positive numbers, got {rates}")
    steps = np.diff(np.log(values))
    if steps[0] <= 0 or np.abs(steps / steps.mean() - 1).max() > SPACING:
        # A slider moves by one value of the grid per key press, hence by even steps.
        raise ValueError(f"{name} must increase by about equal factors, got {rates}")
    return values.tolist()


def _checked_mse(mse: ArrayLike, wanted: list[int]) -> NDArray:
    mse = np.asarray(mse, np.float32)
    if mse.ndim != 4 or list(mse.shape[:3]) != wanted or mse.shape[3] < 2:
        shape = f"({', '.join(map(str, wanted))}, n_stages + 1)"
        raise ValueError(f"mse has shape {mse.shape}, but names and rates ask for {shape}")
    if (mse < 0).any():
        raise ValueError("mse must not be negative")
    return mse


def _check_steps(n_meta_steps: int, n_stages: int) -> None:
    whole = isinstance(n_meta_steps, int | np.integer) and not isinstance(n_meta_steps, bool)
    if not whole or n_meta_steps < 1 or n_meta_steps % n_stages:
        raise ValueError(
            f"n_meta_steps must be a positive multiple of {n_stages} stages, got {n_meta_steps!r}"
        )
