"""Draw it: pen, sheets, framing and judgements of the page, against NumPy, SciPy and PyTorch."""

import base64
from functools import cache

import numpy as np
import pytest
import torch
from node import assert_all_close, flat, relative_error, run_node
from page import SLIDERS, STATUS, in_training, show, traits_of
from scipy import ndimage

from maml_teach import maml_torch
from maml_teach.applications import images_torch
from maml_teach.data import load
from maml_teach.tasks import Task
from maml_teach.widgets import DrawIt

SIDE, WIDTH = 28, 340  # pixels of a sheet, and of it on the page
SETTINGS = {"seed": 9, "n_inner_steps": 2, "alpha": 0.2}  # with eight sets, that is the second
DRAWINGS = ("traits", "drawings")
NOTHING = " Until then the sliders change nothing."
READS = {
    "said": STATUS,
    "titles": ("read", ".mf-field b"),
    "names": ("read", ".mf-sheet", "aria-label"),
    "likely": ("read", ".mf-field", "class"),
    "before": ("read", "rect.mf-bar-before", "width"),
    "after": ("read", "rect.mf-bar-after", "width"),
    "shares": ("read", ".mf-bar-text"),
    "painted": ("read", "canvas", "painted"),
}


def example(k=1):
    """Six sheets of a set, bytes of ink."""
    return load("images")["examples"][k]


def pen(x, y):
    """Ink of a round pen with a radius of 1.3 pixels and a soft edge."""
    middle = np.arange(SIDE) + 0.5
    away = np.hypot(middle - x, middle[:, None] - y)
    return np.floor(255 * np.clip(1.8 - away, 0, 1) + 0.5)


def line(start, end):
    n = max(1, np.ceil(2 * np.hypot(*np.subtract(end, start))))
    return np.max([pen(*p) for p in np.linspace(start, end, int(n) + 1)], axis=0)


def framed(ink):
    """The ink cut out, 22 pixels long along its longer side, in the middle of a sheet."""
    rows, columns = np.nonzero(ink > 25)
    low = np.array([rows.min(), columns.min()])
    high = np.array([rows.max(), columns.max()]) + 1
    at = (np.arange(SIDE) + 0.5 - SIDE / 2) * (high - low).max() / 22
    middle = (low + high) / 2
    places = np.meshgrid(*(middle[:, None] + at - 0.5), indexing="ij")
    return ndimage.map_coordinates(ink / 255, places, order=1, mode="grid-constant")


@cache
def network():
    theta = torch.tensor(load("omniglot")["figure theta"].astype(np.float32)).double()
    return images_torch.wrapped(5, 0)[0], theta


def judged(sheets, alpha=0.2, n_inner_steps=2):
    """Chances of the five characters before and after the inner loop."""
    model, theta = network()
    x = torch.tensor(np.array([framed(sheet) for sheet in sheets]))[:, None]
    five, labels = x[None, :5], torch.arange(5)[None]
    task = Task(five, labels, five, labels)
    settings = {"alpha": alpha, "n_inner_steps": n_inner_steps}
    adapted = maml_torch.adapt(model, theta, task, **settings)[0]
    return [model.predict(p, x).softmax(dim=1)[-1].detach().numpy() for p in (theta, adapted)]


def nearest(sheets):
    pictures = np.array([framed(sheet) for sheet in sheets])
    return ((pictures[:5] - pictures[5]) ** 2).sum(axis=(1, 2)).argmin()


def sentence(sheets, truth=None, steps="2 inner steps", **settings):
    before, after = judged(sheets, **settings)
    best = after.argmax()
    known = "" if truth is None else f" It is character {truth + 1}."
    if settings.get("n_inner_steps", 2) > 1:
        known += in_training("inner steps (in training up to 1)")
    return (
        f"After {steps} at α = {settings.get('alpha', 0.2):.2f} the network takes the drawing for "
        f"character {best + 1}: {100 * after[best]:.0f}%, against {100 * before[best]:.0f}% "
        f"before. The nearest pixel by pixel is character {nearest(sheets) + 1}.{known}"
    )


def as_text(sheets):
    return base64.b64encode(np.array(sheets, np.uint8).tobytes()).decode()


def sheets_of(text):
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(6, SIDE, SIDE)


def figure(**change):
    return DrawIt.from_package(**{**SETTINGS, **change})


@cache
def page(**change):
    answers = show(figure(**change), ("wait", 3000), *READS.values())
    return dict(zip(READS, answers, strict=True))


def test_the_pen_is_round_and_soft_and_a_stroke_is_many_pens():
    places = [(5.3, 9.1), (6.2, 9.7), (0.1, 27.6)]
    ways = [((5.2, 3.1), (20.7, 11.3)), ((20.7, 11.3), (20.7, 11.3)), ((9.3, 25), (8.6, 4.4))]
    given = [[list(map(list, way)) for way in ways], [list(place) for place in places]]
    drawn, dots, dot = run_node(
        "drawing",
        [("strokes", [given[0]]), ("stamped", [given[1]]), ("strokes", [given[0][1:2]])],
    )
    assert np.array_equal(drawn, np.max([line(*way) for way in ways], axis=0).ravel())
    assert np.array_equal(dots, np.max([pen(*place) for place in places], axis=0).ravel())
    assert np.array_equal(dot, pen(20.7, 11.3).ravel())


def test_ink_between_pixels_and_its_bounds():
    rng = np.random.default_rng(0)
    ink = rng.integers(0, 256, (SIDE, SIDE))
    places = rng.uniform(-1.5, SIDE + 1.5, (200, 2))
    wanted = ndimage.map_coordinates(
        ink.astype(float), places.T[::-1] - 0.5, order=1, mode="grid-constant"
    )
    faint = np.zeros((SIDE, SIDE))
    faint[2, 3], faint[20, 7], faint[25, 25], faint[4, 11] = 26, 255, 25, 90
    cases = [("inkAtAll", [flat(ink), places.tolist()]), ("bounds", [flat(faint)])]
    between, box = run_node("drawing", cases)
    assert relative_error(between, wanted) < 1e-9
    assert box == {"least": [3, 2], "most": [12, 21]}


def test_a_drawing_is_framed_like_the_pictures_of_the_training():
    wide, tall = np.zeros((2, SIDE, SIDE))
    wide[10:13, 2:27], tall[1:20, 20:24] = 255, 130
    tall[18, 2] = 25  # too faint to count
    sheets = [*example(), wide, tall, line((3, 4), (9, 24))]
    cases = [("framed", [flat(sheet)]) for sheet in sheets]
    assert_all_close("drawing", cases, [framed(sheet) for sheet in sheets])


def test_the_nearest_picture_is_the_one_with_the_least_squared_distance():
    rng = np.random.default_rng(2)
    pictures, asked = rng.random((5, 40)), rng.random((8, 40))
    found = run_node("drawing", [("nearestByPixels", [pictures.tolist(), flat(a)]) for a in asked])
    distance = ((asked[:, None] - pictures) ** 2).sum(axis=2)
    assert found == distance.argmin(axis=1).tolist() and len(set(found)) > 2


def test_where_pointer_and_pen_are():
    box = {"left": 100, "top": 50, "width": 56, "height": 84}
    cases = [
        ("pixelUnder", [{"clientX": 128, "clientY": 71}, box]),
        ("moved", [[5, 6], [-1, 0], 4]),
        ("moved", [[5, 6], [0, 1], 1]),
        ("moved", [[2, 26], [-1, 0], 4]),
        ("moved", [[2, 26], [0, 1], 4]),
    ]
    assert_all_close("drawing", cases, [[14, 7], [1, 6], [5, 7], [1, 26], [2, 27]])


def test_sheets_are_the_readers_or_the_examples():
    own = example(3).copy()
    own[4] = 7
    mixed = example(1).copy()
    mixed[2, 5, 5] ^= 1
    texts = {"": example(1), as_text(own): own, as_text(mixed): mixed, "AAAA": example(1)}
    traits = [traits_of(figure(drawings=text)) for text in texts]
    cases = [("inksOf", [one]) for one in traits] + [("asText", [own.reshape(6, -1).tolist()])]
    *inks, text = run_node("drawing", cases)
    for found, wanted in zip(inks, texts.values(), strict=True):
        assert np.array_equal(found, wanted.reshape(6, -1))
    assert text == as_text(own)
    answers = run_node(
        "drawing", [(name, [one]) for one in traits for name in ("whichAreExamples", "truthOf")]
    )
    truth = int(load("images")["truths"][1])
    assert answers[::2] == [[True] * 6, [False] * 6, [k != 2 for k in range(6)], [True] * 6]
    assert answers[1::2] == [truth, None, None, None]


def test_all_sheets_are_painted_and_judged():
    found, sheets = page(), example()
    titles = [*[f"Character {k}" for k in range(1, 6)], "Which one?"]
    assert found["titles"] == found["names"] == titles
    painted = [np.array(one.split(","), int) for one in found["painted"]]
    assert np.array_equal(painted, sheets.reshape(6, -1))
    before, after = judged(sheets)
    for name, chances in (("before", before), ("after", after)):
        widths = [float(width.removesuffix("%")) for width in found[name]]
        assert np.allclose(widths, 100 * chances, rtol=1e-9)
    assert found["shares"] == [
        f"{name} {100 * chances[k]:.0f}%"
        for k in range(5)
        for name, chances in (("before", before), ("after", after))
    ]
    likely = ["mf-likely" in one.split() for one in found["likely"]]
    assert likely == [k == after.argmax() for k in range(6)]
    truth = int(load("images")["truths"][1])
    assert found["said"] == [sentence(sheets, truth)]


def test_other_settings_and_other_drawings_are_judged_anew():
    other = example().copy()
    other[5] = line((14, 4), (14, 24))
    mixed = other.copy()
    mixed[[0, 3]] = other[[3, 0]]
    truth = int(load("images")["truths"][1])
    once, slow, drawn, swapped = show(
        figure(),
        *[("wait", 3000), ("set", {"n_inner_steps": 1}), ("wait", 3000), STATUS],
        *[("set", {"alpha": 0.05}), ("wait", 3000), STATUS],
        *[("set", {"drawings": as_text(other)}), ("wait", 3000), STATUS],
        *[("set", {"drawings": as_text(mixed)}), ("wait", 3000), STATUS],
    )
    once_each = {"steps": "1 inner step", "n_inner_steps": 1}
    assert once == [sentence(example(), truth, **once_each)]
    assert slow == [sentence(example(), truth, alpha=0.05, **once_each)]
    assert drawn == [sentence(other, alpha=0.05, **once_each)]
    assert swapped == [sentence(mixed, alpha=0.05, **once_each)]


def test_an_empty_sheet_is_named_and_nothing_is_judged():
    sheets = example().copy()
    sheets[[2, 5]] = 0
    only_last = example().copy()
    only_last[5] = 25
    two, last = page(drawings=as_text(sheets)), page(drawings=as_text(only_last))
    assert two["said"] == [f"Character 3 is missing: draw one in its field.{NOTHING}"]
    missing = "The last field is empty: draw one of the five characters again in it."
    assert last["said"] == [f"{missing}{NOTHING}"]
    assert set(two["after"]) == {"0%"} and set(two["shares"]) == {""}
    assert not any("mf-likely" in name for name in two["likely"])


def test_an_adaptation_that_changes_nothing_or_does_harm_is_named():
    nothing = " At 0 inner steps nothing is adapted, so that α changes nothing."
    said = show(figure(n_inner_steps=0), ("wait", 3000), STATUS)[0][0]
    assert said.endswith(nothing) and nothing not in page()["said"][0]
    traits, before = traits_of(figure(n_inner_steps=1)), [0.2, 0.3, 0.2, 0.2, 0.1]
    after = [[0.1, 0.2, 0.3, 0.2, 0.2], [0.1, 0.304, 0.3, 0.2, 0.1], [0.1, 0.5, 0.2, 0.1, 0.1]]
    views = [{"before": before, "after": one, "pixels": 0, "truth": 1} for one in after]
    cases = [("describe", [traits, view]) for view in (*views, {**views[0], "truth": None})]
    harm = " Adapting made it worse: character 2 had 30% before and has 20% now."
    assert [one.partition(" Adapting")[1:] for one in run_node("drawing", cases)] == [
        tuple(harm.partition(" Adapting")[1:]),
        *[("", "")] * 3,
    ]


def test_both_sliders_stand_side_by_side():
    [rows] = show(figure(), ("read", ".mf-controls .mf-row label"))
    assert rows == ["inner steps", "inner rate α"]


def test_an_inner_loop_that_diverged_is_named_and_nothing_is_judged():
    [said], shares, likely = show(
        figure(),
        *[("set", {"alpha": 1e300}), ("wait", 3000), STATUS],
        *[("read", ".mf-bar-text"), ("read", ".mf-likely")],
    )
    beyond = in_training("inner steps (in training up to 1)")
    lost = "The inner loop diverged within 2 inner steps at α = 1e+300: α is too large."
    assert said == f"{lost}{beyond}"
    assert set(shares) == {""} and not likely


def under(x, y):
    """A pointer event over a place on a sheet."""
    return {"clientX": x * WIDTH / SIDE, "clientY": y * WIDTH / SIDE, "pointerId": 1}


def pointer(k, *places):
    """A stroke on sheet ``k``."""
    first, *rest = places
    moves = [("event", ".mf-sheet", k, "pointermove", under(*place)) for place in rest]
    down = ("event", ".mf-sheet", k, "pointerdown", under(*first))
    return [down, *moves, ("event", ".mf-sheet", k, "pointerup")]


def test_the_first_stroke_takes_the_example_away_and_the_second_is_added():
    way, more = [(4, 5), (20, 8), (10, 24)], [(3, 3), (3, 20)]
    first, second, other, stray = show(
        figure(n_inner_steps=0),
        *[*pointer(2, *way), DRAWINGS, ("wait", 30), *pointer(2, *more), DRAWINGS],
        *[("wait", 30), *pointer(5, *more), DRAWINGS],
        *[("event", ".mf-sheet", 1, "pointerdown", {**under(5, 5), "button": 2}), DRAWINGS],
    )
    ours = np.maximum(line(*way[:2]), line(*way[1:]))
    wanted = example().copy()
    wanted[2] = ours
    assert np.array_equal(sheets_of(*first), wanted)
    wanted[2] = np.maximum(ours, line(*more))
    assert np.array_equal(sheets_of(*second), wanted)
    wanted[5] = line(*more)
    assert np.array_equal(sheets_of(*other), wanted) and stray == other


def test_a_stroke_that_is_broken_off_is_kept():
    ends = [under(9, 3), under(9, 20)]
    start = ("event", ".mf-sheet", 0, "pointerdown", under(3, 3))
    script = [start, *[("event", ".mf-sheet", 0, "pointermove", end) for end in ends]]
    painted, dropped = show(
        figure(n_inner_steps=0),
        *[*script, ("read", "canvas", "painted"), ("event", ".mf-sheet", 0, "pointercancel")],
        *[("event", ".mf-sheet", 0, "pointermove", under(20, 20)), DRAWINGS],
    )
    wanted = np.maximum(line((3, 3), (9, 3)), line((9, 3), (9, 20)))
    assert np.array_equal(np.array(painted[0].split(","), int), wanted.ravel())
    assert np.array_equal(sheets_of(*dropped)[0], wanted)


def key(name, k=4, **more):
    return ("event", ".mf-sheet", k, "keydown", {"key": name, **more})


def test_the_keyboard_draws_too():
    keys = [key(" "), key("ArrowRight", shiftKey=True), key("ArrowDown"), key(" ")]
    keys += [key("ArrowLeft"), key("ArrowUp")]
    drawn, lifted, added, gone, ignored = show(
        figure(n_inner_steps=0),
        *[*keys[:3], DRAWINGS, ("wait", 30), *keys[3:], DRAWINGS, ("wait", 30)],
        *[key(" "), ("wait", 30), key("ArrowUp"), DRAWINGS, ("wait", 30)],
        *[key("Delete"), DRAWINGS, ("wait", 30), key("a"), key("Backspace", k=0), DRAWINGS],
    )
    wanted = example().copy()
    wanted[4] = np.maximum(line((14, 14), (18, 14)), line((18, 14), (18, 15)))
    assert np.array_equal(sheets_of(*drawn), wanted) and lifted == drawn
    wanted[4] = np.maximum(wanted[4], line((17, 14), (17, 13)))
    assert np.array_equal(sheets_of(*added), wanted)
    wanted[4] = 0
    assert np.array_equal(sheets_of(*gone), wanted)
    wanted[0] = 0
    assert np.array_equal(sheets_of(*ignored), wanted)


def test_a_cross_shows_where_the_pen_is():
    focus = ("type", ".mf-sheet", 3, "")
    crosses, moved, away = show(
        figure(n_inner_steps=0),
        *[focus, key("ArrowRight", k=3), ("read", "canvas", "filled")],
        *[key("ArrowUp", k=3, shiftKey=True), ("read", "canvas", "filled")],
        *[key("ArrowRight", k=2), ("read", "canvas", "filled")],
    )
    assert crosses == ["", "", "", "12,14,7,1;15,11,1,7;", "", ""]
    assert moved[3] == "12,10,7,1;15,7,1,7;" and away[2] == ""


def test_leaving_a_sheet_lifts_the_pen():
    before, after = show(
        figure(n_inner_steps=0),
        *[key(" "), DRAWINGS, ("wait", 30), ("event", ".mf-sheet", 4, "blur")],
        *[key("ArrowRight"), DRAWINGS],
    )
    assert before == after and sheets_of(*before)[4].any()


def test_how_to_draw_is_told_above_the_sheets():
    [words], [own], pointed = show(
        figure(n_inner_steps=0),
        *[("read", ".mf-help"), ("read", ".mf-help", "id")],
        ("read", ".mf-sheet", "aria-describedby"),
    )
    assert own and pointed == [own] * 6
    assert words.startswith("Draw with mouse, finger or pen;")
    assert "By keyboard: arrow keys move the pen (Shift: four pixels), Space puts" in words


def test_buttons_clear_go_on_and_back():
    traits = ("traits", "seed", "drawings", "n_inner_steps", "alpha")
    one, none, other, back = show(
        figure(n_inner_steps=0),
        *[("event", ".mf-field button", 1, "click"), DRAWINGS],
        *[("press", "Clear all"), DRAWINGS, ("press", "Other characters"), traits],
        *[("slide", "input[type=range]", 0, 7), ("slide", "input[type=range]", 1, -1)],
        *[("press", "Reset"), traits],
    )
    wanted = example().copy()
    wanted[1] = 0
    assert np.array_equal(sheets_of(*one), wanted) and not sheets_of(*none).any()
    assert other == [10, "", 0, 0.2] and back == [9, "", 0, 0.2]


def test_a_judgement_that_goes_on_gives_way_to_the_next():
    other = example(3)
    swapped, cleared = show(
        figure(),
        *[("set", {"drawings": as_text(other)}), ("wait", 3000), STATUS],
        *[("set", {"drawings": ""}), ("press", "Clear all"), ("wait", 3000), STATUS],
    )
    assert swapped == [sentence(other)]
    assert cleared == [f"Character 1 is missing: draw one in its field.{NOTHING}"]


def test_a_stroke_goes_on_while_the_figure_is_drawn_anew():
    down, up = ("event", ".mf-sheet", 1, "pointerdown"), ("event", ".mf-sheet", 1, "pointerup")
    [drawn] = show(
        figure(n_inner_steps=0),
        *[(*down, under(4, 5)), ("set", {"alpha": 0.3}), ("wait", 100)],
        *[("event", ".mf-sheet", 1, "pointermove", under(20, 8)), up, DRAWINGS],
    )
    assert np.array_equal(sheets_of(*drawn)[1], line((4, 5), (20, 8)))


def test_nothing_goes_on_once_the_figure_is_left():
    before, after = show(figure(), ("wait", 50), ("left",), ("leave",), ("left",))
    assert before[0] > 0 and after == [0, 0, 0, 0]


def test_sliders_reach_what_python_allows():
    ends = [("read", "input[type=range]", name) for name in ("min", "max")]
    lows, highs, labels, scale, values = show(figure(), *ends, *SLIDERS)
    assert labels == ["inner steps", "inner rate α"] and values == [*("2, beyond training", "0.20")]
    assert [float(v) for v in scale] == [1, 0.02]
    steps, alpha = DrawIt.n_inner_steps, DrawIt.alpha
    for found, end in ((lows, "min"), (highs, "max")):
        wanted = [getattr(steps, end), getattr(alpha, end)]
        assert [float(found[0]), 10 ** float(found[1])] == pytest.approx(wanted)
