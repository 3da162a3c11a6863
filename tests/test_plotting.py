"""Static figures: what is drawn is what was given."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from maml_teach.plotting import LOOKS, STYLE, plot_history, plot_steps, use_style
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
