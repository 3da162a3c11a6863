"""Nothing moves under the pointer: what a slider changes stays where it is, and so do controls."""

import pytest
from looking import QUIET, figures_of, impatient, usable_sliders

N_STEPS = 4
WIDTHS = (1280, 360)

# Moves a slider from end to end and back to where it was. Answers what of the figure moved: its
# controls and its lower edge, in pixels from its upper left corner, and what Chromium calls a
# shift.
SLIDE = """async (slider, [quiet, nSteps]) => {
  const figure = slider.closest('.maml-figure');
  const calm = new Function(`return ${quiet}`)();
  const controls = [...figure.querySelectorAll('input, button, legend, .mf-sheet')].filter(
    (node) => node.type !== 'radio' && node.checkVisibility({ visibilityProperty: true }));
  const nameOf = (node) => node.getAttribute('aria-label') ?? node.labels?.[0]?.textContent
    ?? (node.textContent.trim() || node.className);
  const places = () => {
    const frame = figure.getBoundingClientRect();
    const edges = controls.map((node) => {
      const { left, right, top, bottom } = node.getBoundingClientRect();
      return [left - frame.left, right - frame.left, top - frame.top, bottom - frame.top];
    });
    return [...edges, [frame.height]];
  };
  const move = async (value) => {
    slider.value = value;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    await calm(figure, 1500);
  };
  const shifts = [];
  const watch = new PerformanceObserver((list) => {
    for (const { value, sources } of list.getEntries()) {
      const nodes = sources.map(({ node }) => node?.className || node?.nodeName);
      shifts.push(`shift ${value} of ${nodes}`);
    }
  });
  const first = slider.value;
  const [min, max] = [Number(slider.min), Number(slider.max)];
  const [names, start] = [[...controls.map(nameOf), 'height'], places()];
  const moved = new Map();
  watch.observe({ type: 'layout-shift' });
  for (let k = 0; k <= nSteps; k++) {
    await move(min + ((max - min) * k) / nSteps);
    places().forEach((edges, n) => {
      if (controls[n] && !controls[n].checkVisibility({ visibilityProperty: true })) return;
      const far = Math.max(...edges.map((edge, side) => Math.abs(edge - start[n][side])));
      if (far > 0.5 && far > (moved.get(names[n]) ?? 0)) moved.set(names[n], far);
    });
  }
  await move(first);
  watch.disconnect();
  return [...[...moved].map(([name, far]) => `${name}: ${far.toFixed(1)} px`), ...shifts];
}"""


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


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_moves_while_a_slider_does(opened, figure_page, width):
    page = impatient(opened("http", figure_page, width=width))
    found = {}
    for figure in figures_of(page):
        for slider in usable_sliders(figure):
            slider.evaluate("(e) => e.scrollIntoView({ block: 'center', behavior: 'instant' })")
            figure.locator(".maml-figure").evaluate(QUIET)
            moved = slider.evaluate(SLIDE, [QUIET, N_STEPS])
            if moved:
                found[slider.get_attribute("id")] = moved
    assert not found, "\n".join(f"{name}: {'; '.join(moved)}" for name, moved in found.items())
