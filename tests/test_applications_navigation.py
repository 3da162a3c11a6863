"""The walks: goals, the policy gradients' direction, and updates in turn."""

import numpy as np
import pytest

from maml_teach.applications import navigation
from maml_teach.applications.navigation import Goals
from maml_teach.checks import relative_error
from maml_teach.mlp import MLP
from maml_teach.tasks import Task

SMALL = MLP((2, 5, 2), activation="tanh", objective="weighted_mse")
LINEAR = MLP((2, 2), objective="weighted_mse")


def test_goals_fill_their_square_and_every_walk_of_a_task_has_its_own():
    tasks = Goals().sample(np.random.default_rng(0), 2000, 3, 2)
    goals = tasks.y_support[:, 0]
    assert np.abs(goals).max() <= 0.5 and np.abs(goals).max(axis=0).min() > 0.495
    assert np.abs(goals.mean(axis=0)).max() < 0.03
    assert (tasks.y_support == goals[:, None]).all() and (tasks.y_query == goals[:, None]).all()
    far = Goals(half_width=2.0).sample(np.random.default_rng(0), 2000, 3, 2)
    assert np.allclose(far.y_query, 4 * tasks.y_query)


def test_the_noise_of_walks_is_standard_normal_and_never_twice_the_same():
    tasks = Goals().sample(np.random.default_rng(0), 20, 30, 10)
    assert tasks.x_support.shape == (20, 30, 100) and tasks.x_query.shape == (20, 10, 100)
    noise = np.concatenate([tasks.x_support, tasks.x_query], axis=1).ravel()
    assert len(np.unique(noise)) == noise.size
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert np.mean(np.abs(noise) < 1) == pytest.approx(0.6827, abs=0.01)


def test_a_walk_by_hand():
    """The policy always answers (0.4, -2); the noise is half a unit of what it adds."""
    theta = np.array([0, 0, 0, 0, 0.4, -2.0])
    noise = np.array([[[0.2, 0.0, 1.6, 4.0]]])
    states, actions, rewards = navigation.walk(LINEAR, theta, noise, np.array([[[0.3, 0.3]]]))
    assert actions[0, 0] == pytest.approx(np.array([[0.5, -2.0], [1.2, 0.0]]))
    assert states[0, 0] == pytest.approx(np.array([[0.0, 0.0], [0.05, -0.1]]))
    assert rewards[0, 0] == pytest.approx([-np.hypot(0.25, 0.4), -np.hypot(0.15, 0.4)])


def test_a_policy_answers_to_where_it_stands():
    theta = np.array([2.0, 0.5, 0, 3.0, 0.1, -0.2])  # W row by row, then b
    states, actions, _ = navigation.walk(LINEAR, theta, np.zeros((1, 1, 6)), np.zeros((1, 1, 2)))
    (x, y) = states[0, 0, 2]
    assert actions[0, 0, 2] == pytest.approx([2 * x + 0.1, 0.5 * x + 3 * y - 0.2])


def test_a_return_is_the_mean_over_walks_of_summed_rewards():
    rng = np.random.default_rng(0)
    tasks, theta = Goals().sample(rng, 3, 4, 1), navigation.MODEL.init(rng)
    given = navigation.MODEL, theta, tasks.x_support, tasks.y_support
    x, y, returns = navigation.experience(*given)
    states, actions, rewards = navigation.walk(*given)
    assert returns == pytest.approx([sum(map(sum, one)) / 4 for one in rewards])
    assert np.array_equal(x, states.reshape(3, 200, 2))
    assert np.array_equal(y[..., :2], actions.reshape(3, 200, 2))
    weight = navigation.advantages(states, rewards).reshape(3, 200) / 0.25
    assert np.allclose(y[..., 2], weight, rtol=1e-12)


def test_a_surrogate_makes_good_actions_likelier_and_bad_ones_less():
    states, actions = np.zeros((1, 1, 2, 2)), np.array([[[[1.0, 0.0], [0.0, 1.0]]]])
    x, y = navigation.surrogate(states, actions, np.array([[[1.0, -1.0]]]))
    theta = np.zeros(6)
    moved = theta - 0.01 * LINEAR.gradient(theta, x[0], y[0])
    assert moved[4] > 0 > moved[5]


def test_an_update_is_a_step_down_each_tasks_own_surrogate():
    rng = np.random.default_rng(1)
    tasks, theta = Goals().sample(rng, 2, 3, 1), SMALL.init(rng)
    x, y, _ = navigation.experience(SMALL, theta, tasks.x_support, tasks.y_support)
    found = navigation.update(SMALL, theta, x, y, 0.3)
    for t in range(2):
        assert np.allclose(found[t], theta - 0.3 * SMALL.gradient(theta, x[t], y[t]), atol=1e-14)


def towards(rng, goals, n_walks):
    """Walks towards these ``goals``, the same number before and after an update."""
    places = np.repeat(goals[:, None], n_walks, axis=1)
    noise = rng.standard_normal((2, len(goals), n_walks, 2 * navigation.HORIZON))
    return Task(noise[0], places, noise[1], places)


def slopes(theta, noise, goals, directions, h=0.01):
    """Central differences of the mean return along directions, the same noise on both sides."""
    mean = lambda theta: navigation.walk(SMALL, theta, noise, goals)[2].sum(axis=2).mean()  # noqa: E731
    return np.array([(mean(theta + h * d) - mean(theta - h * d)) / (2 * h) for d in directions])


def test_the_joint_gradient_leads_down_the_loss_that_it_answers_with(monkeypatch):
    """Two goals at once; advantages are in units of their spread, so only the direction counts."""
    monkeypatch.setattr(navigation, "HORIZON", 4)
    monkeypatch.setattr(navigation, "DISCOUNT", 1.0)
    rng = np.random.default_rng(0)
    theta, tasks = SMALL.init(rng), towards(rng, np.array([[0.3, -0.2], [0.4, 0.1]]), 15_000)
    loss, gradient = navigation.joint_gradient(SMALL, theta, tasks)
    directions = rng.normal(size=(6, theta.size))
    found = slopes(theta, tasks.x_query, tasks.y_query, directions)
    along = -directions @ gradient
    assert along @ found / np.linalg.norm(along) / np.linalg.norm(found) > 0.99
    returns = navigation.walk(SMALL, theta, tasks.x_query, tasks.y_query)[2].sum(axis=2)
    assert loss == pytest.approx(-returns.mean(), rel=1e-12) and loss > 0


def test_the_joint_gradient_is_the_mean_of_the_tasks_surrogates_on_the_query_walks():
    rng = np.random.default_rng(2)
    theta, tasks = SMALL.init(rng), Goals().sample(rng, 3, 5, 4)
    x, y, _ = navigation.experience(SMALL, theta, tasks.x_query, tasks.y_query)
    each = [SMALL.gradient(theta, x[t], y[t]) for t in range(3)]
    assert (
        relative_error(navigation.joint_gradient(SMALL, theta, tasks)[1], np.mean(each, 0)) < 1e-12
    )


@pytest.mark.parametrize("name", ["maml_gradient", "joint_gradient"])
def test_steps_down_a_gradient_raise_the_return(name):
    rng, losses = np.random.default_rng(0), []
    theta, inner = SMALL.init(rng), {"alpha": 0.05} if name == "maml_gradient" else {}
    for _ in range(16):
        tasks = towards(rng, rng.uniform([0.5, -0.5], [1.0, 0.5], (10, 2)), 10)
        loss, slope = getattr(navigation, name)(SMALL, theta, tasks, **inner)
        losses.append(loss)
        theta = theta - 0.5 * slope / np.linalg.norm(slope)
    assert np.mean(losses[-4:]) < 0.7 * np.mean(losses[:4])


def test_updates_walk_with_new_noise_and_each_its_own_rate():
    goals, rates = np.array([[0.5, -0.25], [0.1, 0.4]]), [0.3, 0.05]
    theta = navigation.MODEL.init(np.random.default_rng(1))
    found = navigation.updates(
        navigation.MODEL, theta, np.random.default_rng(0), goals, 3, iter(rates)
    )
    rng, places = np.random.default_rng(0), np.repeat(goals[:, None], 3, axis=1)
    policies = np.tile(theta, (2, 1))
    for k in range(3):
        noise = rng.standard_normal((2, 3, 100))
        for t in range(2):
            own = navigation.MODEL, policies[t], noise[t : t + 1], places[t : t + 1]
            x, y, returns = navigation.experience(*own)
            assert found[t, k] == pytest.approx(returns[0], rel=1e-9)
            if k < 2:
                slope = navigation.MODEL.gradient(policies[t], x[0], y[0])
                policies[t] = policies[t] - rates[k] * slope


def test_the_straight_walk_is_the_best_of_walks():
    """A policy that is told the goal and never trembles earns as much."""
    goals = np.array([[0.47, -0.33], [-0.05, 0.21], [9.0, -0.4]])
    for goal, best in zip(goals, navigation.straight(goals), strict=True):
        eager = np.array([-10.0, 0, 0, -10.0, *(10 * goal)])  # ten times the way that is left
        rewards = navigation.walk(LINEAR, eager, np.zeros((1, 1, 100)), goal[None, None])[2]
        assert rewards.sum() == pytest.approx(best, rel=1e-9)


def test_one_walk_tells_where_the_goal_is():
    rng = np.random.default_rng(3)
    goals = rng.uniform(-0.5, 0.5, (7, 1, 2))
    model, noise = navigation.MODEL, rng.standard_normal((7, 1, 2 * navigation.HORIZON))
    states, _, rewards = navigation.walk(model, model.init(rng), noise, goals)
    assert np.allclose(navigation.located(states, rewards), goals[:, 0], atol=1e-9)


def test_three_places_off_a_line_suffice():
    places = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    goal = np.array([0.3, -0.2])
    distances = np.linalg.norm(np.roll(places, -1, axis=0) - goal, axis=1)
    found = navigation.located(places[None, None], -distances[None, None])
    assert np.allclose(found, goal)


def test_after_the_look_the_walk_is_straight_but_for_the_noise():
    goals = np.random.default_rng(1).uniform(-0.5, 0.5, (200, 2))
    before, after = navigation.look_and_walk(np.random.default_rng(2), goals, 20).T
    assert (after > before).mean() > 0.95 and (after < navigation.straight(goals)).all()

    class Known:
        def predict(self, theta, state):
            return np.clip((goals[:, None] - state) / navigation.REACH, -1, 1)

    noise = np.random.default_rng(3).standard_normal((200, 20, 2 * navigation.HORIZON))
    places = np.broadcast_to(goals[:, None], (200, 20, 2))
    known = navigation.walk(Known(), 0 * goals, noise, places)[2].sum(axis=2).mean(axis=1)
    assert np.isclose(after.mean(), known.mean(), atol=0.05)
