"""Folds: each bar says what is inside, has one frame with it, and stands alone in its row."""

import re
from functools import partial
from itertools import pairwise

import pytest

WIDTHS = (1280, 360)
NAME = re.compile(r"Code( of this (plot|table|output)|: .+)? \(\d+ lines?\)")

BARS = """() => [...document.querySelectorAll('details.hide')].map((fold) => {
  const { top, bottom, height } = fold.getBoundingClientRect();
  return { top, bottom, height, words: fold.querySelector('summary').innerText.trim() }; })"""
# Of an open fold, what does not reach from edge to edge of its frame, or has a frame of its own.
CROOKED = """() => [...document.querySelectorAll('details.hide')].flatMap((fold) => {
  fold.open = true;
  const frame = fold.getBoundingClientRect();
  const left = frame.left + fold.clientLeft;
  const right = left + fold.clientWidth;
  const parts = [...fold.querySelectorAll('summary, .cell_input, .cell')];
  const crooked = parts.filter((part) => {
    const [box, style] = [part.getBoundingClientRect(), getComputedStyle(part)];
    const sides = parseFloat(style.borderLeftWidth) + parseFloat(style.borderRightWidth);
    return Math.abs(box.left - left) > 0.6 || Math.abs(box.right - right) > 0.6 || sides > 0;
  });
  const gaps = parts.filter((part) => !part.matches('.cell')).slice(1).filter((part, k) => {
    const above = parts.filter((each) => !each.matches('.cell'))[k];
    return Math.abs(part.getBoundingClientRect().top - above.getBoundingClientRect().bottom) > 0.6;
  });
  return [...crooked, ...gaps].map((part) => `${part.className} in ${fold.innerText.slice(0, 40)}`);
})"""
# Boxes that are folded to their title: its height in lines, and the words that the button covers.
TITLES = """() => [...document.querySelectorAll('.admonition.toggle-hidden')].map((box) => {
  const title = box.querySelector('.admonition-title');
  const button = title.querySelector('.toggle-button').getBoundingClientRect();
  const range = document.createRange();
  range.setStart(title, 0);
  range.setEndBefore(title.querySelector('.toggle-button'));
  const rows = [...range.getClientRects()].filter((row) => row.width > 1);
  const covered = rows.some((row) => row.right > button.left && row.left < button.right
    && row.bottom > button.top && row.top < button.bottom);
  const tops = new Set(rows.map((row) => Math.round(row.top / 8)));
  return { height: box.getBoundingClientRect().height, covered, lines: tops.size,
    words: title.innerText };
})"""
# Lists in boxes whose bullets or numbers have no room, and so lie on the frame.
CRAMPED = """() => [...document.querySelectorAll('.admonition :is(ul, ol)')].filter((list) => {
  const style = getComputedStyle(list);
  return style.listStyleType !== 'none' && parseFloat(style.paddingInlineStart) < 20;
}).map((list) => list.textContent.slice(0, 40))"""
ALL = "section { content-visibility: visible !important }"


@pytest.mark.parametrize("width", WIDTHS)
def test_folds_are_named_and_of_one_piece(opened, page_path, width):
    page = opened("http", page_path, width=width).page
    page.add_style_tag(content=ALL)
    bars, titles = page.evaluate(BARS), page.evaluate(TITLES)
    assert [bar["words"] for bar in bars if not NAME.fullmatch(bar["words"])] == []
    for above, below in pairwise(bars):
        in_a_row = 0 <= below["top"] - above["bottom"] < 60
        assert not (in_a_row and above["words"] == below["words"]), above["words"]
    # Bars of code, and solutions whose title takes one line.
    heights = [bar["height"] for bar in bars] + [b["height"] for b in titles if b["lines"] == 1]
    assert not heights or max(heights) - min(heights) <= 2, heights
    assert [box["words"] for box in titles if box["covered"]] == []
    assert page.evaluate(CRAMPED) == []
    assert page.evaluate(CROOKED) == []  # opens them


def test_there_are_folds_and_solutions(site):
    """Else the tests above have looked at nothing."""
    html = "".join(path.read_text("utf-8") for path in (site / "book").glob("*.html"))
    assert html.count("<details class=") > 20
    assert html.count('class="solution dropdown') > 20


# In the place of Python: what is run comes back as its output.
STAND_IN = """runPage.getFiles = async () => [];
runPage.startPython = () => ({ ready: Promise.resolve(), stop() {},
  run: async (source, name, show) => (show('stdout', source), true) });"""
EDITED = """() => [...document.querySelectorAll('.run-code')].map((code) => {
  const cell = code.closest('[id^=cell-]');
  return [cell.id, code.value, cell.querySelector(':scope > .run-output').textContent.trim()]; })"""


def stand_in(body, route):
    """Answer for a script of the site."""
    route.fulfill(body=body, content_type="text/javascript")


def test_each_cell_of_a_fold_is_edited_and_runs_in_its_place(visit, page_path, site):
    """With a stand-in for Python, which says what it was given."""
    if 'class="run-page" data-chapter' not in (site / page_path).read_text("utf-8"):
        return
    seen = visit("http")
    for name, body in (("files", ""), ("worker", STAND_IN)):
        seen.page.route(f"**/run/{name}.js*", partial(stand_in, body))
    page = seen.open(page_path)
    page.evaluate("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
    page.get_by_role("button", name="Run this page").click()
    page.wait_for_function(
        "document.querySelector('.run-page [role=status]').textContent.startsWith('All ')"
    )
    chapter = page.evaluate("runPage.chapter.cells")
    sources = {cell["id"]: cell["source"] for cell in chapter}
    edited = page.evaluate(EDITED)
    assert edited
    for cell, code, output in edited:
        assert code == sources[cell]
        assert output.split() == code.split()
