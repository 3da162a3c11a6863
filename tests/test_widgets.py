"""The Python side of the figures: traits, bundles, refusals."""

import numpy as np
import pytest

from maml_teach import widgets
from maml_teach.mlp import MLP
from maml_teach.tasks import Lines, Task
from maml_teach.widgets import (
    Playground,
    TwoLoops,
    bundle,
)

N_PARAMS = MLP((1, 40, 40, 1)).n_params


def starts(n=3):
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=N_PARAMS) for name in ("random", "pretrained", "maml", "mine")[:n]
    }


def one_task():
    return widgets.gradient_gap.sinusoid_batches(n_batches=1, n_tasks=1)


def test_bundle_refuses_unknown_figures():
    with pytest.raises(ValueError, match="name must be one of"):
        bundle("maths")


def test_playground_sends_starts_as_float32():
    given = starts()
    figure = Playground(given, controls=("n_inner_steps", "points"), alpha=0.02, points=[[1, None]])
    sent = np.frombuffer(figure.starts, "<f4").reshape(3, N_PARAMS)
    assert np.array_equal(sent, np.stack(list(given.values())).astype("<f4"))
    assert figure.names == ["random", "pretrained", "MAML"]
    assert figure.controls == ["n_inner_steps", "points"]
    assert figure.alpha == 0.02 and figure.points == [(1.0, None)]


def test_playground_from_package():
    figure = Playground.from_package(n_shots=10)
    assert figure.names == ["random", "pretrained", "MAML"] and figure.n_shots == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": {}}, "one to four"),
        ({"starts": {"mine": np.zeros(3)}}, r"starts\['mine'\] has shape"),
        ({"starts": {"mine": np.full(N_PARAMS, np.nan)}}, "must be finite"),
        ({"alpha": 1.0}, "alpha"),
        ({"n_shots": 0}, "n_shots"),
        ({"n_inner_steps": 1.5}, "n_inner_steps"),
        ({"region": "middle"}, "region"),
        ({"controls": ("beta",)}, "controls"),
        ({"points": [[1.0]]}, "points"),
        ({"points": [[1.0, "two"]]}, "points"),
        ({"points": [[None, 2.0]]}, "points"),
        ({"colour": "red"}, "no setting colour"),
    ],
)
def test_playground_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        Playground(**{"starts": starts(), **change})


def test_two_loops_sends_tasks():
    tasks = Lines().sample(np.random.default_rng(0), 3, 5, 7)
    figure = TwoLoops(tasks, algorithm="Reptile")
    assert len(figure.tasks) == 3 and figure.batch_size == 3
    assert figure.tasks[1]["y_query"] == tasks.y_query[1, :, 0].tolist()


def test_default_tasks_reach_divergence_within_the_slider():
    x = widgets.two_loops.default_tasks().x_support
    columns = np.concatenate([x, np.ones_like(x)], axis=-1)
    hessians = 2 * np.swapaxes(columns, 1, 2) @ columns / x.shape[1]
    steepest = np.linalg.eigvalsh(hessians).max()
    assert 0.15 * steepest < 1 < 2 < TwoLoops.alpha.max * steepest


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"n_inner_steps": 11}, "n_inner_steps"),
        ({"batch_size": 6}, "batch_size is 6, but there are 5 tasks"),
        ({"batch_size": 0}, "batch_size"),
        ({"algorithm": "maml"}, "algorithm"),
        ({"theta": [1.0]}, "theta"),
        ({"tasks": Task(*np.zeros((4, 7, 3, 1)))}, "2 to 6 tasks"),
        ({"tasks": Task(*np.zeros((4, 3, 3, 2)))}, "x_support has shape"),
        ({"tasks": 3}, "tasks"),
        ({"gamma": 1.0}, "no setting gamma"),
    ],
)
def test_two_loops_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        TwoLoops(**settings)
