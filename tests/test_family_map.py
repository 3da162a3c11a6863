"""Family map: the page reads the grid in the right order and sorts its trainings rightly."""

import numpy as np
import pytest
from node import as_sent, run_node

from maml_teach.widgets import FamilyMap
from maml_teach.widgets.family_map import reference_mse

NAN, INF = float("nan"), float("inf")
NAMES, ALPHAS, BETAS = ["joint", "MAML"], [0.001, 0.01, 0.1], [0.0003, 0.001, 0.003, 0.01]


def grid():
    """Every number different, with a diverged, a stopped and a best training in the second."""
    mse = np.random.default_rng(0).uniform(1, 9, (2, 3, 4, 5)).astype(np.float32)
    mse[..., 0] = 4
    mse[:, 2, :, 0] = INF
    mse[1, 2, 3, 2:] = NAN
    mse[1, 2, 0] = INF
    mse[1, 0, 3, -1] = 0.25
    return mse


def figure(**change):
    given = {"mse": grid(), "names": NAMES, "alphas": ALPHAS, "betas": BETAS}
    return FamilyMap(**{**given, "n_meta_steps": 100, **change})


def read_in_node(figure, indices=()):
    """What the page makes of the bytes."""
    given = [as_sent(figure.grid), figure.shape, figure.reference, list(indices)]
    [answer] = run_node("family_map", [("reading", given)])
    return answer


def verdicts_of(mse, reference):
    """The criterion of the docstring, written once more."""
    last = mse[..., -1]
    diverges = ~np.isfinite(last) | (last > 10 * reference)
    return np.where(diverges, "diverges", np.where(last <= reference / 2, "learns", "stalls"))


def test_the_page_reads_the_bytes_in_order():
    indices = list(np.ndindex(2, 3, 4))
    curves = read_in_node(figure(), indices)["curves"]
    for index, curve in zip(indices, curves, strict=True):
        read = [float(value.replace("Infinity", "inf")) for value in curve]
        assert np.array_equal(read, grid()[index].astype(float), equal_nan=True), index


def test_best_cell_and_counts():
    answer = read_in_node(figure())
    assert answer["bests"][1] == {"i": 0, "j": 3, "last": 0.25}
    i, j = np.unravel_index(grid()[0, ..., -1].argmin(), (3, 4))
    assert (answer["bests"][0]["i"], answer["bests"][0]["j"]) == (i, j)
    for a, count in enumerate(answer["counts"]):
        assert sum(count.values()) == 12
        assert count == {key: int((verdicts_of(grid()[a], 4) == key).sum()) for key in count}
    assert answer["counts"][1]["diverges"] == 2


def test_every_cell_of_the_package_is_classified_as_the_docstring_says():
    shipped = FamilyMap.from_package()
    mse = np.frombuffer(shipped.grid, "<f4").reshape(shipped.shape).astype(float)
    verdicts = read_in_node(shipped)["verdicts"]
    assert np.array_equal(verdicts, verdicts_of(mse, shipped.reference))
    maml = verdicts[shipped.names.index("MAML")]
    assert maml[3][2] == "learns" and set(maml[6]) == {"diverges"}


@pytest.mark.parametrize(
    ("last", "verdict"),
    [
        (0.1, "learns"),
        (2.0, "learns"),
        (2.001, "stalls"),
        (40.0, "stalls"),
        (40.001, "diverges"),
        (INF, "diverges"),
        (NAN, "diverges"),
    ],
)
def test_classification_at_its_limits(last, verdict):
    mse = grid()
    mse[0, 0, 0, -1] = last
    assert read_in_node(figure(mse=mse))["verdicts"][0][0][0] == verdict


def test_no_best_where_nothing_is_finite():
    mse = grid()
    mse[1, ..., -1] = NAN
    assert read_in_node(figure(mse=mse))["bests"][1] is None


@pytest.mark.parametrize(("last", "shade"), [(2.0, 0), (1.01, 0), (0.99, 1), (0.2, 3), (1e-9, 4)])
def test_each_shade_is_half_of_the_one_before(last, shade):
    assert run_node("family_map", [("shadeOf", [last, 4])]) == [shade]


def test_words_curves_and_rates():
    [near] = run_node("shared", [("nearest", [ALPHAS, 0.02])])
    cases = [("trace", [[4, 30, 2], 12]), ("story", [[4, 2, 1], "learns", 1000])]
    trace, told = run_node("family_map", cases)
    assert near == 1
    assert trace == {"pieces": [[[0, 4], [1, 30], [2, 2]]], "lost": None}
    assert told == "MSE 4.00 → 1.00 in 1,000 outer steps: it learns"


def test_reference_is_the_median_of_the_finite_starts():
    mse = np.full((1, 2, 2, 3), NAN)
    mse[0, :, :, 0] = [[4, 5], [INF, 1e6]]
    assert reference_mse(mse) == 5
    assert 4 < FamilyMap.from_package().reference < 5


def test_defaults_come_from_the_grid():
    assert (figure().algorithm, figure().alpha, figure().beta) == ("MAML", 0.01, 0.001)
    other = figure(names=["a", "b"], alphas=[1, 2, 4], beta=0.01)
    assert (other.algorithm, other.alpha, other.beta) == ("b", 2, 0.01)


def test_values_off_the_grid_are_refused_later_as_well():
    one = figure()
    for name, value in {"alpha": 0.02, "beta": 0.1, "algorithm": "iMAML"}.items():
        before = getattr(one, name)
        with pytest.raises(Exception, match=f"{name} must be one of"):
            setattr(one, name, value)
        assert getattr(one, name) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mse": grid()[0]}, "mse has shape"),
        ({"mse": grid()[:, :2]}, "mse has shape"),
        ({"mse": grid().swapaxes(1, 2)}, "mse has shape"),
        ({"mse": grid()[..., :1]}, "mse has shape"),
        ({"mse": -grid()}, "must not be negative"),
        ({"mse": np.full((2, 3, 4, 5), NAN)}, "finite, positive values before training"),
        ({"names": ["MAML", "MAML"]}, "names must be"),
        ({"names": []}, "names must be"),
        ({"alphas": [0.1, 0.01, 0.001]}, "alphas must increase"),
        ({"alphas": [0.001, 0.002, 0.1]}, "alphas must increase"),
        ({"betas": [0.0, 0.1, 0.2, 0.3]}, "betas must be two or more positive"),
        ({"n_meta_steps": 0}, "n_meta_steps must be"),
        ({"n_meta_steps": 101}, "multiple of 4 stages"),
        ({"n_meta_steps": 100.0}, "n_meta_steps must be"),
        ({"algorithm": "iMAML"}, "algorithm must be one of"),
        ({"alpha": 0.02}, "alpha must be one of"),
        ({"beta": NAN}, "beta must be one of"),
        ({"gamma": 1}, "no setting gamma"),
    ],
)
def test_wrong_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        figure(**change)
