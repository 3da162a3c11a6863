"""Cards on symbols: what is theta_prime? The notation page is the only source.

A symbol in prose, as code or as maths, is marked with the row of the notation tables that explains
it. The first one on a page is a link to that row; the later ones are marked only, so that the
keyboard does not stop at every alpha. ``_static/reading.js`` shows the card.
"""

import json
import re
from html import escape

from docutils import nodes

SOURCE = "book/notation"
NAME = re.compile(r"[a-z_]\w{2,}|Task")
ALIASES = {
    r"\theta'": r"\theta_i'",
    r"\theta_k": r"\theta_{i,k}",
    r"\theta_K": r"\theta_{i,k}",
}
QUIET = (nodes.title, nodes.reference, nodes.caption, nodes.table, nodes.literal_block)

SIGNS = {
    r"\frac1T\sum_i": "1/T Σ_i",
    r"\bar\theta": "θ\N{COMBINING MACRON}",
    r"\bar g": "g\N{COMBINING MACRON}",
    r"\bar m": "m\N{COMBINING MACRON}",
    r"\mathcal{T}": "𝒯",
    r"\mathcal{L}": "ℒ",
    r"\mathcal{R}": "ℛ",
    r"\mathbb{E}": "𝔼",
    r"\sim": "∼",
    r"\nabla": "∇",
    r"\theta": "θ",
    r"\alpha": "α",
    r"\beta": "β",
    r"^*": "∗",
    r"\lambda": "λ",
    r"\mu": "μ",
    r"\delta": "δ",
    r"\varepsilon": "ε",
    r"\sigma": "σ",
    r"\varphi": "φ",
    r"\odot": "⊙",
    r"\cdot": "·",
    r"\sin": "sin ",
    r"\,": " ",
    r"\{": "{",
    r"\}": "}",
    "-": "−",
    "'": "′",
}
LEVELS = re.compile(r"([_^])(?:\{([^{}]*)\}|(\w))")


def readable(tex):
    """A short formula as HTML; it knows the signs of the notation page."""
    for sign, text in SIGNS.items():
        tex = tex.replace(sign, text)
    if "\\" in tex:
        raise ValueError(f"no sign is known for part of the formula {tex!r}")
    tag = {"_": "sub", "^": "sup"}
    return LEVELS.sub(lambda m: f"<{tag[m[1]]}>{m[2] or m[3]}</{tag[m[1]]}>", tex)


def as_html(node):
    """Content of a table cell as HTML, its maths spelled out."""
    parts = {
        nodes.math: lambda n: readable(n.astext()),
        nodes.Text: lambda n: escape(n.astext()),
    }
    if type(node) in parts:
        return parts[type(node)](node)
    inner = "".join(as_html(child) for child in node.children)
    tags = {nodes.strong: "strong", nodes.literal: "code"}
    return (
        f"<{tags[type(node)]}>{inner}</{tags[type(node)]}>"
        if type(node) in tags
        else inner
    )


def explained(doctree):
    """``(row, identifier, names, formulas, card)`` of each row of a table of symbols."""
    for table in doctree.findall(nodes.table):
        header = next(table.findall(nodes.thead)).astext()
        if not header.startswith("Symbol"):
            continue
        for row in next(table.findall(nodes.tbody)).findall(nodes.row):
            symbol, code, meaning = row.children[:3]
            names = [n.astext() for n in code.findall(nodes.literal)]
            formulas = [n.astext() for n in symbol.findall(nodes.math)]
            said = ", ".join(
                filter(None, [as_html(symbol).strip(" –"), as_html(code).strip(" –")])
            )
            identifier = (
                "symbol-"
                + re.sub(r"\W+", "-", (names or formulas)[0]).strip("-").lower()
            )
            yield (
                row,
                identifier,
                names,
                formulas,
                {"symbol": said, "meaning": as_html(meaning)},
            )


def glossary(doctree):
    """``{name or formula: identifier}`` without the ambiguous ones, and ``{identifier: card}``."""
    keys, cards, seen = {}, {}, set()
    for _, identifier, names, formulas, card in explained(doctree):
        cards[identifier] = card
        for key in [*filter(NAME.fullmatch, names), *formulas]:
            keys[key] = None if key in seen else identifier
            seen.add(key)
    keys |= {alias: keys.get(formula) for alias, formula in ALIASES.items()}
    return {key: identifier for key, identifier in keys.items() if identifier}, cards


def in_prose(node):
    """Whether a node stands in running text."""
    while node := node.parent:
        if isinstance(node, QUIET):
            return False
    return True


def spoken(card):
    """The symbol in plain text: what is read aloud of a link that holds an equation."""
    return re.sub(r"<[^>]*>", "", card["symbol"])


def wrap(node, before, after):
    """Put HTML around a node."""
    raw = [nodes.raw("", html, format="html") for html in (before, after)]
    node.replace_self([raw[0], node.deepcopy(), raw[1]])


def mark(node, identifier):
    """Mark a symbol that an earlier link explains."""
    wrap(node, f'<span class="symbol" data-symbol="{identifier}">', "</span>")


def link(node, identifier, target, card):
    """Make a symbol the link to its row; an equation alone would leave the link without a name."""
    name = f'<span class="symbol-name">, {spoken(card)}</span>'
    after = name if isinstance(node, nodes.math) else ""
    attributes = f'class="symbol" data-symbol="{identifier}"'
    wrap(node, f'<a href="{target}#{identifier}" {attributes}>', f"{after}</a>")


def mark_symbols(app, doctree, docname):
    """Give the rows of the notation page their addresses, and mark the symbols elsewhere."""
    if app.builder.format != "html" or SOURCE not in app.env.all_docs:
        return
    if docname == SOURCE:
        for row, identifier, *_ in explained(doctree):
            row["ids"].append(identifier)
        return
    keys, cards = glossary(app.env.get_doctree(SOURCE))
    target, used = app.builder.get_relative_uri(docname, SOURCE), set()
    for node in [*doctree.findall(nodes.literal), *doctree.findall(nodes.math)]:
        identifier = keys.get(node.astext())
        if identifier and in_prose(node):
            if identifier in used:
                mark(node, identifier)
            else:
                link(node, identifier, target, cards[identifier])
            used.add(identifier)
    if used:
        body = json.dumps({key: cards[key] for key in sorted(used)}, ensure_ascii=False)
        body = body.replace("</", "<\\/")
        html = f'<script type="application/json" id="symbol-cards">{body}</script>'
        doctree.append(nodes.raw("", html, format="html"))


def setup(app):
    """Connect to the last step before a page is written."""
    app.connect("doctree-resolved", mark_symbols)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
