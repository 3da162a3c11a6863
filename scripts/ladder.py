"""Write down which tests of the ladder guard which equation: ``maml_teach/data/ladder.json``.

A test of ``tests/test_gradients.py`` says so in the comment above it, ``# checks (3.5) (3.6)``.
The derivation shows the table, and a reader of the notebook alone has no tests beside it.

Usage: python scripts/ladder.py
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests" / "test_gradients.py"
TABLE = ROOT / "maml_teach" / "data" / "ladder.json"
CHECKS = re.compile(r"^# checks (.+)\n(?:@.*\n)*def (\w+)", re.MULTILINE)


def ladder(text):
    r"""The tests by the equation that they check.

    >>> ladder("# checks (3.1) (3.2)\n@given(x)\ndef test_a(): ...\n# checks (3.1)\ndef test_b():")
    {'(3.1)': ['test_a', 'test_b'], '(3.2)': ['test_a']}
    """
    table = {}
    for equations, test in CHECKS.findall(text):
        for number in equations.split():
            table.setdefault(number, []).append(test)
    return dict(sorted(table.items(), key=lambda row: [*map(int, re.findall(r"\d+", row[0]))]))


def main():
    """Write the table."""
    TABLE.write_text(json.dumps(ladder(TESTS.read_text("utf-8")), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
