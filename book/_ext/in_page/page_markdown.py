"""The Markdown that cells of the book produce, as HTML: tables, code, bold, Greek letters."""

import re
from html import escape

GREEK = {
    "theta": "θ",
    "alpha": "α",
    "beta": "β",
    "lambda": "λ",
    "phi": "φ",
    "nabla": "∇",
}
LETTER = re.compile(r"\\([a-zA-Z]+)")
SUBSCRIPT = re.compile(r"_(?:\{([^}]*)\}|(\w))")
MATHS = re.compile(r"\$([^$]+)\$")
KEPT = re.compile(r"&lt;br\s*/?&gt;|&amp;(\w+;)")
CODE = re.compile(r"`([^`]+)`")
BOLD = re.compile(r"\*\*(.+?)\*\*")


def maths(match):
    """Letters and subscripts of a short formula; anything longer keeps its source."""
    text = LETTER.sub(lambda letter: GREEK.get(letter[1], letter[0]), match[1])
    return f"<em>{SUBSCRIPT.sub(lambda s: f'<sub>{s[1] or s[2]}</sub>', text)}</em>"


def inline(text):
    """One line of Markdown as HTML."""
    safe = KEPT.sub(lambda m: f"&{m[1]}" if m[1] else "<br>", escape(text, quote=False))
    return BOLD.sub(
        r"<strong>\1</strong>", CODE.sub(r"<code>\1</code>", MATHS.sub(maths, safe))
    )


def row(line, tag):
    """One line of a Markdown table as a row of HTML."""
    cells = line.strip().strip("|").split("|")
    return f"<tr>{''.join(f'<{tag}>{inline(cell.strip())}</{tag}>' for cell in cells)}</tr>"


def table(lines):
    """A Markdown table, head line first, as an HTML table."""
    head, _, *body = lines
    rows = "".join(row(line, "td") for line in body)
    return f'<table class="table"><thead>{row(head, "th")}</thead><tbody>{rows}</tbody></table>'


def to_html(text):
    """Markdown with tables and paragraphs as HTML.

    >>> to_html("| a |\\n|---|\\n| `b` |")
    '<table class="table"><thead><tr><th>a</th></tr></thead><tbody><tr><td><code>b</code></td></tr></tbody></table>'
    """
    blocks = [block.splitlines() for block in re.split(r"\n\s*\n", text.strip())]
    return "".join(
        table(lines)
        if lines[0].lstrip().startswith("|")
        else f"<p>{inline(' '.join(lines))}</p>"
        for lines in blocks
    )
