"""Each thing that can be odd in a batch of tasks: planted, and found; and clean ones pass.

The largest curvature of a torch module is compared with NumPy here, too: the guide uses both.
"""

from dataclasses import replace

import numpy as np
import pytest
import test_families
import torch

from maml_teach import maml_torch, measures, measures_torch, mlp_torch
from maml_teach.checks import check_tasks
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids, Task

SOME = {"n_tasks": 6, "n_shots": 20, "n_queries": 10}  # enough to show each class of a task


def labelled(seed=0, n_tasks=4, n_ways=3, n_each=4):
    """Clean tasks with labels: every class on both sides, each point once."""
    rng = np.random.default_rng(seed)
    y = np.tile(np.arange(n_ways), n_each)[None].repeat(n_tasks, axis=0)
    x = rng.standard_normal((n_tasks, y.shape[1], 2))
    return Task.split(x, y, n_ways * n_each // 2)


def waves(n_tasks=4):
    return Sinusoids().sample(np.random.default_rng(0), n_tasks, 5, 6)


def changed(array, where, value):
    new = array.copy()
    new[where] = value
    return new


@pytest.mark.parametrize("name", test_families.FAMILIES)
def test_a_clean_batch_of_each_family_passes(name):
    counts = SOME if name in ("Borders", "Patterns") else {**SOME, "n_shots": 3, "n_queries": 4}
    assert check_tasks(test_families.sample(name, **counts)) == []


def test_clean_tasks_with_labels_pass():
    assert check_tasks(labelled()) == []


def test_a_support_point_that_is_a_query_point_is_found():
    tasks = waves()
    shared = replace(tasks, x_query=changed(tasks.x_query, (2, 4), tasks.x_support[2, 1]))
    assert check_tasks(shared) == [
        "1 of 4 tasks, first task 2: a support point is also a query point"
    ]
    other = replace(tasks, x_query=changed(tasks.x_query, (2, 4), tasks.x_support[1, 1]))
    assert check_tasks(other) == []  # that of another task is no fault


def test_two_labels_of_one_input_are_found_on_either_side():
    tasks = labelled()
    within = replace(tasks, x_support=changed(tasks.x_support, (1, 3), tasks.x_support[1, 1]))
    wanted = "1 of 4 tasks, first task 1: the same input has two different labels"
    assert check_tasks(within) == [wanted]
    across = replace(tasks, x_query=changed(tasks.x_query, (3, 0), tasks.x_support[3, 1]))
    assert wanted.replace("task 1", "task 3") in check_tasks(across)
    same = replace(tasks, x_support=changed(tasks.x_support, (1, 3), tasks.x_support[1, 0]))
    assert check_tasks(same) == []  # labels 0 and 0


def test_noise_in_the_targets_of_a_regression_is_no_fault():
    tasks = waves()
    twice = replace(tasks, x_support=changed(tasks.x_support, (0, 1), tasks.x_support[0, 0]))
    assert check_tasks(twice) == []


def test_a_class_that_is_asked_for_and_not_shown_is_found():
    tasks = labelled()
    y = np.where(tasks.y_support[[0, 3]] == 2, 1, tasks.y_support[[0, 3]])
    unshown = replace(tasks, y_support=changed(tasks.y_support, [0, 3], y))
    assert check_tasks(unshown) == [
        "2 of 4 tasks, first task 0: a class of the query set is missing from the support set"
    ]
    more = replace(tasks, y_support=changed(tasks.y_support, (0, 0), 7))
    assert check_tasks(more) == []  # one that is shown and not asked for


def episodes(shuffled, n_tasks, seed=0):
    """Three of nine classes with the same pictures each time, numbered in order or anew."""
    rng = np.random.default_rng(seed)
    pictures = rng.standard_normal((9, 4, 2))
    x, y = [], []
    for _ in range(n_tasks):
        own = np.sort(rng.choice(3, 3, replace=False) * 3 + rng.choice(3))
        names = rng.permutation(3) if shuffled else np.arange(3)
        x.append(pictures[own].transpose(1, 0, 2).reshape(12, 2))
        y.append(np.tile(names, 4))
    return Task.split(np.array(x), np.array(y), 6)


def test_labels_that_give_the_class_away_are_found():
    [found] = check_tasks(episodes(shuffled=False, n_tasks=8))
    assert "have the same label in all of them" in found
    assert check_tasks(episodes(shuffled=True, n_tasks=8)) == []


def test_a_few_repeats_with_one_label_may_be_chance():
    tasks = labelled()
    for n_repeats, odd in ((3, False), (5, True)):  # 3 to the power of 5 is above 100
        x = changed(tasks.x_support, (1, slice(n_repeats)), tasks.x_support[0, :n_repeats])
        assert bool(check_tasks(replace(tasks, x_support=x))) == odd


@pytest.mark.parametrize(("factor", "shown"), [(100, "typical size of 2.9e+02"), (1e-3, "0.0029")])
def test_an_odd_scale_is_found(factor, shown):
    tasks = waves()
    [found] = check_tasks(
        replace(tasks, x_support=factor * tasks.x_support, x_query=factor * tasks.x_query)
    )
    assert shown in found and "bring them near 1" in found


def test_inputs_that_are_all_the_same_are_found():
    tasks = waves()
    found = check_tasks(
        replace(tasks, x_support=changed(tasks.x_support, 1, 0.5), x_query=tasks.x_query)
    )
    assert found == []  # those of the query set still differ
    parts = {name: changed(getattr(tasks, name), 1, 0.5) for name in ("x_support", "x_query")}
    assert check_tasks(replace(tasks, **parts))[-1] == (
        "1 of 4 tasks, first task 1: all inputs are the same"
    )


def test_tasks_that_are_all_the_same_are_found_in_any_order():
    one = waves(1)
    many = one.select([0, 0, 0])
    turned = replace(many, x_query=changed(many.x_query, 1, many.x_query[1, ::-1]))
    turned = replace(turned, y_query=changed(many.y_query, 1, many.y_query[1, ::-1]))
    for tasks in (many, turned):
        assert check_tasks(tasks) == [
            "all 3 tasks hold the same points: there is one task to learn, not many"
        ]
    assert check_tasks(one) == []
    other = replace(many, y_query=changed(many.y_query, (1, 0, 0), 9.0))
    assert check_tasks(other) == []  # the same inputs and another target


def test_several_faults_are_said_one_after_the_other():
    tasks = labelled()
    found = check_tasks(replace(tasks, x_support=100 * tasks.x_query, x_query=100 * tasks.x_query))
    assert ["also a query point" in found[0], "typical size" in found[-1]] == [True, True]


def test_tensors_and_inputs_of_several_parts_are_looked_at_as_well():
    tasks, like = labelled(), torch.zeros(1)
    assert check_tasks(maml_torch.as_tensors(tasks, like)) == []
    twice = maml_torch.as_tensors(replace(tasks, x_query=tasks.x_support), like)
    assert "4 of 4 tasks" in check_tasks(twice)[0]
    parts = [
        {"value": x, "symbol": np.arange(x.shape[1])[None].repeat(4, axis=0)}
        for x in (tasks.x_support, tasks.x_query)
    ]
    both = Task(parts[0], tasks.y_support, parts[1], tasks.y_query)
    assert check_tasks(both) == []
    both = Task(parts[0], tasks.y_support, parts[0], tasks.y_query)
    assert "also a query point" in check_tasks(both)[0]


def test_what_is_no_batch_is_refused():
    with pytest.raises(ValueError, match="tasks must be a batch"):
        check_tasks(waves().select(0))


# The largest curvature, in NumPy and by autograd.
RNG = np.random.default_rng(0)
MODEL = MLP((1, 8, 1), "tanh")
THETA = MODEL.init(RNG)
MANY = {"n_steps": 3000}  # until the vector that is drawn no longer matters


def generator():
    return torch.Generator().manual_seed(0)


def test_the_largest_curvature_of_a_network_is_that_of_numpy():
    tasks, theta = waves(), torch.tensor(THETA)
    model = mlp_torch.MLP((1, 8, 1), "tanh")
    wanted = measures.largest_curvature(MODEL, THETA, tasks, rng=RNG, **MANY)
    found = measures_torch.largest_curvature(model, theta, tasks, generator=generator(), **MANY)
    assert found.shape == (4,)
    assert found.numpy() == pytest.approx(wanted, rel=1e-6)
    each = theta + torch.linspace(0, 0.3, 4, dtype=torch.float64)[:, None]
    wanted = measures.largest_curvature(MODEL, each.numpy(), tasks, rng=RNG, **MANY)
    found = measures_torch.largest_curvature(model, each, tasks, generator=generator(), **MANY)
    assert found.numpy() == pytest.approx(wanted, rel=1e-6)


class Odd(torch.nn.Module):
    """No stack of layers, so that its tasks go through one after the other."""

    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(1, 6), torch.nn.Linear(6, 1)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)) ** 2)


@pytest.mark.parametrize(
    "wrap", [maml_torch.from_module, maml_torch.from_module_all_at_once], ids=["each", "at once"]
)
def test_the_largest_curvature_of_a_module_is_that_of_its_hessian(wrap):
    torch.manual_seed(0)
    model, tasks = wrap(Odd().double(), "mse"), waves(3)
    found = measures_torch.largest_curvature(
        model, model.theta(), tasks, generator=generator(), n_steps=300
    )
    for t in range(3):
        x, y = (torch.tensor(a[t]) for a in (tasks.x_support, tasks.y_support))
        hessian = torch.autograd.functional.hessian(
            lambda theta, x=x, y=y: torch.nn.functional.mse_loss(
                torch.func.functional_call(model.module, model.unflatten(theta), x), y
            ),
            model.theta(),
        )
        values = torch.linalg.eigvalsh(hessian)
        assert found[t] == pytest.approx(float(values[values.abs().argmax()]), rel=1e-6)


def test_a_loss_without_curvature_has_none():
    """The product with the Hessian is 0, and cannot be divided by its length."""
    model = maml_torch.from_module(torch.nn.Linear(1, 1, bias=False), "mse")
    tasks = waves().map(lambda array: 0 * array)
    found = measures_torch.largest_curvature(model, model.theta(), tasks, generator=generator())
    assert found.tolist() == [0, 0, 0, 0]


def test_wrong_arguments_of_the_largest_curvature_are_named():
    model, tasks = maml_torch.from_module(Odd(), "mse"), waves()
    with pytest.raises(ValueError, match="n_steps must be an integer of at least 1, got 0"):
        measures_torch.largest_curvature(
            model, model.theta(), tasks, generator=generator(), n_steps=0
        )
    with pytest.raises(ValueError, match="model has no hvp"):
        measures_torch.largest_curvature(Odd(), model.theta(), tasks, generator=generator())
    with pytest.raises(ValueError, match="theta must be finite"):
        measures_torch.largest_curvature(
            model, model.theta() * float("nan"), tasks, generator=generator()
        )
