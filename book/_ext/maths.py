"""Equations, set when the site is built: KaTeX runs here, once, and no page runs it again.

Its HTML carries MathML, which is what screen readers take.
"""

from functools import cache
from pathlib import Path

from docutils import nodes
from py_mini_racer import JSEvalException, MiniRacer
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

KATEX = Path(__file__).parent / "vendor" / "katex" / "katex.min.js"
log = logging.getLogger(__name__)


@cache
def engine():
    """A JavaScript engine that has read KaTeX."""
    started = MiniRacer()
    started.eval(KATEX.read_text("utf-8"))
    return started


@cache
def typeset(tex, display):
    """HTML of one formula.

    Raises:
        ValueError: If KaTeX cannot read the formula; it says where.
    """
    options = {"displayMode": display, "throwOnError": True, "strict": "error"}
    try:
        return engine().call("katex.renderToString", tex, options)
    except JSEvalException as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"no equation from {tex!r}: {reason}") from None


def html_of(node, display):
    """The same for a node of a page; what cannot be read becomes a warning and stays as it is."""
    tex = node.astext()
    if display and "\\\\" in tex and "\\begin" not in tex:
        tex = rf"\begin{{split}}{tex}\end{{split}}"  # as Sphinx does for lines
    try:
        return typeset(tex, display)
    except ValueError as error:
        log.warning("%s", error, location=node)
        return nodes.literal(tex, tex).astext()


def visit_inline(writer, node):
    """``$...$`` in a line."""
    start = writer.starttag(node, "span", "", CLASS="math notranslate nohighlight")
    writer.body.append(f"{start}{html_of(node, display=False)}</span>")
    raise nodes.SkipNode


def visit_block(writer, node):
    """A displayed equation, with its number and a link to it."""
    writer.body.append(
        writer.starttag(node, "div", CLASS="math notranslate nohighlight")
    )
    if node["number"]:
        writer.body.append(
            f'<span class="eqno">({get_node_equation_number(writer, node)})'
        )
        writer.add_permalink_ref(node, "Link to this equation")
        writer.body.append("</span>")
    writer.body.append(f"{html_of(node, display=True)}</div>\n")
    raise nodes.SkipNode


def add_styles(app, pagename, templatename, context, doctree):
    """The style sheet, on pages with equations."""
    if app.env.get_domain("math").data["has_equations"].get(pagename, False):
        app.add_css_file("vendor/katex/katex.min.css")


def setup(app):
    """Register under the name that ``html_math_renderer`` asks for."""
    app.add_html_math_renderer("katex", (visit_inline, None), (visit_block, None))
    app.connect("html-page-context", add_styles)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
