"""Nothing that has data is invisible, whatever the reader has pressed and moved."""

from looking import buttons_pressed, choices_taken, figures_of, settle, usable_sliders

# Every line and area of the figure that is on the screen and has a shape, but no paint.
UNPAINTED = """(figure) => {
  const clear = (paint) => paint === 'none' || /^rgba\\(.*,\\s*0\\)$/.test(paint);
  const lined = (s) => !clear(s.stroke) && parseFloat(s.strokeWidth) > 0 && +s.strokeOpacity > 0;
  const filled = (s) => !clear(s.fill) && +s.fillOpacity > 0;
  const named = (node) => `${node.tagName}.${node.getAttribute('class')}`;
  const found = new Set();
  for (const shape of figure.querySelectorAll('path, line, polyline, polygon, circle, rect')) {
    if (shape.closest('clipPath, defs, .mf-hit') || shape.getAttribute('d') === '') continue;
    const { width, height } = shape.getBBox();
    if (!(width || height) || !shape.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(shape);
    if (!lined(style) && !filled(style)) found.add(`${named(shape)} in ${named(shape.parentNode)}`);
  }
  return [...found];
}"""


def acts(page, figure):
    """Everything that can be pressed or moved, one after the other; yields what was done."""
    yield "nothing"
    for slider in usable_sliders(figure):
        for key in ("End", "Home", "PageUp"):
            slider.focus()
            page.keyboard.press(key)
            yield f"{key} on {slider.get_attribute('id')}"
    yield from choices_taken(figure)
    for button in buttons_pressed(figure):
        yield f"button {button.inner_text()!r}"


def test_what_has_data_has_paint(visit, figure_page):
    page = visit("file").open(figure_page)
    for figure in figures_of(page):
        for act in acts(page, figure):
            settle(page)
            page.wait_for_timeout(60)
            assert figure.evaluate(UNPAINTED) == [], f"{figure_page}: {act}"
