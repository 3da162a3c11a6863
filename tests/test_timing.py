"""What a call costs, by a clock that the test turns."""

import numpy as np
import pytest

from maml_teach.timing import megabytes, seconds


def test_functions_take_turns_and_each_has_its_own_seconds():
    now, calls = [100.0], []

    def work(name, cost):
        calls.append(name)
        now[0] += cost * (1 + len(calls))  # later rounds are slower

    functions = [lambda: work("a", 1.0), lambda: work("b", 10.0)]
    took = seconds(iter(functions), n_rounds=3, clock=lambda: now[0])
    assert calls == ["a", "b"] * 3
    assert np.array_equal(took, [[2, 30], [4, 50], [6, 70]])


def test_one_round_is_enough():
    assert seconds([int, str], n_rounds=1).shape == (1, 2)


@pytest.mark.parametrize("n_rounds", [0, -1])
def test_no_round_is_refused(n_rounds):
    with pytest.raises(ValueError, match=f"n_rounds must be at least 1, got {n_rounds}"):
        seconds([], n_rounds)


def test_memory_counts_what_is_held_at_a_time():
    kept = np.zeros(1_000_000)  # before the call
    one_after_the_other = lambda: [np.zeros(500_000).sum() for _ in range(4)]  # noqa: E731
    together = lambda: [np.zeros(500_000) for _ in range(4)]  # noqa: E731
    assert megabytes(one_after_the_other) == pytest.approx(4, rel=0.01)
    assert megabytes(together) == pytest.approx(16, rel=0.01)
    assert kept.nbytes == 8_000_000


def test_memory_is_no_longer_traced_after_an_error():
    import tracemalloc

    with pytest.raises(ZeroDivisionError):
        megabytes(lambda: 1 / 0)
    assert not tracemalloc.is_tracing()
