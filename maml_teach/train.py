"""The outer loop: meta-training, saving and resuming a run, and evaluation over many tasks."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from . import maml
from .inputs import Array, check_inner_loop, check_rate, rate
from .protocols import Adapt, Family, HasLoss, MetaGradient, Model
from .rules import ADAM, RULES, chosen
from .tasks import Task

File = str | os.PathLike[str]
State = tuple[Array, tuple, Mapping[str, Any], int]  # theta, moments, state of rng, steps done


@dataclass(frozen=True)
class MetaConfig:
    """Settings of a meta-training run; the defaults are those of the paper's sinusoid.

    Args:
        alpha: Inner learning rate.
        beta: Outer learning rate.
        n_inner_steps: Inner steps per task.
        n_tasks: Tasks per meta-batch.
        n_shots: Support points per task.
        n_queries: Query points per task.
        n_meta_steps: Outer steps.
        optimizer: Outer step, ``"adam"`` or ``"sgd"``.

    Raises:
        ValueError: If a rate is not positive and finite, a count not a positive integer, or the
            optimizer unknown.

    Source:
        Finn et al. (2017), section 5.1; ``beta``, ``n_tasks`` and ``n_meta_steps`` are the
        defaults of the official code.
    """

    alpha: float = 0.01
    beta: float = 0.001
    n_inner_steps: int = 1
    n_tasks: int = 25
    n_shots: int = 10
    n_queries: int = 10
    n_meta_steps: int = 70_000
    optimizer: str = "adam"

    def __post_init__(self) -> None:
        check_rate("alpha", self.alpha)
        check_rate("beta", self.beta)
        check_inner_loop(self.alpha, self.n_inner_steps, n_params=1)
        for name in ("n_tasks", "n_shots", "n_queries", "n_meta_steps"):
            if not isinstance(getattr(self, name), int | np.integer) or getattr(self, name) < 1:
                raise ValueError(f"{name} must be a positive integer, got {getattr(self, name)!r}")
        chosen(self.optimizer, "optimizer")


@dataclass(frozen=True)
class Run:
    """A meta-training run as far as it has come: all that is needed to go on to the bit.

    Attributes:
        config: The settings.
        theta: The meta-parameters now, ``(n_params,)``.
        moments: Adam's two running means, each ``(n_params,)``.
        history: Meta-loss before each outer step so far, ``(n_steps,)``.
        rng_state: State of the generator that tasks are drawn with.
    """

    config: MetaConfig
    theta: Array
    moments: tuple
    history: NDArray
    rng_state: Mapping[str, Any]


def meta_train(
    model: Model,
    theta: Array,
    family: Family,
    config: MetaConfig,
    *,
    rng: np.random.Generator,
    gradient: MetaGradient = maml.maml_gradient,
    progress: bool = True,
    checkpoint: File | None = None,
    every: int = 1000,
) -> Run:
    """Meta-train ``theta`` on a family of tasks.

    Args:
        model: The model that ``gradient`` takes.
        theta: The start, ``(n_params,)``; a torch tensor with a gradient of ``maml_torch``.
        family: Anything with ``sample(rng, n_tasks, n_shots, n_queries)``.
        config: A :class:`MetaConfig`.
        rng: A ``numpy.random.Generator``; it draws the tasks.
        gradient: Any ``(model, theta, tasks, alpha=, n_inner_steps=) -> (loss, gradient)``.
        progress: Whether to show a progress bar: loss, steps per second, time left.
        checkpoint: A file to keep the run in, if given: replaced as a whole every ``every`` steps,
            at the end, and when the training is interrupted (Ctrl-C) or stops with an error. After
            a kill it is at most ``every`` steps behind. :func:`load_run` and :func:`resume` go on.
        every: Outer steps between two checkpoints.

    Returns:
        The finished :class:`Run`.

    Raises:
        ValueError: If ``every`` is not a positive integer.
        FloatingPointError: If the inner loop or the meta-loss is no longer finite; it names the
            step, ``alpha`` and ``beta``.

    Source:
        Finn et al. (2017), Algorithm 2.

    >>> from maml_teach.mlp import MLP
    >>> from maml_teach.tasks import Sinusoids
    >>> rng, model = np.random.default_rng(0), MLP((1, 40, 40, 1))
    >>> config = MetaConfig(n_meta_steps=20)
    >>> run = meta_train(model, model.init(rng), Sinusoids(), config, rng=rng, progress=False)
    >>> run.history.shape
    (20,)
    """
    moments = ADAM.init(theta)  # kept with every run, whatever its rule
    run = Run(config, theta, moments, np.empty(0), rng.bit_generator.state)
    return _train(model, run, family, rng, gradient, progress, checkpoint, every)


def resume(
    model: Model,
    run: Run,
    family: Family,
    *,
    n_meta_steps: int | None = None,
    gradient: MetaGradient = maml.maml_gradient,
    progress: bool = True,
    checkpoint: File | None = None,
    every: int = 1000,
) -> Run:
    """Go on with ``run``, to the bit as if it had not stopped.

    ``n_meta_steps`` is the number of further steps; left out, those that the run was meant to
    have. The other arguments, answer and errors are those of :func:`meta_train`.
    """
    rng = np.random.Generator(getattr(np.random, run.rng_state["bit_generator"])())
    rng.bit_generator.state = run.rng_state
    if n_meta_steps is not None:
        config = replace(run.config, n_meta_steps=len(run.history) + n_meta_steps)
        run = replace(run, config=config)
    return _train(model, run, family, rng, gradient, progress, checkpoint, every)


def _train(model, run, family, rng, gradient, progress, checkpoint, every):
    if isinstance(every, bool) or not isinstance(every, int | np.integer) or every < 1:
        raise ValueError(f"every must be a positive integer, got {every!r}")
    history = list(run.history)
    now = run.theta, run.moments, run.rng_state, len(history)
    bar = _progress_bar(len(history), run.config.n_meta_steps, progress)
    try:
        for _ in bar:
            now = _outer_step(model, now, family, run.config, rng, gradient, history)
            if checkpoint is not None and len(history) % every == 0:
                save_run(_as_run(run.config, now, history), checkpoint)
            if len(history) % 100 == 0:
                bar.set_postfix_str(f"loss {np.mean(history[-100:]):.3f}")
    finally:  # also when interrupted
        if checkpoint is not None:
            save_run(_as_run(run.config, now, history), checkpoint)
    return _as_run(run.config, now, history)


def _outer_step(
    model: Model,
    now: State,
    family: Family,
    config: MetaConfig,
    rng: np.random.Generator,
    gradient: MetaGradient,
    history: list[float],
) -> State:
    theta, moments, _, n_done = now
    tasks = family.sample(rng, config.n_tasks, config.n_shots, config.n_queries)
    meta_loss, g = _finite_gradient(gradient, model, theta, tasks, config, n_done)
    rule = RULES[config.optimizer]
    theta, moments = rule.update(theta, g, moments, config.beta, n_done + 1)  # (2.3)
    history.append(meta_loss)
    return theta, moments, rng.bit_generator.state, n_done + 1


def _as_run(config: MetaConfig, now: State, history: list[float]) -> Run:
    """The state after the last whole step; an interrupt may have left a longer history."""
    theta, moments, rng_state, n_done = now
    return Run(config, theta, moments, np.array(history[:n_done]), rng_state)


def _progress_bar(n_done: int, n_meta_steps: int, progress: bool) -> tqdm:
    return tqdm(
        range(n_done, n_meta_steps),
        initial=n_done,
        total=n_meta_steps,
        disable=not progress,
        desc="meta-training",
        unit=" steps",
    )


def _finite_gradient(
    gradient: MetaGradient, model: Model, theta: Array, tasks: Task, config: MetaConfig, n_done: int
) -> tuple[float, Array]:
    """The gradient as ``(float, array)``, or an error that says where training stopped."""
    rates = f"alpha = {config.alpha}, beta = {config.beta}"
    where = f"meta-training stopped at step {n_done + 1} ({rates})"
    inner: dict[str, Any] = {"alpha": config.alpha, "n_inner_steps": config.n_inner_steps}
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # reported just below
            meta_loss, g = gradient(model, theta, tasks, **inner)
    except FloatingPointError as error:
        raise FloatingPointError(f"{where}: {error}") from error
    if not np.isfinite(float(meta_loss)) or not bool((abs(g) < float("inf")).all()):
        raise FloatingPointError(f"{where}: the meta-loss or its gradient is no longer finite")
    return float(meta_loss), g


def save_run(run: Run, path: File) -> None:
    """Write ``run`` to ``path`` (.npz) so that :func:`load_run` gives it back to the bit.

    The file is written beside ``path`` and then takes its place, so that ``path`` is always
    whole: the old run or the new one, whenever the process or the machine stops.
    """
    settings = {"config": asdict(run.config), "rng_state": run.rng_state}
    parts = {"theta": run.theta, "m": run.moments[0], "v": run.moments[1]}
    arrays: dict[str, Any] = {name: _to_numpy(part) for name, part in parts.items()}
    beside = f"{path}.part"
    with open(beside, "wb") as file:
        np.savez(file, settings=json.dumps(settings), history=run.history, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def load_run(path: File, *, like: Array | None = None) -> Run:
    """Read a run written by :func:`save_run`.

    Args:
        path: The file.
        like: A torch tensor whose device and dtype the arrays are to take; NumPy if left out.

    Raises:
        ValueError: If the file is not a saved run.
    """
    with np.load(path) as file:
        if not {"settings", "theta", "m", "v", "history"} <= set(file):
            raise ValueError(f"path {str(path)!r} is not a saved run: it holds {sorted(file)}")
        settings = json.loads(str(file["settings"]))
        theta, m, v = (
            file[name] if like is None else like.new_tensor(file[name])
            for name in ("theta", "m", "v")
        )
        history = file["history"]
    config = MetaConfig(**settings["config"])
    return Run(config, theta, (m, v), history, settings["rng_state"])


DIVERGED = 1e12  # a task whose loss passes this is not followed any further


@dataclass(frozen=True)
class Evaluation:
    """Query losses of every test task after 0, 1, ..., K inner steps.

    Attributes:
        losses: ``(n_tasks, n_inner_steps + 1)``; ``inf`` once a task has diverged.
    """

    losses: NDArray

    @property
    def mean(self) -> NDArray:
        """Mean over tasks, ``(n_inner_steps + 1,)``; ``inf`` if one task diverged."""
        return self.losses.mean(axis=0)

    @property
    def half_width(self) -> NDArray:
        """Half width of the 95% interval of the mean over tasks, ``(n_inner_steps + 1,)``.

        It is 1.96 standard errors: it speaks of other tasks, not of other training seeds.
        """
        with np.errstate(invalid="ignore"):  # inf - inf: no interval once a task diverged
            return 1.96 * self.losses.std(axis=0, ddof=1) / np.sqrt(len(self.losses))

    @property
    def median(self) -> NDArray:
        """Median over tasks, ``(n_inner_steps + 1,)``: what a typical task sees."""
        return np.median(self.losses, axis=0)

    @property
    def n_worse(self) -> NDArray:
        """Number of tasks whose loss is above that before adapting, ``(n_inner_steps + 1,)``."""
        return np.sum(self.losses > self.losses[:, :1], axis=0)


def evaluate(
    model: HasLoss,
    theta: Array,
    tasks: Task,
    *,
    alpha: Any,
    n_inner_steps: int,
    adapt: Adapt = maml.adapt,
) -> Evaluation:
    """Meta-testing: adapt to each task from ``theta``, and score its query set at every step.

    Args:
        model: A model with ``loss`` (and ``gradient`` for the NumPy ``adapt``).
        theta: The start, ``(n_params,)``. It is not changed.
        tasks: A batch of at least two test tasks.
        alpha: Inner learning rate or learned rates, as in ``maml.adapt``.
        n_inner_steps: Number of steps to follow, at least 0.
        adapt: ``maml.adapt``, ``maml_torch.adapt``, or one that takes the same arguments. It is
            called once for each step, so that a rule with a state, such as Adam, starts anew.

    Returns:
        An :class:`Evaluation`. A task that diverges has infinite losses from there on, and the
        others are followed to the end.

    Raises:
        ValueError: If an argument is wrong, or there are fewer than two tasks.
    """
    check_inner_loop(alpha, n_inner_steps, theta.shape[-1])
    if tasks.n_tasks < 2:
        raise ValueError(f"tasks must hold at least 2 tasks for an interval, got {tasks.n_tasks}")
    losses = np.full((tasks.n_tasks, n_inner_steps + 1), np.inf)
    followed = np.arange(tasks.n_tasks)
    theta_k = adapt(model, theta, tasks, alpha=alpha, n_inner_steps=0)
    for k in range(n_inner_steps + 1):
        with np.errstate(over="ignore", invalid="ignore"):  # such tasks are left behind
            loss = _to_numpy(model.loss(theta_k, tasks.x_query, tasks.y_query))
        alive = np.flatnonzero(loss < DIVERGED)
        losses[followed[alive], k] = loss[alive]
        if k == n_inner_steps or not alive.size:
            break
        followed, theta_k, tasks = followed[alive], theta_k[alive], tasks.select(alive)
        theta_k = adapt(model, theta_k, tasks, alpha=rate(alpha, k), n_inner_steps=1)
    return Evaluation(losses)


def _to_numpy(array: Array) -> NDArray:
    return array.detach().cpu().numpy() if hasattr(array, "detach") else np.asarray(array)
