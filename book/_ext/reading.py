"""What helps to read: where in the book a page stands, and markup that every reader's tools take."""

import re
from pathlib import Path

import yaml

# Markup of the theme and of Sphinx that accessibility checkers refuse, and what stands instead.
BOX = 'tabindex="0" role="group" aria-label="{}"'  # what scrolls inside itself
MENDED = [
    # A name that hides the words on the button.
    (
        re.compile(
            r'(<button class="btn search-button-field[^>]*) aria-label="Search"'
        ),
        r"\1",
    ),
    (re.compile(r'<summary aria-label="[^"]*">'), "<summary>"),
    # Title and search field stand outside all landmarks.
    (
        re.compile(r'<div class="(sidebar-primary-items__start[^"]*)"'),
        r'<div role="navigation" aria-label="Start and search" class="\1"',
    ),
    # Boxes that may scroll; reading.js takes the ones that do not out of the way of the Tab key.
    (re.compile(r"<pre>"), f"<pre {BOX.format('Code')}>"),
    (
        re.compile(r'(class="katex-display")(?! tabindex)'),
        rf"\1 {BOX.format('Equation')}",
    ),
    (
        re.compile(r'(class="pst-scrollable-table-container")(?! tabindex)'),
        rf"\1 {BOX.format('Table')}",
    ),
    # A column whose head is an equation has no name but its formula.
    (
        re.compile(
            r'<th class="head"><p>'
            r'(?=<span class="math.*?"application/x-tex">(.*?)</annotation>.*</p></th>)'
        ),
        r'<th class="head"><p><span class="symbol-name">\1: </span>',
    ),
    # A role that ARIA has given up.
    (re.compile(r'role="doc-biblioentry"'), 'role="listitem"'),
]


def places(source):
    """``{docname: (part, number, total)}`` of all pages in reading order."""
    toc = yaml.safe_load((Path(source) / "_toc.yml").read_text("utf-8"))
    pages = [(toc["root"], "")]
    for part in toc["parts"]:
        pages += [(chapter["file"], part["caption"]) for chapter in part["chapters"]]
    return {
        name: (part, k, len(pages)) for k, (name, part) in enumerate(pages, start=1)
    }


def show_place(app, pagename, templatename, context, doctree):
    """Say above the title which page of how many this is."""
    place = places(app.srcdir).get(pagename)
    if place and context.get("body"):
        part, number, total = place
        words = " · ".join(filter(None, [part, f"page {number} of {total}"]))
        bar = '<div class="reading-progress" aria-hidden="true"></div>'
        context["body"] = f'{bar}<p class="book-place">{words}</p>{context["body"]}'


def mend(html):
    """A finished page with the markup above replaced."""
    for pattern, instead in MENDED:
        html = pattern.sub(instead, html)
    return html


def mend_site(app, exception):
    """Mend every page of the built site."""
    if exception or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        path.write_text(mend(path.read_text("utf-8")), "utf-8")


def setup(app):
    """Connect the steps above to the events they belong to."""
    app.add_js_file("reading.js", loading_method="defer")
    app.connect("html-page-context", show_place, priority=902)
    app.connect("build-finished", mend_site)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
