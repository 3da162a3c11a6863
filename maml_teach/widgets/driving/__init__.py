"""Drive it: the same road with the network as trained, adapted, and with the true physics."""

from collections.abc import Mapping
from math import degrees
from typing import Any

import traitlets

from ...applications.driving import DT, MODEL, RANGES
from ..base import TwoStarts, settable
from ..front_end import bundle, style


class DriveIt(TwoStarts):
    """A car whose grip, wind and steering are the reader's, steered by a network.

    Args:
        maml: MAML start, ``(n_params,)`` of ``driving.MODEL``.
        joint: Network trained on all cars at once, ``(n_params,)``.
        **settings: First values of ``grip``, ``wind`` (N), ``pull`` (degrees), ``seconds``,
            ``n_inner_steps``, ``start`` (``"maml"`` or ``"joint"``), ``seed``, and the inner rates
            ``alpha_maml`` and ``alpha_joint``.

    Raises:
        ValueError: If a start has the wrong shape or is not finite, or a setting is unknown or
            out of range.
    """

    _esm, _css = bundle("driving"), style("driving")
    network, kept = MODEL, ("driving", "maml", "joint")

    grip = traitlets.Float(0.6, min=0.2, max=1.0).tag(**settable())
    wind = traitlets.Float(800.0, min=-1200.0, max=1200.0).tag(**settable())
    pull = traitlets.Float(-1.2, min=-1.7, max=1.7).tag(**settable())
    seconds = traitlets.Float(1.0, min=0.25, max=2.0).tag(**settable())
    n_inner_steps = traitlets.Int(3, min=0, max=20).tag(**settable())
    seed = traitlets.Int(3, min=0).tag(**settable())
    alpha_maml = traitlets.Float(0.1, min=1e-4, max=1.0).tag(**settable())
    alpha_joint = traitlets.Float(0.05, min=1e-4, max=1.0).tag(**settable())

    @staticmethod
    def _trained_on(config: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
        left, right = RANGES["bias"]
        seconds = DT * config["n_shots"]
        return {
            "grip": RANGES["grip"],
            "wind": RANGES["wind"],
            "pull": (degrees(left), degrees(right)),
            "seconds": (seconds, seconds),
            "n_inner_steps": (0, config["n_inner_steps"]),
        }
