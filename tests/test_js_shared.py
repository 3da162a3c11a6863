"""What the figures share, beyond the networks of test_javascript.py: numbers, words, time."""

import re

import numpy as np
import pytest
import torch
import traitlets
from node import as_sent, assert_all_close, flat, relative_error, run_node
from page import STATUS, Frame, assert_drawn, show
from scipy.special import softmax

from maml_teach import widgets
from maml_teach.widgets import FamilyMap, MetaLandscape, Playground, Training, TwoLoops
from maml_teach.widgets.base import Figure

MINUS = "\u2212"


@pytest.mark.parametrize("columns", [1, 3, 4, 6, 9])
def test_products_of_matrices_with_zeros(columns):
    rng = np.random.default_rng(columns)
    a = rng.normal(size=(5, 7)) * rng.integers(0, 2, size=(5, 7))
    b, start = rng.normal(size=(7, columns)), rng.normal(size=(5, columns))
    plain = {"data": [0.5, *flat(a)], "start": 1, "row": 7, "column": 1}
    turned = {"data": flat(a.T), "start": 0, "row": 1, "column": 5}
    cases = [
        ("product", [flat(start), seen, [8.0, 8.0, *flat(b)], 2, 5, 7, columns])
        for seen in (plain, turned)
    ]
    assert_all_close("shared", cases, [start + a @ b] * 2)


def test_angles_at_their_limits():
    pairs = [([1, 2], [2, 4]), ([1, 2], [-3, -6]), ([1, 0], [1, 1]), ([0, 0], [1, 1])]
    *angles, none = run_node("shared", [("angleBetween", list(pair)) for pair in pairs])
    assert np.allclose(angles, [0, 180, 45], atol=1e-5) and none is None  # NaN, in JSON


def test_a_quadratic_is_known_from_six_values():
    coefficients = dict(zip("abcdef", (2.0, -1.5, 0.7, -1.0, 0.3, 4.0), strict=True))
    low, high = np.linalg.eigvalsh([[2.0, -0.75], [-0.75, 0.7]])
    found, value, bottom, axes = run_node(
        "shared",
        [
            ("quadratic", [coefficients]),
            ("quadraticValue", [coefficients, [1.5, -2.0]]),
            ("quadraticMinimum", [coefficients]),
            ("quadraticAxes", [{**coefficients, "a": 0.7, "c": 2.0}]),
        ],
    )
    assert found == pytest.approx(coefficients, rel=1e-12)
    assert value == pytest.approx(4.5 + 4.5 + 2.8 - 1.5 - 0.6 + 4.0, rel=1e-12)
    assert np.allclose(bottom["point"], np.linalg.solve([[4.0, -1.5], [-1.5, 1.4]], [1.0, -0.3]))
    assert [axes["small"], axes["large"]] == pytest.approx([low, high], rel=1e-12)
    lead = np.array([np.cos(axes["angle"]), np.sin(axes["angle"])])
    assert np.allclose(np.array([[0.7, -0.75], [-0.75, 2.0]]) @ lead, high * lead)


@pytest.mark.parametrize(("side", "stride"), [(3, 1), (3, 2), (1, 1), (5, 2)])
def test_convolutions_there_and_back_are_those_of_torch(side, stride):
    rng = np.random.default_rng(side)
    n, n_in, n_out, size = 2, 3, 4, 7
    weights = torch.tensor(rng.normal(size=(n_out, n_in, side, side)), requires_grad=True)
    images = torch.tensor(rng.normal(size=(n, n_in, size, size)), requires_grad=True)
    out = torch.nn.functional.conv2d(images, weights, stride=stride, padding=side // 2)
    received = torch.tensor(rng.normal(size=out.shape))
    out.backward(received)
    layer = {"nIn": n_in, "nOut": n_out, "size": size, "side": side, "stride": stride, "w": 2}
    last = lambda x: flat(x.detach().numpy().transpose(0, 2, 3, 1))  # noqa: E731
    given = [layer, [9.0, 9.0, *flat(weights.detach())], last(images), n, last(received)]
    [answer] = run_node("shared", [("convolution", given)])
    assert relative_error(answer["z"], last(out)) < 1e-9
    assert relative_error(answer["below"], last(images.grad)) < 1e-9
    assert answer["grad"][:2] == [0, 0]
    assert relative_error(answer["grad"][2:], flat(weights.grad)) < 1e-9


def test_softmax_and_the_size_of_a_network():
    scores = np.array([[1.0, 2.0, 3.0], [1000.0, -1000.0, 1000.0]])
    cases = [("softmax", [flat(scores), 3]), ("nParams", [5, 8])]
    n_params = 8 * 9 + 3 * 8 * 8 * 9 + 4 * 2 * 8 + 5 * 4 * 8 + 5
    assert_all_close("shared", cases, [softmax(scores, axis=1), n_params])


def test_float32_numbers_are_read_from_where_they_lie():
    numbers = np.array([1.5, -2.25, 1e-3], np.float32)
    assert_all_close("shared", [("floats", [as_sent(numbers.tobytes())])], [numbers.astype(float)])


@pytest.mark.parametrize(
    ("function", "cases"),
    [
        (
            "format",
            [
                ((1.5,), "1.50"),
                ((-2.0,), f"{MINUS}2.00"),
                ((-0.001,), "0.00"),
                ((-0.01, 2), f"{MINUS}0.01"),
                ((-0.4, 0), "0"),
                ((3.14159, 3), "3.142"),
            ],
        ),
        (
            "formatLoss",
            [
                (("0.0123",), "0.012"),
                (("0.45",), "0.450"),
                (("0.1",), "0.100"),
                (("41.27",), "41.3"),
                (("100",), "100"),
                (("9999",), "9999"),
                (("10000",), "1.0e4"),
                (("123456",), "1.2e5"),
                (("0.001",), "0.0010"),
                (("0.0009",), "9.0e-4"),
                (("0",), "0.0"),
                (("Infinity",), "infinite"),
                (("NaN",), "infinite"),
            ],
        ),
        ("shortPower", [((999,), "999"), ((1000,), "1k"), ((0.01,), "0.01"), ((25000,), "25k")]),
        ("decades", [((-2, 1), [0.01, 0.1, 1, 10]), ((0, 0), [1])]),
        (
            "readNumber",
            [
                ((" 3 ", {"min": 1, "max": 5, "step": 1}), {"value": 3}),
                (("1", {"min": 1, "max": 5, "step": 0.5}), {"value": 1}),
                (("5", {"min": 1, "max": 5, "step": 0.5}), {"value": 5}),
                (("2.25", {"min": 1, "max": 5, "step": 0.5}), {"value": 2.25}),
            ],
        ),
        ("nearest", [(([0.1, 1, 10], 0.3), 0), (([0.1, 1, 10], 0.4), 1), (([1, 2], 9), 1)]),
        (
            "spread",
            [
                (([10, 90], 15, 0, 100), [10, 90]),
                (([50, 50, 50], 10, 0, 100), [50, 60, 70]),
                (([99, 98, -5], 10, 0, 100), [100, 90, 0]),
                (([3, 1, 2], 10, 0, 20), [20, 0, 10]),
            ],
        ),
    ],
)
def test_numbers_and_words_of_the_controls(function, cases):
    answers = run_node("shared", [(function, list(given)) for given, _ in cases])
    assert answers == [wanted for _, wanted in cases]


FRAME = {"left": 0, "right": 200, "top": 0, "bottom": 100}
DISC = {"left": 90, "right": 110, "top": 40, "bottom": 60}


@pytest.mark.parametrize(
    ("given", "taken", "wanted"),
    [
        ([{"point": [100, 50]}], [], [["visible", 110, 54, "start"]]),
        ([{"point": [100, 50], "leftwards": True}], [], [["visible", 90, 54, "end"]]),
        # A second one at the same place, and one that has no room at the right edge.
        (
            [{"point": [100, 50]}] * 2,
            [DISC],
            [["visible", 110, 54, "start"], ["visible", 90, 54, "end"]],
        ),
        ([{"point": [175, 50]}], [], [["visible", 165, 54, "end"]]),
        # Between two others beside it there is room above, then below.
        (
            [{"point": [100, 50]}] * 4,
            [DISC],
            [
                ["visible", 110, 54, "start"],
                ["visible", 90, 54, "end"],
                ["visible", 100, 37, "middle"],
                ["visible", 100, 71, "middle"],
            ],
        ),
        ([{"point": [100, 50], "width": 300}], [], [["hidden", 0, 0, "start"]]),
        ([{"point": [100, 50], "width": 0}], [], [["hidden", 0, 0, "start"]]),
        ([{"point": [100, 50]}], [FRAME], [["hidden", 0, 0, "start"]]),
    ],
)
def test_a_label_takes_the_first_free_spot_or_is_not_shown(given, taken, wanted):
    asked = [{"width": 30, "gaps": [10], **one} for one in given]
    assert run_node("shared", [("settled", [asked, taken, FRAME])]) == [wanted]


def test_a_label_without_room_nearby_goes_farther_off():
    around = {"left": 60, "right": 140, "top": 20, "bottom": 90}
    asked = [{"width": 30, "gaps": [10, 45], "point": [100, 50]}]
    answers = run_node("shared", [("settled", [asked, [around], FRAME])])
    assert answers == [[["visible", 145, 54, "start"]]]


def test_a_letter_is_shown_where_no_disc_above_reaches_it():
    discs = [{"at": [0, 0], "r": 10}, {"at": [17.4, 0], "r": 8}, {"at": [0, 17.6], "r": 8}]
    discs += [{"at": [0, 18], "r": 8}]
    frame = {"left": 5, "top": 7, "width": 20, "height": 30}
    answers = run_node("shared", [("lettered", [discs]), ("frameOf", [frame])])
    assert answers[0] == [True, False, True, False]
    assert answers[1] == {"left": 5, "right": 25, "top": 7, "bottom": 37}


def test_sliders_stand_for_values_and_back():
    shots, log = {"step": 0.5, "digits": 1}, {"log": True, "step": 0.001, "digits": 3}
    cases = [
        ("fromPosition", [2.8, shots]),
        ("fromPosition", [-1.3, log]),
        ("toPosition", [0.01, log]),
        ("toPosition", [0.01, shots]),
    ]
    assert_all_close("shared", cases, [3.0, 0.05, -2, 0.01])


REEL = {"start": "Play", "last": 5, "stride": 2, "milliseconds": 40}


def test_a_film_runs_to_its_last_picture_and_then_from_the_first():
    acts = ["toggle", "tick", "toggle", "toggle", "tick", "tick", "toggle", "tick", "rewind"]
    pause = "❚❚ Pause"
    assert run_node("shared", [("filmed", [REEL, acts, False])]) == [
        [
            [0, pause, 40, 0],
            [2, pause, 40, 1],
            [2, "Play", None, 1],
            [2, pause, 40, 1],
            [4, pause, 40, 2],
            [5, "Play", None, 3],
            [0, pause, 40, 3],
            [2, pause, 40, 4],
            [0, "Play", None, 4],
        ]
    ]


def test_a_film_that_is_not_to_move_shows_its_end_and_its_start():
    acts, back = ["toggle", "toggle", "toggle", "rewind"], "↺ Back to the start"
    pictures = [[5, back, None, 1], [0, "Play", None, 2], [5, back, None, 3], [0, "Play", None, 3]]
    assert run_node("shared", [("filmed", [REEL, acts, True])]) == [pictures]


SLIDE = {"trait": "load", "label": "load, kg", "min": 0.5, "max": 4, "step": 0.5, "digits": 1}


@pytest.mark.parametrize(
    ("trained", "words", "beyond"),
    [
        ([0, 2], "up to 2.0 kg", [2.5, 4]),
        ([0.5, 2], "up to 2.0 kg", [2.5, 4]),
        ([1.5, 4], "from 1.5 kg", [0.5, 1]),
        ([1, 2.5], "1.0 to 2.5 kg", [0.5, 3, 4]),
        ([1, 1], "only 1.0 kg", [0.5, 1.5]),
        ([0, 5], "up to 5.0 kg", []),
        (None, None, []),
    ],
)
def test_what_training_saw_is_told_apart_from_what_is_beyond(trained, words, beyond):
    values = [0.5, 1, 1 + 1e-12, 1.5, 2, 2.5, 3, 4]
    known = {} if trained is None else {"load": trained}
    [[ranged]] = run_node("shared", [("withTraining", [[SLIDE], {"trained": known}])])
    assert ranged == {**SLIDE, **({} if trained is None else {"trained": trained})}
    found = run_node("shared", [("isBeyond", [value, ranged]) for value in values])
    seen = [value for value, far in zip(values, found, strict=True) if far]
    assert set(beyond) <= set(seen) and not any(
        low <= v <= high for v in seen for low, high in [trained]
    )
    states = [{"load": value, "trained": known} for value in values]
    said = run_node("shared", [("beyondTraining", [state, [SLIDE]]) for state in states])
    assert said == [
        f" Beyond training: load (in training {words})." if far else "" for far in found
    ]


@pytest.mark.parametrize(("trained", "end"), [([1, 2], 4), ([1.5, 4], 0.5), ([0, 5], 4), (None, 4)])
def test_a_slider_at_its_end_is_beyond_training_where_it_goes_so_far(trained, end):
    tilt = {"trait": "tilt", "label": "tilt", "min": -10, "max": 10, "step": 1, "digits": 0}
    known = {"trained": {} if trained is None else {"load": trained}, "seed": 3}
    given = ("atTheirEnds", [known, [SLIDE, tilt], ["load", "tilt", "seed"]])
    assert run_node("shared", [given]) == [[end, -10, 3]]  # the longer of two ends within


def test_harm_is_named_as_far_as_the_digits_tell():
    cases = [(1, 1.04, 1), (1, 1.06, 1), (2, 1, 1), (-0.5, -0.4, 2, " here"), (1, 1, 0)]
    worse = " Adapting made it worse"
    assert run_node("shared", [("harmed", list(one)) for one in cases]) == [
        *("", f"{worse}.", "", f"{worse} here.", "")
    ]


# Those that say what their start was trained on; a figure with the trait is found by itself.
TRAINED = [
    cls
    for cls in vars(widgets).values()
    if isinstance(cls, type) and issubclass(cls, Figure) and cls.class_traits().get("trained")
]


def settings_of(cls):
    """Of each slider the setting, its ends, and what training saw of it."""
    made, kinds = cls.from_package(), cls.class_traits()
    names = [
        name for name in made.trained if isinstance(kinds[name], traitlets.Int | traitlets.Float)
    ]
    return made, {name: (kinds[name].min, kinds[name].max, *made.trained[name]) for name in names}


@pytest.mark.parametrize("cls", TRAINED, ids=lambda cls: cls.__name__)
def test_sliders_are_marked_where_training_ends_and_say_so(cls):
    """Drawn below the track, said to listeners and in the read-out; for every value at the ends."""
    made, settings = settings_of(cls)
    marked = {k: v for k, v in settings.items() if v[0] < v[2] or v[1] > v[3]}
    bars = [("read", "input[type=range]", name) for name in ("id", "aria-describedby")]
    reads = [("read", ".mf-trained-words", name) for name in ("id", "text")]
    ids, described, words, _, styles = show(made, *bars, *reads, ("read", ".mf-trained", "style"))
    names = [name.removeprefix("mf-").rpartition("-")[0] for name in ids]
    told = {name: at for name, at in zip(names, described, strict=True) if at}
    assert set(told) == set(marked) != set() and sorted(told.values()) == sorted(words)
    for place, style in zip(words, styles, strict=True):
        least, most, low, high = marked[next(name for name, at in told.items() if at == place)]
        ends = np.clip([(v - least) / (most - least) for v in (low, high)], 0, 1)
        assert [float(v) for v in re.findall(r"[\d.]+", style)] == pytest.approx(ends, abs=1e-4)


@pytest.mark.parametrize(
    ("cls", "name", "end"),
    [(cls, name, end) for cls in TRAINED for name, ends in settings_of(cls)[1].items()
     for end in range(2) if not ends[2] <= ends[end] <= ends[3]],
)  # fmt: skip
def test_a_value_beyond_training_is_said_at_its_slider_and_in_the_read_out(cls, name, end):
    _, settings = settings_of(cls)
    at = ("read", ".mf-trained-words")
    far = cls.from_package(**{name: settings[name][end]})
    before, ids, said, words, status = show(
        *(far, ("read", ".mf-beyond label"), ("read", "input[type=range]", "id")),
        *(("read", "input[type=range]", "aria-valuetext"), at, ("wait", 20_000), STATUS),
    )
    spoken = {
        one.removeprefix("mf-").rpartition("-")[0]: text
        for one, text in zip(ids, said, strict=True)
    }
    assert spoken[name].endswith(", beyond training")
    assert sum(text.endswith("beyond training") for text in said) == len(before)
    assert len(words) >= len(before) and all(text.startswith("in training: ") for text in words)
    _, _, tail = status[0].partition(" Beyond training: ")
    assert tail.count("(in training") == len(before) and len(before) >= 1
    assert all(label.split(", ")[0] in tail for label in before)


def plumb(theta):
    """Where the picture of the landscape has theta, from the pixels of its line."""
    frame = Frame(370, (6, 10, 36, 28), (-3, 3), (-1.14, 2.4))
    return round(float(frame.px(theta)), 1)


def test_a_change_is_drawn_at_once_and_the_next_ones_once_per_frame():
    line = ("read", "path.mf-plumb", "d")
    lines = show(
        MetaLandscape(),
        *[("wait", 20), ("set", {"theta": 1.0}), line, ("set", {"theta": 2.0}), line],
        *[("set", {"theta": -1.0}), ("wait", 16), line],
    )
    assert [one[0].split(" ")[0] for one in lines] == [f"M{plumb(x)}" for x in (1, 1, -1)]


def test_the_sentence_is_said_twice_a_second_at_most():
    status = ("read", "[role=status]")
    first, soon, late, latest = show(
        MetaLandscape(),
        *[status, ("set", {"theta": 1.0}), ("wait", 100), status, ("set", {"theta": 2.0})],
        *[("wait", 450), status, ("set", {"theta": -1.0}), ("wait", 600), status],
    )
    assert first == soon and "θ = 0.35." in first[0]
    assert "θ = 2.00." in late[0] and f"θ = {MINUS}1.00." in latest[0]


def test_what_a_figure_is_called_and_that_nothing_of_it_is_left():
    change = ("set", {"theta": 1.0})
    names, roles, classes, before, after = show(
        MetaLandscape(),
        *[("read", ".maml-figure", name) for name in ("aria-label", "role", "class")],
        *[
            ("left",),
            change,
            change,
            ("set", {"alpha": 0.5}),
            ("leave",),
            ("wait", 2000),
            ("left",),
        ],
    )
    assert names[0].startswith("Meta-landscape: ") and roles == ["group"]
    assert classes == ["maml-figure mf-landscape"]
    assert before[1] > 0 and before[2] == 3 and after == [0, 0, 0, 0]


def test_controls_show_and_set_their_trait():
    bars, fields = ("read", "input[type=range]", "value"), ("read", "input[type=number]", "value")
    texts = ("read", "input[type=range]", "aria-valuetext")
    bar, field, said, slid, typed, message, kept, back, chosen = show(
        MetaLandscape(),
        *[bars, fields, texts],
        *[("slide", "input[type=range]", 0, 0.347), ("traits", "alpha")],
        *[("type", "input[type=number]", 0, "0.25"), ("traits", "alpha")],
        *[("type", "input[type=number]", 0, "7"), ("read", ".mf-message")],
        ("traits", "alpha"),
        *[("event", "input[type=number]", 0, "blur"), fields],
        *[("check", "input[value=quartic]", 0, True), ("traits", "shape")],
    )
    assert bar == field == ["0.2", "1", "0.8", "2.5", "5.8"]
    assert said == ["0.20", "1", "0.8", "2.5", "5.8"]
    assert slid == [0.35] and typed == kept == [0.25] and chosen == ["quartic"]
    assert message == ["Please give a number from 0.01 to 1.", "", "", "", ""]
    assert back == ["0.25", "1", "0.8", "2.5", "5.8"]


def test_a_change_from_python_reaches_the_controls():
    bars = ("read", "input[type=range]", "value")
    checked = ("read", "input[type=radio]", "checked")
    first, then, marks = show(
        MetaLandscape(), bars, ("set", {"alpha": 0.5, "shape": "quartic"}), bars, checked
    )
    assert first[0] == "0.2" and then[0] == "0.5" and then[1:] == first[1:]
    assert marks == [False, True]


def test_axes_stand_where_their_ticks_say():
    lines, texts, x, y, *clip = show(
        MetaLandscape(),
        ("read", ".mf-arrivals path.mf-grid-line", "d"),
        *[("read", ".mf-arrivals .mf-axes text", name) for name in ("text", "x", "y")],
        *[("read", ".mf-arrivals clipPath rect", name) for name in ("x", "y", "width", "height")],
    )
    assert clip == [["34"], ["8"], ["296"], ["160"]]
    frame = Frame(204, (8, 10, 36, 34), (0, 2.5), (-1.5, 1.5))
    ticks = np.arange(0, 2.6, 0.5)
    across, down = frame.px(ticks), frame.py(np.array([-1, 0, 1]))
    assert np.allclose([float(line[1:].split(" ")[0]) for line in lines[:6]], across)
    assert [line.split(" ")[1] for line in lines[:6]] == ["8v160"] * 6
    assert np.allclose([float(line.split(" ")[1].split("h")[0]) for line in lines[6:]], down)
    assert texts[:9] == ["0", "0.5", "1", "1.5", "2", "2.5", f"{MINUS}1", "0", "1"]
    assert texts[9:] == ["\u03b1 · curvature", "dθ\u2032/dθ"]
    assert np.allclose(np.array(x[:6], float), across) and y[:6] == ["185"] * 6
    assert x[6:9] == ["28"] * 3 and np.allclose(np.array(y[6:9], float), down + 4)
    assert (x[9], y[9]) == ("182", "199")


def decimals(number):
    return len(str(number).partition(".")[2])


@pytest.mark.parametrize(
    "make",
    [MetaLandscape, Playground.from_package, Training, TwoLoops],
    ids=["landscape", "playground", "training", "two_loops"],
)
def test_sliders_reach_what_their_trait_allows_and_say_it_to_its_step(make):
    made = make()
    bars = [("read", "input[type=range]", name) for name in ("id", "step", "aria-valuetext")]
    fields = [("read", "input[type=number]", name) for name in ("min", "max", "value")]
    for name, step, said, low, high, value in zip(*show(made, *bars, *fields), strict=True):
        trait = name.removeprefix("mf-").rpartition("-")[0]
        kind, given = made.traits()[trait], getattr(made, trait)
        most = len(made.tasks) if trait == "batch_size" else kind.max
        assert float(high) == pytest.approx(most, abs=0.002)
        assert float(low) == kind.min and float(value) == pytest.approx(given)
        log = step == "0.02" and trait != "phase"
        assert decimals(said) == decimals(low if log else step)
        assert float(said) == pytest.approx(given, abs=10.0 ** -decimals(said) / 2)


def as_number(text):
    try:
        return float(text.replace(MINUS, "-").replace("k", "e3").replace(",", ""))
    except ValueError:
        return None


@pytest.mark.parametrize(
    "make",
    [FamilyMap.from_package, MetaLandscape, Playground.from_package, Training, TwoLoops],
    ids=["family_map", "landscape", "playground", "training", "two_loops"],
)
def test_ticks_stand_in_the_order_of_their_numbers(make):
    """To the right along one axis, upwards along the other; never two in one place."""
    reads = [("read", ".mf-axes text", name) for name in ("text", "x", "y", "text-anchor")]
    axes = []
    wide = [("width", 500), ("wait", 20)]  # laid out anew
    for text, x, y, anchor in zip(*show(make(), *wide, *reads), strict=True):
        value, across = as_number(text), anchor == "middle"
        if value is None:
            continue
        if not axes or axes[-1][0] != across:
            axes.append((across, []))
        axes[-1][1].append((value, float(x) if across else -float(y)))
    assert len(axes) >= 4
    for _, ticks in axes:
        values, places = np.transpose(ticks)
        assert (np.diff(values) > 0).all() and (np.diff(places) > 0).all()


def test_a_point_is_moved_by_keys_within_the_picture():
    keys = [{"key": "ArrowRight"}, {"key": "ArrowLeft"}, {"key": "ArrowLeft", "shiftKey": True}]
    keys += [{"key": "ArrowUp"}, {"key": "a"}]
    script = [(("event", "g.mf-drag", 3, "keydown", key), ("traits", "theta")) for key in keys]
    steps = [step for pair in script for step in (*pair, ("wait", 20))]
    words = [("read", "g.mf-drag", name) for name in ("aria-valuenow", "aria-valuetext")]
    *moved, now, said = show(MetaLandscape(theta=-2.8), *steps, *words)
    assert np.allclose(np.ravel(moved), [-2.75, -2.8, -3, -3, -3])
    assert now[3] == "-3.00" and said[3].startswith(f"{MINUS}3.00, F ")


def test_far_points_are_held_where_browsers_still_draw_them():
    figure = MetaLandscape(alpha=1.0, n_inner_steps=10, shape="quartic")
    [path] = show(figure, ("read", ".mf-panel path.mf-objective", "d"))
    y = [float(pair.split(" ")[1]) for pair in path[0][1:].split("L")]
    assert len(y) == 321 and min(y) == -5000.0
    assert_drawn(path[0][: path[0].index("L")], [[28.0, -5000.0]])
