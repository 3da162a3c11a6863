"""Which cell of a chapter asserts which of its sentences.

    .venv/bin/python scripts/sentences.py                 sentence and cell, all chapters
    .venv/bin/python scripts/sentences.py driving --open  what compares or counts, unasserted
    .venv/bin/python scripts/sentences.py --numbers       numbers without a source: there are none

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
# Neither state these a result: mathematics, code, headings, what an exercise asks and what a reader
# is told to do with a figure; numbers of lists and places, names, the level of an interval.
NO_TEXT = re.compile(
    r"\$\$.*?\$\$|^`{3,}\{exercise\}.*?^`{3,}$|^    .*?$|^#+ .*?$|^\(\S+\)=$|^ *\d+\. ", re.S | re.M
)
NAMES = re.compile(
    r"(?:^|\*\*|- )\d+\.(?= |$)|\b[A-Za-z]+\d\w*|\b2D\b|\b\d+-(way|shot)\b|\b95%"
    r"|\b(Algorithm|[Ss]ections?|lines|[Mm]istakes?|PyTorch|ICML) [\d.]+((, | and | to )[\d.]+)*"
)
TO_DO = re.compile(r"(\*\*)?(Move|Drag|Set|Take|Then|Raise|In the figure, set)\b")


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


def markdown(chapter):
    """The text of a chapter, its cells as paragraphs."""
    return "\n\n".join(source for _, source in cells(chapter, "markdown"))


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
    for sentence in unsourced(chapter, markdown(chapter)):
        if COMPARES.search(ELSEWHERE.sub(" ", sentence)):
            yield sentence


def open_numbers(chapter):
    """Sentences with a number that is neither computed, nor cited, nor quoted by a cell."""
    for sentence in unsourced(chapter, NO_TEXT.sub(" ", markdown(chapter))):
        rest = NAMES.sub(" ", ELSEWHERE.sub(" ", sentence))
        if re.search(r"\d", rest) and "](http" not in sentence and not TO_DO.match(sentence):
            yield sentence


def unsourced(chapter, text):
    """The sentences of a text that hold no computed number, cite nothing and are not quoted."""
    quoted = [found.words for found in said(chapter)]
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in re.split(r"(?<=[.!?:;])\s+(?=[A-Z*`{$])", " ".join(paragraph.split())):
            sourced = any(mark in sentence for mark in ("{cite", "{glue", "```"))
            if not sourced and not any(w in sentence or sentence in w for w in quoted):
                yield sentence


def main():
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("chapters", nargs="*", default=chapters(), metavar="CHAPTER")
    parser.add_argument("--open", action="store_true", help="what no cell asserts")
    parser.add_argument("--numbers", action="store_true", help="numbers without a source")
    args = parser.parse_args()
    for chapter in args.chapters:
        print(f"\n{chapter}")
        quoted = (f"{found.cell}  {found.words}" for found in said(chapter))
        wanted = open_sentences if args.open else open_numbers if args.numbers else None
        for line in wanted(chapter) if wanted else quoted:
            print("  ", line)


if __name__ == "__main__":
    main()
