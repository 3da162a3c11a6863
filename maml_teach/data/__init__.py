"""What the package brings along: trained parameters and measured results, made by ``scripts/``."""

from importlib import resources

import numpy as np
from numpy.typing import NDArray


def load(name: str) -> dict[str, NDArray]:
    """The arrays of one file of this folder, by name.

    Args:
        name: The file's name without its ending, such as ``"robot"``.

    Raises:
        ValueError: If there is no such file.

    >>> load("sinusoid_starts")["maml"].shape
    (1761,)
    """
    files = {file.name: file for file in resources.files(__name__).iterdir()}
    if f"{name}.npz" not in files:
        there = sorted(each.removesuffix(".npz") for each in files if each.endswith(".npz"))
        raise ValueError(f"name must be one of {', '.join(there)}, got {name!r}")
    with files[f"{name}.npz"].open("rb") as file, np.load(file) as saved:
        return dict(saved)
