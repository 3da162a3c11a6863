"""The arm and the walks: their physics, their gradients, and their JavaScript."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from node import assert_all_close, flat, run_node

from maml_teach import lean, maml
from maml_teach.applications import arm, navigation
from maml_teach.applications.arm import Swings
from maml_teach.applications.navigation import Goals
from maml_teach.checks import central_difference, check_meta_gradient, relative_error
from maml_teach.mlp import MLP
from maml_teach.tasks import Task
from maml_teach.widgets import LiftIt, ReachIt

SMALL = MLP((2, 5, 2), activation="tanh", objective="weighted_mse")


def some_arms(n, seed=0, **ranges):
    return arm.sample_arms(np.random.default_rng(seed), n, **ranges)


def some_state(n_arms, n, seed=1):
    return np.random.default_rng(seed).normal(size=(3, n_arms, n, 2))


def mass_elements(arms, q, n=4000):
    """Every arm as ``n`` points per link and one in the hand: masses and places, from the links."""
    share = (np.arange(n) + 0.5) / n
    first, second = q[:, 0], q[:, 0] + q[:, 1]
    elbow = arms.upper * np.array([np.cos(first), np.sin(first)])
    hand = elbow + arms.lower * np.array([np.cos(second), np.sin(second)])
    places = [share * elbow[..., None], elbow[..., None] + share * (hand - elbow)[..., None]]
    places = np.concatenate([*places, hand[..., None]], axis=-1)
    masses = np.repeat([arms.upper_mass / n, arms.lower_mass / n], n, axis=0)
    return np.concatenate([masses, arms.payload[None]]).T, places


def energy(arms, q, speed, h=1e-5):
    """Kinetic and potential energy from the places of all points, speeds by differences."""
    masses, places = mass_elements(arms, q)
    ahead, behind = (mass_elements(arms, q + s * h * speed)[1] for s in (1, -1))
    velocity = (ahead - behind) / (2 * h)
    kinetic = (masses * (velocity**2).sum(axis=0)).sum(axis=1) / 2
    return kinetic, (masses * arm.GRAVITY * places[1]).sum(axis=1)


def test_inverse_dynamics_undo_forward_dynamics():
    arms, (q, speed, torque) = some_arms(20), some_state(20, 5)
    found = arm.acceleration(arms, q, speed, torque)
    assert np.allclose(arm.torques(arms, q, speed, found), torque, atol=1e-10)


def test_the_mass_matrix_is_that_of_the_kinetic_energy():
    """Energy of all the points of the arm, which knows no matrix."""
    arms, (q, speed, _) = some_arms(5), some_state(5, 1)
    kinetic, _ = energy(arms, q[:, 0], speed[:, 0])
    matrix = arm.mass_matrix(arms, q)[:, 0]
    assert np.allclose(np.einsum("ni,nij,nj->n", speed[:, 0], matrix, speed[:, 0]) / 2, kinetic)


def test_a_free_arm_without_friction_keeps_its_energy():
    """Integrated accurately: inertia, Coriolis terms and gravity have to fit together."""
    arms, (q, speed, _) = some_arms(5, viscous=(0, 0), dry=(0, 0)), some_state(5, 1)
    before = np.sum(energy(arms, q[:, 0], speed[:, 0]), axis=0)
    free = lambda q, speed: arm.acceleration(arms, q, speed, 0 * q)  # noqa: E731
    h, moved = 1e-3, q
    for _ in range(1000):  # Runge-Kutta, fourth order
        k1, l1 = speed, free(moved, speed)
        k2, l2 = speed + h / 2 * l1, free(moved + h / 2 * k1, speed + h / 2 * l1)
        k3, l3 = speed + h / 2 * l2, free(moved + h / 2 * k2, speed + h / 2 * l2)
        k4, l4 = speed + h * l3, free(moved + h * k3, speed + h * l3)
        moved = moved + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        speed = speed + h / 6 * (l1 + 2 * l2 + 2 * l3 + l4)
    after = np.sum(energy(arms, moved[:, 0], speed[:, 0]), axis=0)
    assert np.abs(moved - q).max() > 1
    assert np.allclose(after, before, atol=1e-4)


def test_friction_takes_energy_away():
    arms, (q, speed, _) = some_arms(20, viscous=(0.5, 1.0), dry=(0.5, 1.0)), some_state(20, 3)
    without = replace(arms, viscous=0 * arms.viscous, dry=0 * arms.dry)
    drag = arm.torques(arms, q, speed, 0 * q) - arm.torques(without, q, speed, 0 * q)
    assert (np.sign(drag) == np.sign(speed)).all()


def test_motions_are_their_own_derivatives():
    motion, times, h = arm.sample_motion(np.random.default_rng(0), 3), np.linspace(0, 3, 7), 1e-5
    (ahead, fast, _), (behind, slow, _) = motion.at(times + h), motion.at(times - h)
    _, speed, acceleration = motion.at(times)
    assert np.allclose((ahead - behind) / (2 * h), speed, atol=1e-6)
    assert np.allclose((fast - slow) / (2 * h), acceleration, atol=1e-6)


def test_who_knows_the_arm_follows_and_least_squares_find_it():
    rng = np.random.default_rng(1)
    arms, motion = some_arms(20), arm.sample_motion(rng, 20)
    state = motion.at(arm.DT * np.arange(200))
    known = arm.tracking_error(arm.track(arms, motion, arm.torques(arms, *state)), motion)
    alone = arm.tracking_error(arm.track(arms, motion, 0 * state[0]), motion)
    assert known.max() < 3 < 10 < np.median(alone)
    tasks = Swings().of(arms, rng, 40, 1)
    x = tasks.x_support
    q, speed = np.arctan2(x[..., :2], x[..., 2:4]), arm.SPEED_SCALE * x[..., 5:7]
    exact = arm.torques(arms, q, speed, arm.ACCELERATION_SCALE * x[..., 7:]) / arm.TORQUE_SCALE
    assert np.std(tasks.y_support - exact) == pytest.approx(arm.NOISE, rel=0.1)
    found = arm.identified(replace(tasks, y_support=exact))
    assert np.allclose(found, arm.constants(arms), atol=1e-3)


def test_swings_shapes_and_rng_decides():
    tasks, again = (Swings().sample(np.random.default_rng(3), 4, 20, 30) for _ in range(2))
    assert tasks.x_support.shape == (4, 20, 9) and tasks.y_query.shape == (4, 30, 2)
    assert np.array_equal(tasks.x_query, again.x_query)
    assert not np.allclose(tasks.x_support[:, 0], tasks.x_query[:, 0])


def weighted_problem():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 9, 2)), rng.normal(size=(2, 3, 9, 3))
    return SMALL.init(rng), Task(x[0], y[0], x[1], y[1])


@pytest.mark.parametrize("gradient", [maml.maml_gradient, lean.maml_gradient])
def test_meta_gradient_of_a_weighted_regression(gradient):
    theta, tasks = weighted_problem()
    assert check_meta_gradient(gradient, SMALL, theta, tasks, alpha=0.1, n_inner_steps=2)


def test_weighted_targets_are_checked():
    with pytest.raises(ValueError, match=r"y has shape \(9, 2\); expected \(..., \(9, 3\)\)"):
        SMALL.loss(SMALL.init(np.random.default_rng(0)), np.zeros((9, 2)), np.zeros((9, 2)))


def torch_log_probability(theta, states, actions):
    """Of every action under the policy, written with torch's normal distribution."""
    W1, b1, W2, b2 = torch.split(theta, [10, 5, 10, 2])
    hidden = torch.tanh(states @ W1.reshape(2, 5) + b1)
    mean = hidden @ W2.reshape(5, 2) + b2
    return torch.distributions.Normal(mean, navigation.SPREAD).log_prob(actions).sum(dim=-1)


def test_policy_gradient_is_that_of_the_score_function():
    rng = np.random.default_rng(0)
    theta, tasks = SMALL.init(rng), Goals().sample(rng, 1, 6, 1)
    walks = navigation.walk(SMALL, theta, tasks.x_support, tasks.y_support)
    advantage = rng.normal(size=walks[2].shape)
    x, y = navigation.surrogate(*walks[:2], advantage)
    parameters = torch.tensor(theta, requires_grad=True)
    chances = torch_log_probability(parameters, *map(torch.tensor, walks[:2]))
    (-(torch.tensor(advantage) * chances).mean()).backward()
    assert relative_error(SMALL.gradient(theta, x[0], y[0]), parameters.grad.numpy()) < 1e-12


def test_policy_gradient_climbs_the_expected_return(monkeypatch):
    """Against central differences of the mean return, the same noise on both sides."""
    monkeypatch.setattr(navigation, "HORIZON", 4)
    rng = np.random.default_rng(0)
    theta, noise = SMALL.init(rng), rng.standard_normal((1, 60_000, 8))
    goals = np.broadcast_to([0.3, -0.2], (1, 60_000, 2))

    def mean_return(theta):
        return navigation.walk(SMALL, theta, noise, goals)[2].sum(axis=2).mean()

    directions = rng.normal(size=(6, theta.size))
    ends = [[mean_return(theta + s * 0.01 * d) for s in (1, -1)] for d in directions]
    slopes = [(ahead - behind) / 0.02 for ahead, behind in ends]
    states, actions, rewards = navigation.walk(SMALL, theta, noise, goals)
    to_go = rewards[..., ::-1].cumsum(axis=2)[..., ::-1]
    x, y = navigation.surrogate(states, actions, to_go - to_go.mean(axis=1, keepdims=True))
    climb = -4 * SMALL.gradient(theta, x[0], y[0])  # the surrogate is a mean over 4 steps
    assert relative_error(directions @ climb, np.array(slopes)) < 0.06


def test_advantages_are_what_the_baseline_leaves():
    """Returns to go by their powers, and least squares by another route."""
    rng = np.random.default_rng(0)
    tasks = Goals().sample(rng, 2, 8, 1)
    theta = navigation.MODEL.init(rng)
    states, _, rewards = navigation.walk(navigation.MODEL, theta, tasks.x_support, tasks.y_support)
    found = navigation.advantages(states, rewards)
    powers = navigation.DISCOUNT ** np.arange(navigation.HORIZON)
    to_go = [
        [rewards[..., t:] @ powers[: navigation.HORIZON - t]] for t in range(navigation.HORIZON)
    ]
    to_go = np.moveaxis(np.concatenate(to_go), 0, -1)[1].ravel()
    time = np.tile(np.arange(navigation.HORIZON) / navigation.HORIZON, 8)
    place = states[1].reshape(-1, 2)
    known = np.stack([*place.T, *(place**2).T, time, time**2, time**3, 1 + 0 * time], axis=1)
    ridge = np.sqrt(navigation.RIDGE * len(known)) * np.eye(8)  # as eight more points
    fit = np.linalg.lstsq(np.vstack([known, ridge]), np.append(to_go, np.zeros(8)))[0]
    left = to_go - known @ fit
    assert np.allclose(found[1].ravel(), (left - left.mean()) / left.std(), atol=1e-8)
    assert np.allclose(found.mean(axis=(1, 2)), 0) and np.allclose(found.std(axis=(1, 2)), 1)


def test_walks_begin_at_the_origin_and_obey():
    rng = np.random.default_rng(0)
    tasks = Goals().sample(rng, 3, 4, 2)
    theta = navigation.MODEL.init(rng)
    states, actions, rewards = navigation.walk(
        navigation.MODEL, theta, tasks.x_support, tasks.y_support
    )
    assert (states[:, :, 0] == 0).all()
    moves = np.diff(states, axis=2)
    assert np.allclose(moves, 0.1 * np.clip(actions[:, :, :-1], -1, 1))
    away = np.linalg.norm(states[:, :, 1:] - tasks.y_support[:, :, None], axis=-1)
    assert np.allclose(rewards[:, :, :-1], -away)
    own = np.stack([theta, 2 * theta, 3 * theta])
    alone = navigation.walk(navigation.MODEL, 2 * theta, tasks.x_support[1:2], tasks.y_support[1:2])
    together = navigation.walk(navigation.MODEL, own, tasks.x_support, tasks.y_support)
    assert np.allclose(together[2][1], alone[2][0])


def test_meta_gradient_uses_walks_after_the_update():
    """With the trajectories held, central differences of the query surrogate."""
    rng = np.random.default_rng(2)
    theta, tasks = SMALL.init(rng), Goals().sample(rng, 3, 5, 4)
    loss, gradient = navigation.maml_gradient(SMALL, theta, tasks, alpha=0.2)
    x, y, _ = navigation.experience(SMALL, theta, tasks.x_support, tasks.y_support)
    after = navigation.update(SMALL, theta, x, y, 0.2)
    x_query, y_query, returns = navigation.experience(SMALL, after, tasks.x_query, tasks.y_query)

    def surrogate(theta):
        theta_prime = theta - 0.2 * SMALL.gradient(theta, x, y)
        return SMALL.loss(theta_prime, x_query, y_query).mean()

    assert relative_error(gradient, central_difference(surrogate, theta)) < 1e-6
    assert loss == pytest.approx(-returns.mean())


def test_returns_over_updates_and_the_oracle():
    rng = np.random.default_rng(0)
    goals = np.array([[0.5, -0.25], [0.0, 0.0], [0.05, 0.4]])
    theta = navigation.MODEL.init(rng)
    returns = navigation.updates(navigation.MODEL, theta, rng, goals, 4, [0.1, 0.1])
    assert returns.shape == (3, 3)
    by_hand = -sum(np.hypot(0.5 - 0.1 * t, max(0.25 - 0.1 * t, 0)) for t in range(1, 6))
    assert navigation.straight(goals)[:2] == pytest.approx([by_hand, 0])
    assert (returns.max(axis=1) < navigation.straight(goals)).all()
    noise = np.random.default_rng(0)
    noise.uniform(size=navigation.MODEL.n_params)  # what the start has used up
    places = np.broadcast_to(goals[:, None], (3, 4, 2))
    walks = noise.standard_normal((3, 4, 100))
    _, _, by_walking = navigation.experience(navigation.MODEL, theta, walks, places)
    assert np.allclose(returns[:, 0], by_walking)


def test_bad_input_is_named():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="n_arms"):
        arm.sample_arms(rng, 0)
    with pytest.raises(ValueError, match=r"load = .* is not a range of upper, lower"):
        arm.sample_arms(rng, 1, load=(0, 1))
    with pytest.raises(ValueError, match="n_shots"):
        Swings().sample(rng, 1, 0, 1)
    with pytest.raises(ValueError, match="n_queries"):
        Goals().sample(rng, 1, 1, 0)
    tasks = Goals().sample(rng, 1, 2, 2)
    with pytest.raises(ValueError, match="n_inner_steps must be 1"):
        navigation.maml_gradient(SMALL, SMALL.init(rng), tasks, alpha=0.1, n_inner_steps=2)
    with pytest.raises(ValueError, match="maml has shape"):
        LiftIt(np.zeros(3), np.zeros(3))
    nan = np.full(navigation.MODEL.n_params, np.nan)
    with pytest.raises(ValueError, match="joint must be finite"):
        ReachIt(np.zeros(navigation.MODEL.n_params), nan)
    with pytest.raises(ValueError, match="payload"):
        LiftIt.from_package(payload=9.0)
    with pytest.raises(ValueError, match="goal"):
        ReachIt.from_package(goal=[3.0, 0.0])


def motion_as_js(motion):
    waves = [
        [
            {name: float(getattr(motion, name)[0, w, j]) for name in ("size", "pace", "phase")}
            for w in range(2)
        ]
        for j in range(2)
    ]
    return {"centre": motion.centre[0].tolist(), "waves": waves}


def test_javascript_measures_and_tracks_like_numpy():
    rng = np.random.default_rng(5)
    one = some_arms(1, seed=2)
    motion, times = arm.sample_motion(rng, 1), np.arange(20) / 20
    noise = rng.standard_normal((1, 20, 2))
    x, y = arm.measured(one, motion, times, noise)
    task = Task(x, y, x, y)
    start = arm.MODEL.init(rng)
    theta = maml.adapt(arm.MODEL, start, task, alpha=0.1, n_inner_steps=3)
    clock = arm.DT * np.arange(120)
    known = arm.track(one, motion, arm.torques(one, *motion.at(clock)))
    guessed = arm.track(one, motion, arm.expected_torques(arm.MODEL, theta, motion, clock))
    as_js = {f.name: float(getattr(one, f.name)[0]) for f in fields(one)}
    net = {"sizes": list(arm.MODEL.sizes), "activation": "tanh"}
    support = {"xSupport": flat(x), "ySupport": flat(y)}
    path = motion_as_js(motion)
    cases = [
        ("measured", [as_js, path, flat(times), flat(noise)]),
        ("followedWhenKnown", [as_js, path, 120]),
        ("followedWhenLearned", [as_js, path, 120, net, flat(theta)]),
        ("errorWhenLearned", [as_js, path, 120, net, flat(theta)]),
    ]
    wanted = [np.append(x, y), known, guessed, arm.tracking_error(guessed, motion)]
    assert np.abs(guessed - known).max() > 0.01
    assert_all_close("arm", cases, wanted)
    adapting = ("adapt", [net, flat(start), support, {"alpha": 0.1, "nInnerSteps": 3}])
    assert_all_close("shared", [adapting], [theta])


def test_javascript_walks_and_learns_like_numpy():
    rng = np.random.default_rng(6)
    model = navigation.MODEL
    tasks, theta = Goals().sample(rng, 1, 7, 1), model.init(rng)
    noise, goals = tasks.x_support, tasks.y_support
    states, actions, rewards = navigation.walk(model, theta, noise, goals)
    advantage = navigation.advantages(states, rewards)
    x, y, returns = navigation.experience(model, theta, noise, goals)
    slope = model.gradient(theta, x[0], y[0])
    after = navigation.update(model, theta, x, y, 0.3)
    by_time = lambda array: flat(np.moveaxis(array[0], 1, 0))  # noqa: E731
    steps = np.moveaxis(noise.reshape(7, 50, 2), 1, 0).reshape(50, 14).tolist()
    common = [
        {"sizes": list(model.sizes), "activation": "tanh"},
        flat(theta),
        steps,
        flat(goals[0, 0]),
    ]
    flat_walks = [by_time(states), by_time(actions), by_time(advantage)]
    cases = [
        ("walksOf", common),
        ("advantagesOf", common),
        ("policyGradient", [*common[:2], *flat_walks]),
        ("afterUpdate", [*common, 0.3]),
        ("returnOf", common),
        ("straightReturn", [flat(goals[0, 0])]),
    ]
    walked = [by_time(states), by_time(actions), by_time(rewards)]
    oracle = navigation.straight(goals[:, 0])
    wanted = [np.concatenate(walked), flat_walks[2], slope, after, returns, oracle]
    assert_all_close("navigation", cases, wanted)


def test_work_in_slices_gives_way_to_newer_work():
    """By a clock that ticks once a look, so that a slice is a few steps of the work."""
    [seen] = run_node("shared", [("slicedWork", [])])
    assert 0 < seen["first"] < 10 and seen["second"] == seen["first"] and seen["third"] == 20
    assert seen["done"][0] is False and seen["done"].count(True) == 1 and seen["done"][-1]
    assert len(seen["done"]) >= 4
