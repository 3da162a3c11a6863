"""What the chapter *claims* measures, the six kinds of model, and the figure's maths."""

from pathlib import Path

import numpy as np
import pytest
import torch
from node import assert_all_close, flat, run_node
from scipy import stats

from maml_teach import data, lean, maml, maml_torch, measures
from maml_teach.applications import contestants_torch
from maml_teach.applications.contestants_torch import CONTESTANTS
from maml_teach.mlp import MLP
from maml_teach.reporting import STUDENT, band, with_intervals
from maml_teach.tasks import Task, Waves
from maml_teach.widgets import OnTrial
from maml_teach.widgets.claims import CLAIMS

DATA = Path(data.__file__).parent / "claims.npz"
MODEL, NET = MLP((1, 40, 40, 1)), {"sizes": [1, 40, 40, 1], "activation": "relu"}


def problem(seed=0, n_tasks=6):
    rng = np.random.default_rng(seed)
    return MODEL.init(rng), Waves().sample(rng, n_tasks, 10, 12)


def test_one_wave_of_the_frequency_runs_through_support_and_query():
    tasks = Waves(2.5).sample(np.random.default_rng(0), 60, 5, 7)
    x = np.concatenate([tasks.x_support, tasks.x_query], axis=1)[..., 0]
    y = np.concatenate([tasks.y_support, tasks.y_query], axis=1)[..., 0]
    for points, values in zip(x, y, strict=True):
        columns = np.stack([np.sin(2.5 * points), -np.cos(2.5 * points)], axis=1)
        weights, residual, *_ = np.linalg.lstsq(columns, values)
        assert residual < 1e-20
        assert 0.1 <= np.hypot(*weights) <= 5  # amplitude times cosine and sine of the phase
        assert 0 <= np.arctan2(*weights[::-1]) <= np.pi


def test_waves_stay_in_their_ranges_and_rng_decides():
    family = Waves(x_support=(-5, 0), x_query=(0, 5))
    one, again = (family.sample(np.random.default_rng(1), 30, 10, 20) for _ in range(2))
    faster = Waves(2, (-5, 0), (0, 5)).sample(np.random.default_rng(1), 30, 10, 20)
    assert one.x_support.max() < 0 < one.x_query.min()
    assert np.array_equal(one.y_query, again.y_query)
    assert np.array_equal(one.x_query, faster.x_query)
    assert not np.allclose(one.y_query, faster.y_query)
    top = np.abs(Waves().sample(np.random.default_rng(2), 500, 1, 200).y_query).max(axis=1)
    assert 4.5 < top.max() <= 5 and top.min() < 0.6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Waves(0), "frequency must be a positive"),
        (lambda: Waves(x_support=(1, 0)), "x_support must be a range"),
        (lambda: Waves(x_query=(0, np.inf)), "x_query must be a range"),
        (lambda: Waves().sample(np.random.default_rng(0), 0, 1, 1), "n_tasks"),
        (lambda: contestants_torch.Patterns().sample(np.random.default_rng(0), 1, 0, 1), "n_shots"),
        (lambda: contestants_torch.Echoes().sample(np.random.default_rng(0), 1, 1, 0), "n_queries"),
        (
            lambda: contestants_torch.Borders().sample(np.random.default_rng(0), 1, 1, -1),
            "n_queries",
        ),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_task_gradients_average_to_the_meta_gradients():
    theta, tasks = problem()
    one, first = measures.task_gradients(MODEL, theta, tasks, alpha=0.02)
    for found, wanted in ((one, lean.maml_gradient), (first, maml.fomaml_gradient)):
        gradient = wanted(MODEL, theta, tasks, alpha=0.02)[1]
        assert np.allclose(found.mean(axis=0), gradient, rtol=1e-9, atol=1e-12)


def test_spread_is_the_root_of_the_mean_squared_distance():
    gradients = np.random.default_rng(0).normal(size=(50, 7))
    squared = np.sum((gradients - gradients.mean(axis=0)) ** 2) / 49
    assert measures.spread(gradients) == pytest.approx(squared**0.5)


def test_noise_is_free_of_the_length_and_infinite_for_too_few_tasks():
    rng, direction = np.random.default_rng(0), np.array([3.0, 4.0])
    gradients = direction + 10 * rng.normal(size=(200_000, 2))
    for scale in (1, 7):
        assert measures.noise(scale * gradients) == pytest.approx(10 * 2**0.5 / 5, rel=0.02)
    few = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    assert measures.noise(few) == np.inf


def test_noise_takes_off_what_the_mean_of_few_tasks_holds_of_the_spread():
    rng, direction = np.random.default_rng(1), np.array([1.0, 0, 0])
    groups = direction + rng.normal(size=(4000, 12, 3))
    squared = np.array([(measures.spread(g) / measures.noise(g)) ** 2 for g in groups])
    assert squared.mean() == pytest.approx(1, abs=0.05)  # not 1 + 3 / 12


def test_largest_curvature_is_that_of_the_whole_hessian():
    model, rng = MLP((1, 4, 1), activation="tanh"), np.random.default_rng(3)
    theta, tasks = model.init(rng), Waves().sample(rng, 3, 10, 5)
    found = measures.largest_curvature(model, theta, tasks, rng=rng, n_steps=400)
    for t in range(3):
        x, y = tasks.x_support[t], tasks.y_support[t]
        values = np.linalg.eigvalsh([model.hvp(theta, e, x, y) for e in np.eye(theta.size)])
        assert found[t] == pytest.approx(values[np.abs(values).argmax()], rel=1e-6)


def test_layer_outputs_end_in_the_prediction():
    theta, tasks = problem()
    outputs = measures.layer_outputs(MODEL, theta, tasks.x_query)
    assert [z.shape[-1] for z in outputs] == [40, 40, 1]
    assert np.allclose(outputs[-1], MODEL.predict(theta, tasks.x_query))
    W, b = theta[-41:-1].reshape(40, 1), theta[-1]
    assert np.allclose(outputs[1] @ W + b, outputs[-1])


def test_cka_sees_through_turning_scaling_and_shifting_only():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 3, 200, 5))
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    assert np.allclose(measures.cka(one, 3 * one @ turn + 1), 1)
    assert (measures.cka(one, other) < 0.2).all()
    # the same by its other form, from the points' similarities
    centred = [z - z.mean(axis=-2, keepdims=True) for z in (one, other)]
    a, b = (z @ z.mT for z in centred)
    inner = lambda p, q: np.sum(p * q, axis=(-2, -1))  # noqa: E731
    assert np.allclose(measures.cka(one, other), inner(a, b) / np.sqrt(inner(a, a) * inner(b, b)))


def test_the_probe_is_judged_where_it_was_not_fitted():
    x = np.linspace(-5, 5, 401)
    assert measures.probe(np.stack([np.sin(x), x], axis=1), 2 * np.sin(x) + 1) > 1 - 1e-12
    assert measures.probe(x[:, None], np.cos(x)) < 0.2
    noise = np.random.default_rng(0).normal(size=(401, 150))
    assert measures.probe(noise, np.sin(x)) < 0


@pytest.mark.parametrize("name", CONTESTANTS)
def test_one_call_serves_every_kind_of_model(name):
    contestant = CONTESTANTS[name]
    torch.manual_seed(0)
    model = maml_torch.from_module(contestant.make().double(), contestant.objective)
    tasks = contestant.family.sample(np.random.default_rng(0), 2, 6, 6)
    inner = {"alpha": contestant.alpha / 3, "n_inner_steps": 2}
    loss, gradient = maml_torch.maml_gradient(model, model.theta(), tasks, **inner)
    again, unrolled = maml_torch.unrolled_gradient(model, model.theta(), tasks, **inner)
    assert torch.allclose(gradient, unrolled, rtol=1e-9, atol=1e-12)
    assert float(loss) == pytest.approx(float(again), rel=1e-12)
    assert (gradient != 0).double().mean() > 0.4  # dead ReLUs at most


def test_families_of_the_models_are_what_they_say():
    rng = np.random.default_rng(0)
    patterns = contestants_torch.Patterns().sample(rng, 4, 9, 30)
    means = [patterns.x_query[:, patterns.y_query[0] == way].mean(axis=1) for way in range(3)]
    support = patterns.x_support[:, 0]  # of class 0
    distance = [np.sum((support - mean) ** 2, axis=(1, 2, 3)) for mean in means]
    assert patterns.x_support.shape == (4, 9, 1, 8, 8) and (np.argmin(distance, axis=0) == 0).all()
    echoes = contestants_torch.Echoes().sample(rng, 5, 9, 9)
    for t in range(5):
        ends = echoes.x_support[t, :, [0, -1], 0].T
        weights, residual, *_ = np.linalg.lstsq(ends, echoes.y_support[t, :, 0])
        assert residual < 1e-20 and weights[0] > 0.5 and weights[1] < -0.5
    borders = contestants_torch.Borders().sample(rng, 300, 9, 9)
    common = borders.x_query @ np.linspace(2, -2, 4) > 0
    assert 0.75 < np.mean(common == borders.y_query) < 0.95


@pytest.mark.parametrize("n_seeds", STUDENT)
def test_the_band_is_the_interval_of_the_tables(n_seeds):
    values = np.random.default_rng(0).normal(1, 0.1, size=(n_seeds, 30, 1))
    mean, low, high = band(values)[:, 0]
    shown = (
        f"{mean:.2f} ± {1.96 * values.mean(axis=0).std(ddof=1) / 30**0.5:.2f} ± {high - mean:.2f}"
    )
    assert with_intervals(values[..., 0]) == shown
    assert mean - low == pytest.approx(high - mean)
    half = stats.t.ppf(0.975, n_seeds - 1) * values.mean(axis=1).std(ddof=1) / n_seeds**0.5
    assert high - mean == pytest.approx(half, rel=2e-4)  # the table has three decimals


@pytest.mark.parametrize("n_seeds", [1, 11])
def test_an_interval_needs_a_number_of_seeds_that_the_table_knows(n_seeds):
    with pytest.raises(ValueError, match=f"2 to 10 seeds, got {n_seeds}"):
        band(np.ones((n_seeds, 30, 1)))


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_figure_sends_what_was_measured(claim):
    figure = OnTrial.from_package(claim)
    n = len(figure.places)
    curves = np.frombuffer(figure.curves, "<f4").reshape(len(figure.series), 3, n)
    with np.load(DATA) as stored:
        keys = [key for key, *_ in CLAIMS[claim][1]]
        for curve, key in zip(curves, keys, strict=True):
            assert np.allclose(curve[0], stored[key].astype(float).mean(axis=(0, 1)), rtol=1e-5)
    assert (curves[:, 1] <= curves[:, 0]).all() and (curves[:, 0] <= curves[:, 2]).all()
    assert len(figure.starts) == 4 * MODEL.n_params * {"variance": 0, "shift": 2}.get(claim, 1)


def test_the_figure_refuses():
    with pytest.raises(ValueError, match="stored lacks frequency maml"):
        OnTrial({}, "related tasks")
    with pytest.raises(ValueError, match="claim"):
        OnTrial.from_package("speed")
    with pytest.raises(ValueError, match="frequency"):
        OnTrial.from_package("related tasks", frequency=9.0)
    with pytest.raises(ValueError, match="no setting rate"):
        OnTrial.from_package("shift", rate=1.0)


def test_javascript_adapts_to_its_wave_like_numpy():
    theta = problem()[0]
    (wave,) = run_node("claims", [("newWave", [7, 1.5, [-5, 0]])])
    x, y = (np.array(wave["support"][name])[None, :, None] for name in "xy")
    assert -5 <= x.min() < x.max() <= 0 and x.shape == (1, 10, 1)
    assert np.allclose(y, wave["amplitude"] * np.sin(1.5 * x - wave["phase"]), atol=1e-12)
    task = Task(x, y, x, y)
    after = [maml.adapt(MODEL, theta, task, alpha=0.01, n_inner_steps=k)[0] for k in range(8)]
    case = ("descent", [NET, flat(theta), wave["support"], 0.01, 7])
    assert_all_close("claims", [case], [after])


def test_javascript_reads_curves_like_numpy():
    xs, ys = [0.0, 1.0, 3.0, 10.0], [2.0, 5.0, 4.0, 4.5]
    asked = [0.0, 0.3, 1.0, 2.5, 9.0, 10.0]
    cases = [("between", [xs, ys, x]) for x in asked]
    wanted = list(np.interp(asked, xs, ys))
    sorted_values = np.sort(np.random.default_rng(0).normal(size=40))
    for limit in (-9.0, 0.1, 9.0):
        cases.append(("shareAbove", [flat(sorted_values), limit]))
        wanted.append(np.mean(sorted_values > limit))
    cases.append(("stretch", [0.01, 350.0]))
    assert_all_close("claims", cases, [*wanted, 2.5])
