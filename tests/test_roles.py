"""One table of roles: what starts and algorithms look like, in figures and in plots alike."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from maml_teach.data import record
from maml_teach.plotting import CYCLE, LOOKS
from maml_teach.widgets import front_end

ROOT = Path(__file__).parents[1]
ROLES = record("roles")
PANEL = {"light": "#f7f8fa", "dark": "#1b2129"}  # --mf-panel of figure.css
NAMED = ("random", "pretrained", "maml", "fomaml", "reptile", "oracle")  # stand side by side
# Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
SIGHT = {
    "full": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def linear(colour):
    """``"#rrggbb"`` as linear RGB."""
    c = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """Contrast of two colours by the WCAG."""
    low, high = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def seen(colour, sight):
    """CIELAB of a colour as someone sees it."""
    white = np.array([0.95047, 1, 1.08883])
    t = TO_XYZ @ np.clip(np.array(SIGHT[sight]) @ linear(colour), 0, 1) / white
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one, other, sight):
    return float(np.linalg.norm(seen(one, sight) - seen(other, sight)))


def test_a_known_contrast_and_a_known_distance():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert seen("#ffffff", "full") == pytest.approx([100, 0, 0], abs=0.01)
    assert distance("#00ff00", "#ff0000", "full") > 2 * distance(
        "#00ff00", "#ff0000", "deuteranopia"
    )


@pytest.mark.parametrize("theme", PANEL)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_can_be_read_on_a_panel(role, theme):
    assert contrast(ROLES[role][theme], PANEL[theme]) >= 4.5


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("theme", PANEL)
def test_roles_side_by_side_can_be_told_apart_by_everyone(theme, sight):
    for one, other in itertools.combinations(NAMED, 2):
        assert distance(ROLES[one][theme], ROLES[other][theme], sight) > 15, (one, other)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("theme", PANEL)
def test_so_can_all_algorithms_with_less_ease(theme, sight):
    roles = [
        key
        for key in ROLES
        if key not in ("joint", "variant", "before", "query", "truth", "support")
    ]
    for one, other in itertools.combinations(roles, 2):
        assert distance(ROLES[one][theme], ROLES[other][theme], sight) > 8, (one, other)


def test_no_two_roles_look_alike_without_colour():
    """But pretraining, which is joint training, has one look under two names."""
    looks = [(tuple(role["dash"]), role["marker"]) for key, role in ROLES.items() if key != "joint"]
    assert len(set(looks)) == len(looks)
    assert ROLES["joint"] | {"word": "pretrained"} == ROLES["pretrained"]


def test_plots_take_their_looks_from_the_table():
    for role in ROLES.values():
        colour, line, marker = LOOKS[role["word"]]
        dash = [2 * length for length in line[1]] if role["dash"] else []
        assert (colour, dash, marker) == (role["light"], role["dash"], role["marker"])
    assert set(CYCLE) <= {role["light"] for role in ROLES.values()}


def test_figures_take_their_looks_from_the_table():
    style = front_end.style("playground")
    light, dark = (
        re.search(rf"^{start} \{{(.*)\}}$", style, re.M)[1]
        for start in (r"\.maml-figure", "html.*")
    )
    for key, role in ROLES.items():
        assert f" --mf-{key}: {role['light']};" in light and f" --mf-{key}: {role['dark']};" in dark
        dash = " ".join(map(str, role["dash"])) or "none"
        rule = f".maml-figure .mf-role-{key} {{ --mf-series: var(--mf-{key}); --mf-dash: {dash}; }}"
        assert rule in style.splitlines()


def test_every_role_of_a_figure_is_in_the_table():
    files = [path for kind in ("js", "css", "py") for path in front_end.HERE.rglob(f"*.{kind}")]
    used = {
        name
        for path in files
        for name in re.findall(r"mf-role-([a-z-]+[a-z])", path.read_text("utf-8"))
    }
    assert len(used) > 5 and used - {"adapted"} <= set(ROLES)
    assert not [path.name for path in files if "mf-series-" in path.read_text("utf-8")]


def test_no_chapter_paints_by_hand():
    chapters = sorted((ROOT / "book").glob("*.ipynb"))
    for path in chapters:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        assert re.findall(r"#[0-9A-Fa-f]{6}\b|\"C\d\"|tab:", code) in ([], ['"C1"']), path.name
