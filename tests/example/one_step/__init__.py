"""The Python half of the recipe's example."""

from pathlib import Path

import traitlets

from ..base import Figure, settable
from ..front_end import bundle, style

FIGURES = Path(__file__).parent.parent


class OneStep(Figure):
    """One step of gradient descent on a bowl; ``alpha`` is the rate."""

    _esm, _css = bundle("one_step", FIGURES), style("one_step", FIGURES)
    alpha = traitlets.Float(0.1, min=0.0, max=1.0).tag(**settable())
