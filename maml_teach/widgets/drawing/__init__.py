"""Draw it: five characters drawn by the reader, and a sixth drawing to be recognised."""

from typing import Any, Self

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from ...data import load
from ...train import MetaConfig
from ..base import Figure, checked_start, seen_in_training, settable
from ..front_end import bundle, style

N_PARAMS = 28_837  # of images_torch.conv_net for five ways
N_DRAWINGS, SIDE = 6, 28


class DrawIt(Figure):
    """A trained network that adapts to one drawing of each of five characters, in the page.

    Args:
        theta: MAML start of ``images_torch.conv_net(5)``, ``(n_params,)``.
        examples: What the fields show first: sets of five characters and a sixth picture,
            ``(n_sets, 6, 28, 28)``, ink from 0 to 1.
        truths: Which of the five the sixth picture is, ``(n_sets,)``, from 0.
        **settings: First values of ``n_inner_steps``, ``alpha`` and ``seed`` (which set),
            ``drawings``: base64 of six pictures of 784 bytes, or ``""`` for the examples, and
            ``trained``: what the start was trained on, ``{setting: (lowest, highest)}``.

    Raises:
        ValueError: If an array has the wrong shape or range, or a setting is unknown or out of
            range.
    """

    _esm, _css = bundle("drawing"), style("drawing")

    n_inner_steps = traitlets.Int(5, min=0, max=20).tag(**settable())
    alpha = traitlets.Float(0.1, min=0.02, max=0.5).tag(**settable())
    seed = traitlets.Int(2, min=0).tag(**settable())
    drawings = traitlets.Unicode("").tag(**settable())

    trained = seen_in_training()
    theta = traitlets.Bytes(b"").tag(sync=True)
    examples = traitlets.Bytes(b"").tag(sync=True)
    truths = traitlets.List(traitlets.Int()).tag(sync=True)

    def __init__(self, theta: ArrayLike, examples: ArrayLike, truths: ArrayLike, **settings: Any):
        theta, examples, truths = _checked(theta, examples, truths)
        super().__init__(**settings)
        self.theta = theta.astype("<f4").tobytes()
        self.examples = np.round(255 * examples).astype(np.uint8).tobytes()
        self.truths = truths.tolist()

    @classmethod
    def from_package(cls, **settings: Any) -> Self:
        """The figure with the network for drawings and glyphs, and glyphs that no training saw."""
        saved, theta = load("images"), load("omniglot")["figure theta"]
        shown = saved["examples"] / 255
        trained = {"n_inner_steps": (0, MetaConfig.n_inner_steps)}  # the script leaves it as it is
        return cls(theta, shown, saved["truths"], **{"trained": trained, **settings})


def _checked(
    theta: ArrayLike, examples: ArrayLike, truths: ArrayLike
) -> tuple[NDArray, NDArray, NDArray]:
    theta = checked_start("theta", theta, N_PARAMS)
    examples, truths = np.asarray(examples), np.asarray(truths)
    if examples.shape[1:] != (N_DRAWINGS, SIDE, SIDE) or len(examples) == 0:
        raise ValueError(f"examples has shape {examples.shape}, expected (n_sets, 6, 28, 28)")
    if not (examples.min() >= 0 and examples.max() <= 1):
        raise ValueError(
            f"examples must hold ink from 0 to 1, got {examples.min()} to {examples.max()}"
        )
    if truths.shape != (len(examples),) or not np.isin(truths, range(5)).all():
        raise ValueError(f"truths must hold one number from 0 to 4 per set, got {truths.tolist()}")
    return theta, examples, truths
