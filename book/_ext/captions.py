"""Tables that cells print have captions too, and what is beside a number steps back.

The caption of what a cell shows stands in its metadata, ``mystnb.figure.caption``; MyST-NB makes a
figure of it, whatever is shown. Here a figure that holds a table becomes a table with a title, so
that it counts as one.
"""

import re

from docutils import nodes
from sphinx.transforms import SphinxTransform

INTERVAL = re.compile(r"\s*(±\s?[\d.]+(?:\s*±\s?[\d.]+)*)")
VERDICT = re.compile(r"(Verdict: )?(true|with conditions|undecided)[.,]?$")


class TablesOfCells(SphinxTransform):
    """Makes a captioned table of each figure that holds one, before anything is numbered."""

    default_priority = 205

    def apply(self, **kwargs):
        """Go through the figures of one page."""
        for figure in list(self.document.findall(nodes.figure)):
            table = next(figure.findall(nodes.table), None)
            caption = next(figure.findall(nodes.caption), None)
            if table is None or caption is None:
                continue
            table.insert(0, nodes.title(caption.rawsource, "", *caption.children))
            figure.remove(caption)
            table["ids"], figure["ids"] = figure["ids"] + table["ids"], []
            figure.replace_self(figure.children)


def set_apart(app, doctree, docname):
    """Give intervals and verdicts classes of their own."""
    if app.builder.format != "html":
        return
    for entry in list(doctree.findall(has_numbers)):
        for text in list(entry.findall(nodes.Text)):
            text.parent.replace(text, with_intervals(text.astext()))
    for strong in doctree.findall(nodes.strong):
        if VERDICT.match(strong.astext()):
            strong["classes"].append("verdict")


def has_numbers(node):
    """Whether intervals step back in a node: in a cell of a table, and where a result is told."""
    told = isinstance(node, nodes.inline) and "pasted-text" in node["classes"]
    return told or isinstance(node, nodes.entry)


def with_intervals(text):
    """The pieces of a cell's text, its intervals as ``inline`` nodes."""
    pieces = INTERVAL.split(text)
    made = [
        nodes.inline("", f" {piece}", classes=["interval"])
        if k % 2
        else nodes.Text(piece)
        for k, piece in enumerate(pieces)
        if piece
    ]
    return made or [nodes.Text(text)]


def setup(app):
    """Connect the steps above to the events they belong to."""
    app.add_transform(TablesOfCells)
    app.connect("doctree-resolved", set_apart)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
