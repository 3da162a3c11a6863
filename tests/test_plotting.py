"""Static figures: what is drawn is what was given."""

import re
from itertools import pairwise

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from matplotlib.colors import to_hex

from maml_teach import plotting
from maml_teach.data import record
from maml_teach.plotting import (
    LINE,
    LOOKS,
    NARROW,
    NESTED,
    SMALLEST,
    STYLE,
    drawing,
    plot_history,
    plot_steps,
    themed,
    use_style,
)
from maml_teach.train import Evaluation

matplotlib.use("agg")
LOSSES = np.array([[4.0, 2.0, 1.0], [6.0, 3.0, 2.5], [5.0, 4.0, 1.5]])


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def looks(line):
    """As in ``LOOKS``; of its dashes a line tells only how it is drawn."""
    _, dashes = line._unscaled_dash_pattern
    return to_hex(line.get_color()), (0, tuple(dashes)) if dashes else "-", line.get_marker()


def test_the_mean_over_tasks_is_drawn_with_its_interval(ax):
    evaluations = {"MAML": Evaluation(LOSSES), "random": Evaluation(2 * LOSSES)}
    assert plot_steps(ax, evaluations) is ax
    for line, area, (name, evaluation) in zip(
        ax.lines, ax.collections, evaluations.items(), strict=True
    ):
        assert line.get_xdata().tolist() == [0, 1, 2]
        assert np.allclose(line.get_ydata(), evaluation.losses.mean(axis=0), rtol=1e-12)
        assert (line.get_label(), looks(line)) == (name, LOOKS[name])
        assert to_hex(area.get_facecolor()[0]) == LOOKS[name][0]
        corners = area.get_paths()[0].vertices
        for k in range(3):
            half = 1.96 * evaluation.losses[:, k].std(ddof=1) / np.sqrt(3)
            heights = corners[corners[:, 0] == k, 1]
            mean = evaluation.losses[:, k].mean()
            assert (heights.min(), heights.max()) == pytest.approx((mean - half, mean + half))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("inner steps", "query MSE")
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["MAML", "random"]


def test_a_history_is_the_running_mean_at_the_last_step_of_its_window(ax):
    history = np.array([1.0, 5.0, 3.0, 7.0, 2.0])
    assert plot_history(ax, {"pretrained": history}, window=3) is ax
    (line,) = ax.lines
    assert line.get_xdata().tolist() == [3, 4, 5]
    assert np.allclose(line.get_ydata(), [3, 5, 4], rtol=1e-12)
    assert looks(line)[:2] == LOOKS["pretrained"][:2]
    assert line.get_label() == "pretrained"
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("outer step", "meta-loss", "log")
    plot_history(ax, {"MAML": np.arange(1.0, 151.0)})
    assert ax.lines[1].get_xdata().tolist() == list(range(100, 151))


def test_ticks_are_plain_numbers_at_one_two_and_five(ax):
    plot_history(ax, {"MAML": np.geomspace(0.1, 10, 200)}, window=1)
    ax.set_ylim(0.09, 11)
    inside = [tick for tick in ax.get_yticks() if 0.09 < tick < 11]
    assert np.allclose(inside, [0.1, 0.2, 0.5, 1, 2, 5, 10])
    assert ax.yaxis.get_major_formatter()(0.5) == "0.5"
    assert ax.yaxis.get_minor_formatter()(0.3) == ""


def test_the_style_becomes_the_default():
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        use_style()
        wanted = matplotlib.rc_params_from_file(STYLE, use_default_template=False)
        assert len(wanted) > 3
        assert {key: matplotlib.rcParams[key] for key in wanted} == dict(wanted)


@pytest.fixture
def row():
    """Two panels side by side that share their ordinate."""
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(1, 2, sharey=True, figsize=(7, 3), layout="constrained")
        axes[0].plot([1, 3], color=LOOKS["MAML"][0], label="MAML")
        axes[1].plot([2, 1], color="0.4")
        axes[0].set_ylabel("loss")
        axes[0].legend(fontsize=8)
        yield figure
        plt.close(figure)


def boxes(svg):
    """Width and height of each shape in a drawing."""
    found = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    return [tuple(map(float, box)) for box in found]


def test_a_drawing_has_a_shape_for_wide_pages_and_one_for_phones(row):
    (wide, low), (narrow, high) = boxes(drawing(row))
    assert wide == pytest.approx(72 * 7, rel=0.05) and low == pytest.approx(72 * 3, rel=0.05)
    assert narrow == pytest.approx(72 * NARROW, rel=0.05)
    assert high == pytest.approx(72 * (2 * 3 + LINE), rel=0.05)  # the panels in a column, a legend


def test_on_a_phone_every_panel_has_its_labels_and_no_letter_is_small(row):
    narrow = NESTED.search(drawing(row))[1]
    assert narrow.count(">loss<") == 2 and narrow.count(">MAML<") == 1
    sizes = [float(size) for size in re.findall(r"font(?:-size)?: ([\d.]+)px", narrow)]
    assert sizes and min(sizes) >= SMALLEST


def test_on_a_phone_panels_make_room_for_each_other():
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(1, 3, figsize=(7.6, 2.9), layout="constrained")
        for ax in axes:
            ax.set(title="a panel", xlabel="inner steps", xticks=[0, 1])
        with plotting._narrowed(figure):
            figure.draw_without_rendering()
            spans = [(ax.get_tightbbox().y0, ax.get_tightbbox().y1) for ax in axes]
        plt.close(figure)
    assert all(above[0] > below[1] for above, below in pairwise(spans))


def test_drawing_leaves_the_figure_as_it_was(row):
    before = [(ax.get_subplotspec(), ax.get_ylabel()) for ax in row.axes]
    first = drawing(row)
    assert [(ax.get_subplotspec(), ax.get_ylabel()) for ax in row.axes] == before
    assert row.get_size_inches().tolist() == [7, 3]
    assert row.axes[0].get_legend().get_texts()[0].get_fontsize() == 8
    assert drawing(row) == first


def test_pictures_keep_their_places_on_a_phone():
    figure, axes = plt.subplots(1, 3, figsize=(6, 2))
    for ax in axes:
        ax.imshow(np.eye(4))
    (wide, low), (narrow, high) = boxes(drawing(figure))
    plt.close(figure)
    assert high / narrow == pytest.approx(low / wide, rel=0.15)


def test_in_a_page_each_colour_has_its_twin_in_the_dark(row):
    html = themed(drawing(row), "two <panels>")
    pairs = dict(re.findall(r"light-dark\((#\w{6}), (#\w{6})\)", html))
    maml = record("roles")["maml"]
    assert pairs[maml["light"]] == maml["dark"]
    assert pairs["#666666"] == "#949494" and pairs["#000000"] == "#e6e6e6"
    assert not re.search(
        r"(?<!\()(?<!, )#[0-9a-f]{6}", re.sub(r"url\(#\w+\)|href=\"#\w+\"", "", html)
    )


def test_in_a_page_a_drawing_has_a_name_and_touches_nothing_else(row):
    html = themed(drawing(row), "two <panels>")
    assert html.count('role="img" aria-label="two &lt;panels&gt;"') == 2
    assert [*re.findall(r'<svg class="([\w-]+)"', html)] == ["plot-wide", "plot-narrow"]
    assert "<style" not in html and "<metadata" not in html and "<?xml" not in html
    ids, used = re.findall(r'\sid="([^"]+)"', html), re.findall(r"[(\"]#([\w-]+)", html)
    assert {*ids} <= {*used}
    assert html.count("<svg") == html.count("</svg>") == 2


def test_what_is_no_drawing_is_named():
    with pytest.raises(ValueError, match="svg must be what drawing"):
        themed("<svg></svg>", "nothing")


def test_a_notebook_shows_drawings():
    """In a kernel of its own, as a reader's."""
    import nbclient

    cells = ["from maml_teach import plotting\nplotting.use_style()"]
    cells += ["import matplotlib.pyplot as plt\nplt.plot([1, 2]);"] * 2
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(notebook).execute()
    for cell in notebook.cells[1:]:
        (output,) = cell.outputs
        assert "image/png" not in output.data
        assert NESTED.search(output.data["image/svg+xml"])
