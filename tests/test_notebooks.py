"""Chapters: short cells, names taken from where they are defined, labels, no outputs."""

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from sentences import cells, markdown, notebook_cells

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))
MAX_LINES = 20


def code_cells(path):
    """{id: source} of the code cells of a chapter."""
    return dict(cells(path.stem, "code"))


def shown_cells(path):
    """{id: source} of those that the site shows, folded or not."""
    hidden = [c["id"] for c in notebook_cells(path.stem) if "remove-cell" in str(c["metadata"])]
    return {id: source for id, source in code_cells(path).items() if id not in hidden}


@cache
def tree_of(module):
    """The syntax tree of a module; nothing if there is no such module here."""
    path = ROOT / module.replace(".", "/")
    files = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()]
    return ast.parse(files[0].read_text("utf-8")) if files else None


@cache
def offered(module):
    """The names that a module defines, or lists in ``__all__``."""
    names = set()
    for node in tree_of(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            found = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
            names |= {n.id for n in found if isinstance(n.ctx, ast.Store)}
            if found[0].id == "__all__":
                names |= set(ast.literal_eval(node.value))
    return names


def taken(source):
    """(module, name) of all that is taken from the package: by an import, or behind a dot."""
    modules, found = {}, []
    nodes = list(ast.walk(ast.parse(source)))
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module.startswith("maml_teach"):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if tree_of(whole):
                    modules[alias.asname or alias.name] = whole
                else:
                    found.append((node.module, alias.name))
    for node in nodes:
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in modules:
                found.append((modules[name], attribute))
    return found


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_cells_are_short(chapter):
    texts = shown_cells(chapter).items()
    n_lines = {id: sum(bool(line.strip()) for line in text.splitlines()) for id, text in texts}
    assert {id: n for id, n in n_lines.items() if n > MAX_LINES} == {}


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_names_are_taken_from_where_they_are_defined(chapter):
    names = taken("\n".join(code_cells(chapter).values()))
    assert [(module, name) for module, name in names if name not in offered(module)] == []


def test_a_name_from_elsewhere_is_found():
    assert taken("from maml_teach.plotting import LOOKS") == [("maml_teach.plotting", "LOOKS")]
    wrong = "from maml_teach import plotting\nplotting.markdown_table"
    assert taken(wrong) == [("maml_teach.plotting", "markdown_table")]
    assert "LOOKS" in offered("maml_teach.plotting")
    assert "markdown_table" not in offered("maml_teach.plotting")


def test_a_label_means_one_place():
    """Two alike stop the build with an error that names neither."""
    prose = "\n".join(path.read_text("utf-8") for path in CHAPTERS)
    labels = re.findall(r":label: ([\w-]+)|\((eq-[\w-]+)\)\\n|\"\(([\w-]+)\)=\\n", prose)
    names = [next(filter(None, found)) for found in labels]
    assert len(names) > 50
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_stripped_and_stands_in_the_contents(path):
    found = notebook_cells(path.stem)
    assert not [cell["id"] for cell in found if cell.get("outputs") or cell.get("execution_count")]
    assert f"book/{path.stem}\n" in (ROOT / "_toc.yml").read_text("utf-8")


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_reads_nothing_beside_it(chapter):
    """A downloaded one has the package, and no file of this repository."""
    code = "\n".join(code_cells(chapter).values())
    assert (
        re.findall(r"""["'](?:\.|/|_static|book|benchmarks|tests|maml_teach/)[\w./]*/""", code)
        == []
    )
    assert "myst_nb" not in code  # the page's own means are those of maml_teach.reporting


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_what_a_cell_makes_is_plain_markdown(chapter):
    """Its table is shown in JupyterLab as it is."""
    made = [text for text in code_cells(chapter).values() if "Markdown(" in text]
    assert re.findall(r"\{[\w:-]+\}`[\w-]+`", "\n".join(made)) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_solution_is_not_parted_from_its_code(path):
    """A notebook shows the hidden checks; one before the code would be taken for the solution."""
    listed, inside = notebook_cells(path.stem), False
    for cell, following in pairwise(listed):
        if cell["cell_type"] == "markdown":
            marks = re.findall(r"\{solution-(start|end)\}", "".join(cell["source"]))
            inside = marks[-1] == "start" if marks else inside
        elif inside and "remove-cell" in str(cell["metadata"]):
            follows = following["cell_type"], str(following["metadata"])
            assert follows[0] == "markdown" or "remove-cell" in follows[1], following["id"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_what_a_cell_shows_has_a_caption(path):
    """Tables, plots and figures; what their captions look like is for the site's tests."""
    shows = re.compile(
        r"Markdown\(\s*\w*table|\bsubplots\(|from_package\(|widgets import \w+\s+\w+\(\)$"
    )
    for cell in notebook_cells(path.stem):
        source, metadata = "".join(cell["source"]), cell["metadata"]
        hidden = re.search("remove-(cell|output)", str(metadata)) or "def " in source
        if cell["cell_type"] == "code" and not hidden and shows.search(source):
            caption = metadata.get("mystnb", {}).get("figure", {}).get("caption", "")
            assert caption.endswith(".") and len(caption.split()) > 4, cell["id"]


def applications():
    """The chapters of the part that applies MAML, without the one that sums up."""
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))["parts"]
    (part,) = (part for part in parts if part["caption"] == "What for")
    files = [Path(chapter["file"]).stem for chapter in part["chapters"]]
    return [name for name in files if name != "claims"]


@pytest.mark.parametrize("name", applications())
def test_an_application_says_in_one_box_what_is_new_and_what_is_not(name):
    found = r":::\{admonition\} What is new, and what is not\n(.*?)\n:::"
    (box,) = re.findall(found, markdown(name), re.S)
    assert re.findall(r"^- \*(.*?)\*:", box, re.M) == ["Task", "Model", "Loss", "Unchanged"]


@pytest.mark.parametrize("name", applications())
def test_an_application_ends_with_when_to_use_it_and_a_computed_number(name):
    *_, end = re.split(r"^## ", markdown(name), flags=re.M)
    assert end.startswith("When would I use this?\n")
    assert re.search(r"\{glue:text\}`[\w:.-]+`", end) and len(end.split()) < 130


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_reader_sees_at_most_35_cells(path):
    out_of_sight = {"remove-cell", "remove-input", "hide-input"}
    tags = [set(cell["metadata"].get("tags", [])) for cell in notebook_cells(path.stem)]
    assert sum(not own & out_of_sight for own in tags) <= 35


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_with_exercises_asks_for_a_line_and_for_a_prediction(path):
    asked = re.findall(r"^`{3,}\{exercise\}(.*?)^`{3,}$", markdown(path.stem), re.S | re.M)
    if asked:
        assert any("..." in one for one in asked)
        assert any(re.search(r"[Pp]redict|[Bb]efore you look", one) for one in asked)
