"""The chapters as notebooks: a small book with all that a chapter holds, written and run."""

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
import small
from extension import imported
from small import ROOT, cell

import maml_teach

notebooks = imported("notebooks")
CONTENTS = """
format: jb-book
root: book/first
parts:
  - {caption: Only part, numbered: 1, chapters: [{file: book/one}, {file: book/two}]}
  - {caption: Reference, chapters: [{file: book/bibliography}]}
"""
BIBLIOGRAPHY = "# Sources\n\n```{bibliography}\n```"
SOURCES = """
@misc{open2020, author = {Open, Ann}, title = {Open}, year = {2020}, url = {https://example.org/a}}
@book{paper1999, author = {Paper, Bo}, title = {Paper}, year = {1999}, publisher = {P}}
@article{doi2001, author = {Doi, Cy}, title = {Doi}, year = {2001}, journal = {J}, doi = {10.1/x}}
"""
ONE = r"""# One *thing*

Read {cite:p}`open2020`, {cite:t}`paper1999` and {cite:p}`doi2001`.

$$ x = 1 $$ (eq-x)

By {eq}`eq-x`, and {prf:ref}`alg-a` in [the second](two.ipynb), [below](#there).

```{literalinclude} LISTED
:pyobject: MLP.hvp
:lines: 1-3
```

````{prf:algorithm} Twice
:label: alg-a

**Input** $x$

1. Begin
2. Repeat
    1. Once
    2. Twice
````
"""
MIDDLE = r"""The answer was {glue:text}`answer:.1f`.

(there)=
## There $|x|$

| a | b |
|---|---|
| 1.50 | $\|x\|$ |
"""
EXERCISE = """```{exercise} Swap
:label: ex-swap
What comes of it?
```

````{solution-start} ex-swap
:class: dropdown
````

It is 2:"""
END = "And no more.\n\n````{solution-end}\n````\n\n## Last\n\nWords."
TWO = "# Two\n\nAs {eq}`eq-x` said, and {ref}`there <there>`; see {numref}`ex-swap`."
FIGURE = "from IPython.display import Image\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]);"
CAPTION = {"mystnb": {"figure": {"caption": "A line, with $x$."}}}


def tagged(*tags):
    return {"metadata": {"tags": list(tags)}}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The sources of the small book."""
    folder = tmp_path_factory.mktemp("small")
    listed = os.path.relpath(ROOT / "maml_teach" / "mlp.py", folder / "book")
    cells = [
        cell("markdown", ONE.replace("LISTED", listed), id="text"),
        cell("code", "from maml_teach.reporting import glue\nglue('answer', 41.96)", id="glue"),
        cell("markdown", MIDDLE, id="middle"),
        cell("code", "# says 'x'\nassert True", id="check", **tagged("remove-cell")),
        cell("code", FIGURE, id="figure", metadata=CAPTION),
        cell("markdown", EXERCISE, id="exercise"),
        cell("code", "1 + 1", id="solved"),
        cell("markdown", END, id="end"),
        cell("code", "2\n", id="folded", **tagged("hide-input")),
    ]
    two = [cell("markdown", TWO), cell("code", "import torch", id="torch")]
    texts = {"first.md": "# First\n\nWords.", "bibliography.md": BIBLIOGRAPHY}
    texts |= {"one.ipynb": small.notebook(cells), "two.ipynb": small.notebook(two)}
    (folder / "references.bib").write_text(SOURCES)
    return small.written(folder, CONTENTS, texts)


@pytest.fixture(scope="module")
def folder(source):
    """The folder of the written notebooks."""
    run = {"nb_execution_mode": "force", "bibtex_bibfiles": ["references.bib"]}
    out, code = small.built(source, "notebooks", **run)
    assert code == 0
    return out


def read(folder, name):
    """A notebook's cells by their identifiers."""
    notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    return {cell["id"]: cell for cell in notebook["cells"]}


@pytest.fixture(scope="module")
def one(folder):
    return read(folder, "one")


def test_every_page_is_a_notebook(folder):
    assert {p.stem for p in folder.glob("*.ipynb")} == {"first", "one", "two", "bibliography"}
    assert [c["source"] for c in read(folder, "first").values()] == ["# First\n\nWords."]


def test_code_is_that_of_the_source_after_one_cell(source, one):
    written = json.loads((source / "book" / "one.ipynb").read_text())["cells"]
    code = [c["source"] for c in one.values() if c["cell_type"] == "code"]
    assert code[1:] == [c["source"] for c in written if c["cell_type"] == "code"]
    assert [*one][:2] == ["how-to-run", "what-it-needs"]
    assert not any(c.get("outputs") for c in one.values())


def test_texts_stand_between_the_cells_where_they_stood(one):
    assert [*one] == [
        *("how-to-run", "what-it-needs", "text", "glue", "middle", "check"),
        *("figure", "figure-caption", "exercise", "solved", "end", "folded"),
    ]


def test_numbers_sources_and_links_are_plain(one):
    text = one["text"]["source"]
    assert text.startswith("# 1. One *thing*\n\n")
    assert (
        "Read [[Open, 2020](https://example.org/a)], Paper [[1999](bibliography.ipynb)] and" in text
    )
    assert "[[Doi, 2001](https://doi.org/10.1/x)]." in text
    assert "$$\nx = 1 \\tag{1.1}\n$$" in text
    assert "By (1.1), and Algorithm 1.1 in [the second](two.ipynb), [below](#there)." in text
    assert "The answer was 42.0." in one["middle"]["source"]
    assert '<a id="there"></a>\n\n## There $|x|$' in one["middle"]["source"]


def test_listings_and_algorithms_and_tables_are_there(one):
    text = one["text"]["source"]
    assert "`maml_teach.mlp.MLP.hvp`:\n\n```python\n    def hvp(self, theta" in text
    assert "> **Algorithm 1.1** (Twice)\n>\n> **Input** $x$\n>\n> 1&ensp;Begin<br>\n" in text
    assert "> &emsp;2.1&ensp;Once<br>\n> &emsp;2.2&ensp;Twice" in text
    assert "| a | b |\n| --- | --- |\n| 1.50 | $\\vert x\\vert $ |" in one["middle"]["source"]


def test_exercises_are_headings_and_solutions_fold(one):
    exercise, end = one["exercise"]["source"], one["end"]["source"]
    assert exercise.startswith("### Exercise 1.1 (Swap)\n\nWhat comes of it?\n\n<details>\n")
    assert "<summary>Solution</summary>\n\nIt is 2:\n\n</details>" in exercise
    assert "<summary>Solution, continued</summary>\n\nAnd no more.\n\n</details>" in end
    assert end.endswith("## Last\n\nWords.")


def test_cells_fold_as_on_the_site(one):
    folded = {name: dict(c["metadata"].get("jupyter", {})) for name, c in one.items()}
    source, both = {"source_hidden": True}, {"source_hidden": True, "outputs_hidden": True}
    assert {name: how for name, how in folded.items() if how} == {
        **{"what-it-needs": source, "check": source, "folded": source, "solved": both}
    }
    assert {name for name, c in one.items() if "cellView" in c["metadata"]} == {
        name for name, how in folded.items() if how
    }


def test_a_drawn_figure_has_its_number_and_caption(one):
    assert one["figure-caption"]["source"] == "**Fig. 1.1.** A line, with $x$."


def test_another_page_is_a_file_beside_it(folder):
    _, text = [c["source"] for c in read(folder, "two").values() if c["cell_type"] == "markdown"]
    assert (
        "As [(1.1)](one.ipynb) said, and [there](one.ipynb); see [Exercise 1.1](one.ipynb)." in text
    )


def test_the_bibliography_has_every_source_once(folder):
    (entries,) = [c["source"].replace("\xa0", " ") for c in read(folder, "bibliography").values()]
    assert [entries.count(name) for name in ("Ann Open", "Bo Paper", "Cy Doi")] == [1, 1, 1]


def needs(modules, monkeypatch, **package):
    """Run the first cell of a notebook that imports some modules; return its text."""
    for name, value in package.items():
        monkeypatch.setattr(maml_teach, name, value)
    source = "".join(f"import {name}\n" for name in modules)
    made = notebooks.first_cell({"cells": [cell("code", source)]})
    exec(made, {})
    return made


def test_the_first_cell_is_silent_where_nothing_is_missing(monkeypatch):
    made = needs(["matplotlib", "maml_teach.widgets", "torch"], monkeypatch)
    assert f"maml_teach-{maml_teach.__version__}-py3-none-any.whl[plot,torch,widgets]" in made
    assert "whl'" in needs(["maml_teach.maml"], monkeypatch)
    assert "whl[widgets]'" in needs(["maml_teach.widgets.arm"], monkeypatch)


@pytest.mark.parametrize("installed", ["0.0.9", "0.2.0.dev1"])
def test_an_older_package_is_told_in_one_sentence(monkeypatch, installed):
    with pytest.raises(ImportError) as raised:
        needs(["numpy"], monkeypatch, __version__=installed)
    assert str(raised.value) == (
        f"This notebook needs maml_teach {maml_teach.__version__} or newer: run %pip install"
        f" 'maml_teach-{maml_teach.__version__}-py3-none-any.whl' in a cell, with the path to that"
        " file, and restart the kernel."
    ).replace(installed, notebooks.__version__)
    assert raised.value._render_traceback_() == [str(raised.value)]


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(notebooks.EXTRAS, "surely_missing", "torch")
    with pytest.raises(
        ImportError, match=r"needs surely_missing: run %pip install .*whl\[torch\]'"
    ):
        needs(["surely_missing"], monkeypatch)


def test_extras_are_those_of_the_package():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    offered = project["optional-dependencies"]
    for module, extra in notebooks.EXTRAS.items():
        assert module in {re.match(r"[\w-]+", each)[0] for each in offered[extra]}
    assert project["version"] == maml_teach.__version__


def saying(text, outputs=()):
    """A notebook of one cell, as it is written."""
    made = notebooks.code_cell(text, "a")
    made["outputs"] = list(outputs)
    found = nbformat.v4.new_notebook(cells=[made])
    found.metadata["as_written"] = notebooks.fingerprint(found)
    return found


def test_nothing_that_a_reader_did_is_lost(tmp_path):
    path, stream = tmp_path / "a.ipynb", nbformat.v4.new_output("stream", text="1")

    def sources():
        return {p.name: nbformat.read(p, 4)["cells"][0]["source"] for p in tmp_path.iterdir()}

    notebooks.write(saying("1"), path)
    notebooks.write(saying("2"), path)
    assert sources() == {"a.ipynb": "2"}  # nobody had touched it
    nbformat.write(saying("2", [stream]), path)
    notebooks.write(saying("2"), path)
    assert nbformat.read(path, 4)["cells"][0]["outputs"] == [stream]  # the book says the same
    for n, mine in enumerate(["2 + 2", "3 + 3"], 1):
        edited = nbformat.read(path, 4)
        edited["cells"][0]["source"] = mine
        nbformat.write(edited, path)
        notebooks.write(saying(f"{n + 2}"), path)
    assert sources() == {"a.ipynb": "4", "a-yours-1.ipynb": "2 + 2", "a-yours-2.ipynb": "3 + 3"}


def test_buttons_and_sentence_lead_to_the_notebook():
    downloads = imported("downloads")
    group = [{"label": "download-source-button", "icon": "i"}, {"label": "download-pdf-button"}]
    made = [*downloads.buttons(group, "../notebooks/a.ipynb", "../notebooks/b.whl")]
    assert [b["label"] for b in made] == [
        *("download-source-button", "download-package-button", "download-pdf-button")
    ]
    assert [b.get("url") for b in made] == ["../notebooks/a.ipynb", "../notebooks/b.whl", None]
    assert downloads.file_name("book/concepts") == "concepts.ipynb"
    assert Path(downloads.WHEEL).suffix == ".whl"
