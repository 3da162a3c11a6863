"""Reach it: walks towards a goal that the policy is not told, before and after each update."""

from collections.abc import Mapping
from typing import Any

import traitlets

from ...applications.navigation import MODEL, Goals
from ..base import TwoStarts, settable
from ..front_end import bundle, style


class ReachIt(TwoStarts):
    """A goal that the reader moves, and a policy that finds it by policy gradient.

    Args:
        maml: MAML start, ``(n_params,)`` of ``navigation.MODEL``.
        joint: Policy trained on all goals at once, ``(n_params,)``.
        **settings: First values of ``goal`` (a pair), ``alpha``, ``n_inner_steps``, ``n_walks``,
            ``start`` (``"maml"`` or ``"joint"``), ``later`` (rate of the updates after the first:
            ``"same"`` or ``"fifth"``) and ``seed``.

    Raises:
        ValueError: If a start has the wrong shape or is not finite, or a setting is unknown or
            out of range.
    """

    _esm, _css = bundle("navigation"), style("navigation")
    network, kept = MODEL, ("robot", "policy maml", "policy joint")

    goal = traitlets.List(traitlets.Float(min=-0.9, max=0.9), [-0.3, -0.4], minlen=2, maxlen=2).tag(
        **settable()
    )
    alpha = traitlets.Float(0.1, min=0.01, max=1.0).tag(**settable())
    n_inner_steps = traitlets.Int(2, min=0, max=5).tag(**settable())
    n_walks = traitlets.Int(20, min=1, max=40).tag(**settable())
    later = traitlets.Enum(["same", "fifth"], "fifth").tag(**settable())
    seed = traitlets.Int(1, min=0).tag(**settable())

    @staticmethod
    def _trained_on(config: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
        run, side = config["navigation"], Goals().half_width
        return {
            "goal": (-side, side),
            "n_walks": (run["n_shots"], run["n_shots"]),
            "n_inner_steps": (0, run["n_inner_steps"]),
        }
