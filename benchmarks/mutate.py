"""Plants small faults, one at a time, and prints those that no test sees.

    .venv/bin/python benchmarks/mutate.py maml_teach/applications/arm.py --sample 20
    .venv/bin/python benchmarks/mutate.py maml_teach/widgets/arm/*.js --list

A fault changes one operator, number or name, in Python or JavaScript. It is planted in a copy of
the working tree; the tests that name the file run there, with the file's own doctests. A survivor
is a line that could be wrong unnoticed, or one where the fault changes no result: read it.
"""

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import SimpleQueue

from pygments.lexers import JavascriptLexer, PythonLexer
from pygments.token import Comment, Name, Number, String

ROOT = Path(__file__).parents[1]
PAIRS = [
    *["+ -", "* /", "< <=", "> >=", "== !=", "=== !==", "&& ||", "and or", "& |"],
    *["True False", "true false", "min max", "argmin argmax", "minimum maximum", "any all"],
    *["sin cos", "mean sum", "zeros ones", "floor ceil", "push unshift", "alpha beta"],
    *["x_support x_query", "y_support y_query", "support query", "theta theta_prime"],
]
TURNED = {"**": "*", "//": "/", "%": "+", "not": "", "!": "", "~": "", "in": "not in"}
TURNED |= {"sorted": "list", "reversed": "list", "continue": "break", "cumsum": "abs"}
TURNED |= dict(pair.split() for pair in PAIRS) | dict(pair.split()[::-1] for pair in PAIRS)


@dataclass(frozen=True)
class Fault:
    """The characters from ``start`` to ``end`` of ``file`` become ``new``."""

    file: Path
    start: int
    end: int
    new: str

    def planted(self):
        """The text of the file with the fault in it."""
        text = source(self.file)
        return text[: self.start] + self.new + text[self.end :]

    def __str__(self):
        text = source(self.file)
        first, last = text.rfind("\n", 0, self.start) + 1, text.find("\n", self.end)
        line = text[first : self.start] + f"[{text[self.start : self.end]} -> {self.new}]"
        number = text.count("\n", 0, self.start) + 1
        return f"{self.file}:{number}: {(line + text[self.end : last]).strip()}"


@cache
def source(file):
    """The text of a file of the working tree."""
    return (ROOT / file).read_text("utf-8")


def faults(file):
    """All faults of a file, in its order."""
    text, quiet = source(file), quiet_places(file)
    lexer = PythonLexer() if file.suffix == ".py" else JavascriptLexer()
    lexer.stripnl = lexer.ensurenl = False
    tokens = [t for t in lexer.get_tokens_unprocessed(text) if t[2].strip() and t[1] not in Comment]
    words = ["", *(word for _, _, word in tokens), ""]
    earlier = {}  # the name before, on the same line
    for (start, kind, word), before, after in zip(tokens, words, words[2:], strict=False):
        if kind in String or any(first <= start < last for first, last in quiet):
            continue
        others = instead(kind, word)
        if kind in (Name, Name.Other) and before != "." and after not in ("(", "=", ":", "=>", "."):
            line = text.count("\n", 0, start)
            others += [earlier[line]] if earlier.get(line, word) != word else []
            earlier[line] = word
        for new in others:
            yield Fault(file, start, start + len(word), new)


def instead(kind, word):
    """What may stand for an operator, a number or one of the names in ``TURNED``."""
    if kind in Number and re.fullmatch(r"\d+", word):
        return [str(int(word) + 1)]
    if kind in Number and re.fullmatch(r"[\d.]+(e-?\d+)?", word):
        return [repr(1.5 * float(word) or 1.0)]
    return [TURNED[word]] if word in TURNED else []


def quiet_places(file):
    """Where a change says nothing: hints, imports, decorators and what an error says."""
    text = source(file)
    if file.suffix != ".py":
        return [match.span() for match in re.finditer(r"^import .*?;$", text, re.M | re.S)]
    lines = [0]
    for line in text.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))

    def at(line, column):  # a column of ast counts bytes
        row = text[lines[line - 1] :].split("\n", 1)[0]
        return lines[line - 1] + len(row.encode()[:column].decode())

    nodes = []
    for node in ast.walk(ast.parse(text)):
        nodes += [node] if isinstance(node, ast.Import | ast.ImportFrom | ast.Raise) else []
        for name in ("annotation", "returns"):
            nodes += [getattr(node, name)] if getattr(node, name, None) else []
        nodes += getattr(node, "decorator_list", [])
    return [(at(n.lineno, n.col_offset), at(n.end_lineno, n.end_col_offset)) for n in nodes]


def is_code(fault):
    """Whether the file can still be read."""
    if fault.file.suffix == ".py":
        try:
            ast.parse(fault.planted())
        except SyntaxError:
            return False
        return True
    check = ["node", "--input-type=module", "--check"]
    done = subprocess.run(check, input=fault.planted(), text=True, capture_output=True)
    return done.returncode == 0


def tests_that_name(file):
    """Test files that import the module or a class of it, or have its name in quotes."""
    figure = file.parts[:2] == ("maml_teach", "widgets") and len(file.parts) == 4
    own = file.parts[2] if figure else file.stem
    words = {own, file.stem} - {"__init__"} | set(re.findall(r"^class (\w+)", source(file), re.M))
    found = [test for test in (ROOT / "tests").glob("test_*.py") if words & names_in(test)]
    mentions = re.compile(rf"\b({'|'.join(map(re.escape, words))})\b")
    found.sort(key=lambda test: -len(mentions.findall(test.read_text("utf-8"))))  # likeliest first
    doctests = [file] if file.parts[0] == "maml_teach" and ">>>" in source(file) else []
    return [str(test) for test in [*doctests, *(test.relative_to(ROOT) for test in found)]]


@cache
def names_in(test):
    """What a test file imports, and what stands in it in quotes."""
    names = set()
    for node in ast.walk(ast.parse(test.read_text("utf-8"))):
        match node:
            case ast.Import(names=aliases):
                names |= {part for alias in aliases for part in alias.name.split(".")}
            case ast.ImportFrom(module=module, names=aliases):
                names |= {*module.split("."), *(alias.name for alias in aliases)}
            case ast.Constant(value=str(text)):
                names |= {text, Path(text[:99]).stem}
    return names


def copy_of_the_tree():
    """A copy of what git follows or would, with what npm has installed."""
    copy = Path(tempfile.mkdtemp(prefix="planted_"))
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=ROOT, text=True).split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    modules = Path("tests/javascript/node_modules")
    if (ROOT / modules).exists():
        (copy / modules).symlink_to(ROOT / modules)
    return copy


def run(copy, tests, limit=None):
    """Whether the tests pass in the copy; more time than ``limit`` is a failure."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    env = os.environ | threads | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=copy, env=env, timeout=limit, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return False, "took too long"
    return done.returncode == 0, done.stdout[-2000:] + done.stderr[-500:]


def judge(fault, tests, copies, limit):
    """Plant, test, and mend again. Returns whether the fault lives."""
    copy = copies.get()
    try:
        (copy / fault.file).write_text(fault.planted(), "utf-8")
        return run(copy, tests, limit)[0]
    finally:
        (copy / fault.file).write_text(source(fault.file), "utf-8")
        copies.put(copy)


def survivors(file, chosen, tests, copies, jobs):
    """Print the faults of one file that live; returns how many."""
    copy = copies.get()
    start = time.perf_counter()
    passed, said = run(copy, tests)
    took = time.perf_counter() - start
    limit = 60 + 5 * took
    copies.put(copy)
    if not passed:
        sys.exit(f"the tests fail before anything is planted:\n{said}")
    print(f"{file}: {len(chosen)} faults, {took:.0f} s each, {' '.join(tests)}", flush=True)
    with ThreadPoolExecutor(jobs) as pool:
        lives = list(pool.map(lambda fault: judge(fault, tests, copies, limit), chosen))
    for fault in (f for f, alive in zip(chosen, lives, strict=True) if alive):
        print(f"  lives  {fault}", flush=True)
    return sum(lives)


def sampled(files, count, seed):
    """At most ``count`` faults from each file, drawn without replacement among those that parse."""
    rng = random.Random(seed)
    for file in files:
        everything = list(faults(file))
        rng.shuffle(everything)
        chosen = []
        for fault in everything:
            if len(chosen) == count:
                break
            chosen += [fault] if is_code(fault) else []
        yield file, sorted(chosen, key=lambda fault: fault.start)


def main():
    """Plant what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="Python or JavaScript")
    parser.add_argument("--sample", type=int, help="faults a file, at random (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    parser.add_argument("--jobs", type=int, default=1, help="faults at the same time")
    parser.add_argument("--tests", nargs="+", help="test files (default: those that name the file)")
    parser.add_argument("--list", action="store_true", help="print the faults and plant none")
    args = parser.parse_args()
    files = [file.resolve().relative_to(ROOT) for file in args.files]
    chosen = dict(sampled(files, args.sample, args.seed))
    if args.list:
        print(*(fault for faults in chosen.values() for fault in faults), sep="\n")
        return
    copies = SimpleQueue()
    made = [copy_of_the_tree() for _ in range(args.jobs)]
    try:
        for copy in made:
            copies.put(copy)
        alive = 0
        for file in files:
            tests = args.tests or tests_that_name(file)
            if not tests:
                print(f"{file}: no test names it")
                continue
            alive += survivors(file, chosen[file], tests, copies, args.jobs)
        print(f"{alive} of {sum(map(len, chosen.values()))} live")
    finally:
        for copy in made:
            shutil.rmtree(copy)


if __name__ == "__main__":
    main()
