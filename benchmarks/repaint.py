"""From a slider's input to the repainted figure: milliseconds, for every slider of the built site.

Run ``python benchmarks/repaint.py [SITE]`` after ``make build``; it needs Playwright and Chromium.
Each slider is moved 40 times to and fro, at any moment between two frames. Shown are the median
and the 95th percentile of the time until the frame with the new drawing has been painted.
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SITE = Path(sys.argv[1] if len(sys.argv) > 1 else "_build/html").resolve()
N_MOVES = 40
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
    await new Promise((done) => setTimeout(done, 40 + 16 * Math.random()));
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
    """Name and handle of every slider of a page."""
    for figure in page.locator(".figure-mount").all():
        figure.scroll_into_view_if_needed()
        page.wait_for_timeout(1000)
        caption = figure.locator(".figure-caption").inner_text()
        for bar in figure.locator("input[type=range]:visible").all():
            yield f"{caption.split(':')[0]}: {bar.evaluate(NAME)}", bar


def main():
    """Print one line per slider."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        for chapter in sorted((SITE / "book").glob("*.html")):
            page.goto(chapter.as_uri())
            for name, bar in sliders(page):
                bar.scroll_into_view_if_needed()
                times = page.evaluate(MOVE, [bar.element_handle(), N_MOVES])
                median, late = times[N_MOVES // 2], times[int(0.95 * N_MOVES)]
                print(f"{chapter.stem:12} {median:5.1f} {late:6.1f}  {name}", flush=True)


if __name__ == "__main__":
    main()
