"""How good must features be: accuracy of each method on new intents, from poor features to good."""

import json
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import traitlets
from numpy.typing import NDArray

from ...data import load
from ..base import Figure, settable
from ..front_end import bundle, style

# Name in the file, name on the page, role.
METHODS = [
    ("centroid", "nearest mean", "before"),
    ("whitened", "nearest mean, whitened", "whitened"),
    ("logistic", "logistic regression", "pretrained"),
    ("protonet", "ProtoNet", "variant"),
    ("anil", "ANIL", "anil"),
    ("maml", "MAML", "maml"),
]
SHOTS = {"1": "5w1s", "5": "5w5s"}


class HowGoodFeatures(Figure):
    """A slider over kinds of features, the worst first, and six methods on each of them.

    Nothing is trained here: the page shows numbers that ``scripts/train_intents.py`` measured. The
    kinds are in the order in which the nearest mean does with one example.

    Args:
        stored: What the script measured, by name: ``kinds``, and for each method and setting
            ``grid <method> <setting>``, ``(n_kinds, n_seeds)``.
        **settings: First values of ``kind``, a place in the order, from 1, and ``n_shots``,
            ``"1"`` or ``"5"``.

    Raises:
        ValueError: If a setting is unknown or out of range, or ``stored`` lacks a part.
    """

    _esm, _css = bundle("features"), style("features")

    kind = traitlets.Int(1, min=1).tag(**settable())
    n_shots = traitlets.Enum(list(SHOTS), "1").tag(**settable())
    kinds = traitlets.List(traitlets.Unicode()).tag(sync=True)
    methods: traitlets.List[Any] = traitlets.List([list(row[1:]) for row in METHODS]).tag(sync=True)
    chance = traitlets.Float(0.2).tag(sync=True)
    # float32, little-endian, C order: (setting, method, kind)
    grid = traitlets.Bytes(b"").tag(sync=True)

    def __init__(self, stored: Mapping[str, NDArray], **settings: Any):
        names = [f"grid {name} {one}" for one in SHOTS.values() for name, *_ in METHODS]
        if missing := [key for key in (*names, "kinds") if key not in stored]:
            raise ValueError(f"stored lacks {', '.join(missing)}")
        means = np.array([stored[name].mean(axis=1) for name in names])
        order = np.argsort(means[0], kind="stable")
        if settings.get("kind", 1) not in range(1, len(order) + 1):
            raise ValueError(f"kind must be from 1 to {len(order)}, got {settings['kind']!r}")
        super().__init__(**{"kind": len(order), **settings})
        self.kinds = [str(stored["kinds"][k]) for k in order]
        self.grid = means[:, order].astype("<f4").tobytes()

    @classmethod
    def from_package(cls, **settings: Any) -> Self:
        """The figure with what the package brings along."""
        stored = load("intents")
        ways = json.loads(str(stored["config"]))["settings"][SHOTS["1"]][0]
        figure = cls(stored, **settings)
        figure.chance = 1 / ways
        return figure
