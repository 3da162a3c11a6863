"""Run this page: which chapters can, what their scripts hold, and the Python side of it, here."""

import ast
import base64
import builtins
import io
import json
import zipfile
from pathlib import Path

import pytest
from extension import EXTENSION, imported

ROOT = Path(__file__).parents[1]
CHAPTERS = {path.stem: path for path in (ROOT / "book").glob("*.ipynb")}


run_page = imported("run_page")
pyodide_files = imported("pyodide_files", ROOT / "scripts")
cell_runner = imported("cell_runner", EXTENSION / "in_page")
page_markdown = imported("page_markdown", EXTENSION / "in_page")


def notebook(*sources, tags=()):
    cells = [
        {"cell_type": "code", "source": [s], "metadata": {"tags": list(tags)}} for s in sources
    ]
    return {"cells": [{"cell_type": "markdown", "source": ["# Title"], "metadata": {}}, *cells]}


def chapter(name):
    return run_page.chapter(json.loads(CHAPTERS[name].read_text("utf-8")))


def test_which_chapters_run():
    assert {name for name in CHAPTERS if chapter(name)} == {
        "algorithm",
        "concepts",
        "driving",
        "equations",
        "family",
        "language",
        "pretrained",
        "resources",
        "robot",
    }


@pytest.mark.parametrize(
    "source",
    [
        "import torch",
        "from torch import nn",
        "import numpy, torch.func as tf",
        "from maml_teach import maml, maml_torch",
        "from maml_teach.family_torch import meta_sgd_gradient",
        "if True:\n    import torch",
    ],
)
def test_torch_is_found(source):
    assert run_page.needs_torch(run_page.imports(source))
    assert run_page.chapter(notebook("import numpy", source)) is None


SMALL_PACKAGE = {
    "__init__": "",
    "plain": "import numpy",
    "straight": "from torch import nn",
    "through": "from . import straight",
    "farther": "from .wing.deep import anything",
    "wing/__init__": "",
    "wing/deep": "from ..through import something",
    "lazy": "def load():\n    import torch",
}


@pytest.mark.parametrize("module", [name for name in SMALL_PACKAGE if "/" not in name][1:])
def test_torch_is_found_by_way_of_the_package(module, tmp_path, monkeypatch):
    """Whatever a module is called: what counts is what it loads, however far away."""
    for name, source in SMALL_PACKAGE.items():
        file = tmp_path / "small" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, "utf-8")
    monkeypatch.setattr(run_page, "ROOT", tmp_path)
    run_page.own_imports.cache_clear()
    found = run_page.needs_torch(run_page.imports(f"from small.{module} import x"))
    run_page.own_imports.cache_clear()
    assert found == (module in ("straight", "through", "farther"))


def test_words_are_not_imports():
    assert run_page.chapter(notebook("print('import torch')  # maml_torch"))


def test_cells_keep_place_source_and_tags():
    cells = run_page.chapter(notebook("x = 1", "", "x", tags=["remove-cell"]))["cells"]
    assert [cell["id"] for cell in cells] == ["cell-1", "cell-3"]
    assert [cell["source"] for cell in cells] == ["x = 1", "x"]
    assert all(cell["tags"] == ["remove-cell"] for cell in cells)


def test_what_nobody_sees_asserts_nothing_to_a_reader_who_edits():
    source = "for x in (1, 2):\n    y = x\n    assert y > 2\nelse:\n    assert y\nassert False"
    hidden, seen = (
        run_page.chapter(notebook(source, tags=tags))["cells"][0]["source"]
        for tags in (["remove-cell"], ["hide-input"])
    )
    assert hidden == "for x in (1, 2):\n    y = x\n    pass\nelse:\n    pass\npass"
    assert seen == source


def test_a_check_that_nobody_sees_runs_only_where_a_later_cell_needs_it():
    check = '# says "words"\nassert x\n'
    hidden = {"tags": ["remove-cell"]}
    cells = [
        *notebook("x = 1")["cells"],
        *notebook(check, f"{check}y = 2", f"{check}import os as z", "plain()", **hidden)["cells"],
        *notebook("y + 1", check)["cells"],
    ]
    found = run_page.chapter({"cells": cells})["cells"]
    wanted = ["x = 1", "pass\ny = 2", "plain()", "y + 1", check]
    assert [cell["source"] for cell in found] == wanted


def test_figures_are_left_out():
    figure = "from maml_teach.widgets import Training\nTraining()"
    cells = run_page.chapter(notebook(figure, "1"))["cells"]
    assert [cell["skipped"] for cell in cells] == [True, False]
    assert run_page.chapter(notebook(figure)) is None


def test_packages_are_those_needed():
    assert chapter("algorithm")["packages"] == ["numpy"]
    assert chapter("concepts")["packages"] == ["numpy", "matplotlib"]
    few, many = chapter("algorithm")["files"], chapter("concepts")["files"]
    assert set(few) < set(many) == set(run_page.PINS["files"])


def test_the_box_says_how_much_from_where():
    page = run_page.box(chapter("algorithm"), "algorithm", run_page.PINS["cdn"])
    assert "about 17 MB from cdn.jsdelivr.net" in " ".join(page.split())
    page = run_page.box(chapter("algorithm"), "algorithm", "_static/pyodide/")
    assert "MB from this site" in " ".join(page.split())


def test_the_zip_holds_the_package_and_the_stand_ins():
    with zipfile.ZipFile(io.BytesIO(run_page.package_zip())) as file:
        names = set(file.namelist())
        assert file.read("maml_teach/maml.py") == (ROOT / "maml_teach/maml.py").read_bytes()
    assert {
        "tqdm.py",
        "maml_teach/data/concepts.svg",
        "IPython/display.py",
        "maml_teach/style.mplstyle",
    } <= names
    assert not any(name.endswith((".js", ".css", ".pyc")) for name in names)
    loaded = [path for kind in ("*.py", "*.npz") for path in (ROOT / "maml_teach").rglob(kind)]
    loaded = {path.relative_to(ROOT).as_posix() for path in loaded}
    assert {name for name in loaded if not name.startswith("maml_teach/widgets/")} <= names


def test_pins_agree_with_the_lock():
    pins = run_page.PINS
    for package in pins["lock"]["packages"].values():
        found = base64.b64decode(pins["files"][package["file_name"]]["integrity"][7:]).hex()
        assert found == package["sha256"]
    assert pins["files"]["pyodide.js"]["integrity"].startswith("sha384-")
    assert pins["version"] in pins["cdn"]


def test_a_tampered_file_is_not_placed(tmp_path):
    pins = {"files": {"a.js": {"size": 2, "integrity": pyodide_files.integrity(b"ok")}}}
    (tmp_path / "a.js").write_bytes(b"ok")
    pyodide_files.place(str(tmp_path), tmp_path / "site", pins)
    placed = (tmp_path / "site/_static/pyodide/a.js.js").read_text("utf-8")
    assert base64.b64encode(b"ok").decode() in placed
    (tmp_path / "a.js").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"a\.js: hash is sha256-.*pinned is sha256-"):
        pyodide_files.place(str(tmp_path), tmp_path / "other", pins)
    assert not (tmp_path / "other").exists()


def emitted(source, name="cell 1"):
    shown = []
    ran = cell_runner.run(source, name, lambda kind, data: shown.append((kind, data)))
    return ran, shown


def test_a_cell_shows_its_last_value():
    assert emitted("x = 6\nx * 7") == (True, [("text", "42")])
    assert emitted("x;") == (True, [])
    assert emitted("print('hello'); None")[1][0] == ("stdout", "hello")


def test_cells_share_their_names():
    emitted("shared_name = 'kept'")
    assert emitted("shared_name") == (True, [("text", "'kept'")])


def test_an_error_shows_the_cell_and_not_the_runner():
    ran, shown = emitted("def f():\n    return 1 / 0\nf()", "cell 7")
    assert not ran
    ((kind, text),) = shown
    assert kind == "error"
    assert text.endswith("ZeroDivisionError: division by zero")
    assert 'File "cell 7", line 2' in text and "return 1 / 0" in text
    assert "cell_runner" not in text


def test_a_syntax_error_is_shown():
    ran, ((kind, text),) = emitted("1 +")
    assert (ran, kind) == (False, "error")
    assert text.endswith("SyntaxError: invalid syntax")


def test_endless_text_ends():
    _, shown = emitted("print('x' * 1_000_000)\nprint('y' * 1_000_000)")
    assert sum(len(text) for _, text in shown) < 100_100
    assert "not shown" in shown[-1][1]


def test_tables_become_html():
    html = page_markdown.to_html(
        "| `a` | $\\theta_k$ |\n|---|---|\n| 1&nbsp;±&nbsp;2 | x < y<br>z |"
    )
    assert "<th><code>a</code></th><th><em>θ<sub>k</sub></em></th>" in html
    assert "<td>1&nbsp;±&nbsp;2</td><td>x &lt; y<br>z</td>" in html


@pytest.mark.parametrize("name", sorted(name for name in CHAPTERS if chapter(name)))
def test_what_runs_in_a_page_needs_nothing_that_does_not(name):
    """Every name that its cells use is bound by one of them."""
    sources = [cell["source"] for cell in chapter(name)["cells"] if not cell["skipped"]]
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    bound = {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    bound |= {alias.asname or alias.name.split(".")[0] for n in nodes for alias in imported_by(n)}
    bound |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    bound |= {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    bound |= {n.name for n in nodes if isinstance(n, ast.ExceptHandler)}
    assert used - bound - set(dir(builtins)) == set()


def imported_by(node):
    """The names that a node imports."""
    return node.names if isinstance(node, ast.Import | ast.ImportFrom) else []
