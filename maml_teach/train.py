"""The outer loop: meta-training, saving and resuming a run, and evaluation over many tasks."""

import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from . import maml
from .inputs import (
    Array,
    check_array,
    check_callable,
    check_count,
    check_generator,
    check_inner_loop,
    check_model,
    check_rate,
    check_shape,
    choice,
    described,
    is_tensor,
    kind_of,
    rate,
)
from .protocols import Adapt, Family, HasLoss, MetaGradient, Model
from .rules import ADAM, RULES
from .tasks import Task, Tasks, batches_of, check_tasks_for

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
        plain = {name: check_rate(name, getattr(self, name)) for name in ("alpha", "beta")}
        _, plain["n_inner_steps"] = check_inner_loop(self.alpha, self.n_inner_steps, n_params=1)
        for name in ("n_tasks", "n_shots", "n_queries", "n_meta_steps"):
            plain[name] = check_count(name, getattr(self, name))
        choice("optimizer", self.optimizer, ("adam", "sgd"))
        for name, value in plain.items():  # plain numbers, which a file can hold
            object.__setattr__(self, name, value)


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
        ValueError: If an argument is wrong, or ``checkpoint`` cannot be written; before the first
            step.
        OSError: If a checkpoint cannot be written later; the one before is kept.
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
    check_array("theta", theta, holds="f")
    check_shape("theta", theta, None)
    _check_type("config", config, MetaConfig)
    check_generator(rng)
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
    have. The other arguments, answer and errors are those of :func:`meta_train`; a run of another
    model is a ``ValueError`` as well.
    """
    _check_type("run", run, Run)
    rng = _generator(run.rng_state)
    if n_meta_steps is not None:
        further = check_count("n_meta_steps", n_meta_steps)
        run = replace(run, config=replace(run.config, n_meta_steps=len(run.history) + further))
    try:
        return _train(model, run, family, rng, gradient, progress, checkpoint, every)
    except ValueError as error:
        n_params = getattr(model, "n_params", len(run.theta))
        if n_params == len(run.theta) or "theta has shape" not in str(error):
            raise
        raise ValueError(
            f"run does not fit the model: its theta has shape {tuple(run.theta.shape)}, the model "
            f"has n_params = {n_params}: {error}"
        ) from error


def _generator(state: Mapping[str, Any]) -> np.random.Generator:
    """The generator that a run drew its tasks with, in the state where it stopped."""
    try:
        rng = np.random.Generator(getattr(np.random, state["bit_generator"])())
        rng.bit_generator.state = state
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"run has no state of a generator of NumPy: {error!r}") from error
    return rng


def _check_type(name: str, value: Any, wanted: type) -> None:
    if not isinstance(value, wanted):
        raise ValueError(f"{name} must be a {wanted.__name__}, got {described(value)}")


def _check_training(model: Any, family: Any, gradient: Any, checkpoint: Any, every: Any) -> None:
    """What would otherwise be noticed at the first step, or at the first checkpoint."""
    check_model(model, ())
    check_callable("gradient", gradient)
    if isinstance(family, type) or not callable(getattr(family, "sample", None)):
        raise ValueError(
            "family must have sample(rng, n_tasks, n_shots, n_queries), got "
            f"{described(family)}{': call it to make one' * isinstance(family, type)}"
        )
    check_count("every", every)
    if checkpoint is not None:
        _check_file("checkpoint", checkpoint)


def _check_file(name: str, path: Any) -> None:
    """Require a path where a file can be written; nothing is left there."""
    _check_path(name, path)
    beside = f"{path}.part"
    try:
        folder = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(folder):
            raise ValueError(f"there is no folder {folder!r}")
        if os.path.isdir(path or "."):
            raise ValueError("it is a folder")
        with open(beside, "ab"):
            pass
        if os.path.getsize(beside) == 0:
            os.remove(beside)
    except (OSError, ValueError) as error:
        raise ValueError(f"{name} {str(path)!r} cannot be written: {error}") from error


def _check_path(name: str, path: Any) -> None:
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"{name} must be the path of a file, got {described(path)}")


def _train(model, run, family, rng, gradient, progress, checkpoint, every):
    _check_training(model, family, gradient, checkpoint, every)
    history = list(run.history)
    begun = len(history)
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
        has_news = len(history) > begun or len(history) >= run.config.n_meta_steps
        if checkpoint is not None and (has_news or not os.path.exists(checkpoint)):
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

    Raises:
        ValueError: If ``run`` is no :class:`Run` or ``path`` no path.
        OSError: If it cannot be written; what stood at ``path`` is still there.
    """
    _check_type("run", run, Run)
    _check_path("path", path)
    settings = {"config": asdict(run.config), "rng_state": run.rng_state}
    parts = {"theta": run.theta, "m": run.moments[0], "v": run.moments[1]}
    arrays: dict[str, Any] = {name: _to_numpy(part) for name, part in parts.items()}
    arrays |= {"settings": json.dumps(settings, default=_to_list), "history": run.history}
    try:
        _replace_file(path, arrays)
    except OSError as error:
        raise OSError(f"path {str(path)!r} could not be written: {error}") from error


def _replace_file(path: File, arrays: Mapping[str, Any]) -> None:
    """Write a file beside ``path`` and put it in its place; a half-written one does not stay."""
    beside = f"{path}.part"
    try:
        with open(beside, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        if os.path.isfile(beside):
            os.remove(beside)
        raise


def _to_list(value: Any) -> Any:
    """Arrays and NumPy's numbers in the state of a generator, as JSON has them."""
    return np.asarray(value).tolist()


def load_run(path: File, *, like: Array | None = None) -> Run:
    """Read a run written by :func:`save_run`.

    Args:
        path: The file.
        like: A torch tensor whose device and dtype the arrays are to take; NumPy if left out.

    Raises:
        ValueError: If the file is not a saved run, or not a whole one; it says why.
        FileNotFoundError: If there is no file.
    """
    _check_path("path", path)
    if like is not None and not is_tensor(like):
        raise ValueError(f"like must be a torch tensor, got {described(like)}")
    try:
        run = _read_run(path)
    except FileNotFoundError:
        raise
    except _UNREADABLE as error:
        raise ValueError(f"path {str(path)!r} is not a saved run: {error!r}") from error
    if like is None:
        return run
    theta, *moments = map(like.new_tensor, (run.theta, *run.moments))
    return replace(run, theta=theta, moments=tuple(moments))


# What NumPy and its readers of archives say of a file that is cut off, or is none of theirs.
_UNREADABLE = (
    *(AttributeError, EOFError, KeyError, OSError, TypeError, ValueError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error),
)


def _read_run(path: File) -> Run:
    with open(path, "rb") as stream:
        if not zipfile.is_zipfile(stream):
            raise ValueError("it is no whole .npz archive, which save_run writes")
        stream.seek(0)
        with np.load(stream) as file:
            kept = {name: file[name] for name in file.files}
    if not {"settings", "theta", "m", "v", "history"} <= set(kept):
        raise ValueError(f"it holds {sorted(kept)}")
    settings = json.loads(str(kept["settings"]))
    theta, m, v = (kept[name] for name in ("theta", "m", "v"))
    if theta.ndim != 1 or {m.shape, v.shape} != {theta.shape} or kept["history"].ndim != 1:
        raise ValueError("its arrays do not fit each other")
    for array in (theta, m, v, kept["history"]):
        check_array("its entry", array, np.ndarray, holds="f")
    _generator(settings["rng_state"])
    config = MetaConfig(**settings["config"])
    return Run(config, theta, (m, v), kept["history"], settings["rng_state"])


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
    tasks: Tasks,
    *,
    alpha: Any,
    n_inner_steps: int,
    adapt: Adapt = maml.adapt,
) -> Evaluation:
    """Meta-testing: adapt to each task from ``theta``, and score its query set at every step.

    Args:
        model: A model with ``loss`` (and ``gradient`` for the NumPy ``adapt``).
        theta: The start, ``(n_params,)``. It is not changed.
        tasks: A batch of at least two test tasks, or a list of single ones. Its arrays are
            converted to tensors if ``theta`` is one, and to arrays if it is none.
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
    check_model(model, ["loss"])
    check_array("theta", theta, holds="f")
    check_shape("theta", theta, getattr(model, "n_params", None))
    alpha, n_inner_steps = check_inner_loop(alpha, n_inner_steps, theta.shape[-1])
    check_callable("adapt", adapt)
    n_tasks = check_tasks_for(model, tasks)
    if n_tasks < 2:
        raise ValueError(f"tasks must hold at least 2 tasks for an interval, got {n_tasks}")
    batches = [(np.arange(n_tasks), tasks)] if isinstance(tasks, Task) else batches_of(tasks)
    losses = np.empty((n_tasks, n_inner_steps + 1))
    for which, batch in batches:
        like_theta = batch.map(partial(_converted, theta))
        losses[which] = _followed(model, theta, like_theta, alpha, n_inner_steps, adapt)
    return Evaluation(losses)


def _converted(like: Array, array: Array) -> Array:
    """``array`` as a tensor if ``like`` is one, floats also of its dtype; else as a NumPy array."""
    if not is_tensor(like):
        return _to_numpy(array)
    if is_tensor(array):
        return array.to(like) if kind_of(array) == "f" else array.to(like.device)
    same = {"f": like, "b": like.bool()}.get(array.dtype.kind)
    return (like.long() if same is None else same).new_tensor(np.ascontiguousarray(array))


def _followed(
    model: HasLoss, theta: Array, tasks: Task, alpha: Any, n_inner_steps: int, adapt: Adapt
) -> NDArray:
    """Losses of a batch after each step, ``(n_tasks, n_inner_steps + 1)``."""
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
    return losses


def _to_numpy(array: Array) -> NDArray:
    return array.detach().cpu().numpy() if hasattr(array, "detach") else np.asarray(array)
