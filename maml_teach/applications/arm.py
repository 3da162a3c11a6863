"""A robot arm whose links, payload and friction are unknown, and change per task.

A task is one arm with something in its hand. Its support set is a second of motion: where the two
joints were, how they moved, and the torques it took. A network learns the inverse dynamics, motion
to torque, and a controller adds that torque to a fixed feedback loop. ``acceleration`` is the true
arm that both have to meet.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..inputs import Range, check_counts, check_rate, with_ranges
from ..mlp import MLP
from ..protocols import Model
from ..tasks import Task

GRAVITY = 9.81  # m/s^2
RATE = 20  # measurements per second
DT, SUBSTEPS = 0.01, 4  # seconds between two commands; steps of the simulation in between
NOISE = 0.02  # standard deviation of a measured torque, in units of TORQUE_SCALE
STIFFNESS, DAMPING = np.array([60.0, 25.0]), np.array([8.0, 3.0])  # N m/rad, N m s/rad
MOST = 200.0  # N m, what a motor can do
# What the network sees and says: speeds and accelerations, and torques, in these units.
SPEED_SCALE, ACCELERATION_SCALE, TORQUE_SCALE = 3.0, 10.0, np.array([25.0, 10.0])
MODEL = MLP((9, 64, 64, 2), activation="tanh")


@dataclass(frozen=True)
class Arms:
    """One arm per entry; every field has shape ``(n_arms,)``.

    Args:
        upper: Length of the link at the shoulder in m.
        lower: Length of the link that carries the hand in m.
        upper_mass: In kg, spread evenly over the link.
        lower_mass: The same of the other link.
        payload: Mass in the hand in kg, a point at its end.
        viscous: Friction torque per speed of a joint, in N m s/rad.
        dry: Friction torque of a joint that moves, in N m.
    """

    upper: np.ndarray
    lower: np.ndarray
    upper_mass: np.ndarray
    lower_mass: np.ndarray
    payload: np.ndarray
    viscous: np.ndarray
    dry: np.ndarray

    def __len__(self) -> int:
        return len(self.upper)


RANGES = {
    "upper": (0.4, 0.7),
    "lower": (0.3, 0.6),
    "upper_mass": (1.0, 3.0),
    "lower_mass": (0.5, 2.0),
    "payload": (0.0, 2.0),
    "viscous": (0.0, 1.5),
    "dry": (0.0, 1.0),
}


def sample_arms(rng: Generator, n_arms: int, **ranges: Range) -> Arms:
    """Arms drawn uniformly from ``RANGES``, or from those given here instead.

    Raises:
        ValueError: If a range has an unknown name or its ends are not in order.
    """
    check_counts(n_arms=n_arms)
    bounds = with_ranges(RANGES, ranges).values()
    return Arms(*(rng.uniform(low, high, n_arms) for low, high in bounds))


def constants(arms: Arms) -> NDArray:
    """The seven numbers by which the equations of motion depend on the arm, ``(n_arms, 7)``.

    Two moments of inertia and their coupling in kg m^2, two moments of mass in kg m, and the two
    kinds of friction.
    """
    carried = arms.lower_mass + arms.payload
    below = arms.lower_mass / 3 + arms.payload
    reach = (arms.lower_mass / 2 + arms.payload) * arms.lower
    inertia = arms.upper_mass * arms.upper**2 / 3 + carried * arms.upper**2
    bend = below * arms.lower**2
    weight = (arms.upper_mass / 2 + carried) * arms.upper
    numbers = [inertia + bend, bend, reach * arms.upper, weight, reach, arms.viscous, arms.dry]
    return np.stack(numbers, axis=-1)


def regressor(q: NDArray, speed: NDArray, acceleration: NDArray) -> NDArray:
    """What each of the seven numbers is multiplied by in the torques, ``(..., 2, 7)``.

    Args:
        q: Angles of shoulder, from the horizontal, and elbow, from the upper link, in rad,
            ``(..., 2)``.
        speed: Their speeds in rad/s.
        acceleration: Their accelerations in rad/s^2.

    Source:
        Lynch and Park (2017), Modern Robotics, section 8.1; linear in the arm's numbers as in
        Atkeson, An and Hollerbach (1986).
    """
    (v1, v2), (a1, a2) = np.moveaxis(speed, -1, 0), np.moveaxis(acceleration, -1, 0)
    sine, cosine = np.sin(q[..., 1]), np.cos(q[..., 1])
    pull = GRAVITY * np.cos(q[..., 0]), GRAVITY * np.cos(q[..., 0] + q[..., 1])
    coupling = cosine * (2 * a1 + a2) - sine * (2 * v1 * v2 + v2**2)
    shoulder = [a1, a2, coupling, *pull, v1, np.tanh(10 * v1)]
    elbow = [0 * a1, a1 + a2, cosine * a1 + sine * v1**2, 0 * a1, pull[1], v2, np.tanh(10 * v2)]
    return np.stack([np.stack(shoulder, axis=-1), np.stack(elbow, axis=-1)], axis=-2)


def torques(arms: Arms, q: NDArray, speed: NDArray, acceleration: NDArray) -> NDArray:
    """Inverse dynamics: the torques in N m that make this motion, ``(n_arms, n, 2)``.

    ``q``, ``speed`` and ``acceleration`` are ``(n_arms, n, 2)``, as in :func:`regressor`.
    """
    return np.einsum("anjk,ak->anj", regressor(q, speed, acceleration), constants(arms))


def mass_matrix(arms: Arms, q: NDArray) -> NDArray:
    """The matrix between accelerations and torques, ``(n_arms, n, 2, 2)`` in kg m^2."""
    together, bend, coupling = constants(arms)[:, None, :3].transpose(2, 0, 1)
    turned = coupling * np.cos(q[..., 1])
    corner, side = together + 2 * turned, bend + turned
    return np.stack([corner, side, side, bend + 0 * turned], axis=-1).reshape(*q.shape, 2)


def acceleration(arms: Arms, q: NDArray, speed: NDArray, torque: NDArray) -> NDArray:
    """Forward dynamics: accelerations under these torques, ``(n_arms, n, 2)`` in rad/s^2."""
    left = torque - torques(arms, q, speed, 0 * q)
    return np.linalg.solve(mass_matrix(arms, q), left[..., None])[..., 0]


@dataclass(frozen=True)
class Motion:
    """A smooth motion per arm: each joint swings in two waves about a centre.

    Args:
        size: Amplitudes in rad, ``(n_arms, 2 waves, 2 joints)``.
        pace: In rad/s, the same shape.
        phase: In rad, the same shape.
        centre: In rad, ``(n_arms, 2)``.
    """

    size: np.ndarray
    pace: np.ndarray
    phase: np.ndarray
    centre: np.ndarray

    def at(self, times: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Angles, speeds and accelerations at ``times`` ``(n,)``, each ``(n_arms, n, 2)``."""
        angle = self.pace[:, None] * times[:, None, None] + self.phase[:, None]
        size, pace = self.size[:, None], self.pace[:, None]
        q = self.centre[:, None] + (size * np.sin(angle)).sum(axis=2)
        speed = (size * pace * np.cos(angle)).sum(axis=2)
        return q, speed, -(size * pace**2 * np.sin(angle)).sum(axis=2)


def sample_motion(rng: Generator, n_arms: int) -> Motion:
    """A random motion for each of ``n_arms`` arms."""
    shape = (n_arms, 2, 2)
    size, pace = rng.uniform(0.3, 0.8, shape), rng.uniform(1.0, 4.0, shape)
    return Motion(size, pace, rng.uniform(0, 2 * np.pi, shape), rng.uniform(-1.0, 1.0, (n_arms, 2)))


def features(q: NDArray, speed: NDArray, acceleration: NDArray) -> NDArray:
    """What the network sees: ``(..., 9)``; angles enter by sine and cosine."""
    both = np.cos(q.sum(axis=-1, keepdims=True))
    moves = [speed / SPEED_SCALE, acceleration / ACCELERATION_SCALE]
    return np.concatenate([np.sin(q), np.cos(q), both, *moves], axis=-1)


def measured(arms: Arms, motion: Motion, times: NDArray, noise: NDArray) -> tuple[NDArray, NDArray]:
    """Inputs ``(n_arms, n, 9)`` and noisy scaled torques ``(n_arms, n, 2)`` along a motion."""
    state = motion.at(times)
    return features(*state), torques(arms, *state) / TORQUE_SCALE + NOISE * noise


@dataclass(frozen=True)
class Swings:
    """Task family: the torques of one arm; the query set is another motion of the same arm.

    Args:
        seconds: Length of the query motion.
    """

    seconds: float = 3.0

    def sample(self, rng: Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """A batch of arms: ``n_shots`` measurements at 20 per second to learn from."""
        check_counts(n_tasks=n_tasks)
        return self.of(sample_arms(rng, n_tasks), rng, n_shots, n_queries)

    def of(self, arms: Arms, rng: Generator, n_shots: int, n_queries: int) -> Task:
        """Motions of these ``arms``."""
        check_counts(n_shots=n_shots, n_queries=n_queries)
        measured_at = np.arange(n_shots) / RATE
        parts: list[NDArray] = []
        for times in (measured_at, np.linspace(0, self.seconds, n_queries)):
            motion = sample_motion(rng, len(arms))
            noise = rng.standard_normal((len(arms), len(times), 2))
            parts += measured(arms, motion, times, noise)
        return Task(*parts)


def expected_torques(model: Model, theta: NDArray, motion: Motion, times: NDArray) -> NDArray:
    """Torques in N m, ``(n_arms, n, 2)``, that ``theta`` ``(n_arms, n_params)`` expects."""
    return TORQUE_SCALE * model.predict(theta, features(*motion.at(times)))


def identified(tasks: Task) -> NDArray:
    """The seven numbers of each arm by least squares on its support set, ``(n_tasks, 7)``.

    This is for who knows the equations of motion and lacks only the numbers in them.
    """
    pairs = zip(*_equations(tasks), strict=True)
    return np.stack([np.linalg.lstsq(factors, seen, rcond=1e-6)[0] for factors, seen in pairs])


def identified_with_prior(tasks: Task, mean: NDArray, covariance: NDArray) -> NDArray:
    """The same for who also knows what arms are like: the most likely numbers, ``(n_tasks, 7)``.

    Args:
        tasks: Support sets of arms, as :class:`Swings` makes them.
        mean: What the numbers are on average, ``(7,)``; see :func:`prior`.
        covariance: How they vary from arm to arm, ``(7, 7)``.

    Returns:
        The mean of the posterior: the prior is taken for a normal distribution, and the noise of
        the torques has the standard deviation ``NOISE``.
    """
    factors, seen = _equations(tasks)
    precision = np.linalg.inv(covariance) + factors.mT @ factors / NOISE**2
    pull = factors.mT @ (seen - factors @ mean)[..., None] / NOISE**2
    return mean + np.linalg.solve(precision, pull)[..., 0]


def prior(rng: Generator, n_arms: int = 10_000) -> tuple[NDArray, NDArray]:
    """Mean ``(7,)`` and covariance ``(7, 7)`` of the numbers of arms drawn as for training."""
    numbers = constants(sample_arms(rng, n_arms))
    return numbers.mean(axis=0), np.cov(numbers.T)


def _equations(tasks: Task) -> tuple[NDArray, NDArray]:
    """``factors @ numbers = seen`` for each arm: ``(n_tasks, 2 n, 7)`` and ``(n_tasks, 2 n)``."""
    x = tasks.x_support
    q, speed = np.arctan2(x[..., :2], x[..., 2:4]), SPEED_SCALE * x[..., 5:7]
    known = regressor(q, speed, ACCELERATION_SCALE * x[..., 7:]) / TORQUE_SCALE[:, None]
    return known.reshape(len(x), -1, 7), tasks.y_support.reshape(len(x), -1)


def track(arms: Arms, motion: Motion, feedforward: NDArray) -> NDArray:
    """Follow ``motion``: the torques of ``feedforward`` plus a fixed feedback loop.

    Args:
        arms: The true arms.
        motion: What they are to do.
        feedforward: Torques in N m, one per command, ``(n_arms, n_steps, 2)``.

    Returns:
        Angles that were reached in rad, ``(n_arms, n_steps, 2)``; entry ``k`` is the state in
        which command ``k`` is given.
    """
    n_steps = feedforward.shape[1]
    wanted, wanted_speed, _ = motion.at(DT * np.arange(n_steps))
    q, speed = wanted[:, :1], wanted_speed[:, :1]
    reached = np.empty_like(wanted)
    for k in range(n_steps):
        reached[:, k] = q[:, 0]
        now = slice(k, k + 1)
        feedback = STIFFNESS * (wanted[:, now] - q) + DAMPING * (wanted_speed[:, now] - speed)
        torque = np.clip(feedforward[:, now] + feedback, -MOST, MOST)
        for _ in range(SUBSTEPS):
            change = DT / SUBSTEPS * acceleration(arms, q, speed, torque)
            speed = np.clip(speed + change, -30, 30)
            q = q + DT / SUBSTEPS * speed
    return reached


def tracking_error(reached: NDArray, motion: Motion, *, settled: int = 30) -> NDArray:
    """Root mean square angle between reached and wanted, both joints together, in degrees.

    The first ``settled`` steps do not count. ``(n_arms,)``.
    """
    check_rate("settled", settled)
    wanted, _, _ = motion.at(DT * np.arange(reached.shape[1]))
    off = (reached - wanted)[:, settled:]
    return np.degrees(np.sqrt((off**2).sum(axis=2).mean(axis=1)))


def hand(arms: Arms, q: NDArray) -> NDArray:
    """Where elbow and hand are, ``(n_arms, n, 2 points, 2)`` in m from the shoulder."""
    upper, lower = arms.upper[:, None, None], arms.lower[:, None, None]
    direction = lambda angle: np.stack([np.cos(angle), np.sin(angle)], axis=-1)  # noqa: E731
    elbow = upper * direction(q[..., 0])
    return np.stack([elbow, elbow + lower * direction(q.sum(axis=-1))], axis=-2)
