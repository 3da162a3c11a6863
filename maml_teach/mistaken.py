"""What wrong programs answer to the golden vectors, and which mistake would give an answer."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import diagnosis
from .checks import relative_error
from .tasks import Task
from .vectors import METHODS, Problem, Vector, network, read, reference

NEAR = 1e-4  # within it, two gradients are one but for rounding

Asked = Callable[[dict], Any]  # the function that is checked


def _changed(**changes: Any) -> Callable[[Problem], tuple]:
    """The right answer to another problem; a change may be a function of the one that was asked."""

    def answer(problem: Problem) -> tuple:
        new = {key: each(problem) if callable(each) else each for key, each in changes.items()}
        return reference({**problem, **new})

    return answer


def _more_steps(more: int) -> Callable[[Problem], tuple]:
    return _changed(n_inner_steps=lambda problem: max(problem["n_inner_steps"] + more, 0))


def _sets(support: str, query: str) -> Callable[[Problem], tuple]:
    """The sets of this name in the places of the support and of the query set."""

    def moved(task: Mapping[str, NDArray]) -> dict[str, NDArray]:
        places = {"support": support, "query": query}
        return {f"{xy}_{at}": task[f"{xy}_{of}"] for at, of in places.items() for xy in "xy"}

    return _changed(tasks=lambda problem: [moved(task) for task in problem["tasks"]])


def _loss_times(factor: Callable[[str, NDArray], float]) -> Callable[[Problem], tuple]:
    """All losses times a factor, which may depend on the objective and the targets of a task."""

    def answer(problem: Problem) -> tuple:
        model = network(problem)

        def scaled(function: Callable[..., NDArray]) -> Callable[..., NDArray]:
            return lambda *args: factor(problem["objective"], args[-1]) * function(*args)

        parts = {name: scaled(getattr(model, name)) for name in ("loss", "gradient", "hvp")}
        return reference(problem, SimpleNamespace(head=model.head, **parts))

    return answer


def _first_order(problem: Problem) -> tuple:
    """Every Hessian is zero, as where the graph of the inner loop was cut."""
    model = network(problem)

    def hvp(theta: NDArray, v: NDArray, x: NDArray, y: NDArray) -> NDArray:
        return np.zeros_like(v)

    parts = {"loss": model.loss, "gradient": model.gradient, "head": model.head}
    return reference(problem, SimpleNamespace(hvp=hvp, **parts))


def _pooled(problem: Problem) -> tuple:
    """The mean over all query points, not over tasks; the same where all tasks have one size."""
    each = [reference({**problem, "tasks": [task]}) for task in problem["tasks"]]
    weights = np.array([len(task["y_query"]) for task in problem["tasks"]], float)
    weights /= weights.sum()
    parts = zip(*each, strict=True)
    return tuple(sum(w * part for w, part in zip(weights, row, strict=True)) for row in parts)


def _blocks(sizes: Sequence[int]) -> Iterator[tuple[NDArray, NDArray]]:
    """Where ``W`` ``(n_in, n_out)`` and ``b`` ``(n_out,)`` of each layer stand in ``theta``."""
    start = 0
    for n_in, n_out in pairwise(sizes):
        end = start + (n_in + 1) * n_out
        W, b = np.split(np.arange(start, end), [n_in * n_out])
        yield W.reshape(n_in, n_out), b
        start = end


def _other_layout(
    order_of: Callable[[list], list[NDArray]], reads: bool
) -> Callable[[Problem], tuple]:
    """Gradients written in another order; with ``reads``, ``theta`` is read in it as well."""

    def answer(problem: Problem) -> tuple:
        order = np.concatenate([part.ravel() for part in order_of([*_blocks(problem["sizes"])])])

        def read(given: Any) -> Any:
            return given[np.argsort(order)] if reads and np.ndim(given) else given

        new = {key: read(problem[key]) for key in ("theta", "alpha")}
        meta_loss, *gradients = reference({**problem, **new})
        return meta_loss, *(gradient[order] for gradient in gradients)

    return answer


def _each_layer(*parts: Callable[[NDArray, NDArray], NDArray]) -> Callable[[list], list[NDArray]]:
    return lambda blocks: [part(W, b) for W, b in blocks for part in parts]


LAYOUTS: dict[str, tuple[str, Callable[[list], list[NDArray]]]] = {
    "W transposed": ("with W as (n_out, n_in)", _each_layer(lambda W, b: W.T, lambda W, b: b)),
    "b before W": ("with b before W", _each_layer(lambda W, b: b, lambda W, b: W)),
    "all W, then all b": (
        "with every W before every b",
        lambda blocks: [W for W, _ in blocks] + [b for _, b in blocks],
    ),
}
_TOLD = {name: sentence for name, (sentence, _) in diagnosis.MISTAKES.items()}
# Short name -> (sentence, answer). More of plain MAML's are in ``diagnosis``.
MISTAKES: dict[str, tuple[str, Callable[[Problem], tuple]]] = {
    "": ("the gradient is the right one", reference),
    "first-order only": (_TOLD["first-order only"], _first_order),
    "one step too few": (_TOLD["one step too few"], _more_steps(-1)),
    "one step too many": (_TOLD["one step too many"], _more_steps(1)),
    "no inner loop": (_TOLD["no inner loop"], _changed(n_inner_steps=0)),
    "support and query exchanged": (
        "support and query set are exchanged",
        _sets("query", "support"),
    ),
    "support as query": (_TOLD["support as query"], _sets("support", "support")),
    "query as support": (_TOLD["query as support"], _sets("query", "query")),
    **{
        f"answers {method}": (
            f"problem['method'] is not looked at: this is the gradient of {method!r}",
            _changed(method=method),
        )
        for method in METHODS
        if method != "meta_sgd"  # its answer has a part more
    },
    **{
        f"{name}, {'read and written' if reads else 'written'}": (
            f"{'theta is read and the gradient' if reads else 'the gradient is'} written {words}",
            _other_layout(order_of, reads),
        )
        for name, (words, order_of) in LAYOUTS.items()
        for reads in (False, True)
    },
    "half the squared error": (
        "the squared error has a factor 1/2",
        _loss_times(lambda objective, y: 0.5 if objective == "mse" else 1.0),
    ),
    "sum over outputs": (
        "the squared error is summed over outputs, not the mean over every entry",
        _loss_times(lambda objective, y: y.shape[-1] if objective == "mse" else 1.0),
    ),
    "loss summed": (
        "the losses are sums over the points of a set, not means",
        _loss_times(
            lambda objective, y: math.prod(y.shape[-2:]) if objective == "mse" else y.shape[-1]
        ),
    ),
    "logarithm to base 2": (
        "the cross entropy is in bits, not in nats",
        _loss_times(lambda objective, y: 1.0 if objective == "mse" else 1 / np.log(2)),
    ),
    "mean over points": ("the mean is over all query points, not over tasks", _pooled),
    "the other activation": (
        "the network has the other activation",
        _changed(activation=lambda problem: {"relu": "tanh"}.get(problem["activation"], "relu")),
    ),
    **{
        f"alpha times {text}": (
            _TOLD[f"alpha times {text}"],
            _changed(alpha=lambda problem, factor=factor: factor * problem["alpha"]),
        )
        for text, factor in {"10": 10, "2": 2, "1/2": 0.5, "1/10": 0.1}.items()
    },
}


def mistakes(vector: Vector, answer: tuple, asked: Asked) -> dict[str, str]:
    """The mistakes that give this answer, ``{short name: sentence}``, the simplest first."""
    meta_loss, gradient = float(answer[0]), np.concatenate(answer[1:])
    right = np.concatenate(vector.gradients)
    if not np.isfinite([meta_loss, *gradient]).all():
        return {"not finite": "the answer holds nan or inf"}
    if relative_error(gradient, right) < NEAR:
        return _of_the_loss(vector, meta_loss)
    wrong = {name: np.concatenate(one[1:]) for name, one in _mistaken(vector.problem)}
    wrong = {name: each for name, each in wrong.items() if each.shape == gradient.shape}
    found = {
        name: MISTAKES[name][0]
        for name, each in wrong.items()
        if relative_error(each, gradient) < NEAR
    }
    return found or _scaled(vector, gradient, wrong) or _by_diagnosis(vector, answer, asked)


def _mistaken(problem: Problem) -> Iterator[tuple[str, tuple]]:
    """All answers of ``MISTAKES`` that exist: some rates make the inner loop diverge."""
    for name, (_, answer) in MISTAKES.items():
        try:
            yield name, answer(problem)
        except (FloatingPointError, ValueError):  # alpha of another shape than a method takes
            continue


def _of_the_loss(vector: Vector, meta_loss: float) -> dict[str, str]:
    """The gradient is right; what of the meta-loss?"""
    problem, right = vector.problem, vector.meta_loss
    known = {
        "rounding": (right, "right but for rounding: single precision, or finite differences?"),
        "meta-loss before adapting": (
            _changed(n_inner_steps=0)(problem)[0],
            "the gradient is right, the meta-loss is the one before adapting",
        ),
        "meta-loss summed": (
            right * len(problem["tasks"]),
            "the gradient is right, the meta-loss is a sum over tasks, not their mean",
        ),
        "meta-loss on the support set": (
            _sets("support", "support")(problem)[0],
            "the gradient is right, the meta-loss is that of the support sets",
        ),
    }
    near = {k: text for k, (value, text) in known.items() if _close(meta_loss, value)}
    return near or {"meta-loss": "the gradient is right, the meta-loss is not"}


def _close(value: float, wanted: float) -> bool:
    return abs(value - wanted) < NEAR * abs(wanted)


def _scaled(vector: Vector, gradient: NDArray, wrong: Mapping[str, NDArray]) -> dict[str, str]:
    """Mistaken gradients, and the right one, that need but a factor."""
    n = len(vector.problem["tasks"])
    known = {
        n: ("sum for mean", f"off by the factor {n}, the number of tasks: a sum, not their mean"),
        1 / n: ("divided twice", f"divided by the {n} tasks twice"),
        -1: ("wrong sign", "of the wrong sign"),
    }
    found = {}
    for name, each in wrong.items():
        factor = float(gradient @ each / (each @ each)) if each.any() else 0.0
        if relative_error(factor * each, gradient) > NEAR:
            continue
        near = [words for value, words in known.items() if _close(factor, value)]
        short, long = near[0] if near else ("scaled", f"multiplied by {factor:.3g}")
        lead = f"{MISTAKES[name][0]}; moreover it" if name else "the gradient"
        found[f"{name}, {short}" if name else short] = f"{lead} is {long}"
    return found


def _by_diagnosis(vector: Vector, answer: tuple, asked: Asked) -> dict[str, str]:
    """What else ``diagnosis`` knows of plain MAML on tasks of one size."""
    problem = vector.problem
    tasks = [Task(**task) for task in problem["tasks"]]
    if problem["method"] != "maml" or len({task.y_query.shape for task in tasks}) > 1:
        return {"unknown": "no known mistake fits"}
    model = network(problem)
    functions = diagnosis.SingleTask(
        lambda theta, x, y: float(model.loss(theta, x, y)), model.gradient, model.hvp
    )
    theta, settings = problem["theta"], (problem["alpha"], problem["n_inner_steps"])

    def again(batch: Task) -> diagnosis.Answer:
        each = [vars(batch.select(index)) for index in range(batch.n_tasks)]
        given = deepcopy({**problem, "tasks": each})
        meta_loss, gradient = read(asked(given), vector)
        return diagnosis.Answer(meta_loss, gradient, theta)

    error = relative_error(answer[1], vector.gradients[0])
    here = diagnosis.Problem(functions, theta, tasks, *settings)
    batch = Task(*map(np.stack, zip(*(vars(task).values() for task in tasks), strict=True)))
    first = diagnosis.Answer(answer[0], answer[1], theta)
    try:
        return dict([diagnosis.diagnose(here, first, error, NEAR, batch, again)])
    except Exception as raised:
        return {"not repeatable": f"a second call raises {type(raised).__name__}: {raised}"}
