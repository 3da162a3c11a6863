"""The golden vectors: problems with the right meta-loss and gradient, in ``data/vectors``."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import data
from .diagnosis import as_numpy
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

Problem = Mapping[str, Any]


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
        meta_loss, *gradients = (np.asarray(as_numpy(one), float) for one in answer)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{wanted} what is no array of numbers: {error}") from error
    shapes = [meta_loss.shape, *(gradient.shape for gradient in gradients)]
    if meta_loss.size != 1 or any(each != shape for each in shapes[1:]):
        raise ValueError(f"{wanted} shapes {', '.join(map(str, shapes))}")
    return meta_loss.item(), *gradients
