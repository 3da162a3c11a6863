"""Every Greek letter of a formula has its row in the table of symbols, and one meaning there."""

import re
from pathlib import Path

import pytest
from sentences import cells, chapters

NOTATION = (Path(__file__).parents[1] / "book" / "notation.md").read_text("utf-8")
FORMULA = re.compile(r"\$\$(.*?)\$\$|\$([^$]+)\$", re.DOTALL)
GREEK = re.compile(
    r"\\((?:var)?(?:alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|rho|sigma"
    r"|tau|phi|chi|psi|omega)|Gamma|Delta|Theta|Lambda|Sigma|Phi|Psi|Omega)(?![a-zA-Z])"
)


def letters(markdown):
    """The Greek letters in the formulas of a text."""
    return {letter for pair in FORMULA.findall(markdown) for letter in GREEK.findall("".join(pair))}


@pytest.mark.parametrize("chapter", chapters())
def test_a_letter_of_a_chapter_stands_in_the_table(chapter):
    prose = "\n".join(source for _, source in cells(chapter, "markdown"))
    assert letters(prose) <= letters(NOTATION)


def test_a_letter_that_stands_nowhere_is_found():
    assert letters(r"a rate $\omega_k$ and $$ \frac1\tau $$") == {"omega", "tau"}
    assert "omega" not in letters(NOTATION)


def test_a_row_begins_with_a_symbol_of_its_own():
    rows = re.findall(r"^\| (\$[^|]+) \|", NOTATION, re.MULTILINE)
    symbols = [symbol.strip() for row in rows for symbol in row.split(", ")]
    assert len(symbols) > 25
    assert sorted(symbols) == sorted(set(symbols))
