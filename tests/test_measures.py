"""What the book measures: each number by hand, or by a second way."""

import numpy as np
import pytest

from maml_teach import maml, measures
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids, Task

MODEL = MLP((1, 8, 1), "tanh")
RNG = np.random.default_rng(0)
THETA, TASKS = MODEL.init(RNG), Sinusoids().sample(RNG, 4, 5, 6)


def test_the_gradients_of_a_task_are_those_of_it_alone():
    exact, first_order = measures.task_gradients(MODEL, THETA, TASKS, alpha=0.1)
    for t in range(TASKS.n_tasks):
        alone = TASKS.select([t])
        for found, function in ((exact, maml.maml_gradient), (first_order, maml.fomaml_gradient)):
            wanted = function(MODEL, THETA, alone, alpha=0.1)[1]
            assert np.allclose(found[t], wanted, rtol=1e-10, atol=1e-14)
    assert not np.allclose(exact, first_order, rtol=0.01)


def test_the_spread_by_hand():
    assert measures.spread(np.array([[0.0, 3.0], [2.0, 3.0], [4.0, 0.0]])) == pytest.approx(7**0.5)


def bowls(*diagonals):
    """A model whose Hessian is diagonal, one for each task."""

    class Bowls:
        def hvp(self, theta, v, x, y):
            return np.array(diagonals, dtype=v.dtype) * v

    x = np.ones((len(diagonals), 1, 1))
    return Bowls(), Task(x, x, x, x)


def test_the_largest_curvature_has_its_sign():
    model, tasks = bowls([1.0, 2.0, -8.0], [3.0, 0.5, 0.1])
    found = measures.largest_curvature(model, np.zeros(3), tasks, rng=np.random.default_rng(0))
    assert found == pytest.approx([-8, 3], rel=1e-9)


def test_power_iteration_goes_one_product_further_each_step():
    model, tasks = bowls([1.0, 2.0])
    for n_steps in (1, 2, 5):
        rng = np.random.default_rng(4)
        v = np.random.default_rng(4).standard_normal(2) * [1.0, 2.0 ** (n_steps - 1)]
        found = measures.largest_curvature(model, np.zeros(2), tasks, rng=rng, n_steps=n_steps)
        assert found[0] == pytest.approx((v[0] ** 2 + 2 * v[1] ** 2) / (v @ v), rel=1e-12)


def test_curvature_is_taken_on_the_support_set():
    rng = np.random.default_rng(1)
    found = measures.largest_curvature(MODEL, THETA, TASKS, rng=rng, n_steps=300)
    for t in range(TASKS.n_tasks):
        x, y = TASKS.x_support[t], TASKS.y_support[t]
        values = np.linalg.eigvalsh([MODEL.hvp(THETA, e, x, y) for e in np.eye(THETA.size)])
        assert found[t] == pytest.approx(values[np.abs(values).argmax()], rel=1e-6)


# Points on a line, told apart by their side of a border that moves as theta does.
SORTER = MLP((1, 2), objective="cross_entropy")


def sides(n_tasks=3):
    x = np.random.default_rng(2).uniform(-1, 1, (n_tasks, 30, 1))
    y = (x[..., 0] > np.linspace(-0.5, 0.5, n_tasks)[:, None]).astype(int)
    return Task(x[:, :10], y[:, :10], x[:, 10:], y[:, 10:])


@pytest.mark.parametrize("alpha", [0.7, np.array([[2.0], [0.5], [0.1]])])
def test_accuracy_is_the_share_of_the_query_points_whose_score_is_highest(alpha):
    theta, tasks, steps = np.array([-0.3, 0.4, 0.1, 0.0]), sides(), [5, 0, 2, 1]
    found = measures.accuracy_after(SORTER, theta, tasks, alpha=alpha, steps=steps)
    for row, k in zip(found, steps, strict=True):
        theta_k = maml.adapt(SORTER, theta, tasks, alpha=alpha, n_inner_steps=k)
        for t in range(3):
            scores = tasks.x_query[t] @ theta_k[t, None, :2] + theta_k[t, 2:]
            right = [s[1 - y] < s[y] for s, y in zip(scores, tasks.y_query[t], strict=True)]
            assert row[t] == np.mean(right)
    assert len(np.unique(found)) > 4


def test_layers_by_hand():
    model = MLP((2, 2, 2, 1))
    W1, b1 = np.array([[1.0, -1.0], [0.5, 2.0]]), np.array([0.0, -1.0])
    W2, b2 = np.array([[1.0, 0.0], [-3.0, 1.0]]), np.array([0.5, 0.0])
    W3, b3 = np.array([[2.0], [1.0]]), np.array([-1.0])
    theta = np.concatenate([part.ravel() for part in (W1, b1, W2, b2, W3, b3)])
    x = np.array([[1.0, 2.0], [-1.0, 1.0]])
    first, second, last = measures.layer_outputs(model, theta, x)
    assert first.tolist() == [[2.0, 2.0], [0.0, 2.0]]
    assert second.tolist() == [[0.0, 2.0], [0.0, 2.0]]
    assert last.tolist() == [[1.0], [1.0]]


def test_cka_by_hand():
    one = np.array([[1.0], [-1.0], [0.0]])
    two = np.array([[1.0, 1.0], [-1.0, 1.0], [0.0, -2.0]])
    # columns of two: along one, and at right angles to it
    assert measures.cka(one, two) == pytest.approx((2**2) / (2 * (2**2 + 6**2) ** 0.5))


def test_the_probe_is_fitted_at_even_points_and_judged_at_odd_ones():
    features = np.array([[0.0], [5.0], [1.0], [2.0], [2.0], [9.0]])
    curve = np.array([1.0, 0.0, 3.0, 4.0, 5.0, 2.0])  # even points: 1 + 2 f
    residual = np.array([11.0 - 0, 5.0 - 4, 19.0 - 2])
    wanted = 1 - np.mean(residual**2) / np.var([0.0, 4.0, 2.0])
    assert measures.probe(features, curve) == pytest.approx(wanted, rel=1e-12)


def test_a_row_of_the_gap_is_whole_or_nothing():
    """Targets so large that the loss alone is beyond float32."""
    huge = Task(TASKS.x_support, TASKS.y_support, TASKS.x_query, 1e20 * TASKS.y_query)
    gaps = measures.gradient_gap(MODEL, THETA, huge, alpha=1e-3, n_inner_steps=2)
    assert np.isnan(gaps).all()
    gaps = measures.gradient_gap(MODEL, THETA, TASKS, alpha=1e-3, n_inner_steps=2)
    assert np.isfinite(gaps).all()


def test_layers_of_many_tasks_are_compared_with_those_of_one():
    rng = np.random.default_rng(0)
    one, many = rng.normal(size=(9, 3)), rng.normal(size=(4, 9, 2))
    together = measures.cka(one, many)
    assert together.shape == (4,)
    assert np.allclose(together, [measures.cka(one, each) for each in many])
    with pytest.raises(ValueError, match=r"two has shape \(5, 9, 2\); expected \(4, 9\) and"):
        measures.cka(many, rng.normal(size=(5, 9, 2)))
