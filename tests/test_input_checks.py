"""What every entrance checks: what is let in, what is refused, and what the refusal says."""

import numpy as np
import pytest

from maml_teach import inputs

N = 4  # parameters
GOOD = {
    "a number": 0.1,
    "NumPy's number": np.float32(0.1),
    "a rate for each parameter": np.full(N, 0.1),
    "a rate for each step": np.full((3, 1), 0.1),
    "a rate for each step and parameter": np.full((3, N), 0.1),
    "a negative learned rate": np.array([0.1, -0.2, 0.0, 1.0]),
}
BAD = {
    **{f"{value!r}": value for value in (0, -0.1, np.inf, np.nan, "0.1", None)},
    "one rate too few": np.full(N - 1, 0.1),
    "a third axis": np.full((2, 3, N), 0.1),
    "no step": np.full((0, N), 0.1),
    "a row of another length": np.full((3, 2), 0.1),
    "a rate that is infinite": np.array([0.1, np.inf, 0.1, 0.1]),
    "a rate that is no number": np.array([[0.1], [np.nan]]),
}


@pytest.mark.parametrize("what", GOOD)
def test_rates_that_mean_something_pass(what):
    inputs.check_inner_loop(GOOD[what], 0, N)


@pytest.mark.parametrize("what", BAD)
def test_rates_that_mean_nothing_are_refused(what):
    with pytest.raises(ValueError, match="alpha"):
        inputs.check_inner_loop(BAD[what], 1, N)


@pytest.mark.parametrize("n_inner_steps", [-1, 1.0, True, "1", None])
def test_steps_that_cannot_be_counted_are_refused(n_inner_steps):
    with pytest.raises(ValueError, match="n_inner_steps"):
        inputs.check_inner_loop(0.1, n_inner_steps, N)


@pytest.mark.parametrize("count", [0, -1, 2.0, True, None])
def test_a_bad_count_is_named(count):
    inputs.check_counts(n_tasks=1, n_shots=np.int64(3))
    with pytest.raises(ValueError, match="n_shots must be an integer of at least 1, got"):
        inputs.check_counts(n_tasks=1, n_shots=count)


def test_a_table_of_rates_is_read_row_by_row_and_its_last_row_goes_on():
    table = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert [inputs.rate(table, k).tolist() for k in range(4)] == [[1, 2], [3, 4], [3, 4], [3, 4]]
    assert inputs.rate(table[0], 1) is not None
    assert inputs.rate(table[0], 7).tolist() == [1, 2]
    assert inputs.rate(0.3, 7) == 0.3


def test_divergence_names_the_rate_and_counts_the_tasks():
    theta = np.zeros((5, 3))
    inputs.check_convergence(theta, 0.1, 2)
    theta[1, 2], theta[4, 0] = np.nan, np.inf
    with pytest.raises(FloatingPointError) as error:
        inputs.check_convergence(theta, 0.25, 2)
    assert "on 2 of 5 tasks within 2 steps: alpha = 0.25 is too large" in str(error.value)
    with pytest.raises(FloatingPointError, match=r"alpha = 0\.125 to 4 is too large"):
        inputs.check_convergence(theta, np.array([4.0, 0.125, 1.0]), 2)


def test_theta_that_is_not_finite_is_refused():
    theta = np.zeros(3)
    assert inputs.check_theta(theta) is theta
    for bad in (np.nan, -np.inf):
        with pytest.raises(ValueError, match="theta must be finite"):
            inputs.check_theta(np.array([0.0, bad]))


USUAL = {"wind": (0.0, 1.0), "grip": (0.2, 0.9)}


def test_given_ranges_stand_in_place_of_the_usual():
    assert inputs.with_ranges(USUAL, {}) == USUAL
    assert inputs.with_ranges(USUAL, {"grip": (0.5, 0.5)}) == {
        "wind": (0.0, 1.0),
        "grip": (0.5, 0.5),
    }
    assert USUAL["grip"] == (0.2, 0.9)


@pytest.mark.parametrize("given", [{"mass": (0, 1)}, {"wind": (1, 0)}, {"wind": (0, np.nan)}])
def test_a_range_that_is_none_is_named(given):
    ((name, _),) = given.items()
    with pytest.raises(ValueError, match=f"{name} = .* is not a range of wind, grip"):
        inputs.with_ranges(USUAL, given)


def test_arrays_are_found_in_tuples_and_dicts_in_order():
    one, two, three = np.zeros(1), np.zeros(2), np.zeros(3)
    nested = {"a": one, "b": (two, {"c": three})}
    assert [len(array) for array in inputs.arrays_in(nested)] == [1, 2, 3]
    assert [array is one for array in inputs.arrays_in(one)] == [True]
    mapped = inputs.map_arrays(len, nested)
    assert mapped == {"a": 1, "b": (2, {"c": 3})}
