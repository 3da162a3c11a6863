"""Resolved text of a page as plain Markdown, which JupyterLab, VS Code and Colab all show.

A function for each kind of node. ``page`` says what a node does not know itself: it has
``number(node)``, the number of an equation, exercise, algorithm, figure or table as on the site, and
``address(node)``, where a link leads, empty if the text alone is enough.
"""

import ast
import re
from functools import lru_cache
from pathlib import Path
from textwrap import indent

from docutils import nodes
from sphinx.addnodes import number_reference
from sphinx_exercise.nodes import exercise_enumerable_node
from sphinx_proof.nodes import algorithm_node

ROOT = Path(__file__).parents[2]
SPECIAL = re.compile(
    r"[\\*`$]|(?<![^\W_])_|_(?![^\W_])|\](?=\()|<(?=[a-zA-Z/!?])|&(?=#?\w+;)"
)
LOOKS_LIKE_A_LIST = re.compile(r"^(\d*)([#>+.)-])(?=\s)")
SHOWN_BELOW = "*The figure stands below the last cell that it is made of.*"


def escaped(text):
    """Text in which nothing is taken for markup.

    >>> print(escaped("2 * x_i < $3, _so_"))
    2 \\* x_i < \\$3, \\_so\\_
    """
    return SPECIAL.sub(lambda sign: "\\" + sign[0], text.replace("\n", " "))


def fenced(code, language=""):
    """A block of code, within more ticks than it holds itself."""
    longest = max((len(ticks) for ticks in re.findall("`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{code.rstrip()}\n{fence}"


def quoted(text):
    """Text as a quotation."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def one_line(node):
    """The text of a node, its spaces single."""
    return " ".join(node.astext().split())


def markdown(node, page):
    """A node as Markdown.

    Raises:
        NotImplementedError: If no writer is known for its kind.
    """
    for kind in type(node).__mro__:
        if kind in WRITERS:
            return WRITERS[kind](node, page)
    raise NotImplementedError(
        f"no Markdown is known for {node.tagname}: {node.astext()[:60]!r}"
    )


def inline(node, page):
    """What a node holds, in one line."""
    return "".join(markdown(child, page) for child in node.children)


def blocks(children, page):
    """Blocks with a line between them."""
    return "\n\n".join(filter(None, (markdown(child, page) for child in children)))


def paragraph(node, page):
    """A paragraph; its start is not taken for that of a list or a heading."""
    return LOOKS_LIKE_A_LIST.sub(r"\1\\\2", inline(node, page).strip())


def code(node, page):
    """Code within a line."""
    text = one_line(node)
    return f"`` {text} ``" if "`" in text else f"`{text}`"


@lru_cache
def definitions(path):
    """``{first line: qualified name}`` of the functions and classes of a file."""
    text = Path(path).read_text("utf-8")
    lines, found = text.splitlines(), {}

    def look(body, prefix):
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.setdefault(lines[node.lineno - 1].strip(), prefix + node.name)
                look(node.body, f"{prefix}{node.name}.")

    look(ast.parse(text).body, "")
    return found


def origin(node):
    """Which function of which module a listing shows, such as ``maml_teach.mlp.MLP.hvp``.

    Raises:
        ValueError: If it shows no function or class of its file.
    """
    path = Path(node["source"])
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    names = definitions(str(path))
    for line in map(str.strip, node.astext().splitlines()):
        if line in names:
            return f"{module}.{names[line]}"
    raise ValueError(
        f"a listing of {path.name} shows no function: {node.astext()[:60]!r}"
    )


def listing(node, page):
    """A block of code; where it is a function of the package, with its name."""
    if "output" in node["classes"]:  # of a cell further down, which the site shows here
        return SHOWN_BELOW
    if "source" in node:
        return f"`{origin(node)}`:\n\n{fenced(node.astext(), 'python')}"
    return fenced(node.astext(), node["language"].replace("none", ""))


def equation(node, page):
    """An equation with its number."""
    tag = f" \\tag{{{page.number(node)}}}" if node.get("number") else ""
    return f"$$\n{node.astext().strip()}{tag}\n$$"


def link(node, page):
    """A link, or its text alone where there is nowhere to go."""
    address, text = page.address(node), inline(node, page).strip()
    return f"[{text}]({address})" if address else text


def items(node, page):
    """A list; a block after the first line of an item is indented below it."""
    is_numbered = isinstance(node, nodes.enumerated_list)
    found = []
    for n, item in enumerate(node.children, 1):
        marker = f"{n}. " if is_numbered else "- "
        text = blocks(item.children, page)
        found.append(marker + indent(text, " " * len(marker)).lstrip())
    return "\n".join(found)


def cell(entry, page):
    """A cell of a table, in one line, with no bar of its own."""
    text = re.sub(r"\s*\n\s*", "<br>", blocks(entry.children, page))
    for math in entry.findall(nodes.math):
        bare = one_line(math).replace(r"\|", r"\Vert ").replace("|", r"\vert ")
        text = text.replace(f"${one_line(math)}$", f"${bare}$")
    return text.replace("|", r"\|")


def caption(node, text, page):
    """The number of a figure or a table, and what its caption says."""
    kind = "Table" if isinstance(node, nodes.table) else "Fig."
    return f"**{kind} {page.number(node)}.** {inline(text, page)}"


def figure(node, page):
    """What a figure in a text shows, and its caption."""
    *shown, text = node.children
    return f"{blocks(shown, page)}\n\n{caption(node, text, page)}"


def table(node, page):
    """A table, its first row the header, below its title if it has one."""
    rows = [
        [cell(entry, page) for entry in row.children] for row in node.findall(nodes.row)
    ]
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    title = [caption(node, each, page) + "\n" for each in node.findall(nodes.title)]
    return "\n".join([*title, *(f"| {' | '.join(cells)} |" for cells in lines)])


def remark(node, page):
    """A remark, as a quotation with its title in bold."""
    title, *body = node.children
    return quoted(f"**{inline(title, page)}**\n\n{blocks(body, page)}")


def steps(numbered, page, above=""):
    """The lines of an algorithm; those inside others say their whole number, as in 2.2.1."""
    for n, item in enumerate(numbered.children, 1):
        inner = [
            child for child in item.children if isinstance(child, nodes.enumerated_list)
        ]
        text = " ".join(
            markdown(child, page) for child in item.children if child not in inner
        )
        yield f"{'&emsp;' * above.count('.')}{above}{n}&ensp;{text}"
        for each in inner:
            yield from steps(each, page, f"{above}{n}.")


def algorithm(node, page):
    """An algorithm as a quotation: name, input and output, numbered lines."""
    title, content = node.children
    parts = [f"**Algorithm {page.number(node)}** {inline(title, page).strip()}"]
    for child in content.children:
        is_steps = isinstance(child, nodes.enumerated_list)
        parts.append(
            "<br>\n".join(steps(child, page)) if is_steps else markdown(child, page)
        )
    return quoted("\n\n".join(parts))


def exercise(node, page):
    """A heading with the exercise's number and name, and its text."""
    title, content = node.children
    heading = f"### Exercise {page.number(node)} {inline(title, page).strip()}"
    return f"{heading}\n\n{blocks(content.children, page)}"


def source(node, page):
    """A source of the bibliography, under its authors and year."""
    label, *body = node.children
    return f"**{label.astext()}.** {blocks(body, page)}"


WRITERS = {
    nodes.Text: lambda node, page: escaped(node.astext()),
    nodes.emphasis: lambda node, page: f"*{inline(node, page)}*",
    nodes.strong: lambda node, page: f"**{inline(node, page)}**",
    nodes.inline: inline,
    nodes.math: lambda node, page: f"${one_line(node)}$",
    nodes.literal: code,
    nodes.reference: link,
    number_reference: link,
    nodes.paragraph: paragraph,
    nodes.bullet_list: items,
    nodes.enumerated_list: items,
    nodes.block_quote: lambda node, page: quoted(blocks(node.children, page)),
    nodes.container: lambda node, page: blocks(node.children, page),
    nodes.math_block: equation,
    nodes.literal_block: listing,
    nodes.table: table,
    nodes.figure: figure,
    nodes.admonition: remark,
    nodes.citation: source,
    algorithm_node: algorithm,
    exercise_enumerable_node: exercise,
    nodes.target: lambda node, page: "",
    nodes.compound: lambda node, page: (
        ""
    ),  # the table of contents, which is the theme's
}
