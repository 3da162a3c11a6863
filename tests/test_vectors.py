"""The golden vectors: every engine answers what they hold, and central differences agree."""

import json
from dataclasses import fields
from types import SimpleNamespace

import make_vectors
import numpy as np
import pytest
import torch
from node import flat, run_node

from maml_teach import family_torch, maml, maml_torch
from maml_teach.checks import central_difference, relative_error
from maml_teach.tasks import Task
from maml_teach.vectors import ANSWERS, METHODS, as_vector, network, reference, vectors

FILES = {path.stem: path.read_text("utf-8") for path in make_vectors.FOLDER.glob("*.json")}
VECTORS = {name: as_vector(json.loads(text)) for name, text in sorted(FILES.items())}
FIRST_ORDER = ("fomaml", "reptile")
SECOND_ORDER = sorted(set(METHODS) - set(FIRST_ORDER))
TORCH = {
    "maml": maml_torch.maml_gradient,
    "fomaml": maml_torch.fomaml_gradient,
    "reptile": maml_torch.reptile_gradient,
    "anil": maml_torch.anil_gradient,
    "meta_sgd": family_torch.meta_sgd_gradient,
    "momentum": lambda *args, **inner: maml_torch.maml_gradient(*args, **inner, inner="momentum"),
    "adam": lambda *args, **inner: maml_torch.maml_gradient(*args, **inner, inner="adam"),
}
# What the figures compute with a multilayer perceptron. Not on the page, and so not compared:
# cross entropy of such a network, ANIL, Meta-SGD, and inner loops of momentum or Adam.
JAVASCRIPT = {
    "maml": "mamlGradient",
    "fomaml": "fomamlGradient",
    "reptile": "reptileGradient",
}


def those(methods, **settings):
    """The names of vectors of some methods, with some settings."""
    return [
        name
        for name, vector in VECTORS.items()
        if vector.problem["method"] in methods
        and all(vector.problem[key] == value for key, value in settings.items())
    ]


def assert_answers(answer, vector, tolerance):
    assert len(answer) == 1 + len(vector.gradients)
    for part, wanted in zip(answer, (vector.meta_loss, *vector.gradients), strict=True):
        assert relative_error(part, wanted) < tolerance


def test_the_package_reads_them_all():
    assert [vector.name for vector in vectors()] == list(VECTORS)


def test_every_method_kind_and_number_of_steps_is_there():
    found = {method: those([method]) for method in METHODS}
    assert all(len(names) >= 4 for names in found.values())
    for activation in ("relu", "tanh"):
        for objective in ("mse", "cross_entropy"):
            names = those(["maml"], activation=activation, objective=objective)
            assert {VECTORS[name].problem["n_inner_steps"] for name in names} == {0, 1, 2, 5, 10}
    sizes = {name: {len(t["y_query"]) for t in v.problem["tasks"]} for name, v in VECTORS.items()}
    of_several = [name for name, several in sizes.items() if len(several) > 1]
    assert of_several == [name for name in VECTORS if name.endswith("_unequal")] != []


def test_they_are_small_and_say_what_made_them():
    assert sum(map(len, FILES.values())) < 300_000 and max(map(len, FILES.values())) < 6_000
    for name, text in FILES.items():
        held = json.loads(text)
        assert held["name"] == name and f"seed {make_vectors.SEED}" in held["made_by"]


def test_numbers_read_back_to_the_bit():
    for text in FILES.values():
        assert make_vectors.text(json.loads(text)) == text


def test_the_script_writes_them_today():
    made = make_vectors.records()
    assert set(made) == set(FILES)
    for name, text in FILES.items():
        held, today = json.loads(text), made[name]
        assert list(held) == list(today)
        for key, value in today.items():
            if key in ANSWERS:
                assert relative_error(held[key], value) < 1e-12, (name, key)
            else:
                assert held[key] == value, (name, key)


@pytest.mark.parametrize("name", VECTORS)
def test_numpy_answers_the_same(name):
    assert_answers(reference(VECTORS[name].problem), VECTORS[name], 1e-12)


@pytest.mark.parametrize("name", VECTORS)
def test_torch_answers_the_same(name):
    vector, problem = VECTORS[name], VECTORS[name].problem
    model = maml_torch.MLP(problem["sizes"], problem["activation"], problem["objective"])
    tasks = [Task(**{k: torch.tensor(v) for k, v in one.items()}) for one in problem["tasks"]]
    alpha = problem["alpha"]
    settings = {
        "alpha": torch.tensor(alpha) if np.ndim(alpha) else alpha,
        "n_inner_steps": problem["n_inner_steps"],
    }
    answer = TORCH[problem["method"]](model, torch.tensor(problem["theta"]), tasks, **settings)
    assert_answers([part.numpy() for part in answer], vector, 1e-10)


def test_javascript_answers_the_same():
    names, cases = those(JAVASCRIPT, objective="mse"), []
    for name in names:
        problem = VECTORS[name].problem
        net = {"sizes": problem["sizes"], "activation": problem["activation"]}
        named = {f.name: f.name.replace("_s", "S").replace("_q", "Q") for f in fields(Task)}
        tasks = [{named[k]: flat(v) for k, v in one.items()} for one in problem["tasks"]]
        inner = {"alpha": problem["alpha"], "nInnerSteps": problem["n_inner_steps"]}
        function = JAVASCRIPT[problem["method"]]
        cases.append((function, [net, flat(problem["theta"]), tasks, inner]))
    assert len(names) == 15
    for name, answer in zip(names, run_node("shared", cases), strict=True):
        assert_answers([answer["metaLoss"], answer["gradient"]], VECTORS[name], 1e-9)


def meta_loss(problem, **changes):
    """The mean over tasks of the query loss after adapting, one task after the other."""
    given = {**problem, **changes}
    model, alpha = network(problem), given["alpha"]
    rates = alpha * model.head if problem["method"] == "anil" else alpha
    rule = problem["method"] if problem["method"] in ("momentum", "adam") else "sgd"
    tasks = [Task(**task) for task in problem["tasks"]]
    settings = {"alpha": rates, "n_inner_steps": problem["n_inner_steps"], "inner": rule}
    each = maml.adapt(model, given["theta"], tasks, **settings)
    losses = [model.loss(at, t.x_query, t.y_query) for at, t in zip(each, tasks, strict=True)]
    return float(np.mean(losses))


@pytest.mark.parametrize("name", those(SECOND_ORDER))
def test_central_differences_of_the_meta_loss_agree(name):
    vector, problem = VECTORS[name], VECTORS[name].problem
    assert relative_error(meta_loss(problem), vector.meta_loss) < 1e-12
    for key, gradient in zip(("theta", "alpha"), vector.gradients, strict=False):
        numerical = central_difference(
            lambda at, key=key: meta_loss(problem, **{key: at}), problem[key]
        )
        assert relative_error(gradient, numerical) < 1e-6


@pytest.mark.parametrize("name", those(SECOND_ORDER))
def test_second_order_is_not_small(name):
    """So that a first-order answer cannot pass for the exact one; and every parameter counts."""
    vector, problem = VECTORS[name], VECTORS[name].problem
    assert all(gradient.all() for gradient in vector.gradients)
    model = network(problem)
    parts = {"loss": model.loss, "gradient": model.gradient, "head": model.head}
    cut = SimpleNamespace(hvp=lambda theta, v, x, y: np.zeros_like(v), **parts)
    first = reference(problem, cut)
    missed = relative_error(first[1], vector.gradients[0])
    assert missed > 0.1 if problem["n_inner_steps"] else missed < 1e-12
