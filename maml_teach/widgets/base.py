"""What the figures share: how a front end is put together, and how bad settings are refused."""

import re
from pathlib import Path

import anywidget
import numpy as np
import traitlets

HERE = Path(__file__).parent
IMPORTS = re.compile(r'^import\b[^;]*?"\./(\w+)\.js";\n', re.MULTILINE)


def bundle(name, folder=HERE):
    """One ES module, as text, for the figure ``name``: its own file after all that it imports.

    The files are real modules, so that node can test them one by one. A page has only the one
    text that anywidget sends; in it, what the files import from each other is already there.

    Args:
        name: Stem of the figure's file, such as ``"playground"``.
        folder: Where that file is, if not beside the shared modules.

    Raises:
        ValueError: If there is no such figure.
    """
    own = {path.stem: path for path in folder.glob("*.js")}
    figures = sorted(stem for stem, path in own.items() if "export default" in _read(path))
    if name not in figures:
        raise ValueError(f"name must be one of {figures}, got {name!r}")
    texts = {}
    _gather(own[name], texts)
    return "\n".join(texts.values())


def _gather(path, texts):
    """Put the text of a module into ``texts``, after those of the modules that it imports."""
    text = _read(path)
    for stem in dict.fromkeys(IMPORTS.findall(text)):
        if stem not in texts:
            _gather(HERE / f"{stem}.js", texts)
    texts[path.stem] = IMPORTS.sub("", text)


def _read(path):
    return path.read_text(encoding="utf-8")


STYLE = _read(HERE / "figure.css")


class Figure(anywidget.AnyWidget):
    """An anywidget that answers wrong settings with ``ValueError`` and has a stable repr."""

    _css = STYLE

    def __init__(self, **settings):
        known = self.trait_names(settable=True)
        if unknown := sorted(set(settings) - set(known)):
            raise ValueError(f"{type(self).__name__} has no setting {', '.join(unknown)}")
        try:
            super().__init__(**settings)
        except traitlets.TraitError as error:
            raise ValueError(str(error)) from error

    def __repr__(self):
        return f"{type(self).__name__}()"


def settable():
    """Metadata of a trait that may be given to the constructor and is sent to the page."""
    return {"sync": True, "settable": True}


def checked_start(name, theta, n_params):
    """A start as an array.

    Raises:
        ValueError: If it has another shape than ``(n_params,)``, or is not finite.
    """
    theta = np.asarray(theta)
    if theta.shape != (n_params,):
        raise ValueError(f"{name} has shape {theta.shape}, expected ({n_params},)")
    if not np.isfinite(theta).all():
        raise ValueError(f"{name} must be finite, but holds nan or inf")
    return theta
