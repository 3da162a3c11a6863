"""The style sheets: what several figures use is shared, and no figure paints another."""

import re
from pathlib import Path

import pytest
import tinycss2

from maml_teach import widgets

FOLDER = Path(widgets.__file__).parent
SHARED = FOLDER / "shared" / "figure.css"
FIGURES = sorted(
    path.parent.name for path in FOLDER.glob("*/*.js") if "export default" in path.read_text()
)
SHEETS = sorted(set(FOLDER.rglob("*.css")) - {SHARED})


def root_of(name):
    return f"mf-{name.replace('_', '-')}"


def classes_of(sheet):
    """The classes that a style sheet names, without its comments and variables."""
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.S)
    return set(re.findall(r"\.(mf-[\w-]+)", text))


def source_of(folder):
    return "\n".join(path.read_text() for path in (FOLDER / folder).glob("*.js"))


def uses(source, name):
    """Whether a class is written out, or put together as in `mf-task-${k}` or `mf-${version}`."""
    if re.search(rf"(?<![\w-]){name}(?![\w-])", source):
        return True
    stems = set(re.findall(r"(mf-(?:[\w-]*-)?)\$\{", source))
    ends = [name.removeprefix(stem) for stem in stems if name.startswith(stem)]
    return any(name != f"mf-{end}" or f'"{end}"' in source for end in ends)


def test_a_style_sheet_lies_in_the_folder_of_its_figure():
    assert set(SHEETS) <= {FOLDER / name / f"{name}.css" for name in FIGURES}


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.stem)
def test_a_figure_paints_only_itself(sheet):
    rules = tinycss2.parse_stylesheet(sheet.read_text(), skip_comments=True, skip_whitespace=True)
    assert [tinycss2.serialize(rule.prelude).strip() for rule in rules] == [
        f".maml-figure.{root_of(sheet.stem)}"
    ]


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.stem)
def test_a_figure_uses_every_class_of_its_style_sheet(sheet):
    source = source_of(sheet.parent.name) + source_of("shared")
    unused = {name for name in classes_of(sheet) if not uses(source, name)}
    assert unused <= {root_of(sheet.stem)}  # the root's class is made from the folder's name


def test_the_shared_style_sheet_names_only_what_is_shared():
    shared = source_of("shared")
    sources = [source_of(name) for name in FIGURES]
    own = {
        name
        for name in classes_of(SHARED)
        if not uses(shared, name) and sum(uses(source, name) for source in sources) < 2
    }
    assert not own
