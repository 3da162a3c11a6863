"""Plots on their pages: in the page's colours, in a shape that fits, with letters to be read."""

import re

SMALLEST = 11  # pixels
LETTERS = """() => [...document.querySelectorAll('.book-plot svg')].filter((svg) => svg.clientWidth)
  .flatMap((svg) => [...svg.querySelectorAll('text, tspan')].map((text) => [
    text.textContent, parseFloat(getComputedStyle(text).fontSize) * svg.clientWidth
      / svg.viewBox.baseVal.width]))"""
SHAPES = """() => [...document.querySelectorAll('.book-plot')].map((plot) =>
  [...plot.children].filter((svg) => svg.clientWidth).map((svg) => svg.getAttribute('class')))"""
INKS = """() => [...document.querySelectorAll('.book-plot text')].map((text) =>
  [getComputedStyle(text).fill, getComputedStyle(document.body).backgroundColor])"""

# Words of a plot that lie on each other; of slanted ones the boxes say nothing.
ON_EACH_OTHER = """() => [...document.querySelectorAll('.book-plot svg')]
  .filter((svg) => svg.clientWidth).flatMap((svg) => {
    const words = [...svg.querySelectorAll('text')].filter((text) => text.textContent.trim()
        && !(parseFloat(text.getAttribute('transform')?.split('rotate(')[1] ?? 0) % 90))
      .map((text) => [text.textContent, text.getBoundingClientRect()]);
    return words.flatMap(([one, a], k) => words.slice(k + 1)
      .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2)
      .map(([other]) => `${one} and ${other}`)); })"""


def test_plots_are_drawings(site):
    pages = [path.read_text("utf-8") for path in (site / "book").glob("*.html")]
    assert sum("book-plot" in html for html in pages) > 6
    assert not [html for html in pages if re.search(r"<img[^>]*_images/[0-9a-f]{64}\.", html)]


def test_every_colour_has_another_one_in_the_dark(site, page_path):
    html = (site / page_path).read_text("utf-8")
    pairs = re.findall(r"light-dark\((#\w{6}), (#\w{6})\)", html)
    assert bool(pairs) == ("book-plot" in html)
    assert {light for light, dark in pairs if light == dark} == set()


def test_letters_are_large_and_stand_out_and_one_shape_is_shown(opened, site, page_path):
    if not has_plots(site, page_path):
        return
    page = opened("file", page_path, width=1280).page
    page.evaluate("document.querySelectorAll('details').forEach((e) => (e.open = true))")
    for theme in ("light", "dark"):
        page.evaluate("(theme) => (document.documentElement.dataset.theme = theme)", theme)
        assert min((contrast(*pair) for pair in page.evaluate(INKS)), default=21) >= 4.5
    for width in (360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        wanted = "plot-narrow" if width < 500 else "plot-wide"
        assert all(shape == [wanted] for shape in page.evaluate(SHAPES))
        letters = page.evaluate(LETTERS)
        assert [(text, size) for text, size in letters if size < SMALLEST - 0.05] == []
        assert page.evaluate(ON_EACH_OTHER) == [], width


def has_plots(site, page_path):
    """Whether a page is worth opening; that there are such pages is asked above."""
    return "book-plot" in (site / page_path).read_text("utf-8")


def contrast(*colours):
    """Of two colours as a browser writes them, by WCAG."""
    light, dark = sorted(map(luminance, colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    channels = [int(n) / 255 for n in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
