"""Code as a page shows it: in lines that it has room for, without notes to the tests."""

import re
import subprocess
import sys
from textwrap import dedent

from docutils import nodes

COLUMNS = 88  # as in the cells: they fit beside both sidebars from 1280 pixels on
# Which sentence of the chapter an assertion holds true: for the tests, and for who edits a chapter.
NOTE = re.compile(r'^ *# says ".*"\n?', re.MULTILINE)
FORMAT = (sys.executable, "-m", "ruff", "format", "--isolated", "-")


def fitted(code, columns=COLUMNS):
    """Code with its long lines broken as its formatter would; nothing else is changed.

    Raises:
        ValueError: If a line is too long and the code cannot be read as Python.
    """
    if all(len(line) <= columns for line in code.splitlines()):
        return code
    flat = dedent(code)
    margin = " " * (len(code) - len(code.lstrip(" ")))
    options = ("--line-length", str(columns - len(margin)))
    run = subprocess.run(
        [*FORMAT, *options], input=flat, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise ValueError(f"a listing cannot be broken into lines: {run.stderr.strip()}")
    return "".join(
        margin + line if line.strip() else line
        for line in run.stdout.splitlines(keepends=True)
    )


def without_notes(code):
    """The code of a cell as a reader needs it.

    >>> print(without_notes('# says "They agree."\\nassert x == y'))
    assert x == y
    """
    return NOTE.sub("", code)


def fit_listings(app, doctree, docname):
    """Do this for every listing that is taken from a file, and for every cell."""
    if app.builder.format != "html":
        return
    for block in doctree.findall(nodes.literal_block):
        code = block.astext()
        if "source" in block and block.get("language") in ("python", "default", None):
            code = fitted(dedent(code))
        elif block.get("language") == "ipython3":
            code = without_notes(code)
        if code != block.astext():
            block.rawsource, block.children = code, [nodes.Text(code)]


def setup(app):
    """Connect the step above to the event it belongs to."""
    app.connect("doctree-resolved", fit_listings)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
