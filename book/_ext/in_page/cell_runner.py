"""Runs the cells of a chapter inside the page, in one namespace, as Jupyter would.

What a cell shows is handed to ``emit(kind, data)`` as it comes. Kinds: ``stdout``, ``stderr``
and ``text`` (plain text), ``html``, ``image`` (a drawing), ``error`` (the end of the
traceback).
"""

import ast
import io
import linecache
import logging
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout

NAMES = {"__name__": "__main__"}
TRACEBACK_LINES = 12
MOST_TEXT = 100_000  # characters of one cell; a page with more becomes slow
_emit = print
# A line about fonts would stand among a cell's results, once per visit.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


class Stream(io.TextIOBase):
    """Hands on what is printed."""

    def __init__(self, kind):
        self.kind, self.room = kind, MOST_TEXT

    def write(self, text):
        """Hand on text at once, so that a long cell is seen to work; too much ends."""
        if self.room > 0:
            _emit(self.kind, text[: self.room])
            self.room -= len(text)
            if self.room <= 0:
                _emit(self.kind, "\n[the rest is not shown]\n")
        return len(text)


def show(value):
    """Show a value under the cell in its richest form."""
    if hasattr(value, "_repr_html_"):
        _emit("html", value._repr_html_())
    elif value is not None:
        _emit("text", repr(value))


def show_figures():
    """Show the open figures as pictures, and close them."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    for number in pyplot.get_fignums() if pyplot else ():
        figure = pyplot.figure(number)
        _emit("image", picture(figure))
        pyplot.close(figure)


def picture(figure):
    """The figure as a drawing in the page's colours, named by the titles in it."""
    # Not before there is a figure: then matplotlib is loaded.
    from maml_teach.plotting import drawing, themed

    titles = "; ".join(filter(None, (ax.get_title() for ax in figure.axes)))
    return themed(drawing(figure), titles or "Figure of this cell")


def execute(source, name):
    """Run a cell; return the value of its last expression unless a semicolon follows it."""
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    tree = ast.parse(source, name)
    last = tree.body[-1] if tree.body else None
    silent = source.rstrip().endswith(";")
    if not isinstance(last, ast.Expr) or silent:
        exec(compile(tree, name, "exec"), NAMES)
        return None
    tree.body.pop()
    exec(compile(tree, name, "exec"), NAMES)
    return eval(compile(ast.Expression(last.value), name, "eval"), NAMES)


def end_of_traceback(error, name):
    """The last lines of the traceback, from the cell on."""
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename != name:
        frames = frames.tb_next
    lines = "".join(traceback.format_exception(type(error), error, frames)).splitlines()
    return "\n".join(lines[-TRACEBACK_LINES:])


def run(source, name, emit):
    """Run one cell and show what it makes.

    Args:
        source: The code.
        name: What a traceback calls the cell.
        emit: Function ``(kind, data)`` that gets everything the cell shows.

    Returns:
        Whether it ran to its end.
    """
    global _emit
    _emit = emit
    with redirect_stdout(Stream("stdout")), redirect_stderr(Stream("stderr")):
        try:
            show(execute(source, name))
            show_figures()
        except BaseException as error:
            emit("error", end_of_traceback(error, name))
            return False
    return True
