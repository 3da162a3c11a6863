"""The recipe of CONTRIBUTING.md for a new figure: its example is short, and it works."""

import importlib.util
import json
from pathlib import Path

TESTS = Path(__file__).parent.parent
EXAMPLE = TESTS / "example" / "one_step"
LOADER = TESTS.parent / "book" / "_static" / "loader.js"


def example_figure():
    spec = importlib.util.spec_from_file_location(
        "maml_teach.widgets.one_step", EXAMPLE / "__init__.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.OneStep(alpha=0.2)


def page_with(figure):
    state = {name: getattr(figure, name) for name in ("_esm", "_css", "alpha")}
    data = json.dumps({"state": {"it": {"state": state}}}).replace("</", "<\\/")
    return (
        '<!doctype html><html lang="en"><title>Recipe</title>'
        '<div class="figure-mount" data-model-id="it"></div>'
        f'<script type="application/vnd.jupyter.widget-state+json">{data}</script>'
        f"<script>{LOADER.read_text('utf-8')}</script>"
    )


def test_the_example_is_short():
    files = [path for path in EXAMPLE.iterdir() if path.is_file()]
    assert {"one_step.js", "__init__.py"} <= {path.name for path in files}
    lines = [line for path in files for line in path.read_text("utf-8").splitlines()]
    assert len([line for line in lines if line.strip()]) < 60


def test_the_example_moves_speaks_and_resets(browser, tmp_path):
    (tmp_path / "page.html").write_text(page_with(example_figure()), "utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.locator(".figure-mount[data-ready]").wait_for()
    spoken, arrow = page.get_by_role("status"), page.locator(".mf-after")
    assert spoken.inner_text() == "One step with α = 0.20 leads from 1.50 to 0.30."
    before = arrow.get_attribute("d")
    page.get_by_role("slider").press("ArrowRight")
    spoken.get_by_text("to 0.24.").wait_for()
    assert arrow.get_attribute("d") != before
    page.get_by_role("button", name="Reset").click()
    spoken.get_by_text("to 0.30.").wait_for()
    assert arrow.get_attribute("d") == before
    page.close()
