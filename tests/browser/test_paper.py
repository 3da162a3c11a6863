"""On paper: a numbered title on top, figures with what they are set to, nothing cut off."""

import re

import pytest

SHEET = {"width": 688, "height": 1017}  # A4 in pixels of CSS, within margins of 14 and 16 mm
FIRST = "main p, main li, main h1, main h2"

TEXT = """(names) => [...document.querySelectorAll(names)].filter((e) => e.checkVisibility())
  .map((e) => [e.tagName, e.innerText.trim(), e.getBoundingClientRect().top])
  .filter(([, words]) => words)"""
# What reaches over the right edge, and boxes that hold more than they show.
CUT_OFF = """(width) => [...document.querySelectorAll('.bd-article *')].filter((e) => {
  if (!e.checkVisibility()) return false;
  if (e.closest('.katex-mathml, .symbol-name') || e.parentElement.closest('svg')) return false;
  const box = e.getBoundingClientRect();
  if (box.right > width + 1) return true;
  const hides = getComputedStyle(e).overflowX !== 'visible' && e.clientWidth > 1;
  if (e.matches('.mf-panel > svg')) return +e.getAttribute('width') > e.clientWidth + 1;
  return hides && e.scrollWidth > e.clientWidth + 3; // a formula ends with a space of two pixels
}).map((e) => `${e.tagName} ${e.getAttribute('class')}: ${e.textContent.trim().slice(0, 60)}`)"""
CONTROLS = """(figure) => ({
  rows: [...figure.querySelectorAll('.mf-row')].map((row) => {
    const [label, field] = [row.querySelector('label'), row.querySelector('input[type=number]')];
    return [label?.innerText, field?.value, [label, field].every((e) => e?.checkVisibility())]; }),
  choices: [...figure.querySelectorAll('.mf-choice')].map((group) => {
    const [on, ...off] = [...group.querySelectorAll('input')].sort((a, b) => b.checked - a.checked)
      .map((input) => input.parentElement);
    return [group.querySelector('legend'), on].every((e) => e.checkVisibility())
      && off.every((e) => !e.checkVisibility()); }),
  status: [...figure.querySelectorAll('.mf-status')].every((e) => e.checkVisibility()),
  sliders: [...figure.querySelectorAll('input[type=range]')]
    .filter((e) => e.checkVisibility()).length,
})"""


def on_paper(seen):
    """An open page as the browser lays it out for a sheet."""
    page = seen.page
    page.evaluate("() => { window.printing = true; dispatchEvent(new Event('beforeprint')); }")
    page.emulate_media(media="print")
    page.set_viewport_size(SHEET)
    seen.frames(2)
    return page


def chapters(site):
    """Numbers and titles of the chapters, as the contents at the left name them."""
    html = (site / "book/intro.html").read_text("utf-8")
    return dict(re.findall(r'href="(\w+\.html)">\s*(\d+\. [^<]+?)\s*</a>', html))


@pytest.mark.parametrize("width", [360, 1280])
def test_a_page_on_paper(opened, site, page_path, width):
    """However wide the window was that it is printed from."""
    page = on_paper(opened("http", page_path, width=width))
    assert page.evaluate(CUT_OFF, SHEET["width"]) == []
    for figure in page.locator(".figure-mount").all():
        found = figure.evaluate(CONTROLS)
        assert all(label and value and seen for label, value, seen in found["rows"]), found
        assert all(found["choices"]) and found["status"] and not found["sliders"], found
    if page_path != "search.html":
        check_title(page, chapters(site), page_path)


def check_title(page, numbered, page_path):
    """A chapter's title has its number and stands on top."""
    texts = page.evaluate(TEXT, FIRST)
    (title,) = [words.removesuffix("#") for tag, words, _ in texts if tag == "H1"]
    wanted = numbered.get(page_path.removeprefix("book/"))
    assert len(numbered) >= 13
    assert wanted is None or " ".join(title.split()) == wanted
    first = [top for tag, words, top in texts if tag != "H1"][:2]
    assert all(0 <= top < SHEET["height"] / 4 for top in first), texts[:3]


def test_there_is_paper_without_a_margin_of_the_page(opened):
    """The browser's own margins are those of the sheet, so a printed line starts at its left."""
    page = on_paper(opened("http", "book/family.html", width=1280))
    left = "() => document.querySelector('.bd-article h1').getBoundingClientRect().left"
    assert page.evaluate(left) <= 1
