"""A figure in a real JupyterLab: the kernel sees the slider, and the slider sees the kernel."""

import os
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from jupyter_client import BlockingKernelClient

CELL = "from maml_teach.widgets import TwoLoops\n\nfigure = TwoLoops(alpha=0.1)\nfigure"
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
QUIET = ["--ServerApp.token=", "--ServerApp.password=", "--no-browser", "--allow-root"]


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


def answers(address):
    try:
        return urllib.request.urlopen(f"{address}/api/status", timeout=2).status == 200
    except OSError:
        return False


@pytest.fixture
def lab(tmp_path):
    """Address of a JupyterLab with one notebook, and the folder of its connection files."""
    pytest.importorskip("jupyterlab")
    cells = [nbformat.v4.new_code_cell(CELL)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    nbformat.write(notebook, tmp_path / "figure.ipynb")
    runtime, port = tmp_path / "runtime", free_port()
    runtime.mkdir()
    places = {"JUPYTER_RUNTIME_DIR": runtime, "JUPYTER_CONFIG_DIR": tmp_path / "config"}
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *QUIET, f"--port={port}"],
        cwd=tmp_path,
        env=os.environ | {name: str(path) for name, path in places.items()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(address))
        yield address, runtime
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture
def kernel():
    """Connects to the kernel of a runtime folder; the connection is closed at the end."""
    clients = []

    def connect(runtime):
        [file] = wait_until(lambda: list(runtime.glob("kernel-*.json")))
        client = BlockingKernelClient(connection_file=str(file))
        client.load_connection_file()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.stop_channels()


def evaluate(client, expression):
    """Value of an expression in the kernel, as text."""
    reply = client.execute_interactive(
        "", user_expressions={"it": expression}, store_history=False, timeout=30
    )
    return reply["content"]["user_expressions"]["it"]["data"]["text/plain"]


def test_kernel_and_slider_see_each_other(browser, lab, kernel):
    address, runtime = lab
    page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    page.goto(f"{address}/lab/tree/figure.ipynb")
    page.get_by_text("| Idle").first.wait_for(timeout=60_000)  # before, a cell would not run
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click(timeout=60_000)
    page.keyboard.press("Shift+Enter")
    page.locator(".maml-figure").wait_for(timeout=60_000)
    slider = page.get_by_role("slider", name="inner rate").first
    spoken = page.locator(".maml-figure [role=status]")
    before, client = spoken.inner_text(), kernel(runtime)
    assert evaluate(client, "figure.alpha") == "0.1"

    slider.focus()
    page.keyboard.press("ArrowRight")
    shown = float(slider.input_value())
    assert shown > 0.1
    wait_until(lambda: float(evaluate(client, "figure.alpha")) == pytest.approx(shown), 20)
    wait_until(lambda: spoken.inner_text() != before, 20)  # read-outs may wait for a pause

    client.execute_interactive("figure.alpha = 0.3", timeout=30)
    wait_until(lambda: float(slider.input_value()) == pytest.approx(0.3), 20)
    page.context.close()
