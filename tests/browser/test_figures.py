"""Every figure: moved by keyboard, read aloud, reset; a sentence where scripts are off."""

import statistics

import pytest

FIGURE_PAGES = tuple(
    f"book/{name}.html"
    for name in (
        "concepts",
        "algorithm",
        "derivation",
        "family",
        "mistakes",
        "images",
        "detection",
        "language",
        "robot",
        "driving",
        "claims",
    )
)
KEYS = ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft")
STATE = 'script[type="application/vnd.jupyter.widget-state+json"]'

# What the reader sees of a figure: its drawings, without what hovers or focus may add.
PICTURE = """(figure) => [...figure.querySelectorAll('svg, canvas')].map(
  (e) => e.tagName === 'CANVAS' ? e.toDataURL() : e.outerHTML).join('')"""
SPOKEN = """(figure) => [...figure.querySelectorAll('[role=status]')].map(
  (e) => e.textContent).join('')"""
# From the input event to the second frame after it: by then the new picture is on the screen.
WATCH = """(slider) => { slider.latencies = []; slider.addEventListener('input', () => {
  const start = performance.now();
  requestAnimationFrame(() => requestAnimationFrame(
    () => slider.latencies.push(performance.now() - start)));
}, { capture: true }); }"""


def figures_of(page):
    """The figures on an open page, all of them at work."""
    found = page.locator(".figure-mount").all()
    for figure in found:
        assert figure.get_attribute("data-ready") is not None, figure.inner_text()
    return found


def settle(page):
    """Wait until two frames have been drawn."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def look(figure):
    """Picture and read-out of a figure, now."""
    return figure.evaluate(PICTURE), figure.evaluate(SPOKEN)


def settled_look(page, figure):
    """Picture and read-out after a stretch without change: read-outs may wait for a pause."""
    calm, before = 0, look(figure)
    for _ in range(40):
        settle(page)
        page.wait_for_timeout(80)
        now = look(figure)
        calm = calm + 1 if now == before else 0
        if calm == 5:
            break
        before = now
    return before


def move(page, figure, slider):
    """Press the arrow keys; the looks of the figure after each press that moved the slider."""
    slider.focus()
    looks = []
    for key in KEYS:
        value = slider.input_value()
        page.keyboard.press(key)
        if slider.input_value() != value:
            looks.append(settled_look(page, figure))
    return looks


def usable_sliders(figure):
    sliders = figure.locator("input[type=range]:enabled").all()
    return [slider for slider in sliders if slider.is_visible()]


@pytest.mark.parametrize("path", FIGURE_PAGES)
def test_figures_are_there(visit, path):
    assert len(figures_of(visit("file").open(path))) >= 1


def test_every_figure_is_drawn(visit, page_path):
    """Where the build embedded a widget's state, a figure stands; elsewhere none."""
    page = visit("file").open(page_path)
    figures = figures_of(page)
    assert bool(figures) == (page.locator(STATE).count() == 1)
    assert all(figure.locator("> :not(noscript)").count() for figure in figures)


def check_slider(page, figure, slider, where):
    name = slider.evaluate(
        "(e) => e.labels[0]?.textContent.trim() || e.getAttribute('aria-label') || ''"
    )
    assert name, f"{where}: a slider without a name"
    slider.evaluate(WATCH)
    looks = [settled_look(page, figure), *move(page, figure, slider)]
    assert len(looks) > 2, f"{where}: the keys did not move {name!r}"
    assert len({picture for picture, _ in looks}) > 1, f"{where}: {name!r} moved no picture"
    assert len({spoken for _, spoken in looks}) > 1, f"{where}: {name!r} changed no read-out"
    median = statistics.median(slider.evaluate("(e) => e.latencies"))
    print(f"\n{where}, {name!r}: {median:.0f} ms from input to second frame")


def test_sliders_move_the_figure(visit, page_path):
    """From a file, with the network cut: the least that a reader may have."""
    seen = visit("file")
    page = seen.open(page_path)
    for number, figure in enumerate(figures_of(page), start=1):
        for slider in usable_sliders(figure):
            check_slider(page, figure, slider, f"{page_path}, figure {number}")
    assert seen.troubles == []


def test_reset_restores_the_initial_picture(visit, page_path):
    page = visit("http").open(page_path)
    for figure in figures_of(page):
        initial = settled_look(page, figure)
        for slider in usable_sliders(figure):
            move(page, figure, slider)
        figure.get_by_role("button", name="reset").first.click()
        assert settled_look(page, figure) == initial


@pytest.mark.parametrize("path", FIGURE_PAGES)
def test_a_sentence_without_scripts(visit, path):
    page = visit("file", java_script_enabled=False).goto(path)
    notes = page.locator(".figure-mount noscript .figure-note").all()
    assert len(notes) == page.locator(".figure-mount").count() >= 1
    for note in notes:
        note.scroll_into_view_if_needed()  # far from the window nothing is laid out
        for _ in range(25):
            if note.inner_text():
                break
            page.wait_for_timeout(200)
        assert note.is_visible()
        assert "needs JavaScript" in note.inner_text()


@pytest.mark.parametrize("path", FIGURE_PAGES)
def test_figures_fit_a_phone(visit, path):
    page = visit("http", width=360).open(path)
    for figure in figures_of(page):
        assert figure.evaluate("(e) => e.scrollWidth <= e.clientWidth + 1")
