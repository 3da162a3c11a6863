"""Types: the scripts' as the TypeScript compiler reads them, and hints all over the package."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest
from node import JAVASCRIPT, missing, npm_file

import maml_teach


def test_the_types_in_the_comments_hold():
    compiler = npm_file("typescript/bin/tsc")
    if shutil.which("node") is None:
        missing("node is not installed")
    command = ["node", compiler, "--project", JAVASCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


PACKAGE = Path(maml_teach.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def public_functions(body, prefix=""):
    """Functions and methods that a reader may call, dunder methods too, by dotted name."""
    for node in body:
        special = getattr(node, "name", "").startswith("__")
        if getattr(node, "name", "_").startswith("_") and not special:
            continue
        if isinstance(node, ast.ClassDef):
            yield from public_functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{node.name}", node


def unhinted(name, node):
    """What a function leaves without a hint: parameters by name, ``return``."""
    args = node.args
    every = [*args.posonlyargs, *args.args, args.vararg, *args.kwonlyargs, args.kwarg]
    static = any(getattr(one, "id", None) == "staticmethod" for one in node.decorator_list)
    if "." in name and not static:
        every = every[1:]  # self or cls
    missing = [arg.arg for arg in every if arg is not None and arg.annotation is None]
    return missing if node.returns or node.name == "__init__" else [*missing, "return"]


@pytest.mark.parametrize("module", MODULES)
def test_every_public_function_is_hinted(module):
    tree = ast.parse((PACKAGE / module).read_text("utf-8"))
    found = {name: unhinted(name, node) for name, node in public_functions(tree.body)}
    assert {name: missing for name, missing in found.items() if missing} == {}


def test_the_package_says_that_it_has_types():
    assert (PACKAGE / "py.typed").exists()
