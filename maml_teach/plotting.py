"""Static figures: each function draws one kind of figure on the ``ax`` it is given."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from .data import record
from .train import Evaluation

STYLE = Path(__file__).with_name("style.mplstyle")

# One look per role throughout the book, in the figures too: (colour, line style, marker).
LOOKS: dict[str, tuple[str, Any, str]] = {
    role["word"]: (
        role["light"],
        (0, tuple(0.5 * length for length in role["dash"])) if role["dash"] else "-",
        role["marker"],
    )
    for role in record("roles").values()
}
CYCLE = [LOOKS[word][0] for word in ("MAML", "pretrained", "FOMAML", "Reptile", "ANIL", "random")]


def use_style() -> None:
    """Make the book's style the default of this session; curves without a role take its colours."""
    plt.style.use(STYLE)
    plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CYCLE)


def plot_steps(ax: Axes, evaluations: Mapping[str, Evaluation]) -> Axes:
    """Mean query loss against inner steps, with 95 % intervals over tasks.

    Args:
        ax: Where to draw.
        evaluations: Mapping of a name in ``LOOKS`` to a ``train.Evaluation``.

    Returns:
        ``ax``.
    """
    for name, evaluation in evaluations.items():
        colour, line, marker = LOOKS[name]
        steps = np.arange(len(evaluation.mean))
        low, high = (
            evaluation.mean - evaluation.half_width,
            evaluation.mean + evaluation.half_width,
        )
        ax.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)
        ax.plot(steps, evaluation.mean, color=colour, linestyle=line, marker=marker, label=name)
    ax.set(xlabel="inner steps", ylabel="query MSE")
    _plain_log_axis(ax)
    ax.legend()
    return ax


def plot_history(ax: Axes, histories: Mapping[str, NDArray], window: int = 100) -> Axes:
    """Meta-loss against outer step, smoothed by a running mean over ``window`` steps.

    Args:
        ax: Where to draw.
        histories: Mapping of a name in ``LOOKS`` to meta-losses ``(n_meta_steps,)``.
        window: Length of the running mean, in outer steps.

    Returns:
        ``ax``.
    """
    for name, history in histories.items():
        colour, line, _ = LOOKS[name]
        smooth = np.convolve(history, np.ones(window) / window, mode="valid")
        steps = np.arange(window, len(history) + 1)
        ax.plot(steps, smooth, color=colour, linestyle=line, label=name)
    ax.set(xlabel="outer step", ylabel="meta-loss")
    _plain_log_axis(ax)
    ax.legend()
    return ax


def _plain_log_axis(ax: Axes) -> None:
    """A logarithmic y axis with ticks at 1, 2, 5, written as plain numbers."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
