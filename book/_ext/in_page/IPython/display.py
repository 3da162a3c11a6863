"""Stand-in for ``IPython.display``: what the chapters show, as HTML under the cell."""

import cell_runner
from page_markdown import to_html


class HTML:
    """Markup to be shown as it is."""

    def __init__(self, data):
        self.data = data

    def _repr_html_(self):
        return self.data


class Markdown(HTML):
    """Text and tables in Markdown."""

    def _repr_html_(self):
        return to_html(self.data)


def display(*objects):
    """Show objects under the running cell."""
    for each in objects:
        cell_runner.show(each)
