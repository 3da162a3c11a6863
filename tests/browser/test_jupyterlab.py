"""A real JupyterLab: figures and sliders talk to the kernel, chapters read as on the site."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from jupyter_client import BlockingKernelClient

CELL = "from maml_teach.widgets import TwoLoops\n\nfigure = TwoLoops(alpha=0.1)\nfigure"
NEEDY = "from surely_missing import all_of_it"
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
QUIET = ["--ServerApp.token=", "--ServerApp.password=", "--no-browser", "--allow-root"]
# A page of many cells is laid out whole; nothing else asks for attention.
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
SCREENSHOTS = Path(os.environ.get("MAML_SCREENSHOTS", "_build/screenshots")).resolve()
RAW = re.compile(r"\{[a-z:-]+\}|:pyobject:|^:{3,}|`{3,}|\(eq-|\$\$|\\tag|^%", re.MULTILINE)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(question, seconds=60):
    """Ask until the answer is true, and return it."""
    end = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.2)
    return answer


def asked(address, path):
    """What the server answers, or nothing."""
    try:
        return json.load(urllib.request.urlopen(f"{address}/api/{path}", timeout=2))
    except OSError:
        return None


def notebook(*sources):
    """A notebook of some code cells."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})


@pytest.fixture(scope="module")
def lab(site, tmp_path_factory):
    """Address of a JupyterLab on the site's notebooks, and the folder of its connection files."""
    pytest.importorskip("jupyterlab")
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(site / "notebooks", folder / "files")
    nbformat.write(notebook(CELL), folder / "files" / "figure.ipynb")
    listed = nbformat.read(folder / "files" / "code.ipynb", 4)["cells"]
    first = next(cell["source"] for cell in listed if cell["id"] == "what-it-needs")
    start = next(k for k, cell in enumerate(listed) if "# Sliders that call" in cell["source"])
    sliders = [cell["source"] for cell in listed[start : start + 2]]
    nbformat.write(notebook(*sliders), folder / "files" / "sliders.ipynb")
    needy = first.replace('"torch"', '"surely_missing"')
    nbformat.write(notebook(needy, NEEDY), folder / "files" / "needy.ipynb")
    for name, settings in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    runtime, port = folder / "runtime", free_port()
    runtime.mkdir()
    places = {"JUPYTER_RUNTIME_DIR": runtime, "JUPYTER_CONFIG_DIR": folder / "config"}
    places["JUPYTERLAB_SETTINGS_DIR"] = folder / "settings"
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *QUIET, f"--port={port}"],
        cwd=folder / "files",
        env=os.environ | {name: str(path) for name, path in places.items()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: asked(address, "status"))
        yield address, runtime
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture
def opened_in_lab(browser, lab):
    """Opens a notebook, its kernel ready, in a window so tall that all of it is laid out."""
    contexts = []

    def look(name, height=1000):
        contexts.append(browser.new_context(viewport={"width": 1280, "height": height}))
        page = contexts[-1].new_page()
        page.goto(f"{lab[0]}/lab/tree/{name}.ipynb?reset")
        page.get_by_text("| Idle").first.wait_for(timeout=60_000)  # before, a cell would not run
        return page

    yield look
    for context in contexts:
        context.close()


@pytest.fixture
def kernel(lab):
    """Connects to the kernel of a notebook; the connection is closed at the end."""
    clients, (address, runtime) = [], lab

    def connect(name):
        (session,) = (s for s in asked(address, "sessions") if s["path"] == f"{name}.ipynb")
        client = BlockingKernelClient(
            connection_file=str(runtime / f"kernel-{session['kernel']['id']}.json")
        )
        client.load_connection_file()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.stop_channels()


def run_all(page):
    """Run every cell, and wait for the last."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    prompts = page.locator(".jp-InputArea-prompt")
    wait_until(
        lambda: not any("*" in text or text == "[ ]:" for text in prompts.all_inner_texts()), 180
    )


def evaluate(client, expression):
    """Value of an expression in the kernel, as text."""
    reply = client.execute_interactive(
        "", user_expressions={"it": expression}, store_history=False, timeout=30
    )
    return reply["content"]["user_expressions"]["it"]["data"]["text/plain"]


def test_kernel_and_slider_see_each_other(opened_in_lab, kernel):
    page = opened_in_lab("figure")
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click(timeout=60_000)
    page.keyboard.press("Shift+Enter")
    page.locator(".maml-figure").wait_for(timeout=60_000)
    slider = page.get_by_role("slider", name="inner rate").first
    spoken = page.locator(".maml-figure [role=status]")
    before, client = spoken.inner_text(), kernel("figure")
    assert evaluate(client, "figure.alpha") == "0.1"

    slider.focus()
    page.keyboard.press("ArrowRight")
    shown = float(slider.input_value())
    assert shown > 0.1
    wait_until(lambda: float(evaluate(client, "figure.alpha")) == pytest.approx(shown), 20)
    wait_until(lambda: spoken.inner_text() != before, 20)  # read-outs may wait for a pause

    client.execute_interactive("figure.alpha = 0.3", timeout=30)
    wait_until(lambda: float(slider.input_value()) == pytest.approx(0.3), 20)


def seen(page):
    """The text of all Markdown cells that is seen, formulas and code apart."""
    return page.evaluate(
        """() => [...document.querySelectorAll(".jp-RenderedMarkdown")].map((cell) => {
            const copy = cell.cloneNode(true);
            copy.querySelectorAll("pre, code, mjx-container").forEach((part) => part.remove());
            return copy.textContent;
        }).join("\\n")"""
    )


@pytest.mark.parametrize("name", ["algorithm", "derivation"])
def test_a_chapter_reads_in_jupyterlab_as_on_the_site(opened_in_lab, site, name):
    cells = nbformat.read(site / "notebooks" / f"{name}.ipynb", 4)["cells"]
    text = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
    page = opened_in_lab(name, height=14_000)
    labels = page.locator("mjx-assistive-mml mlabeledtr > mtd:first-child")
    tags = [f"({tag})" for tag in re.findall(r"\\tag\{([\d.]+)\}", text)]
    assert len(tags) > 2
    wait_until(lambda: labels.all_text_contents() == tags, 30)
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    assert RAW.findall(seen(page)) == []
    headings = page.locator(".jp-RenderedMarkdown :is(h1, h2, h3)").all_text_contents()
    assert len(headings) == len(re.findall(r"^#{1,3} ", text, re.MULTILINE))
    listed = page.locator(".jp-MarkdownCell pre").all_inner_texts()
    fenced = re.findall(r"^```\w*\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)
    assert [code.strip() for code in listed] == [code.strip() for code in fenced]
    folds = page.locator(".jp-RenderedMarkdown details")
    assert folds.count() == text.count("<details>") > 2
    assert not folds.first.evaluate("fold => fold.open")
    hidden = [c for c in cells if c["metadata"].get("jupyter", {}).get("source_hidden")]
    assert page.locator(
        ".jp-CodeCell .jp-InputPlaceholder, .jp-CodeCell .jp-Placeholder"
    ).count() >= len(hidden)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"jupyterlab-{name}.png")


def test_a_missing_library_is_told_in_one_sentence(opened_in_lab):
    page = opened_in_lab("needy")
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click(timeout=60_000)
    page.keyboard.press("Shift+Enter")
    told = page.locator(".jp-OutputArea-output").first
    told.wait_for(timeout=30_000)
    text = " ".join(told.inner_text().split())
    assert text.startswith("This notebook needs surely_missing: run %pip install 'maml_teach-")
    assert text.endswith("with the path to that file, and restart the kernel.")


def test_live_sliders_run_python(opened_in_lab):
    """Those of ipywidgets in the code chapter: both cells, then the slider and the button."""
    page = opened_in_lab("sliders")
    run_all(page)
    assert page.locator(".jp-OutputArea-output[data-mime-type$=error]").count() == 0
    alpha = page.locator(".widget-slider", has_text="alpha").get_by_role("slider")
    before = (
        page.locator(".widget-slider", has_text="alpha").locator(".widget-readout").inner_text()
    )
    assert float(before) == 0.01
    alpha.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    after = page.locator(".widget-slider", has_text="alpha").locator(".widget-readout").inner_text()
    assert float(after) > 0.02
    page.get_by_role("button", name="Train", exact=True).click()
    drawn = page.locator(".widget-interact, .widget-output").locator("svg, img").first
    drawn.wait_for(timeout=60_000)
