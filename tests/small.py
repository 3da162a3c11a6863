"""Small books of a few pages, built with the settings of the book."""

import json
from pathlib import Path

from jupyter_book.config import get_final_config
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

ROOT = Path(__file__).parents[1]


def cell(kind, source, **more):
    """A cell of a notebook."""
    own = {"execution_count": 1, "outputs": []} if kind == "code" else {}
    name = f"cell{len(source):04d}"
    return {"cell_type": kind, "source": source, "metadata": {}, "id": name} | own | more


def notebook(cells, widgets=None):
    """The text of a notebook."""
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": python, "widgets": widgets or {}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def written(source, contents, texts):
    """A folder with the table of contents and the files of ``book/``, by name."""
    (source / "book").mkdir()
    for name, text in texts.items():
        (source / "book" / name).write_text(text, "utf-8")
    (source / "_toc.yml").write_text(contents, "utf-8")
    return source


def built(source, builder="html", **options):
    """The folder of what is built, and the exit code of the build."""
    given = {"latex_individualpages": False, "external_toc_path": str(source / "_toc.yml")}
    settings, _ = get_final_config(user_yaml=ROOT / "_config.yml", sourcedir=ROOT, cli_config=given)
    elsewhere = {"bibtex_bibfiles": [], "html_logo": "", "html_favicon": "", "html_static_path": []}
    settings |= elsewhere | {"nb_execution_mode": "off", "exclude_patterns": []} | options
    out = source / "_build" / builder
    with docutils_namespace():
        # Warnings are errors, as in the strict build.
        app = Sphinx(
            *(source, None, out, source / "_build" / ".doctrees", builder, settings),
            **{"status": None, "warningiserror": True, "keep_going": True},
        )
        app.build()
    return out, app.statuscode
