"""Folded code: neighbouring cells share one fold, and its bar says what is inside.

Only the page changes: a notebook keeps every cell as it is in the source.
"""

import re

from docutils import nodes

FUNCTION = re.compile(r"^(?:async )?(?:def|class) (\w+)", re.MULTILINE)
VARIABLE = re.compile(r"^(\w+(?:, \w+)*) = ", re.MULTILINE)
# What a cell shows, by the node that holds it.
MADE = {"plot": nodes.image, "table": nodes.table}
ROOM = 14  # characters of names that fit on a bar on a phone


def is_folded(node):
    """Whether a node is a cell whose code is folded."""
    return node.get("nb_element") == "cell_code" and node.get("hide_mode") == "input"


def output(cell):
    """The node that holds what a cell shows, or ``None``."""
    last = cell.children[-1]
    return last if last.get("nb_element") == "cell_code_output" else None


def rows(parent):
    """Folded cells that stand in a row below a node: one with an output ends its row."""
    row = []
    for node in parent.children:
        folded = isinstance(node, nodes.container) and is_folded(node)
        if row and (not folded or output(row[-1])):
            yield row
            row = []
        if folded:
            row.append(node)
    if row:
        yield row


def shortened(names):
    """As many of the names as there is room for."""
    first, *others = names
    for name in others:
        if len(first) + len(name) > ROOM:
            return f"{first}, …"
        first = f"{first}, {name}"
    return first


def made(cell):
    """In a word, what a cell shows."""
    shown = output(cell)
    kinds = (kind for kind, node in MADE.items() if next(shown.findall(node), None))
    return next(kinds, "output")


def code_of(cells):
    """The code of cells, one after the other."""
    folds = [next(cell.children[0].findall(nodes.literal_block)) for cell in cells]
    return "\n".join(block.astext() for block in folds)


def label(cells):
    """What a fold holds, in the words of its bar: what the code shows, else what it defines."""
    code = code_of(cells)
    names = FUNCTION.findall(code) or VARIABLE.findall(code)
    what = f": {shortened(dict.fromkeys(names))}" if names else ""
    if output(cells[-1]):
        what = f" of this {made(cells[-1])}"
    n_lines = sum(1 for line in code.splitlines() if line.strip())
    return f"Code{what} ({n_lines} line{'s' * (n_lines > 1)})"


def join(cells):
    """Put the cells of a row into the fold of the last one, each with its own identifier."""
    *earlier, last = cells
    fold = last.children[0]
    fold["prompt_show"] = fold["prompt_hide"] = label(cells)
    for cell in reversed(earlier):
        cell.parent.remove(cell)
        cell.replace(cell.children[0], cell.children[0].children)
        fold.insert(0, cell)


def join_folds(app, doctree, docname):
    """Join the folds of a page."""
    if app.builder.format == "html":
        parents = doctree.findall(nodes.Element)
        for cells in [row for parent in parents for row in rows(parent)]:
            join(cells)


def setup(app):
    """After the notebook extension has folded the cells."""
    app.connect("doctree-resolved", join_folds)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
