"""The Python half of the recipe's example."""

from pathlib import Path

import traitlets

from maml_teach.widgets.base import Figure, bundle, settable


class OneStep(Figure):
    """One step of gradient descent on a bowl; ``alpha`` is the rate."""

    _esm = bundle("one_step", Path(__file__).parent)
    alpha = traitlets.Float(0.1, min=0.0, max=1.0).tag(**settable())
