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
import sys
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from importlib import import_module

import numpy as np

from .checks import relative_error
from .mistaken import Asked, mistakes
from .vectors import METHODS, Vector, read, vectors

TOLERANCE = 1e-8  # of the check


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

    >>> from maml_teach.vectors import reference
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
