"""What the package brings along: trained parameters, measured results, a picture.

Programs under ``scripts/`` and ``benchmarks/`` make them.
"""

import json
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def _file(name: str, ending: str) -> Traversable:
    """A file of this folder.

    Raises:
        ValueError: If there is no such file.
    """
    files = {file.name: file for file in resources.files(__name__).iterdir()}
    if f"{name}{ending}" not in files:
        there = sorted(each.removesuffix(ending) for each in files if each.endswith(ending))
        raise ValueError(f"name must be one of {', '.join(there)}, got {name!r}")
    return files[f"{name}{ending}"]


def load(name: str) -> dict[str, NDArray]:
    """The arrays of one file of this folder, by name.

    Args:
        name: The file's name without its ending, such as ``"robot"``.

    Raises:
        ValueError: If there is no such file.

    >>> load("sinusoid_starts")["maml"].shape
    (1761,)
    """
    with _file(name, ".npz").open("rb") as file, np.load(file) as saved:
        return dict(saved)


def record(name: str) -> Any:
    """What a program wrote down of its run, such as the times of a benchmark.

    Args:
        name: The file's name without its ending: ``"compare"``, ``"memory"`` and ``"scaling"`` are
            those of ``benchmarks/``, ``"ladder"`` says which tests guard which equation.

    Raises:
        ValueError: If there is no such file.

    >>> record("memory")["steps"]
    [1, 5, 10, 20]
    """
    return json.loads(_file(name, ".json").read_text("utf-8"))


def picture(name: str) -> str:
    """The SVG of a drawing, as text: ``"concepts"``.

    Raises:
        ValueError: If there is no such file.
    """
    return _file(name, ".svg").read_text("utf-8")
