"""Run this page: a button that loads Python into a chapter and runs its cells there.

The build writes, for each chapter that can run in a browser, its cells as ``_static/run/NAME.js``,
and once the package with stand-ins for what only a kernel has. Everything is a classic script,
because pages from ``file://`` may load scripts but not files. Nothing of it is loaded before the
reader asks; ``book/_static/run_page.js`` and the box above the chapter are all a page carries.
"""

import ast
import base64
import hashlib
import io
import json
import os
import shutil
import zipfile
from functools import lru_cache
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from docutils import nodes
from downloads import links

HERE = Path(__file__).parent
BOOK, ROOT = HERE.parents[:2]
PACKAGE, STAND_INS = ROOT / "maml_teach", HERE / "in_page"
PINS = json.loads((HERE / "pyodide.json").read_text("utf-8"))
BASE = (
    "RUN_PAGE_BASE"  # environment variable: an address, or a folder of the site itself
)
HIDDEN = {"remove-cell", "remove-input"}
SAYS = '# says "'  # above what an assertion holds a sentence of the chapter to
LATER = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
ZIP_TIME = (2020, 1, 1, 0, 0, 0)  # the same files give the same bytes

BOX = """
<div class="run-page" data-chapter="{name}" data-base="{base}" data-version="{version}">
<p><button type="button">Run this page</button> <span>Loads Python into this page,
about {megabytes:.0f} MB from {host}, and runs the {n_cells} code cells below, for you to edit.</span></p>
<p role="status"></p></div>"""
NO_TORCH = """
<p class="run-page">This chapter needs PyTorch, which does not run in a browser page.
<a href="{notebook}" download>Download the notebook</a> and <a href="{package}" download>the
package it needs</a> to run it.</p>"""


def imports(source, package=""):
    """Full names of the modules that a source imports, ``from a import b`` as ``a`` and ``a.b``.

    What only a function imports when it is called does not count. ``package`` is where relative
    imports start.
    """
    found = set()
    for node in at_once(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            parts = [
                *(above if node.level else []),
                *filter(None, [node.module]),
            ]
            origin = ".".join(parts)
            found |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
    return found


def is_for_types(node):
    """Whether a node is ``if TYPE_CHECKING:``, which is never true as a program runs."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def at_once(tree):
    """The nodes of a module that run as it is imported."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, LATER) and not is_for_types(node):
            yield node
            yield from at_once(node)


def file_of(module):
    """The file of a module of the package, or ``None``."""
    path = ROOT.joinpath(*module.split("."))
    files = path.with_suffix(".py"), path / "__init__.py"
    return next((file for file in files if file.exists()), None)


@lru_cache
def own_imports(module):
    """Names that a module of the package imports; of any other module, none."""
    file = file_of(module)
    if file is None:
        return frozenset()
    package = module if file.stem == "__init__" else module.rpartition(".")[0]
    return frozenset(imports(file.read_text("utf-8"), package))


def requirements(modules):
    """The libraries that some modules load, by way of the package too: ``{"numpy", ...}``."""
    seen, queue = set(), [*modules]
    while queue:
        name = queue.pop()
        if name not in seen:
            seen.add(name)
            queue += own_imports(name)
    return {name.partition(".")[0] for name in seen}


def needs_torch(modules):
    """Whether PyTorch is loaded by one of the modules, or by what they import."""
    return "torch" in requirements(modules)


def needs_kernel(modules):
    """Whether widgets are loaded by one of them: figures and sliders that talk to a kernel."""
    return bool({"ipywidgets", "anywidget"} & requirements(modules))


def unasserted(source):
    """A cell that nobody sees, without its assertions: they are about the numbers of the book.

    A reader who edits a cell may well make them fail, and would be told of a cell not on the page.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name in ("body", "orelse"):
            body = getattr(node, name, None)
            if isinstance(body, list):
                body[:] = [ast.Pass() if isinstance(s, ast.Assert) else s for s in body]
    return ast.unparse(tree)


def names(source, context):
    """The names that a cell loads (``ast.Load``) or binds (``ast.Store``, and imports and defs)."""
    nodes, found = list(ast.walk(ast.parse(source))), set()
    if context is ast.Store:
        defined = (ast.FunctionDef, ast.ClassDef)
        found |= {node.name for node in nodes if isinstance(node, defined)}
        aliases = [node for node in nodes if isinstance(node, ast.alias)]
        found |= {(each.asname or each.name).partition(".")[0] for each in aliases}
    variables = [node for node in nodes if isinstance(node, ast.Name)]
    return found | {node.id for node in variables if isinstance(node.ctx, context)}


def without_checks(cells):
    """The cells but hidden ones that check a sentence and that no later cell needs.

    Those that stay assert nothing: see ``unasserted``.
    """
    kept, loaded = [], set()
    for cell in reversed(cells):
        hidden, bound = "remove-cell" in cell["tags"], names(cell["source"], ast.Store)
        if not (hidden and SAYS in cell["source"]) or bound & loaded:
            source = unasserted(cell["source"]) if hidden else cell["source"]
            kept.append(cell | {"source": source})
            loaded = (loaded | names(source, ast.Load)) - bound
    return kept[::-1]


def code_cells(notebook):
    """The code cells: index in the notebook, source, tags, and whether only a kernel can run it."""
    for index, cell in enumerate(notebook["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and source.strip():
            tags = cell["metadata"].get("tags", [])
            skipped = needs_kernel(imports(source))
            yield {
                "id": f"cell-{index}",
                "source": source,
                "tags": tags,
                "skipped": skipped,
            }


def modules_of(cells):
    """Every module that the cells import."""
    return set().union(*(imports(cell["source"]) for cell in cells))


def packages(cells):
    """Names of the packages that the cells need from Pyodide."""
    drawn = "matplotlib" in requirements(modules_of(cells))
    return ["numpy", "matplotlib"] if drawn else ["numpy"]


def files(wanted, pins=PINS):
    """Names of all files to load for some packages."""
    lock, found, queue = pins["lock"]["packages"], set(), list(wanted)
    core = [name for name in pins["files"] if not name.endswith(".whl")]
    while queue:
        name = queue.pop()
        found.add(lock[name]["file_name"])
        queue += lock[name]["depends"]
    return core + sorted(found)


def chapter(notebook):
    """What the page needs to run a notebook; ``None`` if there is nothing it could run."""
    cells = without_checks(list(code_cells(notebook)))
    if needs_torch(modules_of(cells)) or all(cell["skipped"] for cell in cells):
        return None
    wanted = packages([cell for cell in cells if not cell["skipped"]])
    return {
        "cells": cells,
        "packages": wanted,
        "files": files(wanted),
    }


def is_loaded(name):
    """Whether a file is of use without a kernel: figures are not, nor what Python has cached."""
    return not {"widgets", "__pycache__"} & set(name.parts)


@lru_cache
def package_zip():
    """The package and the stand-ins, as the bytes of a zip file."""
    buffer = io.BytesIO()
    contents = {path.relative_to(STAND_INS): path for path in STAND_INS.rglob("*.py")}
    for pattern in ("*.py", "*.mplstyle", "data/*"):
        found = [path for path in PACKAGE.rglob(pattern) if path.is_file()]
        contents |= {path.relative_to(ROOT): path for path in found}
    contents = {name: path for name, path in contents.items() if is_loaded(name)}
    with zipfile.ZipFile(buffer, "w") as file:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name.as_posix(), ZIP_TIME)
            file.writestr(entry, contents[name].read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def script(name, value):
    """A script that hands a value to the page."""
    return f"runPage.{name} = {json.dumps(value)};\n"


def version(data):
    """Changes with what a click loads from the site, so that no browser mixes two builds."""
    own = [path.read_bytes() for path in sorted((BOOK / "_static" / "run").iterdir())]
    return hashlib.sha256(
        b"".join([*own, package_zip(), json.dumps(data).encode()])
    ).hexdigest()[:8]


def box(data, name, base):
    """The button and what it will do, as HTML."""
    shown = [
        c for c in data["cells"] if not HIDDEN & set(c["tags"]) and not c["skipped"]
    ]
    return BOX.format(
        name=name,
        base=escape(base),
        version=version(data),
        megabytes=sum(PINS["files"][file]["size"] for file in data["files"]) / 1e6,
        host=escape(urlsplit(base).netloc or "this site"),
        n_cells=len(shown),
    )


def notebook_of(app, docname):
    """The notebook a page is made of, or ``None``."""
    path = Path(app.env.doc2path(docname)) if docname in app.env.all_docs else Path()
    return json.loads(path.read_text("utf-8")) if path.suffix == ".ipynb" else None


def place_box(app, pagename, templatename, context, doctree):
    """Put the button, or the reason why there is none, below the chapter's title."""
    source = notebook_of(app, pagename)
    if not source or not context.get("body"):
        return
    data, above = chapter(source), ""
    if data:
        above = box(data, Path(pagename).name, app.config.run_page_base)
        app.add_js_file("run_page.js", loading_method="defer")
    elif needs_torch(modules_of(code_cells(source))):
        notebook, package = links(context, pagename)
        above = NO_TORCH.format(notebook=notebook, package=package)
    context["body"] = context["body"].replace("</h1>", f"</h1>{above}", 1)


def name_cells(app, doctree):
    """Give every code cell on the page its place in the notebook as an identifier."""
    for node in doctree.findall(nodes.container):
        if node.get("nb_element") == "cell_code":
            node["ids"].append(f"cell-{node['cell_index']}")


def forget_python(app):
    """Delete the Python of an earlier build, which ``make site-offline`` puts there."""
    shutil.rmtree(Path(app.outdir) / "_static" / "pyodide", ignore_errors=True)


def write_scripts(app, exception):
    """Write what a click loads from the site itself."""
    if exception or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static" / "run"
    packed = base64.b64encode(package_zip()).decode()
    (folder / "package.js").write_text(script("package", packed), "utf-8")
    (folder / "pins.js").write_text(script("pins", PINS), "utf-8")
    for docname in app.env.all_docs:
        notebook = notebook_of(app, docname)
        data = chapter(notebook) if notebook else None
        if data:
            path = folder / f"{Path(docname).name}.js"
            path.write_text(script("chapter", data), "utf-8")


def setup(app):
    """Connect the steps above to the events they belong to."""
    app.add_config_value(
        "run_page_base", os.environ.get(BASE) or PINS["cdn"], "html", [str]
    )
    app.connect("builder-inited", forget_python)
    app.connect("doctree-read", name_cells)
    app.connect("html-page-context", place_box, priority=901)
    app.connect("build-finished", write_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
