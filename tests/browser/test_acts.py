"""Whatever the reader presses and moves: labels can be read, data can be seen, nothing jumps.

A label can be read if it lies on no other, on no mark but its own, and is not cut off.
"""

import pytest
from looking import (
    QUIET,
    TO_THE_MIDDLE,
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

N_STEPS = 4
# Moves a slider from end to end and back to where it was. Answers what of the figure moved: its
# controls and its lower edge, in pixels from its upper left corner, and what Chromium calls a
# shift; and what is wrong with the figure while the slider is at either end.
SLIDE = """async (slider, [quiet, nSteps, looks]) => {
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
      // The list of headings beside the page follows the scrolling that came before.
      const own = sources.filter(({ node }) => !node?.closest?.('.bd-sidebar-secondary'));
      const nodes = own.map(({ node }) => node?.className || node?.nodeName);
      if (own.length) shifts.push(`shift ${value} of ${nodes}`);
    }
  });
  const wrong = new Set();
  const look = looks.map((text) => new Function(`return ${text}`)());
  const first = slider.value;
  const [min, max] = [Number(slider.min), Number(slider.max)];
  const [names, start] = [[...controls.map(nameOf), 'height'], places()];
  const moved = new Map();
  watch.observe({ type: 'layout-shift' });
  for (let k = 0; k <= nSteps; k++) {
    await move(min + ((max - min) * k) / nSteps);
    if (k === 0 || k === nSteps) look.flatMap((one) => one(figure)).forEach((e) => wrong.add(e));
    places().forEach((edges, n) => {
      if (controls[n] && !controls[n].checkVisibility({ visibilityProperty: true })) return;
      const far = Math.max(...edges.map((edge, side) => Math.abs(edge - start[n][side])));
      if (far > 0.5 && far > (moved.get(names[n]) ?? 0)) moved.set(names[n], far);
    });
  }
  await move(first);
  watch.disconnect();
  return [...[...moved].map(([name, far]) => `${name}: ${far.toFixed(1)} px`), ...shifts, ...wrong];
}"""

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
  return [...found].map((name) => `no paint: ${name}`);
}"""


def acts(figure):
    """Everything that is pressed or chosen, one after the other; yields what was done."""
    yield "at rest"
    reset = figure.get_by_role("button", name="Reset", exact=True)
    yield from choices_taken(figure)
    for button in buttons_pressed(figure):
        yield f"button {button.get_attribute('aria-label') or button.inner_text()}"
        reset.click()


# What stays in view on a phone lies over what is scrolled below it, and is no trouble there.
IN_PLACE = ".maml-figure .mf-lead { position: static !important }"
LOOKS = (TROUBLES, UNPAINTED)


def told(found):
    """Trouble by trouble, with what brought it about."""
    return "\n".join(f"{trouble}: {', '.join(when)}" for trouble, when in found.items())


@pytest.mark.parametrize("width", WIDTHS)
def test_whatever_is_pressed_labels_are_read_and_data_is_seen(opened, figure_page, width):
    page = impatient(opened("http", figure_page, width=width))
    page.add_style_tag(content=IN_PLACE)
    found = {}
    for number, figure in enumerate(figures_of(page), start=1):
        root = figure.locator(".maml-figure")
        for act in acts(figure):
            quiet(root, 2000)
            for trouble in (trouble for look in LOOKS for trouble in root.evaluate(look)):
                found.setdefault(f"figure {number}: {trouble}", []).append(act)
    assert not found, told(found)


@pytest.mark.parametrize("width", WIDTHS)
def test_while_a_slider_moves_nothing_else_does_and_all_is_read(opened, figure_page, width):
    page = impatient(opened("http", figure_page, width=width))
    page.add_style_tag(content=IN_PLACE)
    found = {}
    for figure in figures_of(page):
        for slider in usable_sliders(figure):
            slider.evaluate(TO_THE_MIDDLE)
            figure.locator(".maml-figure").evaluate(QUIET)
            moved = slider.evaluate(SLIDE, [QUIET, N_STEPS, LOOKS])
            if moved:
                found[slider.get_attribute("id")] = moved
    assert not found, told(found)
