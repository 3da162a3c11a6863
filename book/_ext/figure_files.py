"""The figures' code as files of the site, so that a page holds only what a figure shows.

The outputs of a notebook depend on Python and data alone: an edit of a figure's JavaScript or
style is written here, at the end of every build, and no notebook runs.
"""

import hashlib
import json
from functools import cache
from pathlib import Path

from maml_teach.widgets.front_end import bundle, figures, style

CODE = ("_esm", "_css")


def without_code(state):
    """A widget's state with the name of its figure in place of its code."""
    name = state["_anywidget_id"].split(".")[-2]  # package.widgets.NAME.Class
    return {key: value for key, value in state.items() if key not in CODE} | {
        "figure": name
    }


def script(name):
    """A classic script, for pages from files, that hands a figure's code to ``loader.js``."""
    code = dict(zip(CODE, (bundle(name), style(name)), strict=True))
    return f"mamlFigures.{name} = {json.dumps(code, ensure_ascii=False)};\n"


@cache
def scripts():
    """The script of every figure, by name; put together once a build, which is a process."""
    return {name: script(name) for name in figures()}


def version():
    """Changes with any figure's code, so that no browser mixes two builds."""
    return hashlib.sha256("".join(scripts().values()).encode()).hexdigest()[:8]


def write_scripts(app, exception):
    """Write them beside the loader."""
    if exception or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static" / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in scripts().items():
        (folder / f"{name}.js").write_text(text, "utf-8")


def setup(app):
    """Before ``book_site`` looks through the scripts for the classes that they use."""
    app.connect("build-finished", write_scripts, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
