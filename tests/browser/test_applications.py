"""Draw it by mouse, finger and keyboard; Drive it sends the cars off. From a file, network cut."""

from operator import ne

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
    return [car.get_attribute("transform") for car in figure.locator(".mf-car").all()]


def test_the_cars_drive_and_stop(visit):
    seen = visit("file")
    figure = seen.open(DRIVE).locator(".mf-driving")
    figure.get_by_role("status").get_by_text("with the true physics").wait_for()
    parked = car_places(figure)
    figure.get_by_role("button", name="▶ Drive").click()
    assert seen.until(lambda: all(map(ne, car_places(figure), parked)))
    figure.get_by_role("button", name="Pause").click()
    under_way = car_places(figure)
    seen.frames(30)
    assert car_places(figure) == under_way
    figure.get_by_role("button", name="Reset").click()
    for car, place in zip(figure.locator(".mf-car").all(), parked, strict=True):
        seen.attribute(car, "transform", place)  # the drive is made anew, in slices
    assert car_places(figure) == parked
    assert seen.troubles == []
