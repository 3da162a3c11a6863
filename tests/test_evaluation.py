"""Evaluation: every task followed for itself, also where some diverge; every statistic by hand."""

import statistics

import numpy as np
import pytest

from maml_teach import maml
from maml_teach.inputs import rate
from maml_teach.mlp import MLP
from maml_teach.tasks import Lines, Task
from maml_teach.train import DIVERGED, Evaluation, evaluate

INF, NAN = np.inf, np.nan
# A row for each task: its loss after 0, 1, 2 and 3 steps, also beyond where it has diverged.
TABLE = np.array(
    [
        [1.0, 0.5, 0.25, 0.125],
        [2.0, 3e12, 1.0, 1.0],
        [3.0, 4.0, 5.0, 6.0],
        [NAN, 1.0, 1.0, 1.0],
        [5.0, 6.0, INF, 1.0],
        [6.0, 5.0, 4.0, NAN],
        [7.0, 7.0, 6.0, 8.0],
        [8.0, 7.0, DIVERGED, 1.0],
    ]
)


class Scripted:
    """A model whose theta counts steps, and whose loss stands in a table by task and step."""

    def __init__(self, table):
        self.table, self.rates = table, []

    def loss(self, theta, x, y):
        task, step = x[:, 0, 0].astype(int), theta[:, 0].astype(int)
        return self.table[task, step]

    def adapt(self, model, theta, tasks, *, alpha, n_inner_steps):
        if n_inner_steps:
            self.rates.append(alpha)
        return np.broadcast_to(theta, (tasks.n_tasks, 1)) + n_inner_steps


def numbered(n_tasks):
    """Tasks that hold nothing but their number."""
    x = np.arange(float(n_tasks)).reshape(-1, 1, 1)
    return Task(x, x, x, x)


def followed(table, n_inner_steps, alpha=0.1):
    model = Scripted(np.asarray(table))
    settings = {"alpha": alpha, "n_inner_steps": n_inner_steps, "adapt": model.adapt}
    return evaluate(model, np.zeros(1), numbered(len(table)), **settings).losses, model.rates


def test_tasks_that_diverge_one_after_the_other_leave_the_others_alone():
    wanted = TABLE.copy()
    for row in wanted:
        for k, value in enumerate(row):
            if not value < DIVERGED:
                row[k:] = INF
                break
    assert np.array_equal(followed(TABLE, 3)[0], wanted)


@pytest.mark.parametrize("n_inner_steps", [0, 1, 2])
def test_fewer_steps_give_the_first_columns(n_inner_steps):
    losses, rates = followed(TABLE, n_inner_steps)
    assert np.array_equal(losses, followed(TABLE, 3)[0][:, : n_inner_steps + 1])
    assert len(rates) == n_inner_steps


def test_nobody_is_adapted_once_all_have_diverged():
    losses, rates = followed([[1.0, INF, 0.0], [NAN, 1.0, 1.0], [2.0, 1e13, 1.0]], 2)
    assert np.array_equal(losses, [[1, INF, INF], [INF, INF, INF], [2, INF, INF]])
    assert len(rates) == 1


def test_each_step_is_taken_at_its_own_rate():
    table = np.ones((3, 5))
    alphas = np.array([[0.3], [0.2], [0.1]])
    assert np.array_equal(followed(table, 4, alphas)[1], [[0.3], [0.2], [0.1], [0.1]])
    assert followed(table, 4, 0.5)[1] == [0.5] * 4
    assert [float(rate(alphas, k)[0]) for k in range(5)] == [0.3, 0.2, 0.1, 0.1, 0.1]


def test_steep_tasks_diverge_and_the_rest_are_as_if_alone():
    """Lines seen through wide windows diverge at this rate, those in narrow ones do not."""
    model, theta = MLP((1, 1)), np.array([0.5, -0.3])
    tasks = Lines().sample(np.random.default_rng(3), 40, 5, 7)
    found = evaluate(model, theta, tasks, alpha=0.9, n_inner_steps=60).losses
    columns = [np.column_stack([x, np.ones(5)]) for x in tasks.x_support]
    stretch = np.array([0.9 * np.linalg.eigvalsh(2 * c.T @ c / 5)[-1] for c in columns])
    assert not np.isinf(found[stretch < 2]).any()
    assert np.isinf(found[stretch > 3, -1]).all()
    assert min(np.sum(stretch < 2), np.sum(stretch > 3)) > 5
    assert len(np.unique(np.isinf(found).argmax(axis=1))) > 5  # at different steps
    for t in range(40):
        pair = evaluate(model, theta, tasks.select([t, t]), alpha=0.9, n_inner_steps=60).losses
        assert np.allclose(pair[0], found[t], rtol=1e-12)
    assert np.array_equal(theta, [0.5, -0.3])


EVALUATION = Evaluation(np.array([[1.0, 2.0, 1.0], [4.0, 3.0, 4.0], [2.0, 0.5, 7.0], [9, 9, 9.5]]))


def test_every_statistic_by_hand():
    columns = EVALUATION.losses.T.tolist()
    assert EVALUATION.mean == pytest.approx([statistics.mean(c) for c in columns], rel=1e-12)
    assert EVALUATION.median == pytest.approx([statistics.median(c) for c in columns], rel=1e-12)
    halves = [statistics.NormalDist().inv_cdf(0.975) * statistics.stdev(c) / 2 for c in columns]
    assert EVALUATION.half_width == pytest.approx(halves, rel=1e-4)
    assert EVALUATION.n_worse.tolist() == [0, 1, 2]  # as good as before is not worse


def test_a_diverged_task_is_in_every_statistic():
    lost = Evaluation(np.array([[1.0, INF], [2.0, 1.0], [3.0, 2.0]]))
    assert lost.mean.tolist() == [2.0, INF]
    assert lost.median.tolist() == [2.0, 2.0]
    assert lost.n_worse.tolist() == [0, 1]
    assert lost.half_width[0] > 0
    assert np.isnan(lost.half_width[1])


@pytest.mark.parametrize("n_tasks", [0, 1])
def test_an_interval_needs_two_tasks(n_tasks):
    model, tasks = MLP((1, 1)), Lines().sample(np.random.default_rng(0), 2, 5, 5)
    with pytest.raises(ValueError, match=f"tasks must hold at least 2 tasks.*got {n_tasks}"):
        evaluate(model, np.zeros(2), tasks.select(range(n_tasks)), alpha=0.1, n_inner_steps=1)


def test_what_is_wrong_with_the_inner_loop_is_named():
    model, tasks = MLP((1, 1)), Lines().sample(np.random.default_rng(0), 2, 5, 5)
    for alpha, n_inner_steps, named in ((0, 1, "alpha"), (0.1, -1, "n_inner_steps")):
        with pytest.raises(ValueError, match=named):
            evaluate(model, np.zeros(2), tasks, alpha=alpha, n_inner_steps=n_inner_steps)


def test_it_adapts_as_the_engine_does():
    model, tasks = MLP((1, 8, 1)), Lines().sample(np.random.default_rng(0), 6, 5, 5)
    theta, alphas = model.init(np.random.default_rng(1)), np.array([[0.1], [0.02], [0.05]])
    found = evaluate(model, theta, tasks, alpha=alphas, n_inner_steps=5)
    theta_prime = maml.adapt(model, theta, tasks, alpha=alphas, n_inner_steps=5)
    assert np.allclose(
        found.losses[:, -1], model.loss(theta_prime, tasks.x_query, tasks.y_query), rtol=1e-12
    )
