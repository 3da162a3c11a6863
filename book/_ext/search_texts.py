"""What the search page shows of a result: the text of every section, as one script.

A page opened from a file can fetch no other page, but it can load a script. Sphinx's own index
finds and ranks; ``_static/search.js`` looks up here what to show of what it has found.
"""

import json
import re
from pathlib import Path

from bs4 import BeautifulSoup

PARTS = "section[id], .admonition[id]"
TITLES = ("h1", "h2", "h3", "h4", "h5", "h6", "p")
# What is no text of the page, or a second time what stands beside it.
LEFT_OUT = (
    "script, style, noscript, annotation, .headerlink, .katex-html, .eqno, .symbol-name, "
    ".run-page, .book-place, svg desc, svg title, summary"
)
BLOCKS = (
    "br, p, li, pre, td, th, dt, dd, figcaption, svg text, h2, h3, h4, .cell_output"
)
UNSEEN = re.compile("[\u200b\u2061-\u2064]")  # what MathML puts between its signs


def plain(node):
    """The words of a piece of a page, with one space between them."""
    return " ".join(UNSEEN.sub("", node.get_text()).split())


def title_of(part):
    """Takes the title out of a part of a page; nothing where there is none."""
    first = part.find(True, recursive=False)
    while first is not None and first.name == "span" and first.get("id"):
        first = first.find_next_sibling(True)  # further identifiers of a section
    return plain(first.extract()) if first is not None and is_title(first) else ""


def is_title(node):
    """Whether an element is the heading of a section or the title of a box."""
    boxed = "admonition-title" in node.get("class", ())
    return node.name in TITLES and (boxed or node.name != "p")


def entries(html):
    """``[[identifier, title, text], ...]`` of a page's sections and boxes, in their order.

    The text of a part is without that of the parts within it; one that has no other text has
    their titles.
    """
    page = BeautifulSoup(html, "html.parser")
    for node in page.select(LEFT_OUT):
        node.decompose()
    for node in page.select(BLOCKS):
        node.append("\n")
    found, inner = [], {}
    for part in reversed(page.select(PARTS)):
        title = title_of(part)
        if not title:
            continue
        outer = next((each for each in part.parents if each.name == "section"), None)
        text = plain(part.extract()) or ". ".join(reversed(inner.get(id(part), [])))
        found.append([part["id"], title, text])
        inner.setdefault(id(outer), []).append(title)
    return found[::-1]


def folder(app):
    """Where the texts of pages wait that a later build need not write again."""
    return Path(app.doctreedir) / "search_texts"


def keep(app, pagename, templatename, context, doctree):
    """Keep the text of a page that is being written."""
    if pagename in app.env.all_docs:
        path = folder(app) / f"{pagename}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(entries(context["body"])), "utf-8")


def write_script(app, exception):
    """Write the script, with the texts of all pages of the book."""
    if exception or app.builder.format != "html":
        return
    kept = {name: folder(app) / f"{name}.json" for name in sorted(app.env.all_docs)}
    texts = {name: json.loads(path.read_text("utf-8")) for name, path in kept.items()}
    script = f"var searchTexts = {json.dumps(texts, ensure_ascii=False)};\n"
    (Path(app.outdir) / "_static" / "search_texts.js").write_text(script, "utf-8")


def setup(app):
    """After all that changes the text of a page."""
    app.connect("html-page-context", keep, priority=950)
    app.connect("build-finished", write_script, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
