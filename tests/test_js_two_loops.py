"""Two loops: what the page computes, draws and says, against NumPy; what the reader can do."""

from itertools import islice

import numpy as np
import pytest
from node import mulberry32, relative_error, run_node
from page import STATUS, Frame, assert_drawn, loss_text, numbers, show, traits_of

from maml_teach import maml
from maml_teach.mlp import MLP
from maml_teach.widgets import TwoLoops
from maml_teach.widgets.two_loops import default_tasks

MODEL, TASKS = MLP((1, 1)), default_tasks()
ALGORITHMS = {
    "joint": maml.joint_gradient,
    "FOMAML": maml.fomaml_gradient,
    "MAML": maml.maml_gradient,
    "Reptile": maml.reptile_gradient,
}
THETA, INNER, BETA = np.array([-1.2, 1.7]), {"alpha": 0.12, "n_inner_steps": 3}, 0.35
SETTINGS = {**INNER, "beta": BETA, "theta": THETA.tolist(), "batch_size": 3, "seed": 4}
PLANE = Frame(344, (6, 8, 36, 40), (-3.3, 2.7), (-2.7, 3.5))
DATA = Frame(205, (6, 12, 20, 26), (-3, 3), (-5, 5))
MINUS = str.maketrans("-", "\u2212")


def sampled(seed, n, count):
    """Without replacement: Fisher and Yates, the first ``count`` places, in increasing order."""
    left = list(range(n))
    for k, uniform in enumerate(islice(mulberry32(seed), count)):
        other = k + int(uniform * (n - k))
        left[k], left[other] = left[other], left[k]
    return sorted(left[:count])


def batch(step=0, seed=4, count=3):
    return sampled(seed + 7919 * step, 5, count)


def objective(theta, **inner):
    return maml.maml_gradient(MODEL, np.asarray(theta, float), TASKS, **(inner or INNER))[0]


def lowest(**inner):
    """Where the gradient of MAML's objective, which is linear in theta, is zero."""
    gradients = [
        maml.maml_gradient(MODEL, np.array(theta), TASKS, **inner)[1]
        for theta in ([0.0, 0.0], [1.0, 0.0], [0.0, 1.0])
    ]
    return np.linalg.solve(np.transpose(gradients[1:] - gradients[0]), -gradients[0])


def steps(n, algorithm="MAML", theta=THETA, count=3):
    """The run of theta over n outer steps."""
    history = [np.asarray(theta, float)]
    for step in range(n):
        tasks = TASKS.select(batch(step, count=count))
        history.append(
            history[-1] - BETA * ALGORITHMS[algorithm](MODEL, history[-1], tasks, **INNER)[1]
        )
    return history


def pixels(point):
    return {"clientX": point[0], "clientY": point[1]}


def translations(texts):
    return np.vstack([numbers(text) for text in texts])


def test_what_the_picture_shows():
    traits = {**traits_of(figure()), "history": [THETA.tolist()]}
    [view] = run_node("two_loops", [("compute", [traits])])
    tasks = TASKS.select(batch())
    assert view["batch"] == batch() and view["theta"] == THETA.tolist()
    for name, gradient_of in ALGORITHMS.items():
        assert (
            relative_error(view["gradients"][name], gradient_of(MODEL, THETA, tasks, **INNER)[1])
            < 1e-9
        )
    paths = [maml.adapt(MODEL, THETA, tasks, alpha=0.12, n_inner_steps=k) for k in range(4)]
    assert relative_error(view["paths"], np.swapaxes(paths, 0, 1)) < 1e-9
    assert relative_error(view["minimum"]["point"], lowest(**INNER)) < 1e-9
    assert relative_error(view["minimum"]["value"], objective(lowest(**INNER))) < 1e-9
    q = view["objective"]
    for u, v in np.random.default_rng(0).normal(size=(5, 2)):
        value = q["a"] * u**2 + q["b"] * u * v + q["c"] * v**2 + q["d"] * u + q["e"] * v + q["f"]
        assert relative_error(value, objective([u, v])) < 1e-9


def figure(**change):
    return TwoLoops(**{**SETTINGS, **change})


def test_the_batch_changes_with_the_outer_step():
    traits = traits_of(figure())
    given = [{**traits, "history": [[0.0, 0.0]] * n} for n in range(1, 8)]
    views = run_node("two_loops", [("compute", [one]) for one in given])
    assert [view["batch"] for view in views] == [batch(step) for step in range(7)]


def test_the_bottom_of_each_bowl_is_least_squares():
    [optima] = run_node("two_loops", [("ownOptima", [traits_of(figure())])])
    wanted = [
        np.polyfit(x[:, 0], y[:, 0], 1)
        for x, y in zip(TASKS.x_support, TASKS.y_support, strict=True)
    ]
    assert relative_error(optima, wanted) < 1e-9


def test_contours_lie_at_powers_of_two_from_the_highest_corner_down():
    bowl = {"a": 1.0, "b": 0.0, "c": 2.0, "d": 0.0, "e": 0.0, "f": 7.0}
    box = {"x": {"min": -1, "max": 3}, "y": {"min": -2, "max": 1}}
    flat = dict.fromkeys("abcdef", 0.0)
    tall, none = run_node("two_loops", [("contourRises", [q, box]) for q in (bowl, flat)])
    assert tall == [16 / 2**k for k in range(9)]  # 9 + 8 at the corner (3, -2)
    assert none == []


@pytest.mark.parametrize(
    ("values", "lowest", "end", "decades"),
    [
        ([3.0], 0.5, 10, [0.1, 1, 10]),
        ([3.0, 20.0], 0.1, 10, [0.01, 0.1, 1, 10, 100]),
        ([1.0] * 12, 1.5, 20, [1, 10]),
        ([1.0] * 400, 1e-9, 399, [1e-3, 0.01, 0.1, 1]),
        ([1.0, 1e9, None], 0.5, 10, [0.1, 1, 10, 100, 1e3, 1e4]),
    ],
)
def test_axes_of_a_run(values, lowest, end, decades):
    [axes] = run_node("two_loops", [("runAxes", [[*enumerate(values)], lowest])])
    assert axes["x"] == {"max": end, "ticks": [0, end / 2, end]}
    assert [axes["y"]["min"], axes["y"]["max"]] == pytest.approx([decades[0], decades[-1]])
    assert axes["y"]["ticks"] == pytest.approx(decades)


def test_the_plane_shows_inner_paths_arrows_and_minima():
    reads = [
        ("read", ".mf-plane path.mf-inner", "d"),
        ("read", ".mf-plane g.mf-prime", "transform"),
        ("read", ".mf-plane g.mf-prime", "visibility"),
        ("read", ".mf-plane circle.mf-step", "transform"),
        ("read", ".mf-plane path.mf-arrow", "d"),
        ("read", ".mf-plane path.mf-arrow", "class"),
        ("read", ".mf-plane g.mf-minimum", "transform"),
        ("read", ".mf-plane text.mf-minimum-name"),
        ("read", ".mf-plane g.mf-drag", "transform"),
        ("read", ".mf-plane path.mf-bowl", "d"),
    ]
    inner, primes, seen, between, arrows, classes, minima, names, handle, bowls = show(
        figure(), *reads
    )
    paths = np.stack(
        [maml.adapt(MODEL, THETA, TASKS, alpha=0.12, n_inner_steps=k) for k in range(4)], 1
    )
    chosen = batch()
    for k in range(5):
        assert (seen[k] == "visible") == (k in chosen)
        assert (inner[k] != "") == (k in chosen)
    for k in chosen:
        assert_drawn(inner[k], PLANE.points(*paths[k].T))
        assert np.allclose(numbers(primes[k]), PLANE.points(*paths[k, -1]))
    wanted = np.vstack([PLANE.points(*paths[k, 1:3].T) for k in chosen])
    assert np.allclose(translations(between), wanted)
    tasks = TASKS.select(chosen)
    for path, look, (name, gradient_of) in zip(arrows, classes, ALGORITHMS.items(), strict=True):
        tip = THETA - BETA * gradient_of(MODEL, THETA, tasks, **INNER)[1]
        assert np.allclose(numbers(path)[:2], [PLANE.points(*THETA), PLANE.points(*tip)])
        assert ("mf-chosen" in look) == (name == "MAML")
    joint, maml_ = lowest(alpha=0.12, n_inner_steps=0), lowest(**INNER)
    assert names == ["min joint", "min MAML"]
    assert np.allclose(translations(minima), [PLANE.points(*joint), PLANE.points(*maml_)])
    assert np.allclose(numbers(handle[0]), PLANE.points(*THETA))
    rises = [objective(_unplaced(outline)[0]) - objective(maml_) for outline in bowls]
    assert np.allclose(np.array(rises) / rises[-1], 2.0 ** np.arange(8, -1, -1), rtol=0.05)


def _unplaced(path):
    """Slopes and intercepts of pixels in the plane, as exact as the pixels are rounded."""
    (left, width), (top, height) = (40, 340 - 48), (6, 344 - 42)
    x, y = numbers(path).T
    return np.stack([-3.3 + 6 * (x - left) / width, 3.5 - 6.2 * (y - top) / height], axis=-1)


@pytest.mark.parametrize("beta", [0.01, 0.35, 1.0])
def test_an_arrow_is_named_if_it_is_long_enough_and_ends_inside(beta):
    names, seen = show(
        figure(beta=beta),
        *[("read", "text.mf-arrow-label", name) for name in ("text", "visibility")],
    )
    tasks = TASKS.select(batch())
    for name, found in zip(names, seen, strict=True):
        tip = THETA - beta * ALGORITHMS[name](MODEL, THETA, tasks, **INNER)[1]
        long = np.linalg.norm(PLANE.points(*tip) - PLANE.points(*THETA)) > 13
        inside = -3.3 <= tip[0] <= 2.7 and -2.7 <= tip[1] <= 3.5
        assert found == ("visible" if long and inside else "hidden")


def test_each_task_has_a_letter_and_a_colour():
    letters = [
        ("read", f".mf-{where} .mf-task-{k} {name}")
        for where, name in (("plane", ".mf-prime text"), ("plane", ".mf-letter"), ("side", "text"))
        for k in range(5)
    ]
    assert show(figure(), *letters) == [[letter] for letter in "ABCDE"] * 3


def test_an_arrow_has_its_head_at_its_tip():
    [arrow, *_] = show(figure(algorithm="joint"), ("read", ".mf-plane path.mf-arrow", "d"))[0]
    _, tip, wing, again, other = numbers(arrow)
    start = numbers(arrow)[0]
    along = (tip - start) / np.linalg.norm(tip - start)
    across = np.array([-along[1], along[0]])
    assert np.allclose(tip, again)
    assert np.allclose(wing, tip - 13 * along + 6.5 * across)
    assert np.allclose(other, tip - 13 * along - 6.5 * across)


def test_the_data_space_shows_the_lines():
    reads = [
        ("read", "path.mf-shared", "d"),
        ("read", "path.mf-fit", "d"),
        ("read", ".mf-datum", "cx"),
        ("read", ".mf-datum", "cy"),
        ("read", ".mf-fit-label", "x"),
        ("read", ".mf-fit-label", "visibility"),
    ]
    shared, fits, cx, cy, label_x, seen = show(figure(), *reads)
    ends = np.array([-3.0, 3.0])
    assert_drawn(shared[0], DATA.points(ends, THETA[0] * ends + THETA[1]))
    adapted = maml.adapt(MODEL, THETA, TASKS, **INNER)
    for k in range(5):
        x = np.concatenate([TASKS.x_support[k], TASKS.x_query[k]])
        ends = np.array([x.min() - 0.15, x.max() + 0.15])
        if k in batch():
            assert_drawn(fits[k], DATA.points(ends, adapted[k, 0] * ends + adapted[k, 1]))
            assert np.isclose(float(label_x[k]), DATA.px(min(ends[1], 3)) + 3)
        assert (seen[k] == "visible") == (fits[k] != "") == (k in batch())
    dots = DATA.points(TASKS.x_support.ravel(), TASKS.y_support.ravel())
    assert np.allclose(np.array([cx, cy], float).T, dots)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_outer_steps_move_theta_by_beta_times_the_gradient(algorithm):
    step = ("press", "Step")
    history, theta = show(
        figure(algorithm=algorithm), step, step, step, ("traits", "history", "theta")
    )[0]
    assert relative_error(history, steps(3, algorithm)) < 1e-9
    assert theta == history[-1]


def test_the_run_shows_the_objective_on_all_tasks_and_its_floor():
    reads = [
        ("read", ".mf-side path.mf-run", "d"),
        ("read", "path.mf-floor", "d"),
        ("read", ".mf-run-dot", "cx"),
        ("read", ".mf-run-dot", "cy"),
        ("read", ".mf-side text.mf-halo"),
    ]
    step = ("press", "Step")
    runs, floor, cx, cy, words = show(figure(), *[step] * 3, ("wait", 20), *reads)
    values = np.array([objective(theta) for theta in steps(3)])
    least = objective(lowest(**INNER))
    low = np.floor(np.log10(least * 0.8))
    high = max(low + 1, np.ceil(np.log10(values.max())))
    frame = Frame(181, (10, 12, 36, 38), (0, 10), (10**low, 10**high), log="y")
    previous, now = runs
    assert_drawn(now, frame.points(np.arange(4), values))
    assert previous == "" or len(numbers(previous)) <= 1
    assert_drawn(floor[0], frame.points([0, 10], least))
    assert np.allclose([float(cx[0]), float(cy[0])], frame.points(3, values[3]))
    assert words[-3:] == ["MAML", "", f"lowest possible {loss_text(least)}"]


def test_another_algorithm_begins_where_the_last_one_began_and_keeps_it_in_sight():
    step = ("press", "Step")
    traits = ("traits", "history", "previous_history", "previous_algorithm")
    words = ("read", ".mf-side text.mf-halo")
    [history, previous, before], labels = show(
        figure(), *[step] * 2, ("set", {"algorithm": "joint"}), step, traits, ("wait", 20), words
    )
    assert relative_error(history, steps(1, "joint")) < 1e-9
    assert relative_error(previous, steps(2)) < 1e-9 and before == "MAML"
    assert labels[-3:-1] == ["joint", "before: MAML"]


def test_theta_set_or_dragged_begins_a_new_run():
    at, to = PLANE.points(*THETA), PLANE.points(0.5, -1.0)
    grip = ("event", ".mf-plane g.mf-drag", 0)
    traits, kept = ("traits", "history", "theta"), ("traits", "previous_history")
    was_set, [previous], dragged, nudged = show(
        figure(),
        *[("press", "Step"), ("set", {"theta": [1.0, 1.0]}), traits, kept],
        *[("set", {"theta": THETA.tolist()}), ("wait", 20)],
        *[(*grip, "pointerdown", pixels(at)), (*grip, "pointermove", pixels(to)), traits],
        *[("wait", 20), (*grip, "keydown", {"key": "ArrowRight"}), traits],
    )
    assert was_set == [[[1, 1]], [1, 1]]
    assert relative_error(previous, steps(1)) < 1e-9
    assert dragged == [[pytest.approx([0.5, -1.0])], pytest.approx([0.5, -1.0])]
    assert nudged[1] == pytest.approx([0.55, -1.0])


def _sentence(theta, algorithm, step=0, beta=BETA, alpha=0.12):
    tasks, inner = TASKS.select(batch(step)), {"alpha": alpha, "n_inner_steps": 3}
    gradient = ALGORITHMS[algorithm](MODEL, theta, tasks, **inner)[1]
    exact = maml.maml_gradient(MODEL, theta, tasks, **inner)[1]
    cosine = gradient @ exact / np.linalg.norm(gradient) / np.linalg.norm(exact)
    apart = f", {np.degrees(np.arccos(cosine)):.0f}° from the exact MAML gradient"
    now, then = objective(theta, **inner), objective(theta - beta * gradient, **inner)
    pairs = "θ = ({:.2f}, {:.2f}); gradient ({:.2f}, {:.2f})".format(*theta, *gradient)
    said = f"{algorithm}, outer step {step}: {pairs}"
    apart = "" if algorithm == "MAML" else apart
    columns = np.concatenate([TASKS.x_support, np.ones_like(TASKS.x_support)], axis=-1)
    steepest = np.linalg.eigvalsh(2 / 5 * np.swapaxes(columns, 1, 2) @ columns).max()
    product = f"\u03b1 \u00d7 largest curvature = {alpha * steepest:.2f}"
    return f"{said.translate(MINUS)}{apart}; the next step takes the meta-loss from " + (
        f"{loss_text(now)} to {loss_text(then)}. {product}, "
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_sentence(algorithm):
    before, after = show(
        figure(algorithm=algorithm), STATUS, ("press", "Step"), ("wait", 600), STATUS
    )
    assert before[0].startswith(_sentence(THETA, algorithm))
    assert after[0].startswith(_sentence(steps(1, algorithm)[1], algorithm, 1))
    assert before[0].endswith("below 1: every task comes closer smoothly.")


def test_playing_takes_a_step_a_quarter_second_until_paused():
    traits = ("traits", "history", "playing")
    play = ("press", "▶ Play")
    going, paused, rushed = show(
        figure(),
        *[play, ("wait", 1000), traits, ("press", "❚❚ Pause"), ("wait", 1000), traits],
        *[("still", True), play, traits],
    )
    assert relative_error(going[0], steps(4)) < 1e-9 and going[1] is True
    assert paused == [going[0], False]
    assert len(rushed[0]) == 45 and rushed[1] is False


def test_a_run_that_leaves_the_plane_for_good_stops():
    play = [("press", "▶ Play"), ("wait", 20_000)]
    [[history, playing], [said]] = show(
        figure(beta=1.0, alpha=0.5, batch_size=5, n_inner_steps=5),
        *play,
        ("traits", "history", "playing"),
        STATUS,
    )
    beyond = np.abs(history).max(axis=1) >= 100
    assert beyond[-1] and not beyond[:-1].any() and not playing
    assert said.startswith("Diverged: the outer rate β is too large here.")


def test_reset_begins_again_with_what_the_page_brought():
    traits = ("traits", "history", "theta", "alpha", "playing", "algorithm")
    change = {"alpha": 0.3, "algorithm": "joint", "theta": [0.0, 0.0]}
    first, last = show(
        figure(), traits, ("set", change), ("press", "▶ Play"), ("press", "Reset"), traits
    )
    assert last == first == [[THETA.tolist()], THETA.tolist(), 0.12, False, "MAML"]


def test_playing_ends_where_no_step_is_left_to_take():
    script = [("press", "▶ Play"), ("wait", 90_000), ("traits", "history", "playing")]
    [[history, playing]] = show(figure(batch_size=5, beta=0.5), *script)
    moved = np.linalg.norm(np.diff(history, axis=0), axis=1)
    assert not playing and len(history) < 360
    assert moved[-1] <= 0.5e-4 and (moved[:-1] > 0.5e-4).all()
