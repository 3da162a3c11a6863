"""The interactive figures: Python sends constants and settings, plain JavaScript draws.

Each figure is an anywidget. All its state lives in traits, so ipywidgets can drive and observe it
in JupyterLab, and the same module runs on the static pages of the book with no kernel.
"""

from .arm import LiftIt
from .claims import OnTrial
from .decision import IsItMaml
from .detection import FindIt
from .drawing import DrawIt
from .driving import DriveIt
from .family_map import FamilyMap
from .features import HowGoodFeatures
from .flip import Case, FlipMistake, Outcome
from .front_end import bundle
from .gradient_gap import GradientGap
from .landscape import MetaLandscape
from .language import WhichLanguageIsThis
from .navigation import ReachIt
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
    "HowGoodFeatures",
    "IsItMaml",
    "LiftIt",
    "MetaLandscape",
    "OnTrial",
    "Outcome",
    "Playground",
    "ReachIt",
    "Training",
    "TwoLoops",
    "WhichLanguageIsThis",
    "bundle",
]
