"""Two loops: a model of two parameters, several tasks, inner steps and outer steps."""

from typing import Any

import numpy as np
import traitlets

from ...tasks import Lines, Task, check_batch
from ..base import Figure, settable
from ..front_end import bundle, style

ALGORITHMS = ("joint", "FOMAML", "MAML", "Reptile")
MAX_TASKS = 6


def default_tasks() -> Task:
    """Five lines whose bowls differ: steep ones to the left, flat ones to the right.

    The steepest has curvature 5.1, so that alpha = 0.4 makes its inner loop diverge. The best
    theta of joint training lies among the steep tasks; MAML's lies nearer the flat ones.
    """
    return Lines().sample(np.random.default_rng(161), n_tasks=5, n_shots=5, n_queries=20)


class TwoLoops(Figure):
    """The parameter plane of ``MLP((1, 1))``: inner paths into each task, outer steps of theta.

    Args:
        tasks: A batch of two to six one-dimensional regression tasks; five lines by default.
        **settings: First values of the traits ``alpha``, ``beta``, ``n_inner_steps``,
            ``batch_size`` (tasks per outer step, all by default), ``algorithm``, ``theta`` and
            ``seed``.

    Raises:
        ValueError: If the tasks do not fit the model, or a setting is unknown or out of range.
    """

    _esm, _css = bundle("two_loops"), style("two_loops")

    alpha = traitlets.Float(0.15, min=0.01, max=0.5).tag(**settable())
    beta = traitlets.Float(0.3, min=0.01, max=1.0).tag(**settable())
    n_inner_steps = traitlets.Int(2, min=0, max=10).tag(**settable())
    batch_size = traitlets.Int(5, min=1, max=MAX_TASKS).tag(**settable())
    algorithm = traitlets.Enum(ALGORITHMS, "MAML").tag(**settable())
    theta = traitlets.List(traitlets.Float(), [-1.8, 2.4], minlen=2, maxlen=2).tag(**settable())
    seed = traitlets.Int(0, min=0).tag(**settable())
    playing = traitlets.Bool(False).tag(sync=True)
    # Every theta of the run so far, and of the run before it.
    history = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    previous_history = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    previous_algorithm = traitlets.Enum(ALGORITHMS, "MAML").tag(sync=True)
    tasks = traitlets.List(traitlets.Dict()).tag(sync=True)

    def __init__(self, tasks: Task | None = None, **settings: Any):
        batch = default_tasks() if tasks is None else tasks
        _check(batch)
        settings.setdefault("batch_size", batch.n_tasks)
        if settings["batch_size"] > batch.n_tasks:
            raise ValueError(
                f"batch_size is {settings['batch_size']}, but there are {batch.n_tasks} tasks"
            )
        super().__init__(**settings)
        self.tasks = [_plain(batch, index) for index in range(batch.n_tasks)]


def _check(tasks: Task) -> None:
    if not isinstance(tasks, Task):
        raise ValueError(f"tasks must be a Task, got {type(tasks).__name__}")
    check_batch(tasks)
    if not 2 <= tasks.n_tasks <= MAX_TASKS:
        raise ValueError(f"tasks must hold 2 to {MAX_TASKS} tasks, got {tasks.n_tasks}")
    for name in ("x_support", "y_support", "x_query", "y_query"):
        shape = getattr(tasks, name).shape
        if len(shape) != 3 or shape[-1] != 1:
            raise ValueError(f"tasks.{name} has shape {shape}, expected (n_tasks, n, 1)")


def _plain(tasks: Task, index: int) -> dict[str, list]:
    """One task as lists of numbers, for the page."""
    return {
        name: getattr(tasks, name)[index, :, 0].tolist()
        for name in ("x_support", "y_support", "x_query", "y_query")
    }
