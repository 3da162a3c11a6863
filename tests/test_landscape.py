"""Meta-landscape: its scalar mathematics against hand, NumPy and closed forms; its settings."""

import numpy as np
import pytest
from node import assert_all_close, relative_error, run_node

from maml_teach import maml
from maml_teach.checks import central_difference
from maml_teach.tasks import Task
from maml_teach.widgets import MetaLandscape

POWERS = [2, 4]
STEPS = [0, 1, 2, 5]
CURVATURES = np.array([0.8, 2.5, 6.0])
CENTRES = np.array([-1.5, 0.75, 1.3])
GRADIENTS = {
    "metaGradient": maml.maml_gradient,
    "fomaml": maml.fomaml_gradient,
    "reptile": maml.reptile_gradient,
}


class Power:
    """One number theta; a point (x, y) is a centre and a curvature."""

    def __init__(self, power):
        self.power = power

    def loss(self, theta, x, y):
        distance = np.abs(theta[..., None, :] - x)
        return (y * distance**self.power / self.power).mean(axis=(-2, -1))

    def gradient(self, theta, x, y):
        return (y * (theta[..., None, :] - x) ** (self.power - 1)).mean(axis=-2)

    def hvp(self, theta, v, x, y):
        bend = y * (self.power - 1) * (theta[..., None, :] - x) ** (self.power - 2)
        return (bend * v[..., None, :]).mean(axis=-2)


def power_loss(curvature, centre, power):
    return {"curvature": float(curvature), "centre": float(centre), "power": power}


def as_json(power, centres=CENTRES, curvatures=CURVATURES):
    return [power_loss(c, m, power) for c, m in zip(curvatures, centres, strict=True)]


def as_tasks(centres=CENTRES, curvatures=CURVATURES):
    x, y = centres[:, None, None], curvatures[:, None, None]
    return Task(x, y, x, y)


def inner(alpha, n_inner_steps):
    return {"alpha": alpha, "nInnerSteps": n_inner_steps}


def call(name, tasks, theta, alpha, n_inner_steps):
    return (name, [tasks, theta, inner(alpha, n_inner_steps)])


def adapted(power, theta, alpha, n_inner_steps):
    """theta_prime of each task for a whole grid of theta, ``(n_tasks, n)``."""
    x = np.broadcast_to(theta, (3, len(theta)))
    for _ in range(n_inner_steps):
        distance = x - CENTRES[:, None]
        x = x - alpha * CURVATURES[:, None] * distance ** (power - 1)
    return x


def objective(power, theta, alpha, n_inner_steps):
    distance = np.abs(adapted(power, theta, alpha, n_inner_steps) - CENTRES[:, None])
    return (CURVATURES[:, None] * distance**power / power).mean(axis=0)


def test_worked_case_of_the_chapter():
    task = {"support": power_loss(1, 0, 4), "query": power_loss(1, 0, 2)}
    settings = inner(0.1, 2)
    names = ["metaGradient", "fomaml", "collapsed", "metaObjective"]
    path, *answers = run_node(
        "landscape",
        [
            ("innerPath", [task, 1.0, settings]),
            *((name, [[task], 1.0, settings]) for name in names),
        ],
    )
    assert np.allclose(path, [1, 0.9, 0.8271], rtol=0, atol=1e-12)
    expected = [0.43828029, 0.8271, 0.405279, 0.8271**2 / 2]
    assert np.allclose(answers, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("power", POWERS)
def test_slope_and_bend_are_derivatives_of_the_loss(power):
    loss = power_loss(1.7, 0.4, power)
    thetas = np.array([-2.0, 0.1, 0.4, 1.3])
    names = ["loss", "slope", "bend"]
    cases = [(name, [loss, t]) for name in names for t in thetas.tolist()]
    value, slope, bend = np.reshape(run_node("landscape", cases), (3, -1))
    polynomial = 1.7 / power * np.poly1d([1, -0.4]) ** power
    assert np.allclose(value, polynomial(thetas))
    assert np.allclose(slope, polynomial.deriv()(thetas))
    assert np.allclose(bend, polynomial.deriv(2)(thetas))


@pytest.mark.parametrize("n_inner_steps", STEPS)
@pytest.mark.parametrize(("power", "alpha"), [(2, 0.2), (2, 0.45), (4, 0.03)])
def test_meta_gradients_match_numpy(power, alpha, n_inner_steps):
    model, tasks = Power(power), as_tasks()
    settings = {"alpha": alpha, "n_inner_steps": n_inner_steps}
    cases, expected = [], []
    for theta in np.random.default_rng(power).uniform(-2, 2, size=4):
        for name in ("metaObjective", *GRADIENTS):
            cases.append(call(name, as_json(power), float(theta), alpha, n_inner_steps))
        answers = [of(model, np.array([theta]), tasks, **settings) for of in GRADIENTS.values()]
        expected += [answers[0][0], *(gradient for _, gradient in answers)]
    assert_all_close("landscape", cases, expected)


@pytest.mark.parametrize("n_inner_steps", [2, 5])
def test_collapsed_product_is_exact_for_bowls_only(n_inner_steps):
    for power, alpha in ((2, 0.2), (4, 0.03)):
        cases = [
            call(name, as_json(power), 0.35, alpha, n_inner_steps)
            for name in ("collapsed", "metaGradient")
        ]
        wrong, exact = run_node("landscape", cases)
        assert (relative_error(wrong, exact) < 1e-12) == (power == 2)


@pytest.mark.parametrize("n_inner_steps", STEPS)
@pytest.mark.parametrize("power", POWERS)
def test_central_difference_is_that_of_the_package(power, n_inner_steps):
    alpha = {2: 0.2, 4: 0.03}[power]
    case = call("centralDifference", as_json(power), 0.35, alpha, n_inner_steps)
    [answer] = run_node("landscape", [case])
    reference = central_difference(
        lambda theta: objective(power, theta, alpha, n_inner_steps)[0],
        np.array([0.35]),
        step=1e-5,
    )
    assert relative_error(answer, reference) < 1e-8


@pytest.mark.parametrize("n_inner_steps", STEPS)
@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.4])
def test_weight_of_a_bowl_in_the_meta_objective(alpha, n_inner_steps):
    weights = CURVATURES * (1 - alpha * CURVATURES) ** (2 * n_inner_steps)
    parts = weights * (0.35 - CENTRES)
    cases = [call("walkBack", task, 0.35, alpha, n_inner_steps) for task in as_json(2)]
    slopes = [call("arrival", task, 0.35, alpha, n_inner_steps) for task in as_json(2)]
    assert_all_close("landscape", cases, parts)
    assert_all_close("landscape", slopes, (1 - alpha * CURVATURES) ** n_inner_steps)
    [best] = run_node("landscape", [("minimum", [as_json(2), inner(alpha, n_inner_steps)])])
    assert np.isclose(best["theta"], weights @ CENTRES / weights.sum(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("n_inner_steps", STEPS)
def test_arrival_is_the_slope_of_theta_prime(n_inner_steps):
    step = 1e-6
    ends = adapted(4, np.array([0.35 + step, 0.35 - step]), 0.03, n_inner_steps)
    cases = [call("arrival", task, 0.35, 0.03, n_inner_steps) for task in as_json(4)]
    slopes = run_node("landscape", cases)
    assert np.allclose(slopes, (ends[:, 0] - ends[:, 1]) / (2 * step), atol=1e-8)


@pytest.mark.parametrize("n_inner_steps", [0, 1, 2, 3])
@pytest.mark.parametrize(("power", "alpha"), [(2, 0.2), (2, 0.7), (4, 0.02), (4, 0.05), (4, 0.2)])
def test_minimum_is_the_lowest_point_of_the_picture(power, alpha, n_inner_steps):
    grid = np.linspace(-3, 3, 200_001)
    with np.errstate(over="ignore"):
        values = objective(power, grid, alpha, n_inner_steps)
    [best] = run_node("landscape", [("minimum", [as_json(power), inner(alpha, n_inner_steps)])])
    assert not best["flat"] and -3 <= best["theta"] <= 3
    at_best = objective(power, np.array([best["theta"]]), alpha, n_inner_steps)[0]
    assert np.isclose(best["value"], at_best, rtol=1e-9)
    assert best["value"] <= values.min() + 1e-12


def test_flat_objective_has_no_minimum():
    tasks = as_json(2, curvatures=np.full(3, 2.0))
    [best] = run_node("landscape", [("minimum", [tasks, inner(0.5, 1)])])
    assert best["flat"] and best["value"] < 1e-12


def test_divergence_stays_infinite_and_never_turns_into_nan():
    task = power_loss(6, 1.3, 4)
    cases = [
        call("thetaPrimeAsText", task, -2.5, 1, 10),
        call("metaObjectiveAsText", [task], -2.5, 1, 10),
    ]
    assert run_node("landscape", cases) == ["Infinity", "Infinity"]


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "already"),
        (0.9, "closer"),
        (1.0, "solved in one step"),
        (1.3, "overshoots"),
        (2.0, "only swaps sides"),
        (2.1, "diverges"),
    ],
)
def test_words_say_what_the_inner_loop_does(power, share, words):
    """The words hold for ten steps from distance 1 of a task with curvature 1."""
    alpha = share  # the slope at distance 1 is 1, so this is the share of the way
    [text] = run_node("landscape", [("inWords", [share * (power - 1), power])])
    assert words in text
    if share == 0:
        return
    [path] = run_node("landscape", [("innerPath", [power_loss(1, 0, power), 1.0, inner(alpha, 3)])])
    first, last = path[1], path[-1]
    truth = {
        "closer": 0 < last < first < 1,
        "solved in one step": first == 0,
        "overshoots": -1 < first < 0 and abs(last) < abs(first),
        "only swaps sides": first == -1 and last == -1,
        "diverges": first < -1 and abs(last) > abs(first),
    }
    assert truth[words]


def test_tasks_in_like_case_are_named_together():
    [text] = run_node("landscape", [("innerLoopInWords", [[0.16, 0.5, 2.5], 2])])
    assert text.startswith("A 0.16, B 0.50 (below 1: comes closer smoothly); C 2.50 (above 2")


def test_numbers_are_written_for_readers():
    cases = [(0.43828029, "0.43828"), (-12.5, "\u221212.500"), (0.0, "0"), (3.1e9, "3.100e9")]
    answers = run_node("landscape", [("figures", [value]) for value, _ in cases])
    assert answers == [text for _, text in cases]


def test_defaults_span_the_cases_of_the_inner_loop():
    figure = MetaLandscape()
    products = [figure.alpha * getattr(figure, f"curvature_{name}") for name in "abc"]
    assert np.allclose(products, [0.16, 0.5, 1.16])
    given = MetaLandscape(shape="quartic", centres=[0.0, 1, -2], theta=-1, n_inner_steps=0)
    assert given.centres == [0.0, 1.0, -2.0] and given.theta == -1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": float("nan")}, "alpha must be finite"),
        ({"n_inner_steps": 11}, "n_inner_steps"),
        ({"n_inner_steps": 1.5}, "n_inner_steps"),
        ({"curvature_a": 0.1}, "curvature_a"),
        ({"curvature_b": 7.0}, "curvature_b"),
        ({"curvature_c": "steep"}, "curvature_c"),
        ({"centres": [0.0, 1.0]}, "centres"),
        ({"centres": [0.0, 1.0, 4.0]}, "4.0"),
        ({"centres": [0.0, 1.0, float("nan")]}, "centres must be finite"),
        ({"theta": -3.5}, "theta"),
        ({"theta": float("inf")}, "theta"),
        ({"shape": "valley"}, "shape"),
        ({"beta": 1.0}, "no setting beta"),
    ],
)
def test_landscape_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        MetaLandscape(**settings)
