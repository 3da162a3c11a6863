"""Scenes and boxes, template matching, the detector, and the JavaScript of Find it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from node import relative_error, run_node

from maml_teach import data, maml_torch
from maml_teach.applications import detection, detection_torch
from maml_teach.applications.detection import CANVAS, Scenes
from maml_teach.applications.images import SIZE, ImageClasses, glyphs
from maml_teach.widgets import FindIt

DATA = Path(data.__file__).parent / "detection.npz"


def bars(n_classes=4):
    """Classes that are told apart by one bright row or column."""
    pictures = np.zeros((n_classes, SIZE, SIZE), np.float32)
    for k, picture in enumerate(pictures):
        picture[6:22, 6:22] = 0.5
        (picture if k % 2 else picture.T)[6 + 4 * k : 9 + 4 * k, 6:22] = 1
    return ImageClasses(pictures, np.arange(n_classes), tuple("abcdefgh"[:n_classes]))


def test_support_and_query_show_one_class_and_rng_decides():
    family = Scenes(bars())
    tasks = family.sample(np.random.default_rng(0), 3, 2, 4)
    again = family.sample(np.random.default_rng(0), 3, 2, 4)
    other = family.sample(np.random.default_rng(1), 3, 2, 4)
    assert tasks.x_support.shape == (3, 2, 1, CANVAS, CANVAS)
    assert tasks.y_query.shape == (3, 4, 4)
    assert np.array_equal(tasks.x_query, again.x_query)
    assert not np.array_equal(tasks.x_query, other.x_query)


def test_the_number_of_shots_varies_if_asked():
    family, rng = Scenes(bars(), fewest=2), np.random.default_rng(0)
    shots = {family.sample(rng, 1, 4, 1).x_support.shape[1] for _ in range(40)}
    assert shots == {2, 3, 4}
    assert Scenes(bars()).sample(rng, 1, 4, 1).x_support.shape[1] == 4


def labels_of(x, boxes):
    """Which of the ``bars`` each box holds, by the least difference."""
    templates, labels = [picture[6:22, 6:22] for picture in bars().images], []
    for scene, box in zip(x, boxes, strict=True):
        low, high = (detection.corner(box, side).astype(int) for side in (-1, 1))
        cut = detection.resized(scene[low[1] : high[1], low[0] : high[0]], 16, 16)
        gaps = [np.abs(cut / cut.max() - template).mean() for template in templates]
        labels.append(int(np.argmin(gaps)))
    return labels


def test_a_scene_holds_the_wanted_glyph_in_its_box_and_a_task_one_class(monkeypatch):
    """Without distortion, noise and dimming, the box cut out is the glyph, whatever its class."""
    monkeypatch.setattr(detection, "VARY", 0.0)
    monkeypatch.setattr(detection, "NOISE", 0.0)
    wanted = np.arange(4).repeat(10)
    x, boxes = Scenes(bars()).scenes(np.random.default_rng(0), wanted)
    assert labels_of(x, boxes) == wanted.tolist()
    tasks = Scenes(bars()).sample(np.random.default_rng(1), 6, 2, 3)
    x = np.concatenate([tasks.x_support, tasks.x_query], axis=1)[:, :, 0]
    boxes = np.concatenate([tasks.y_support, tasks.y_query], axis=1)
    by_task = [set(labels_of(*one)) for one in zip(x, boxes, strict=True)]
    assert all(len(labels) == 1 for labels in by_task) and len(set.union(*by_task)) > 1


def test_the_others_are_never_the_wanted_class(monkeypatch):
    """The wanted class is the only bright one: outside its box nothing is bright."""
    monkeypatch.setattr(detection, "VARY", 0.0)
    monkeypatch.setattr(detection, "NOISE", 0.0)
    pictures = np.zeros((3, SIZE, SIZE), np.float32)
    pictures[:, 4:24, 4:24] = np.array([1.0, 0.3, 0.3])[:, None, None]
    classes = ImageClasses(pictures, np.arange(3), ("bright", "pale", "pale too"))
    x, boxes = Scenes(classes).scenes(np.random.default_rng(0), np.zeros(40, int))
    for scene, box in zip(x, boxes, strict=True):
        low, high = (detection.corner(box, side).astype(int) for side in (-1, 1))
        outside = scene.copy()
        outside[low[1] : high[1], low[0] : high[0]] = 0
        assert 0.1 < outside.max() / scene.max() < 0.5


def test_fields_lie_on_the_canvas_and_apart():
    rng = np.random.default_rng(0)
    sides = rng.uniform(*detection.SIDES, (300, 3))
    centres = detection.places(rng, sides).reshape(300, 3, 2)
    half = sides[..., None] / 2
    assert (centres - half).min() >= 0 and (centres + half).max() <= CANVAS
    for i, j in ((0, 1), (0, 2), (1, 2)):
        gap = np.abs(centres[:, i] - centres[:, j]).max(axis=1)
        assert (gap >= detection.ROOM * (sides[:, i] + sides[:, j]) / 2).all()


def test_a_glyph_set_down_is_where_and_as_large_as_asked():
    square = np.zeros((1, SIZE, SIZE), np.float32)
    square[0, 4:24, 4:24] = 1
    ink = detection.set_down(square, np.array([28.0]), np.array([[20.0, 30.0]]))[0]
    assert np.allclose(ink[20:40, 10:30], 1, atol=1e-6)
    assert ink.sum() == pytest.approx(400, rel=1e-5)
    small = detection.set_down(square, np.array([14.0]), np.array([[20.0, 30.0]]))[0]
    assert small.sum() == pytest.approx(100, rel=1e-3)
    rows, columns = np.arange(CANVAS) + 0.5, np.arange(CANVAS) + 0.5
    assert small.sum(axis=1) @ rows / small.sum() == pytest.approx(30, abs=1e-3)
    assert small.sum(axis=0) @ columns / small.sum() == pytest.approx(20, abs=1e-3)


def test_boxes_are_tight():
    ink = np.zeros((1, CANVAS, CANVAS))
    ink[0, 5:15, 20:26] = 0.9
    assert detection.tight_boxes(ink).tolist() == [[23, 10, 6, 10]]


def test_iou_counts_shared_pixels():
    """Against counting pixels of boxes with whole corners."""
    rng = np.random.default_rng(0)
    low = rng.integers(0, 20, (2, 50, 2))
    high = low + rng.integers(1, 20, (2, 50, 2))
    boxes = np.concatenate([(low + high) / 2, high - low], axis=2)
    x, y = np.meshgrid(np.arange(40), np.arange(40))
    inside = [
        [(x >= a[0]) & (x < b[0]) & (y >= a[1]) & (y < b[1]) for a, b in zip(*ends, strict=True)]
        for ends in zip(low, high, strict=True)
    ]
    first, second = np.array(inside)
    wanted = (first & second).sum((1, 2)) / (first | second).sum((1, 2))
    assert np.allclose(detection.iou(*boxes), wanted)
    assert np.allclose(detection.iou(boxes[0], boxes[0]), 1)


def test_correlation_is_that_of_every_window():
    rng = np.random.default_rng(0)
    x, template = rng.normal(size=(2, CANVAS, CANVAS)), rng.normal(size=(9, 14))
    likeness = detection.correlation(template, x)
    assert likeness.shape == (2, 40, 35)
    for n, top, left in ((0, 0, 0), (1, 39, 34), (1, 17, 20)):
        window = x[n, top : top + 9, left : left + 14]
        wanted = np.corrcoef(window.ravel(), template.ravel())[0, 1]
        assert likeness[n, top, left] == pytest.approx(wanted, abs=1e-9)


def test_template_matching_finds_its_own_crop_and_a_larger_one():
    x, boxes = Scenes(glyphs("train")).scenes(np.random.default_rng(3), np.full(6, 40))
    pictures = detection.crops(x, boxes)
    for picture, scene, box in zip(pictures, x, boxes, strict=True):
        found = detection.best_match([picture], scene[None], (1.0,))[0]
        assert detection.iou(found, box) > 0.99
    twice = detection.resized(pictures[0], *(2 * side for side in pictures[0].shape))
    assert detection.iou(detection.best_match([twice], x[:1], (0.5, 1.0))[0], boxes[0]) > 0.9


def test_bytes_keep_the_scenes():
    x = np.random.default_rng(0).uniform(-0.5, 1.5, (2, CANVAS, CANVAS)).astype(np.float32)
    again = detection.from_bytes(detection.as_bytes(x))
    assert again.dtype == np.float32 and np.abs(again - x).max() <= 1 / 63 + 1e-6


def test_the_coded_box_of_the_right_cell_decodes_to_the_box():
    tasks = Scenes(bars()).sample(np.random.default_rng(0), 1, 6, 1)
    boxes = torch.tensor(tasks.y_support[0])
    cell = detection_torch.cells(boxes)
    maps = torch.zeros(6, 5, 12, 12)
    rows, columns = cell // 12, cell % 12
    maps[torch.arange(6), 0, rows, columns] = 30
    maps[torch.arange(6), 1:, rows, columns] = detection_torch.coded(boxes, cell)
    assert torch.allclose(detection_torch.boxes_of(maps), boxes, atol=1e-4)
    assert detection_torch.box_loss(maps, boxes).item() < 1e-6
    middle = 4 * torch.stack([columns, rows], dim=1) + 2
    assert (boxes[:, :2] - middle).abs().max() <= 2
    assert detection_torch.coded(boxes, cell)[:, :2].abs().max() <= 0.5


def test_each_scene_goes_through_by_itself():
    model, theta = detection_torch.wrapped(0)
    x = torch.tensor(Scenes(bars()).sample(np.random.default_rng(0), 1, 3, 1).x_support[0])
    alone = torch.cat([model.predict(theta, one[None]) for one in x])
    assert torch.allclose(model.predict(theta, x), alone, atol=1e-5)


def test_found_after_follows_adapt_and_adam_follows_torch():
    model, theta = detection_torch.wrapped(0)
    tasks = Scenes(bars()).sample(np.random.default_rng(0), 3, 4, 5)
    counts = detection_torch.found_after(model, theta, tasks, alpha=0.05, steps=[0, 12])
    tensors = maml_torch.as_tensors(tasks, theta)
    for k, n in enumerate((0, 12)):
        primes = maml_torch.adapt(model, theta, tasks, alpha=0.05, n_inner_steps=n)
        for t in range(3):
            x, y = tensors.x_query[t], tensors.y_query[t]
            overlaps = detection_torch.overlaps_of(model, primes[t], x, y)
            assert counts[k, t] == (overlaps > 0.5).sum()
    assert counts[1].sum() > counts[0].sum()
    fine = detection_torch.found_after(
        model, theta, tasks, alpha=3e-3, steps=[12], optimizer="adam"
    )
    net = detection_torch.finder(generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(12):
        optimizer.zero_grad()
        detection_torch.box_loss(net(tensors.x_support[0]), tensors.y_support[0]).backward()
        optimizer.step()
    said = detection_torch.boxes_of(net(tensors.x_query[0]).detach()).numpy()
    assert fine[0, 0] == (detection.iou(said, tasks.y_query[0]) > 0.5).sum()


@pytest.mark.parametrize(
    ("x", "box", "message"),
    [
        (np.zeros((1, 40, 48)), [24, 24, 9, 9], "x has shape"),
        (np.full((1, 48, 48), 255), [24, 24, 9, 9], "x must hold ink"),
        (np.full((1, 48, 48), np.nan), [24, 24, 9, 9], "x must hold ink"),
        (np.zeros((1, 48, 48)), [24, 24, 9], "boxes has shape"),
        (np.zeros((2, 48, 48)), [24, 24, 9, 9], "boxes has shape"),
        (np.zeros((1, 48, 48)), [46, 24, 9, 9], r"within the canvas.*got \[46.0, 24.0, 9.0, 9.0\]"),
        (np.zeros((1, 48, 48)), [24, 24, 0, 9], "within the canvas"),
        (np.zeros((1, 48, 48)), [np.nan, 24, 9, 9], "within the canvas"),
    ],
)
def test_bad_scenes_are_named(x, box, message):
    with pytest.raises(ValueError, match=message):
        detection.crops(x, np.array([box], float))


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="classes must be at least 3, got 2"):
        Scenes(bars(2))
    with pytest.raises(ValueError, match="fewest must be"):
        Scenes(bars(), fewest=0)
    with pytest.raises(ValueError, match="n_shots is 1, but fewest is 2"):
        Scenes(bars(), fewest=2).sample(np.random.default_rng(0), 1, 1, 1)
    with pytest.raises(ValueError, match="n_shots must be"):
        Scenes(bars()).sample(np.random.default_rng(0), 1, 0, 1)


def test_find_it_sends_what_it_is_given_and_refuses_the_rest():
    figure = FindIt.from_package(n_shots=1)
    n_params = detection_torch.wrapped(0)[0].n_params
    assert len(figure.theta) == 4 * n_params
    assert len(figure.scenes) / CANVAS**2 == len(figure.boxes) / 4
    theta, scenes = np.zeros(n_params), np.zeros((1, 9, CANVAS, CANVAS))
    boxes = np.full((1, 9, 4), 12.0)
    for wrong, message in (
        ((theta[1:], scenes, boxes), "theta has shape"),
        ((theta * np.nan, scenes, boxes), "theta must be finite"),
        ((theta, scenes[:, :5], boxes), "scenes has shape"),
        ((theta, scenes + 255, boxes), "x must hold ink"),
        ((theta, scenes, 4 * boxes), "within the canvas"),
    ):
        with pytest.raises(ValueError, match=message):
            FindIt(*wrong)
    for wrong in ({"n_shots": 6}, {"n_shots": 0}, {"n_inner_steps": 21}, {"k": 1}):
        with pytest.raises(ValueError):
            FindIt(theta, scenes, boxes, **wrong)


def test_javascript_detector_equals_pytorch():
    """Float64 on both sides: maps, gradient, boxes, and IoU of whole inner loops."""
    model, theta = detection_torch.wrapped(0)
    noise = torch.randn(theta.shape, generator=torch.Generator().manual_seed(1))
    theta = (theta + 0.03 * noise).double()
    far = theta.clone()
    far[-2:] += 2  # sizes far off, where the smooth L1 is straight
    tasks = Scenes(bars()).sample(np.random.default_rng(0), 1, 2, 2)
    task = maml_torch.as_tensors(tasks, theta).select(0)
    x, box = task.x_support[:1], task.y_support[:1]
    maps = model.predict(theta, x).detach()
    path = [theta]
    for _ in range(4):
        path.append(path[-1] - 0.05 * model.gradient(path[-1], task.x_support, task.y_support))
    overlaps = [detection_torch.overlaps_of(model, one, task.x_query, task.y_query) for one in path]
    n_channels, flat = 32, [theta.tolist(), x.ravel().tolist()]
    scenes = [one.ravel().tolist() for one in torch.cat([task.x_support, task.x_query])]
    boxes = [one.tolist() for one in torch.cat([task.y_support, task.y_query])]
    innermost = maps[0].permute(1, 2, 0).ravel().tolist()
    answers = run_node(
        "detection",
        [
            ("mapsOf", [n_channels, *flat]),
            ("gradient", [n_channels, far.tolist(), flat[1], box[0].tolist()]),
            ("boxOf", [innermost]),
            ("overlapsByStep", [n_channels, theta.tolist(), scenes, boxes, 2, 0.05, 4]),
        ],
    )
    wanted = [innermost, model.gradient(far, x, box), detection_torch.boxes_of(maps), overlaps]
    for got, expected in zip(answers, wanted, strict=True):
        assert relative_error(got, expected) < 1e-9
    assert np.ptp(overlaps, axis=0).max() > 0.01  # the loop does something


def test_javascript_finds_what_pytorch_finds():
    """The shipped network and scenes, PyTorch in float32."""
    with np.load(DATA) as saved:
        theta = torch.tensor(saved["maml"].astype(np.float32))
        x = detection.from_bytes(saved["scenes"][0])
        boxes = saved["boxes"][0].astype(np.float32)
    model = detection_torch.wrapped(0)[0]
    x_t, boxes_t, path = torch.tensor(x)[:, None], torch.tensor(boxes), [theta]
    for _ in range(3):
        path.append(path[-1] - 0.05 * model.gradient(path[-1], x_t[:5], boxes_t[:5]))
    overlaps = [detection_torch.overlaps_of(model, one, x_t[5:], boxes_t[5:]) for one in path]
    scenes = [one.ravel().tolist() for one in x]
    given = [32, theta.tolist(), scenes, boxes.tolist(), 5, 0.05, 3]
    (found,) = run_node("detection", [("overlapsByStep", given)])
    assert np.abs(np.array(found) - overlaps).max() < 1e-5
    assert (np.array(overlaps)[3] > 0.5).any()
