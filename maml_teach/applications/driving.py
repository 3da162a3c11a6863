"""Driving: a car whose grip, load, tyres, wind and steering are unknown, and change per task.

A task is one car on one day. Its support set is a second of driving: what the car was doing, how
the wheel was turned, and how it moved a twentieth of a second later. A network learns that
motion, and a controller steers by the network. ``step`` is the true car that both have to meet.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..inputs import Range, check_counts, with_ranges
from ..mlp import MLP
from ..protocols import Model
from ..tasks import Task

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

    def __len__(self) -> int:
        return len(self.grip)

    def select(self, index: slice | NDArray) -> "Cars":
        """The cars at ``index``."""
        return Cars(*(getattr(self, field.name)[index] for field in fields(self)))


Plan = Callable[[Cars, NDArray, NDArray], NDArray]  # the next state, as :func:`step` gives it

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


def sample_cars(rng: Generator, n_cars: int, **ranges: Range) -> Cars:
    """Cars drawn uniformly from ``RANGES``, or from those given here instead.

    Raises:
        ValueError: If a range has an unknown name or its ends are not in order.
    """
    check_counts(n_cars=n_cars)
    bounds = with_ranges(RANGES, ranges).values()
    return Cars(*(rng.uniform(low, high, n_cars) for low, high in bounds))


def step(cars: Cars, state: NDArray, steer: NDArray) -> NDArray:
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


def features(state: NDArray, steer: NDArray, speed: NDArray) -> NDArray:
    """What the network sees: ``(..., 4)`` from state ``(..., 2)``, steering and speed ``(...)``."""
    speed = np.broadcast_to(speed, np.shape(steer))
    x = np.concatenate([state, np.stack([steer, speed], axis=-1)], axis=-1)
    return (x - X_CENTRE) / X_SCALE


def wiggle(rng: Generator, n_cars: int, n_steps: int) -> NDArray:
    """Smooth random steering by a test driver, ``(n_cars, n_steps)`` in rad."""
    phase, size = rng.uniform(0, 2 * np.pi, (n_cars, 4, 1)), rng.uniform(0, 0.06, (n_cars, 4, 1))
    hertz = rng.uniform(0.15, 1.15, (n_cars, 4, 1))
    waves = size * np.sin(2 * np.pi * hertz * DT * np.arange(n_steps) + phase)
    return np.clip(waves.sum(axis=1), -0.15, 0.15)


def drive_along(cars: Cars, steering: NDArray) -> NDArray:
    """The states that ``steering`` ``(n_cars, n_steps)`` leads through, ``(n_cars, n_steps+1, 2)``.

    Every car begins straight ahead.
    """
    states = [np.zeros((len(cars), 2))]
    for steer in steering.T:
        states.append(step(cars, states[-1], steer))
    return np.stack(states, axis=1)


def transitions(
    cars: Cars, states: NDArray, steering: NDArray, noise: NDArray
) -> tuple[NDArray, NDArray]:
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

    def sample(self, rng: Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """A batch of drives: ``n_shots`` transitions to learn from, ``n_queries`` after them."""
        check_counts(n_tasks=n_tasks)
        return self.of(sample_cars(rng, n_tasks), rng, n_shots, n_queries)

    def of(self, cars: Cars, rng: Generator, n_shots: int, n_queries: int) -> Task:
        """Drives of these ``cars``."""
        check_counts(n_shots=n_shots, n_queries=n_queries)
        n_steps = self.warm_up + n_shots + n_queries
        steering = wiggle(rng, len(cars), n_steps)
        noise = rng.standard_normal((len(cars), n_steps, 2))
        x, y = transitions(cars, drive_along(cars, steering), steering, noise)
        x, y = x[:, self.warm_up :], y[:, self.warm_up :]
        return Task.split(x, y, n_shots)


def learned(model: Model, theta: NDArray) -> Plan:
    """``theta`` ``(n_cars, n_params)`` as a car to plan with: a function like :func:`step`."""

    def predict(cars: Cars, state: NDArray, steer: NDArray) -> NDArray:
        x = features(state, steer, cars.speed)[:, None]
        return state + Y_SCALE * model.predict(theta, x)[:, 0]

    return predict


def fitted(tasks: Task, *, n_iterations: int = 30) -> Cars:
    """For who knows the equations: the cars that support sets and training ranges make most likely.

    Speeds are known, as they are measured. Every other quantity has the mean and the variance of
    its range as a normal prior, and may leave the range. The fit is that of Levenberg and
    Marquardt, for each car by itself and from four grips; the best of the four counts.

    Args:
        tasks: Support sets of cars, as :class:`Drives` makes them.
        n_iterations: Steps of the fit, at least 1.

    Returns:
        One car for each task.

    Raises:
        ValueError: If ``n_iterations`` is not a positive integer.

    Source:
        Nocedal and Wright (2006), Numerical Optimization, section 10.3.
    """
    check_counts(n_iterations=n_iterations)
    fits = []
    for grip in (-3.0, -1.5, 0.0, 1.5):  # from slippery to dry: a fit may end in a wrong valley
        start = np.zeros((tasks.n_tasks, len(RANGES) - 1))
        start[:, list(RANGES).index("grip")] = grip
        fits.append(_descended(start, tasks, n_iterations))
    costs = [(_misfit(z, tasks) ** 2).sum(axis=1) for z in fits]
    best = np.argmin(costs, axis=0)
    return _cars_at(np.array(fits)[best, np.arange(len(best))], tasks)


def _descended(z: NDArray, tasks: Task, n_iterations: int) -> NDArray:
    """Where the fit of each car arrives from ``z``, ``(n_cars, n_quantities)``."""
    damping, off = np.ones(len(z)), _misfit(z, tasks)
    for _ in range(n_iterations):
        slopes = [_misfit(z + h, tasks) - _misfit(z - h, tasks) for h in 1e-4 * np.eye(z.shape[1])]
        jacobian = np.stack(slopes, axis=2) / 2e-4
        normal = jacobian.mT @ jacobian + damping[:, None, None] * np.eye(z.shape[1])
        trial = z - np.linalg.solve(normal, jacobian.mT @ off[..., None])[..., 0]
        new = _misfit(trial, tasks)
        better = (new**2).sum(axis=1) < (off**2).sum(axis=1)
        z, off = np.where(better[:, None], trial, z), np.where(better[:, None], new, off)
        damping = np.where(better, damping / 5, damping * 5)
    return z


def _cars_at(z: NDArray, tasks: Task) -> Cars:
    """Cars ``z`` standard deviations from the middle of each range, with their measured speed."""
    ranges = np.array([bounds for name, bounds in RANGES.items() if name != "speed"])
    values = ranges.mean(axis=1) + z * np.ptp(ranges, axis=1) / np.sqrt(12)
    least = np.where(ranges[:, 0] > 0, ranges[:, 0] / 5, -np.inf)  # no car weighs less than nothing
    speed = tasks.x_support[:, 0, 3] * X_SCALE[3] + X_CENTRE[3]
    return Cars(*[*np.maximum(values, least).T, speed])


def _misfit(z: NDArray, tasks: Task) -> NDArray:
    """Measured changes and prior, in standard deviations off: ``(n_cars, 2 n_shots + 8)``."""
    x = tasks.x_support * X_SCALE + X_CENTRE
    n_cars, n_shots = x.shape[:2]
    cars = _cars_at(z, tasks).select(np.repeat(np.arange(n_cars), n_shots))
    state, steer = x[..., :2].reshape(-1, 2), x[..., 2].reshape(-1)
    change = (step(cars, state, steer) - state).reshape(n_cars, n_shots, 2) / Y_SCALE
    return np.concatenate([(change - tasks.y_support).reshape(n_cars, -1) / NOISE, z], axis=1)


def believed(cars: Cars) -> Plan:
    """A plan that takes every car for these: a function like :func:`step`."""
    return lambda _, state, steer: step(cars, state, steer)


def road(rng: Generator, cars: Cars, n_steps: int, *, share: float = 0.55) -> NDArray:
    """Curvature ``(n_cars, n_steps)`` in 1/m of winding roads that the grip allows.

    At the sharpest bend the car needs ``share`` of the grip it has, or less: no bend is sharper
    than 0.012 1/m.
    """
    phase = rng.uniform(0, 2 * np.pi, (len(cars), 3, 1))
    hertz = np.array([[0.06], [0.11], [0.19]]) * rng.uniform(0.85, 1.15, (len(cars), 3, 1))
    shape = np.sin(2 * np.pi * hertz * DT * np.arange(n_steps) + phase).sum(axis=1)
    sharpest = np.minimum(share * cars.grip * GRAVITY / cars.speed**2, 0.012)
    return sharpest[:, None] * shape / np.abs(shape).max(axis=1, keepdims=True)
