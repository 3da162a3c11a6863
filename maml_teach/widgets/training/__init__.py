"""Train it here: meta-training on the sinusoids in the reader's browser, two runs side by side."""

import traitlets

from ..base import Figure, settable
from ..front_end import bundle, style

ALGORITHMS = ("MAML", "FOMAML", "Reptile")


def _rate(value: float, low: float) -> traitlets.Float:
    return traitlets.Float(value, min=low, max=0.1).tag(**settable())


def _algorithm(value: str) -> traitlets.Enum:
    return traitlets.Enum(ALGORITHMS, value).tag(**settable())


def _steps() -> traitlets.Int:
    return traitlets.Int(1, min=1, max=10).tag(**settable())


class Training(Figure):
    """Two meta-trainings of the paper's sinusoid network, in a worker of the browser.

    25 tasks of 10 support and 10 query points per meta-step, Adam, float64. Both runs start from
    the same theta and see the same tasks. They are compared after the same meta-steps, where the
    faster one waits, or after the same seconds. Everything is computed by the page: Python sends
    first settings only, and ``a`` and ``b`` at the end of a trait's name say whose they are.

    Args:
        **settings: First values of the traits ``algorithm_a``, ``alpha_a``, ``beta_a``,
            ``n_inner_steps_a``, the same for ``b``, ``seed``, ``held_out``, and ``together``,
            ``"steps"`` or ``"seconds"``.

    Raises:
        ValueError: If a setting is unknown or out of range.
    """

    _esm, _css = bundle("training"), style("training")

    algorithm_a = _algorithm("MAML")
    alpha_a = _rate(0.01, 0.001)
    beta_a = _rate(0.003, 0.0001)
    n_inner_steps_a = _steps()
    algorithm_b = _algorithm("FOMAML")
    alpha_b = _rate(0.01, 0.001)
    beta_b = _rate(0.003, 0.0001)
    n_inner_steps_b = _steps()
    seed = traitlets.Int(0, min=0, max=50).tag(**settable())
    held_out = traitlets.Int(1, min=1, max=20).tag(**settable())
    together = traitlets.Enum(("steps", "seconds"), "steps").tag(**settable())
