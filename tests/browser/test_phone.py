"""Figures on a phone: what is to be moved by a finger is large enough for one."""

from looking import figures_of


def test_a_slider_is_as_wide_as_its_figure(opened, figure_page):
    """All but the border around it, and inside it; what moves by whole steps needs the room."""
    page = opened("http", figure_page, width=360).page
    for figure in figures_of(page):
        frame = figure.locator(".maml-figure").bounding_box()
        for slider in figure.locator("input[type=range]").all():
            if slider.is_visible():
                box = slider.bounding_box()
                assert box["width"] > frame["width"] - 70
                assert box["x"] + box["width"] <= frame["x"] + frame["width"] - 8
        for field in figure.locator("input[type=number]").all():
            if field.is_visible():
                box = field.bounding_box()
                assert box["x"] + box["width"] <= frame["x"] + frame["width"] - 8


def test_what_a_slider_changes_fits_on_the_screen_with_it(opened, figure_page):
    """Nobody scrolls between a slider and a picture; what stays in view is on every screen."""
    page = opened("http", figure_page, width=360).page
    for figure in figures_of(page):
        for slider in figure.locator("input[type=range]").all():
            if slider.is_visible():
                assert slider.evaluate(SPAN) <= SCREEN, slider.get_attribute("id")


SCREEN = 740 - 60  # pixels: of a phone, less the bar at the top of the page
# How high a slider and the nearest picture are together.
SPAN = """(slider) => {
  if (slider.closest('.mf-lead')) return 0; // it stays in view
  const figure = slider.closest('.maml-figure');
  for (const part of figure.querySelectorAll('details')) part.open = part.contains(slider);
  const own = slider.getBoundingClientRect();
  const pictures = figure.querySelectorAll('svg, canvas');
  return Math.min(...[...pictures].map((picture) => {
    const { top, bottom, width, height } = picture.getBoundingClientRect();
    if (width < 60 || height < 30) return Infinity;
    return Math.max(bottom, own.bottom) - Math.min(top, own.top);
  }));
}"""

# Whether the first row of a figure covers anything where it stands by itself, and whether it is in
# view below the page's bar while the last picture is.
STAYS = """async (root) => {
  const lead = root.querySelector('.mf-lead');
  if (!lead) return [];
  const at = (node) => node.getBoundingClientRect();
  const go = async (node, top) => {
    scrollTo({ top: scrollY + at(node).top - top, behavior: 'instant' });
    await new Promise(requestAnimationFrame);
  };
  await go(root, 150);
  const covers = at(lead.nextElementSibling).top < at(lead).bottom - 1;
  const pictures = [...root.querySelectorAll('svg, canvas')].filter((each) => at(each).height > 60);
  await go(pictures.at(-1) ?? root.lastElementChild, 350);
  const { top, bottom } = at(lead);
  const leaves = top < at(document.querySelector('.bd-header')).bottom - 1 || bottom > innerHeight;
  return [...(covers ? ['covers what is below it'] : []), ...(leaves ? ['goes out of view'] : [])];
}"""


def test_the_first_row_of_a_figure_stays_in_view_and_covers_nothing_at_rest(opened, figure_page):
    page = opened("http", figure_page, width=360).page
    for figure in figures_of(page):
        assert figure.locator(".maml-figure").evaluate(STAYS) == []


# Boxes that hold more than they show, by whether they say so.
CUT = """() => [...document.querySelectorAll('.bd-article *')].filter((e) => {
  const style = getComputedStyle(e);
  const shown = e.clientWidth > 40 && e.checkVisibility({ visibilityProperty: true });
  return shown && style.overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 3
    && !['both', 'left', 'right'].includes(e.dataset.more) && !e.closest('.maml-figure');
}).map((e) => e.outerHTML.slice(0, 120))"""
# Captions that begin or end under the fade of the table they belong to, which is 32 pixels wide.
FADED = """() => [...document.querySelectorAll('[data-more] > table > caption')].filter((e) => {
  const words = document.createRange();
  words.selectNodeContents(e);
  const lines = [...words.getClientRects()].filter((r) => r.width);
  const box = e.closest('[data-more]').getBoundingClientRect();
  return Math.max(...lines.map((r) => r.right)) > box.right - 31;
}).map((e) => e.textContent)"""
WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_what_is_cut_off_says_so(opened, page_path):
    page = opened("http", page_path, width=360).page
    page.evaluate("document.querySelectorAll('details').forEach((e) => (e.open = true))")
    bring_near(page)
    page.wait_for_function(f"({CUT})().length === 0", timeout=5000)
    assert page.evaluate(FADED) == []
    assert page.evaluate(WIDE) <= 0


def bring_near(page):
    """Scroll to the end, so that everything is laid out and measured: parts grow on the way."""
    while not page.evaluate(DOWN):
        page.evaluate("() => new Promise(requestAnimationFrame)")


DOWN = """() => {
  scrollBy({ top: 500, behavior: 'instant' });
  return scrollY + innerHeight >= document.documentElement.scrollHeight - 2;
}"""
CODE = """() => [...document.querySelectorAll('.bd-article pre')].filter((e) => e.clientWidth)
  .map((e) => [e.textContent.slice(0, 60), parseFloat(getComputedStyle(e).fontSize),
               e.scrollWidth - e.clientWidth])"""


def test_code_is_large_and_fits_beside_both_sidebars(opened, page_path):
    page = opened("file", page_path, width=1280).page
    page.evaluate("document.querySelectorAll('details').forEach((e) => (e.open = true))")
    bring_near(page)
    blocks = page.evaluate(CODE)
    assert [(text, size) for text, size, _ in blocks if size < 13.5] == []
    assert [text for text, _, over in blocks if over > 0] == []
