"""The numbers in the package's comments are those of the equations in the book."""

import json
import re
from pathlib import Path

import ladder
import pytest
import yaml

from maml_teach.data import record

ROOT = Path(__file__).parent.parent
SOURCES = [p for kind in ("*.py", "*.js") for p in sorted((ROOT / "maml_teach").rglob(kind))]
COMMENT = re.compile(r"(?:#|//|\*) .*$", re.MULTILINE)
# The equation that each number means: were one to come in between, the others would be wrong.
CITED = {
    "2.3": "eq-alg-outer",
    "3.1": "eq-objective",
    "3.2": "eq-inner",
    "3.5": "eq-walk-start",
    "3.6": "eq-walk",
    "3.7": "eq-meta-gradient",
    "3.8": "eq-fomaml",
    "3.9": "eq-reptile",
    "3.14": "eq-forward",
    "3.15": "eq-delta-out",
    "3.16": "eq-delta",
    "3.17": "eq-backprop",
    "3.18": "eq-r-forward",
    "3.19": "eq-r-delta-out",
    "3.20": "eq-r-delta",
    "3.21": "eq-r-backprop",
    "3.22": "eq-rule-back",
    "3.23": "eq-rule-walk",
    "3.24": "eq-momentum-back",
    "3.25": "eq-adam-first",
    "3.26": "eq-adam-second",
    "5.1": "eq-anil",
    "5.3": "eq-vector-walk",
    "5.4": "eq-rate-gradient",
    "5.5": "eq-multi-step",
    "5.6": "eq-multi-step-walk",
    "5.7": "eq-spring",
    "5.8": "eq-implicit",
    "5.9": "eq-hessian-free",
}


def numbers(text):
    return set(re.findall(r"\((\d\.\d+)\)", text))


def cited_in(path):
    """The numbers in a file's comments."""
    return numbers("\n".join(COMMENT.findall(path.read_text("utf-8"))))


def chapters():
    """Names of the numbered chapters, in the order in which the site counts them."""
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))["parts"]
    return [
        Path(chapter["file"]).name
        for part in parts
        if part.get("numbered")
        for chapter in part["chapters"]
    ]


def labels(chapter):
    """Labels of a chapter's numbered equations, in the order in which they are numbered."""
    cells = json.loads((ROOT / "book" / f"{chapter}.ipynb").read_text())["cells"]
    prose = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return re.findall(r"^\$\$ \((eq-[\w-]+)\)", prose, flags=re.MULTILINE)


@pytest.mark.parametrize("number", CITED)
def test_a_cited_number_is_the_equation_meant(number):
    chapter, position = map(int, number.split("."))
    assert labels(chapters()[chapter - 1])[position - 1] == CITED[number]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_number_in_a_comment_is_a_known_equation(path):
    assert cited_in(path) <= set(CITED)


def test_every_known_equation_is_a_line_of_the_core():
    core = (ROOT / "maml_teach").glob("*.py")
    assert set().union(*map(cited_in, core)) == set(CITED)


def test_every_equation_of_the_package_names_its_test():
    ladder = [(ROOT / "tests" / f"test_{name}.py").read_text() for name in ("gradients", "family")]
    assert {n for n in CITED if n[0] in "35"} <= numbers("".join(ladder))


def test_the_table_of_tests_is_that_of_the_ladder():
    text = ladder.TESTS.read_text("utf-8")
    table = record("ladder")
    assert table == ladder.ladder(text)
    comments = re.findall(r"^# checks (.*)", text, re.MULTILINE)
    assert sorted(" ".join(comments).split()) == sorted(n for n in table for _ in table[n])
    assert set(table) <= {f"({number})" for number in CITED} | {"(3.4)", "(3.13)"}
