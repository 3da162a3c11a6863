"""Where a page stands in the book, and markup that accessibility checkers take."""

from types import SimpleNamespace

import pytest
from extension import imported

reading = imported("reading")
CONTENTS = """
root: book/first
parts:
  - caption: I. One
    chapters: [{file: book/a}, {file: book/b}]
  - caption: II. Two
    chapters: [{file: book/c}]
"""


BOX = 'tabindex="0" role="group" aria-label="'


@pytest.fixture
def app(tmp_path):
    (tmp_path / "_toc.yml").write_text(CONTENTS, "utf-8")
    return SimpleNamespace(srcdir=str(tmp_path))


def test_pages_are_counted_in_reading_order(app):
    assert reading.places(app.srcdir) == {
        "book/first": ("", 1, 4),
        "book/a": ("I. One", 2, 4),
        "book/b": ("I. One", 3, 4),
        "book/c": ("II. Two", 4, 4),
    }


def body(app, page, before="<h1>x</h1>"):
    context = {"body": before}
    reading.show_place(app, page, "", context, None)
    return context["body"]


def test_a_page_says_where_it_stands(app):
    bar = '<div class="reading-progress" aria-hidden="true"></div>'
    place = '<p class="book-place">II. Two · page 4 of 4</p>'
    assert body(app, "book/c") == f"{bar}{place}<h1>x</h1>"
    assert '<p class="book-place">page 1 of 4</p>' in body(app, "book/first")
    assert body(app, "search") == "<h1>x</h1>"
    assert body(app, "book/c", "") == ""


HEAD = '<th class="head"><p>{}</p></th>'
FORMULA = '<span class="math"><annotation encoding="application/x-tex">\\beta</annotation></span>'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '<button class="btn search-button-field x" title="S" aria-label="Search">',
            '<button class="btn search-button-field x" title="S">',
        ),
        ('<button class="btn other" aria-label="Search">', None),
        ('<summary aria-label="Toggle hidden content">', "<summary>"),
        (
            '<div class="sidebar-primary-items__start x"',
            '<div role="navigation" aria-label="Start and search" '
            'class="sidebar-primary-items__start x"',
        ),
        ("<pre>1</pre><pre>2</pre>", f'<pre {BOX}Code">1</pre><pre {BOX}Code">2</pre>'),
        ('<span class="katex-display">', f'<span class="katex-display" {BOX}Equation">'),
        (
            '<div class="pst-scrollable-table-container">',
            f'<div class="pst-scrollable-table-container" {BOX}Table">',
        ),
        ('<div role="doc-biblioentry">', '<div role="listitem">'),
        (
            HEAD.format(FORMULA),
            HEAD.format(f'<span class="symbol-name">\\beta: </span>{FORMULA}'),
        ),
        (HEAD.format("words"), None),
    ],
)
def test_markup_is_mended(before, after):
    assert reading.mend(before) == (before if after is None else after)
    assert reading.mend(reading.mend(before)) == reading.mend(before)


def test_every_page_of_the_site_is_mended(tmp_path):
    for name in ("index.html", "book/a.html"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("<pre>1</pre>", "utf-8")
    app = SimpleNamespace(outdir=str(tmp_path), builder=SimpleNamespace(format="html"))
    reading.mend_site(app, ValueError("failed"))
    assert (tmp_path / "index.html").read_text("utf-8") == "<pre>1</pre>"
    reading.mend_site(app, None)
    assert {p.read_text("utf-8") for p in tmp_path.rglob("*.html")} == {f'<pre {BOX}Code">1</pre>'}
