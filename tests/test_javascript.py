"""The figures' JavaScript computes what the NumPy reference computes, to 1e-9."""

from dataclasses import fields

import numpy as np
import pytest
from node import JAVASCRIPT, assert_all_close, flat, mulberry32, relative_error, run_node

from maml_teach import maml
from maml_teach.mlp import MLP
from maml_teach.tasks import Lines, Sinusoids, Task
from maml_teach.widgets.front_end import HERE

SHAPES = [(1, 1), (1, 5, 1), (2, 3, 4, 2), (1, 40, 40, 1)]
ACTIVATIONS = ["relu", "tanh"]
STEPS = [0, 1, 2, 5]
ALPHA = 0.01
GRADIENTS = {
    "jointGradient": maml.joint_gradient,
    "fomamlGradient": maml.fomaml_gradient,
    "mamlGradient": maml.maml_gradient,
    "reptileGradient": maml.reptile_gradient,
}
NETWORKS = [(sizes, activation) for sizes in SHAPES for activation in ACTIVATIONS]


def network(sizes, activation):
    return {"sizes": sizes, "activation": activation}


def camel(name):
    part, which = name.split("_")
    return part + which.capitalize()


def tasks_for(sizes, rng):
    """Three random tasks with as many inputs and outputs as the network has."""
    shapes = [(3, 6, sizes[0]), (3, 6, sizes[-1]), (3, 8, sizes[0]), (3, 8, sizes[-1])]
    return Task(*(rng.normal(size=shape) for shape in shapes))


def as_json(tasks):
    one = lambda i: {camel(f.name): flat(getattr(tasks, f.name)[i]) for f in fields(tasks)}  # noqa: E731
    return [one(index) for index in range(tasks.n_tasks)]


def test_adapters_are_named_after_the_folders_of_widgets():
    adapters = {path.stem for path in JAVASCRIPT.glob("*.mjs")} - {"harness", "page"}
    assert adapters <= {path.name for path in HERE.iterdir() if path.is_dir()}


@pytest.mark.parametrize(("sizes", "activation"), NETWORKS)
def test_network_matches_numpy(sizes, activation):
    rng = np.random.default_rng(len(sizes))
    model, net = MLP(sizes, activation=activation), network(sizes, activation)
    theta, v = (
        model.init(rng) + 0.1 * rng.normal(size=model.n_params),
        rng.normal(size=model.n_params),
    )
    x, y = rng.normal(size=(7, sizes[0])), rng.normal(size=(7, sizes[-1]))
    calls = {
        "predict": ((theta, x), model.predict(theta, x)),
        "loss": ((theta, x, y), model.loss(theta, x, y)),
        "gradient": ((theta, x, y), model.gradient(theta, x, y)),
        "hvp": ((theta, v, x, y), model.hvp(theta, v, x, y)),
    }
    cases = [(name, [net, *map(flat, args)]) for name, (args, _) in calls.items()]
    assert_all_close("shared", cases, [wanted for _, wanted in calls.values()])


@pytest.mark.parametrize(("sizes", "activation"), NETWORKS)
def test_meta_gradients_match_numpy(sizes, activation):
    rng = np.random.default_rng(0)
    model, tasks = MLP(sizes, activation=activation), tasks_for(sizes, rng)
    theta, net = model.init(rng), network(sizes, activation)
    cases, expected = [], []
    for n_inner_steps in STEPS:
        settings = {"alpha": ALPHA, "n_inner_steps": n_inner_steps}
        inner = {"alpha": ALPHA, "nInnerSteps": n_inner_steps}
        cases += [(name, [net, flat(theta), as_json(tasks), inner]) for name in GRADIENTS]
        expected += [of(model, theta, tasks, **settings) for of in GRADIENTS.values()]
    answers = run_node("shared", cases)
    for (name, _), answer, (meta_loss, gradient) in zip(cases, answers, expected, strict=True):
        assert relative_error(answer["metaLoss"], meta_loss) < 1e-9, name
        assert relative_error(answer["gradient"], gradient) < 1e-9, name


@pytest.mark.parametrize("n_inner_steps", STEPS)
def test_adapted_parameters_and_their_loss_match_numpy(n_inner_steps):
    rng = np.random.default_rng(n_inner_steps)
    model, tasks = MLP((2, 3, 4, 2), activation="tanh"), tasks_for((2, 3, 4, 2), rng)
    theta, net = model.init(rng), network(model.sizes, "tanh")
    settings = {"alpha": ALPHA, "n_inner_steps": n_inner_steps}
    inner = {"alpha": ALPHA, "nInnerSteps": n_inner_steps}
    cases = [("adapt", [net, flat(theta), task, inner]) for task in as_json(tasks)]
    cases.append(("metaLoss", [net, flat(theta), as_json(tasks), inner]))
    meta_loss = maml.fomaml_gradient(model, theta, tasks, **settings)[0]
    assert_all_close("shared", cases, [*maml.adapt(model, theta, tasks, **settings), meta_loss])


def test_inner_path_holds_every_step():
    rng = np.random.default_rng(0)
    model, tasks = MLP((1, 40, 40, 1)), Sinusoids().sample(rng, 2, 5, 5)
    theta = model.init(rng)
    inner = {"alpha": ALPHA, "nInnerSteps": 4}
    case = ("innerPath", [network(model.sizes, "relu"), flat(theta), as_json(tasks)[1], inner])
    steps = [maml.adapt(model, theta, tasks, alpha=ALPHA, n_inner_steps=k)[1] for k in range(5)]
    assert_all_close("shared", [case], [steps])


@pytest.mark.parametrize("n_inner_steps", [0, 1, 2, 10])
@pytest.mark.parametrize("alpha", [0.05, 0.15, 0.45])
def test_meta_objective_of_lines_is_the_quadratic_drawn(alpha, n_inner_steps):
    rng = np.random.default_rng(1)
    model, tasks = MLP((1, 1)), Lines().sample(rng, 5, 5, 20)
    settings = {"alpha": alpha, "n_inner_steps": n_inner_steps}
    inner = {"alpha": alpha, "nInnerSteps": n_inner_steps}
    common = [network((1, 1), "relu"), as_json(tasks), inner]
    [q] = run_node("shared", [("metaQuadratic", common)])
    points = rng.uniform(-3, 3, size=(20, 2))
    reference = [maml.maml_gradient(model, theta, tasks, **settings)[0] for theta in points]
    cases = [("quadraticValue", [q, theta.tolist()]) for theta in points]
    *values, minimum, axes = run_node(
        "shared", [*cases, ("quadraticMinimum", [q]), ("quadraticAxes", [q])]
    )
    assert relative_error(values, reference) < 1e-9
    hessian = np.array([[2 * q["a"], q["b"]], [q["b"], 2 * q["c"]]])
    small, large = np.linalg.eigvalsh(hessian) / 2
    assert relative_error([axes["small"], axes["large"]], [small, large]) < 1e-9
    lead = np.array([np.cos(axes["angle"]), np.sin(axes["angle"])])
    assert np.allclose(hessian @ lead, 2 * large * lead)
    assert relative_error(minimum["point"], np.linalg.solve(hessian, [-q["d"], -q["e"]])) < 1e-9
    at_minimum = maml.maml_gradient(model, np.array(minimum["point"]), tasks, **settings)
    assert relative_error(minimum["value"], at_minimum[0]) < 1e-8
    assert np.linalg.norm(at_minimum[1]) < 1e-7


def test_ellipse_lies_on_its_contour():
    q = {"a": 2.0, "b": 1.5, "c": 0.7, "d": -1.0, "e": 0.3, "f": 4.0}
    [outline] = run_node("two_loops", [("ellipse", [q, 0.8])])
    cases = [("quadraticValue", [q, point]) for point in outline]
    *values, minimum = run_node("shared", [*cases, ("quadraticMinimum", [q])])
    assert np.allclose(values, minimum["value"] + 0.8)


def test_largest_curvature_is_the_top_eigenvalue():
    rng = np.random.default_rng(2)
    model, tasks = MLP((1, 1)), Lines().sample(rng, 4, 5, 5)
    columns = [model.hvp(np.zeros(2), v, tasks.x_support, tasks.y_support) for v in np.eye(2)]
    cases = [("largestCurvature", [network((1, 1), "relu"), t]) for t in as_json(tasks)]
    assert_all_close("shared", cases, np.linalg.eigvalsh(np.stack(columns, axis=-1))[:, -1])


def test_vector_helpers():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 9))
    cosine = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
    cases = [
        ("plus", [flat(x), -0.3, flat(y)]),
        ("mse", [flat(x), flat(y)]),
        ("angleBetween", [flat(x), flat(y)]),
    ]
    wanted = [x - 0.3 * y, ((x - y) ** 2).mean(), np.degrees(np.arccos(cosine))]
    assert_all_close("shared", cases, wanted)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_uniforms_are_mulberry32(seed):
    stream = mulberry32(seed)
    assert_all_close("shared", [("uniforms", [seed, 50])], [[next(stream) for _ in range(50)]])


def test_sampling_without_replacement():
    answers = run_node("shared", [("sampleWithoutReplacement", [s, 6, 3]) for s in range(300)])
    assert all(len(set(drawn)) == 3 and drawn == sorted(drawn) for drawn in answers)
    counts = np.bincount(np.ravel(answers), minlength=6)
    assert counts.sum() == 900 and counts.min() > 110  # 150 each, give or take
    [everything] = run_node("shared", [("sampleWithoutReplacement", [5, 4, 4])])
    assert everything == [0, 1, 2, 3]


def test_support_points_keep_the_readers_own():
    settings = {"seed": 8, "region": "right half", "nShots": 4}
    drawn, mixed = run_node(
        "playground",
        [
            ("pointsOnSine", [{**settings, "points": []}]),
            ("pointsOnSine", [{**settings, "points": [[1.0, 2.0], [2.0, None]]}]),
        ],
    )
    assert all(0 <= x <= 5 and np.isclose(y, np.sin(x)) for x, y in drawn)
    assert mixed[0] == [1.0, 2.0] and np.isclose(mixed[1][1], np.sin(2.0))
    assert mixed[2:] == drawn[:2]


NUMBERS = [
    ("0.02", {"value": 0.02}),
    ("0.5", {"message": "Please give a number from 0.001 to 0.1."}),
    ("", {"message": "Please give a number from 0.001 to 0.1."}),
    ("abc", {"message": "Please give a number from 0.001 to 0.1."}),
]


def test_number_fields_take_only_good_values():
    alpha = {"min": 0.001, "max": 0.1, "step": 0.001, "log": True, "digits": 3}
    shots = {"min": 1, "max": 20, "step": 1, "digits": 0}
    cases = [("readNumber", [text, alpha]) for text, _ in NUMBERS]
    *answers, half, log = run_node(
        "shared", [*cases, ("readNumber", ["2.5", shots]), ("fromPosition", [-2, alpha])]
    )
    assert answers == [wanted for _, wanted in NUMBERS]
    assert half == {"message": "Please give a whole number from 1 to 20."}
    assert log == 0.01


def test_labels_are_spread_apart_in_order():
    [placed] = run_node("shared", [("spread", [[50, 52, 51, 5], 12, 10, 60])])
    assert placed[3] >= 10 and max(placed) <= 60
    assert np.diff(np.sort(placed)).min() >= 12
    assert np.argsort(placed).tolist() == [3, 0, 2, 1]


@pytest.mark.parametrize(
    ("product", "word"), [(0.5, "below 1"), (1.5, "between"), (2.5, "above 2")]
)
def test_inner_rate_in_words(product, word):
    [words] = run_node("two_loops", [("inInnerLoop", [product])])
    assert words.startswith(word)
