"""2D navigation: a point that has to find an unseen goal, adapted by policy gradient.

A task is a goal in a square; the policy is never told where. It walks a few times at random, sees
how far from the goal each step ended, takes one step of policy gradient, and walks again. The
first walks are the support set, those after the update the query set.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .. import lean, maml
from ..inputs import Rates, check_counts
from ..mlp import MLP
from ..protocols import Model
from ..tasks import Task

HORIZON = 50  # steps of a walk
REACH = 0.1  # longest step along each axis
SPREAD = 0.5  # standard deviation of an action, in units of REACH
DISCOUNT = 0.95
RIDGE = 1e-5  # keeps the fit of the baseline determined
MODEL = MLP((2, 40, 40, 2), activation="tanh", objective="weighted_mse")


@dataclass(frozen=True)
class Goals:
    """Task family: goals drawn uniformly from a square, and the chance in the walks towards them.

    What a walk will be depends on the policy, so that a task holds no walks. It holds what does
    not: per walk the standard normal noise of all its actions, ``x`` ``(n_walks, 2 HORIZON)``, and
    the goal, ``y`` ``(n_walks, 2)``.

    Args:
        half_width: Half the side of the square about the origin, where every walk begins.

    Source:
        Finn et al. (2017), section 5.3; half the horizon.
    """

    half_width: float = 0.5

    def sample(self, rng: Generator, n_tasks: int, n_shots: int, n_queries: int) -> Task:
        """Goals with the noise of ``n_shots`` walks before and ``n_queries`` after adapting."""
        check_counts(n_tasks=n_tasks, n_shots=n_shots, n_queries=n_queries)
        goals = rng.uniform(-self.half_width, self.half_width, (n_tasks, 1, 2))
        parts = []
        for n in (n_shots, n_queries):
            parts.append(rng.standard_normal((n_tasks, n, 2 * HORIZON)))
            parts.append(np.broadcast_to(goals, (n_tasks, n, 2)))
        return Task(*parts)


def walk(
    model: Model, theta: NDArray, noise: NDArray, goals: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Walks of the policy ``theta``: actions are the network's answer plus noise.

    Args:
        model: The network of the policy.
        theta: ``(n_params,)``, or one policy per task, ``(n_tasks, n_params)``.
        noise: ``(n_tasks, n_walks, 2 HORIZON)``.
        goals: ``(n_tasks, n_walks, 2)``.

    Returns:
        ``(states, actions, rewards)``: where each step began, ``(n_tasks, n_walks, HORIZON, 2)``;
        what was asked for, the same shape; and minus the distance from the goal where it ended.
    """
    noise = noise.reshape(*noise.shape[:2], -1, 2)
    states, actions, rewards = np.empty_like(noise), np.empty_like(noise), np.empty(noise.shape[:3])
    state = np.zeros_like(goals)
    for t in range(noise.shape[2]):
        action = model.predict(theta, state) + SPREAD * noise[:, :, t]
        states[:, :, t], actions[:, :, t] = state, action
        state = state + REACH * np.clip(action, -1, 1)
        rewards[:, :, t] = -np.linalg.norm(state - goals, axis=-1)
    return states, actions, rewards


def advantages(states: NDArray, rewards: NDArray) -> NDArray:
    """How much better each step did than expected, ``(n_tasks, n_walks, n_steps)``.

    The discounted sum of the rewards from that step on, minus a baseline, in units of its
    standard deviation over the task. The baseline is linear in features of place and time, and
    fitted to the task's own walks by least squares.

    Source:
        Duan et al. (2016), *Benchmarking deep reinforcement learning*, section 5; the baseline of
        Finn et al. (2017), section 5.3.
    """
    n_tasks, n_walks, n_steps = rewards.shape
    to_go, after = np.empty_like(rewards), np.zeros_like(rewards[:, :, 0])
    for t in reversed(range(n_steps)):
        to_go[:, :, t] = after = rewards[:, :, t] + DISCOUNT * after
    time = np.broadcast_to(np.arange(n_steps)[:, None] / n_steps, (*rewards.shape, 1))
    known = np.concatenate([states, states**2, time, time**2, time**3, 0 * time + 1], axis=-1)
    known, wanted = known.reshape(n_tasks, -1, 8), to_go.reshape(n_tasks, -1, 1)
    squares = known.mT @ known + RIDGE * n_walks * n_steps * np.eye(8)
    left = wanted - known @ np.linalg.solve(squares, known.mT @ wanted)
    left = left - left.mean(axis=1, keepdims=True)
    return (left / (left.std(axis=1, keepdims=True) + 1e-8)).reshape(rewards.shape)


def surrogate(states: NDArray, actions: NDArray, advantage: NDArray) -> tuple[NDArray, NDArray]:
    """Walks as points of a weighted regression: ``(x, y)`` for an MLP with ``weighted_mse``.

    The gradient of minus advantage times log-probability of a Gaussian action is the gradient of
    ``advantage / (2 SPREAD**2) * |action - answer|**2``: a regression on the actions taken, where
    an action that did worse than expected has a negative weight.

    Returns:
        States ``(n_tasks, n_walks * n_steps, 2)``, and actions with weights ``(..., 3)``.
    """
    # a log-probability sums over both entries of an action; the loss takes their mean
    weight = advantage[..., None] / SPREAD**2
    y = np.concatenate([actions, weight], axis=-1)
    return states.reshape(len(states), -1, 2), y.reshape(len(states), -1, 3)


def experience(
    model: Model, theta: NDArray, noise: NDArray, goals: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Walk, and make of it what the policy learns from: ``(x, y, returns)``.

    ``returns`` ``(n_tasks,)`` is the mean over walks of the sum of rewards.
    """
    states, actions, rewards = walk(model, theta, noise, goals)
    x, y = surrogate(states, actions, advantages(states, rewards))
    return x, y, rewards.sum(axis=2).mean(axis=1)


def update(model: Model, theta: NDArray, x: NDArray, y: NDArray, alpha: float) -> NDArray:
    """One step of policy gradient on each task's own walks: ``(n_tasks, n_params)``."""
    return maml.adapt(model, theta, Task(x, y, x, y), alpha=alpha)


def maml_gradient(
    model: MLP, theta: NDArray, tasks: Task, *, alpha: float, n_inner_steps: int = 1
) -> tuple[float, NDArray]:
    """The meta-gradient of MAML for policies, with one inner step.

    Walks by ``theta`` are the support set, walks by ``theta_prime`` the query set; the rest is
    ``maml.maml_gradient``. How the support walks would change with ``theta`` is left out, as in
    the paper.

    Args:
        model: The network of the policy.
        theta: ``(n_params,)``.
        tasks: Goals and noise, as :class:`Goals` draws them.
        alpha: Inner learning rate.
        n_inner_steps: 1.

    Returns:
        ``(loss, gradient)``; the loss is minus the mean return of the walks after the update.

    Raises:
        ValueError: If ``n_inner_steps`` is not 1.

    Source:
        Finn et al. (2017), Algorithm 3.
    """
    if n_inner_steps != 1:
        raise ValueError(f"n_inner_steps must be 1 here, got {n_inner_steps!r}")
    x, y, _ = experience(model, theta, tasks.x_support, tasks.y_support)
    theta_prime = update(model, theta, x, y, alpha)
    walked = experience(model, theta_prime, tasks.x_query, tasks.y_query)
    x_query, y_query, returns = walked
    both = Task(x, y, x_query, y_query)
    _, gradient = lean.maml_gradient(model, theta, both, alpha=alpha)
    return -returns.mean(), gradient


def joint_gradient(
    model: Model, theta: NDArray, tasks: Task, *, alpha: Rates | None = None, n_inner_steps: int = 0
) -> tuple[float, NDArray]:
    """Policy gradient on all goals at once, no task is adapted; arguments and answer as above."""
    x, y, returns = experience(model, theta, tasks.x_query, tasks.y_query)
    _, gradient = maml.joint_gradient(model, theta, Task(x, y, x, y))
    return -returns.mean(), gradient


def updates(
    model: Model,
    theta: NDArray,
    rng: Generator,
    goals: NDArray,
    n_walks: int,
    rates: Iterable[float],
) -> NDArray:
    """Walk and learn in turn: returns after 0, 1, ..., K updates, ``(n_tasks, K + 1)``.

    Args:
        model: The network of the policy.
        theta: The start, ``(n_params,)``.
        rng: A ``numpy.random.Generator``; it draws what the actions add to the policy.
        goals: ``(n_tasks, 2)``.
        n_walks: Walks per update.
        rates: The rate of each of the K updates.
    """
    places = np.broadcast_to(goals[:, None], (len(goals), n_walks, 2))
    returns = []
    for alpha in (*rates, None):
        noise = rng.standard_normal((len(goals), n_walks, 2 * HORIZON))
        x, y, found = experience(model, theta, noise, places)
        returns.append(found)
        if alpha is not None:
            theta = update(model, theta, x, y, alpha)
    return np.stack(returns, axis=1)


def straight(goals: NDArray) -> NDArray:
    """Return of walking straight to the goal at full speed, ``(n_tasks,)``."""
    steps = REACH * np.arange(1, HORIZON + 1)[:, None, None]
    left = np.sign(goals) * np.maximum(np.abs(goals) - steps, 0)
    return -np.linalg.norm(left, axis=-1).sum(axis=0)


def located(states: NDArray, rewards: NDArray) -> NDArray:
    """Where the goals are, ``(n_tasks, 2)``, from walks alone: a reward is minus a distance.

    Three steps that do not lie on one line suffice. With the squared distances the unknown goal
    and its squared length enter linearly, and least squares gives them.

    Args:
        states: Where each step began, ``(n_tasks, n_walks, n_steps, 2)``, as :func:`walk` says.
        rewards: ``(n_tasks, n_walks, n_steps)``.
    """
    places = states[:, :, 1:].reshape(len(states), -1, 2)  # where the step before has ended
    squares = rewards[:, :, :-1].reshape(len(states), -1) ** 2
    known = np.concatenate([2 * places, -np.ones((*places.shape[:2], 1))], axis=2)
    seen = (places**2).sum(axis=2) - squares
    return (np.linalg.pinv(known) @ seen[..., None])[:, :2, 0]


def look_and_walk(rng: Generator, goals: NDArray, n_walks: int) -> NDArray:
    """Returns of one walk at random, and of ``n_walks`` to where its rewards say the goal is.

    No policy is trained. The noise of the actions is that of every policy.

    Args:
        rng: Draws the noise.
        goals: ``(n_tasks, 2)``.
        n_walks: Walks after the look.

    Returns:
        ``(n_tasks, 2)``, the second column a mean over walks.
    """
    aimless: Any = SimpleNamespace(predict=lambda _, state: 0 * state)
    noise = rng.standard_normal((len(goals), 1 + n_walks, 2 * HORIZON))
    places = np.broadcast_to(goals[:, None], (len(goals), 1 + n_walks, 2))
    states, _, first = walk(aimless, 0 * goals, noise[:, :1], places[:, :1])
    found = located(states, first)[:, None]
    towards: Any = SimpleNamespace(predict=lambda _, state: np.clip((found - state) / REACH, -1, 1))
    _, _, then = walk(towards, 0 * goals, noise[:, 1:], places[:, 1:])
    return np.stack([each.sum(axis=2).mean(axis=1) for each in (first, then)], axis=1)
