"""Links of one colour on all pages, in light and dark."""

from looking import FADED

# What is a link and looks like something else, and why.
OTHERWISE = {
    ".symbol": "explains a symbol within a sentence: the symbol's colour, and a dotted line",
    ".admonition-title a": "is the title of a box, in the colour of its kind",
}
# Colours of links, and of the words in them, with a link of each; and the colour that is meant.
COLOURS = """(otherwise) => {
  const main = document.querySelector('main');
  const probe = main.appendChild(document.createElement('i'));
  probe.style.color = 'var(--pst-color-link)';
  const found = {};
  const links = document.querySelectorAll('.bd-article a[href], .bd-search-container a[href]');
  for (const link of links) {
    if (link.matches(otherwise)) continue;
    const worded = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    for (const node of [link, ...link.querySelectorAll('*')].filter(worded))
      found[getComputedStyle(node).color] ??= link.outerHTML.slice(0, 200);
  }
  const wanted = getComputedStyle(probe).color;
  probe.remove();
  return [wanted, found];
}"""


def test_links_have_one_colour(opened, page_path):
    path = f"{page_path}?q=maml" if page_path == "search.html" else page_path
    page = opened("file", path, width=1280).page
    if page_path == "search.html":
        page.wait_for_selector("#search-results li a")
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme=colours)
        page.wait_for_selector(f"html[data-theme={colours}]")
        page.wait_for_function(FADED)
        wanted, found = page.evaluate(COLOURS, ", ".join(OTHERWISE))
        assert {*found} == {wanted}, (colours, found)
