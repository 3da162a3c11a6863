"""Handwriting: tasks within one alphabet, from few alphabets."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..inputs import check_counts
from ..tasks import Task
from .images import SIZE, ImageClasses, distort, look_up

INKED = 0.2  # a pixel with more ink than this belongs to the drawing
FRAME = SIZE - 6  # pixels along the longer side of a framed drawing


def framed(images: NDArray) -> NDArray:
    """Each picture moved and scaled so that its ink fills 22 of 28 pixels, in the middle.

    Args:
        images: Ink from 0 to 1, ``(n, 28, 28)``.

    Returns:
        Pictures of the same shape, float32. Where there is no ink, there is none afterwards.
    """
    middle, extent = zip(*(_span(images, axis) for axis in (1, 2)), strict=True)
    step = np.maximum(np.maximum(*extent), 1) / FRAME  # old pixels per new pixel
    along = (np.arange(SIZE) + 0.5 - SIZE / 2) * step[:, None]
    x, y = ((m[:, None] + along) * 2 / SIZE - 1 for m in middle)
    at = np.stack(np.broadcast_arrays(x[:, None, :], y[:, :, None]), axis=1)
    return look_up(np.asarray(images, np.float32), at)


def _span(images: NDArray, axis: int) -> tuple[NDArray, NDArray]:
    """Middle and extent of the ink across ``axis``, in pixels, ``(n,)`` each."""
    has = np.any(images > INKED, axis=axis)
    low, high = has.argmax(axis=1), SIZE - has[:, ::-1].argmax(axis=1)
    return (low + high) / 2, high - low


@dataclass(frozen=True)
class Alphabets:
    """Episodes as in the official one-shot task: the characters of a task are of one alphabet.

    A quarter turn of an alphabet is an alphabet of its own. An alphabet that has too few
    characters is filled up with characters of another of its turns.

    Args:
        classes: Drawings, named like ``"Greek/character01"``.
        n_ways: Characters per task.
        vary: How strongly each drawing is distorted; see ``distort``.
        place: What is done to distorted drawings: framed again, or with ``np.asarray`` nothing.

    Raises:
        ValueError: If ``n_ways`` is no positive integer or more than an alphabet has, turned ones
            included, or if a class has a single drawing.
    """

    classes: ImageClasses
    n_ways: int = 20
    vary: float = 0.5
    place: Callable[[NDArray], NDArray] = framed

    def __post_init__(self) -> None:
        check_counts(n_ways=self.n_ways)
        if np.bincount(self.classes.labels).min() < 2:
            raise ValueError("classes must have two drawings each, one to show and one to ask")
        alphabets, sizes = np.unique(self._alphabets(), return_counts=True)
        if 4 * sizes.min() < self.n_ways:
            raise ValueError(
                f"n_ways is {self.n_ways}, but {str(alphabets[sizes.argmin()])!r} has "
                f"{4 * sizes.min()} characters, quarter turns included"
            )

    def sample(self, rng: Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """A batch of tasks: ``x`` ``(n_tasks, n_ways * n_shots, 1, 28, 28)``, ``y`` its labels.

        ``n_shots`` and ``n_queries`` count drawings per character; none is in both sets.
        """
        check_counts(n_tasks=n_tasks, n_shots=n_shots, n_queries=n_queries)
        n_each = n_shots + n_queries
        ways = np.concatenate([self._ways(rng) for _ in range(n_tasks)])
        images = self.pictures(rng, ways, n_each)
        return Task.by_class(images.reshape(n_tasks, -1, n_each, 1, SIZE, SIZE), n_shots)

    def pictures(self, rng: Generator, classes: Iterable[int], n_each: int) -> NDArray:
        """``n_each`` drawings of each class, ``(len(classes) * n_each, 28, 28)``, none twice.

        Class ``k`` after ``t`` quarter turns is number ``t * len(self.classes) + k``.
        """
        images = np.concatenate([self._drawings(rng, int(number), n_each) for number in classes])
        return self.place(distort(images, rng, strength=self.vary)) if self.vary else images

    def _drawings(self, rng: Generator, number: int, n_each: int) -> NDArray:
        turns, label = divmod(number, len(self.classes))
        first, end = np.searchsorted(self.classes.labels, [label, label + 1])
        chosen = first + rng.choice(end - first, n_each, replace=False)
        return np.rot90(self.classes.images[chosen], turns, axes=(1, 2))

    def _alphabets(self) -> NDArray:
        """The alphabet of each class."""
        return np.array([name.partition("/")[0] for name in self.classes.names])

    def _ways(self, rng: Generator) -> NDArray:
        """Numbers of the classes of one task."""
        alphabets = self._alphabets()
        own = np.flatnonzero(alphabets == rng.choice(alphabets))  # the larger, the more often
        turns = (rng.integers(4) + np.arange(4)) % 4
        pool = turns[:, None] * len(self.classes) + rng.permuted(np.tile(own, (4, 1)), axis=1)
        return rng.permutation(pool.ravel()[: self.n_ways])
