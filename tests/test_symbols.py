"""Cards on symbols: the notation tables are their only source, and prose is where they stand."""

import json
import re
from types import SimpleNamespace

import pytest
from docutils import nodes
from extension import imported

symbols = imported("symbols")


@pytest.mark.parametrize(
    ("tex", "html"),
    [
        (r"\theta_i'", "θ<sub>i</sub>′"),
        (r"\theta_{i,k}", "θ<sub>i,k</sub>"),
        (r"\alpha - \beta^2", "α − β<sup>2</sup>"),
        (r"\nabla\mathcal{L}_{\mathcal{T}}", "∇ℒ<sub>𝒯</sub>"),
        (r"\frac1T\sum_i", "1/T Σ<sub>i</sub>"),
        (r"\{x\,y\}", "{x y}"),
        (r"p(\mathcal{T})", "p(𝒯)"),
        ("K", "K"),
    ],
)
def test_a_formula_can_be_read(tex, html):
    assert symbols.readable(tex) == html


def test_a_sign_that_is_not_known_is_named():
    with pytest.raises(ValueError, match=r"no sign is known .*\\\\gamma"):
        symbols.readable(r"\gamma_i")


def test_every_known_sign_is_another():
    assert len(set(symbols.SIGNS.values())) == len(symbols.SIGNS)


def cell(*children):
    return nodes.entry("", nodes.paragraph("", "", *children))


def code(text):
    return nodes.literal(text, text)


def maths(tex):
    return nodes.math(tex, tex)


def words(text):
    return nodes.Text(text)


def table(head, *rows):
    group = nodes.tgroup(cols=len(head))
    group += nodes.thead("", nodes.row("", *(cell(words(title)) for title in head)))
    group += nodes.tbody("", *(nodes.row("", *cells) for cells in rows))
    return nodes.table("", group)


def notation():
    """Three symbols: theta, the ambiguous k, and one that is only a formula."""
    rows = [
        (
            cell(maths(r"\theta"), words(", "), maths(r"\theta_0")),
            cell(code("theta")),
            cell(words("meta-parameters & "), nodes.strong("", "start")),
        ),
        (cell(maths("k")), cell(code("n_inner_steps")), cell(words("inner step"))),
        (cell(maths("k")), cell(words("–")), cell(words("another thing"))),
        (cell(maths(r"\theta_i'")), cell(code("theta_prime")), cell(words("adapted"))),
        (cell(maths(r"\beta")), cell(words("–")), cell(code("of"), words(" the outer loop"))),
    ]
    document = new_document()
    document += table(("Symbol", "In code", "Meaning"), *rows)
    document += table(("Name", "Else"), (cell(code("not_a_symbol")), cell(words("x"))))
    return document


def new_document():
    document = nodes.document(SimpleNamespace(), None)
    document.settings = SimpleNamespace(language_code="en")
    return document


def test_the_glossary_is_the_tables_of_symbols():
    keys, cards = symbols.glossary(notation())
    assert keys == {
        "theta": "symbol-theta",
        r"\theta": "symbol-theta",
        r"\theta_0": "symbol-theta",
        "n_inner_steps": "symbol-n_inner_steps",
        "theta_prime": "symbol-theta_prime",
        r"\theta_i'": "symbol-theta_prime",
        r"\theta'": "symbol-theta_prime",  # as chapters write it
        r"\beta": "symbol-beta",
    }
    assert cards["symbol-theta"] == {
        "symbol": "θ, θ<sub>0</sub>, <code>theta</code>",
        "meaning": "meta-parameters &amp; <strong>start</strong>",
    }
    assert cards["symbol-beta"] == {"symbol": "β", "meaning": "<code>of</code> the outer loop"}


def test_a_symbol_with_two_meanings_has_no_card():
    assert "k" not in symbols.glossary(notation())[0]


def page(*paragraphs):
    document = new_document()
    for children in paragraphs:
        document += nodes.paragraph("", "", *children)
    return document


def marked(document, docname="book/one", docs=(symbols.SOURCE, "book/one"), kind="html"):
    """The page as HTML after the marking: raw HTML as it is, the rest as text."""
    env = SimpleNamespace(
        all_docs=docs, get_doctree=lambda name: {symbols.SOURCE: notation()}[name]
    )
    builder = SimpleNamespace(
        format=kind, get_relative_uri=lambda here, there: f"{here}->{there}.html"
    )
    symbols.mark_symbols(SimpleNamespace(builder=builder, env=env), document, docname)
    return "".join(node.astext() for node in document.findall() if not node.children)


def test_the_first_is_a_link_and_the_others_are_marked():
    document = page((words("a "), code("theta"), words(" b ")), (maths(r"\theta"), code("other")))
    html = marked(document)
    link = '<a href="book/one->book/notation.html#symbol-theta" class="symbol"'
    assert f'a {link} data-symbol="symbol-theta">theta</a> b ' in html
    assert '<span class="symbol" data-symbol="symbol-theta">\\theta</span>other' in html
    cards = json.loads(re.search(r'id="symbol-cards">(.*)</script>', html)[1])
    assert cards == {"symbol-theta": symbols.glossary(notation())[1]["symbol-theta"]}


def test_the_link_of_an_equation_has_a_name():
    html = marked(page((maths(r"\theta_i'"),)))
    name = '<span class="symbol-name">, θi′, theta_prime</span>'
    assert f'data-symbol="symbol-theta_prime">\\theta_i\'{name}</a>' in html


@pytest.mark.parametrize(
    "quiet", [nodes.title, nodes.reference, nodes.caption, nodes.literal_block]
)
def test_where_nothing_is_marked(quiet):
    document = new_document()
    document += quiet("", "", code("theta"))
    assert marked(document) == "theta"


def test_nothing_is_marked_in_a_table():
    document = new_document()
    document += table(("A", "B"), (cell(code("theta")), cell(maths(r"\beta"))))
    assert "symbol" not in marked(document)


def test_nothing_is_marked_without_a_notation_page_or_for_paper():
    for settings in ({"docs": ("book/one",)}, {"kind": "latex"}):
        assert marked(page((code("theta"),)), **settings) == "theta"


def test_the_rows_of_the_notation_page_get_their_addresses():
    document = notation()
    marked(document, symbols.SOURCE)
    rows = [row for body in document.findall(nodes.tbody) for row in body.findall(nodes.row)]
    assert [row["ids"] for row in rows] == [
        ["symbol-theta"],
        ["symbol-n_inner_steps"],
        ["symbol-k"],
        ["symbol-theta_prime"],
        ["symbol-beta"],
        [],
    ]
