"""What a call costs: time in rounds that take turns, and peak memory."""

import time
import tracemalloc
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray


def seconds(
    functions: Iterable[Callable[[], object]],
    n_rounds: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> NDArray:
    """Seconds that each function takes, in rounds in which all take their turn.

    Turns, so that a slow moment of the machine does not fall on one function alone. Compare medians
    over rounds, or ratios within a round.

    Args:
        functions: Called without arguments, such as a ``functools.partial``.
        n_rounds: How often each is called, at least 1.
        clock: Gives seconds. ``time.process_time`` counts the processor time of this process, all
            its threads together, and leaves out what other programs take.

    Returns:
        ``(n_rounds, n_functions)``.

    Raises:
        ValueError: If ``n_rounds`` is below 1.

    >>> took = seconds([lambda: time.sleep(0.01), lambda: None], n_rounds=3)
    >>> took.shape
    (3, 2)
    >>> bool(np.median(took, axis=0)[0] >= 0.01)
    True
    """
    if n_rounds < 1:
        raise ValueError(f"n_rounds must be at least 1, got {n_rounds!r}")

    def once(function: Callable[[], object]) -> float:
        began = clock()
        function()
        return clock() - began

    functions = list(functions)
    return np.array([[once(function) for function in functions] for _ in range(n_rounds)])


def megabytes(function: Callable[[], object]) -> float:
    """The most memory that a call holds at a time, in units of 1e6 bytes.

    What Python and NumPy allocate counts, what was there before does not; torch's memory is not
    seen. Tracing slows the call down, so do not time it meanwhile.

    >>> round(megabytes(lambda: np.zeros(1_000_000)), 1)
    8.0
    """
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
