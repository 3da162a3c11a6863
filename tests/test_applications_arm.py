"""The arm against equations of motion derived anew, statics by hand, and what holds it back."""

import numpy as np
import pytest
import sympy

from maml_teach.applications import arm
from maml_teach.applications.arm import Arms, Motion, Swings
from maml_teach.checks import relative_error
from maml_teach.mlp import MLP

STILL = np.zeros((1, 1, 2))


def one_arm(*, viscous=0.0, dry=0.0):
    """Links of 0.5 and 0.4 m and 2 and 1 kg, with 3 kg in the hand."""
    return Arms(*np.array([[0.5], [0.4], [2.0], [1.0], [3.0], [viscous], [dry]]))


def some_arms(n, seed=0, **ranges):
    return arm.sample_arms(np.random.default_rng(seed), n, **ranges)


def steady(centre, n_arms=1):
    """A motion that stays where it is."""
    waves = np.zeros((n_arms, 2, 2))
    return Motion(waves, waves, waves, np.broadcast_to(centre, (n_arms, 2)))


def euler_lagrange():
    """The torques as a function of the five sizes, angles, speeds and accelerations.

    From the energy of two thin rods and a point: each rod moves with its middle and turns about it.
    """
    t = sympy.Symbol("t")
    sizes = sympy.symbols("upper lower upper_mass lower_mass payload")
    upper, lower, upper_mass, lower_mass, payload = sizes
    first, bend = (sympy.Function(name)(t) for name in ("first", "bend"))
    elbow = upper * sympy.Matrix([sympy.cos(first), sympy.sin(first)])
    forearm = lower * sympy.Matrix([sympy.cos(first + bend), sympy.sin(first + bend)])
    masses = [
        (upper_mass, elbow / 2),
        (lower_mass, elbow + forearm / 2),
        (payload, elbow + forearm),
    ]
    spins = [(upper_mass * upper**2, first), (lower_mass * lower**2, first + bend)]
    moving = sum(m * place.diff(t).dot(place.diff(t)) / 2 for m, place in masses)
    turning = sum(inertia / 12 * angle.diff(t) ** 2 / 2 for inertia, angle in spins)
    lagrangian = moving + turning - sum(m * sympy.Float(9.81) * place[1] for m, place in masses)
    laws = [
        lagrangian.diff(joint.diff(t)).diff(t) - lagrangian.diff(joint) for joint in (first, bend)
    ]
    state = [joint.diff(t, order) for order in (2, 1, 0) for joint in (first, bend)]
    names = sympy.symbols("a1 a2 v1 v2 q1 q2")
    for was, name in zip(state, names, strict=True):  # the highest derivatives first
        laws = [law.subs(was, name) for law in laws]
    return sympy.lambdify([*sizes, *names], laws)


def test_torques_are_those_of_the_euler_lagrange_equations():
    arms = some_arms(50, viscous=(0, 0), dry=(0, 0))
    q, speed, acceleration = np.random.default_rng(1).normal(size=(3, 50, 1, 2))
    sizes = [arms.upper, arms.lower, arms.upper_mass, arms.lower_mass, arms.payload]
    state = [part[:, 0, joint] for part in (acceleration, speed, q) for joint in (0, 1)]
    wanted = np.stack(euler_lagrange()(*sizes, *state), axis=-1)
    assert relative_error(arm.torques(arms, q, speed, acceleration)[:, 0], wanted) < 1e-13


def test_an_arm_held_level_bears_its_weights_at_their_distances():
    elbow = 9.81 * (1 * 0.2 + 3 * 0.4)
    shoulder = 9.81 * (2 * 0.25 + 1 * (0.5 + 0.2) + 3 * (0.5 + 0.4))
    found = arm.torques(one_arm(), STILL, STILL, STILL)
    assert found[0, 0] == pytest.approx([shoulder, elbow], rel=1e-12)
    upright = np.array([[[np.pi / 2, 0.0]]])
    assert arm.torques(one_arm(), upright, STILL, STILL) == pytest.approx(0, abs=1e-12)


def test_friction_is_viscous_and_dry_of_each_joint_by_itself():
    speed = np.array([[[0.02, -2.0]]])
    rubbing, free = one_arm(viscous=0.7, dry=0.4), one_arm()
    drag = arm.torques(rubbing, STILL, speed, STILL) - arm.torques(free, STILL, speed, STILL)
    wanted = [0.7 * 0.02 + 0.4 * np.tanh(0.2), -1.4 - 0.4]
    assert drag[0, 0] == pytest.approx(wanted, rel=1e-9)


def test_an_arm_let_go_begins_to_fall_as_a_rod_does():
    """Without elbow torque a straight, hanging arm is in balance; held level, it falls."""
    hanging = np.array([[[-np.pi / 2, 0.0]]])
    assert arm.acceleration(one_arm(), hanging, STILL, STILL) == pytest.approx(0, abs=1e-12)
    rod = Arms(*np.array([[0.5], [0.4], [2.0], [1e-9], [0.0], [0.0], [0.0]]))
    falling = arm.acceleration(rod, STILL, STILL, STILL)
    assert falling[0, 0, 0] == pytest.approx(-1.5 * 9.81 / 0.5, rel=1e-6)


def test_the_constants_by_hand():
    carried, below, reach = 4.0, 1 / 3 + 3, (0.5 + 3) * 0.4
    bend = below * 0.16
    wanted = [2 / 3 * 0.25 + carried * 0.25 + bend, bend, reach * 0.5, 2.5, reach, 0.7, 0.4]
    assert arm.constants(one_arm(viscous=0.7, dry=0.4))[0] == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("q", "elbow", "hand"),
    [
        ((0.0, 0.0), (0.5, 0.0), (0.9, 0.0)),
        ((np.pi / 2, 0.0), (0.0, 0.5), (0.0, 0.9)),
        ((0.0, np.pi / 2), (0.5, 0.0), (0.5, 0.4)),
        ((np.pi / 2, np.pi / 2), (0.0, 0.5), (-0.4, 0.5)),
        ((np.pi / 6, np.pi / 6), (0.25 * 3**0.5, 0.25), (0.25 * 3**0.5 + 0.2, 0.25 + 0.2 * 3**0.5)),
    ],
)
def test_the_hand_is_where_two_links_put_it(q, elbow, hand):
    found = arm.hand(one_arm(), np.array([[q]]))
    assert found.shape == (1, 1, 2, 2)
    assert found[0, 0] == pytest.approx(np.array([elbow, hand]), abs=1e-12)


def test_each_arm_has_its_own_links():
    arms, q = some_arms(3), np.random.default_rng(0).normal(size=(3, 4, 2))
    elbow, hand = np.moveaxis(arm.hand(arms, q), 2, 0)
    assert np.allclose(np.linalg.norm(elbow, axis=-1), arms.upper[:, None])
    assert np.allclose(np.linalg.norm(hand - elbow, axis=-1), arms.lower[:, None])
    assert len(arms) == 3


def test_arms_fill_the_ranges_that_they_are_drawn_from():
    arms = some_arms(4000, payload=(2.5, 4.0))
    for name, (low, high) in (arm.RANGES | {"payload": (2.5, 4.0)}).items():
        drawn, width = getattr(arms, name), high - low
        assert low <= drawn.min() < low + 0.01 * width, name
        assert high - 0.01 * width < drawn.max() <= high, name
        assert drawn.mean() == pytest.approx((low + high) / 2, abs=0.03 * width), name
    table = np.stack([getattr(arms, name) for name in arm.RANGES])
    assert np.abs(np.corrcoef(table) - np.eye(7)).max() < 0.08


def test_a_motion_swings_in_two_waves_about_its_centre():
    size = np.array([[[0.5, 0.1], [0.25, 0.2]]])
    pace = np.array([[[1.0, 2.0], [2.0, 4.0]]])
    phase = np.array([[[0.0, np.pi / 2], [np.pi / 2, 0.0]]])
    motion = Motion(size, pace, phase, np.array([[1.0, -1.0]]))
    q, speed, acceleration = motion.at(np.array([0.0, np.pi / 2]))
    assert q[0] == pytest.approx(np.array([[1.25, -0.9], [1.5 - 0.25, -1.1]]), abs=1e-12)
    assert speed[0] == pytest.approx(np.array([[0.5, 0.8], [0.0, 0.8]]), abs=1e-12)
    assert acceleration[0] == pytest.approx(np.array([[-1.0, -0.4], [0.5, 0.4]]), abs=1e-12)


def test_motions_are_drawn_for_each_joint_and_wave_anew():
    motion = arm.sample_motion(np.random.default_rng(0), 500)
    ranges = {"size": (0.3, 0.8), "pace": (1, 4), "phase": (0, 2 * np.pi), "centre": (-1, 1)}
    for name, (low, high) in ranges.items():
        drawn, room = getattr(motion, name), 0.01 * (high - low)
        assert low <= drawn.min() < low + room and high - room < drawn.max() <= high, name
        assert len(np.unique(drawn)) == drawn.size


def test_what_the_network_sees_of_a_state():
    q, speed, acceleration = np.array([[0.3, 0.5], [6.0, -1.5], [5.0, -20.0]])
    found = arm.features(q, speed, acceleration)
    angles = [np.sin(0.3), np.sin(0.5), np.cos(0.3), np.cos(0.5), np.cos(0.8)]
    assert found == pytest.approx([*angles, 2.0, -0.5, 0.5, -2.0], rel=1e-12)


def test_measured_torques_are_true_ones_in_their_units_with_noise():
    arms, motion = some_arms(3), arm.sample_motion(np.random.default_rng(0), 3)
    times, noise = np.array([0.1, 0.9]), np.random.default_rng(1).normal(size=(3, 2, 2))
    x, y = arm.measured(arms, motion, times, noise)
    q, speed, acceleration = motion.at(times)
    assert np.allclose(np.arctan2(x[..., :2], x[..., 2:4]), np.arctan2(np.sin(q), np.cos(q)))
    true = arm.torques(arms, q, speed, acceleration)
    assert np.allclose(y[..., 0] * 25 - 25 * 0.02 * noise[..., 0], true[..., 0], rtol=1e-12)
    assert np.allclose(y[..., 1] * 10 - 10 * 0.02 * noise[..., 1], true[..., 1], rtol=1e-12)


def state_in(x):
    """Angles, speeds and accelerations from what the network sees."""
    return np.arctan2(x[..., :2], x[..., 2:4]), 3 * x[..., 5:7], 10 * x[..., 7:]


@pytest.mark.parametrize(("part", "wait"), [("x_support", 1 / 20), ("x_query", 0.06 / 2)])
def test_measurements_are_twenty_a_second_and_the_query_lasts_as_long_as_asked(part, wait):
    """Speeds and accelerations lead from each measurement to the next."""
    tasks = Swings(seconds=0.06).of(some_arms(40), np.random.default_rng(0), 5, 3)
    q, speed, acceleration = state_in(getattr(tasks, part))
    turned = np.angle(np.exp(1j * np.diff(q, axis=1)))
    mean_speed = (speed[:, :-1] + speed[:, 1:]) / 2
    bend = np.diff(acceleration, axis=1) * wait / 12
    assert np.allclose(turned, (mean_speed - bend) * wait, atol=3e-6)


def test_support_and_query_are_two_motions_of_one_arm():
    arms = some_arms(4)
    tasks = Swings().of(arms, np.random.default_rng(0), 200, 200)
    assert np.std(tasks.x_support - tasks.x_query) > 0.3
    for x, y in ((tasks.x_support, tasks.y_support), (tasks.x_query, tasks.y_query)):
        noise = y - arm.torques(arms, *state_in(x)) / [25, 10]
        assert noise.std(axis=(1, 2)) == pytest.approx(np.full(4, 0.02), rel=0.15)


def test_a_batch_is_of_arms_drawn_first():
    batch, rng = Swings().sample(np.random.default_rng(0), 4, 7, 5), np.random.default_rng(0)
    same = Swings().of(arm.sample_arms(rng, 4), rng, 7, 5)
    assert np.array_equal(batch.x_support, same.x_support)
    assert np.array_equal(batch.y_query, same.y_query)


def test_a_query_motion_lasts_three_seconds():
    usual, three = (
        family.of(some_arms(2), np.random.default_rng(0), 1, 2)
        for family in (Swings(), Swings(3.0))
    )
    assert np.array_equal(usual.x_query, three.x_query)


def test_the_least_squares_arm_predicts_its_torques():
    tasks = Swings().of(some_arms(5), np.random.default_rng(0), 60, 20)
    found = arm.identified(tasks)
    again = np.einsum("anjk,ak->anj", arm.regressor(*state_in(tasks.x_query)), found) / [25, 10]
    assert np.std(again - tasks.y_query) < 3 * arm.NOISE


def test_the_most_likely_arm_solves_the_equations_and_those_of_the_prior_together():
    """Least squares on more rows: a normal prior is seven further measurements."""
    tasks = Swings().of(some_arms(5), np.random.default_rng(0), 4, 1)
    mean, covariance = arm.prior(np.random.default_rng(1), 500)
    found = arm.identified_with_prior(tasks, mean, covariance)
    root = np.linalg.cholesky(np.linalg.inv(covariance)).T
    for t, numbers in enumerate(found):
        rows = arm.regressor(*(part[t] for part in state_in(tasks.x_support)))
        rows = (rows / np.array([25, 10])[:, None]).reshape(-1, 7) / 0.02
        seen = tasks.y_support[t].ravel() / 0.02
        both = np.concatenate([rows, root]), np.concatenate([seen, root @ mean])
        assert np.allclose(numbers, np.linalg.lstsq(*both)[0], rtol=1e-6)


def test_a_prior_that_knows_nothing_leaves_least_squares_and_one_that_knows_all_leaves_itself():
    tasks = Swings().of(some_arms(5), np.random.default_rng(0), 60, 20)
    mean, covariance = arm.prior(np.random.default_rng(1))
    wide = arm.identified_with_prior(tasks, mean, 1e9 * covariance)
    assert np.allclose(wide, arm.identified(tasks), rtol=1e-5)
    narrow = arm.identified_with_prior(tasks, mean, 1e-12 * covariance)
    assert np.allclose(narrow, mean, rtol=1e-3)


def test_the_prior_is_of_the_arms_of_the_training():
    mean, covariance = arm.prior(np.random.default_rng(0), 4000)
    numbers = arm.constants(arm.sample_arms(np.random.default_rng(5), 4000))
    assert np.allclose(mean, numbers.mean(axis=0), rtol=0.05)
    spread = np.sqrt(np.diag(covariance))
    assert np.allclose(spread, numbers.std(axis=0), rtol=0.1)
    together = np.corrcoef(numbers.T) * np.outer(spread, spread)
    assert np.allclose(covariance, together, atol=0.1 * np.outer(spread, spread))


def test_expected_torques_are_the_answers_of_the_network_in_newton_metres():
    model, rng = MLP((9, 2)), np.random.default_rng(0)
    theta, motion = rng.normal(size=(2, 20)), arm.sample_motion(rng, 2)
    W, b = theta[1, :18].reshape(9, 2), theta[1, 18:]
    wanted = (arm.features(*motion.at(np.array([0.4])))[1] @ W + b) * [25, 10]
    found = arm.expected_torques(model, theta, motion, np.array([0.4]))
    assert np.allclose(found[1], wanted, rtol=1e-12)


def test_feedback_alone_lets_the_arm_sag_until_its_springs_bear_it():
    arms = some_arms(6, dry=(0, 0), payload=(0, 0.2))
    centre = np.array([0.4, -0.3])
    rest = arm.track(arms, steady(centre, 6), np.zeros((6, 800, 2)))[:, -1:]
    pull = arm.torques(arms, rest, 0 * rest, 0 * rest)
    assert np.allclose(pull, [60, 25] * (centre - rest), atol=1e-3)


def test_the_path_begins_where_it_should_and_obeys_the_command_of_its_step():
    """A push in command 3 is seen in entry 4 and not before."""
    arms, motion = some_arms(2), arm.sample_motion(np.random.default_rng(0), 2)
    times = 0.01 * np.arange(8)
    plain = arm.torques(arms, *motion.at(times))
    pushed = plain.copy()
    pushed[:, 3] += 50
    one, other = arm.track(arms, motion, plain), arm.track(arms, motion, pushed)
    assert np.array_equal(one[:, 0], motion.at(times[:1])[0][:, 0])
    assert np.array_equal(one[:, :4], other[:, :4]) and not np.allclose(one[:, 4], other[:, 4])
    assert np.allclose(one, motion.at(times)[0], atol=2e-3)


def test_a_command_holds_for_four_small_steps():
    arms, motion = some_arms(3), steady([0.2, 0.1], 3)
    torque = np.full((3, 2, 2), 5.0)
    q, speed = motion.at(np.zeros(1))[:2]
    for _ in range(4):
        speed = speed + 0.0025 * arm.acceleration(arms, q, speed, torque[:, :1])
        q = q + 0.0025 * speed
    assert np.allclose(arm.track(arms, motion, torque)[:, 1:], q, rtol=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_motors_and_joints_have_limits(sign):
    arms, motion = one_arm(), steady([0.0, 0.0])
    reached = [arm.track(arms, motion, np.full((1, 2, 2), sign * t))[0, 1] for t in (150, 200, 1e6)]
    assert np.array_equal(reached[1], reached[2])
    assert np.abs(reached[0] - reached[1]).min() > 1e-3
    light = Arms(*np.array([[0.4], [0.3], [0.01], [0.01], [0.0], [0.0], [0.0]]))
    spun = arm.track(light, motion, np.full((1, 30, 2), sign * 1e6))
    assert np.abs(np.diff(spun, axis=1)).max() == pytest.approx(30 * 0.01)


def test_the_tracking_error_is_the_distance_in_degrees_after_a_third_of_a_second():
    motion = arm.sample_motion(np.random.default_rng(0), 2)
    wanted = motion.at(0.01 * np.arange(50))[0]
    off = np.radians([[[3.0, 4.0]], [[0.0, -2.0]]])
    assert arm.tracking_error(wanted + off, motion) == pytest.approx([5, 2], rel=1e-9)
    late = wanted.copy()
    late[:, :30] += 9
    assert arm.tracking_error(late, motion) == pytest.approx(0, abs=1e-9)
    late[:, 30] += off[:, 0]
    assert arm.tracking_error(late, motion) == pytest.approx([5 / 20**0.5, 2 / 20**0.5], rel=1e-9)
    assert arm.tracking_error(late, motion, settled=31) == pytest.approx(0, abs=1e-9)
