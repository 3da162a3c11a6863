"""A finger on a phone: it moves what can be moved, and scrolls the page everywhere else."""

import pytest
from looking import TO_THE_MIDDLE, figures_of, look, settle

HANDLES = ".mf-drag:not(.mf-fixed), .mf-sheet"


class Finger:
    """Real touch events, as the browser's own tools send them."""

    def __init__(self, page):
        self.page = page
        self.session = page.context.new_cdp_session(page)

    def _send(self, kind, *points):
        touches = [{"x": x, "y": y} for x, y in points]
        given = {"type": kind, "touchPoints": touches}
        self.session.send("Input.dispatchTouchEvent", given)

    def drag(self, start, way, n_moves=8):
        """From a place along a way, in small moves."""
        (x, y), (dx, dy) = start, way
        self._send("touchStart", start)
        for k in range(1, n_moves + 1):
            self._send("touchMove", (x + dx * k / n_moves, y + dy * k / n_moves))
            settle(self.page)
        self._send("touchEnd")
        settle(self.page)


def middle(handle):
    """Where the middle of an element is on the screen, once it is in the middle of the screen."""
    handle.evaluate(TO_THE_MIDDLE)
    box = handle.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def scrolled(page):
    return page.evaluate("scrollY")


@pytest.fixture
def phone(opened):
    """Opens a page on a phone."""
    return lambda path: opened("http", path, width=360, has_touch=True, is_mobile=True).page


def shown_handles(figure):
    return [handle for handle in figure.locator(HANDLES).all() if handle.is_visible()]


def check_handle(page, figure, handle, where):
    """Down, then to the side: the figure follows, the page stays."""
    start = middle(handle)
    page.wait_for_timeout(50)
    top, before = scrolled(page), look(figure)[0]
    for way in ((0, -40), (0, 40), (30, 30), (-30, 20)):
        Finger(page).drag(start, way)
        if look(figure)[0] != before:
            break
    assert scrolled(page) == top, f"{where}: the page moved"
    assert look(figure)[0] != before, f"{where}: a finger moved nothing"


def test_a_finger_drags_every_handle_and_the_page_stays(phone, figure_page):
    page = phone(figure_page)
    for figure in figures_of(page):
        for k, handle in enumerate(shown_handles(figure)):
            check_handle(page, figure, handle, f"{figure_page}, handle {k}")


def test_a_finger_beside_the_handles_scrolls_the_page(phone, figure_page):
    page = phone(figure_page)
    for figure in figures_of(page):
        for plot in figure.locator("svg").all():
            if not plot.is_visible() or plot.bounding_box()["height"] < 100:
                continue
            middle(plot)
            place = plot.evaluate(FREE, HANDLES)
            if place is None:
                continue
            top = scrolled(page)
            Finger(page).drag(place, (0, -120))
            page.wait_for_timeout(150)
            assert scrolled(page) > top + 40, f"{figure_page}: a finger on a plot holds the page"


# A place on a plot that no handle takes.
FREE = """(plot, handles) => {
  const box = plot.getBoundingClientRect();
  for (let u = 0.1; u < 1; u += 0.1) for (let v = 0.3; v < 0.9; v += 0.1) {
    const [x, y] = [box.left + u * box.width, box.top + v * box.height];
    const under = document.elementFromPoint(x, y);
    if (under && plot.contains(under) && !under.closest(handles)) return [x, y];
  }
  return null;
}"""
