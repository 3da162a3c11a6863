"""Find it adapts in the page, follows its sliders and goes back. From a file, network cut."""

import re

PAGE = "book/detection.html"


def open_find_it(seen):
    """The figure and its status line, once the box after adapting is there."""
    figure = seen.open(PAGE).locator(".mf-detection")
    figure.scroll_into_view_if_needed()
    status = figure.get_by_role("status")
    wait_for_steps(status, 3)
    return figure, status


def wait_for_steps(status, n):
    """Wait for the read-out of ``n`` inner steps; that of 10 also has the letters "0 inner..."."""
    status.get_by_text(re.compile(rf"\b{n} inner steps")).wait_for(timeout=20_000)


def set_number(figure, label, value):
    figure.get_by_role("spinbutton", name=label).fill(str(value))


def overlaps(status):
    """IoU of the shown scene after and before adapting, mean after and before."""
    return [float(text) for text in re.findall(r"\d\.\d\d", status.inner_text())]


def box_places(figure):
    places = "(rects) => rects.map((r) => r.getAttribute('x') + ' ' + r.getAttribute('width'))"
    return figure.locator(".mf-grid rect.mf-curve").evaluate_all(places)


def curve_points(figure):
    path = figure.locator(".mf-grid path.mf-curve").get_attribute("d") or ""
    return len(re.findall("[ML]", path))


def test_the_page_adapts_and_finds(visit):
    seen = visit("file")
    figure, status = open_find_it(seen)
    after, before, mean_after, mean_before = overlaps(status)
    assert after > 0.5 > before and mean_after > mean_before
    seen.page.wait_for_function(
        "() => document.querySelector('.mf-detection .mf-grid path.mf-curve')"
        ".getAttribute('d').split('L').length === 21",
        timeout=60_000,
    )
    adapted = box_places(figure)
    assert len(adapted) == 3 and len(set(adapted)) == 3  # true, before, after
    set_number(figure, "inner steps, as a number", 10)  # the chapter promises a bad fit there
    wait_for_steps(status, 10)
    assert overlaps(status)[0] < 0.5 and overlaps(status)[2] < mean_after - 0.2
    set_number(figure, "inner steps, as a number", 0)
    wait_for_steps(status, 0)
    assert overlaps(status)[0] == before
    figure.get_by_role("button", name="Reset").click()
    wait_for_steps(status, 3)
    assert box_places(figure) == adapted and curve_points(figure) == 21
    assert seen.troubles == []


def test_scenes_glyphs_and_examples_change(visit):
    seen = visit("file", width=360)
    figure, status = open_find_it(seen)
    first = figure.locator(".mf-grid canvas").evaluate("(c) => c.toDataURL()")
    shown = "(c) => c.toDataURL()"
    figure.get_by_role("button", name="Another scene").click()
    status.get_by_text("Scene 2:").wait_for(timeout=20_000)
    assert figure.locator(".mf-grid canvas").evaluate(shown) != first
    example = figure.locator(".mf-examples canvas").first
    before = example.evaluate(shown)
    figure.get_by_role("button", name="Another glyph").click()
    assert seen.until(lambda: example.evaluate(shown) != before)
    set_number(figure, "examples, as a number", 1)
    status.get_by_text("1 example,").wait_for(timeout=20_000)
    assert figure.locator(".mf-unused").count() == 4
    set_number(figure, "examples, as a number", 6)
    figure.get_by_text("whole number from 1 to 5").wait_for()
    assert "1 example," in status.inner_text()
    assert seen.troubles == []
