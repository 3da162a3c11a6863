"""Folded code: neighbouring cells share one fold, and its bar says what is inside."""

import re

import pytest
import small
from docutils import nodes
from extension import imported

folds = imported("folds")
CONTENTS = """
format: jb-book
root: book/first
parts: [{caption: Part, chapters: [{file: book/chapter}]}]
"""
TEXT = {"output_type": "stream", "name": "stdout", "text": "1"}
SHOWN = {"text/markdown": "| a |\n|---|\n| 1 |"}
TABLE = {"output_type": "display_data", "metadata": {}, "data": SHOWN}


def folded(code, *outputs, tags=("hide-input",)):
    name = re.sub(r"\W+", "-", code)
    more = {"metadata": {"tags": list(tags)}, "outputs": list(outputs), "id": name}
    return small.cell("code", code, **more)


CELLS = [
    small.cell("markdown", "# A chapter"),
    folded("a = 1\nb, c = 2, 3"),  # 1: in a row with the two below
    folded("def first():\n    return 1"),
    folded("first()", TEXT),  # 3: ends the row
    folded("table()", TABLE),
    folded("hidden = 1", tags=["remove-cell"]),  # on no page
    small.cell("markdown", "Words."),
    folded("class Alone:\n\n    pass"),  # 7
    folded("shown = 1", tags=[]),
    folded("x, y = 1, 2"),  # 9
    small.cell("markdown", "The end."),
    folded("print()"),  # 11
]


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The chapter as a page."""
    texts = {"first.md": "# First", "chapter.ipynb": small.notebook(CELLS)}
    source = small.written(tmp_path_factory.mktemp("folds"), CONTENTS, texts)
    out, code = small.built(source)
    assert code == 0
    return (out / "book" / "chapter.html").read_text("utf-8")


def test_a_bar_says_what_is_inside(html):
    assert re.findall(r'<p class="collapsed admonition-title">(.*?)</p>', html) == [
        "Code of this output (5 lines)",
        "Code of this table (1 line)",
        "Code: Alone (2 lines)",
        "Code: x, y (1 line)",
        "Code (1 line)",
    ]
    assert re.findall(r'<p class="expanded admonition-title">(.*?)</p>', html)[3] == (
        "Code: x, y (1 line)"
    )


def test_a_fold_holds_its_cells_in_their_order_and_with_their_identifiers(html):
    inside = [
        re.findall(r'id="(cell-\d+)"', part)
        for part in re.findall("<details.*?</details>", html, re.S)
    ]
    assert inside == [["cell-1", "cell-2"], [], [], [], []]
    first = html[html.index('id="cell-3"') : html.index('id="cell-4"')]
    places = [
        first.index(word) for word in ("<details", "cell-1", "cell-2", "</details>", "cell_output")
    ]
    assert places == sorted(places)
    assert first.count("<details") == 1 and first.count('class="cell_input') == 3


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a"], "a"),
        (["one", "two"], "one, two"),
        (["a_name_that_fills_it", "b"], "a_name_that_fills_it, …"),
        (["one", "two", "three", "four"], "one, two, three, …"),
    ],
)
def test_names_that_have_no_room_are_left_out(names, text):
    assert folds.shortened(names) == text


def test_a_cell_is_a_plot_a_table_or_another_output():
    def cell(*shown):
        output = nodes.container("", *shown, nb_element="cell_code_output")
        return nodes.container("", nodes.container(), output, nb_element="cell_code")

    assert folds.made(cell(nodes.figure("", nodes.image()))) == "plot"
    assert folds.made(cell(nodes.table())) == "table"
    assert folds.made(cell(nodes.literal_block())) == "output"
    assert folds.output(nodes.container("", nodes.container())) is None
