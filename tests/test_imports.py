"""Dependencies point one way: what each module may import and load, by where it stands.

Nothing is listed here but the floors: a new file is held to the rules of its folder and its name.
Run this file with ``-s`` to see the drawing.
"""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import maml_teach

PACKAGE = Path(maml_teach.__file__).parent
FLOORS = ("data", "core", "applications", "widgets")  # from the ground up
MODULES = sorted(
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.parent != PACKAGE or path.stem != "__init__"
)
HEAVY = {"torch", "matplotlib", "anywidget"}


def file_of(module):
    path = PACKAGE.joinpath(*module.split("."))
    return path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"


def floor(module):
    """How high a module stands: its folder's floor; modules at the top level are the core."""
    folder = module.split(".")[0]
    return FLOORS.index(folder if folder in FLOORS else "core")


@cache
def imports_of(module):
    """Modules of the package that a module imports, also within functions."""
    file, found = file_of(module), set()
    inside = file.relative_to(PACKAGE).parent.parts
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            origin = inside[: len(inside) - node.level + 1]
            base = ".".join([*origin, *(node.module or "").split(".")]).strip(".")
            names = {f"{base}.{alias.name}".strip(".") for alias in node.names}
            found |= (names & set(MODULES)) or {base}
    return found & set(MODULES)


def drawing():
    """The modules floor by floor, highest first, each with what it imports."""
    lines = []
    for number, name in reversed(list(enumerate(FLOORS))):
        lines.append(f"{name}:")
        for module in (m for m in MODULES if floor(m) == number):
            lines.append(f"    {module} <- {', '.join(sorted(imports_of(module))) or '-'}")
    return "\n".join(lines)


def upwards():
    """Imports of a higher floor."""
    return [(m, other) for m in MODULES for other in imports_of(m) if floor(other) > floor(m)]


def test_no_line_runs_upwards_and_none_in_a_circle():
    print(f"\n{drawing()}")
    assert upwards() == []
    list(TopologicalSorter({m: imports_of(m) for m in MODULES}).static_order())


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_what_its_name_allows(module):
    """Torch stays on its side, twins do not meet, and nobody draws with matplotlib."""
    found = imports_of(module)
    tree = ast.parse(file_of(module).read_text("utf-8"))
    absolute = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and not n.level]
    assert not [name for name in absolute if name.startswith("maml_teach")], "import relatively"
    assert "plotting" not in found, "figures of matplotlib are drawn by chapters alone"
    if not module.endswith("_torch"):
        assert not [name for name in found if name.endswith("_torch")]
    elif floor(module) == FLOORS.index("core"):
        twins = {name for name in MODULES if f"{name}_torch" in MODULES}
        assert not found & twins, "the two engines meet only in tests and chapters"


def meta_gradients(module):
    """Names of a module's meta-gradients."""
    tree = ast.parse(file_of(module).read_text("utf-8"))
    found = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {name for name in found if name.endswith("_gradient")} - {"query_gradient"}


@pytest.mark.parametrize("module", ["maml", "family"])
def test_every_meta_gradient_has_its_twin(module):
    assert meta_gradients(module) and meta_gradients(module) <= meta_gradients(f"{module}_torch")


PYTHON = [
    path
    for folder in ("maml_teach", "scripts", "benchmarks", "examples", "book/_ext")
    for path in sorted((PACKAGE.parent / folder).rglob("*.py"))
]


@pytest.mark.parametrize(
    "path", PYTHON, ids=lambda path: path.relative_to(PACKAGE.parent).as_posix()
)
def test_private_names_stay_in_their_module(path):
    """Neither ``from .maml import _name`` nor ``maml._name``."""
    tree = ast.parse(path.read_text("utf-8"))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in imported if node.module != "__future__" for alias in node.names]
    assert not [name for name in names if name.startswith("_") and not name.startswith("__")]
    modules = {alias.asname or alias.name for node in imported for alias in node.names}
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert not [
        f"{node.value.id}.{node.attr}"
        for node in used
        if isinstance(node.value, ast.Name)
        and node.value.id in modules & {module.split(".")[-1] for module in MODULES}
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
    ]


def heavy_of(module):
    """The heavy libraries that a module may load."""
    if module.endswith("_torch"):
        return {"torch"}
    if module == "plotting":
        return {"matplotlib"}
    return {"anywidget"} if module.startswith("widgets") else set()


LOAD = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(f"maml_teach.{name}")
    print(name, *(set(sys.argv[1].split(",")) & set(sys.modules)), sep=",")
"""


@pytest.mark.parametrize("allowed", [set(), {"anywidget"}, {"matplotlib"}, {"torch"}], ids=str)
def test_a_heavy_library_is_loaded_only_where_it_belongs(allowed):
    modules = [module for module in MODULES if heavy_of(module) <= allowed]
    command = [sys.executable, "-c", LOAD, ",".join(HEAVY - allowed), *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{module}" for module in modules]
