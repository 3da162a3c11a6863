"""Static figures: each function draws one kind of figure on the ``ax`` it is given.

A notebook shows a figure as the SVG of :func:`drawing`. On a page of the book it stands as
:func:`themed` writes it: in the page's colours, and on a phone in a shape of its own.
"""

import io
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from html import escape
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec
from matplotlib.text import Text
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
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        from matplotlib_inline.config import InlineBackend

        backend = InlineBackend.instance(parent=shell)
        backend.figure_formats = set()  # no picture of pixels beside the drawing
        shell.display_formatter.formatters["image/svg+xml"].for_type(Figure, drawing)


def plot_steps(ax: Axes, evaluations: Mapping[str, Evaluation]) -> Axes:
    """Mean query loss against inner steps, with 95% intervals over tasks.

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


NARROW = 3.4  # inches: on a phone, letters of 10 points have 11 pixels and more
SMALLEST = 10.0  # points
PANEL = 2.5  # inches: the height of each panel of a column
MOST_HIGH = 3.2  # inches: of a panel that stands alone
LINE = 0.22  # inches: of a legend
STYLE_ELEMENT = re.compile(r"<style.*?</style>", re.DOTALL)  # on a page it would style all the rest
NESTED = re.compile(r'<g class="narrow" display="none">(.*)</g>\n?</svg>\s*$', re.DOTALL)
COLOUR = re.compile(r"#[0-9a-f]{6}\b")
ROLE_PAIRS = {role["light"]: role["dark"] for role in record("roles").values()}


def drawing(figure: Figure) -> str:
    """A figure as SVG, and hidden in it the same figure in the shape that a phone has room for."""
    wide = _svg(figure)
    with _narrowed(figure):
        narrow = _svg(figure)
    end = wide.rindex("</svg>")
    return f'{wide[:end]}<g class="narrow" display="none">{narrow}</g>\n</svg>'


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = file.getvalue()
    return re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)


def _narrow_size(figure: Figure, row: list[Axes], n_entries: int) -> tuple[float, float]:
    width, height = figure.get_size_inches()
    room = LINE * n_entries
    if row:
        return NARROW, len(row) * max(PANEL, height) + room
    return NARROW, (min(height, MOST_HIGH) if _plain(figure) else height * NARROW / width) + room


@contextmanager
def _narrowed(figure: Figure) -> Iterator[None]:
    """The figure as a phone shows it: panels in a column, the legend below, no small letters."""
    with ExitStack() as undo:
        texts: list[Any] = figure.findobj(Text)
        small = [text for text in texts if text.get_fontsize() < SMALLEST]
        for text in small:
            undo.callback(text.set_fontsize, text.get_fontsize())
            text.set_fontsize(SMALLEST)
        row, n_entries = _row(figure), _legends_below(figure, undo)
        undo.callback(figure.set_size_inches, *figure.get_size_inches())
        figure.set_size_inches(_narrow_size(figure, row, n_entries))
        column = GridSpec(max(1, len(row)), 1, figure)  # one: its panels make room for each other
        for k, ax in enumerate(row):
            _move(ax, column[k], row[0], undo)
        yield


def _legends_below(figure: Figure, undo: ExitStack) -> int:
    """Move what legends say below the panels, where it hides no curve; the number of lines."""
    legends: list[Any] = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    for legend in legends:
        names = [text.get_text() for text in legend.get_texts()]
        where: Any = "outside lower left"
        below = figure.legend(legend.legend_handles, names, loc=where, fontsize=SMALLEST)
        legend.set_visible(False)
        undo.callback(legend.set_visible, True)
        undo.callback(below.remove)
    return sum(len(legend.get_texts()) for legend in legends)


def _move(ax: Axes, place: SubplotSpec, first: Axes, undo: ExitStack) -> None:
    """Move a panel to its place in the column, with the labels that its neighbour showed for it."""
    before: Any = ax.get_subplotspec()
    undo.callback(ax.set_subplotspec, before)
    undo.callback(ax.set_ylabel, ax.get_ylabel())
    undo.callback(ax.tick_params, labelleft=_left(ax))
    ax.set_subplotspec(place)
    ax.tick_params(labelleft=True)
    if ax.get_shared_y_axes().joined(ax, first):
        ax.set_ylabel(first.get_ylabel())


def _plain(figure: Figure) -> bool:
    """Whether the figure is curves, which may change their shape, and no pictures."""
    return not any(ax.images for ax in figure.axes)


def _row(figure: Figure) -> list[Axes]:
    """The panels that stand side by side, if there is one row of several and none is a picture."""
    specs = [ax.get_subplotspec() for ax in figure.axes]
    one_row = all(spec is not None and spec.get_gridspec().nrows == 1 for spec in specs)
    return list(figure.axes) if len(specs) > 1 and one_row and _plain(figure) else []


def _left(ax: Axes) -> bool:
    labels: dict[str, Any] = ax.yaxis.get_tick_params(which="major")
    return labels.get("labelleft", True)


def themed(svg: str, name: str) -> str:
    """A drawing as it stands in a page: both shapes, in the colours of the page's scheme.

    Args:
        svg: What :func:`drawing` wrote.
        name: What it shows, for those who do not see it.

    Returns:
        HTML. Which of the two shapes is shown is for the page's style to say: their classes are
        ``plot-wide`` and ``plot-narrow``.
    """
    nested = NESTED.search(svg)
    if nested is None:
        raise ValueError("svg must be what drawing(figure) returns, but holds no narrow shape")
    shapes = {"plot-wide": svg[: nested.start()] + "</svg>", "plot-narrow": nested[1]}
    drawn = "".join(_in_page(text, shape, name) for shape, text in shapes.items())
    return f'<span class="book-plot">{drawn}</span>'


def _in_page(svg: str, shape: str, name: str) -> str:
    head, _, rest = svg.partition(">")
    box = re.findall(r'viewBox="[^"]*"', head)
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', rest))
    keep = lambda found: found[0] if found[1] in used else ""  # noqa: E731
    rest = re.sub(r'\s+id="([^"]*)"', keep, STYLE_ELEMENT.sub("", rest))
    rest = COLOUR.sub(lambda found: _pair(found[0]), rest)
    return f'<svg class="{shape}" role="img" aria-label="{escape(name)}" {box[0]}>{rest}'


def _pair(colour: str) -> str:
    """A colour for the light scheme and one for the dark: its role's, or a grey turned round."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    if red == green == blue:
        grey = round(0.1 * 255 + 0.8 * (255 - red))
        return f"light-dark({colour}, #{grey:02x}{grey:02x}{grey:02x})"
    return f"light-dark({colour}, {ROLE_PAIRS.get(colour, colour)})"
