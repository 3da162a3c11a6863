"""Driving: a car whose grip, load, tyres, wind and steering are unknown, and change per task.

A task is one car on one day. Its support set is a second of driving: what the car was doing, how
the wheel was turned, and how it moved a twentieth of a second later. A network learns that
motion, and a controller steers by the network. ``step`` is the true car that both have to meet.
"""

from dataclasses import dataclass, fields

import numpy as np

from .mlp import MLP
from .tasks import Task, check_counts, check_rate, with_ranges

DT = 0.05  # seconds between two measurements
SUBSTEPS = 4
FRONT, REAR, GRAVITY = 1.2, 1.5, 9.81  # axle distances from the centre of mass in m; m/s^2
NOISE = 0.02  # standard deviation of a measured change, in units of Y_SCALE
# What the network sees and says: (slip m/s, yaw rate rad/s, steering rad, speed m/s) to changes.
X_CENTRE, X_SCALE = np.array([0.0, 0.0, 0.0, 17.0]), np.array([1.0, 0.4, 0.12, 3.0])
Y_SCALE = np.array([0.25, 0.10])
MAX_STEER = 0.2  # rad
MODEL = MLP((4, 48, 48, 2), activation="tanh")


@dataclass(frozen=True)
class Cars:
    """One car per entry; every field has shape ``(n_cars,)``.

    Args:
        grip: Friction coefficient between tyre and road: 1 on dry asphalt, 0.3 on snow.
        mass: In kg.
        inertia: Moment of inertia about the vertical axis over the mass, in m^2.
        front: Cornering stiffness of the front axle in N/rad.
        rear: The same of the rear axle.
        wind: Force of the crosswind in N, positive to the left.
        bias: Angle of the wheels in rad when the steering stands straight.
        gain: Angle of the wheels per angle asked for.
        speed: In m/s, held by another controller.
    """

    grip: np.ndarray
    mass: np.ndarray
    inertia: np.ndarray
    front: np.ndarray
    rear: np.ndarray
    wind: np.ndarray
    bias: np.ndarray
    gain: np.ndarray
    speed: np.ndarray

    def __len__(self):
        return len(self.grip)

    def select(self, index):
        """The cars at ``index``."""
        return Cars(*(getattr(self, field.name)[index] for field in fields(self)))


RANGES = {
    "grip": (0.25, 1.0),
    "mass": (1200.0, 2200.0),
    "inertia": (1.3, 1.7),
    "front": (6e4, 1.1e5),
    "rear": (7e4, 1.2e5),
    "wind": (-1200.0, 1200.0),
    "bias": (-0.03, 0.03),
    "gain": (0.75, 1.25),
    "speed": (14.0, 20.0),
}


def sample_cars(rng, n_cars, **ranges):
    """Cars drawn uniformly from ``RANGES``, or from those given here instead.

    Raises:
        ValueError: If a range has an unknown name or its ends are not in order.
    """
    check_counts(n_cars=n_cars)
    bounds = with_ranges(RANGES, ranges).values()
    return Cars(*(rng.uniform(low, high, n_cars) for low, high in bounds))


def step(cars, state, steer):
    """The true car, a twentieth of a second later: a bicycle model with tyres that saturate.

    Args:
        cars: The cars.
        state: Slip velocity in m/s and yaw rate in rad/s, ``(n_cars, 2)``.
        steer: Steering asked for in rad, ``(n_cars,)``.

    Returns:
        The next state, ``(n_cars, 2)``.

    Source:
        Rajamani (2012), Vehicle Dynamics and Control, chapter 2; a tanh for the tyre curve.
    """
    slip, yaw = state[:, 0], state[:, 1]
    angle, h = steer * cars.gain + cars.bias, DT / SUBSTEPS
    most = [cars.grip * cars.mass * GRAVITY * arm / (FRONT + REAR) for arm in (REAR, FRONT)]
    for _ in range(SUBSTEPS):
        front = angle - np.arctan((slip + FRONT * yaw) / cars.speed)
        rear = -np.arctan((slip - REAR * yaw) / cars.speed)
        push = most[0] * np.tanh(cars.front * front / most[0]) * np.cos(angle)
        hold = most[1] * np.tanh(cars.rear * rear / most[1])
        slip = slip + h * ((push + hold + cars.wind) / cars.mass - cars.speed * yaw)
        yaw = yaw + h * (FRONT * push - REAR * hold) / (cars.inertia * cars.mass)
    return np.stack([slip, yaw], axis=1)


def features(state, steer, speed):
    """What the network sees: ``(..., 4)`` from state ``(..., 2)``, steering and speed ``(...)``."""
    speed = np.broadcast_to(speed, np.shape(steer))
    x = np.concatenate([state, np.stack([steer, speed], axis=-1)], axis=-1)
    return (x - X_CENTRE) / X_SCALE


def wiggle(rng, n_cars, n_steps):
    """Smooth random steering by a test driver, ``(n_cars, n_steps)`` in rad."""
    phase, size = rng.uniform(0, 2 * np.pi, (n_cars, 4, 1)), rng.uniform(0, 0.06, (n_cars, 4, 1))
    hertz = rng.uniform(0.15, 1.15, (n_cars, 4, 1))
    waves = size * np.sin(2 * np.pi * hertz * DT * np.arange(n_steps) + phase)
    return np.clip(waves.sum(axis=1), -0.15, 0.15)


def drive_along(cars, steering):
    """The states that ``steering`` ``(n_cars, n_steps)`` leads through, ``(n_cars, n_steps+1, 2)``.

    Every car begins straight ahead.
    """
    states = [np.zeros((len(cars), 2))]
    for steer in steering.T:
        states.append(step(cars, states[-1], steer))
    return np.stack(states, axis=1)


def transitions(cars, states, steering, noise):
    """What was measured: inputs ``(n_cars, n_steps, 4)`` and scaled changes ``(..., 2)``."""
    x = features(states[:, :-1], steering, cars.speed[:, None])
    return x, np.diff(states, axis=1) / Y_SCALE + NOISE * noise


@dataclass(frozen=True)
class Drives:
    """Task family: the motion of one car; the query set follows the support set in time.

    Args:
        warm_up: Steps driven before the first measurement.
    """

    warm_up: int = 10

    def sample(self, rng, n_tasks, n_shots, n_queries):
        """A batch of drives: ``n_shots`` transitions to learn from, ``n_queries`` after them."""
        return self.of(sample_cars(rng, n_tasks), rng, n_shots, n_queries)

    def of(self, cars, rng, n_shots, n_queries):
        """Drives of these ``cars``."""
        check_counts(n_shots=n_shots, n_queries=n_queries)
        n_steps = self.warm_up + n_shots + n_queries
        steering = wiggle(rng, len(cars), n_steps)
        noise = rng.standard_normal((len(cars), n_steps, 2))
        x, y = transitions(cars, drive_along(cars, steering), steering, noise)
        x, y = x[:, self.warm_up :], y[:, self.warm_up :]
        return Task(x[:, :n_shots], y[:, :n_shots], x[:, n_shots:], y[:, n_shots:])


def learned(model, theta):
    """``theta`` ``(n_cars, n_params)`` as a car to plan with: a function like :func:`step`."""

    def predict(cars, state, steer):
        x = features(state, steer, cars.speed)[:, None]
        return state + Y_SCALE * model.predict(theta, x)[:, 0]

    return predict


def road(rng, cars, n_steps, *, share=0.55):
    """Curvature ``(n_cars, n_steps)`` in 1/m of winding roads that the grip allows.

    At the sharpest bend the car needs ``share`` of the grip it has.
    """
    phase = rng.uniform(0, 2 * np.pi, (len(cars), 3, 1))
    hertz = np.array([[0.06], [0.11], [0.19]]) * rng.uniform(0.85, 1.15, (len(cars), 3, 1))
    shape = np.sin(2 * np.pi * hertz * DT * np.arange(n_steps) + phase).sum(axis=1)
    sharpest = np.minimum(share * cars.grip * GRAVITY / cars.speed**2, 0.012)
    return sharpest[:, None] * shape / np.abs(shape).max(axis=1, keepdims=True)


HORIZON = 24  # steps the controller looks ahead
WEIGHTS = np.diag([1.0, 0.5, 0.0, 0.0, 0.0, 0.0])  # squared offset in m, heading in rad
EFFORT = 40.0  # on the squared change of steering from one step to the next


def steer_along(cars, plan, curvature):
    """Drive the true ``cars`` along a road, steering by the model ``plan`` of the car.

    At each step ``plan`` is linearised where the car is, and the steering that is best for that
    linear model over the next ``HORIZON`` steps is found by dynamic programming.

    Args:
        cars: The true cars.
        plan: What the controller believes: ``plan(cars, state, steer) -> state``, as :func:`step`.
        curvature: The road, ``(n_cars, n_steps + HORIZON)`` in 1/m.

    Returns:
        ``(offset, steering)``, each ``(n_cars, n_steps)``: metres left of the middle of the road,
        and rad.

    Source:
        Linear-quadratic regulator with preview: Anderson and Moore (1990), chapter 2.
    """
    n_steps = curvature.shape[1] - HORIZON
    # offset, heading against the road, slip, yaw rate, steering, and a one for what is constant
    now = np.zeros((len(cars), 6))
    now[:, 5] = 1
    offsets, steering = np.zeros((2, len(cars), n_steps))
    for k in range(n_steps):
        gain = best_response(*linearised(cars, plan, now), cars, curvature[:, k : k + HORIZON])
        change = np.einsum("ni,ni->n", gain, now)
        now[:, 4] = np.clip(now[:, 4] + change, -MAX_STEER, MAX_STEER)
        now[:, 2:4] = step(cars, now[:, 2:4], now[:, 4])
        now[:, 1] += DT * (now[:, 3] - curvature[:, k] * cars.speed)
        now[:, 0] += DT * (now[:, 2] * np.cos(now[:, 1]) + cars.speed * np.sin(now[:, 1]))
        now[:, 0] = np.clip(now[:, 0], -20, 20)
        offsets[:, k], steering[:, k] = now[:, 0], now[:, 4]
    return offsets, steering


def linearised(cars, plan, now):
    """``(A, b, c)`` with ``plan(state, steer) = A state + b steer + c`` around ``now``.

    Shapes ``(n_cars, 2, 2)``, ``(n_cars, 2)``, ``(n_cars, 2)``; by central differences.
    """
    state, steer, columns = now[:, 2:4], now[:, 4], []
    for move in np.diag([0.02, 0.01, 0.004]):  # m/s, rad/s, rad
        ahead = plan(cars, state + move[:2], steer + move[2])
        behind = plan(cars, state - move[:2], steer - move[2])
        columns.append((ahead - behind) / (2 * move.sum()))
    a, b = np.stack(columns[:2], axis=2), columns[2]
    here = plan(cars, state, steer)
    return a, b, here - np.einsum("nij,nj->ni", a, state) - b * steer[:, None]


def best_response(a, b, c, cars, curvature):
    """Gain ``(n_cars, 6)``: the change of steering is its product with the present state.

    With ``z' = F z + g u`` and the cost of what remains ``z^T P z``, going back in time:
    ``gain = -g^T P F / (EFFORT + g^T P g)`` and ``P <- WEIGHTS + F^T P (F + g gain)``.
    """
    n_cars, n_ahead = curvature.shape
    f, g = np.zeros((n_cars, 6, 6)), np.zeros((n_cars, 6))
    f[:, 2:4, 2:4], f[:, 2:4, 4], f[:, 2:4, 5], g[:, 2:4] = a, b, c, b
    f[:, 4, 4] = f[:, 5, 5] = g[:, 4] = 1
    f[:, 1] = DT * f[:, 3]
    f[:, 1, 1], g[:, 1] = 1, DT * g[:, 3]
    turn = f[:, 1, 5].copy()
    cost = np.broadcast_to(WEIGHTS, (n_cars, 6, 6))
    for k in reversed(range(n_ahead)):
        f[:, 1, 5] = turn - DT * curvature[:, k] * cars.speed
        f[:, 0] = DT * (f[:, 2] + cars.speed[:, None] * f[:, 1])
        f[:, 0, 0] += 1
        g[:, 0] = DT * (g[:, 2] + cars.speed * g[:, 1])
        ahead = (cost @ g[:, :, None])[:, :, 0]
        gain = (
            -np.einsum("ni,nij->nj", ahead, f) / (EFFORT + np.einsum("ni,ni->n", ahead, g))[:, None]
        )
        closed = f + g[:, :, None] * gain[:, None]
        cost = (
            WEIGHTS
            + closed.transpose(0, 2, 1) @ cost @ closed
            + EFFORT * gain[:, :, None] * gain[:, None]
        )
    return gain


def lateral_error(offsets, *, settled=20):
    """Root mean square offset of each car in metres after ``settled`` steps; 5 m count as lost."""
    check_rate("settled", settled)
    return np.sqrt((np.minimum(np.abs(offsets[:, settled:]), 5) ** 2).mean(axis=1))
