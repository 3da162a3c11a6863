"""Lift it: an arm follows a motion with the network as trained, adapted, and with the true arm."""

from collections.abc import Mapping
from typing import Any

import traitlets

from ...applications.arm import MODEL, RANGES, RATE
from ..base import TwoStarts, settable
from ..front_end import bundle, style


class LiftIt(TwoStarts):
    """An arm whose payload and friction are the reader's, moved by a network's torques.

    Args:
        maml: MAML start, ``(n_params,)`` of ``arm.MODEL``.
        joint: Network trained on all arms at once, ``(n_params,)``.
        **settings: First values of ``payload`` (kg), ``friction`` (1: the most in training),
            ``seconds``, ``n_inner_steps``, ``start`` (``"maml"`` or ``"joint"``), ``seed``, and
            the inner rates ``alpha_maml`` and ``alpha_joint``.

    Raises:
        ValueError: If a start has the wrong shape or is not finite, or a setting is unknown or
            out of range.
    """

    _esm, _css = bundle("arm"), style("arm")
    network, kept = MODEL, ("robot", "arm maml", "arm joint")

    payload = traitlets.Float(1.8, min=0.0, max=4.0).tag(**settable())
    friction = traitlets.Float(0.5, min=0.0, max=1.0).tag(**settable())
    seconds = traitlets.Float(1.0, min=0.25, max=2.0).tag(**settable())
    n_inner_steps = traitlets.Int(3, min=0, max=20).tag(**settable())
    seed = traitlets.Int(2, min=0).tag(**settable())
    alpha_maml = traitlets.Float(0.1, min=1e-4, max=1.0).tag(**settable())
    alpha_joint = traitlets.Float(0.1, min=1e-4, max=1.0).tag(**settable())

    @staticmethod
    def _trained_on(config: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
        seconds = config["arm"]["n_shots"] / RATE
        return {
            "payload": RANGES["payload"],
            "friction": (0, 1),  # the slider's unit is the most in training
            "seconds": (seconds, seconds),
            "n_inner_steps": (0, config["arm"]["n_inner_steps"]),
        }
