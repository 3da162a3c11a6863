"""Functions that chapters show without their docstring: nothing but the docstring is left out."""

import ast
import json
import re
from pathlib import Path

import pytest

BOOK = Path(__file__).parent.parent / "book"
SHOWN = re.compile(r"```\{literalinclude\} (\S+)\n((?::\S+:.*\n)*)```")


def shown():
    """(chapter, file, options) of every piece of source that a chapter includes."""
    for path in sorted(BOOK.glob("*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        for file, options in SHOWN.findall(text):
            yield path.stem, file, dict(re.findall(r":(\S+): *(.*)", options))


def find(tree, dotted):
    """The function, method or class with that name."""
    for name in dotted.split("."):
        tree = next(node for node in tree.body if getattr(node, "name", None) == name)
    return tree


@pytest.mark.parametrize("chapter, file, options", list(shown()))
def test_only_the_docstring_is_left_out(chapter, file, options):
    node = find(ast.parse((BOOK / file).read_text("utf-8")), options["pyobject"])
    if "lines" not in options:
        return
    assert options["lines"] == without_docstring(node)


def without_docstring(node):
    """The lines of a function from ``def`` on; Sphinx counts from its first decorator."""
    above = node.lineno - min([node.lineno, *(each.lineno for each in node.decorator_list)])
    signature_ends = above + node.body[0].lineno - node.lineno
    after = above + node.body[0].end_lineno - node.lineno + 2
    first = above + 1
    start = f"{first}" if signature_ends == first else f"{first}-{signature_ends}"
    return f"{start},{after}-"
