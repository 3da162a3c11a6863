"""The car, its drives and its controller, and their JavaScript."""

from dataclasses import fields, replace

import numpy as np
import pytest
from node import assert_all_close, flat

from maml_teach import maml
from maml_teach.applications import driving
from maml_teach.applications.driving import MODEL, Drives
from maml_teach.applications.steering import (
    EFFORT,
    HORIZON,
    best_response,
    lateral_error,
    steer_along,
)
from maml_teach.widgets import DriveIt


def one_car(seed=0):
    return driving.sample_cars(np.random.default_rng(seed), 1)


def as_js(cars):
    return {field.name: float(getattr(cars, field.name)[0]) for field in fields(cars)}


def test_a_car_at_rest_goes_straight_and_a_steered_one_turns_left():
    cars = replace(one_car(), wind=np.zeros(1), bias=np.zeros(1))
    straight = driving.step(cars, np.zeros((1, 2)), np.zeros(1))
    turned = driving.step(cars, np.zeros((1, 2)), np.full(1, 0.05))
    assert np.allclose(straight, 0)
    assert turned[0, 1] > 0


def test_no_car_corners_harder_than_its_grip_allows():
    cars = driving.sample_cars(np.random.default_rng(0), 200, wind=(0, 0))
    states = driving.drive_along(cars, np.full((200, 400), 0.1))
    settled = np.abs(np.diff(states[:, -2:], axis=1)[:, 0]).max(axis=1) < 1e-6
    cornering = np.abs(states[:, -1, 1]) * cars.speed / (cars.grip * driving.GRAVITY)
    assert settled.sum() > 50
    assert cornering[settled].max() <= 1 + 1e-6


def test_a_small_step_follows_the_linear_bicycle():
    """Far from the tyres' limits the yaw rate settles where the textbook's understeer says."""
    cars = replace(one_car(), wind=np.zeros(1), bias=np.zeros(1), grip=np.ones(1))
    steer = 1e-3
    yaw = driving.drive_along(cars, np.full((1, 400), steer))[0, -1, 1]
    base = driving.FRONT + driving.REAR
    share = driving.REAR / cars.front - driving.FRONT / cars.rear
    understeer = cars.mass / base * share
    expected = cars.speed * steer * cars.gain / (base + understeer * cars.speed**2)
    assert yaw == pytest.approx(expected[0], rel=1e-3)


def test_support_comes_before_query_and_rng_decides():
    tasks = Drives().sample(np.random.default_rng(3), 4, 20, 30)
    again = Drives().sample(np.random.default_rng(3), 4, 20, 30)
    longer = Drives().of(driving.sample_cars(rng := np.random.default_rng(3), 4), rng, 49, 1)
    assert tasks.x_support.shape == (4, 20, 4) and tasks.y_query.shape == (4, 30, 2)
    assert np.array_equal(tasks.x_query, again.x_query)
    assert np.array_equal(longer.x_support[:, 20:], tasks.x_query[:, :29])


def test_the_controller_holds_the_road_when_it_knows_the_car():
    rng = np.random.default_rng(1)
    cars = driving.sample_cars(rng, 20)
    curvature = driving.road(rng, cars, 200 + HORIZON)
    offsets, steering = steer_along(cars, driving.step, curvature)
    assert lateral_error(offsets).max() < 0.02
    assert np.abs(steering).max() <= driving.MAX_STEER


def test_best_response_equals_least_squares():
    """The gain against minimising the same cost over all changes of steering at once."""
    rng = np.random.default_rng(0)
    cars, n_ahead = one_car(), 8
    a, b, c = np.eye(2)[None] * 0.9, rng.normal(size=(1, 2)), 0.01 * rng.normal(size=(1, 2))
    curvature = 0.005 * rng.normal(size=(1, n_ahead))
    now = np.append(0.1 * rng.normal(size=5), 1.0)

    def cost(changes):
        offset, heading, state, steer, total = now[0], now[1], now[2:4], now[4], 0.0
        for k, change in enumerate(changes):
            steer = steer + change
            state = a[0] @ state + b[0] * steer + c[0]
            heading = heading + driving.DT * (state[1] - curvature[0, k] * cars.speed[0])
            offset = offset + driving.DT * (state[0] + cars.speed[0] * heading)
            total += offset**2 + 0.5 * heading**2 + EFFORT * change**2
        return total

    # a quadratic: its minimum from its values at few points
    unit = np.eye(n_ahead)
    zero = cost(np.zeros(n_ahead))
    slope = np.array([(cost(e) - cost(-e)) / 2 for e in unit])
    bend = np.array([[cost(e + f) - cost(e) - cost(f) + zero for f in unit] for e in unit])
    wanted = -np.linalg.solve(bend, slope)[0]
    gain = best_response(a, b, c, cars, curvature)
    assert gain[0] @ now == pytest.approx(wanted, rel=1e-6)


def test_bad_input_is_named():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="n_cars"):
        driving.sample_cars(rng, 0)
    with pytest.raises(ValueError, match="ice"):
        driving.sample_cars(rng, 1, ice=(0, 1))
    with pytest.raises(ValueError, match="grip = "):
        driving.sample_cars(rng, 1, grip=(1, 0))
    with pytest.raises(ValueError, match="maml has shape"):
        DriveIt(np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match="joint must be finite"):
        DriveIt(np.zeros(MODEL.n_params), np.full(MODEL.n_params, np.nan))
    with pytest.raises(ValueError):
        DriveIt.from_package(grip=3.0)


def test_javascript_measures_and_drives_like_numpy():
    rng = np.random.default_rng(5)
    car = one_car(2)
    steering, noise = driving.wiggle(rng, 1, 30), rng.standard_normal((1, 30, 2))
    x, y = driving.transitions(car, driving.drive_along(car, steering), steering, noise)
    curvature = driving.road(rng, car, 60 + HORIZON)
    theta = MODEL.init(rng) * 0.3
    task = Drives().of(car, rng, 20, 5)
    theta = maml.adapt(MODEL, theta, task, alpha=0.1, n_inner_steps=3)
    known, _ = steer_along(car, driving.step, curvature)
    guessed, _ = steer_along(car, driving.learned(MODEL, theta), curvature)
    net = {"sizes": list(MODEL.sizes), "activation": "tanh"}
    settings = as_js(car)
    cases = [
        ("transitions", [settings, flat(steering), flat(noise)]),
        ("offsetsWhenKnown", [settings, flat(curvature)]),
        ("offsetsWhenLearned", [settings, flat(curvature), net, flat(theta)]),
        ("lateralError", [flat(known)]),
    ]
    wanted = [np.append(x, y), known, guessed, lateral_error(known)]
    assert np.abs(guessed).max() > 10 * np.abs(known).max()
    assert_all_close("driving", cases, wanted)
