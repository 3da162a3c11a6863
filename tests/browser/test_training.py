"""Train it here: two meta-trainings in workers, on a page from a file with the network cut."""

import re

PAGE = "book/code.html"
SPEEDS = re.compile(r"A ([\d,]+), B ([\d,]+)")
# The longest wait between two frames while the sliders are moved.
MOVE_AND_WATCH = """async (figure) => {
  const bar = figure.querySelector('input[type=range]');
  const gaps = [];
  for (let k = 0, last = performance.now(); k < 60; k++) {
    bar.value = Number(bar.value) + (k % 2 ? 0.1 : -0.1);
    bar.dispatchEvent(new Event('input'));
    await new Promise(requestAnimationFrame);
    gaps.push(performance.now() - last);
    last = performance.now();
  }
  return gaps.sort((a, b) => a - b);
}"""


def n_meta_steps(figure):
    """Meta-steps of both runs, from the sentence."""
    text = figure.get_by_role("status").inner_text()
    return [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) meta-steps", text)]


def curve_lengths(figure):
    paths = figure.locator(".mf-wide .mf-curve").all()
    return [path.evaluate("(e) => e.getAttribute('d').split('L').length") for path in paths]


def test_it_trains_pauses_and_goes_back(visit):
    seen = visit("file")
    figure = seen.open(PAGE).locator(".mf-training")
    assert n_meta_steps(figure) == [0, 0]
    assert figure.get_by_role("status").inner_text().startswith("Press Start.")
    figure.get_by_role("button", name="▶ Start").click()
    seen.page.wait_for_function(
        """() => [...document.querySelectorAll('.mf-training .mf-wide .mf-curve')].every(
             (e) => (e.getAttribute('d') ?? '').split('L').length > 30)""",
        timeout=60_000,
    )
    gaps = figure.evaluate(MOVE_AND_WATCH)
    print(f"\nframe to frame while training: median {gaps[30]:.0f} ms, longest {gaps[-1]:.0f} ms")
    print(figure.locator(".mf-wide .mf-mse").inner_text())
    assert SPEEDS.search(figure.locator(".mf-wide .mf-mse").inner_text())
    figure.get_by_role("button", name="Pause").click()
    figure.get_by_role("status").get_by_text("Paused.").wait_for()
    seen.frames(30)  # a step under way may still arrive
    before = n_meta_steps(figure), curve_lengths(figure)
    assert min(before[0]) > 30
    seen.frames(40)
    assert (n_meta_steps(figure), curve_lengths(figure)) == before
    figure.get_by_role("button", name="Restart").click()
    figure.get_by_role("status").get_by_text("Press Start.").wait_for()
    assert n_meta_steps(figure) == [0, 0]
    assert seen.troubles == []


# Steps of both panels, of the chart and of the sentence, all of one moment.
NOW = """(figure) => [
  ...[...figure.querySelectorAll('.mf-fit')].map((fit) => fit.dataset.step),
  ...figure.querySelector('.mf-wide').dataset.step.split(' '),
  ...figure.querySelector('[role=status]').textContent.match(/[\\d,]+(?= meta-steps)/g),
].map((n) => Number(n.replace(',', '')))"""


def test_runs_of_unequal_speed_meet_at_every_step_or_not_at_all(visit):
    """Run A takes ten inner steps with second derivatives, run B one without."""
    seen = visit("file")
    figure = seen.open(PAGE).locator(".mf-training")
    figure.get_by_role("spinbutton", name="inner steps K, as a number").first.fill("10")
    figure.get_by_role("button", name="▶ Start").click()
    looks = []
    while len(looks) < 30 or looks[-1][0] < 20:
        looks.append(figure.evaluate(NOW))
        seen.frames(5)
    assert all(len(set(look)) == 1 for look in looks)
    assert len({look[0] for look in looks}) > 3
    figure.get_by_role("radio", name="seconds", exact=True).check(force=True)
    assert seen.until(lambda: figure.evaluate(NOW)[1] > 2 * figure.evaluate(NOW)[0], seconds=60)
    figure.get_by_role("radio", name="steps", exact=True).check(force=True)
    assert seen.until(lambda: len(set(figure.evaluate(NOW))) == 1, seconds=60)
    figure.get_by_role("button", name="Pause").click()
    figure.get_by_role("status").get_by_text("Paused.").wait_for()
    seen.frames(60)  # the round under way comes to its end
    titles, n = figure.locator(".mf-fit b").all_inner_texts(), figure.evaluate(NOW)[0]
    assert titles == [f"Run {run}, step {n:,}" for run in "AB"]
    assert seen.troubles == []


def test_one_step_at_a_time(visit):
    seen = visit("file")
    figure = seen.open(PAGE).locator(".mf-training")
    for n in (1, 2):
        figure.get_by_role("button", name="One step").click()
        words = f"{n} meta-steps: "
        seen.page.wait_for_function(
            """(words) => document.querySelector('.mf-training [role=status]')
                 .textContent.split(words).length === 3""",
            arg=words,
        )
    assert n_meta_steps(figure) == [2, 2]
