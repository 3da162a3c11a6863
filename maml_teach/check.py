"""Check a MAML of any library: ``python -m maml_teach.check my_module:my_gradient``.

``my_gradient(problem)`` returns ``(meta_loss, gradient)``: a number and a vector like ``theta``, as
arrays or tensors. It is asked for every vector of ``maml_teach/data/vectors/``, and its answers
are compared with those that the vectors hold. ``problem`` is a dict of float64 NumPy arrays and
settings:

    method         "maml", "fomaml", "reptile", "anil", "meta_sgd"; "momentum" and "adam" are
                   MAML through an inner loop of that rule
    sizes          widths of all layers, input and output included, such as (2, 4, 3, 3)
    activation     "relu" or "tanh", after every layer but the last
    objective      "mse", the mean over every entry, without 1/2; or "cross_entropy", the mean
                   over points of -log softmax, natural logarithm
    theta          the start, (n_params,): layer by layer W (n_in, n_out) in C order, then b
                   (n_out,); a layer computes x @ W + b
    tasks          a list of dicts with x_support, y_support, x_query, y_query: inputs
                   (n, n_in), and targets (n, n_out) or integer labels (n,)
    alpha          the inner rate, a number; for "meta_sgd" one per parameter, (n_params,)
    n_inner_steps  the number of inner steps, 0 or more

The meta-loss is the mean over tasks of the query loss after the inner loop. For "meta_sgd" return
``(meta_loss, gradient, alpha_gradient)``. For a method that you do not have, raise
``NotImplementedError``: its vectors are skipped. ``maml_teach/data/vectors/README.md`` says what
each method is.

Exit code: 0 if every answer is right, 1 if not, 2 if there was nothing to judge: a module or name
that is not there, or an answer of the wrong shape.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module, resources
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import data, diagnosis
from .checks import relative_error
from .family import meta_sgd_gradient
from .maml import anil_gradient, fomaml_gradient, maml_gradient, reptile_gradient
from .mlp import MLP
from .tasks import Task

METHODS: dict[str, Callable[..., tuple]] = {
    "maml": maml_gradient,
    "fomaml": fomaml_gradient,
    "reptile": reptile_gradient,
    "anil": anil_gradient,
    "meta_sgd": meta_sgd_gradient,
    "momentum": partial(maml_gradient, inner="momentum"),
    "adam": partial(maml_gradient, inner="adam"),
}
ANSWERS = ("meta_loss", "gradient", "alpha_gradient")
TOLERANCE = 1e-8  # of the check
NEAR = 1e-4  # within it, two gradients are one but for rounding

Problem = Mapping[str, Any]
Asked = Callable[[dict], Any]  # the function that is checked


@dataclass(frozen=True)
class Vector:
    """A problem and its right answer.

    Attributes:
        name: The file's name without its ending.
        problem: What the function is given, as the module's docstring says.
        meta_loss: The mean query loss after the inner loop.
        gradients: The gradient in ``theta``, ``(n_params,)``; for ``"meta_sgd"`` that in
            ``alpha`` as well, ``(n_params,)``.
    """

    name: str
    problem: dict[str, Any]
    meta_loss: float
    gradients: tuple[NDArray, ...]


@dataclass(frozen=True)
class Score:
    """What one answer is worth: ``state`` is ``"ok"``, ``"wrong"``, ``"error"`` or ``"skipped"``.

    Attributes:
        vector: What was asked.
        state: One of the four words.
        loss_error: Relative error of the meta-loss.
        gradient_error: Relative error of the gradient, of the worse one if there are two.
        note: What the function raised.
        mistakes: Mistakes that would give this answer, ``{short name: sentence}``.
    """

    vector: Vector
    state: str
    loss_error: float = np.nan
    gradient_error: float = np.nan
    note: str = ""
    mistakes: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        errors = f"loss {self.loss_error:.1e}  gradient {self.gradient_error:.1e}"
        return f"{self.vector.name:34s}{self.state:9s}{self.note or errors}"


def vectors() -> list[Vector]:
    """All vectors that came with the package, by name.

    >>> one = vectors()[0]
    >>> one.name, one.problem["method"], one.gradients[0].shape == one.problem["theta"].shape
    ('adam_tanh_cross_entropy_k02', 'adam', True)
    """
    folder = resources.files(data) / "vectors"
    files = sorted((file for file in folder.iterdir()), key=lambda file: file.name)
    texts = [file.read_text("utf-8") for file in files if file.name.endswith(".json")]
    return [as_vector(json.loads(text)) for text in texts]


def as_vector(record: Mapping[str, Any]) -> Vector:
    """A vector from what its file holds, numbers as arrays."""
    alpha = record["alpha"]
    problem = {
        "method": record["method"],
        "sizes": tuple(record["sizes"]),
        "activation": record["activation"],
        "objective": record["objective"],
        "theta": np.array(record["theta"]),
        "tasks": [{key: np.array(rows) for key, rows in task.items()} for task in record["tasks"]],
        "alpha": np.array(alpha) if isinstance(alpha, list) else alpha,
        "n_inner_steps": record["n_inner_steps"],
    }
    gradients = tuple(np.array(record[name]) for name in ANSWERS[1:] if name in record)
    return Vector(record["name"], problem, record["meta_loss"], gradients)


def reference(problem: Problem, model: Any = None) -> tuple:
    """What the NumPy engine answers to a problem; with another ``model``, what a mistake would."""
    model = model or network(problem)
    tasks = [Task(**task) for task in problem["tasks"]]
    settings = {key: problem[key] for key in ("alpha", "n_inner_steps")}
    return METHODS[problem["method"]](model, problem["theta"], tasks, **settings)


def network(problem: Problem) -> MLP:
    """The network that a problem speaks of."""
    return MLP(problem["sizes"], problem["activation"], problem["objective"])


# What wrong programs answer. Each takes a problem and gives the mistaken answer to it.


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


# Asking, judging, telling.


def read(answer: Any, vector: Vector) -> tuple:
    """``(meta_loss, gradient)`` of what a function returned, or with ``alpha_gradient``.

    Raises:
        ValueError: If it is something else.
    """
    names, shape = ANSWERS[: 1 + len(vector.gradients)], vector.gradients[0].shape
    wanted = f"must return ({', '.join(names)}) for {vector.name}, gradients of shape {shape}; got"
    if not isinstance(answer, tuple | list) or len(answer) != len(names):
        n = f" of {len(answer)}" if isinstance(answer, tuple | list) else ""
        way_out = "for a method that you do not have, raise NotImplementedError, or use --only"
        raise ValueError(f"{wanted} a {type(answer).__name__}{n} ({way_out})")
    try:
        meta_loss, *gradients = (np.asarray(diagnosis.as_numpy(one), float) for one in answer)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{wanted} what is no array of numbers: {error}") from error
    shapes = [meta_loss.shape, *(gradient.shape for gradient in gradients)]
    if meta_loss.size != 1 or any(each != shape for each in shapes[1:]):
        raise ValueError(f"{wanted} shapes {', '.join(map(str, shapes))}")
    return meta_loss.item(), *gradients


def score(asked: Asked, vector: Vector, tolerance: float = TOLERANCE) -> Score:
    """Ask a function for one vector, and judge what it answers.

    Args:
        asked: The function, as the module's docstring says.
        vector: What to ask for.
        tolerance: Largest relative error of loss and gradient that passes.

    Returns:
        The score, with the mistakes that would explain a wrong answer.

    Raises:
        ValueError: If the answer has the wrong shape.

    >>> score(reference, vectors()[0]).state
    'ok'
    """
    try:
        answer = asked(deepcopy(vector.problem))
    except NotImplementedError as error:
        return Score(vector, "skipped", note=str(error) or "NotImplementedError")
    except Exception as error:
        return Score(vector, "error", note=f"{type(error).__name__}: {error}")
    meta_loss, *gradients = answer = read(answer, vector)
    loss_error = relative_error(meta_loss, vector.meta_loss)
    pairs = zip(gradients, vector.gradients, strict=True)
    gradient_error = max(relative_error(*pair) for pair in pairs)
    if max(loss_error, gradient_error) <= tolerance:  # nan is no pass
        return Score(vector, "ok", loss_error, gradient_error)
    found = mistakes(vector, answer, asked)
    return Score(vector, "wrong", loss_error, gradient_error, mistakes=found)


def likeliest(scores: Sequence[Score]) -> list[tuple[str, str, int]]:
    """``(name, sentence, count)`` of the mistakes that together explain all wrong answers.

    The first explains the most of them, each further one the most of the rest.
    """
    left = [one.mistakes for one in scores if one.state == "wrong"]
    found = []
    while left:
        told = {name: text for one in left for name, text in one.items()}
        counts = {name: sum(name in one for one in left) for name in told}
        best = max(counts, key=lambda name: counts[name])  # the first of equals
        found.append((best, told[best], counts[best]))
        left = [one for one in left if best not in one]
    return found


def report(scores: Sequence[Score]) -> str:
    """The sentences below the list."""
    states = [one.state for one in scores]
    words = {word: states.count(word) for word in ("ok", "wrong", "error", "skipped")}
    lines = [
        f"{len(scores)} vectors: "
        + ", ".join(f"{n} {word}" for word, n in words.items() if n or word == "ok")
        + "."
    ]
    for k, (_, sentence, count) in enumerate(likeliest(scores)[:3]):
        lead = "Also" if k else "Likeliest mistake"
        lines.append(f"{lead}, in {count} of {words['wrong']} wrong answers: {sentence}.")
    if errors := [one for one in scores if one.state == "error"]:
        lines.append(f"The first error, in {errors[0].vector.name}: {errors[0].note}")
    if words["skipped"] == len(scores):
        lines.append("Every vector was skipped: nothing was checked.")
    return "\n".join(lines)


def find(spec: str) -> Asked:
    """The function that ``module:name`` says.

    Raises:
        ValueError: If there is none.
    """
    module_name, colon, name = spec.partition(":")
    if not (module_name and colon and name):
        raise ValueError(f"give module:function, such as my_module:my_gradient, got {spec!r}")
    try:
        module = import_module(module_name)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise ValueError(f"the module {module_name!r} cannot be imported: {text}") from error
    asked = getattr(module, name, None)
    if not callable(asked):
        what = "is no function" if hasattr(module, name) else "does not exist"
        raise ValueError(f"{name!r} {what} in the module {module_name!r}")
    return asked


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(
        "python -m maml_teach.check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("function", help="module:function, the module as Python imports it here")
    these = f"these methods alone, of {', '.join(METHODS)}"
    parser.add_argument("--only", nargs="+", choices=METHODS, metavar="METHOD", help=these)
    allowed = f"relative error of loss and gradient that passes, {TOLERANCE:g} unless given"
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help=allowed)
    given = parser.parse_args(arguments)
    scores = []
    try:
        asked = find(given.function)
        for vector in vectors():
            if not given.only or vector.problem["method"] in given.only:
                scores.append(score(asked, vector, given.tolerance))
                print(scores[-1])
    except ValueError as error:
        print(f"{given.function}: {error}", file=sys.stderr)
        return 2
    print(report(scores))
    states = {one.state for one in scores}
    return 0 if "ok" in states and states <= {"ok", "skipped"} else 1


if __name__ == "__main__":
    sys.exit(main())
