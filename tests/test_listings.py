"""Listings of the package fit the page, and are the same code."""

import ast
import re
from pathlib import Path
from textwrap import dedent

import pytest
from extension import EXTENSION, imported
from sentences import cells

listings = imported("listings")
ROOT = Path(__file__).parents[1]
METHOD = """    def hvp(self, theta, v, x, y):
        return self.the_product_of_the_second_derivative(theta, v, x, y)  # (3.13), for all tasks
"""


def dump(code):
    """What a piece of code does, whatever its lines."""
    return ast.dump(ast.parse(dedent(code)))


def test_short_lines_stay_as_they_are():
    code = "x = [1,2]\ny=3\n"
    assert listings.fitted(code) == code


def test_long_lines_are_broken_and_nothing_else_is_changed():
    code = listings.fitted(METHOD, columns=70)
    assert max(map(len, code.splitlines())) <= 75  # a comment keeps its line
    assert all(line.startswith("    ") for line in code.splitlines())
    assert dump(code) == dump(METHOD) and "# (3.13), for all tasks" in code


def test_what_is_no_code_is_named():
    with pytest.raises(ValueError, match="a listing cannot be broken into lines"):
        listings.fitted("this is " + "no code " * 20)


def test_the_columns_are_those_of_the_cells():
    settings = (EXTENSION.parent / "ruff.toml").read_text("utf-8")
    assert int(re.search(r"line-length = (\d+)", settings)[1]) == listings.COLUMNS


def test_every_long_function_that_the_chapters_show_can_be_broken():
    shown = re.compile(r"\{literalinclude\} (\S+)\n:pyobject: (\S+)")
    found = [
        (path, name)
        for chapter in sorted((ROOT / "book").glob("*.ipynb"))
        for _, text in cells(chapter.stem, "markdown")
        for path, name in shown.findall(text)
    ]
    assert len(found) > 20
    for path, name in found:
        lines = function_lines(ROOT / "book" / path, name)
        assert dump(listings.fitted(lines)) == dump(lines), (path, name)


def function_lines(path, name):
    """The source of a function or a method of a file."""
    text = path.read_text("utf-8")
    nodes = ast.parse(text).body
    for part in name.split("."):
        (node,) = (node for node in nodes if getattr(node, "name", None) == part)
        nodes = getattr(node, "body", [])
    return "\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno])


def test_notes_to_the_tests_are_left_out_and_nothing_else():
    assertion = 'assert x == 1  # says "no note"\n# because\n'
    code = f'x = f(y)\n# says "It is one."\n    # says "x"\n{assertion}'
    assert listings.without_notes(code) == f"x = f(y)\n{assertion}"
