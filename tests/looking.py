"""Looking at an open page: at its figures, and with axe-core."""

from node import npm_file

# What the reader sees of a figure, and what it says, as two numbers: its drawings, without what
# hovers or focus may add, and its read-outs.
LOOK = """(figure) => {
  const hash = (text) => [...text].reduce((sum, sign) => (31 * sum + sign.codePointAt(0)) | 0, 7);
  const drawn = [...figure.querySelectorAll('svg, canvas')].map(
    (e) => e.tagName === 'CANVAS' ? e.toDataURL() : e.outerHTML);
  const spoken = [...figure.querySelectorAll('[role=status]')].map((e) => e.textContent);
  return [drawn, spoken].map((texts) => hash(texts.join('')));
}"""
# The same after a stretch without change: a figure may be drawn in slices.
SETTLED = f"""async (figure) => {{
  const look = {LOOK};
  let [calm, before] = [0, look(figure)];
  for (let k = 0; k < 40 && calm < 5; k++) {{
    await new Promise((done) => setTimeout(() => requestAnimationFrame(done), 80));
    const now = look(figure);
    calm = String(now) === String(before) ? calm + 1 : 0;
    before = now;
  }}
  return before;
}}"""


OPEN = "() => document.querySelectorAll('.maml-figure details').forEach((e) => (e.open = true))"


def figures_of(page):
    """The figures on an open page, all of them at work, with all that folds open."""
    found = page.locator(".figure-mount").all()
    for figure in found:
        assert figure.get_attribute("data-ready") is not None, figure.inner_text()
    page.evaluate(OPEN)
    return found


def settle(page):
    """Wait until two frames have been drawn."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def look(figure):
    """Picture and read-out of a figure, now: two numbers."""
    return tuple(figure.evaluate(LOOK))


def settled_look(figure):
    """Picture and read-out after a stretch without change."""
    return tuple(figure.evaluate(SETTLED))


def usable_sliders(figure):
    sliders = figure.locator("input[type=range]:enabled").all()
    return [slider for slider in sliders if slider.is_visible()]


# A driver's own way is content with a place in a part that is not laid out yet.
TO_THE_MIDDLE = "(e) => e.scrollIntoView({ block: 'center', behavior: 'instant' })"


def choices_taken(figure):
    """Take each choice of a figure in turn; yields what was chosen."""
    for radio in figure.locator("input[type=radio]").all():
        if radio.is_enabled():
            radio.evaluate(TO_THE_MIDDLE)
            radio.check(force=True)
            yield f"choice {radio.get_attribute('value')}"


def buttons_pressed(figure):
    """Press each button of a figure in turn, if it can be pressed then; yields the button."""
    for button in figure.locator("button").all():
        if button.is_visible() and button.is_enabled():
            button.evaluate(TO_THE_MIDDLE)
            button.click()
            yield button


RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# In the dark only the rules on colour: the others would see the same page twice. Only what is wrong
# comes back: all that is right would be tens of megabytes.
RUN = """([tags, colours]) => {
  const named = (some) => axe.getRules(some).map((rule) => rule.ruleId);
  const onColour = named(['cat.color']).filter((id) => named(tags).includes(id));
  const runOnly = colours === 'dark' ? { type: 'rule', values: onColour } : tags;
  return axe.run({ runOnly, resultTypes: ['violations'] }).then((found) => found.violations);
}"""

FADED = """() => document.getAnimations().every(
  (each) => !(each instanceof CSSTransition) || each.playState !== 'running')"""


def axe_violations(page, colours):
    """What axe finds on an open page in a colour scheme."""
    page.emulate_media(color_scheme=colours)
    page.wait_for_selector(f"html[data-theme={colours}]")
    page.wait_for_function(FADED)
    return [
        f"{colours}: {violation['id']}: {node['html'][:160]} ({node['failureSummary'][:200]})"
        for violation in page.evaluate(RUN, [RULES, colours])
        for node in violation["nodes"]
    ]


def load_axe(page):
    """Put axe-core into a page."""
    page.evaluate(npm_file("axe-core/axe.min.js").read_text("utf-8"))


# Resolves once a figure has not changed for five frames; `most` milliseconds at most.
QUIET = """(figure, most = 3000) => new Promise((done) => {
  const end = performance.now() + most;
  let calm = 0;
  const watch = new MutationObserver(() => (calm = 0));
  watch.observe(figure, { subtree: true, childList: true, characterData: true, attributes: true });
  const next = () => {
    if (calm++ < 5 && performance.now() < end) return requestAnimationFrame(next);
    watch.disconnect();
    done();
  };
  next();
})"""


def quiet(figure, most=3000):
    """Wait until a figure has come to rest, so many milliseconds at most."""
    figure.evaluate(QUIET, most)


def impatient(seen):
    """The visit's page, whose read-outs do not wait for a pause."""
    seen.page.evaluate("() => (window.impatient = true)")
    return seen.page
