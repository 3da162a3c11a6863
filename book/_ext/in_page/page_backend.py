"""Matplotlib's backend inside the page: ``plt.show()`` puts pictures under the cell."""

import cell_runner
from matplotlib.backends.backend_agg import FigureCanvasAgg

FigureCanvas = FigureCanvasAgg


def show(*args, **options):
    """Show the open figures under the running cell."""
    cell_runner.show_figures()
