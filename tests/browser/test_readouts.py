"""Every figure says what the package computes for the settings set: each number of its sentence."""

import re

import expected
import pytest
from looking import OPEN

NUMBER = re.compile(r"[−-]?\d[\d,]*\.?\d*(?:e[−-]?\d+)?")
ALPHA, STEPS, BETA = "inner rate α", "inner steps K", "outer rate β"
# Page, figure, what the package says, the control of each setting, and three settings.
FIGURES = {
    "two loops": (
        *("algorithm", ".mf-two-loops", expected.two_loops),
        {"alpha": ALPHA, "beta": BETA, "n_inner_steps": STEPS},
        [(0.15, 0.3, 2, "MAML"), (0.3, 0.1, 1, "MAML"), (0.05, 0.7, 5, "FOMAML")],
    ),
    "playground": (
        *("concepts", ".mf-playground", expected.playground),
        {
            **{"alpha": ALPHA, "n_inner_steps": "inner steps", "n_shots": "points"},
            **{"amplitude": "amplitude", "phase": "phase"},
        },
        [(0.01, 1, 5, 3.5, 0.3), (0.004, 7, 10, 1.2, 2.5), (0.02, 3, 2, 4.9, 1.0)],
    ),
    "landscape": (
        *("derivation", ".mf-landscape", expected.landscape),
        {"alpha": ALPHA, "n_inner_steps": STEPS, "curvature_a": "curvature A"},
        [(0.2, 1, 0.8), (0.1, 4, 2.0), (0.3, 2, 5.0)],
    ),
    "gradient gap": (
        *("derivation", ".mf-gradient-gap", expected.gradient_gap),
        {"alpha": ALPHA, "n_inner_steps": STEPS},
        [(0.01, 1, "maml"), (0.0022, 5, "random"), (0.0046, 3, "pretrained")],
    ),
    "family map": (
        *("family", ".mf-family-map", expected.family_map),
        {"alpha": ALPHA, "beta": BETA},
        [("MAML", 0.01, 0.001), ("Reptile", 0.03, 0.003), ("ANIL", 0.1, 0.0003)],
    ),
    "training": (
        *("code", ".mf-training", expected.training),
        {
            **{"alpha": ALPHA, "beta": BETA, "n_inner_steps": STEPS},
            **{"seed": "seed", "held_out": "held-out task"},
        },
        [(0.01, 0.003, 1, 0, 1, 0), (0.03, 0.02, 2, 7, 4, 1), (0.005, 0.05, 5, 3, 9, 2)],
    ),
    "related tasks": (
        *("claims", "[aria-label='On trial: related tasks']", expected.related_tasks),
        {"frequency": "frequency"},
        [(1.0,), (0.5,), (2.25,)],
    ),
    "shift": (
        *("claims", "[aria-label='On trial: shift']", expected.shift),
        {"n_inner_steps": "inner steps"},
        [(5,), (1,), (60,)],
    ),
    "variance": (
        *("claims", "[aria-label='On trial: variance']", expected.variance),
        {"alpha": ALPHA},
        [(0.01,), (0.003,), (0.05,)],
    ),
    "is it MAML": (
        *("guide", ".mf-decision", expected.decision),
        {},
        [
            ("known", "none yet", "tens", "a few steps", "unlimited", "of the same kind"),
            ("not known", "none yet", "tens", "a few steps", "unlimited", "different in kind"),
            (
                "not known",
                "none yet",
                "one to five",
                "a few steps",
                "unlimited",
                "of the same kind",
            ),
        ],
    ),
    "how good features": (
        *("pretrained", ".mf-features", expected.how_good_features),
        {"kind": "features"},
        [(12, "5"), (3, "1"), (12, "1")],
    ),
    "find it": (
        *("detection", ".mf-detection", expected.find_it),
        {"n_shots": "examples", "n_inner_steps": "inner steps"},
        [(3, 3), (1, 2), (5, 1)],
    ),
    "draw it": (
        *("images", ".mf-drawing", expected.draw_it),
        {"n_inner_steps": "inner steps", "alpha": ALPHA},
        [(5, 0.1), (1, 0.3), (12, 0.05)],
    ),
    "which language": (
        *("language", ".mf-language", expected.which_language),
        {"n_shots": "samples each", "n_inner_steps": "inner steps"},
        [(1, 5), (3, 2), (5, 9)],
    ),
    "reach it": (
        *("robot", ".mf-navigation", expected.reach_it),
        {"alpha": "rate α", "n_inner_steps": "inner steps", "n_walks": "walks per step"},
        [(0.1, 2, 20), (0.3, 1, 7), (0.05, 3, 33)],
    ),
    "lift it": (
        *("robot", ".mf-arm", expected.lift_it),
        {
            **{"payload": "payload, kg", "friction": "friction"},
            **{"seconds": "data, seconds", "n_inner_steps": "inner steps"},
        },
        [(1.8, 0.5, 1.0, 3), (0.4, 0.9, 0.5, 1), (3.1, 0.2, 2.0, 12)],
    ),
    "drive it": (
        *("driving", ".mf-driving", expected.drive_it),
        {
            **{"grip": "grip", "wind": "crosswind, N", "pull": "pull, degrees"},
            **{"seconds": "data, seconds", "n_inner_steps": "inner steps"},
        },
        [(0.6, 800, -1.2, 1.0, 3), (0.9, -500, 0.7, 0.5, 1), (0.35, 300, 1.5, 1.75, 10)],
    ),
}


def printed(text):
    """The numbers of a sentence, each with half a unit of its last digit."""
    found = []
    for word in NUMBER.findall(text):
        word = word.strip(",").replace("−", "-").replace(",", "")
        digits, _, power = word.partition("e")
        places = len(digits.partition(".")[2])
        found.append((float(word), 0.5 * 10.0 ** (int(power or 0) - places)))
    return found


def agrees(text, wanted):
    """Whether the first numbers of a sentence are those wanted, as far as they are printed."""
    pairs = list(zip(printed(text), wanted, strict=False))
    close = all(abs(number - want) <= 1.02 * half for (number, half), want in pairs)
    return len(pairs) == len(wanted) and close


def choose(figure, name, value):
    """Set a slider's number, or press the one radio button of that name."""
    if isinstance(value, str):
        labels = {"maml": "MAML"}
        figure.get_by_role("radio", name=labels.get(value, value), exact=True).first.check()
    else:
        figure.get_by_label(f"{name}, as a number", exact=True).first.fill(str(value))


@pytest.mark.parametrize("name", FIGURES)
def test_the_readout_is_what_the_package_computes(opened, name):
    chapter, selector, function, controls, rows = FIGURES[name]
    seen = opened("file", f"book/{chapter}.html", width=1280)
    figure = seen.page.locator(selector).first
    seen.page.evaluate(OPEN)
    figure.scroll_into_view_if_needed()
    traits = function.__code__.co_varnames[: function.__code__.co_argcount]
    for row in rows:
        settings = dict(zip(traits, row, strict=False))
        for trait, value in settings.items():
            if trait == "n_meta_steps":
                train(figure, value)
            else:
                choose(figure, controls.get(trait), value)
        wanted = function(**settings)
        status = figure.get_by_role("status").first
        seen.until(lambda status=status, wanted=wanted: agrees(status.text_content(), wanted))
        said = status.text_content()  # it may have waited for a pause
        assert agrees(said, wanted), f"{settings}: {said}\n{[f'{float(w):.4g}' for w in wanted]}"
    assert seen.troubles == []


def train(figure, n_meta_steps):
    """Press One step so often, and wait each time until both runs have taken it."""
    for k in range(1, n_meta_steps + 1):
        figure.get_by_role("button", name="One step").click()
        status = figure.get_by_role("status")
        status.filter(has_text=re.compile(rf" {k} meta-steps: .* {k} meta-steps: ")).wait_for()
