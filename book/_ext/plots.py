"""Plots stand in the page as drawings, so that they follow its colours and its width."""

import re
from html import unescape
from pathlib import Path

from maml_teach.plotting import NESTED, themed

IMAGE = re.compile(r'<img(?=[^>]*\ssrc="([^"]+\.svg)")(?=[^>]*\salt="([^"]*)")[^>]*>')


def inline(html, folder):
    """A page with its plots in place of the pictures that point to them."""

    def drawn(found):
        path = folder / found[1]
        text = path.read_text("utf-8") if path.exists() else ""
        return themed(text, unescape(found[2])) if NESTED.search(text) else found[0]

    return IMAGE.sub(drawn, html)


def inline_all(app, exception):
    """Do this for every page that this build has written."""
    if exception or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        html = path.read_text("utf-8")
        if "/_images/" in html:
            path.write_text(inline(html, path.parent), "utf-8")


def setup(app):
    """Connect the steps above to the events they belong to."""
    app.connect("build-finished", inline_all)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
