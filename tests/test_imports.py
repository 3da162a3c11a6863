"""Dependencies point one way: what each module may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import maml_teach

PACKAGE = Path(maml_teach.__file__).parent
ALLOWED = {
    "tasks": set(),
    "mlp": set(),
    "checks": {"tasks", "diagnosis"},
    "diagnosis": set(),
    "maml": {"tasks"},
    "family": {"tasks", "maml"},
    "lean": {"tasks", "maml", "mlp"},
    "objectives_torch": set(),
    "mlp_torch": {"objectives_torch"},
    "stack_torch": {"mlp_torch", "objectives_torch"},
    "module_torch": {"tasks", "mlp_torch", "objectives_torch", "stack_torch"},
    "maml_torch": {"tasks", "mlp_torch", "module_torch"},
    "family_torch": {"tasks", "maml_torch"},
    "train": {"tasks", "maml"},
    "distributed": set(),
    "images": {"tasks"},
    "images_torch": {"tasks", "maml_torch"},
    "driving": {"tasks", "mlp"},
    "claims": {"tasks", "maml", "mlp"},
    "claims_torch": {"tasks"},
    "detection": {"tasks", "images"},
    "detection_torch": {"detection", "maml_torch", "train"},
    "language": {"tasks", "mlp"},
    "navigation": {"tasks", "mlp", "maml", "lean"},
    "arm": {"tasks", "mlp"},
}


@pytest.mark.parametrize("module", ALLOWED)
def test_modules_import_only_what_lies_below(module):
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.module.startswith("maml_teach"), "import from the package relatively"
    assert found <= ALLOWED[module]


LIGHT = [
    *("maml", "family", "mlp", "train", "checks", "claims", "driving", "images", "language"),
    *("detection", "navigation", "arm", "widgets"),
]


@pytest.mark.parametrize("module", [*LIGHT, "plotting"])
def test_torch_is_loaded_only_by_the_torch_engine(module):
    heavy = {"torch"} if module in ("widgets", "plotting") else {"torch", "matplotlib", "anywidget"}
    code = f"import sys, maml_teach.{module}; print(*({heavy!r} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []
