"""Find it: a glyph shown one to five times, to be found in another scene."""

import json
from typing import Any, Self

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from ...applications.detection import CANVAS, as_bytes, check_scenes, from_bytes
from ...data import load
from ..base import Figure, checked_start, seen_in_training, settable
from ..front_end import bundle, style

N_PARAMS = 20_261  # of detection_torch.finder
MOST_SHOTS, N_QUERIES = 5, 4


class FindIt(Figure):
    """A trained detector that adapts in the page to a few scenes with a box around one glyph.

    Args:
        theta: MAML start of ``detection_torch.finder``, ``(n_params,)``.
        scenes: For each task five scenes to adapt on, then four to find the glyph in,
            ``(n_sets, 9, 48, 48)``.
        boxes: Centre, width and height of the glyph in each, ``(n_sets, 9, 4)`` in pixels.
        **settings: First values of ``n_inner_steps``, ``n_shots`` (1 to 5), ``task`` and ``scene``
            (from 0), the inner rate ``alpha``, and ``trained``: what the start was trained on,
            ``{setting: (fewest, most)}``.

    Raises:
        ValueError: If an array has the wrong shape or range, a box leaves the canvas, or a setting
            is unknown or out of range.
    """

    _esm, _css = bundle("detection"), style("detection")

    n_inner_steps = traitlets.Int(3, min=0, max=20).tag(**settable())
    n_shots = traitlets.Int(3, min=1, max=MOST_SHOTS).tag(**settable())
    task = traitlets.Int(0, min=0).tag(**settable())
    scene = traitlets.Int(0, min=0).tag(**settable())
    alpha = traitlets.Float(0.05, min=1e-3, max=0.5).tag(**settable())

    theta = traitlets.Bytes(b"").tag(sync=True)
    trained = seen_in_training()
    scenes = traitlets.Bytes(b"").tag(sync=True)
    boxes = traitlets.List(traitlets.Float()).tag(sync=True)

    def __init__(self, theta: ArrayLike, scenes: ArrayLike, boxes: ArrayLike, **settings: Any):
        theta, scenes, boxes = _checked(theta, scenes, boxes)
        super().__init__(**settings)
        self.theta = theta.astype("<f4").tobytes()
        self.scenes = as_bytes(scenes).tobytes()
        self.boxes = boxes.ravel().astype(float).tolist()

    @classmethod
    def from_package(cls, **settings: Any) -> Self:
        """The figure with the network and the scenes that the package brings along."""
        saved = load("detection")
        run = json.loads(str(saved["config"]))
        trained = {"n_shots": (1, run["most_shots"]), "n_inner_steps": (0, run["n_inner_steps"])}
        shown = from_bytes(saved["scenes"]), saved["boxes"]
        return cls(saved["maml"], *shown, **{"trained": trained, **settings})


def _checked(
    theta: ArrayLike, scenes: ArrayLike, boxes: ArrayLike
) -> tuple[NDArray, NDArray, NDArray]:
    theta = checked_start("theta", theta, N_PARAMS)
    scenes, boxes = np.asarray(scenes), np.asarray(boxes)
    n_scenes = MOST_SHOTS + N_QUERIES
    if scenes.ndim != 4 or scenes.shape[1:] != (n_scenes, CANVAS, CANVAS) or len(scenes) == 0:
        raise ValueError(
            f"scenes has shape {scenes.shape}, expected (n_sets, {n_scenes}, {CANVAS}, {CANVAS})"
        )
    check_scenes(scenes, boxes)
    return theta, scenes, boxes
