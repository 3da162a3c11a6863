"""What README, CONTRIBUTING and the package's docstrings list is what the file tree holds."""

import re
from pathlib import Path

import maml_teach
from maml_teach import applications

ROOT = Path(__file__).parent.parent
PACKAGE = Path(maml_teach.__file__).parent


def modules(folder):
    """Names of a folder's modules and sub-packages."""
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return files | {path.parent.name for path in folder.glob("*/__init__.py")}


def test_the_module_map_names_every_module():
    rows = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if "| `" in line]
    named = set()
    for row in rows:
        first, *rest = re.findall(r"`([\w/.]+)`", row.split("|")[1])
        named |= {first, *(f"{Path(first).parent.as_posix()}/{other}" for other in rest)}
    top = modules(PACKAGE) - {"applications"}
    expected = {path for path in named if path.startswith("maml_teach/")}
    found = {f"maml_teach/{name}{'' if (PACKAGE / name).is_dir() else '.py'}" for name in top}
    found |= {f"maml_teach/applications/{name}.py" for name in modules(PACKAGE / "applications")}
    assert {path.rstrip("/") for path in expected} == found


def first_column(docstring):
    """Names in the first column of a docstring's table."""
    table = docstring.split("=  =")[1]
    return set(re.findall(r"^(\w+)  ", table, re.MULTILINE))


def test_the_docstrings_of_the_packages_do_too():
    assert first_column(maml_teach.__doc__) == modules(PACKAGE)
    assert first_column(applications.__doc__) == modules(PACKAGE / "applications")


def test_files_that_the_texts_name_exist():
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text("utf-8")
        paths = set(
            re.findall(r"`((?:maml_teach|tests|book|scripts|benchmarks|examples)/[\w./-]+)`", text)
        )
        assert not [
            path for path in paths if not (ROOT / path.replace("NAME", "training")).exists()
        ], name
