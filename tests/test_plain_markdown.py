"""Plain Markdown of the kinds of nodes that a page is made of."""

from types import SimpleNamespace

import pytest
from docutils import nodes
from extension import imported
from markdown_it import MarkdownIt
from sphinx.addnodes import number_reference

plain = imported("plain_markdown")
PAGE = SimpleNamespace(number=lambda node: "3.4", address=lambda node: node.get("refuri", ""))


def text(*words):
    """A paragraph of texts and nodes."""
    parts = [nodes.Text(word) if isinstance(word, str) else word for word in words]
    return nodes.paragraph("", "", *parts)


def shown(node):
    return plain.markdown(node, PAGE)


def html(markdown):
    return MarkdownIt("commonmark").enable("table").render(markdown)


@pytest.mark.parametrize(
    "words",
    [
        "2 * 3 * 4 and *so* on",
        "a_b, _c_ and __init__",
        "`code` and $5$",
        "[text](address) and <b>bold</b> and &lt; and a\\b",
        "1. a number",
        "12) another",
        "- a dash",
        "+ a plus",
        "# no heading",
        "> no quotation",
        "x < y > z & w",
        "MAML++ and iMAML, C# too",
        "far past 2. MAML is",
    ],
)
def test_what_looks_like_markup_stays_text(words):
    lone = MarkdownIt("commonmark").parseInline(shown(text(words)))[0].children
    assert "".join(token.content for token in lone) == words
    assert {token.type for token in lone} <= {"text", "text_special"}
    assert html(shown(text(words))).startswith("<p>")


def test_only_what_must_be_is_escaped():
    assert shown(text("MAML++ of 2 (a_b), 1.5: 3 - 2 = 1.")) == "MAML++ of 2 (a_b), 1.5: 3 - 2 = 1."


def test_a_line_break_of_the_source_is_a_space():
    assert shown(text("one\ntwo")) == "one two"


def test_marks_within_a_line():
    marked = text(
        nodes.emphasis("", "a"), ", ", nodes.strong("", "b"), ", ", nodes.math("", "x_1\n")
    )
    assert shown(marked) == "*a*, **b**, $x_1$"


@pytest.mark.parametrize(("code", "found"), [("a_b", "`a_b`"), ("a`b", "`` a`b ``")])
def test_code_within_a_line(code, found):
    assert shown(nodes.literal("", code)) == found
    assert f"<code>{code}</code>" in html(found)


def test_an_equation_has_its_number():
    assert shown(nodes.math_block("", "\nx = 1\n", number=4)) == "$$\nx = 1 \\tag{3.4}\n$$"
    assert shown(nodes.math_block("", "x = 1", number=None)) == "$$\nx = 1\n$$"


def test_a_link_leads_somewhere_or_is_text():
    there = nodes.reference("", "there", refuri="https://example.org")
    assert shown(there) == "[there](https://example.org)"
    assert shown(nodes.reference("", "(3.4)", refid="equation-a")) == "(3.4)"
    assert shown(number_reference("", "4.1", refid="exercise-a")) == "4.1"


def test_lists_and_what_stands_inside():
    inner = nodes.bullet_list("", nodes.list_item("", text("b")))
    outer = nodes.enumerated_list(
        "", nodes.list_item("", text("a"), inner), nodes.list_item("", text("c"))
    )
    assert shown(outer) == "1. a\n\n   - b\n2. c"
    assert html(shown(outer)).count("<li>") == 3


def table(*rows, title=None):
    def row(cells):
        return nodes.row("", *(nodes.entry("", each) for each in cells))

    group = nodes.tgroup("", nodes.thead("", row(rows[0])), nodes.tbody("", *map(row, rows[1:])))
    return nodes.table("", *([nodes.title("", title)] if title else []), group)


def test_a_table_keeps_its_bars_and_its_digits():
    made = table(
        [text("K"), text("a | b")],
        [text("1.50"), text(nodes.math("", "|x|"), nodes.literal("", "p | q"))],
        title="Of bars",
    )
    assert shown(made) == (
        "**Table 3.4.** Of bars\n\n"
        "| K | a \\| b |\n| --- | --- |\n| 1.50 | $\\vert x\\vert $`p \\| q` |"
    )
    assert html(shown(made)).count("<td>") == 2


def test_a_remark_is_a_quotation():
    made = nodes.admonition("", nodes.title("", "Kinks"), text("one"), text("two"))
    assert shown(made) == "> **Kinks**\n>\n> one\n>\n> two"


def test_code_with_ticks_is_fenced_with_more():
    block = nodes.literal_block("", "```\na\n```\n", language="none")
    assert shown(block) == "````\n```\na\n```\n````"


@pytest.mark.parametrize(
    ("file", "lines", "name"),
    [
        ("maml.py", "def adapt(\n    model", "maml_teach.maml.adapt"),
        ("mlp.py", "    def hvp(self, theta: NDArray, v: NDArray, x: NDArray, y: NDArray)"
         " -> NDArray:\n        pass", "maml_teach.mlp.MLP.hvp"),
        ("tasks.py", "@dataclass(frozen=True)\nclass Lines:", "maml_teach.tasks.Lines"),
    ],
)  # fmt: skip
def test_a_listing_says_where_it_is_from(file, lines, name):
    path = str(plain.ROOT / "maml_teach" / file)
    block = nodes.literal_block("", lines, source=path, language="default")
    assert shown(block) == f"`{name}`:\n\n```python\n{lines}\n```"


def test_a_listing_of_no_function_is_an_error():
    path = str(plain.ROOT / "maml_teach" / "maml.py")
    block = nodes.literal_block("", "x = 1", source=path, language="default")
    with pytest.raises(ValueError, match=r"a listing of maml\.py shows no function: 'x = 1'"):
        shown(block)


def test_an_output_out_of_its_place_is_replaced_by_a_word():
    block = nodes.literal_block("", "Figure()", classes=["output", "text_plain"], language="none")
    assert shown(block) == "*The figure stands below the last cell that it is made of.*"


def test_an_unknown_kind_is_an_error():
    with pytest.raises(NotImplementedError, match="no Markdown is known for topic: 'words'"):
        shown(nodes.topic("", text("words")))
