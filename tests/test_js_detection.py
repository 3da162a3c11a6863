"""Find it: the scenes, boxes and searches of the page, what it shows and says, against PyTorch."""

from functools import cache

import numpy as np
import pytest
import torch
from node import assert_all_close, flat, relative_error, run_node
from page import LEGEND, SLIDERS, STATUS, Frame, assert_drawn, heights, numbers, show, traits_of

from maml_teach.applications import detection, detection_torch
from maml_teach.data import load
from maml_teach.widgets import FindIt

TASK, SCENE, STEPS, SHOTS, RATE = 1, 2, 2, 2, 0.04
SETTINGS = {"task": TASK, "scene": SCENE, "n_inner_steps": STEPS, "n_shots": SHOTS, "alpha": RATE}
CURVE = Frame(323, (10, 14, 38, 44), (0, 20), (0, 1))
RECT = ("x", "y", "width", "height")
HEIGHTS = heights(100, 450, 2000)
LOOKS = ("true", "first", "adapted")
READS = {
    "said": STATUS,
    "title": ("read", ".mf-panel b"),
    "notes": ("read", ".mf-panel .mf-mse"),
    "words": ("read", ".mf-axes text"),
    "pale": ("read", ".mf-example-row div", "class"),
    "painted": ("read", "canvas", "painted"),
    "line": ("read", ".mf-panel svg .mf-look-adapted path", "d"),
    "trained": ("read", ".mf-truth", "d"),
    "now": ("read", ".mf-now", "d"),
    "dot": ("read", "circle", "cx"),
    "dot y": ("read", "circle", "cy"),
    "dot shown": ("read", "circle", "visibility"),
    **{
        f"{look} {name}": ("read", f".mf-scene .mf-look-{look} rect", name)
        for look in LOOKS
        for name in (*RECT, "visibility")
    },
}


@cache
def scenes(task=TASK):
    """Scenes and boxes as float64: five examples, then four queries."""
    stored = load("detection")
    return 2 * stored["scenes"][task].astype(float) / 63 - 0.5, stored["boxes"][task].astype(float)


@cache
def found(n_steps=5):
    """Boxes of the four queries after each inner step, and their overlaps with the true ones."""
    model = detection_torch.wrapped(0)[0]
    x, boxes = (torch.tensor(part) for part in scenes())
    x, theta = x[:, None], torch.tensor(load("detection")["maml"].astype(np.float32)).double()
    said, overlaps = [], []
    for _ in range(n_steps + 1):
        said.append(detection_torch.boxes_of(model.predict(theta, x[5:]).detach()).numpy())
        overlaps.append(detection_torch.overlaps_of(model, theta, x[5:], boxes[5:]))
        theta = theta - RATE * model.gradient(theta, x[:SHOTS], boxes[:SHOTS])
    return np.array(said), np.array(overlaps)


def figure(**change):
    return FindIt.from_package(**{**SETTINGS, **change})


@cache
def shown(milliseconds=900, **change):
    """What the page shows after some time; after the first few steps, the search goes on."""
    answers = show(figure(**change), ("wait", milliseconds), *READS.values())
    return dict(zip(READS, answers, strict=True))


def test_every_scene_is_unpacked_with_its_box():
    traits = traits_of(figure())
    for task, k in ((0, 0), (TASK, 7)):
        [got] = run_node("detection", [("sceneOf", [traits, task, k])])
        assert got["counts"] == [9] * len(load("detection")["scenes"])
        x, boxes = scenes(task)
        assert relative_error(got["values"], x[k]) < 1e-9
        assert got["box"] == boxes[k].tolist()
        assert got["ink"] == np.floor(255 * np.clip(x[k], 0, 1)).ravel().tolist()


def test_a_search_is_made_once_for_each_task_and_number_of_examples():
    asked = [[0, 2], [0, 3], [1, 2], [0, 2], [1, 2], [1, 1]]
    found = run_node("detection", [("searched", [traits_of(figure()), asked])])
    assert found == [[0, 1, 2, 0, 2, 5]]


def test_cells_codes_chances_and_boxes_are_those_of_pytorch():
    rng = np.random.default_rng(0)
    boxes = np.array([[0, 0, 5, 9], [48, 48, 16, 16], [7.9, 40.1, 20, 3], [24, 3.99, 30, 40.0]])
    maps = rng.normal(size=(3, 5, 12, 12))
    for one, size in zip(maps, (3, 0, -3), strict=True):
        one[3:] += size  # sizes beyond what is kept, and within
    t = torch.tensor(boxes)
    cells = detection_torch.cells(t)
    innermost = [flat(one.transpose(1, 2, 0)) for one in maps]
    cases = [("cellOf", [box.tolist()]) for box in boxes]
    cases += [("coded", [box.tolist(), int(c)]) for box, c in zip(boxes, cells, strict=True)]
    cases += [("boxOf", [one]) for one in innermost] + [("cellChances", [innermost[0]])]
    scores = maps[0, 0].ravel()
    expected = [*cells.tolist(), *detection_torch.coded(t, cells).numpy()]
    expected += [*detection_torch.boxes_of(torch.tensor(maps)).numpy()]
    assert_all_close("detection", cases, [*expected, np.exp(scores) / np.exp(scores).sum()])


def test_overlaps_and_frames_are_those_of_numpy():
    rng = np.random.default_rng(1)
    boxes = np.concatenate([rng.uniform(15, 33, (20, 2)), rng.uniform(4, 30, (20, 2))], axis=1)
    boxes[:2] = [[6, 6, 4, 4], [40, 6, 4, 4]]
    pairs = [(boxes[k], boxes[k - 1]) for k in range(20)]
    cases = [("overlapOf", [a.tolist(), b.tolist()]) for a, b in pairs]
    [frame] = run_node("detection", [("rectOf", [boxes[5].tolist()])])
    assert_all_close("detection", cases, [detection.iou(a, b) for a, b in pairs])
    low, high = detection.corner(boxes[5], -1), detection.corner(boxes[5], 1)
    assert [frame[name] for name in RECT] == pytest.approx([*low, *(high - low)])


def framed(page, look):
    """The boxes of one look, from what their frames are, each drawn twice."""
    x, y, w, h = (np.array(page[f"{look} {name}"], float) for name in RECT)
    boxes = np.stack([x + w / 2, y + h / 2, w, h], axis=1)
    assert np.array_equal(boxes[::2], boxes[1::2])
    return boxes[::2]


def test_examples_and_a_new_scene_are_shown_with_their_boxes():
    page, (x, boxes) = shown(), scenes()
    assert np.allclose(framed(page, "true"), boxes[[0, 1, 2, 3, 4, 5 + SCENE]])
    ink = [np.array(one.split(","), float) for one in page["painted"]]
    wanted = np.floor(255 * np.clip(x[[0, 1, 2, 3, 4, 5 + SCENE]], 0, 1))
    assert np.array_equal(ink, wanted.reshape(6, -1))
    said, _ = found()
    for look, step in (("first", 0), ("adapted", STEPS)):
        assert relative_error(framed(page, look), said[step, [SCENE]]) < 1e-9
        assert page[f"{look} visibility"] == ["visible"] * 2
    assert np.abs(said[0] - said[STEPS]).max() > 0.1
    pale = [name == "mf-unused" for name in page["pale"] if name != "mf-scene"]
    assert pale == [False] * SHOTS + [True] * (5 - SHOTS)


def test_mean_overlaps_are_drawn_over_steps():
    page, (_, overlaps) = shown(), found()
    line = numbers(page["line"][0])
    n = len(line)
    assert STEPS < n <= 6
    means = overlaps.mean(axis=1)
    assert_drawn(page["line"][0], CURVE.points(np.arange(n), means[:n]))
    dot = [float(page["dot"][0]), float(page["dot y"][0])]
    assert dot == pytest.approx(CURVE.points(STEPS, means[STEPS]))
    assert_drawn(page["now"][0], CURVE.points([STEPS] * 2, [0, 1]))
    assert_drawn(page["trained"][0], CURVE.points([3, 3], [0, 1]))
    ticks = [*[f"{k}" for k in (0, 3, 5, 10, 15, 20)], *["0", "0.25", "0.5", "0.75", "1"]]
    assert page["words"] == [*ticks, "inner steps", "mean IoU"]


def test_titles_and_the_sentence():
    page, (_, overlaps) = shown(), found()
    after, before = overlaps[STEPS], overlaps[0]
    assert page["title"] == ["Examples", "New scene 3 of 4", "All four new scenes"]
    assert page["notes"] == [
        "the network is given 2 of 5",
        f"IoU {after[SCENE]:.2f}",
        "dashed: the 3 steps of training",
    ]
    verdict = "found" if after[SCENE] > detection.FOUND else "not found"
    assert page["said"] == [
        f"2 examples, 2 inner steps. Scene 3: the box overlaps the true one by IoU "
        f"{after[SCENE]:.2f} ({verdict}), before adapting by {before[SCENE]:.2f}. "
        f"Mean over the four new scenes: {after.mean():.2f}, before adapting {before.mean():.2f}."
    ]


def test_nothing_is_said_of_a_step_that_is_not_reached():
    page = shown(200)
    assert page["said"] == ["The network is adapting and searching."] and page["dot shown"] == [
        "hidden"
    ]
    assert page["adapted visibility"] == ["hidden"] * 2
    assert page["first visibility"] == ["visible"] * 2 and page["notes"][1] == ""


def test_a_glyph_is_found_from_half_on():
    first, now = {"overlaps": [0.1, 0.2, 0.3, 0.4]}, {"overlaps": [0.4, 0.5, 0.52, 0.98]}
    cases = [("describe", [1, k, k + 1, first, now]) for k in (0, 1)]
    mean = "Mean over the four new scenes: 0.60, before adapting 0.25."
    harm = " Adapting made it worse"
    worse = {"overlaps": [0.1, 0.1, 0.3, 0.4]}, {"overlaps": [0.1, 0.2, 0.29, 0.4]}
    said = run_node(
        "detection", [("describe", [1, 1, k, first, now]) for now in worse for k in (1, 2)]
    )
    assert [one.partition(harm)[2] for one in said] == [
        *(
            " in this scene. Adapting made it worse in the mean.",
            " in the mean.",
            "",
            " in this scene.",
        )
    ]
    assert run_node("detection", cases) == [
        "1 example, 0 inner steps. Scene 2: the box overlaps the true one by IoU 0.50 "
        f"(not found), before adapting by 0.20. {mean}",
        "1 example, 1 inner step. Scene 3: the box overlaps the true one by IoU 0.52 "
        f"(found), before adapting by 0.30. {mean}",
    ]


def test_glyphs_and_scenes_come_round_again():
    n = len(load("detection")["scenes"])
    page = shown(100, task=n + TASK, scene=4 + SCENE)
    assert page["painted"] == shown()["painted"] and page["title"][1] == "New scene 3 of 4"


def test_another_glyph_is_searched_for_anew():
    other, usual = show(
        figure(),
        *[("wait", 900), ("set", {"task": 0}), ("wait", 900), STATUS],
        *[("set", {"task": TASK}), ("wait", 600), STATUS],
    )
    assert other == shown(task=0)["said"] != usual == shown()["said"]


def test_nothing_goes_on_once_the_figure_is_left():
    before, after = show(figure(), ("wait", 50), ("left",), ("leave",), ("left",))
    assert before[0] > 0 and after == [0, 0, 0, 0]


def test_what_the_looks_mean_and_what_the_sliders_say():
    words, looks, paths, labels, steps, values, *heights = show(
        figure(), *LEGEND, *SLIDERS, *HEIGHTS
    )
    assert words == ["true box", "before adapting", "after the inner steps"]
    assert looks == [f"mf-look-{look}" for look in LOOKS] and paths == ["mf-curve"] * 3
    assert labels == ["inner steps", "examples"] and values == ["2", "2"]
    assert [float(v) for v in steps] == [1, 1]
    assert [heights[k][-1] for k in range(3)] == ["190", "340", "340"]


def test_controls_reach_what_python_allows_and_reset_goes_back():
    names = ("n_inner_steps", "n_shots", "task", "scene")
    traits = ("traits", *names)
    lows, highs, before, other, after = show(
        figure(),
        *[("read", "input[type=range]", name) for name in ("min", "max")],
        *[traits, ("press", "Another glyph"), ("press", "Another scene")],
        *[("slide", "input[type=range]", 1, 4), traits, ("press", "Reset"), traits],
    )
    limits = [getattr(FindIt, k) for k in names[:2]]
    assert [float(v) for v in lows] == [kind.min for kind in limits]
    assert [float(v) for v in highs] == [kind.max for kind in limits]
    assert before == after == [STEPS, SHOTS, TASK, SCENE]
    assert other == [STEPS, 4, TASK + 1, SCENE + 1]
