"""Stand-in for ``myst_nb``: the numbers in the text keep the values of the built page."""

import cell_runner


def glue(name, value, display=True):
    """Show the value if asked to; inside the page there is no text to put it into."""
    if display:
        cell_runner.show(value)
