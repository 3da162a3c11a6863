"""Few-shot detection: find, in a crowded scene, the one glyph that was pointed out K times.

A task is one character. Its support set is K scenes with a box around that character; in each
scene stand other characters as well, other ones every time. Boxes are centre, width and height in
pixels: ``(cx, cy, w, h)``. ``best_match`` is the classical way to do it, without any training.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from ..inputs import check_counts
from ..tasks import Task
from .images import SIZE, ImageClasses, distort

CANVAS = 48  # pixels along one side of a scene
N_GLYPHS = 3  # the one to find and two others
SIDES = (13.0, 22.0)  # of a glyph's field in pixels; the glyph fills most of it
VARY = 0.7  # strength of the distortion of each glyph, see images.distort
NOISE = 0.1  # standard deviation
INK = 0.25  # a pixel with more of the glyph's ink than this belongs to its box
FOUND = 0.5  # a box that overlaps the true one by more than this has found the glyph
LEVELS = 63  # steps of ink when scenes are kept as bytes: finer than the noise
ROOM = 0.9  # least distance of two fields, in their mean sides


@dataclass(frozen=True)
class Scenes:
    """Task family: scenes of glyphs, one of which is to be found; a task is a class of glyph.

    Args:
        classes: The glyphs, from ``images.glyphs``.
        fewest: If given, every batch has a number of shots drawn from ``fewest`` to the ``n_shots``
            that was asked for, so that a model meets all of them.

    Raises:
        ValueError: If there are fewer than three classes, or ``fewest`` is no positive integer.
    """

    classes: ImageClasses
    fewest: int | None = None

    def __post_init__(self) -> None:
        if len(self.classes) < N_GLYPHS:
            raise ValueError(f"classes must be at least {N_GLYPHS}, got {len(self.classes)}")
        if self.fewest is not None:
            check_counts(fewest=self.fewest)

    def sample(self, rng: Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """A batch: ``x`` ``(n_tasks, n_shots, 1, 48, 48)``, ``y`` the boxes ``(..., n_shots, 4)``.

        Raises:
            ValueError: If a count is no positive integer, or ``n_shots`` is below ``fewest``.
        """
        check_counts(n_tasks=n_tasks, n_shots=n_shots, n_queries=n_queries)
        if self.fewest is not None:
            if n_shots < self.fewest:
                raise ValueError(f"n_shots is {n_shots}, but fewest is {self.fewest}")
            n_shots = int(rng.integers(self.fewest, n_shots + 1))
        n_each = n_shots + n_queries
        x, y = self.scenes(rng, np.repeat(self.wanted(rng, n_tasks), n_each))
        x = x.reshape(n_tasks, n_each, 1, CANVAS, CANVAS)
        y = y.reshape(n_tasks, n_each, 4)
        return Task.split(x, y, n_shots)

    def wanted(self, rng: Generator, n_tasks: int) -> NDArray:
        """Number of the class of each task, ``(n_tasks,)``, as :meth:`sample` draws it."""
        return rng.integers(len(self.classes), size=n_tasks)

    def scenes(self, rng: Generator, wanted: NDArray) -> tuple[NDArray, NDArray]:
        """One scene for each class in ``wanted``, and its box: ``(n, 48, 48)`` and ``(n, 4)``."""
        n = len(wanted)
        others = rng.integers(len(self.classes) - 1, size=(n, N_GLYPHS - 1))
        others += others >= wanted[:, None]  # any class but the wanted one
        shown = np.column_stack([wanted, others])
        sides = rng.uniform(*SIDES, shown.shape)
        ink = set_down(self._glyphs(rng, shown.ravel()), sides.ravel(), places(rng, sides))
        ink = ink.reshape(n, N_GLYPHS, CANVAS, CANVAS)
        brightness = rng.uniform(0.6, 1.0, (n, 1, 1))
        noise = NOISE * rng.standard_normal((n, CANVAS, CANVAS))
        scene = brightness * ink.max(axis=1) + noise
        return scene.astype(np.float32), tight_boxes(ink[:, 0])

    def _glyphs(self, rng: Generator, shown: NDArray) -> NDArray:
        """A picture of each class in ``shown``, of a random face and distorted anew."""
        first, end = (
            np.searchsorted(self.classes.labels, shown, side) for side in ("left", "right")
        )
        return distort(self.classes.images[rng.integers(first, end)], rng, strength=VARY)


def places(rng: Generator, sides: NDArray) -> NDArray:
    """Centres ``(n * n_glyphs, 2)`` of square fields with these ``sides`` ``(n, n_glyphs)``.

    Fields lie within the canvas and hardly overlap; scenes where they do are drawn again.
    """
    centres = np.zeros((*sides.shape, 2))
    apart = ROOM * (sides[:, :, None] + sides[:, None]) / 2
    apart[:, np.arange(N_GLYPHS), np.arange(N_GLYPHS)] = 0
    left = np.arange(len(sides))
    while left.size:
        margin = sides[left, :, None] / 2 + 1
        drawn = margin + rng.random((*margin.shape[:2], 2)) * (CANVAS - 2 * margin)
        centres[left] = drawn
        gaps = np.abs(drawn[:, :, None] - drawn[:, None]).max(axis=3)
        left = left[(gaps < apart[left]).any(axis=(1, 2))]
    return centres.reshape(-1, 2)


def set_down(glyphs: NDArray, sides: NDArray, centres: NDArray) -> NDArray:
    """Each glyph alone on a canvas.

    Args:
        glyphs: Ink, ``(n, 28, 28)``.
        sides: Side of the field that the 28 pixels become, ``(n,)`` in pixels of the canvas.
        centres: Where its centre goes, ``(n, 2)``, x and y.

    Returns:
        Ink ``(n, 48, 48)``, float32.
    """
    step = (SIZE / sides)[:, None]  # pixels of the glyph per pixel of the canvas

    def along(centre: NDArray) -> NDArray:
        at = (np.arange(CANVAS) + 0.5 - centre[:, None]) * step + SIZE / 2
        return blend(at, SIZE, step).astype(np.float32)

    return along(centres[:, 1]) @ glyphs @ along(centres[:, 0]).mT


def blend(at: NDArray, n_pixels: int, step: NDArray) -> NDArray:
    """Weights ``(..., n, n_pixels)``: what each pixel gives to points ``at`` ``(..., n)``.

    ``step`` is the distance of the points in pixels; where it is large, more pixels are blended.
    The weights of a point sum to one on average, not exactly.
    """
    width = np.maximum(step, 1)[..., None]
    gaps = np.abs(at[..., None] - (np.arange(n_pixels) + 0.5))
    return np.maximum(0, 1 - gaps / width) / width


def tight_boxes(ink: NDArray) -> NDArray:
    """The smallest box around the ink of each canvas: ``(n, 4)`` from ``(n, 48, 48)``."""
    spans = []
    for axis in (1, 2):
        has = np.any(ink > INK, axis=axis)
        low, high = has.argmax(axis=1), CANVAS - has[:, ::-1].argmax(axis=1)
        spans.append((low, high))
    (left, right), (top, bottom) = spans
    box = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    return np.stack(box, axis=1).astype(np.float32)


def iou(boxes: ArrayLike, others: ArrayLike) -> NDArray:
    """Intersection over union of boxes ``(..., 4)`` with others, ``(...)``: 1 if equal, 0 if apart.

    Source:
        Everingham et al. (2010), section 4.2: a box counts as found from 0.5 on.
    """
    low = np.maximum(corner(boxes, -1), corner(others, -1))
    high = np.minimum(corner(boxes, 1), corner(others, 1))
    both = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(np.asarray(one)[..., 2:], axis=-1) for one in (boxes, others)]
    return both / (areas[0] + areas[1] - both)


def corner(boxes: ArrayLike, side: int) -> NDArray:
    """The upper left corner ``(..., 2)`` of boxes for ``side`` -1, the lower right for 1."""
    boxes = np.asarray(boxes)
    return boxes[..., :2] + side * boxes[..., 2:] / 2


def as_bytes(x: ArrayLike) -> NDArray:
    """Scenes as bytes from 0 to 63: ink from -0.5 to 1.5 in 63 steps, the rest cut off."""
    return np.round(np.clip((np.asarray(x) + 0.5) / 2, 0, 1) * LEVELS).astype(np.uint8)


def from_bytes(x: ArrayLike) -> NDArray:
    """The scenes that :func:`as_bytes` made, float32."""
    return (2 * np.asarray(x, np.float32) / LEVELS - 0.5).astype(np.float32)


def check_scenes(x: ArrayLike, boxes: ArrayLike) -> None:
    """Require scenes with one box each, as this module makes them.

    Raises:
        ValueError: If ``x`` is not ``(..., 48, 48)`` of ink between -1 and 2 (noise included), if
            there is not one box per scene, or if a box is empty or leaves the canvas.
    """
    x, boxes = np.asarray(x), np.asarray(boxes)
    if x.shape[-2:] != (CANVAS, CANVAS):
        raise ValueError(f"x has shape {x.shape}, expected (..., {CANVAS}, {CANVAS})")
    if not (x.min() >= -1 and x.max() <= 2):
        raise ValueError(f"x must hold ink from 0 to 1 and noise, got {x.min()} to {x.max()}")
    if boxes.shape[-1:] != (4,) or boxes[..., 0].size * CANVAS**2 != x.size:
        raise ValueError(f"boxes has shape {boxes.shape}, expected four numbers per scene of x")
    low, high = corner(boxes, -1), corner(boxes, 1)
    inside = (low >= 0) & (high <= CANVAS) & (high > low)
    if not inside.all():
        wrong = boxes.reshape(-1, 4)[~inside.all(axis=-1).ravel()][0].tolist()
        raise ValueError(f"boxes must lie within the canvas of {CANVAS} pixels, got {wrong}")


def crops(x: NDArray, boxes: NDArray) -> list[NDArray]:
    """What the boxes ``(n, 4)`` hold of the scenes ``(n, 48, 48)``: a list of pictures."""
    check_scenes(x, boxes)
    low, high = np.floor(corner(boxes, -1)).astype(int), np.ceil(corner(boxes, 1)).astype(int)
    return [
        scene[top:bottom, left:right]
        for scene, (left, top), (right, bottom) in zip(x, low, high, strict=True)
    ]


def resized(picture: NDArray, height: int, width: int) -> NDArray:
    """``picture`` ``(h, w)`` as ``(height, width)``."""

    def along(n_from: int, n_to: int) -> NDArray:
        step = n_from / n_to
        weights = blend((np.arange(n_to) + 0.5) * step, n_from, np.array(step))
        return weights / weights.sum(axis=1, keepdims=True)

    return along(picture.shape[0], height) @ picture @ along(picture.shape[1], width).T


def mean_picture(pictures: Sequence[NDArray]) -> NDArray:
    """The mean of pictures of different sizes, in their mean size."""
    size = np.mean([picture.shape for picture in pictures], axis=0).round().astype(int)
    return np.mean([resized(picture, *size) for picture in pictures], axis=0)


def best_match(templates: Iterable[NDArray], x: NDArray, scales: Sequence[float]) -> NDArray:
    """Template matching: where a template, at one of ``scales``, is most like the scene.

    Args:
        templates: Pictures of what is to be found.
        x: Scenes, ``(n, 48, 48)``.
        scales: Factors on the templates' size.

    Returns:
        Boxes ``(n, 4)``: place and size of the highest normalised cross-correlation.

    Source:
        Lewis (1995), Fast Template Matching.
    """
    best, boxes = np.full(len(x), -np.inf), np.zeros((len(x), 4))
    for template in templates:
        for scale in scales:
            h, w = (int(np.clip(round(side * scale), 4, CANVAS)) for side in template.shape)
            likeness = correlation(resized(template, h, w), x)
            place = likeness.reshape(len(x), -1).argmax(axis=1)
            top, left = np.unravel_index(place, likeness.shape[1:])
            value = likeness[np.arange(len(x)), top, left]
            here = np.stack([left + w / 2, top + h / 2, 0 * left + w, 0 * top + h], axis=1)
            boxes[value > best] = here[value > best]
            best = np.maximum(best, value)
    return boxes


def correlation(template: NDArray, x: NDArray) -> NDArray:
    """Normalised cross-correlation of a template ``(h, w)`` with every window of scenes.

    Returns:
        ``(n, 49 - h, 49 - w)``, from -1 to 1.
    """
    h, w = template.shape
    shape = template - template.mean()
    spectrum = np.fft.rfft2(x) * np.conj(np.fft.rfft2(shape, x.shape[1:]))
    products = np.fft.irfft2(spectrum, x.shape[1:])[:, : CANVAS - h + 1, : CANVAS - w + 1]
    total, squares = (_window_sums(v.astype(float), h, w) for v in (x, np.square(x)))
    spread = np.maximum(squares - total**2 / (h * w), 1e-6)
    return products / np.sqrt(spread * np.maximum((shape**2).sum(), 1e-6))


def _window_sums(x: NDArray, h: int, w: int) -> NDArray:
    """The sum over each window of ``(h, w)`` pixels."""
    sums = np.pad(x, ((0, 0), (1, 0), (1, 0))).cumsum(axis=1).cumsum(axis=2)
    return sums[:, h:, w:] - sums[:, :-h, w:] - sums[:, h:, :-w] + sums[:, :-h, :-w]
