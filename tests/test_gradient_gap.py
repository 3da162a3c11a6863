"""Gradient gap: the grid is what the reference says, and the page reads it in the right order."""

from importlib import resources

import numpy as np
import pytest
from node import as_sent, relative_error, run_node

from maml_teach import maml
from maml_teach.measures import QUANTITIES, gradient_gap
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids, Task
from maml_teach.widgets import GradientGap
from maml_teach.widgets.gradient_gap import ALPHAS, sinusoid_batches

MODEL = MLP((1, 40, 40, 1))
FILE = resources.files("maml_teach") / "data" / "sinusoid_starts.npz"
BATCHES = sinusoid_batches(n_batches=2, n_tasks=3)


@pytest.fixture(scope="module")
def starts():
    with resources.as_file(FILE) as path, np.load(path) as saved:
        return {name: saved[name] for name in ("random", "pretrained", "maml")}


@pytest.fixture(scope="module")
def figure(starts):
    return GradientGap(starts, BATCHES)


def grid_of(figure):
    return np.frombuffer(figure.grid, "<f4").reshape(figure.shape)


def by_the_book(theta, tasks, alpha, n_inner_steps):
    """One row of the grid from one call of each reference function, in float64."""
    settings = {"alpha": alpha, "n_inner_steps": n_inner_steps}
    theta = theta.astype(np.float64)
    meta_loss, exact = maml.maml_gradient(MODEL, theta, tasks, **settings)
    row = []
    for gradient in (maml.fomaml_gradient, maml.reptile_gradient):
        g = gradient(MODEL, theta, tasks, **settings)[1]
        cosine = g @ exact / np.linalg.norm(g) / np.linalg.norm(exact)
        row += [np.degrees(np.arccos(cosine)), np.linalg.norm(g) / np.linalg.norm(exact)]
    return [*row, meta_loss]


@pytest.mark.parametrize("n_inner_steps", [1, 4, 10])
@pytest.mark.parametrize("name", ["random", "pretrained", "maml"])
def test_gap_is_that_of_the_reference(starts, name, n_inner_steps):
    theta, tasks = starts[name].astype(np.float64), BATCHES[0]
    gaps = gradient_gap(MODEL, theta, tasks, alpha=0.0068, n_inner_steps=n_inner_steps)
    assert gaps.shape == (n_inner_steps, len(QUANTITIES))
    wanted = [by_the_book(theta, tasks, 0.0068, k + 1) for k in range(n_inner_steps)]
    assert relative_error(gaps, wanted) < 1e-7  # the arccosine of the test loses digits


def test_cells_of_the_grid(figure, starts):
    """Random cells that converge: the right start, rate, K and batch, within float32."""
    rng, grid = np.random.default_rng(0), grid_of(figure)
    for _ in range(12):
        i, j, k, b = rng.integers([3, 9, 10, 2])  # rates up to 0.022
        theta = list(starts.values())[i]
        try:
            wanted = by_the_book(theta, BATCHES[b], ALPHAS[j], int(k) + 1)
        except FloatingPointError:
            assert np.isnan(grid[i, j, k, b]).all()
            continue
        if wanted[-1] < 10:  # beyond, the inner loop magnifies rounding
            assert np.allclose(grid[i, j, k, b], wanted, rtol=2e-3, atol=0.05), (i, j, k, b)


def test_alphas_are_readable_and_evenly_spaced():
    steps = np.diff(np.log10(ALPHAS))
    assert ALPHAS[0] == 0.001 and 0.01 in ALPHAS and ALPHAS[-1] == 0.1
    assert np.ptp(steps) < 0.03  # rounding to two figures


def test_first_order_is_exact_as_alpha_vanishes(starts):
    theta = starts["maml"].astype(np.float64)
    gaps = [
        gradient_gap(MODEL, theta, BATCHES[0], alpha=alpha, n_inner_steps=3)
        for alpha in (1e-4, 1e-5, 1e-6)
    ]
    angles, lengths = np.stack([gap[:, :2] for gap in gaps]).transpose(2, 0, 1)
    assert (angles[-1] < 0.05).all() and (abs(lengths[-1] - 1) < 1e-3).all()
    for error in (angles, abs(lengths - 1)):  # the gap is of first order in alpha
        assert np.allclose(error[1] / error[2], 10, rtol=0.1)


def test_reptile_is_joint_training_on_one_set_as_alpha_vanishes(starts):
    """Support equal to query: Reptile's K steps are K times the meta-gradient."""
    x, y = BATCHES[0].x_support, BATCHES[0].y_support
    tasks, theta = Task(x, y, x, y), starts["random"].astype(np.float64)
    gaps = gradient_gap(MODEL, theta, tasks, alpha=1e-7, n_inner_steps=4)
    assert (gaps[:, 2] < 0.01).all()
    assert np.allclose(gaps[:, 3], [1, 2, 3, 4], rtol=1e-4)


def test_divergence_is_nan_from_the_step_where_it_happens(starts):
    theta = starts["maml"]
    tasks = Task(*(np.float32(a) for a in vars(BATCHES[0]).values()))
    gaps = gradient_gap(MODEL, theta, tasks, alpha=0.1, n_inner_steps=10)
    lost = np.isnan(gaps).any(axis=-1)
    assert np.isfinite(gaps[0]).all() and lost[-1]
    assert np.array_equal(lost, np.sort(lost)) and np.isnan(gaps[lost]).all()
    assert np.isnan(gradient_gap(MODEL, theta, tasks, alpha=1e30, n_inner_steps=2)).all()


def read_in_node(figure, indices):
    """What the page makes of the bytes: an entry and its cell for each index."""
    grid = as_sent(figure.grid)
    names = ["entry", "cell"]
    cases = [(name, [grid, figure.shape, index]) for index in indices for name in names]
    answers = run_node("gradient_gap", cases)
    return list(zip(answers[::2], answers[1::2], strict=True))


def test_the_page_reads_the_bytes_in_order(figure):
    grid, indices = grid_of(figure), [[0, 0, 0, 0], [2, 6, 4, 1], [1, 3, 9, 0], [0, 7, 2, 1]]
    for index, (one, cell) in zip(indices, read_in_node(figure, indices), strict=True):
        i, j, k, _ = index
        wanted = grid[tuple(index)].astype(float)
        assert np.isfinite(wanted).all()
        names = ["fomamlAngle", "fomamlLength", "reptileAngle", "reptileLength", "loss"]
        assert relative_error([one[name] for name in names], wanted) < 1e-9
        column = grid[i, j, k].astype(float)
        assert np.isclose(cell["FOMAML"]["angle"]["mean"], column[:, 0].mean())
        assert np.isclose(cell["FOMAML"]["length"]["high"], column[:, 1].max())
        assert np.isclose(cell["Reptile"]["angle"]["low"], column[:, 2].min())
        assert np.isclose(cell["Reptile"]["length"]["mean"], column[:, 3].mean() / (k + 1))
        assert np.isclose(cell["loss"], column[:, 4].mean())
        assert cell["nBatches"] == 2 and cell["nDiverged"] == 0


def test_the_page_counts_diverged_batches(figure):
    grid = grid_of(figure)
    wanted = int(np.isnan(grid[2, -1, -1, :, 0]).sum())
    [[_, cell]] = read_in_node(figure, [[2, len(ALPHAS) - 1, 9, 0]])
    assert cell["nDiverged"] == wanted == 2
    assert cell["FOMAML"]["angle"]["mean"] is None  # NaN, in JSON


@pytest.mark.parametrize(
    ("fomaml", "reptile", "words"),
    [
        ([10, 20], [30, 40], "Both stay under 90°"),
        ([10, 20], [60, 100], "Reptile is over 90° in 1 of 2 batches"),
        ([95, 99], [30, 40], "FOMAML is over 90°: to first order"),
    ],
)
def test_angles_in_words(fomaml, reptile, words):
    angles = {
        name: {"mean": float(np.mean(all_)), "all": all_}
        for name, all_ in (("FOMAML", fomaml), ("Reptile", reptile))
    }
    [sentence] = run_node("gradient_gap", [("verdict", [angles])])
    assert sentence.startswith(words)


def test_runs_and_nearest():
    flags = [True, True, False, True]
    [near] = run_node("shared", [("nearest", [list(ALPHAS), 0.0118])])
    [found] = run_node("gradient_gap", [("runs", [flags])])
    assert ALPHAS[near] == 0.01 and found == [[0, 1], [3, 3]]


def test_losses_before_adapting(figure, starts):
    theta = starts["pretrained"]
    losses = [MODEL.loss(theta, b.x_query, b.y_query).mean() for b in BATCHES]
    assert np.isclose(figure.losses_before[1], np.mean(losses), rtol=1e-5)


def test_default_batches_are_those_of_the_chapter():
    batches = sinusoid_batches()
    assert len(batches) == 5 and batches[0].x_support.shape == (25, 10, 1)
    assert np.array_equal(batches[3].y_query, sinusoid_batches()[3].y_query)
    assert not np.array_equal(batches[0].x_support, batches[1].x_support)


def test_rates_off_the_grid_are_refused_later_as_well(figure):
    with pytest.raises(Exception, match="alpha must be one of"):
        figure.alpha = 0.012
    assert figure.alpha == 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0.012}, "alpha must be one of"),
        ({"alpha": float("nan")}, "alpha must be one of"),
        ({"n_inner_steps": 0}, "n_inner_steps"),
        ({"n_inner_steps": 11}, "n_inner_steps"),
        ({"start": "maml"}, "start"),
        ({"gamma": 1}, "no setting gamma"),
        ({"starts": {"maml": np.zeros(MODEL.n_params)}}, "starts must hold random, pretrained"),
        ({"starts": dict.fromkeys(("random", "pretrained", "maml"), np.zeros(3))}, "has shape"),
        ({"batches": []}, "batches must be a list"),
        ({"batches": [3]}, r"batches\[0\] must be a Task"),
        ({"batches": [Sinusoids().sample(np.random.default_rng(0), 2, 3, 3).select(0)]}, "a batch"),
    ],
)
def test_wrong_settings_are_refused(starts, change, message):
    with pytest.raises(ValueError, match=message):
        GradientGap(**{"starts": starts, "batches": BATCHES, **change})
