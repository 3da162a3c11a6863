"""Captions: what a cell shows has a number and a sentence, whether it is a figure or a table."""

import re

import pytest
import small
from extension import imported
from small import cell, notebook

captions = imported("captions")
CONTENTS = """
format: jb-book
root: book/first
parts: [{caption: Only part, numbered: 1, chapters: [{file: book/one}]}]
"""
TABLE = """from IPython.display import Markdown
Markdown("| a | b |\\n|---|---|\\n| 1.5 ± 0.2 ± 0.1 | **true** |\\n| 2 ± 1 and more | no |")"""
TEXT = """# One

:::{table} Typed
| a |
|---|
| 1 |
:::

**Verdict: undecided.** And **true** words, {glue:text}`told`."""
GLUE = "from maml_teach.reporting import glue\nglue('told', '3.5 ± 0.4')"


def captioned(text):
    return {"mystnb": {"figure": {"caption": text}}}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a chapter with a typed table, a printed one, one without caption, and HTML."""
    cells = [
        cell("code", GLUE),
        cell("markdown", TEXT),
        cell("code", TABLE, metadata=captioned("Printed, with $x$.")),
        cell("code", TABLE),
        cell("code", "from IPython.display import HTML\nHTML('<i>drawn</i>')", **HTML),
    ]
    texts = {"first.md": "# First\n\nWords.", "one.ipynb": notebook(cells)}
    source = small.written(tmp_path_factory.mktemp("small"), CONTENTS, texts)
    out, code = small.built(source, nb_execution_mode="force")
    assert code == 0
    return (out / "book" / "one.html").read_text("utf-8")


HTML = {"metadata": captioned("Drawn.")}


def plain(html):
    return " ".join(re.sub(r"<a class=\"headerlink.*?</a>|<[^>]+>", "", html).split())


def test_tables_count_as_tables_and_figures_as_figures(page):
    tables = [plain(found) for found in re.findall(r"<caption>(.*?)</caption>", page, re.S)]
    assert tables[0] == "Table 1.1 Typed" and len(tables) == 2
    assert tables[1].startswith("Table 1.2 Printed, with ")
    figures = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.S)
    assert [plain(found) for found in figures] == ["Fig. 1.1 Drawn."]
    assert page.count("<table") == 3 and page.count("<figure") == 1


def test_intervals_are_set_apart_in_tables_and_where_results_are_told(page):
    found = re.findall(r'<span class="interval">(.*?)</span>', page)
    assert [*map(str.strip, found)] == ["± 0.4", *["± 0.2 ± 0.1", "± 1"] * 2]
    assert "1.5<span" in page and "</span> and more" in page


def test_verdicts_are_badges(page):
    assert re.findall(r'<strong class="verdict">(.*?)</strong>', page) == [
        "Verdict: undecided.",
        *["true"] * 3,
    ]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("0.5", ["0.5"]),
        ("0.5 ± 0.1", ["0.5", " ± 0.1"]),
        ("0.5 ± 0.10 ± 0.2", ["0.5", " ± 0.10 ± 0.2"]),
        ("0.5\u00a0±\u00a00.1", ["0.5", " ±\u00a00.1"]),
        ("± 0.1 of it", [" ± 0.1", " of it"]),
        ("", [""]),
    ],
)
def test_a_cell_is_split_at_its_intervals(text, pieces):
    assert [node.astext() for node in captions.with_intervals(text)] == pieces
