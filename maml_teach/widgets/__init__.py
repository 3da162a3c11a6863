"""The interactive figures: Python sends constants and settings, plain JavaScript draws.

Each figure is an anywidget. All its state lives in traits, so ipywidgets can drive and observe it
in JupyterLab, and the same module runs on the static pages of the book with no kernel.
"""

from .base import bundle
from .detection import FindIt
from .drawing import DrawIt
from .driving import DriveIt
from .family_map import FamilyMap
from .flip import Case, FlipMistake, Outcome
from .gradient_gap import GradientGap
from .landscape import MetaLandscape
from .playground import Playground
from .training import Training
from .two_loops import TwoLoops

__all__ = [
    "Case",
    "DrawIt",
    "DriveIt",
    "FamilyMap",
    "FindIt",
    "FlipMistake",
    "GradientGap",
    "MetaLandscape",
    "Outcome",
    "Playground",
    "Training",
    "TwoLoops",
    "bundle",
]
