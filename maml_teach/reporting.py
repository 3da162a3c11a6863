"""Results as text: Markdown tables, means with their 95% intervals, numbers for the page."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Student's t, 97.5%, by number of training seeds.
STUDENT = {
    2: 12.706,
    3: 4.303,
    4: 3.182,
    5: 2.776,
    6: 2.571,
    7: 2.447,
    8: 2.365,
    9: 2.306,
    10: 2.262,
}


def glue(name: str, value: Any) -> None:
    """Hand a value to the text of the page under a name; without myst-nb, which sets it, nothing.

    Text says ``{glue:text}`name``` where the value belongs.

    >>> glue("answer", 42)
    """
    try:
        from myst_nb import glue as to_the_page
    except ImportError:
        return
    to_the_page(name, value, display=False)


def markdown_table(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table, as text, from column titles and rows of cells.

    >>> print(markdown_table(["K", "loss"], [[1, 0.67], [5, 0.38]]))
    | K | loss |
    |---|---|
    | 1 | 0.67 |
    | 5 | 0.38 |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines).replace(" --- ", "---")


def over_seeds(values: ArrayLike) -> NDArray:
    """Half width of the 95% interval of a mean over training seeds, by Student's t.

    Args:
        values: The mean of each seed, ``(n_seeds, ...)``.

    Returns:
        An array ``(...)``: other seeds on the same tasks; it says nothing of other tasks.

    Raises:
        ValueError: If there are fewer than two seeds, or more than ``STUDENT`` knows.

    >>> round(float(over_seeds([1.0, 1.2])), 2)
    1.27
    """
    values = np.asarray(values, float)
    n_seeds = len(values)
    if n_seeds not in STUDENT:
        raise ValueError(f"values must be of {min(STUDENT)} to {max(STUDENT)} seeds, got {n_seeds}")
    return STUDENT[n_seeds] * values.std(axis=0, ddof=1) / np.sqrt(n_seeds)


def over_units(values: ArrayLike, units: ArrayLike) -> float:
    """Half width of the 95% interval of a mean over tasks that are made of the same few units.

    It covers other units, such as test classes or languages, and other tasks made of them; not
    other training seeds. It is the jackknife: each unit is left out once, with all tasks that it is
    in, and by how much the means of the remaining tasks vary is enlarged to a draw of all units
    anew. Where each task is a unit of its own, such as an arm or a car, it is the usual interval
    over tasks.

    Args:
        values: One number per task, ``(n_tasks,)``.
        units: Which units a task is made of, ``(n_tasks, n_units_each)``, as numbers or names.

    Raises:
        ValueError: If there is not one row of units for each task, or a unit is in all tasks.

    Source:
        Efron (1982), The Jackknife, the Bootstrap and Other Resampling Plans, chapter 3.

    >>> round(over_units([1.0, 2.0, 3.0, 4.0], [[0], [0], [1], [1]]), 2)
    1.96
    """
    values, units = np.asarray(values, float), np.asarray(units)
    if units.ndim != 2 or len(units) != len(values):
        raise ValueError(f"units has shape {units.shape}; expected ({len(values)}, n_units_each)")
    names = np.unique(units)
    has = np.array([(units == name).any(axis=1) for name in names])  # (n_units, n_tasks)
    if has.all(axis=1).any():
        raise ValueError(f"units: {names[has.all(axis=1)][0]} is in all tasks, none is without it")
    without = ~has @ values / (~has).sum(axis=1)
    n_units = len(names)
    return 1.96 * float(np.sqrt((n_units - 1) / n_units * np.sum((without - without.mean()) ** 2)))


def with_intervals(values: ArrayLike, digits: int = 2, units: ArrayLike | None = None) -> str:
    """Mean with two 95% half widths, as text: over tasks, then over training seeds.

    Args:
        values: One number per training seed and test task, ``(n_seeds, n_tasks)``; the same tasks
            for every seed. One seed gives no second half width.
        digits: Digits behind the point.
        units: If given, the first half width is over these, see :func:`over_units`.

    Raises:
        ValueError: If there are more seeds than ``STUDENT`` knows, or ``units`` does not fit.

    >>> with_intervals(np.array([[1.0, 2.0, 3.0], [1.2, 2.2, 3.2]]))
    '2.10 ± 1.13 ± 1.27'
    """
    values = np.asarray(values, float)
    units = np.arange(values.shape[1])[:, None] if units is None else units
    parts = [np.mean(values), over_units(np.mean(values, axis=0), units)]
    if len(values) > 1:
        parts.append(over_seeds(np.mean(values, axis=1)))
    return " ± ".join(signed(part, digits) for part in parts)


def signed(value: float, digits: int) -> str:
    """A number with that many digits behind the point, and a minus sign instead of a hyphen.

    >>> signed(-0.25, 2)[1:]
    '0.25'
    """
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def band(values: ArrayLike) -> NDArray:
    """Mean, and both ends of its 95% interval over training seeds, ``(3, n_places)``.

    Args:
        values: ``(n_seeds, n_tasks, n_places)``.

    Raises:
        ValueError: If there are fewer than two seeds, or more than ``STUDENT`` knows.
    """
    by_seed = np.asarray(values, float).mean(axis=1)
    mean, half = by_seed.mean(axis=0), over_seeds(by_seed)
    return np.stack([mean, mean - half, mean + half])
