"""Every figure: moved by keyboard, read aloud, reset; a sentence where scripts are off."""

import json
import re
import statistics

from looking import figures_of, impatient, look, settle, settled_look, usable_sliders

from maml_teach.widgets.front_end import figures

KEYS = ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft")
STATE_TYPE = "application/vnd.jupyter.widget-state+json"
STATE = re.compile(f'<script type="{re.escape(STATE_TYPE)}">(.*?)</script>', re.DOTALL)

# From the input event to the second frame after it: by then the new picture is on the screen.
WATCH = """(slider) => { slider.latencies = []; slider.addEventListener('input', () => {
  const start = performance.now();
  requestAnimationFrame(() => requestAnimationFrame(
    () => slider.latencies.push(performance.now() - start)));
}, { capture: true }); }"""


def press(page, slider):
    """Press the arrow keys one after the other; yields after each press that moved the slider."""
    slider.focus()
    for key in KEYS:
        value = slider.input_value()
        page.keyboard.press(key)
        if slider.input_value() != value:
            yield key


def changes(page, figure, before, seconds=3):
    """Whether picture and read-out have changed, as soon as both have: read-outs may wait."""
    for _ in range(int(20 * seconds)):
        settle(page)
        changed = tuple(now != then for now, then in zip(look(figure), before, strict=True))
        if all(changed):
            break
        page.wait_for_timeout(50)
    return changed


def test_every_figure_of_the_package_stands_on_a_page(site):
    pages = [path.read_text("utf-8") for path in site.rglob("*.html")]
    states = [json.loads(found) for page in pages for found in STATE.findall(page)]
    models = [model["state"] for state in states for model in state["state"].values()]
    assert {model["figure"] for model in models} == set(figures())
    assert not any("_esm" in model or "_css" in model for model in models)


def test_figures_are_there(opened, figure_page):
    assert len(figures_of(opened("file", figure_page, width=1280).page)) >= 1


def test_every_figure_is_drawn(opened, page_path):
    """Where the build embedded a widget's state, a figure stands; elsewhere none."""
    page = opened("file", page_path, width=1280).page
    found = figures_of(page)
    assert bool(found) == (page.locator(f'script[type="{STATE_TYPE}"]').count() == 1)
    assert all(figure.locator("> :not(noscript)").count() for figure in found)


def check_slider(page, figure, slider, where):
    name = slider.evaluate(
        "(e) => e.labels[0]?.textContent.trim() || e.getAttribute('aria-label') || ''"
    )
    assert name, f"{where}: a slider without a name"
    slider.evaluate(WATCH)
    before, seen, n_moves = settled_look(figure), (False, False), 0
    for _ in press(page, slider):
        n_moves += 1
        if not all(seen):
            now = changes(page, figure, before)
            seen = tuple(one or other for one, other in zip(seen, now, strict=True))
        settle(page)
    assert n_moves > 1, f"{where}: the keys did not move {name!r}"
    assert seen[0], f"{where}: {name!r} moved no picture"
    assert seen[1], f"{where}: {name!r} changed no read-out"
    median = statistics.median(slider.evaluate("(e) => e.latencies"))
    print(f"\n{where}, {name!r}: {median:.0f} ms from input to second frame")


def test_sliders_move_the_figure_and_reset_brings_it_back(opened, figure_page):
    """From a file, with the network cut: the least that a reader may have."""
    seen = opened("file", figure_page, width=1280)
    page = impatient(seen)
    for number, figure in enumerate(figures_of(page), start=1):
        initial = settled_look(figure)
        sliders = usable_sliders(figure)
        for slider in sliders:
            check_slider(page, figure, slider, f"{figure_page}, figure {number}")
        assert not sliders or settled_look(figure) != initial
        figure.get_by_role("button", name="reset").first.click()
        assert settled_look(figure) == initial
    assert seen.troubles == []


def test_a_sentence_without_scripts(visit, figure_page):
    page = visit("file", java_script_enabled=False).goto(figure_page)
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


def test_figures_fit_a_phone(opened, figure_page):
    page = opened("http", figure_page, width=360).page
    for figure in figures_of(page):
        assert figure.evaluate("(e) => e.scrollWidth <= e.clientWidth + 1")
