"""What the pages offer: a chapter as a notebook that holds all of it, and runs anywhere."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
import sentences
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

import maml_teach

ROOT = Path(__file__).parents[2]
CHAPTERS = sentences.chapters()
WHEEL = f"maml_teach-{maml_teach.__version__}-py3-none-any.whl"
# What only Sphinx reads: roles, directives and their options, labels, comments, substitutions.
MYST = re.compile(
    r"\{[\w:-]+\}`|^[`:~]{3,}\{|^:[\w-]+:|^\([\w-]+\)=|\$\$ \([\w-]+\)|^%|\{\{", re.MULTILINE
)
OUTSIDE = ".cell, .run-page, .figure-note, .book-place, .katex, .symbol-name, .headerlink, pre"
PARSER = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin)


def cells(site, name, kind=None):
    """The cells of an offered notebook."""
    found = nbformat.read(site / "notebooks" / f"{name}.ipynb", 4)
    nbformat.validate(found)
    return [cell for cell in found["cells"] if kind in (None, cell["cell_type"])]


def text(site, name):
    """All its Markdown."""
    return "\n\n".join(cell["source"] for cell in cells(site, name, "markdown"))


def sources(name, kind):
    """The cells of the chapter's source."""
    return [source for _, source in sentences.cells(name, kind)]


def words(markup):
    """Its letters and digits, without formulas, code blocks and space."""
    for each in markup.select(OUTSIDE):
        each.decompose()
    return re.sub(r"[\W_]+", "", markup.get_text())


def test_a_page_offers_its_notebook_and_the_package(site, page_path):
    page = BeautifulSoup((site / page_path).read_text("utf-8"), "html.parser")
    links = {a["href"] for a in page.select(".article-header-buttons a, .run-page a")}
    offered = {
        (site / page_path).parent.joinpath(link).resolve() for link in links if ":" not in link
    }
    notebooks = {path for path in offered if path.suffix == ".ipynb"}
    if page_path != "search.html":
        assert notebooks == {site / "notebooks" / f"{Path(page_path).stem}.ipynb"}
        assert site / "notebooks" / WHEEL in offered
    assert all(path.exists() for path in offered)


def test_a_chapter_without_torch_in_the_page_says_what_to_download(site):
    page = BeautifulSoup((site / "book/engine.html").read_text("utf-8"), "html.parser")
    sentence = page.select_one("p.run-page")
    links = {link.get_text(" ", strip=True): link["href"] for link in sentence.select("a")}
    assert [Path(href).name for href in links.values()] == ["engine.ipynb", WHEEL]
    assert " ".join(sentence.get_text().split()).endswith(
        "Download the notebook and the package it needs to run it."
    )


@pytest.mark.parametrize("name", [*CHAPTERS, "notation", "bibliography"])
def test_no_markup_of_sphinx_is_left(site, name):
    assert MYST.findall(text(site, name)) == []


def test_markup_of_sphinx_is_found_where_it_is():
    raw = "\n".join(sources("derivation", "markdown"))
    assert len(MYST.findall(raw)) > 50


@pytest.mark.parametrize("name", CHAPTERS)
def test_code_is_that_of_the_source(site, name):
    assert [cell["source"] for cell in cells(site, name, "code")][1:] == sources(name, "code")


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_listing_equation_number_and_solution_is_there(site, name):
    raw, made = "\n".join(sources(name, "markdown")), text(site, name)
    for module, function in re.findall(
        r"\{literalinclude\} \.\./(\S+)\.py\n:pyobject: ([\w.]+)", raw
    ):
        assert f"`{module.replace('/', '.')}.{function}`:\n\n```python\n" in made
        last = function.rpartition(".")[2]
        assert re.search(rf"^ *(def|class) {last}\b", made, re.MULTILINE)
    labelled = re.findall(r"^\$\$ \((eq-[\w-]+)\)", raw, re.MULTILINE)
    tags = re.findall(r"\\tag\{(\d+)\.(\d+)\}", made)
    assert [int(number) for _, number in tags] == [*range(1, len(labelled) + 1)]
    assert made.count("### Exercise ") == raw.count("```{exercise}")
    solutions = made.count("<summary>Solution</summary>") + made.count(
        "*The solution is folded below.*"
    )
    assert solutions == raw.count("{solution-start}")


@pytest.mark.parametrize("name", [*CHAPTERS, "notation", "bibliography"])
def test_every_paragraph_of_the_page_is_in_the_notebook(site, name):
    """And so is every item, heading, and cell of a table: word for word, in any markup."""
    page = BeautifulSoup((site / f"book/{name}.html").read_text("utf-8"), "html.parser")
    made = BeautifulSoup(PARSER.render(text(site, name)), "html.parser")
    for formula in made.select(".math, eq, eqn"):
        formula.decompose()
    whole = words(made)
    for output in page.select(OUTSIDE):
        output.decompose()
    blocks = page.select(
        "article :is(p, h1, h2, h3, dt, td, th):not(.admonition-title, .sd-card p)"
    )
    told = [words(block) for block in blocks]
    assert len(told) >= 2
    assert [each for each in told if each not in whole] == []


def test_the_package_holds_what_notebooks_read(site):
    with zipfile.ZipFile(site / "notebooks" / WHEEL) as wheel:
        inside = set(wheel.namelist())
    package = ROOT / "maml_teach"
    kept = [
        path
        for path in package.rglob("*.*")
        if "__pycache__" not in path.parts and path.name != "package.json"  # of the tests
    ]
    assert {path.relative_to(ROOT).as_posix() for path in kept} <= inside


RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=300).execute()
"""


@pytest.fixture(scope="module")
def elsewhere(site, tmp_path_factory):
    """An environment with nothing but the offered wheel, its optional parts and a kernel."""
    if not os.environ.get("CI"):
        pytest.skip("a fresh environment takes minutes: set CI=true to run it")
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    wanted = [
        f"{site / 'notebooks' / WHEEL}[plot,torch,widgets]",
        "torch==2.13.0",
        "ipykernel",
        "nbclient",
    ]
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    subprocess.run(install, check=True)
    found = subprocess.run(
        [python, "-m", "pip", "list"], capture_output=True, text=True, check=True
    )
    assert "myst" not in found.stdout
    return python


@pytest.mark.parametrize("name", ["algorithm", "concepts", "derivation"])
def test_a_downloaded_notebook_runs_in_a_fresh_place(elsewhere, site, tmp_path, name):
    """With figures, with matplotlib, with PyTorch; from a folder that holds nothing else."""
    path = tmp_path / f"{name}.ipynb"
    path.write_bytes((site / "notebooks" / path.name).read_bytes())
    quiet = {"OMP_NUM_THREADS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    bare = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [elsewhere, "-c", RUN, path.name]
    done = subprocess.run(command, cwd=tmp_path, env=bare | quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
