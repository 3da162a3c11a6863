"""On trial: a slider, what it does to one case, and the curve measured over tasks and seeds."""

import json
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import traitlets
from numpy.typing import NDArray

from ...data import load
from ...reporting import band
from ..base import WAVE_NETWORK, Figure, settable
from ..front_end import bundle, style

# Per claim: where the measured values stand, and (array, name, role, thin) of each curve.
CLAIMS = {
    "related tasks": (
        "frequencies",
        [
            ("frequency maml", "MAML", "maml", False),
            ("frequency joint", "pretrained", "pretrained", False),
            ("frequency random", "random start", "random", False),
            ("frequency zero", "always zero", "before", False),
        ],
    ),
    "shift": (
        "shift_steps",
        [
            ("shift matched query", "trained as usual: query", "maml", False),
            ("shift matched support", "as usual: support", "maml", True),
            ("shift shifted query", "trained with the shift: query", "variant", False),
            ("shift shifted support", "with the shift: support", "variant", True),
        ],
    ),
    "variance": (
        "alphas",
        [
            ("noise random", "at a random start", "random", False),
            ("noise maml", "at the MAML start", "maml", False),
        ],
    ),
}
TITLES = {
    "related tasks": "Mean query MSE of 200 new waves",
    "shift": "Mean MSE of 200 new waves",
    "variance": "Noise of MAML's meta-gradient over FOMAML's",
}
STARTS = {"related tasks": ["maml"], "shift": ["matched", "shifted"], "variance": []}


class OnTrial(Figure):
    """One of the three claims with a slider.

    Args:
        stored: What ``scripts/measure_claims.py`` measured, by name.
        claim: ``"related tasks"``, ``"shift"`` or ``"variance"``.
        **settings: First values of ``frequency``, ``n_inner_steps``, ``alpha`` and ``seed``.

    Raises:
        ValueError: If the claim or a setting is unknown or out of range, or ``stored`` lacks
            what the claim is about.
    """

    _esm, _css = bundle("claims"), style("claims")

    claim = traitlets.Enum(list(CLAIMS), "related tasks").tag(**settable())
    frequency = traitlets.Float(1.0, min=0.5, max=3.0).tag(**settable())
    n_inner_steps = traitlets.Int(5, min=0, max=100).tag(**settable())
    alpha = traitlets.Float(0.01, min=0.001, max=0.05).tag(**settable())
    seed = traitlets.Int(1, min=0).tag(**settable())

    sizes = traitlets.List(traitlets.Int(), list(WAVE_NETWORK.sizes)).tag(sync=True)
    inner_rate = traitlets.Float(0.01).tag(sync=True)
    measured_title = traitlets.Unicode().tag(sync=True)
    measured_note = traitlets.Unicode("band: 95% over seeds").tag(sync=True)
    series: traitlets.List[Any] = traitlets.List().tag(sync=True)
    places = traitlets.List(traitlets.Float()).tag(sync=True)
    curves = traitlets.Bytes(b"").tag(sync=True)  # float32 (series, mean and ends, places)
    starts = traitlets.Bytes(b"").tag(sync=True)  # float32 (starts, n_params)
    curvatures = traitlets.Bytes(b"").tag(sync=True)  # float32 (random and MAML, tasks), sorted
    n_curvatures = traitlets.Int(0).tag(sync=True)

    def __init__(self, stored: Mapping[str, NDArray], claim: str, **settings: Any):
        super().__init__(claim=claim, **settings)
        places, rows = CLAIMS[claim]
        if missing := [key for key, *_ in rows if key not in stored]:
            raise ValueError(f"stored lacks {', '.join(missing)}")
        config = json.loads(str(stored["config"]))
        self.places, self.inner_rate = config[places], config["alpha"]
        self.measured_title, self.series = TITLES[claim], [list(row[1:]) for row in rows]
        self.curves = _bytes([band(stored[key]) for key, *_ in rows])
        self.starts = _bytes([stored[f"start {name}"][0] for name in STARTS[claim]])
        if claim == "variance":
            both = [np.sort(stored[f"curvature {name}"].ravel()) for name in ("random", "maml")]
            self.curvatures, self.n_curvatures = _bytes(both), len(both[0])

    @classmethod
    def from_package(cls, claim: str, **settings: Any) -> Self:
        """The figure with what the package brings along."""
        return cls(load("claims"), claim, **settings)


def _bytes(arrays: list[NDArray]) -> bytes:
    return np.asarray(arrays, "<f4").tobytes()
