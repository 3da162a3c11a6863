"""From a slider's input to the repainted figure: milliseconds, for every slider of the built site.

Run ``python benchmarks/repaint.py [SITE [CHAPTER]]`` after ``make build``; it needs Chromium.
Each slider is moved 100 times to and fro, at any moment between two frames, those of a training
also while it runs. Shown are the median, the 95th percentile and the longest of the times until
the frame with the new drawing has been painted. A name after the site picks chapters by it.
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SITE = Path(sys.argv[1] if len(sys.argv) > 1 else "_build/html").resolve()
CHAPTER = sys.argv[2] if len(sys.argv) > 2 else "*"
N_MOVES = 100
# What is posted in a frame's callback is delivered after that frame has been painted.
MOVE = """async ([bar, n]) => {
  const painted = () => new Promise((done) => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(0);
  }));
  const [low, high] = [Number(bar.min), Number(bar.max)];
  const times = [];
  for (let k = 0; k < n; k++) {
    await new Promise((done) => setTimeout(done, 40 + 160 * Math.random()));
    bar.value = low + (high - low) * (0.3 + 0.4 * ((7 * k) % 11) / 10);
    const start = performance.now();
    bar.dispatchEvent(new Event('input'));
    await painted();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b);
}"""
NAME = "(bar) => bar.labels[0]?.textContent ?? bar.getAttribute('aria-label')"


def sliders(page):
    """Name and handle of every slider of a page; those of a training come again while it runs."""
    for figure in page.locator(".figure-mount").all():
        figure.scroll_into_view_if_needed()
        page.wait_for_timeout(1000)
        title = figure.locator(".maml-figure").get_attribute("aria-label")
        bars = figure.locator("input[type=range]:visible").all()
        yield from ((f"{title}: {bar.evaluate(NAME)}", bar) for bar in bars)
        start = figure.get_by_role("button", name="▶ Start")
        if start.count():
            start.click()
            # A new seed stops the training: there is nothing to measure.
            bars = [bar for bar in bars if bar.evaluate(NAME) != "seed"]
            yield from ((f"{title}, running: {bar.evaluate(NAME)}", bar) for bar in bars)


def main():
    """Print one line per slider."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        for chapter in sorted((SITE / "book").glob(f"{CHAPTER}.html")):
            page.goto(chapter.as_uri())
            for name, bar in sliders(page):
                bar.scroll_into_view_if_needed()
                times = page.evaluate(MOVE, [bar.element_handle(), N_MOVES])
                shown = times[N_MOVES // 2], times[int(0.95 * N_MOVES)], times[-1]
                figures = " ".join(f"{value:6.1f}" for value in shown)
                print(f"{chapter.stem:12} {figures}  {name}", flush=True)


if __name__ == "__main__":
    main()
