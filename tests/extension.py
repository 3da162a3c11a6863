"""The site's extension, for its tests: modules of a folder that is not a package."""

import importlib
import sys
from pathlib import Path

EXTENSION = Path(__file__).parents[1] / "book" / "_ext"


def imported(name, folder=EXTENSION):
    """A module of a folder, with what stands beside it."""
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
