"""Scenes, boxes, crops and templates by hand or by brute force; the detector's numbers by hand."""

from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from maml_teach import maml_torch
from maml_teach.applications import detection, detection_torch
from maml_teach.applications.detection import CANVAS, Scenes
from maml_teach.applications.images import SIZE, ImageClasses


def squares(n_classes=3, n_each=1):
    """Classes of full squares, 20 pixels wide; each picture has an ink of its own."""
    pictures = np.zeros((n_classes * n_each, SIZE, SIZE), np.float32)
    ink = np.linspace(0.5, 1, len(pictures))
    pictures[:, 4:24, 4:24] = ink[:, None, None]
    labels = np.repeat(np.arange(n_classes), n_each)
    return ImageClasses(pictures, labels, tuple("abcdefgh"[:n_classes]))


def calm(monkeypatch):
    """No distortion and no noise."""
    monkeypatch.setattr(detection, "VARY", 0.0)
    monkeypatch.setattr(detection, "NOISE", 0.0)


def test_a_scene_shows_three_glyphs_as_bright_as_its_lighting(monkeypatch):
    calm(monkeypatch)
    spots = np.array([[12.0, 12], [36, 12], [24, 36]])  # apart, so that they can be counted
    monkeypatch.setattr(detection, "places", lambda rng, sides: np.tile(spots, (len(sides), 1)))
    classes = squares()
    classes.images[classes.images > 0] = 1
    x, boxes = Scenes(classes).scenes(np.random.default_rng(0), np.zeros(300, int))
    assert {ndimage.label(scene > 0.3 * scene.max())[1] for scene in x} == {3}
    light = x[:, 8:16, 8:16].mean(axis=(1, 2))
    assert 0.59 < light.min() < 0.62 and 0.98 < light.max() < 1.02
    side = boxes[:, 2:] * 28 / 20  # of the whole field
    assert 12 < side.min() < 14.5 and 20.5 < side.max() < 24


def test_scenes_are_noisy_by_a_tenth():
    x, boxes = Scenes(squares()).scenes(np.random.default_rng(0), np.zeros(300, int))
    rim = x[:, 0]  # fields end a pixel from the edge
    assert rim.std() == pytest.approx(0.1, rel=0.02) and abs(rim.mean()) < 3e-3
    assert x.dtype == boxes.dtype == np.float32


def test_all_pictures_of_a_class_are_shown_and_no_others(monkeypatch):
    calm(monkeypatch)
    classes, drawn = squares(4, 3), []
    for number in range(4):
        shown = Scenes(classes)._glyphs(np.random.default_rng(0), np.full(60, number))
        drawn.append(np.unique(shown.max(axis=(1, 2)).round(4)))
        assert drawn[-1] == pytest.approx(
            classes.images[3 * number : 3 * number + 3, 9, 9], abs=1e-3
        )


def test_glyphs_of_a_scene_are_bent_less_than_in_training(monkeypatch):
    seen = []
    original = detection.distort
    monkeypatch.setattr(
        detection,
        "distort",
        lambda *a, strength: seen.append(strength) or original(*a, strength=strength),
    )
    Scenes(squares()).sample(np.random.default_rng(0), 1, 1, 1)
    assert seen == [0.7]


def test_other_classes_appear_evenly():
    seen, family = [], Scenes(squares(5))
    object.__setattr__(
        family,
        "_glyphs",
        lambda rng, shown: seen.append(shown) or np.ones((len(shown), SIZE, SIZE)),
    )
    family.scenes(np.random.default_rng(0), np.repeat(np.arange(5), 400))
    shown = seen[0].reshape(5, 400, 3)
    for k in range(5):
        counts = np.bincount(shown[k, :, 1:].ravel(), minlength=5)
        assert (shown[k, :, 0] == k).all() and counts[k] == 0
        assert counts[counts > 0] == pytest.approx(np.full(4, 200), abs=45)


def test_a_task_is_split_into_shots_and_queries_of_one_stream():
    family = Scenes(squares(), fewest=1)
    tasks = family.sample(np.random.default_rng(4), 2, 3, 2)
    rng = np.random.default_rng(4)
    n_shots = rng.integers(1, 4)
    x, y = family.scenes(rng, np.repeat(rng.integers(3, size=2), n_shots + 2))
    x, y = x.reshape(2, -1, CANVAS, CANVAS), y.reshape(2, -1, 4)
    assert np.array_equal(tasks.x_support[:, :, 0], x[:, :n_shots])
    assert np.array_equal(tasks.y_query, y[:, n_shots:])


def test_fields_are_drawn_over_the_whole_canvas():
    sides = np.full((2000, 3), 20.0)
    centres = detection.places(np.random.default_rng(0), sides)
    assert centres.shape == (6000, 2)
    assert centres.min(axis=0) == pytest.approx([11, 11], abs=0.05)
    assert centres.max(axis=0) == pytest.approx([37, 37], abs=0.05)


def test_points_blend_the_pixels_around_them():
    """Halfway between two pixels: half of each; twice as far apart: a triangle of two pixels."""
    close, far = np.array(1.0), np.array(2.0)
    assert detection.blend(np.array([1.5, 2.0, 0.25]), 4, close) == pytest.approx(
        np.array([[0, 1, 0, 0], [0, 0.5, 0.5, 0], [0.75, 0, 0, 0]])
    )
    assert detection.blend(np.array([2.0]), 4, far) == pytest.approx(
        np.array([[0.125, 0.375, 0.375, 0.125]])
    )
    assert np.array_equal(
        detection.blend(np.array([1.7]), 4, 0.3), detection.blend(np.array([1.7]), 4, close)
    )


@pytest.mark.parametrize("size", [(7, 20), (15, 12), (30, 24), (10, 40), (4, 4)])
def test_a_resized_picture_is_pillows(size):
    picture = np.random.default_rng(0).random((15, 12)).astype(np.float32)
    height, width = size
    wanted = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
    assert np.abs(detection.resized(picture, height, width) - np.asarray(wanted)).max() < 1e-6


def test_the_mean_picture_is_a_mean():
    pictures = np.random.default_rng(0).random((3, 6, 9))
    assert np.allclose(detection.mean_picture(pictures), np.sum(pictures, axis=0) / 3, atol=1e-12)


def test_pictures_of_different_sizes_are_averaged_in_their_mean_size():
    sizes, inks = [(10, 21), (13, 30), (11, 25)], [0.1, 0.2, 0.9]
    mean = detection.mean_picture([np.full(s, ink) for s, ink in zip(sizes, inks, strict=True)])
    assert mean.shape == (11, 25) and np.allclose(mean, 0.4)


def test_boxes_of_several_canvases_reach_from_edge_to_edge_of_the_ink():
    ink = np.zeros((3, CANVAS, CANVAS))
    ink[0, 0, 0] = 1
    ink[1, 10:13, 4], ink[1, 30, 40] = 1, 0.3
    ink[2, :, 47] = 1
    ink[2, 20, 2] = 0.25  # too pale: more than a quarter is asked for
    wanted = [[0.5, 0.5, 1, 1], [22.5, 20.5, 37, 21], [47.5, 24, 1, 48]]
    assert detection.tight_boxes(ink).tolist() == wanted


@pytest.mark.parametrize(
    ("box", "other", "wanted"),
    [
        ([5, 5, 2, 2], [5, 5, 2, 2], 1),
        ([5, 5, 4, 2], [6, 5, 4, 2], 6 / 10),
        ([5, 5, 2, 4], [5, 7, 2, 4], 4 / 12),
        ([5, 5, 4, 4], [5, 5, 2, 2], 1 / 4),
        ([5, 5, 4, 4], [7, 8, 4, 4], 2 / 30),
        ([5, 5, 2, 2], [7, 5, 2, 2], 0),
        ([5, 5, 2, 2], [9, 9, 2, 2], 0),
    ],
)
def test_iou_by_hand(box, other, wanted):
    assert detection.iou(box, other) == pytest.approx(wanted)
    assert detection.iou([other, box], box) == pytest.approx([wanted, 1])


def test_corners_are_upper_left_and_lower_right():
    assert detection.corner([[10, 20, 4, 8]], -1).tolist() == [[8, 16]]
    assert detection.corner([[10, 20, 4, 8]], 1).tolist() == [[12, 24]]


def test_bytes_by_hand():
    assert detection.as_bytes([-9, -0.5, 0, 0.51, 1.5, 9]).tolist() == [0, 0, 16, 32, 63, 63]
    every = np.arange(64, dtype=np.uint8)
    assert np.array_equal(detection.as_bytes(detection.from_bytes(every)), every)
    assert detection.from_bytes(every)[[0, 63]].tolist() == [-0.5, 1.5]
    assert np.allclose(np.diff(detection.from_bytes(every)), 2 / 63, atol=1e-6)


def test_boxes_may_touch_the_edge_and_ink_may_be_noisy():
    x = np.zeros((2, CANVAS, CANVAS))
    x[0, 0, 0], x[0, 0, 1] = -1, 2
    detection.check_scenes(x, np.array([[24.0, 24, 48, 48], [0.5, 47.5, 1, 1]]))
    for wrong in (-1.01, 2.01):
        with pytest.raises(ValueError, match="x must hold ink"):
            detection.check_scenes(x * 0 + wrong, np.array(2 * [[24.0, 24, 48, 48]]))
    for box in ([0.4, 24, 1, 1], [24, 0.4, 1, 1], [47.6, 24, 1, 1], [24, 47.6, 1, 1]):
        with pytest.raises(ValueError, match="within the canvas"):
            detection.check_scenes(x, np.array([[24.0, 24, 9, 9], box]))


def test_a_crop_is_what_the_box_holds_and_whole_pixels():
    x = np.random.default_rng(0).random((2, CANVAS, CANVAS))
    first, second = detection.crops(x, np.array([[10.0, 20, 4, 6], [30.5, 7.25, 3, 2]]))
    assert np.array_equal(first, x[0, 17:23, 8:12])
    assert np.array_equal(second, x[1, 6:9, 29:32])


def brute_force(templates, scene, scales):
    """Box of the largest correlation coefficient of all templates, sizes and places."""
    best = (-2.0, None)
    for template, scale in product(templates, scales):
        h, w = (min(max(round(side * scale), 4), CANVAS) for side in template.shape)
        small = np.asarray(
            Image.fromarray(np.float32(template)).resize((w, h), Image.Resampling.BILINEAR)
        )
        for top, left in product(range(CANVAS - h + 1), range(CANVAS - w + 1)):
            window = scene[top : top + h, left : left + w]
            value = np.corrcoef(window.ravel(), small.ravel())[0, 1]
            best = max(best, (value, [left + w / 2, top + h / 2, w, h]), key=lambda one: one[0])
    return best[1]


def test_template_matching_equals_brute_force():
    rng = np.random.default_rng(1)
    x, templates = rng.random((2, CANVAS, CANVAS)), [rng.random((60, 52)), rng.random((41, 3))]
    x[0, 5:9, 1:48] += 3
    scales = (0.7, 1.1)
    found = detection.best_match(iter(templates), x, scales)
    assert found.tolist() == [brute_force(templates, scene, scales) for scene in x]


def test_the_best_place_of_all_templates_wins_whatever_their_order():
    rng = np.random.default_rng(2)
    x = rng.random((1, CANVAS, CANVAS))
    own, other = x[0, 7:17, 20:34], rng.random((8, 8))
    for templates in ([own, other], [other, own]):
        assert detection.best_match(templates, x, (1.0,)).tolist() == [[27, 12, 14, 10]]
    assert detection.best_match([own], 5 * x - 2, (0.5, 1.0, 2.0)).tolist() == [[27, 12, 14, 10]]


def test_an_even_window_or_template_is_like_nothing():
    rng = np.random.default_rng(0)
    x = np.ones((1, CANVAS, CANVAS))
    assert np.abs(detection.correlation(rng.random((5, 6)), x)).max() < 1e-6
    assert np.abs(detection.correlation(np.ones((5, 6)), rng.random((1, 48, 48)))).max() < 1e-6


def test_sums_over_windows():
    x = np.random.default_rng(0).random((2, 9, 11))
    wanted = np.lib.stride_tricks.sliding_window_view(x, (3, 4), axis=(1, 2)).sum(axis=(3, 4))
    assert np.allclose(detection._window_sums(x, 3, 4), wanted, atol=1e-12)


BOXES = torch.tensor([[5.0, 9.0, 8.0, 32.0], [47.9, 0.0, 16.0, 16.0], [48.0, 48.0, 4.0, 4.0]])


def test_cells_are_counted_row_by_row_in_steps_of_four_pixels():
    cell = detection_torch.cells(BOXES)
    assert cell.tolist() == [2 * 12 + 1, 11, 143]
    assert detection_torch.middles(cell).tolist() == [[1.5, 2.5], [11.5, 0.5], [11.5, 11.5]]


def test_coded_boxes_by_hand():
    """The middle (5, 9) lies a quarter of a cell left of and above (6, 10)."""
    coded = detection_torch.coded(BOXES[:1], torch.tensor([25]))
    assert coded[0].tolist() == pytest.approx([-0.25, -0.25, np.log(0.5), np.log(2)])


def test_a_cell_of_the_maps_is_read_in_its_row_and_column():
    maps = torch.arange(2 * 5 * 144.0).reshape(2, 5, 12, 12)
    found = detection_torch.at_cell(maps, torch.tensor([25, 140]))
    assert torch.equal(found[0], maps[0, 1:, 2, 1]) and torch.equal(found[1], maps[1, 1:, 11, 8])


def test_said_boxes_by_hand_and_within_their_sizes():
    maps = torch.zeros(2, 5, 12, 12)
    maps[0, 0, 2, 1], maps[1, 0, 11, 8] = 5, 5
    maps[0, 1:, 2, 1] = torch.tensor([-0.25, 0.5, np.log(0.5), np.log(2)])
    maps[1, 1:, 11, 8] = torch.tensor([0.0, 0.0, -9.0, 9.0])
    found = detection_torch.boxes_of(maps)
    assert found[0].tolist() == pytest.approx([5, 12, 8, 32])
    assert found[1].tolist() == pytest.approx([34, 46, 16 * np.exp(-2), 16 * np.exp(1.1)])


def test_the_loss_by_hand():
    """Cross-entropy of 144 cells and smooth L1 of four numbers, both means over scenes."""
    rng = np.random.default_rng(0)
    maps, boxes = 2 * rng.normal(size=(3, 5, 12, 12)), np.float64(BOXES)
    boxes[:, 2:] *= [[1.0, 3.0], [0.1, 1.0], [1.0, 1.0]]
    losses = []
    for one, (x, y, w, h) in zip(maps, boxes, strict=True):
        row, column = min(int(y // 4), 11), min(int(x // 4), 11)
        score = one[0] - np.log(np.exp(one[0]).sum())
        wanted = [x / 4 - column - 0.5, y / 4 - row - 0.5, np.log(w / 16), np.log(h / 16)]
        gaps = np.abs(one[1:, row, column] - wanted)
        smooth = np.where(gaps < 1, gaps**2 / 2, gaps - 0.5)
        losses.append(-score[row, column] + smooth.mean())
    found = detection_torch.box_loss(torch.tensor(maps), torch.tensor(boxes))
    assert found.item() == pytest.approx(np.mean(losses), rel=1e-12)


def test_coverage_is_the_share_of_each_cell_in_the_box():
    boxes = torch.tensor([[6.0, 10, 4, 8], [24, 24, 48, 48]])
    found = detection_torch.coverage(boxes)
    wanted = np.zeros((12, 12))
    wanted[1, 1] = wanted[1, 2] = wanted[2, 1] = wanted[2, 2] = 0  # columns 4 to 8 are cell 1
    wanted[1, 1], wanted[2, 1], wanted[3, 1] = 0.5, 1, 0.5  # rows from 6 to 14
    assert np.allclose(found[0], wanted) and bool((found[1] == 1).all())


def test_a_matcher_finds_what_its_examples_show_and_not_what_lies_beside_them():
    """With features that are the ink and a head that adds up the product, by hand."""
    net = detection_torch.Matcher(generator=torch.Generator().manual_seed(0), channels=2)
    net.trunk = torch.nn.AvgPool2d(4)
    net.head = torch.nn.Identity()
    shown = torch.zeros(2, 2, CANVAS, CANVAS)
    shown[:, 0, 8:16, 8:16] = 1  # channel 0 within the box, channel 1 outside
    shown[:, 1, 32:40, 32:40] = 5
    asked = torch.rand(3, 2, CANVAS, CANVAS)
    maps = net(shown, torch.tensor([[12.0, 12, 8, 8], [12, 12, 8, 16]]), asked)
    small = net.trunk(asked)
    # Half of the second box holds nothing, so the template is 3/4 of the ink, in channel 0 alone.
    assert torch.allclose(maps[:, 0], 0.75 * small[:, 0]) and not maps[:, 1].any()
    assert torch.equal(maps[:, 2:], small)


def test_a_matcher_counts_what_it_finds_and_is_trained_on_the_mean_of_its_tasks():
    model, theta = detection_torch.wrapped_matcher(0)
    assert model.n_params == 20_421
    tasks = Scenes(squares(4, 3)).sample(np.random.default_rng(0), 3, 2, 4)
    loss, gradient = detection_torch.match_gradient(model, theta, tasks, alpha=0.1, n_inner_steps=3)
    one_by_one = [
        detection_torch.match_gradient(
            model, theta, tasks.select(slice(t, t + 1)), alpha=0.1, n_inner_steps=3
        )
        for t in range(3)
    ]
    assert torch.allclose(loss, sum(one for one, _ in one_by_one) / 3)
    assert torch.allclose(gradient, sum(g for _, g in one_by_one) / 3, atol=1e-6)
    step = 1e-2 / gradient.norm()
    less, _ = detection_torch.match_gradient(
        model, theta - step * gradient, tasks, alpha=0.1, n_inner_steps=3
    )
    assert float(loss - less) == pytest.approx(1e-2 * float(gradient.norm()), rel=0.2)
    counts = detection_torch.found_by_match(model, theta, tasks)
    assert counts.shape == (3,) and counts.max() <= 4


def test_the_sizes_of_the_detector_are_those_that_it_tells():
    model, theta = detection_torch.wrapped(0)
    assert theta.numel() == 20_261 and model.n_kept == 3
    assert model.predict(theta, torch.zeros(2, 1, CANVAS, CANVAS)).shape == (2, 5, 12, 12)
    thin = detection_torch.finder(generator=torch.Generator().manual_seed(0), channels=2)
    assert thin[2].out_channels == 2
    assert torch.equal(theta, detection_torch.wrapped(0)[1])
    assert not torch.equal(theta, detection_torch.wrapped(1)[1])


def test_the_detector_begins_as_its_layers_want_it_and_says_usual_boxes():
    net = detection_torch.finder(generator=torch.Generator().manual_seed(0), channels=64)
    *body, head = [m for m in net if isinstance(m, torch.nn.Conv2d)]
    for layer, fan_in in zip(body, [49, 9 * 64, 9 * 64], strict=True):
        assert layer.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
        assert not layer.bias.any()
    assert head.weight.std().item() == pytest.approx(0.02, rel=0.1) and not head.bias.any()
    kinds = [type(m).__name__ for m in net]
    assert kinds == ["Conv2d", "ReLU", "Conv2d", "ReLU", "Conv2d", "ReLU", "Conv2d"]


def test_the_detector_moves_with_the_scene():
    """A glyph four pixels to the right and eight down is found one cell and two cells on."""
    model, theta = detection_torch.wrapped(0)
    x = torch.zeros(2, 1, CANVAS, CANVAS)
    blot = torch.rand(10, 10, generator=torch.Generator().manual_seed(0))
    x[0, 0, 12:22, 16:26], x[1, 0, 20:30, 20:30] = blot, blot
    one, other = model.predict(theta, x).detach()
    assert torch.allclose(one[:, 2:8, 2:9], other[:, 4:10, 3:10], atol=1e-5)
    assert one[0, 2:8, 2:9].std() > 1e-3


def test_overlaps_are_those_of_each_scene_with_its_own_box():
    model, theta = detection_torch.wrapped(0)
    x = torch.rand(3, 1, CANVAS, CANVAS, generator=torch.Generator().manual_seed(0))
    said = detection_torch.boxes_of(model.predict(theta, x)).detach()
    truth = said + torch.tensor([[0.0] * 4, [4.0, 0, 0, 0], [0, 0, 9.0, 0]])
    found = detection_torch.overlaps_of(model, theta, x, truth)
    w, h = said[:, 2].numpy(), said[:, 3].numpy()
    wanted = [1, (w[1] - 4) / (w[1] + 4), w[2] / (w[2] + 9)]
    assert found == pytest.approx(wanted, rel=1e-5) and (h > 0).all()


def test_counts_after_some_steps_are_those_of_as_many_steps_of_each_task(monkeypatch):
    """With a low bar, so that counts change at nearly every step."""
    monkeypatch.setattr(detection_torch, "FOUND", 0.2)
    model, theta = detection_torch.wrapped(0)
    tasks = Scenes(squares()).sample(np.random.default_rng(0), 2, 3, 8)
    steps = [1, 2, 4]
    found = detection_torch.found_after(model, theta, tasks, alpha=0.1, steps=steps)
    tensors, wanted = maml_torch.as_tensors(tasks, theta), []
    for n in steps:
        primes = maml_torch.adapt(model, theta, tasks, alpha=0.1, n_inner_steps=n)
        said = [
            detection_torch.boxes_of(model.predict(p, x))
            for p, x in zip(primes, tensors.x_query, strict=True)
        ]
        overlaps = [detection.iou(s.detach(), y) for s, y in zip(said, tasks.y_query, strict=True)]
        wanted.append([(one > 0.2).sum() for one in overlaps])
    assert found.tolist() == wanted
    assert len({tuple(row) for row in wanted}) > 1


def test_what_counts_as_found_is_an_overlap_of_more_than_a_half(monkeypatch):
    model, theta = detection_torch.wrapped(0)
    tasks = Scenes(squares()).sample(np.random.default_rng(0), 1, 1, 3)
    overlaps = np.array([0.5, 0.501, 0.9])
    monkeypatch.setattr(detection_torch, "overlaps_of", lambda *given: overlaps)
    assert detection_torch.found_after(model, theta, tasks, alpha=0.1, steps=[0]).tolist() == [[2]]
