"""Train it here: the page's meta-training against the package's, and its settings."""

import re
from itertools import islice

import numpy as np
import pytest
from node import assert_all_close, flat, mulberry32, relative_error, run_node
from page import Frame, assert_drawn, loss_text, show
from test_javascript import as_json

from maml_teach import maml
from maml_teach.mlp import MLP
from maml_teach.rules import ADAM
from maml_teach.tasks import Sinusoids, Task
from maml_teach.widgets import Training

MODEL = MLP((1, 40, 40, 1))
GRADIENTS = {
    "MAML": maml.maml_gradient,
    "FOMAML": maml.fomaml_gradient,
    "Reptile": maml.reptile_gradient,
}
# Reptile's gradient is a difference of nearly equal vectors, and Adam divides it by its size.
TOLERANCE = {"MAML": 1e-9, "FOMAML": 1e-9, "Reptile": 1e-7}
SETTINGS = {"alpha": 0.01, "beta": 0.003}
GRID = np.linspace(-5, 5, 121)
FIT = Frame(170, (6, 8, 20, 26), (-5, 5), (-6, 6))
CURVES = Frame(190, (44, 24, 38, 38), (0, 200), (0.1, 10), log="y")


def meta_batch(rng):
    return Sinusoids().sample(rng, 25, 10, 10)


def drawn(seed, n_tasks):
    """Tasks from the uniforms of a seed: amplitude, phase, 10 support x, 10 query x for each."""
    uniforms = np.array(list(islice(mulberry32(seed), 22 * n_tasks))).reshape(n_tasks, 22, 1)
    amplitude, phase = 0.1 + 4.9 * uniforms[:, :1], np.pi * uniforms[:, 1:2]
    x = 10 * uniforms[:, 2:] - 5
    return Task.split(x, amplitude * np.sin(x - phase), 10), (amplitude.ravel(), phase.ravel())


def first_theta(seed):
    """Weights and biases of each layer uniform within 1 / sqrt(n_in)."""
    uniforms = np.array(list(islice(mulberry32(seed), MODEL.n_params)))
    bounds = 1 / np.sqrt(np.repeat([1, 40, 40], [80, 1640, 41]))
    return bounds * (2 * uniforms - 1)


def trained(seed, n_steps, *, algorithm="MAML", alpha=0.01, beta=0.003, n_inner_steps=1):
    """Theta after outer steps on the figure's own tasks, and the meta-loss before each."""
    theta = first_theta(seed)
    moments, losses = (0 * theta, 0 * theta), []
    batches = drawn(seed + 1000, 25 * max(n_steps, 1))[0]
    for step in range(1, n_steps + 1):
        batch = batches.select(range(25 * (step - 1), 25 * step))
        gradient_of = GRADIENTS[algorithm]
        loss, gradient = gradient_of(MODEL, theta, batch, alpha=alpha, n_inner_steps=n_inner_steps)
        theta, moments = ADAM.update(theta, gradient, moments, beta, step)
        losses.append(loss)
    return theta, losses


def fits(theta, number, alpha, n_inner_steps):
    """Predictions of a held-out task before, after 1 and K steps, and the truth, on the grid."""
    tasks, (amplitude, phase) = drawn(500_001 + number, 1)
    after = [
        maml.adapt(MODEL, theta, tasks, alpha=alpha, n_inner_steps=k)[0]
        for k in (0, 1, n_inner_steps)
    ]
    predictions = [MODEL.predict(one, GRID[:, None])[:, 0] for one in after]
    return np.array(predictions), amplitude * np.sin(GRID - phase)


def first_run(theta):
    return {"theta": flat(theta), "m": [0.0] * theta.size, "v": [0.0] * theta.size, "nSteps": 0}


def steps_in_node(run, batches, settings):
    given = [run, [as_json(tasks) for tasks in batches], settings]
    return run_node("training", [("metaSteps", given)])[0]


@pytest.mark.parametrize("n_inner_steps", [1, 5])
@pytest.mark.parametrize("algorithm", GRADIENTS)
def test_three_meta_steps_match_numpy(algorithm, n_inner_steps):
    rng = np.random.default_rng(n_inner_steps)
    theta = MODEL.init(rng)
    moments, batches = (0 * theta, 0 * theta), [meta_batch(rng) for _ in range(3)]
    settings = {"algorithm": algorithm, "n_inner_steps": n_inner_steps, **SETTINGS}
    answers = steps_in_node(first_run(theta), batches, settings)
    for step, (tasks, answer) in enumerate(zip(batches, answers, strict=True), 1):
        meta_loss, gradient = GRADIENTS[algorithm](
            MODEL, theta, tasks, alpha=SETTINGS["alpha"], n_inner_steps=n_inner_steps
        )
        theta, moments = ADAM.update(theta, gradient, moments, SETTINGS["beta"], step)
        run = answer["run"]
        assert relative_error(answer["metaLoss"], meta_loss) < 1e-9
        assert relative_error(run["theta"], theta) < TOLERANCE[algorithm]
        assert run["nSteps"] == step and run["lost"] == ""


def test_the_first_theta_is_that_of_a_linear_layer():
    first, again, other = run_node("training", [("firstTheta", [seed]) for seed in (3, 3, 4)])
    assert first == again != other
    theta = np.array(first)
    for block, n_in in ((theta[:80], 1), (theta[80:1720], 40), (theta[1720:], 40)):
        bound = 1 / np.sqrt(n_in)
        assert np.abs(block).max() <= bound
        assert np.abs(block).max() > 0.9 * bound
        assert abs(block.mean()) < 0.25 * bound


@pytest.mark.parametrize(
    ("scale", "alpha", "rate"), [(1.0, 100.0, "inner rate"), (30.0, 0.001, "outer rate")]
)
def test_divergence_names_the_rate(scale, alpha, rate):
    rng = np.random.default_rng(0)
    theta = scale * MODEL.init(rng)
    settings = {"algorithm": "MAML", "n_inner_steps": 2, "alpha": alpha, "beta": 0.003}
    [answer] = steps_in_node(first_run(theta), [meta_batch(rng)], settings)
    assert rate in answer["run"]["lost"]
    assert answer["run"]["theta"] == flat(theta)


def test_a_long_curve_keeps_its_means_in_few_blocks():
    losses = np.random.default_rng(0).uniform(size=1600)
    [curve] = run_node("training", [("curveOf", [flat(losses)])])
    assert curve["size"] == 16 and len(curve["blocks"]) == 100
    assert np.allclose(curve["blocks"], losses.reshape(100, 16).mean(axis=1))


def test_a_task_takes_its_uniforms_in_order():
    """Amplitude 0.1 to 5, phase 0 to pi, x from -5 to 5, whatever the uniforms are."""
    uniforms = np.random.default_rng(0).uniform(size=22)
    uniforms[:6] = [1.0, 1.0, 0.0, 0.5, 0.75, 1.0]
    amplitude, phase, x = 5.0, np.pi, 10 * uniforms[2:] - 5
    curve = [0.0, 1.0, 2.5]
    [task] = run_node("training", [("sampledTask", [flat(uniforms), curve])])
    assert task["left"] == 0 and task["xSupport"][:4] == [-5, 0, 2.5, 5]
    y = amplitude * np.sin(x - phase)
    assert np.allclose(task["xSupport"] + task["xQuery"], x, rtol=0, atol=1e-12)
    assert np.allclose(task["ySupport"] + task["yQuery"], y, rtol=0, atol=1e-12)
    assert np.allclose(task["curve"], 5 * np.sin(np.array(curve) - np.pi), rtol=0, atol=1e-12)


def test_the_smallest_amplitude_and_phase():
    [task] = run_node("training", [("sampledTask", [[0.0, 0.0, *[0.7] * 20], []])])
    assert np.allclose(task["ySupport"], 0.1 * np.sin(2.0), rtol=1e-12)


def test_a_batch_is_25_tasks_of_one_stream_and_a_held_out_task_has_its_own():
    [batch, held_out] = run_node("training", [("sampledBatch", [7]), ("heldOutTask", [3])])
    for found, seed, n_tasks in ((batch, 7, 25), ([held_out], 500_004, 1)):
        wanted = as_json(drawn(seed, n_tasks)[0])
        assert len(found) == n_tasks
        for one, reference in zip(found, wanted, strict=True):
            assert all(np.allclose(one[k], v, rtol=0, atol=1e-12) for k, v in reference.items())


def test_a_new_run_starts_at_rest():
    [run] = run_node("training", [("newRun", [5])])
    assert relative_error(run["theta"], first_theta(5)) < 1e-12
    assert run["m"] == run["v"] == [0] * MODEL.n_params
    assert (run["nSteps"], run["lost"]) == (0, "")


@pytest.mark.parametrize("algorithm", GRADIENTS)
def test_a_worker_reports_what_it_trained(algorithm):
    settings = {"algorithm": algorithm, "alpha": 0.02, "beta": 0.001, "n_inner_steps": 2}
    told = [{"command": "settings", "settings": settings}, {"command": "begin", "seed": 4}]
    told += [{"command": "step"}, {"command": "step"}]
    [reports] = run_node("training", [("served", [told])])
    theta, losses = trained(4, 2, **settings)
    assert [report["nSteps"] for report in reports] == [1, 2]
    assert [report["losses"] for report in reports] == [
        [pytest.approx(loss, rel=1e-9)] for loss in losses
    ]
    assert relative_error(reports[-1]["theta"], theta) < TOLERANCE[algorithm]


def test_a_run_that_is_lost_keeps_its_theta_and_reports_no_loss():
    settings = {"algorithm": "MAML", "alpha": 100.0, "beta": 0.003, "n_inner_steps": 2}
    told = [{"command": "settings", "settings": settings}, {"command": "begin", "seed": 4}]
    [[report]] = run_node("training", [("served", [[*told, {"command": "step"}]])])
    assert report["lost"] == "the inner rate \u03b1 is too large"
    assert report["losses"] == [] and report["nSteps"] == 0
    assert relative_error(report["theta"], first_theta(4)) < 1e-12


def test_the_fit_of_a_held_out_task():
    theta = first_theta(2)
    tasks, (amplitude, phase) = drawn(11, 1)
    task = as_json(tasks)[0] | {"amplitude": amplitude[0], "phase": phase[0]}
    settings = {"alpha": 0.03, "n_inner_steps": 4}
    [grid, fit] = run_node("training", [("grid", []), ("fitOf", [flat(theta), settings, task])])
    after = [maml.adapt(MODEL, theta, tasks, alpha=0.03, n_inner_steps=k)[0] for k in (0, 1, 4)]
    predictions = [MODEL.predict(one, GRID[:, None])[:, 0] for one in after]
    truth = amplitude * np.sin(GRID - phase)
    assert relative_error(grid, GRID) < 1e-12
    assert relative_error(fit["at"], predictions) < 1e-9
    assert relative_error(fit["truth"], truth) < 1e-9
    assert relative_error(fit["mses"], [((p - truth) ** 2).mean() for p in predictions]) < 1e-9


@pytest.mark.parametrize(
    ("losses", "decades"),
    [
        ([[], []], [0.1, 1, 10]),
        ([[0.5, 3], [9]], [0.1, 1, 10]),
        ([[0.05], [20]], [0.01, 0.1, 1, 10, 100]),
        ([[1e-7], [1e9]], [1e-4, 1e-3, 0.01, 0.1, 1, 10, 100, 1e3, 1e4]),
    ],
)
def test_the_axis_of_losses_is_whole_decades(losses, decades):
    curves = [{"blocks": blocks} for blocks in losses]
    [axis] = run_node("training", [("lossAxis", [curves])])
    assert [axis["min"], axis["max"]] == pytest.approx([decades[0], decades[-1]], rel=1e-12)
    assert axis["ticks"] == pytest.approx(decades, rel=1e-12)


@pytest.mark.parametrize(
    ("sizes", "end"), [((0, 0), 200), ((40, 200), 200), ((201, 3), 400), ((900, 30), 1600)]
)
def test_the_axis_of_steps_doubles(sizes, end):
    curves = [{"size": 2, "blocks": [1.0] * (n // 2)} for n in sizes]
    curves[0]["blocks"] += [1.0] * (sizes[0] % 2)
    [axis] = run_node("training", [("stepsAxis", [curves])])
    assert axis == {"max": end, "ticks": [0, end / 4, end / 2, 3 * end / 4, end]}


def test_the_speed_is_smoothed():
    cases = [("smoothedSpeed", [0, 30, 100]), ("smoothedSpeed", [200, 30, 100])]
    assert_all_close("training", cases, [300, 220])


def test_settings_in_words():
    settings = {"algorithm": "Reptile", "alpha": 0.0123456, "beta": 0.0005, "n_inner_steps": 5}
    words = run_node("training", [("inWords", [settings])])
    assert words == ["Reptile, \u03b1 0.0123, β 0.0005, K 5"]


A_AND_B = {"alpha_a": 0.02, "n_inner_steps_a": 3, "algorithm_b": "Reptile", "beta_b": 0.0005}
OF_A = {"algorithm": "MAML", "alpha": 0.02, "beta": 0.003, "n_inner_steps": 3}
OF_B = {"algorithm": "Reptile", "alpha": 0.01, "beta": 0.0005, "n_inner_steps": 1}


def panels_of(*script):
    """Paths of both runs' panels, points, words on them and the sentence, after a script."""
    reads = [
        *(("read", f".mf-panel .mf-{name}", "d") for name in ("truth", "before", "first", "after")),
        ("read", ".mf-support", "cx"),
        ("read", ".mf-support", "cy"),
        ("read", ".mf-mse"),
        ("read", "[role=status]"),
    ]
    return show(Training(seed=6, held_out=4, **A_AND_B), *script, *reads)


@pytest.mark.parametrize("n_steps", [0, 2])
def test_both_panels_show_what_adapting_does_to_their_run(n_steps):
    steps = [("press", "One step"), ("wait", 600)] * n_steps
    *paths, x, y, words, [said] = panels_of(*steps)
    tasks = drawn(500_005, 1)[0]
    support = FIT.points(tasks.x_support.ravel(), tasks.y_support.ravel())
    assert np.allclose(np.transpose([x, y]).astype(float), np.tile(support, (2, 1)))
    for k, settings in enumerate((OF_A, OF_B)):
        theta = trained(6, n_steps, **settings)[0]
        predictions, truth = fits(theta, 4, settings["alpha"], settings["n_inner_steps"])
        for path, wanted in zip(paths, (truth, *predictions), strict=True):
            assert_drawn(path[k], FIT.points(GRID, wanted))
        mses = [loss_text(mse) for mse in ((predictions - truth) ** 2).mean(axis=1)]
        assert words[1 + k] == f"MSE {mses[0]} → {mses[1]} → {mses[2]}"
        assert f"{n_steps} meta-steps: MSE on the held-out task {mses[0]} before, {mses[2]}" in said
    assert said.startswith("Paused. Run A (MAML," if n_steps else "Press Start. Run A (MAML,")


def test_the_curve_holds_the_meta_loss_of_each_step_in_the_middle_of_its_step():
    script = [("press", "One step"), ("wait", 600)] * 3
    lines = [("read", f".mf-wide path.mf-{name}", "d") for name in ("raw", "curve")]
    reads, note = (*lines, ("read", ".mf-wide .mf-label")), ("read", ".mf-wide .mf-mse")
    first, raw, means, labels, speeds = show(
        Training(seed=6, **A_AND_B), note, *script, *reads, note
    )
    assert first == ["log scale"]
    assert re.fullmatch(r"meta-steps per second: A \d+, B \d+", speeds[0])
    for k, settings in enumerate((OF_A, OF_B)):
        losses = trained(6, 3, **settings)[1]
        assert_drawn(raw[k], CURVES.points(np.arange(3) + 0.5, losses))
        so_far = [np.mean(losses[: n + 1]) for n in range(3)]
        assert_drawn(means[k], CURVES.points(np.arange(3) + 0.5, so_far))
        started = f"{'AB'[k]}: {settings['algorithm']}, \u03b1 {settings['alpha']},"
        assert labels[k].startswith(started)


def test_the_running_mean_is_of_the_last_ten():
    values = np.random.default_rng(0).uniform(size=23)
    wanted = [values[max(0, k - 9) : k + 1].mean() for k in range(23)]
    assert_all_close("training", [("runningMean", [flat(values)])], [wanted])


def test_a_round_is_what_the_slower_run_does_in_a_tenth_of_a_second():
    cases = [("roundSize", [speeds]) for speeds in ([400, 91], [0, 50], [1e5, 2e5], [77])]
    assert run_node("training", cases) == [9, 1, 200, 8]


def test_a_worker_that_is_sent_to_a_step_reports_there_and_once():
    settings = {"algorithm": "FOMAML", "alpha": 0.01, "beta": 0.001, "n_inner_steps": 1}
    told = [{"command": "settings", "settings": settings}, {"command": "begin", "seed": 4}]
    told += [{"command": "upTo", "nSteps": 3}, {"command": "upTo", "nSteps": 2}]
    [reports] = run_node("training", [("servedInTime", [told])])
    theta, losses = trained(4, 3, **settings)
    assert [report["nSteps"] for report in reports] == [3, 3]
    assert reports[0]["losses"] == pytest.approx(losses, rel=1e-9)
    assert reports[1]["losses"] == []
    assert relative_error(reports[1]["theta"], theta) < TOLERANCE["FOMAML"]


FITS = ("read", ".mf-fit", "data-step")
TITLES, CHART = ("read", ".mf-fit b"), ("read", ".mf-wide", "data-step")
STATUS = ("read", "[role=status]")


def steps_said(words):
    return [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) meta-steps", words[0])]


def test_both_runs_are_always_at_the_same_step():
    looks = [("wait", 333), FITS, TITLES, CHART, STATUS] * 4
    found = show(Training(), ("press", "▶ Start"), *looks, ("press", "❚❚ Pause"))
    seen = []
    for steps, titles, chart, said in zip(*(found[k::4] for k in range(4)), strict=True):
        a, b = map(int, steps)
        assert a == b and len(set(chart[0].split())) == len(set(steps_said(said))) == 1
        assert len({title.partition(", step ")[2] for title in titles}) == 1
        assert "Both runs are compared at the same meta-step: the faster one waits." in said[0]
        seen.append(a)
    assert 0 < seen[0] < seen[-1]


def test_one_step_of_both_after_the_same_seconds_is_one_for_each():
    figure = Training(together="seconds")
    steps, said = show(figure, ("press", "One step"), ("wait", 600), FITS, STATUS)
    assert steps == ["1", "1"]
    assert said[0].endswith("Both runs had the same seconds; the faster one is steps ahead.")


def test_a_run_goes_on_where_the_other_is_lost():
    change = {"alpha_a": 0.1, "beta_a": 0.1, "n_inner_steps_a": 10, "seed": 3}
    steps, notes = show(
        Training(**change), ("press", "▶ Start"), ("wait", 3000), FITS, ("read", ".mf-note")
    )
    assert notes[0].startswith("stopped: ") and notes[1] == ""
    assert int(steps[1]) > int(steps[0]) + 5


def test_the_read_out_is_of_the_moment_of_the_chart_and_told_aloud_seldom():
    live = ("read", "[role=status]", "aria-live")
    script = [("press", "▶ Start"), ("wait", 700), live, FITS, STATUS, ("press", "❚❚ Pause")]
    going, steps, said, paused = show(Training(), *script, ("wait", 600), live)
    assert steps_said(said) == [int(step) for step in steps]
    assert (going, paused) == (["off"], ["polite"])


def test_it_trains_pauses_and_goes_back():
    read, status = ("read", "button"), ("read", "[role=status]")
    first, running, going, paused, still, back = show(
        Training(),
        *[status, ("wait", 5000)],
        *[("press", "▶ Start"), ("wait", 150), read, status],
        *[("press", "❚❚ Pause"), ("wait", 600), status, ("wait", 600), status],
        *[("press", "Reset"), ("wait", 600), status],
    )
    assert running[0] == "❚❚ Pause" and going[0].startswith("Training.")
    counted = [int(n) for n in re.findall(r"(\d+) meta-steps", paused[0])]
    assert paused == still and paused[0].startswith("Paused.") and min(counted) >= 2
    assert back == first


def test_reset_and_a_new_seed_begin_again_and_a_change_does_not():
    status, step = ("read", "[role=status]"), [("press", "One step"), ("wait", 600)]
    changed, again, other = show(
        Training(),
        *[*step, ("set", {"alpha_a": 0.1}), ("wait", 600), status],
        *[*step, ("press", "Restart"), ("wait", 600), status],
        *[*step, ("set", {"seed": 1}), ("wait", 600), status],
    )
    assert "Run A (MAML, \u03b1 0.1, β 0.003, K 1), 1 meta-steps" in changed[0]
    for said, seed, alpha in ((again[0], 0, 0.1), (other[0], 1, 0.1)):
        predictions, truth = fits(first_theta(seed), 1, alpha, 1)
        mse = loss_text(((predictions - truth) ** 2).mean(axis=1)[2])
        assert said.startswith("Press Start.") and f", {mse} after adapting. Run B" in said


def test_two_lost_runs_stop_the_training():
    change = {"alpha_a": 0.1, "alpha_b": 0.1, "n_inner_steps_a": 10, "n_inner_steps_b": 10}
    script = [("set", {"seed": 3}), ("press", "▶ Start"), ("wait", 5)]
    notes, said, buttons = show(
        Training(**change, beta_a=0.1, beta_b=0.1),
        *script,
        *[("wait", 600), ("read", ".mf-note"), ("read", "[role=status]"), ("read", "button")],
    )
    assert all(re.fullmatch("stopped: the (inner|outer) rate . is too large", n) for n in notes)
    assert said[0].count("It stopped: the ") == 2 and buttons[0] == "▶ Start"


def test_nothing_is_left_when_the_figure_is_taken_away():
    left = show(Training(), ("press", "▶ Start"), ("wait", 30), ("leave",), ("left",))
    assert left == [[0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha_a": 0.5}, "alpha_a"),
        ({"beta_b": 0.0}, "beta_b"),
        ({"n_inner_steps_a": 0}, "n_inner_steps_a"),
        ({"algorithm_b": "ANIL"}, "algorithm_b"),
        ({"steps": 3}, "no setting steps"),
    ],
)
def test_wrong_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        Training(**change)
