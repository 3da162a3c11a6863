"""Static figures: each function draws one kind of figure on the ``ax`` it is given."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

STYLE = Path(__file__).with_name("style.mplstyle")

# One look per start throughout the book: (colour, line style, marker).
LOOKS = {
    "MAML": ("#0072B2", "-", "o"),
    "pretrained": ("#D55E00", "--", "s"),
    "random": ("#555555", ":", "^"),
}


def use_style():
    """Make the book's style the default of this session."""
    plt.style.use(STYLE)


def markdown_table(header, rows):
    """A Markdown table, as text, from column titles and rows of cells.

    >>> print(markdown_table(["K", "loss"], [[1, 0.67], [5, 0.38]]))
    | K | loss |
    |---|---|
    | 1 | 0.67 |
    | 5 | 0.38 |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines).replace(" --- ", "---")


STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # t, 97.5 %, by number of training seeds


def with_intervals(values, digits=2):
    """Mean with two 95 % half widths, as text: over tasks, then over training seeds.

    Args:
        values: One number per training seed and test task, ``(n_seeds, n_tasks)``; the same tasks
            for every seed. One seed gives no second half width.
        digits: Digits behind the point.

    >>> with_intervals(np.array([[1.0, 2.0, 3.0], [1.2, 2.2, 3.2]]))
    '2.10 ± 1.13 ± 1.27'
    """
    n_seeds, n_tasks = np.shape(values)
    over_tasks = 1.96 * np.mean(values, axis=0).std(ddof=1) / np.sqrt(n_tasks)
    parts = [np.mean(values), over_tasks]
    if n_seeds > 1:
        parts.append(STUDENT[n_seeds] * np.mean(values, axis=1).std(ddof=1) / np.sqrt(n_seeds))
    return " ± ".join(f"{part:.{digits}f}" for part in parts)


def plot_steps(ax, evaluations):
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


def plot_history(ax, histories, window=100):
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


def _plain_log_axis(ax):
    """A logarithmic y axis with ticks at 1, 2, 5, written as plain numbers."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
