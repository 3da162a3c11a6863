"""Draw it by mouse, finger and keyboard; Drive it sends the cars off. From a file, network cut."""

from operator import ne

import pytest

DRAW, DRIVE = "book/images.html", "book/driving.html"
# A canvas that is read often warns, so a copy is read.
INK = """(canvas) => {
  const copy = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  return copy.getImageData(0, 0, 28, 28).data
    .reduce((sum, value, k) => sum + (k % 4 === 3 ? value : 0), 0);
}"""


def open_draw_it(seen):
    """The figure, its six fields, and a function that reads its sentence."""
    figure = seen.open(DRAW).locator(".maml-figure.mf-drawing")
    figure.scroll_into_view_if_needed()
    fields = figure.locator(".mf-sheet")
    assert fields.count() == 6
    return figure, fields, figure.get_by_role("status")


def ink(field):
    return field.locator("canvas").evaluate(INK)


def says(status, words):
    status.get_by_text(words).wait_for(timeout=10_000)


def test_mouse_draws_and_the_page_answers(visit):
    seen = visit("file")
    figure, fields, status = open_draw_it(seen)
    says(status, "It is character")  # all six are examples, so the answer is known
    field = fields.nth(5)
    example, box = ink(field), field.bounding_box()
    mouse = seen.page.mouse
    mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    mouse.down()
    mouse.move(box["x"] + box["width"] * 3 / 4, box["y"] + box["height"] / 2, steps=8)
    mouse.up()
    assert 0 < ink(field) != example  # the first stroke took the example away
    status.filter(has_not_text="It is character").wait_for(timeout=10_000)
    assert "the network takes the drawing for character" in status.inner_text()
    figure.get_by_role("button", name="Reset").click()
    says(status, "It is character")
    assert ink(field) == example
    assert seen.troubles == []


def test_keyboard_draws_and_clears(visit):
    seen = visit("file")
    figure, fields, status = open_draw_it(seen)
    field, keys = fields.nth(0), seen.page.keyboard
    field.focus()
    keys.press("Delete")
    says(status, "Character 1 is missing")
    for key in ("Space", "ArrowRight", "ArrowRight", "Shift+ArrowDown", "Shift+ArrowDown", "Space"):
        keys.press(key)
    drawn = ink(field)
    keys.press("ArrowLeft")  # the pen is up
    says(status, "the network takes the drawing")
    fields.nth(1).focus()
    assert 0 < ink(field) <= drawn
    figure.get_by_role("button", name="Clear: Which one?").click()
    says(status, "The last field is empty")
    figure.get_by_role("button", name="Clear all").click()
    says(status, "Character 1 is missing")
    assert seen.troubles == []


def test_a_finger_draws(visit):
    seen = visit("file", width=360, has_touch=True)
    _, fields, _ = open_draw_it(seen)
    field = fields.nth(2)
    field.scroll_into_view_if_needed()
    box, example = field.bounding_box(), ink(field)
    seen.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert 0 < ink(field) < example  # one dot where the example was


def car_places(figure):
    return [car.get_attribute("transform") for car in cars(figure)]


def cars(figure):
    return figure.locator(".mf-panel .mf-car").all()


def test_the_cars_drive_and_stop(visit):
    seen = visit("file")
    figure = seen.open(DRIVE).locator(".mf-driving")
    seen.page.emulate_media(reduced_motion="no-preference")
    figure.get_by_role("status").get_by_text("with the true physics").wait_for()
    parked = car_places(figure)
    figure.get_by_role("button", name="▶ Drive").click()
    assert seen.until(lambda: all(map(ne, car_places(figure), parked)))
    figure.get_by_role("button", name="Pause").click()
    under_way = car_places(figure)
    seen.frames(30)
    assert car_places(figure) == under_way
    figure.get_by_role("button", name="Reset").click()
    for car, place in zip(cars(figure), parked, strict=True):
        seen.attribute(car, "transform", place)  # the drive is made anew, in slices
    assert car_places(figure) == parked
    assert seen.troubles == []


def test_without_motion_the_button_shows_the_end(visit):
    seen = visit("file")
    figure = seen.open(DRIVE).locator(".mf-driving")
    figure.get_by_role("status").get_by_text("with the true physics").wait_for()
    parked = car_places(figure)
    figure.get_by_role("button", name="▶ Drive").click()
    figure.get_by_role("button", name="Back to the start").wait_for()
    assert all(map(ne, car_places(figure), parked))
    figure.get_by_role("button", name="Back to the start").click()
    assert seen.until(lambda: car_places(figure) == parked)
    figure.get_by_role("button", name="▶ Drive").wait_for()


# Size of each car, and how far it reaches out of the plot that it drives in.
CARS = """(panel) => {
  const plot = panel.querySelector('clipPath rect').getBBox();
  const frame = panel.getBoundingClientRect();
  const [left, right] = [frame.left + plot.x, frame.left + plot.x + plot.width];
  return [...panel.querySelectorAll('.mf-car')].map((car) => {
    const box = car.getBoundingClientRect();
    return [box.width, Math.max(left - box.left, box.right - right)];
  });
}"""


@pytest.mark.parametrize(("width", "least"), [(1280, 34), (360, 24)])
def test_the_cars_are_seen_whole_at_the_start_and_at_the_end(visit, width, least):
    seen = visit("file", width=width)
    figure = seen.open(DRIVE).locator(".mf-driving")
    figure.get_by_role("status").get_by_text("with the true physics").wait_for()
    for name in ("▶ Drive", "Back to the start"):
        found = figure.locator(".mf-panel svg").first.evaluate(CARS)
        sizes = [size for size, _ in found]
        assert len(set(sizes)) == 3 and max(sizes[:2]) >= least  # one within the other
        assert all(out <= 0 for _, out in found)
        figure.get_by_role("button", name=name).click()
        seen.frames(2)


# Contrast, by the WCAG, of each kind of line that a film draws with the panel below it.
CONTRASTS = """(figure) => {
  const panel = getComputedStyle(figure.querySelector('.mf-panel')).backgroundColor;
  const rgb = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const bright = (c) => c.map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const of = (line) => {
    const { stroke, opacity } = getComputedStyle(line);
    const seen = rgb(stroke).map((v, k) => opacity * v + (1 - opacity) * rgb(panel)[k]);
    const [low, high] = [bright(seen), bright(rgb(panel))].sort((p, q) => p - q);
    return (high + 0.05) / (low + 0.05);
  };
  return ['.mf-curve', '.mf-to-come'].map((kind) =>
    [...figure.querySelectorAll(`.mf-panel ${kind}`)].map(of));
}"""


THEME = "(theme) => (document.documentElement.dataset.theme = theme)"


def test_what_is_to_come_is_faint_and_there(opened, figure_page):
    """In every figure that runs as a film, in both themes."""
    page = opened("file", figure_page, width=1280).page
    for theme in ("dark", "light"):
        page.evaluate(THEME, theme)
        for figure in page.locator(".maml-figure:has(.mf-to-come)").all():
            full, faint = figure.evaluate(CONTRASTS)
            assert len(full) == len(faint) == 6
            assert min(full) >= 4.5 and min(faint) >= 1.3 and max(faint) <= 3
