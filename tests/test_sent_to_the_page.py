"""What Python sends to the page: every byte and list in its place, told apart by its value."""

import json
from functools import partial

import numpy as np
import pytest

from maml_teach import data, widgets
from maml_teach.applications import arm, driving, navigation
from maml_teach.applications.detection import as_bytes
from maml_teach.applications.language import MODEL as READER
from maml_teach.applications.language import shipped_names, shipped_titles
from maml_teach.measures import QUANTITIES
from maml_teach.tasks import Lines, Sinusoids, Task
from maml_teach.widgets import base, flip, front_end
from maml_teach.widgets import detection as find_it
from maml_teach.widgets import drawing as draw_it
from maml_teach.widgets import gradient_gap as gap
from maml_teach.widgets import language as which


def numbers(n, first=0.0):
    """n numbers that float32 holds exactly, each another."""
    return first + np.arange(n) / 16


def float32(sent):
    return np.frombuffer(sent, "<f4")


TWO = {
    "arm": (widgets.LiftIt, arm.MODEL, ("arm maml", "arm joint")),
    "driving": (widgets.DriveIt, driving.MODEL, ("maml", "joint")),
    "navigation": (widgets.ReachIt, navigation.MODEL, ("policy maml", "policy joint")),
}


@pytest.mark.parametrize("name", TWO)
def test_two_starts_are_sent_each_under_its_name(name):
    cls, network, keys = TWO[name]
    n = network.n_params
    figure = cls(numbers(n), numbers(n, 5), start="joint")
    assert np.array_equal(float32(figure.maml), numbers(n))
    assert np.array_equal(float32(figure.joint), numbers(n, 5))
    assert (figure.sizes, figure.start) == (list(network.sizes), "joint")
    saved = data.load({"arm": "robot", "navigation": "robot"}.get(name, name))
    shipped = cls.from_package()
    assert np.array_equal(float32(shipped.maml), saved[keys[0]].astype("<f4"))
    assert np.array_equal(float32(shipped.joint), saved[keys[1]].astype("<f4"))
    assert shipped.start == "maml"
    for wrong in ((numbers(n - 1), numbers(n)), (numbers(n), np.full(n, np.inf))):
        with pytest.raises(ValueError, match=r"maml has shape|joint must be finite"):
            cls(*wrong)


RUN = {"n_shots": 30, "n_inner_steps": 7}
SEEN = {
    "driving": {
        "grip": driving.RANGES["grip"],
        "wind": driving.RANGES["wind"],
        "pull": tuple(np.degrees(driving.RANGES["bias"])),
        "seconds": (1.5, 1.5),
        "n_inner_steps": (0, 7),
    },
    "arm": {
        "payload": arm.RANGES["payload"],
        "friction": (0, 1),
        "seconds": (1.5, 1.5),
        "n_inner_steps": (0, 7),
    },
    "navigation": {"goal": (-0.5, 0.5), "n_walks": (30, 30), "n_inner_steps": (0, 7)},
}


@pytest.mark.parametrize("name", SEEN)
def test_what_training_saw_is_read_from_its_settings_and_its_tasks(name, monkeypatch):
    """From the settings of the run in the file, and the ranges that its tasks are drawn from."""
    cls, network, keys = TWO[name]
    config = json.dumps(RUN if name == "driving" else {name: RUN})
    stored = {key: numbers(network.n_params) for key in keys} | {"config": config}
    monkeypatch.setattr(base, "load", lambda _: stored)
    found, wanted = cls.from_package().trained, SEEN[name]
    assert found.keys() == wanted.keys()
    assert all(found[key] == pytest.approx(wanted[key]) for key in wanted)
    assert cls.from_package(trained={}).trained == {}
    n = numbers(network.n_params)
    assert cls(n, n).trained == {}  # nobody says what a start of one's own was trained on


def test_what_the_other_trainings_saw_is_sent_too():
    reader, finder = (json.loads(str(data.load(k)["config"])) for k in ("language", "detection"))
    steps = lambda config: (0, config["n_inner_steps"])  # noqa: E731
    assert widgets.WhichLanguageIsThis.from_package().trained == {
        "n_inner_steps": steps(reader),
        "n_shots": (reader["n_shots"],) * 2,
    }
    assert widgets.FindIt.from_package().trained == {
        "n_inner_steps": steps(finder),
        "n_shots": (1, finder["most_shots"]),
    }
    assert widgets.DrawIt.from_package().trained == {"n_inner_steps": (0, 1)}


def test_a_detector_gets_its_scenes_and_boxes_as_they_are_ordered():
    rng = np.random.default_rng(0)
    scenes = rng.integers(0, 64, (2, 9, 48, 48)) / 63
    boxes = np.stack([10 + np.arange(18), 20 + np.arange(18), 0 * np.arange(18) + 8.0] * 2)[:4]
    boxes = boxes.T.reshape(2, 9, 4) * [1, 1, 1, 0.5]
    figure = widgets.FindIt(numbers(find_it.N_PARAMS), scenes, boxes, n_shots=2)
    assert np.array_equal(float32(figure.theta), numbers(find_it.N_PARAMS))
    bytes_sent = np.frombuffer(figure.scenes, np.uint8).reshape(scenes.shape)
    assert np.array_equal(bytes_sent, as_bytes(scenes))
    assert len(np.unique(bytes_sent)) > 30
    assert figure.boxes == boxes.ravel().tolist()
    saved, shipped = data.load("detection"), widgets.FindIt.from_package()
    assert np.array_equal(float32(shipped.theta), saved["maml"].astype("<f4"))
    assert shipped.scenes == saved["scenes"].tobytes()
    assert np.allclose(shipped.boxes, saved["boxes"].ravel(), rtol=1e-12)


def test_the_examples_to_draw_come_with_their_truths():
    rng = np.random.default_rng(0)
    ink = rng.integers(0, 256, (3, 6, 28, 28))
    figure = widgets.DrawIt(numbers(draw_it.N_PARAMS), ink / 255, [3, 0, 4])
    assert np.array_equal(float32(figure.theta), numbers(draw_it.N_PARAMS))
    assert np.array_equal(np.frombuffer(figure.examples, np.uint8).reshape(ink.shape), ink)
    assert figure.truths == [3, 0, 4]
    saved, shipped = data.load("images"), widgets.DrawIt.from_package()
    assert shipped.examples == saved["examples"].tobytes()
    assert shipped.truths == saved["truths"].tolist()
    assert len(set(shipped.truths)) > 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_enough(bad):
    theta = numbers(READER.n_params)
    theta[-1] = bad
    with pytest.raises(ValueError, match="start must be finite"):
        base.checked_start("start", theta, READER.n_params)


@pytest.mark.parametrize("ink", [-0.01, 1.01, np.nan])
def test_ink_beyond_black_and_white_is_refused(ink):
    examples = np.zeros((1, 6, 28, 28))
    examples[0, 5, 27, 27] = ink
    with pytest.raises(ValueError, match="ink from 0 to 1"):
        widgets.DrawIt(numbers(draw_it.N_PARAMS), examples, [0])


@pytest.mark.parametrize("truths", [[5], [-1], [0, 1], [1.5]])
def test_truths_are_places_among_the_five(truths):
    with pytest.raises(ValueError, match="truths must hold"):
        widgets.DrawIt(numbers(draw_it.N_PARAMS), np.zeros((1, 6, 28, 28)), truths)


def named(n=40):
    return {name: [f"{name}{k:02d}" for k in range(n)] for name in "abcde"}


def test_texts_asked_about_are_no_samples():
    figure = widgets.WhichLanguageIsThis(
        numbers(READER.n_params), named(), {"a": "A!"}, sets=["abcde", "edcba"]
    )
    first, second = figure.sets
    assert [language["title"] for language in first] == ["A!", "b", "c", "d", "e"]
    assert [language["title"] for language in second] == ["e", "d", "c", "b", "A!"]
    for language, letter in zip(first, "abcde", strict=True):
        own = set(named()[letter])
        words = [w for kind in ("samples", "asked") for t in language[kind] for w in t.split(", ")]
        assert len(words) == len(set(words)) == 20  # every name once, in one text of two
        assert set(words) <= own
        assert len(language["samples"]) == len(language["asked"]) == 5
        assert {f"{letter}00", f"{letter}39"} <= set(words)  # from the whole list
    half = np.frombuffer(figure.theta, "<f2")
    assert np.array_equal(half, numbers(READER.n_params).astype(np.float16))


def test_the_shipped_languages_are_test_languages_under_their_titles():
    figure, names, titles = (
        *(widgets.WhichLanguageIsThis.from_package(), shipped_names("test"), shipped_titles()),
    )
    for shown, five in zip(figure.sets, which.SETS, strict=True):
        for language, name in zip(shown, five, strict=True):
            assert language["title"] == titles[name]
            words = {w for t in language["samples"] + language["asked"] for w in t.split(", ")}
            assert words <= set(names[name])
    assert len({name for five in which.SETS for name in five}) == 30
    saved = data.load("language")["maml"]
    assert np.array_equal(np.frombuffer(figure.theta, "<f2"), saved.astype(np.float16))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sets": ["abcd"]}, "five different languages"),
        ({"sets": ["aabcd"]}, "five different languages"),
        ({"sets": ["abcdx"]}, "names must hold 20 names of 'x', got 0"),
        ({"names": named(19)}, "names must hold 20 names of 'a', got 19"),
        ({"theta": np.zeros(3)}, "theta has shape"),
    ],
)
def test_languages_that_cannot_be_shown_are_named(change, message):
    usual = {"theta": numbers(READER.n_params), "names": named(), "titles": {}, "sets": ["abcde"]}
    widgets.WhichLanguageIsThis(**(usual | {"names": named(20)}))
    with pytest.raises(ValueError, match=message):
        widgets.WhichLanguageIsThis(**(usual | change))


def curves(*names, first=0):
    """Measurements of 3 seeds, 2 tasks, 4 places, each another."""
    return {
        name: 100.0 * (first + k) + numbers(24).reshape(3, 2, 4) ** 2
        for k, name in enumerate(names)
    }


def test_each_claim_sends_its_curves_its_starts_and_its_axis():
    from maml_teach.reporting import band

    config = {"alpha": 0.25, "frequencies": [1, 2, 3, 4], "shift_steps": [0, 1, 2, 5]}
    config["alphas"] = [0.1, 0.2, 0.3, 0.4]
    stored = {"config": json.dumps(config)}
    for k, (_, rows) in enumerate(widgets.claims.CLAIMS.values()):
        stored |= curves(*(name for name, *_ in rows), first=10 * k)
    n = base.WAVE_NETWORK.n_params
    kinds = ("maml", "matched", "shifted")
    stored |= {f"start {name}": numbers(2 * n, k).reshape(2, n) for k, name in enumerate(kinds)}
    stored |= {f"curvature {k}": np.array([[3.0, 1.0], [2.0, 9.0]]) * s for k, s in CURVED.items()}
    for claim, (places, rows) in widgets.claims.CLAIMS.items():
        figure = widgets.OnTrial(stored, claim)
        assert figure.places == config[places]
        assert figure.inner_rate == 0.25
        assert [name for name, *_ in figure.series] == [row[1] for row in rows]
        wanted = [band(stored[name]) for name, *_ in rows]
        assert np.allclose(float32(figure.curves), np.ravel(wanted), rtol=1e-6)
        starts = [stored[f"start {name}"][0] for name in widgets.claims.STARTS[claim]]
        assert np.array_equal(float32(figure.starts), np.ravel(starts))
    both = np.outer(list(CURVED.values()), [1.0, 2.0, 3.0, 9.0])
    assert np.array_equal(float32(figure.curvatures).reshape(2, 4), both)
    assert figure.n_curvatures == 4


CURVED = {"random": 1.0, "maml": 4.0}


def test_two_loops_sends_each_task_by_itself():
    tasks = Lines().sample(np.random.default_rng(0), 4, 3, 5)
    sent = widgets.TwoLoops(tasks).tasks
    for t, task in enumerate(sent):
        assert {name: list(values) for name, values in task.items()} == {
            name: getattr(tasks, name)[t, :, 0].tolist() for name in vars(tasks)
        }
    usual = widgets.TwoLoops()
    assert len(usual.tasks) == usual.batch_size == 5
    six = Lines().sample(np.random.default_rng(0), 6, 3, 5)
    assert widgets.TwoLoops(six).batch_size == 6
    for n in (1, 7):
        with pytest.raises(ValueError, match="tasks must hold 2 to 6 tasks"):
            widgets.TwoLoops(Lines().sample(np.random.default_rng(0), n, 3, 5))


def test_the_gradient_gap_keeps_starts_rates_steps_and_batches_apart():
    rng = np.random.default_rng(0)
    starts = {name: base.WAVE_NETWORK.init(rng) for name in reversed(gap.STARTS)}
    batches = [Sinusoids().sample(rng, 3, 4, 5) for _ in range(2)]
    figure = widgets.GradientGap(starts, batches)
    shape = (3, len(gap.ALPHAS), gap.MAX_STEPS, 2, len(QUANTITIES))
    assert tuple(figure.shape) == shape
    grid = float32(figure.grid).reshape(shape)
    loss = partial(base.WAVE_NETWORK.loss)
    for s, a, k, b in ((0, 0, 0, 0), (1, 4, 2, 1), (2, 7, 9, 0), (2, 3, 0, 1)):
        theta = starts[gap.STARTS[s]].astype(np.float32)
        settings = {"alpha": gap.ALPHAS[a], "n_inner_steps": k + 1}
        batch = gap._as_float32(batches[b])
        wanted = gap.gradient_gap(base.WAVE_NETWORK, theta, batch, **settings)[k]
        assert np.allclose(grid[s, a, k, b], wanted, rtol=1e-4, equal_nan=True)
    for before, name in zip(figure.losses_before, gap.STARTS, strict=True):
        means = [loss(starts[name], b.x_query, b.y_query).mean() for b in batches]
        assert before == pytest.approx(np.mean(means), rel=1e-5)


def test_the_usual_batches_differ_and_follow_their_seed():
    batches = gap.sinusoid_batches(3, 2, 4)
    rng = np.random.default_rng(3)
    for batch in batches:
        wanted = Sinusoids().sample(rng, 4, 10, 10)
        assert np.array_equal(batch.y_query, wanted.y_query)
    usual, first = gap.sinusoid_batches(), Sinusoids().sample(np.random.default_rng(0), 25, 10, 10)
    assert len(usual) == 5 and np.array_equal(usual[0].y_query, first.y_query)


def test_the_family_map_sends_its_grid_in_order():
    mse = np.exp(numbers(2 * 3 * 2 * 4)).reshape(2, 3, 2, 4)
    axes = (["A", "B"], [0.1, 0.2, 0.4], [0.01, 0.1])
    figure = widgets.FamilyMap(mse, *axes, n_meta_steps=30)
    assert np.array_equal(float32(figure.grid).reshape(mse.shape), mse.astype("<f4"))
    assert figure.shape == [2, 3, 2, 4]
    assert (figure.names, figure.alphas, figure.betas) == axes
    assert figure.reference == pytest.approx(np.median(mse[..., 0]), rel=1e-6)
    assert (figure.algorithm, figure.alpha, figure.beta, figure.n_meta_steps) == ("B", 0.2, 0.1, 30)


def test_a_case_is_sent_with_null_for_what_diverged():
    right = flip.Outcome([(0.0, 1.0), (1.0, 2.0)], "good", 0.5)
    wrong = flip.Outcome([(0.0, 3.0), (1.0, np.inf)], "bad", 9.0)
    labels = {"x_label": "X", "y_label": "Y", "value_label": "V", "caught_by": "C"}
    made = [flip.Case(n, f"t{n}", "r", "w", right, wrong, **labels) for n in (4, 2)]
    figure = widgets.FlipMistake(made)
    assert (figure.mistake, figure.version) == (4, "wrong")
    first = figure.cases[0]
    assert first["right"] == {"points": [[0, 1], [1, 2]], "verdict": "good", "value": 0.5}
    assert first["wrong"] == {"points": [[0, 3], [1, None]], "verdict": "bad", "value": 9}
    lines = [["right", [["r", True]]], ["wrong", [["w", True]]]]
    wanted = {"number": 4, "title": "t4", "diff": lines}
    assert {key: first[key] for key in wanted | labels} == wanted | labels
    assert first["log_y"] is False
    with pytest.raises(ValueError, match="there is no case number 3"):
        widgets.FlipMistake(made, mistake=3)
    with pytest.raises(ValueError, match="numbers of their own"):
        widgets.FlipMistake([made[0], made[0]])


GOOD_CASE = {
    **{"number": 1, "title": "t", "right_code": "r", "wrong_code": "w"},
    **{"x_label": "x", "y_label": "y", "value_label": "v", "caught_by": "c"},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": 0}, "number must be"),
        ({"number": True}, "number must be"),
        ({"right_code": ""}, "right_code must be 1 to 14 lines"),
        ({"wrong_code": "a\n" * 15}, "wrong_code must be 1 to 14 lines"),
        ({"wrong": [(0, 0.0)], "log_y": True}, "positive on a logarithmic"),
        ({"wrong": [(np.inf, 0.0)]}, "points must be finite"),
        ({"wrong": [(0, np.nan)]}, "points must be finite"),
        ({"wrong": [(0, 1, 2)]}, "pairs"),
        ({"wrong": []}, "one or more"),
    ],
)
def test_a_case_that_cannot_be_shown_is_named(change, message):
    points = change.get("wrong", [(0.0, 1.0)])
    given = {key: value for key, value in change.items() if key != "wrong"}
    right = flip.Outcome([(0.0, 1.0)], "good", 0.0)
    longest = "a\n" * 14
    flip.Case(**GOOD_CASE | {"right_code": longest}, right=right, wrong=right)
    with pytest.raises(ValueError, match=message):
        wrong = flip.Outcome(points, "bad", 0.0)
        flip.Case(**GOOD_CASE | given, right=right, wrong=wrong)


@pytest.mark.parametrize("n", [0, 5])
def test_a_playground_has_one_to_four_starts(n):
    make = lambda n: {f"s{k}": numbers(base.WAVE_NETWORK.n_params, k) for k in range(n)}  # noqa: E731
    for good in (1, 4):
        widgets.Playground(make(good))
    with pytest.raises(ValueError, match=f"one to four starts, got {n}"):
        widgets.Playground(make(n))


def test_batches_and_tasks_that_are_none_are_named():
    starts = {name: np.zeros(base.WAVE_NETWORK.n_params) for name in gap.STARTS}
    single = Task(*np.zeros((4, 3, 1)))
    for batches, message in (
        ([], "one or more"),
        ([1], r"batches\[0\] must be"),
        ([single], "must be a batch"),
    ):
        with pytest.raises(ValueError, match=message):
            widgets.GradientGap(starts, batches)


FILES = {
    "one/one.js": 'import { a, b as c } from "./two.js";\n'
    'import {\n  d,\n} from "../shared/ui.js";\n'
    "const hidden = 1;\nexport default [a, c, hidden];\n",
    "one/two.js": "const hidden = 2;\nexport const a = hidden + 1;\nexport function b() {}\n"
    "export function* w() {}\nexport async function v() {}\nexport class U {}\n",
    "one/one.css": ".own {}",
    "bare/bare.js": "export default 1;\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def test_a_bundle_has_each_module_once_before_it_is_used(folder):
    assert sorted(front_end.figures(folder)) == ["bare", "one"]
    text = front_end.bundle("one", folder)
    two, own = text.index("const two_js = (() => {"), text.index("const { a, b: c } = two_js;")
    assert two < text.index("return { a, b, w, v, U };") < own
    assert text.index("const ui_js = ") < text.index("} = ui_js;")
    assert text.count("const two_js") == text.count("const ui_js") == 1
    assert text.endswith("export default [a, c, hidden];\n")
    assert text.count("export ") == 1
    assert front_end.bundle("bare", folder) == "export default 1;\n"


def test_a_style_is_the_shared_one_and_the_figures_own(folder):
    shared = (front_end.HERE / "shared" / "figure.css").read_text("utf-8")
    shared = f"{front_end.roles_style()}\n{shared}"
    assert front_end.style("one", folder) == f"{shared}\n.own {{}}"
    assert front_end.style("bare", folder) == shared
