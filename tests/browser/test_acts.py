"""Whatever the reader presses and moves: all labels can be read, all that has data can be seen.

A label can be read if it lies on no other, on no mark but its own, and is not cut off.
"""

import pytest
from looking import (
    buttons_pressed,
    choices_taken,
    figures_of,
    impatient,
    quiet,
    usable_sliders,
)

WIDTHS = (1280, 360)
SMALLEST = 11  # pixels

# What is wrong with the words of a figure, now. Two boxes may share a pixel. A mark is a filled or
# outlined disc; a letter in the same group is its own. Where the end of a bar crosses a word, the
# word has a halo. A letter on a disc of its own does not mind those below it.
TROUBLES = """(figure) => {
  const seen = (node) => node.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const boxOf = (node) => {
    const { left, right, top, bottom } = node.getBoundingClientRect();
    return { left, right, top, bottom };
  };
  const common = (a, b) => ({
    across: Math.min(a.right, b.right) - Math.max(a.left, b.left),
    down: Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top),
  });
  const meet = (a, b) => {
    const { across, down } = common(a, b);
    return across > 1 && down > 1;
  };
  const covers = (disc, { left, right }) => disc.left <= left + 1 && disc.right >= right - 1;
  const windowOf = (node) => {
    const box = boxOf(node.ownerSVGElement);
    const held = node.closest('[clip-path]');
    if (!held) return box;
    const id = held.getAttribute('clip-path').slice(5, -1);
    const { x, y, width, height } = document.getElementById(id).firstElementChild.getBBox();
    const [left, top] = [box.left + x, box.top + y];
    return { left, top, right: left + width, bottom: top + height };
  };
  const found = [];
  const nameOf = (node) => node.getAttribute('class');
  const wordsOf = (node) => node.textContent.trim();
  const drawn = [...figure.querySelectorAll('svg text')]
    .filter((node) => wordsOf(node) && seen(node))
    .map((node) => ({ node, text: wordsOf(node), box: boxOf(node), frame: windowOf(node) }))
    .filter(({ box, frame }) => meet(box, frame));
  for (const { node, text, box, frame } of drawn) {
    const out = Math.max(frame.left - box.left, box.right - frame.right,
      frame.top - box.top, box.bottom - frame.bottom);
    if (out > 1) found.push(`${text} is cut off by ${out.toFixed(0)} px`);
    const size = parseFloat(getComputedStyle(node).fontSize);
    if (size < SMALLEST) found.push(`${text} has ${size} px`);
  }
  const written = [];
  const walker = document.createTreeWalker(figure, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!wordsOf(node) || node.parentNode.closest('svg') || !seen(node.parentNode)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) written.push({ node, text: wordsOf(node), box });
  }
  const all = [...drawn, ...written];
  all.forEach((one, k) => {
    for (const other of all.slice(k + 1)) {
      if (one.node !== other.node && meet(one.box, other.box)) {
        found.push(`${one.text} and ${other.text}`);
      }
    }
  });
  const marks = [...figure.querySelectorAll('svg circle')]
    .filter((node) => node.r.baseVal.value >= 4 && !node.matches('.mf-hit') && seen(node));
  for (const { node, text, box, frame } of drawn) {
    const isOwn = (mark) => mark.parentNode === node.parentNode;
    const own = marks.some((mark) => isOwn(mark) && covers(boxOf(mark), box));
    for (const mark of marks) {
      if (mark.ownerSVGElement !== node.ownerSVGElement) continue;
      if (isOwn(mark)) continue;
      const over = mark.compareDocumentPosition(node) & Node.DOCUMENT_POSITION_FOLLOWING;
      if (over && own) continue;
      const disc = boxOf(mark);
      const r = (disc.right - disc.left) / 2;
      const [x, y] = [disc.left + r, disc.top + r];
      if (!meet(disc, windowOf(mark))) continue;
      // What is left of the letters' box without the room above and below them.
      const room = 0.2 * (box.bottom - box.top);
      const dx = Math.max(box.left - x, 0, x - box.right);
      const dy = Math.max(box.top + room - y, 0, y - (box.bottom - room));
      const name = `${nameOf(mark.parentNode)} ${nameOf(mark)}`;
      if (Math.hypot(dx, dy) < r - 1) found.push(`${text} on ${name}`);
    }
    const { paintOrder, strokeWidth } = getComputedStyle(node);
    if (paintOrder.startsWith('stroke') && parseFloat(strokeWidth) >= 2) continue;
    for (const bar of figure.querySelectorAll('svg [class^=mf-bar-]:not(text)')) {
      const side = boxOf(bar);
      const crosses = side.right > box.left + 1 && side.right < box.right - 1;
      const meets = seen(bar) && common(box, side).down > 1;
      if (meets && crosses) found.push(`the end of a bar in ${text}`);
    }
  }
  return [...new Set(found)];
}""".replace("SMALLEST", str(SMALLEST))

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
    """Everything that changes what is drawn, one after the other; yields what was done."""
    yield "at rest"
    reset = figure.get_by_role("button", name="Reset", exact=True)
    for slider in usable_sliders(figure):
        for key in ("End", "Home"):
            slider.focus()
            page.keyboard.press(key)
            yield f"{key} on {slider.get_attribute('id')}"
        reset.click()
    yield from choices_taken(figure)
    for button in buttons_pressed(figure):
        yield f"button {button.get_attribute('aria-label') or button.inner_text()}"
        reset.click()


# What stays in view on a phone lies over what is scrolled below it, and is no trouble there.
IN_PLACE = ".maml-figure .mf-lead { position: static !important }"


@pytest.mark.parametrize("width", WIDTHS)
def test_every_label_can_be_read_and_what_has_data_has_paint(opened, figure_page, width):
    page = impatient(opened("http", figure_page, width=width))
    page.add_style_tag(content=IN_PLACE)
    found = {}
    for number, figure in enumerate(figures_of(page), start=1):
        root = figure.locator(".maml-figure")
        for act in acts(page, figure):
            quiet(root, 2000)
            unseen = [f"no paint: {shape}" for shape in root.evaluate(UNPAINTED)]
            for trouble in root.evaluate(TROUBLES) + unseen:
                found.setdefault(f"figure {number}: {trouble}", []).append(act)
    assert not found, "\n".join(f"{trouble}: {', '.join(when)}" for trouble, when in found.items())
