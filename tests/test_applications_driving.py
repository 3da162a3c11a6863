"""The car and its controller: textbook motion and hand-made roads."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares

from maml_teach.applications import driving
from maml_teach.applications.driving import Cars, Drives
from maml_teach.applications.steering import (
    HORIZON,
    best_response,
    lateral_error,
    linearised,
    steer_along,
)
from maml_teach.mlp import MLP


def some_cars(n, seed=0, **ranges):
    return driving.sample_cars(np.random.default_rng(seed), n, **ranges)


def calm(cars):
    """The same cars without wind, with wheels that stand straight."""
    return replace(cars, wind=0 * cars.wind, bias=0 * cars.bias)


def neutral_cars(*, gain=1.0):
    """Two cars that neither over- nor understeer, one slow and one fast."""
    sizes = [[1.0], [1500.0], [1.5], [8e4], [6.4e4], [0.0], [0.0], [gain]]
    return Cars(*np.repeat(sizes, 2, axis=1), np.array([10.0, 20.0]))


def motion(t, state, car):
    """Newton's laws for a car seen from above, in SI units: forces across, and torque about it."""
    del t
    grip, mass, spread, front, rear, wind, bias, gain, speed, steer = car
    wheel = steer * gain + bias
    load = {"front": mass * 9.81 * 1.5 / 2.7, "rear": mass * 9.81 * 1.2 / 2.7}
    slip = {
        "front": wheel - np.arctan2(state[0] + 1.2 * state[1], speed),
        "rear": -np.arctan2(state[0] - 1.5 * state[1], speed),
    }
    force = {
        axle: grip * load[axle] * np.tanh(stiffness * slip[axle] / (grip * load[axle]))
        for axle, stiffness in (("front", front), ("rear", rear))
    }
    across = force["front"] * np.cos(wheel)
    along_y = (across + force["rear"] + wind) / mass - speed * state[1]
    return [along_y, (1.2 * across - 1.5 * force["rear"]) / (spread * mass)]


def test_a_step_of_the_car_follows_newtons_laws(monkeypatch):
    """Its small steps made smaller, and extrapolated, against SciPy's integrator."""
    cars, rng = some_cars(8), np.random.default_rng(1)
    state, steer = rng.normal(size=(8, 2)) * [1.0, 0.3], rng.uniform(-0.2, 0.2, 8)
    found = []
    for n in (400, 800):
        monkeypatch.setattr(driving, "SUBSTEPS", n)
        found.append(driving.step(cars, state, steer))
    found = 2 * found[1] - found[0]
    sizes = np.array([getattr(cars, name) for name in driving.RANGES])
    for k, start in enumerate(state):
        car = [*sizes[:, k], steer[k]]
        exact = solve_ivp(motion, (0, 1 / 20), start, args=(car,), rtol=1e-10, atol=1e-12)
        assert found[k] == pytest.approx(exact.y[:, -1], rel=1e-5, abs=1e-6)


def test_four_small_steps_make_a_twentieth_of_a_second():
    cars, state, steer = some_cars(3), np.full((3, 2), 0.2), np.full(3, 0.03)
    sizes = np.array([getattr(cars, name) for name in driving.RANGES])
    for k, now in enumerate(state):
        for _ in range(4):
            now = now + 0.0125 * np.array(motion(0, now, [*sizes[:, k], steer[k]]))
        assert driving.step(cars, state, steer)[k] == pytest.approx(now, rel=1e-12)


def test_a_drive_straight_ahead_stays_straight():
    states = driving.drive_along(calm(some_cars(5)), np.zeros((5, 50)))
    assert states.shape == (5, 51, 2) and (states == 0).all()


@pytest.mark.parametrize("gain", [1.0, 0.8])
def test_a_neutral_car_drives_a_circle_of_its_wheelbase_over_the_angle_of_its_wheels(gain):
    """The place of the car, integrated along the drive, stays on a circle of that radius."""
    cars, n_steps, steer = neutral_cars(gain=gain), 2400, 0.004
    states = driving.drive_along(cars, np.full((2, n_steps), steer))[:, -n_steps // 2 :]
    heading = 0.05 * np.cumsum(states[..., 1], axis=1)
    velocity = (cars.speed[:, None] + 1j * states[..., 0]) * np.exp(1j * heading)
    place = 0.05 * np.cumsum(velocity, axis=1)
    for path in place:
        # a circle through points: |z|^2 = 2 Re(conj(centre) z) + radius^2 - |centre|^2
        known = np.stack([2 * path.real, 2 * path.imag, np.ones(len(path))], axis=1)
        x, y, rest = np.linalg.lstsq(known, np.abs(path) ** 2)[0]
        assert np.sqrt(rest + x**2 + y**2) == pytest.approx(2.7 / (gain * steer), rel=5e-3)
        assert y > 0  # it turns left


def test_the_wind_from_the_right_pushes_left_and_bent_wheels_turn():
    cars = calm(some_cars(4))
    blown = driving.step(replace(cars, wind=np.full(4, 500.0)), np.zeros((4, 2)), np.zeros(4))
    assert (blown[:, 0] > 0).all()
    bent = driving.drive_along(replace(cars, bias=np.full(4, 0.01)), np.zeros((4, 9)))
    asked = driving.drive_along(cars, np.outer(0.01 / cars.gain, np.ones(9)))
    assert np.allclose(bent, asked, rtol=1e-12)


def test_states_lead_on_by_the_steering_of_their_time():
    cars, steering = some_cars(3), np.random.default_rng(1).uniform(-0.1, 0.1, (3, 6))
    states = driving.drive_along(cars, steering)
    assert (states[:, 0] == 0).all()
    for k in range(6):
        assert np.array_equal(states[:, k + 1], driving.step(cars, states[:, k], steering[:, k]))


def test_cars_fill_the_ranges_that_they_are_drawn_from():
    cars = some_cars(4000, grip=(0.1, 0.2))
    for name, (low, high) in (driving.RANGES | {"grip": (0.1, 0.2)}).items():
        drawn, room = getattr(cars, name), 0.01 * (high - low)
        assert low <= drawn.min() < low + room and high - room < drawn.max() <= high, name
    table = np.stack([getattr(cars, name) for name in driving.RANGES])
    assert np.abs(np.corrcoef(table) - np.eye(9)).max() < 0.08


def test_selected_cars_keep_all_their_numbers():
    cars, index = some_cars(5), np.array([3, 0])
    some = cars.select(index)
    assert len(some) == 2 and len(cars) == 5
    for name in driving.RANGES:
        assert np.array_equal(getattr(some, name), getattr(cars, name)[index])


def test_what_the_network_sees_of_a_state():
    found = driving.features(np.array([[0.5, -0.2]]), np.array([0.06]), np.array([20.0]))
    assert found[0] == pytest.approx([0.5, -0.5, 0.5, 1.0], rel=1e-12)
    two = driving.features(np.zeros((1, 2, 2)), np.array([[0.0, -0.12]]), np.array([[14.0]]))
    assert two[0] == pytest.approx(np.array([[0, 0, 0, -1], [0, 0, -1, -1]]), abs=1e-12)


def test_the_test_driver_steers_in_slow_waves_and_not_far():
    """Spectrum: nothing faster than 1.15 Hz or slower than 0.15 Hz, where nothing is cut off."""
    n_steps = 4000
    steering = driving.wiggle(np.random.default_rng(0), 60, n_steps)
    assert np.abs(steering).max() == 0.15 and steering.shape == (60, n_steps)
    whole = steering[np.abs(steering).max(axis=1) < 0.15]
    assert 20 < len(whole) < 60
    power = np.abs(np.fft.rfft(whole * np.hanning(n_steps), axis=1)) ** 2
    hertz = np.fft.rfftfreq(n_steps, 1 / 20)
    outside = (hertz < 0.14) | (hertz > 1.16)
    assert power[:, outside].sum() < 1e-6 * power.sum()
    heard = hertz[(power > 0.05 * power.max(axis=1, keepdims=True)).any(axis=0)]
    assert heard.min() < 0.2 and heard.max() > 1.1


def test_each_wave_of_the_driver_is_drawn_up_to_its_size():
    """The variance of four waves with sizes uniform up to 0.06: four times a sixth of 0.0036."""
    steering = driving.wiggle(np.random.default_rng(1), 3000, 400)
    assert steering.mean() == pytest.approx(0, abs=1e-3)
    assert steering.var() == pytest.approx(4 * 0.06**2 / 6, rel=0.05)


def test_a_transition_is_a_state_with_the_change_that_follows():
    cars, rng = some_cars(2), np.random.default_rng(0)
    steering, noise = rng.uniform(-0.1, 0.1, (2, 3)), rng.normal(size=(2, 3, 2))
    states = driving.drive_along(cars, steering)
    x, y = driving.transitions(cars, states, steering, noise)
    assert x.shape == (2, 3, 4)
    for k in range(3):
        assert np.allclose(x[:, k], driving.features(states[:, k], steering[:, k], cars.speed))
        change = states[:, k + 1] - states[:, k]
        assert np.allclose(y[:, k], change / [0.25, 0.10] + 0.02 * noise[:, k], atol=1e-12)


def test_the_drive_before_the_first_measurement_is_left_out():
    usual, whole = (
        family.of(some_cars(4), np.random.default_rng(0), n_shots, 5)
        for family, n_shots in ((Drives(), 7), (Drives(warm_up=0), 17))
    )
    assert np.array_equal(usual.x_support, whole.x_support[:, 10:])
    assert np.array_equal(usual.y_support, whole.y_support[:, 10:])
    assert np.array_equal(usual.y_query, whole.y_query)


def test_a_batch_is_of_cars_drawn_first():
    batch = Drives().sample(np.random.default_rng(0), 4, 7, 5)
    rng = np.random.default_rng(0)
    same = Drives().of(driving.sample_cars(rng, 4), rng, 7, 5)
    assert np.array_equal(batch.x_support, same.x_support)
    assert np.array_equal(batch.y_query, same.y_query)


def test_a_learned_car_moves_as_its_network_answers():
    cars, rng, model = some_cars(2), np.random.default_rng(0), MLP((4, 2))
    theta, state, steer = rng.normal(size=(2, 10)), rng.normal(size=(2, 2)), rng.normal(size=2)
    found = driving.learned(model, theta)(cars, state, steer)
    for n in range(2):
        W, b = theta[n, :8].reshape(4, 2), theta[n, 8:]
        x = [state[n, 0], state[n, 1] / 0.4, steer[n] / 0.12, (cars.speed[n] - 17) / 3]
        assert np.allclose(found[n], state[n] + [0.25, 0.1] * (x @ W + b), rtol=1e-12)


def test_a_road_asks_for_its_share_of_the_grip_at_the_sharpest_bend():
    rng, cars = np.random.default_rng(0), some_cars(300)
    for how, share in (({}, 0.55), ({"share": 0.2}, 0.2)):
        curvature = driving.road(rng, cars, 244, **how)
        needed = np.abs(curvature).max(axis=1) * cars.speed**2 / (cars.grip * 9.81)
        sharpest = np.abs(curvature).max(axis=1)
        capped = sharpest > 0.012 - 1e-12
        assert np.allclose(sharpest[capped], 0.012) and (needed[capped] < share).all()
        assert np.allclose(needed[~capped], share) and (~capped).sum() > 50
        assert capped.any() == (share == 0.55)


def test_a_road_winds_in_three_slow_waves():
    n_steps = 20_000
    curvature = driving.road(np.random.default_rng(0), some_cars(40), n_steps)
    power = np.abs(np.fft.rfft(curvature * np.hanning(n_steps), axis=1)) ** 2
    hertz = np.fft.rfftfreq(n_steps, 1 / 20)
    for middle in (0.06, 0.11, 0.19):
        band = (hertz > 0.8 * middle) & (hertz < 1.2 * middle)
        share = power[:, band].sum(axis=1) / power.sum(axis=1)
        assert share == pytest.approx(np.full(40, 1 / 3), abs=0.02)
        peaks = hertz[band][power[:, band].argmax(axis=1)] / middle
        assert peaks.min() < 0.9 and peaks.max() > 1.1
    left = np.sign(curvature[:, 0])
    assert 10 < (left > 0).sum() < 30


def test_a_linear_plan_is_its_own_linearisation():
    rng, cars = np.random.default_rng(0), some_cars(3)
    a, b, c = rng.normal(size=(3, 2, 2)), rng.normal(size=(3, 2)), rng.normal(size=(3, 2))

    def plan(cars, state, steer):
        del cars
        return (a @ state[..., None])[..., 0] + b * steer[:, None] + c

    for found, wanted in zip(
        linearised(cars, plan, rng.normal(size=(3, 6))), (a, b, c), strict=True
    ):
        assert np.allclose(found, wanted, atol=1e-10)


def test_a_curved_plan_is_linearised_where_the_car_is():
    cars, now = some_cars(1), np.array([[9.0, 9.0, 0.3, -0.2, 0.1, 1.0]])

    def plan(cars, state, steer):
        del cars
        slip, yaw = state.T
        return np.stack([slip**2 + yaw, slip * yaw + np.sin(steer)], axis=1)

    a, b, c = linearised(cars, plan, now)
    assert np.allclose(a, [[[0.6, 1.0], [-0.2, 0.3]]], atol=1e-12)
    assert np.allclose(b, [[0.0, np.cos(0.1)]], atol=1e-5)
    there = a[0] @ now[0, 2:4] + b[0] * now[0, 4] + c[0]
    assert np.allclose(there, plan(cars, now[:, 2:4], now[:, 4]), atol=1e-12)


@pytest.mark.parametrize("bend", [0.005, -0.005])
def test_who_believes_that_steering_does_nothing_drives_straight_off_a_bend(bend):
    """Along a tangent: a road of radius 1/k lies (1 - cos k s)/k to the left after s metres."""
    cars = calm(some_cars(3))
    stuck = lambda cars, state, steer: state + 0 * steer[:, None]  # noqa: E731
    offsets, steering = steer_along(cars, stuck, np.full((3, 120 + HORIZON), bend))
    turned = -bend * cars.speed[:, None] * 0.05 * np.arange(1, 121)
    exact = np.cumsum(0.05 * cars.speed[:, None] * np.sin(turned), axis=1)
    smooth = (np.cos(turned) - 1) / bend
    assert (steering == 0).all()
    assert np.allclose(offsets, np.clip(exact, -20, 20), rtol=1e-9)
    assert np.allclose(offsets[:, 20:40], smooth[:, 20:40], rtol=0.06)
    assert (np.abs(offsets[:, -1]) == 20).all()  # lost: no car is followed further


def test_a_known_car_steers_through_a_long_bend_as_the_textbook_says():
    """Wheel angle: curvature times wheelbase plus understeer times speed squared."""
    cars, bend = calm(some_cars(6, grip=(1, 1))), 0.001
    offsets, steering = steer_along(cars, driving.step, np.full((6, 300 + HORIZON), bend))
    understeer = cars.mass / 2.7 * (1.5 / cars.front - 1.2 / cars.rear)
    wanted = bend * (2.7 + understeer * cars.speed**2) / cars.gain
    assert np.allclose(steering[:, -1], wanted, rtol=0.01)
    assert np.abs(offsets).max() < 0.05


def test_the_controller_looks_24_steps_ahead():
    cars, late = calm(some_cars(2)), np.zeros((2, 28))
    late[:, 24] = 0.01
    steering = steer_along(cars, driving.step, late)[1]
    assert steering.shape == (2, 4)
    assert (steering[:, 0] == 0).all() and (np.abs(steering[:, 1:]) > 0).all()


def test_the_car_drives_by_the_true_step_and_never_beyond_its_lock():
    """Driven again by hand along the steering that was chosen."""
    rng, cars = np.random.default_rng(3), some_cars(5)
    curvature = 3 * driving.road(rng, cars, 90 + HORIZON)
    theta = driving.MODEL.init(rng)
    plan = driving.learned(driving.MODEL, np.tile(theta, (5, 1)))
    offsets, steering = steer_along(cars, plan, curvature)
    states = driving.drive_along(cars, steering)[:, 1:]
    heading = 0.05 * np.cumsum(states[..., 1] - curvature[:, :90] * cars.speed[:, None], axis=1)
    across = states[..., 0] * np.cos(heading) + cars.speed[:, None] * np.sin(heading)
    offset = np.zeros(5)
    for k in range(90):
        offset = np.clip(offset + 0.05 * across[:, k], -20, 20)
        assert np.allclose(offsets[:, k], offset, rtol=1e-9, atol=1e-12)
    assert np.abs(steering).max() == driving.MAX_STEER == 0.2


def test_a_gain_is_that_of_the_scalar_riccati_equation():
    """A car that yaws as it is steered, on a straight road, one step ahead.

    Then offset' and heading' after a change ``u`` are known, and so is the best ``u``.
    """
    cars = neutral_cars().select(slice(0, 1))
    a, b, c = np.zeros((1, 2, 2)), np.array([[0.0, 2.0]]), np.zeros((1, 2))
    gain = best_response(a, b, c, cars, np.zeros((1, 1)))[0]
    offset, heading, steer = 0.3, -0.1, 0.05
    reach = 0.05 * 2.0 * np.array([0.05 * 10.0, 1.0])  # of a unit of steering, on both
    there = np.array([offset + 0.5 * heading, heading]) + reach * steer
    weight = np.array([1.0, 0.5])
    wanted = -(weight * reach) @ there / (40.0 + (weight * reach) @ reach)
    assert gain @ [offset, heading, 9.0, 9.0, steer, 1.0] == pytest.approx(wanted, rel=1e-12)


def test_the_lateral_error_counts_what_comes_after_a_second_and_five_metres_as_lost():
    offsets = np.full((3, 40), 9.0)
    offsets[0, 20:] = 3.0
    offsets[1, 20:] = np.tile([-3.0, 4.0], 10)
    assert lateral_error(offsets) == pytest.approx([3.0, 12.5**0.5, 5.0], rel=1e-12)
    assert lateral_error(offsets, settled=19)[0] == pytest.approx((205 / 21) ** 0.5, rel=1e-12)


QUANTITIES = [name for name in driving.RANGES if name != "speed"]


@pytest.mark.parametrize("n_shots", [5, 20])
def test_the_fitted_car_is_the_most_likely_one(n_shots):
    """Against a trust-region fit of scipy, of one car at a time, that starts at the true car."""
    cars = some_cars(3, seed=4)
    tasks = Drives().of(cars, np.random.default_rng(1), n_shots, 1)
    found = driving.fitted(tasks)
    ends = np.array([driving.RANGES[name] for name in QUANTITIES])
    middle, spread = ends.mean(axis=1), np.ptp(ends, axis=1) / np.sqrt(12)
    for t in range(3):
        x = tasks.x_support[t] * driving.X_SCALE + driving.X_CENTRE

        def misfit(values, x=x, t=t):
            one = Cars(*np.repeat(values[:, None], n_shots, axis=1), x[:, 3])
            change = (driving.step(one, x[:, :2], x[:, 2]) - x[:, :2]) / driving.Y_SCALE
            off = (change - tasks.y_support[t]) / 0.02
            return np.concatenate([off.ravel(), (values - middle) / spread])

        true = np.array([getattr(cars, name)[t] for name in QUANTITIES])
        best = least_squares(misfit, true, x_scale=spread, xtol=1e-12, ftol=1e-12, gtol=1e-12)
        ours = np.array([getattr(found, name)[t] for name in QUANTITIES])
        assert (misfit(ours) ** 2).sum() < 1.001 * 2 * best.cost
        assert np.allclose((ours - best.x) / spread, 0, atol=0.02)


def test_a_fitted_car_knows_the_speed_and_a_plan_of_it_ignores_the_car_it_is_asked_about():
    cars = some_cars(2)
    found = driving.fitted(Drives().of(cars, np.random.default_rng(1), 40, 1))
    assert np.allclose(found.speed, cars.speed)
    state, steer = np.zeros((2, 2)), np.array([0.02, -0.01])
    plan = driving.believed(found)
    assert np.array_equal(plan(cars, state, steer), driving.step(found, state, steer))


def test_a_fit_needs_a_step():
    tasks = Drives().of(some_cars(2), np.random.default_rng(1), 5, 1)
    with pytest.raises(ValueError, match="n_iterations must be"):
        driving.fitted(tasks, n_iterations=0)
