"""A controller that steers a car along a road by whatever model of the car it is given."""

import numpy as np
from numpy.typing import NDArray

from ..inputs import check_rate
from .driving import DT, MAX_STEER, Cars, Plan, step

# The six numbers that the controller goes by: metres left of the middle of the road, heading
# against it, the two of the car's own motion, steering, and a one for what is constant.
OFFSET, HEADING, SLIP, YAW, STEER, ONE = range(6)
MOTION = slice(SLIP, YAW + 1)
HORIZON = 24  # steps the controller looks ahead
WEIGHTS = np.diag([1.0, 0.5, 0.0, 0.0, 0.0, 0.0])  # squared offset in m, heading in rad
EFFORT = 40.0  # on the squared change of steering from one step to the next


def steer_along(cars: Cars, plan: Plan, curvature: NDArray) -> tuple[NDArray, NDArray]:
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
    now = np.zeros((len(cars), 6))
    now[:, ONE] = 1
    offsets, steering = np.zeros((2, len(cars), n_steps))
    for k in range(n_steps):
        gain = best_response(*linearised(cars, plan, now), cars, curvature[:, k : k + HORIZON])
        change = np.einsum("ni,ni->n", gain, now)
        now[:, STEER] = np.clip(now[:, STEER] + change, -MAX_STEER, MAX_STEER)
        now[:, MOTION] = step(cars, now[:, MOTION], now[:, STEER])
        now[:, HEADING] += DT * (now[:, YAW] - curvature[:, k] * cars.speed)
        now[:, OFFSET] += DT * (
            now[:, SLIP] * np.cos(now[:, HEADING]) + cars.speed * np.sin(now[:, HEADING])
        )
        now[:, OFFSET] = np.clip(now[:, OFFSET], -20, 20)
        offsets[:, k], steering[:, k] = now[:, OFFSET], now[:, STEER]
    return offsets, steering


def linearised(cars: Cars, plan: Plan, now: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """``(A, b, c)`` with ``plan(state, steer) = A state + b steer + c`` around ``now``.

    Shapes ``(n_cars, 2, 2)``, ``(n_cars, 2)``, ``(n_cars, 2)``; by central differences.
    """
    state, steer, columns = now[:, MOTION], now[:, STEER], []
    for move in np.diag([0.02, 0.01, 0.004]):  # m/s, rad/s, rad
        ahead = plan(cars, state + move[:2], steer + move[2])
        behind = plan(cars, state - move[:2], steer - move[2])
        columns.append((ahead - behind) / (2 * move.sum()))
    a, b = np.stack(columns[:2], axis=2), columns[2]
    rest = plan(cars, state, steer)
    return a, b, rest - np.einsum("nij,nj->ni", a, state) - b * steer[:, None]


def best_response(a: NDArray, b: NDArray, c: NDArray, cars: Cars, curvature: NDArray) -> NDArray:
    """Gain ``(n_cars, 6)``: the change of steering is its product with the present state.

    With ``z' = F z + g u`` and the cost of what remains ``z^T P z``, going back in time:
    ``gain = -g^T P F / (EFFORT + g^T P g)`` and ``P <- WEIGHTS + F^T P (F + g gain)``.
    """
    n_cars, n_ahead = curvature.shape
    f, g = np.zeros((n_cars, 6, 6)), np.zeros((n_cars, 6))
    f[:, MOTION, MOTION], f[:, MOTION, STEER], f[:, MOTION, ONE] = a, b, c
    g[:, MOTION] = b
    f[:, STEER, STEER] = f[:, ONE, ONE] = g[:, STEER] = 1
    f[:, HEADING] = DT * f[:, YAW]
    f[:, HEADING, HEADING], g[:, HEADING] = 1, DT * g[:, YAW]
    turn = f[:, HEADING, ONE].copy()
    cost = np.broadcast_to(WEIGHTS, (n_cars, 6, 6))
    for k in reversed(range(n_ahead)):
        f[:, HEADING, ONE] = turn - DT * curvature[:, k] * cars.speed
        f[:, OFFSET] = DT * (f[:, SLIP] + cars.speed[:, None] * f[:, HEADING])
        f[:, OFFSET, OFFSET] += 1
        g[:, OFFSET] = DT * (g[:, SLIP] + cars.speed * g[:, HEADING])
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


def lateral_error(offsets: NDArray, *, settled: int = 20) -> NDArray:
    """Root mean square offset of each car in metres after ``settled`` steps; 5 m count as lost."""
    check_rate("settled", settled)
    return np.sqrt((np.minimum(np.abs(offsets[:, settled:]), 5) ** 2).mean(axis=1))
