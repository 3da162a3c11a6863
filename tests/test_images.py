"""Few-shot images: data, episodes, the network, and the JavaScript of Draw it."""

import base64
import unicodedata
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.ft2font import FT2Font
from node import assert_all_close, run_node
from PIL import Image

from maml_teach import maml_torch
from maml_teach.applications import images, images_torch
from maml_teach.applications.images import SIZE, FewShotImages, ImageClasses
from maml_teach.widgets import DrawIt


def few_classes(n_classes=6, n_each=4, seed=0):
    """Classes of random blots."""
    rng = np.random.default_rng(seed)
    pictures = rng.random((n_classes * n_each, SIZE, SIZE)).astype(np.float32)
    names = tuple(map(str, range(n_classes)))
    return ImageClasses(pictures, np.repeat(np.arange(n_classes), n_each), names)


def test_glyphs_keep_whole_scripts_for_testing():
    train, test = images.glyphs("train"), images.glyphs("test")
    assert len(train) > 600 and len(test) > 350
    assert {"A", "Ж"} <= set(train.names) and {"Ա", "ა", "ש"} <= set(test.names)
    assert not set(train.names) & set(test.names)
    assert "\N{GREEK CAPITAL LETTER ALPHA}" not in train.names  # it looks like A
    assert train.images.min() >= 0 and train.images.max() <= 1
    with pytest.raises(ValueError, match="split must be"):
        images.glyphs("all")


SCRIPTS_OF = {
    "train": {"LATIN", "GREEK", "CYRILLIC", "CANADIAN", "OLD", "COPTIC"},
    "test": {"ARMENIAN", "GEORGIAN", "HEBREW", "ARABIC", "TIFINAGH", "NKO", "LAO"},
}


@pytest.mark.parametrize("split", SCRIPTS_OF)
def test_glyphs_are_letters_and_digits_of_their_scripts(split):
    names = images.glyphs(split).names
    called = [unicodedata.name(c) for c in names]
    assert {name.split()[0] for name in called} == SCRIPTS_OF[split]
    assert not [name for name in called if " WITH " in name]
    assert {unicodedata.category(c) for c in names} <= {"Lu", "Ll", "Lo", "Nd"}
    assert not [c for c in names if unicodedata.normalize("NFKD", c) != c]
    assert list(names) == sorted(names)


def unit(pictures):
    """Vectors of length one, so that products are cosines."""
    flat = np.reshape(pictures, (len(pictures), -1)).astype(float)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def drawn_by_matplotlib(character, face):
    """The character as matplotlib draws it, framed."""
    font = FT2Font(str(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{face}.ttf")))
    font.set_size(112, 72)
    font.set_text(character)
    font.draw_glyphs_to_bitmap()
    drawn = Image.fromarray(np.asarray(font.get_image()))
    return images.fit(drawn.crop(drawn.getbbox()))


def test_no_two_glyphs_look_alike_in_any_quarter_turn_and_none_like_a_digit():
    """The first picture of each class is of the first face; digits are kept for testing."""
    parts = [images.glyphs(split) for split in SCRIPTS_OF]
    first = np.concatenate(
        [part.images[np.searchsorted(part.labels, range(len(part)))] for part in parts]
    )
    still, n = unit(first), len(first)
    assert 0.92 < np.max(still @ still.T - np.eye(n)) <= 0.93 + 1e-6
    for turns in (1, 2, 3):
        turned = unit(np.rot90(first, turns, axes=(1, 2)))
        apart = ~np.eye(n, dtype=bool)  # a glyph may look like itself
        assert (still @ turned.T)[apart].max() <= 0.93 + 1e-6
    digits = unit([drawn_by_matplotlib(digit, images.FACES[0]) for digit in "0123456789"])
    assert (digits @ still.T).max() < 0.95  # matplotlib's rendering differs by some pixels


@pytest.mark.parametrize("split", SCRIPTS_OF)
def test_each_glyph_has_several_pictures_that_differ(split):
    classes = images.glyphs(split)
    assert np.bincount(classes.labels).min() >= 2
    for number in range(len(classes)):
        own = unit(classes.images[classes.labels == number])
        assert np.max(own @ own.T - np.eye(len(own))) <= 0.99 + 1e-6


@pytest.mark.parametrize("kind", [*SCRIPTS_OF, "digits"])
@pytest.mark.parametrize("n_shots", [1, 5])
def test_no_picture_is_in_the_support_and_in_the_query_set(kind, n_shots):
    classes = images.digits() if kind == "digits" else images.glyphs(kind)
    family = FewShotImages(classes, 5, vary=0, turn_classes=kind == "train")
    tasks = family.sample(np.random.default_rng(0), 60, n_shots, 5)
    for support, query in zip(tasks.x_support, tasks.x_query, strict=True):
        assert not {x.tobytes() for x in support} & {x.tobytes() for x in query}


def test_a_class_with_few_pictures_is_divided_between_the_sets():
    family = FewShotImages(few_classes(n_classes=3, n_each=3), 3, vary=0)
    for n_shots, n_queries, n_shown in ((1, 5, 1), (5, 5, 2), (9, 1, 2)):
        tasks = family.sample(np.random.default_rng(1), 1, n_shots, n_queries)
        for way in range(3):
            shown = {x.tobytes() for x in tasks.x_support[0][tasks.y_support[0] == way]}
            asked = {x.tobytes() for x in tasks.x_query[0][tasks.y_query[0] == way]}
            assert len(shown) == n_shown and len(asked) <= 3 - n_shown and not shown & asked
    with pytest.raises(ValueError, match="two pictures each"):
        FewShotImages(few_classes(n_each=1), 3).sample(np.random.default_rng(0), 1, 1, 1)


def test_the_classes_of_a_batch_can_be_had_alone():
    family = FewShotImages(few_classes(), 4, vary=0)
    ways = family.ways(np.random.default_rng(3), 5)
    tasks = family.sample(np.random.default_rng(3), 5, 1, 1)
    assert ways.shape == (5, 4)
    for own, shown in zip(ways, tasks.x_support, strict=True):
        for number, picture in zip(own, shown, strict=True):
            assert (few_classes().images[4 * number : 4 * number + 4] == picture).all((1, 2)).any()


@pytest.mark.parametrize("character", "Rg\u0416\u03a8\u05e9\u0531")
def test_a_glyph_is_drawn_as_matplotlib_draws_it(character):
    """Upright, in faces that have it, its longer side 22 pixels and in the middle."""
    classes = images.glyphs("train" if character < "\u0530" else "test")
    own = classes.images[classes.labels == classes.names.index(character)]
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    faces = [
        face
        for face in images.FACES
        if ord(character) in FT2Font(str(folder / f"{face}.ttf")).get_charmap()
    ]
    wanted = [drawn_by_matplotlib(character, face).ravel() for face in faces]
    nearest = [
        np.argmax([np.corrcoef(one, picture.ravel())[0, 1] for one in wanted]) for picture in own
    ]
    assert nearest[0] == 0 and len(set(nearest)) == len(own) > 2
    for picture, face in zip(own, nearest, strict=True):
        assert np.corrcoef(wanted[face], picture.ravel())[0, 1] > 0.98
        rows, columns = np.nonzero(picture > 0.02)
        spans = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert 22 <= max(spans) <= 24 and abs(rows.min() + rows.max() - 27) <= 1


def test_a_font_without_the_characters_is_refused(monkeypatch):
    monkeypatch.setattr(images, "FACES", ("cmsy10",))  # mathematical symbols only
    with pytest.raises(ValueError, match="cmsy10"):
        images.glyphs.__wrapped__("train")


def test_episodes_are_labelled_within_the_task_and_follow_rng():
    family = FewShotImages(few_classes(), 5)
    tasks = family.sample(np.random.default_rng(0), 3, 2, 4)
    again = family.sample(np.random.default_rng(0), 3, 2, 4)
    assert tasks.x_support.shape == (3, 10, 1, SIZE, SIZE)
    assert tasks.y_query.tolist() == [sorted([0, 1, 2, 3, 4] * 4)] * 3
    assert np.array_equal(tasks.x_query, again.x_query)


def test_support_and_query_show_the_same_classes_but_other_pictures():
    classes = few_classes(n_classes=5, n_each=6)
    tasks = FewShotImages(classes, 5, vary=0).sample(np.random.default_rng(1), 4, 2, 4)
    flat = classes.images.reshape(len(classes.images), -1)
    for t in range(4):
        find = lambda x: [int(np.abs(flat - one.ravel()).sum(axis=1).argmin()) for one in x]  # noqa: E731
        support, query = find(tasks.x_support[t]), find(tasks.x_query[t])
        assert len({*support, *query}) == 30
        of_way = dict(zip(tasks.y_support[t].tolist(), classes.labels[support], strict=False))
        assert [of_way[y] for y in tasks.y_query[t]] == classes.labels[query].tolist()


def test_a_turned_class_is_a_class_of_its_own():
    family = FewShotImages(few_classes(n_classes=1, n_each=8), 4, vary=0, turn_classes=True)
    tasks = family.sample(np.random.default_rng(0), 1, 1, 1)
    assert tasks.x_support.shape[1] == 4
    with pytest.raises(ValueError, match="n_ways is 5, but there are only 4"):
        FewShotImages(few_classes(n_classes=1), 5, turn_classes=True)


def test_distortion_moves_little_ink_away_and_none_at_strength_zero():
    picture = np.zeros((200, SIZE, SIZE), np.float32)
    picture[:, 8:20, 10:18] = 1
    bent = images.distort(picture, np.random.default_rng(0))
    still = images.distort(picture, np.random.default_rng(0), strength=0.0)
    assert np.allclose(still, picture, atol=1e-5)
    assert bent.min() >= 0 and bent.max() <= 1 + 1e-6
    ratio = bent.sum(axis=(1, 2)) / picture.sum(axis=(1, 2))
    assert ratio.min() > 0.4 and ratio.max() < 2.5
    assert np.abs(bent - picture).mean(axis=(1, 2)).min() > 0.01


def test_bad_pictures_are_named():
    good = few_classes()
    with pytest.raises(ValueError, match="images must have shape"):
        ImageClasses(good.images[:, :20], good.labels, good.names)
    with pytest.raises(ValueError, match="ink from 0 to 1, got 0 to 255"):
        ImageClasses(np.array([[[0, 255]]]).repeat(28, 1).repeat(14, 2), [0], ("a",))
    with pytest.raises(ValueError, match="each of the 7 classes"):
        ImageClasses(good.images, good.labels, (*good.names, "more"))
    with pytest.raises(ValueError, match="sorted"):
        ImageClasses(good.images, good.labels[::-1], good.names)


def test_digits_are_real_handwriting_by_class():
    digits = images.digits()
    assert len(digits.images) == 1797 and digits.names == tuple("0123456789")
    zeros, ones = (digits.images[digits.labels == k].mean(axis=0) for k in (0, 1))
    assert zeros[14, 14] < 0.3 < ones[14, 14]  # the hole of the 0, the stroke of the 1


def test_protonet_scores_are_squared_distances_to_class_means():
    model, theta = images_torch.wrapped(3, 0)
    tasks = FewShotImages(few_classes(), 3).sample(np.random.default_rng(0), 2, 2, 2)
    loss, gradient = images_torch.protonet_gradient(model, theta, tasks)
    assert gradient.shape == theta.shape and bool(gradient.isfinite().all())
    task = maml_torch.as_tensors(tasks, theta).select(0)
    distances = images_torch.nearest_means(model, theta, task, images_torch.squared_distance)
    embedded = model.predict(theta, torch.cat([task.x_support, task.x_query]))
    mean = embedded[:6][task.y_support == 1].mean(dim=0)
    wanted = 4 * ((embedded[6] - mean) ** 2).sum() / 3
    assert distances[0, 1].item() == pytest.approx(wanted.item(), rel=1e-5)
    assert loss.item() > 0


def double_net():
    model, theta = images_torch.wrapped(5, 0)
    noise = torch.randn(theta.shape, generator=torch.Generator().manual_seed(1))
    return model, (theta + 0.05 * noise).double()


def test_javascript_network_equals_pytorch():
    model, theta = double_net()
    rng = np.random.default_rng(0)
    x, y = np.clip(rng.normal(size=(5, 1, SIZE, SIZE)), 0, 1), torch.arange(5)
    moved = theta.clone().requires_grad_()
    gradient = torch.autograd.grad(model.loss(moved, torch.tensor(x), y), moved)[0]
    scores = model.predict(theta, torch.tensor(x)).detach()
    n_ways, flat = 5, [theta.tolist(), x.ravel().tolist()]
    cases = [
        ("convScores", [n_ways, *flat]),
        ("convGradient", [n_ways, *flat, y.tolist()]),
    ]
    assert_all_close("shared", cases, [scores.numpy(), gradient.numpy()])


def test_javascript_adapts_like_pytorch():
    model, theta = double_net()
    rng = np.random.default_rng(1)
    five, asked = np.clip(rng.normal(size=(5, SIZE, SIZE)), 0, 1), rng.random((SIZE, SIZE))
    x, y = torch.tensor(five)[:, None], torch.arange(5)
    task = maml_torch.as_tensors(images.Task(x[None], y[None], x[None], y[None]), theta)
    theta_prime = maml_torch.adapt(model, theta, task, alpha=0.1, n_inner_steps=3)[0]
    both = torch.cat([x, torch.tensor(asked)[None, None]])
    chances = model.predict(theta_prime, both).softmax(dim=1)[-1].detach().numpy()
    parts = [one.ravel().tolist() for one in five]
    case = ("adaptedChances", [5, theta.tolist(), parts, asked.ravel().tolist(), 0.1, 3])
    assert_all_close("drawing", [case], [chances])


def test_a_framed_drawing_is_centred_and_of_one_size():
    ink = np.zeros((SIZE, SIZE))
    ink[2:8, 3:6] = 255
    empty = np.zeros((SIZE, SIZE))
    framed, nothing, line = run_node(
        "drawing",
        [
            ("framed", [ink.ravel().tolist()]),
            ("framed", [empty.ravel().tolist()]),
            ("strokeOnEmpty", [[5, 5], [20, 5]]),
        ],
    )
    framed = np.reshape(framed, (SIZE, SIZE))
    rows, columns = np.nonzero(framed > 0.5)
    assert (rows.min(), rows.max()) == (3, 24) and columns.min() + columns.max() == 27
    assert columns.max() - columns.min() + 1 == 10  # 11 but for two columns of half ink
    assert nothing is None
    line = np.reshape(line, (SIZE, SIZE))
    assert (line[4:6, 5:20] > 200).all() and line[:2].max() == 0 and line[:, 24:].max() == 0


def test_draw_it_sends_what_it_is_given_and_refuses_the_rest():
    figure = DrawIt.from_package(n_inner_steps=2)
    n_params = len(np.frombuffer(figure.theta, "<f4"))
    assert n_params == images_torch.wrapped(5, 0)[0].n_params
    assert len(figure.examples) == len(figure.truths) * 6 * SIZE * SIZE
    theta, examples = np.zeros(n_params), np.zeros((1, 6, SIZE, SIZE))
    DrawIt(theta, examples, [4], drawings=base64.b64encode(bytes(6 * SIZE * SIZE)).decode())
    for wrong, message in (
        ((theta[1:], examples, [0]), "theta has shape"),
        ((theta * np.nan, examples, [0]), "theta must be finite"),
        ((theta, examples[:, :5], [0]), "examples has shape"),
        ((theta, examples - 1, [0]), "ink from 0 to 1"),
        ((theta, examples, [5]), "truths must hold"),
    ):
        with pytest.raises(ValueError, match=message):
            DrawIt(*wrong)
