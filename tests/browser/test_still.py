"""Controls stay where they are when a number is not taken, and stand level with each other."""

import pytest
from looking import figures_of

WIDTHS = (1280, 360)

# How far controls and edges of the figure move when a field is given what it does not take.
TYPED = """(field) => {
  const figure = field.closest('.maml-figure');
  const places = () => [...figure.querySelectorAll('input, button, .mf-status')]
    .map((node) => node.getBoundingClientRect()).concat(figure.getBoundingClientRect())
    .flatMap(({ left, right, top, bottom }) => [left, right, top, bottom]);
  const type = (text) => {
    field.value = text;
    field.dispatchEvent(new Event('input', { bubbles: true }));
  };
  const [before, first] = [places(), field.value];
  type('-99999');
  const message = field.parentNode.querySelector('[role=alert]');
  const [said, box] = [message.textContent, message.getBoundingClientRect()];
  const after = places();
  const row = field.parentNode.getBoundingClientRect();
  const inside = box.top >= row.top - 8 && box.bottom <= row.bottom + 8
    && message.scrollWidth <= box.width + 1;
  type(first);
  return { said, inside, far: Math.max(...after.map((place, k) => Math.abs(place - before[k]))) };
}"""


@pytest.mark.parametrize("width", WIDTHS)
def test_a_number_that_is_not_taken_moves_nothing(opened, figure_page, width):
    """What is wrong with it is said within its row."""
    page = opened("http", figure_page, width=width).page
    for figure in figures_of(page):
        for field in figure.locator("input[type=number]").all():
            done = field.evaluate(TYPED)
            assert done["said"].startswith("Please give a ") and done["inside"], done
            assert done["far"] <= 0.5, f"{field.get_attribute('aria-label')}: {done}"


def test_buttons_stand_level_with_the_row_beside_them(opened, figure_page):
    page = opened("file", figure_page, width=1280).page
    for lead in page.locator(".maml-figure .mf-lead").all():
        row, *rest = [each.bounding_box() for each in lead.locator("> *").all()]
        for other in rest:
            if other["y"] < row["y"] + row["height"]:  # not on a line of its own
                centres = [box["y"] + box["height"] / 2 for box in (row, other)]
                assert abs(centres[0] - centres[1]) <= 1
