"""Which cell of a chapter asserts which of its sentences.

    .venv/bin/python scripts/sentences.py                 sentence and cell, all chapters
    .venv/bin/python scripts/sentences.py driving --open  what compares or counts, unasserted

In a cell, ``# says "the words of the chapter"`` stands above the ``assert`` that holds them true.
"""

import argparse
import json
import re
from dataclasses import dataclass
from functools import cache
from itertools import dropwhile, takewhile
from pathlib import Path

BOOK = Path(__file__).parents[1] / "book"
SAYS = re.compile(r'^ *# says "(.+)"$')
COMPARES = re.compile(
    r"\d|\b(\w+er than|better|best|worse|worst|more|less|fewer|most|least|never|always|every|none"
    r"|far|twice|half|third|quarter|fifth|tenth|times|alike|hardly|nearly|almost|only|much|few|no"
    r"|two|three|four|five|six|seven|eight|nine|ten)\b",
    re.IGNORECASE,
)
# Not prose: mathematics, code, addresses, directives; a sentence that cites has its source.
ELSEWHERE = re.compile(r"\$\$.*?\$\$|```.*?```|\$[^$]*\$|`[^`]*`|\]\([^)]*\)|^:.*?$", re.S | re.M)


@dataclass(frozen=True)
class Said:
    """Words of a chapter, the id of the cell that asserts them, and whether an assert follows."""

    words: str
    cell: str
    asserted: bool


@cache
def notebook_cells(chapter):
    """The cells of a chapter as its file has them."""
    return json.loads((BOOK / f"{chapter}.ipynb").read_text("utf-8"))["cells"]


def cells(chapter, kind):
    """(id, source) of the cells of a kind: "code" or "markdown"."""
    found = notebook_cells(chapter)
    return [(cell["id"], "".join(cell["source"])) for cell in found if cell["cell_type"] == kind]


def chapters():
    """The names of all chapters."""
    return sorted(path.stem for path in BOOK.glob("*.ipynb"))


def said(chapter):
    """What the cells of a chapter quote from it, in their order."""
    return [found for cell, source in cells(chapter, "code") for found in said_in(cell, source)]


def said_in(cell, source):
    """What one cell quotes. Quotations in a row share the assert below them."""
    lines = source.splitlines()
    for k, line in enumerate(lines):
        if match := SAYS.match(line):
            below = list(dropwhile(SAYS.match, lines[k:]))
            own = takewhile(lambda line: not SAYS.match(line), below)
            asserted = any(re.match(r" *(assert\b|np\.testing\.assert)", line) for line in own)
            yield Said(match[1], cell, asserted)


def prose(chapter):
    """All Markdown of a chapter and its captions, with single spaces."""
    texts = [source for _, source in cells(chapter, "markdown")]
    texts += [json.dumps(cell["metadata"], ensure_ascii=False) for cell in notebook_cells(chapter)]
    return " ".join(" ".join(texts).split())


def open_sentences(chapter):
    """Sentences that compare or count and that no cell quotes: a list to read, not a verdict."""
    quoted = [found.words for found in said(chapter)]
    for _, source in cells(chapter, "markdown"):
        for paragraph in re.split(r"\n\s*\n", source):
            for sentence in re.split(r"(?<=[.!?:;])\s+(?=[A-Z*`{$])", " ".join(paragraph.split())):
                sourced = any(mark in sentence for mark in ("{cite", "{glue", "```"))
                compares = COMPARES.search(ELSEWHERE.sub(" ", sentence))
                asserted = any(words in sentence or sentence in words for words in quoted)
                if compares and not sourced and not asserted:
                    yield sentence


def main():
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("chapters", nargs="*", default=chapters(), metavar="CHAPTER")
    parser.add_argument("--open", action="store_true", help="what no cell asserts")
    args = parser.parse_args()
    for chapter in args.chapters:
        print(f"\n{chapter}")
        found = open_sentences(chapter) if args.open else said(chapter)
        for item in found:
            print("  ", item if args.open else f"{item.cell}  {item.words}")


if __name__ == "__main__":
    main()
