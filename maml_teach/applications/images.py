"""Few-shot images: classes of small pictures, and the episodes that are drawn from them.

The glyphs are rendered from the fonts that matplotlib brings along (DejaVu, STIX), so that nothing
is downloaded; whole scripts are kept for testing. ``omniglot`` and ``digits`` load real handwriting
in the same form.
"""

import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..inputs import check_counts
from ..tasks import Task

if TYPE_CHECKING:  # PIL is loaded only where pictures are made
    from PIL.Image import Image as Picture
    from PIL.ImageFont import FreeTypeFont

Folder = Path | zipfile.Path

SIZE = 28  # pixels
FACES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
    "DejaVuSerif-Bold",
    "DejaVuSansMono",
    "DejaVuSansMono-Oblique",
    "STIXGeneral",
    "STIXGeneralItalic",
)
# First words of the characters' Unicode names.
TRAIN_SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "CANADIAN", "OLD", "COPTIC")
TEST_SCRIPTS = ("ARMENIAN", "GEORGIAN", "HEBREW", "ARABIC", "TIFINAGH", "NKO", "LAO")
TOO_ALIKE = 0.93  # cosine between two glyphs from which on they count as one class: A and Alpha
ONE_RENDERING = 0.99  # cosine between two faces of a glyph from which on they count as one picture


@dataclass(frozen=True)
class ImageClasses:
    """Pictures by class.

    Args:
        images: Ink from 0 to 1, float32, ``(n_images, 28, 28)``, sorted by class.
        labels: Class of each picture, ``(n_images,)``: 0, 1, ... in order, none left out.
        names: What each class is called, ``(n_classes,)``.

    Raises:
        ValueError: If shapes do not pair up, the ink leaves 0 to 1, or a class has no picture.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = np.shape(self.images)
        if shape[1:] != (SIZE, SIZE) or len(self.labels) != len(self.images):
            raise ValueError(
                f"images must have shape (n_images, {SIZE}, {SIZE}) with one label each, got "
                f"{shape} and {len(self.labels)} labels"
            )
        low, high = np.min(self.images), np.max(self.images)
        if not (low >= 0 and high <= 1):
            raise ValueError(f"images must hold ink from 0 to 1, got {low} to {high}")
        if not np.array_equal(np.unique(self.labels), np.arange(len(self.names))):
            raise ValueError(f"labels must name each of the {len(self.names)} classes")
        if (np.diff(self.labels) < 0).any():
            raise ValueError("labels must be sorted by class")

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class FewShotImages:
    """Episodes of N-way K-shot classification: each task is ``n_ways`` classes drawn at random.

    Args:
        classes: Where the pictures come from.
        n_ways: Classes per task; within a task they are labelled 0 to ``n_ways - 1``.
        vary: How strongly each picture is distorted anew (turned, sheared, scaled, moved, bent):
            1 as in training, 0 not at all.
        turn_classes: Whether a quarter turn of a class is a class of its own, as in the paper's
            Omniglot experiments.

    Raises:
        ValueError: If there are fewer classes than ``n_ways``.

    Source:
        Finn et al. (2017), section 5.2, and Vinyals et al. (2016) for the protocol.
    """

    classes: ImageClasses
    n_ways: int = 5
    vary: float = 1.0
    turn_classes: bool = False

    def __post_init__(self) -> None:
        check_counts(n_ways=self.n_ways)
        if self._n_classes() < self.n_ways:
            raise ValueError(
                f"n_ways is {self.n_ways}, but there are only {self._n_classes()} classes"
            )

    def sample(self, rng: Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """A batch of tasks: ``x`` ``(n_tasks, n_ways * n_shots, 1, 28, 28)``, ``y`` its labels.

        ``n_shots`` and ``n_queries`` count pictures per class. No picture is in both sets before
        it is distorted: a class that has too few for all is divided between them, and each set
        repeats its own.

        Raises:
            ValueError: If a count is no positive integer, or a class has a single picture.
        """
        check_counts(n_tasks=n_tasks, n_shots=n_shots, n_queries=n_queries)
        drawn = [self._class(number) for number in self.ways(rng, n_tasks).ravel()]
        drawn = [_shown_and_asked(rng, own, n_shots, n_queries) for own in drawn]
        images = self._varied(rng, drawn).reshape(n_tasks, self.n_ways, -1, 1, SIZE, SIZE)
        return Task.by_class(images, n_shots)

    def ways(self, rng: Generator, n_tasks: int) -> NDArray:
        """Numbers of the classes of each task, ``(n_tasks, n_ways)``, as :meth:`sample` draws."""
        return np.array([_draw(rng, self._n_classes(), self.n_ways) for _ in range(n_tasks)])

    def pictures(self, rng: Generator, classes: Iterable[int], n_each: int) -> NDArray:
        """``n_each`` pictures of each class in ``classes``, ``(len(classes) * n_each, 28, 28)``.

        They are drawn without repetition where a class has enough of them.
        """
        drawn = []
        for number in classes:
            own = self._class(number)
            drawn.append(own[_draw(rng, len(own), n_each)])
        return self._varied(rng, drawn)

    def _n_classes(self) -> int:
        return len(self.classes) * (4 if self.turn_classes else 1)

    def _class(self, number: int) -> NDArray:
        """All pictures of a class, turned if it is a turned one."""
        turns, label = divmod(int(number), len(self.classes))
        first, end = np.searchsorted(self.classes.labels, [label, label + 1])
        return np.rot90(self.classes.images[first:end], turns, axes=(1, 2))

    def _varied(self, rng: Generator, pictures: list[NDArray]) -> NDArray:
        images = np.concatenate(pictures)
        return distort(images, rng, strength=self.vary) if self.vary else images


def _shown_and_asked(rng: Generator, own: NDArray, n_shots: int, n_queries: int) -> NDArray:
    """Of one class's pictures ``n_shots`` for the support set, then others for the query set."""
    if len(own) < 2:
        raise ValueError("classes must have two pictures each, one to show and one to ask; got one")
    n_shown, order = n_shots, rng.permutation(len(own))
    if len(own) < n_shots + n_queries:
        share = len(own) * n_shots / (n_shots + n_queries)
        n_shown = int(np.clip(round(share), 1, len(own) - 1))
    shown, asked = np.split(order, [n_shown])
    return own[np.concatenate([np.resize(shown, n_shots), np.resize(asked, n_queries)])]


def _draw(rng: Generator, n: int, count: int) -> NDArray:
    """``count`` of ``n`` numbers, without repetition where that is possible."""
    return rng.choice(n, count, replace=count > n)


def distort(images: NDArray, rng: Generator, *, strength: float = 1.0) -> NDArray:
    """Each picture turned, sheared, scaled, moved and bent by random amounts.

    Args:
        images: Ink from 0 to 1, ``(n, 28, 28)``.
        rng: A ``numpy.random.Generator``.
        strength: 1 for up to 15 degrees, shear 0.25, 20% in size, 15% of the half width in place.

    Returns:
        Pictures of the same shape, float32.
    """
    n = len(images)
    angle, shear, width, height, right, down = (
        strength
        * rng.uniform(-1, 1, (6, n))
        * np.array([[np.pi / 12], [0.25], [0.2], [0.2], [0.15], [0.15]])
    )
    cos, sin = np.cos(angle), np.sin(angle)
    rows = np.array([[cos, cos * shear - sin], [sin, sin * shear + cos]])  # (2, 2, n)
    rows = rows * np.array([[1 + width], [1 + height]])
    axis = (np.arange(SIZE) + 0.5) * 2 / SIZE - 1
    at = np.einsum("dcn,chw->ndhw", rows, np.array(np.meshgrid(axis, axis)))
    at += np.array([right, down]).T[:, :, None, None]
    bend = 0.1 * strength * rng.standard_normal((n, 2, 5, 5))
    at += _smooth(SIZE, 5) @ bend @ _smooth(SIZE, 5).T
    return look_up(np.asarray(images, np.float32), at)


def _smooth(n: int, n_knots: int) -> NDArray:
    """``(n, n_knots)``: how much each knot of a smooth curve weighs at each of ``n`` points."""
    distance = np.linspace(0, n_knots - 1, n)[:, None] - np.arange(n_knots)
    bumps = np.exp(-(distance**2) / 0.7)
    return bumps / np.sqrt((bumps**2).sum(axis=1, keepdims=True))


def look_up(images: NDArray, at: NDArray) -> NDArray:
    """Ink at the points ``at`` ``(n, 2, h, w)``, from -1 to 1, between pixels bilinearly."""
    x, y = np.moveaxis((at + 1) * SIZE / 2 + 0.5, 1, 0)  # in pixels of the padded picture
    x, y = (np.clip(v, 0, SIZE + 0.999) for v in (x, y))
    left, top = x.astype(int), y.astype(int)
    u, v = (x - left).astype(np.float32), (y - top).astype(np.float32)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1))).reshape(len(images), -1)
    corner = top * (SIZE + 2) + left

    def ink(offset):
        return np.take_along_axis(padded, (corner + offset).reshape(len(images), -1), 1)

    u, v = (w.reshape(len(images), -1) for w in (u, v))
    above = (1 - u) * ink(0) + u * ink(1)
    below = (1 - u) * ink(SIZE + 2) + u * ink(SIZE + 3)
    return ((1 - v) * above + v * below).reshape(images.shape)


@cache
def glyphs(split: str) -> ImageClasses:
    """Characters of whole scripts, each in up to ten faces; rendering takes some seconds, once.

    Args:
        split: ``"train"`` (Latin, Greek, Cyrillic, Canadian syllabics, Old Italic, Coptic) or
            ``"test"`` (Armenian, Georgian, Hebrew, Arabic, Tifinagh, N'Ko, Lao).

    Returns:
        :class:`ImageClasses` named by the characters. A character is left out if it looks like a
        digit, or, in any quarter turn, like an earlier one of either split; a face is left out if
        it looks like an earlier one; and a character of one face has no second picture to ask.

    Raises:
        ValueError: If ``split`` is neither, or a font lacks most of the characters wanted.

    Source:
        Fonts: Bitstream Vera / DejaVu and STIX, with matplotlib, under their free licences.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    return _render_all()[split]


def _characters(in_font: Iterable[int]) -> Iterator[tuple[str, str]]:
    """Letters and digits of the scripts without accents or presentation forms, with their split."""
    for code in sorted(in_font):
        character = chr(code)
        name = unicodedata.name(character, "")
        script = name.partition(" ")[0]
        plain = unicodedata.normalize("NFKD", character) == character and " WITH " not in name
        if plain and unicodedata.category(character) in ("Lu", "Ll", "Lo", "Nd"):
            if script in TRAIN_SCRIPTS:
                yield character, "train"
            elif script in TEST_SCRIPTS:
                yield character, "test"


def _render_all() -> dict[str, ImageClasses]:
    fonts = [_font(face) for face in FACES]
    drawn = (_render(fonts[0][0], digit) for digit in "0123456789")  # see ``digits``
    seen = _unit([image for image in drawn if image is not None])
    found: dict[str, dict[str, list[NDArray]]] = {"train": {}, "test": {}}
    for character, split in _characters(fonts[0][1]):
        first = _render(fonts[0][0], character)
        if first is None:
            continue
        turns = _unit([np.rot90(first, k) for k in range(4)])
        if (seen @ turns.T).max() > TOO_ALIKE:
            continue
        others = [_render(font, character) for font, has in fonts[1:] if ord(character) in has]
        faces = _apart([first, *(image for image in others if image is not None)])
        if len(faces) > 1:  # one to show, another to ask
            seen = np.vstack([seen, turns[0]])
            found[split][character] = faces
    for split, by_name in found.items():
        if not by_name:
            raise ValueError(f"the font {FACES[0]} has no character of the {split} scripts")
    return {split: _as_classes(by_name) for split, by_name in found.items()}


def _apart(pictures: list[NDArray]) -> list[NDArray]:
    """The pictures without those that are nearly an earlier one."""
    kept: list[NDArray] = []
    for picture in pictures:
        if not kept or (_unit(kept) @ _unit([picture]).T).max() <= ONE_RENDERING:
            kept.append(picture)
    return kept


def _unit(pictures: list[NDArray]) -> NDArray:
    """Pictures ``(n, 28, 28)`` as vectors ``(n, 784)`` of length one: products are cosines."""
    flat = np.reshape(pictures, (len(pictures), -1))
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def _as_classes(by_name: dict[str, list[NDArray]]) -> ImageClasses:
    images = np.array([image for one in by_name.values() for image in one], np.float32)
    labels = np.repeat(np.arange(len(by_name)), [len(one) for one in by_name.values()])
    return ImageClasses(images, labels, tuple(by_name))


def _font(face: str) -> tuple["FreeTypeFont", set[int]]:
    """The font and the set of code points that it has."""
    from fontTools.ttLib import TTFont
    from matplotlib import get_data_path  # noqa: TID251 -- its fonts, on demand
    from PIL import ImageFont

    path = Path(get_data_path(), "fonts", "ttf", f"{face}.ttf")
    return ImageFont.truetype(str(path), 4 * SIZE), set(TTFont(path).getBestCmap())


def _render(font: "FreeTypeFont", character: str) -> NDArray | None:
    """The character in white on black, as large as fits with a margin of three pixels."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (12 * SIZE, 12 * SIZE))
    ImageDraw.Draw(canvas).text((4 * SIZE, 4 * SIZE), character, fill=255, font=font)
    box = canvas.getbbox()
    return None if box is None else fit(canvas.crop(box))


def fit(image: "Picture") -> NDArray:
    """A picture scaled to 22 pixels and set in the middle of 28, ink from 0 to 1."""
    from PIL import Image

    scale = 4 * (SIZE - 6) / max(image.size)
    small = image.resize(
        [max(1, round(side * scale)) for side in image.size], Image.Resampling.BICUBIC
    )
    canvas = Image.new("L", (4 * SIZE, 4 * SIZE))
    canvas.paste(small, ((4 * SIZE - small.width) // 2, (4 * SIZE - small.height) // 2))
    return np.asarray(canvas.resize((SIZE, SIZE), Image.Resampling.BOX), np.float32) / 255


def digits() -> ImageClasses:
    """Handwritten digits 0 to 9, 1797 pictures of real handwriting; no training saw a digit.

    Source:
        scikit-learn's ``load_digits``: the test part of Alpaydin and Kaynak's UCI data set (1998).
    """
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.argsort(data.target, kind="stable")
    pictures = (Image.fromarray((image * 15.9375).astype(np.uint8)) for image in data.images[order])
    images = np.array(
        [fit(picture.resize((40, 40), Image.Resampling.BICUBIC)) for picture in pictures]
    )
    return ImageClasses(images, data.target[order], tuple("0123456789"))


def page(file: Folder) -> NDArray:
    """Ink from 0 to 1 of a PNG file that is black on white, as large as it is."""
    from PIL import Image

    with file.open("rb") as opened, Image.open(opened) as image:
        return 1 - np.asarray(image.convert("L"), np.float32) / 255


def shrunk(file: Folder) -> NDArray:
    """The whole page of a drawing as 28 by 28 pixels: where and how large it is stays visible."""
    from PIL import Image

    small = Image.fromarray(page(file)).resize((SIZE, SIZE), Image.Resampling.BOX)
    return np.asarray(small)


def cut_out(file: Folder) -> NDArray:
    """A drawing cut out of its page and fitted into 28 by 28 pixels as a glyph is."""
    from PIL import Image

    drawn = Image.fromarray(np.uint8(255 * page(file)))
    return fit(drawn.crop(drawn.getbbox()))


def omniglot(path: str | Path, read: Callable[[Folder], NDArray] = cut_out) -> ImageClasses:
    """A part of the real Omniglot in its official layout.

    Args:
        path: A zip file such as ``images_background_small1.zip``, or the folder unpacked from it:
            below it one folder per alphabet, in it one per character, in it PNG files.
        read: What makes a picture of a file: ``cut_out`` or ``shrunk``.

    Returns:
        :class:`ImageClasses` named like ``"Greek/character01"``.

    Raises:
        ValueError: If ``path`` is no part of Omniglot, or a zip file that is cut off.

    Source:
        Lake, Salakhutdinov and Tenenbaum (2015), github.com/brendenlake/omniglot.
    """
    root = _root(path)
    inside = [root, *_folders(root)]  # a zip file has all its alphabets in one folder
    found = max((_characters_in(folder) for folder in inside), key=len)
    if not found or not all(found.values()):
        raise ValueError(
            f"path {str(path)!r} is not a part of Omniglot: wanted folders such as "
            f"Greek/character01 with PNG files, found {len(found)} of them"
        )
    images = np.array([read(file) for files in found.values() for file in files])
    labels = np.repeat(np.arange(len(found)), [len(files) for files in found.values()])
    return ImageClasses(images, labels, tuple(found))


def one_shot_runs(
    path: str | Path, read: Callable[[Folder], NDArray] = cut_out
) -> list[tuple[NDArray, NDArray, NDArray]]:
    """The official one-shot task: 20 runs, each of 20 characters of one alphabet.

    Args:
        path: ``all_runs.zip``, or the folder unpacked from it.
        read: What makes a picture of a file: ``cut_out``, ``shrunk``, or ``page``, 105 by 105.

    Returns:
        For each run ``(x_train, x_test, labels)``, arrays ``(20, 1, 28, 28)``, ``(20, 1, 28, 28)``
        and ``(20,)``; a label is the place of the right character in ``x_train``.

    Raises:
        ValueError: If ``path`` is not this task, a zip file that is cut off, or if the labels of a
            run are missing or name a file that is not there.

    Source:
        Lake, Salakhutdinov and Tenenbaum (2015), ``one-shot-classification`` in the repository.
    """
    root = _root(path)
    inside = [root, *_folders(root)]
    runs = max(([f for f in _folders(top) if f.name.startswith("run")] for top in inside), key=len)
    if not runs:
        raise ValueError(f"path {str(path)!r} is not the one-shot task: it has no folder run01")
    return [_one_run(folder, read) for folder in runs]


def _one_run(folder: Folder, read: Callable[[Folder], NDArray]) -> tuple[NDArray, NDArray, NDArray]:
    listed = folder / "class_labels.txt"
    if not listed.is_file():
        raise ValueError(f"path: {folder.name} of the one-shot task has no class_labels.txt")
    pairs = [line.split() for line in listed.read_text(encoding="utf-8").splitlines() if line]
    shown = {file.name: read(file) for file in _pictures_in(folder / "training")}
    places = {name: place for place, name in enumerate(shown)}
    try:
        labels = [places[train.rpartition("/")[2]] for _, train in pairs]
        asked = [read(folder / "test" / test.rpartition("/")[2]) for test, _ in pairs]
    except (KeyError, ValueError, FileNotFoundError) as error:
        raise ValueError(
            f"path: class_labels.txt of {folder.name} must pair test and training pictures: {error}"
        ) from error
    return np.array(list(shown.values()))[:, None], np.array(asked)[:, None], np.array(labels)


def _root(path: str | Path) -> Folder:
    """A folder, or what is in a zip file."""
    path = Path(path)
    if path.is_dir():
        return path
    if not path.is_file():
        raise ValueError(f"path {str(path)!r} is neither a folder nor a zip file")
    try:
        return zipfile.Path(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"path {str(path)!r} is no whole zip file: {error}") from error


def _folders(folder: Folder) -> list[Folder]:
    return sorted((one for one in folder.iterdir() if one.is_dir()), key=lambda one: one.name)


def _pictures_in(folder: Folder) -> list[Folder]:
    files = [one for one in folder.iterdir() if one.name.endswith(".png")]
    return sorted(files, key=lambda one: one.name)


def _characters_in(folder: Folder) -> dict[str, list[Folder]]:
    """The files of each character of each alphabet below ``folder``."""
    return {
        f"{alphabet.name}/{character.name}": _pictures_in(character)
        for alphabet in _folders(folder)
        for character in _folders(alphabet)
        if character.name.startswith("character")
    }
