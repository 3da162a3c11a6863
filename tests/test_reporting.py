"""Intervals and tables: every half width against a computation of its own."""

import statistics
import sys
from fractions import Fraction
from math import comb, sqrt
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from maml_teach.reporting import (
    STUDENT,
    band,
    glue,
    markdown_table,
    over_seeds,
    over_units,
    signed,
    with_intervals,
)


def test_two_to_ten_seeds_have_a_quantile():
    assert list(STUDENT) == list(range(2, 11))


@pytest.mark.parametrize("n_seeds", STUDENT)
def test_the_quantiles_are_those_of_student(n_seeds):
    assert STUDENT[n_seeds] == round(stats.t.ppf(0.975, n_seeds - 1), 3)


@pytest.mark.parametrize("n_seeds", STUDENT)
def test_the_interval_over_seeds_by_hand(n_seeds):
    values = np.random.default_rng(n_seeds).normal(size=(n_seeds, 2))
    for column, half in zip(values.T, over_seeds(values), strict=True):
        wanted = STUDENT[n_seeds] * statistics.stdev(column) / sqrt(n_seeds)
        assert half == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("n_seeds", [0, 1, 11])
def test_a_number_of_seeds_without_a_quantile_is_refused(n_seeds):
    with pytest.raises(ValueError, match=f"values must be of 2 to 10 seeds, got {n_seeds}"):
        over_seeds(np.zeros((n_seeds, 3)))


def drawn_again(rng, n_tasks, noise):
    """Scores of tasks of five of thirty units, whose true mean is zero, and their units.

    A task is easy if its units are: the units are what another test set would draw anew.
    """
    effects = 0.1 * rng.normal(size=30)
    units = np.array([rng.choice(30, 5, replace=False) for _ in range(n_tasks)])
    return effects[units].mean(axis=1) + noise * rng.normal(size=n_tasks), units


@pytest.mark.parametrize(("n_tasks", "noise"), [(200, 0.05), (600, 0.01)])
def test_an_interval_over_units_covers_the_mean_of_other_units_and_one_over_tasks_does_not(
    n_tasks, noise
):
    rng, covered = np.random.default_rng(0), []
    for _ in range(400):
        values, units = drawn_again(rng, n_tasks, noise)
        alone = np.arange(n_tasks)[:, None]
        covered.append([abs(values.mean()) < over_units(values, u) for u in (units, alone)])
    by_units, by_tasks = np.mean(covered, axis=0)
    assert 0.92 < by_units < 0.99 and by_tasks < 0.6


def test_the_interval_over_units_by_leaving_each_out():
    values, units = drawn_again(np.random.default_rng(1), 200, 0.05)
    left = [
        statistics.mean(v for v, own in zip(values, units, strict=True) if unit not in own)
        for unit in range(30)
    ]
    wanted = 1.96 * statistics.pstdev(left) * sqrt(29)
    assert over_units(values, units) == pytest.approx(wanted, rel=1e-12)
    names = np.array(["a", "b"])[np.arange(6) % 2][:, None]
    assert over_units(np.arange(6.0), names) == over_units(
        np.arange(6.0), np.arange(6)[:, None] % 2
    )


def test_a_unit_in_all_tasks_is_refused():
    for units in ([[0], [0]], [[0, 1], [1, 2]]):
        with pytest.raises(ValueError, match="is in all tasks"):
            over_units([1.0, 2.0], units)


@pytest.mark.parametrize("units", [np.zeros(4, int), np.zeros((3, 1), int)])
def test_units_that_do_not_pair_up_are_refused(units):
    with pytest.raises(ValueError, match="units has shape"):
        over_units(np.zeros(4), units)


VALUES = np.array([[1.0, 2.0, 4.0, 9.0], [3.0, 2.5, 6.0, 8.0], [2.0, 2.0, 2.0, 2.5]])


def test_the_two_half_widths_are_over_tasks_and_over_seeds():
    by_task, by_seed = VALUES.mean(axis=0).tolist(), VALUES.mean(axis=1).tolist()
    over_tasks = 1.96 * statistics.stdev(by_task) / sqrt(4)
    seeds = STUDENT[3] * statistics.stdev(by_seed) / sqrt(3)
    wanted = f"{statistics.mean(by_seed):.4f} ± {over_tasks:.4f} ± {seeds:.4f}"
    assert with_intervals(VALUES, digits=4) == wanted
    one_seed = f"4.00 ± {1.96 * statistics.stdev(VALUES[0].tolist()) / 2:.2f}"
    assert with_intervals(VALUES[:1]) == one_seed
    assert with_intervals(VALUES[:2]).count("±") == 2


def test_the_band_is_the_mean_and_its_interval_at_each_place():
    places = np.stack([VALUES, 10 - VALUES], axis=-1)
    mean, low, high = band(places)
    halves = over_seeds(VALUES.mean(axis=1))
    assert mean == pytest.approx([VALUES.mean(), 10 - VALUES.mean()], rel=1e-12)
    assert mean - low == pytest.approx([halves, halves], rel=1e-12)
    assert high - mean == pytest.approx([halves, halves], rel=1e-12)


def test_a_table_has_a_cell_for_each_entry():
    table = markdown_table(["a", "b"], [[1, "x"], ["---", Fraction(1, comb(4, 2))]])
    assert table.splitlines() == ["| a | b |", "|---|---|", "| 1 | x |", "|---| 1/6 |"]


def test_a_value_is_handed_to_the_page_and_nowhere_else(monkeypatch):
    given = []
    page = SimpleNamespace(glue=lambda *args, **how: given.append((args, how)))
    monkeypatch.setitem(sys.modules, "myst_nb", page)
    assert glue("loss", 0.5) is None
    assert given == [(("loss", 0.5), {"display": False})]
    monkeypatch.setitem(sys.modules, "myst_nb", None)  # as if it were not installed
    assert glue("loss", 0.5) is None
    assert len(given) == 1


def test_a_negative_number_has_a_minus_sign():
    assert signed(-0.25, 2) == "\N{MINUS SIGN}0.25" and signed(0.25, 1) == "0.2"
    assert with_intervals(-VALUES)[0] == "\N{MINUS SIGN}"
