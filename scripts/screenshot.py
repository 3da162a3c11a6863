"""Photograph the Playground of the built site, for the README.

    make strict && .venv/bin/python scripts/screenshot.py

Needs Chromium (``CHROMIUM`` names it if it is not on the path). Writes docs/playground.png.
"""

import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "_build" / "html" / "book" / "concepts.html"


def main():
    """Open the page from its file, wait for the figure, and save it."""
    browser_path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1400}, device_scale_factor=1.5)
        page.goto(PAGE.as_uri())
        figure = page.locator(".figure-mount[data-ready]").first
        figure.wait_for()
        page.wait_for_timeout(500)
        figure.screenshot(path=ROOT / "docs" / "playground.png")
        browser.close()


if __name__ == "__main__":
    (ROOT / "docs").mkdir(exist_ok=True)
    main()
