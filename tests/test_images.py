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
    assert len(train) > 700 and len(test) > 350
    assert {"A", "Ж", "7"} <= set(train.names) and {"Ա", "ა", "ש"} <= set(test.names)
    assert not set(train.names) & set(test.names)
    assert "\N{GREEK CAPITAL LETTER ALPHA}" not in train.names  # it looks like A
    assert train.images.min() >= 0 and train.images.max() <= 1
    with pytest.raises(ValueError, match="split must be"):
        images.glyphs("all")


SCRIPTS_OF = {
    "train": {"LATIN", "GREEK", "CYRILLIC", "CANADIAN", "LISU", "OLD", "COPTIC", "DIGIT"},
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


def test_no_two_glyphs_look_alike():
    """The first picture of each class is of the first face."""
    parts = [images.glyphs(split) for split in SCRIPTS_OF]
    first = [part.images[np.searchsorted(part.labels, range(len(part)))] for part in parts]
    flat = np.concatenate(first).reshape(-1, SIZE * SIZE).astype(float)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    alike = np.sort((flat @ flat.T - np.eye(len(flat))).ravel())
    assert 0.92 < alike[-1] <= 0.93


@pytest.mark.parametrize("character", "Lg7\u0416\u03a8\u05e9\u0531")
def test_a_glyph_is_drawn_as_matplotlib_draws_it(character):
    """Upright, in each face that has it, its longer side 22 pixels and in the middle."""
    split = "train" if character < "\u0530" else "test"
    classes = images.glyphs(split)
    own = classes.images[classes.labels == classes.names.index(character)]
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    fonts = [FT2Font(str(folder / f"{face}.ttf")) for face in images.FACES]
    fonts = [font for font in fonts if ord(character) in font.get_charmap()]
    assert len(own) == len(fonts) > 2
    for picture, font in zip(own, fonts, strict=True):
        font.set_size(112, 72)
        font.set_text(character)
        font.draw_glyphs_to_bitmap()
        drawn = Image.fromarray(np.asarray(font.get_image()))
        wanted = images.fit(drawn.crop(drawn.getbbox()))
        assert np.corrcoef(wanted.ravel(), picture.ravel())[0, 1] > 0.98
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


def test_omniglot_in_its_official_layout(tmp_path):
    for alphabet, character in (("Greek", 1), ("Greek", 2), ("Latin", 1)):
        folder = tmp_path / alphabet / f"character{character:02d}"
        folder.mkdir(parents=True)
        for k in range(3):
            page = np.full((105, 105), 255, np.uint8)
            page[40:60, 20 + 10 * k : 80] = 0
            Image.fromarray(page).convert("1").save(folder / f"0001_{k:02d}.png")
    classes = images.omniglot(tmp_path)
    assert classes.names == ("Greek/character01", "Greek/character02", "Latin/character01")
    assert classes.images.shape == (9, SIZE, SIZE)
    assert classes.images[0, 13, 13] == pytest.approx(1) and classes.images[0, 2, 2] == 0
    FewShotImages(classes, 3).sample(np.random.default_rng(0), 2, 1, 2)


def test_a_path_that_is_not_omniglot(tmp_path):
    with pytest.raises(ValueError, match="is not a part of Omniglot"):
        images.omniglot(tmp_path)
    (tmp_path / "Greek" / "character01").mkdir(parents=True)
    with pytest.raises(ValueError, match="is not a part of Omniglot"):
        images.omniglot(tmp_path)


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
