"""Meta-landscape: the meta-objective of three tasks over one number theta."""

import math
from collections.abc import Mapping
from typing import Any

import traitlets

from ..base import Figure, settable
from ..front_end import bundle, style

SHAPES = ("bowl", "quartic")
REACH = 3.0  # the axis of theta goes from -REACH to REACH


def _curvature(value: float) -> traitlets.Float:
    return traitlets.Float(value, min=0.2, max=6.0).tag(**settable())


def _place(value: float = 0.0) -> traitlets.Float:
    return traitlets.Float(value, min=-REACH, max=REACH)


class MetaLandscape(Figure):
    r"""How F, the mean loss after adapting, lies over a one-dimensional ``theta``.

    Task i has the same loss on support and query points,

    .. math:: L_i(\theta) = c_i \, |\theta - m_i|^p / p

    with curvature :math:`c_i`, centre :math:`m_i` and p = 2 (``"bowl"``) or p = 4 (``"quartic"``,
    whose second derivative depends on theta). With the defaults, alpha times curvature is 0.16,
    0.5 and 1.16: steps come closer slowly, come closer fast, and overshoot.

    Args:
        **settings: First values of the traits ``alpha``, ``n_inner_steps``, ``curvature_a``,
            ``curvature_b``, ``curvature_c``, ``centres`` (three numbers), ``theta`` and
            ``shape``.

    Raises:
        ValueError: If a setting is unknown or out of range.
    """

    _esm, _css = bundle("landscape"), style("landscape")

    alpha = traitlets.Float(0.2, min=0.01, max=1.0).tag(**settable())
    n_inner_steps = traitlets.Int(1, min=0, max=10).tag(**settable())
    curvature_a = _curvature(0.8)
    curvature_b = _curvature(2.5)
    curvature_c = _curvature(5.8)
    centres = traitlets.List(_place(), [-1.5, 0.75, 1.3], minlen=3, maxlen=3).tag(**settable())
    theta = _place(0.35).tag(**settable())
    shape = traitlets.Enum(SHAPES, "bowl").tag(**settable())

    # The limits of a Float let nan through.
    @traitlets.validate("alpha", "curvature_a", "curvature_b", "curvature_c", "centres", "theta")
    def _finite(self, proposal: Mapping[str, Any]) -> Any:
        values = proposal["value"]
        for value in values if isinstance(values, list) else [values]:
            if not math.isfinite(value):
                raise traitlets.TraitError(f"{proposal['trait'].name} must be finite, got {values}")
        return values
