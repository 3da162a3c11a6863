"""What the figures share: how a front end is put together, and how bad settings are refused."""

import re
from importlib import resources
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


class TwoStarts(Figure):
    """A figure with two starts to choose from: MAML's, and one trained on all tasks at once.

    A subclass says which ``network`` the starts are for, and where the package keeps them:
    ``kept`` is the name of the file in ``maml_teach/data`` and the names of the two in it.

    Args:
        maml: MAML start, ``(n_params,)`` of ``network``.
        joint: Start trained on all tasks at once, ``(n_params,)``.
        **settings: First values of the traits that the subclass lists.

    Raises:
        ValueError: If a start has the wrong shape or is not finite, or a setting is unknown or
            out of range.
    """

    network, kept = None, None

    start = traitlets.Enum(["maml", "joint"], "maml").tag(**settable())
    sizes = traitlets.List(traitlets.Int()).tag(sync=True)
    maml = traitlets.Bytes(b"").tag(sync=True)
    joint = traitlets.Bytes(b"").tag(sync=True)

    def __init__(self, maml, joint, **settings):
        starts = [
            checked_start(name, theta, self.network.n_params)
            for name, theta in (("maml", maml), ("joint", joint))
        ]
        super().__init__(**settings)
        self.sizes = list(self.network.sizes)
        self.maml, self.joint = (theta.astype("<f4").tobytes() for theta in starts)

    @classmethod
    def from_package(cls, **settings):
        """The figure with the networks that the package brings along."""
        name, *keys = cls.kept
        file = resources.files("maml_teach") / "data" / name
        with resources.as_file(file) as path, np.load(path) as saved:
            return cls(*(saved[key] for key in keys), **settings)
