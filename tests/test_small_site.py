"""A site of three small pages, built with the book's own settings: all steps in their order."""

import json
import re

import pytest
import small
from small import built, cell, notebook

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
NAMES = ("first", "notation", "chapter")
CONTENTS = """
format: jb-book
root: book/first
parts:
  - caption: I. Only part
    chapters: [{file: book/notation}, {file: book/chapter}]
"""
NOTATION = """# Notation

| Symbol | In code | Meaning |
|---|---|---|
| $\\theta$ | `theta` | meta-parameters |
| $K$ | `n_inner_steps` | inner steps |
"""
TEXT = """# A chapter

Of `theta`, and `theta` again.

$$ \\theta = 1 $$ (eq-one)

See {eq}`eq-one` and ![a picture](picture.png).
"""
FIGURE = {"_anywidget_id": "maml_teach.widgets.arm.LiftIt", "_esm": "ESM", "payload": 1.5}


def written(source, cells, widgets=None):
    """The sources of the site in a folder."""
    from PIL import Image

    texts = {"first.md": "# First\n\nWords.", "notation.md": NOTATION}
    texts["chapter.ipynb"] = notebook(cells, widgets)
    small.written(source, CONTENTS, texts)
    Image.new("1", (30, 20)).save(source / "book" / "picture.png")
    return source


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of the built site."""
    view = {"output_type": "display_data", "metadata": {}}
    view["data"] = {VIEW: {"model_id": "m1", "version_major": 2, "version_minor": 0}}
    cells = [
        cell("markdown", TEXT),
        cell("code", "import numpy"),
        cell("code", "1", outputs=[view]),
    ]
    state = {"version_major": 2, "version_minor": 0, "state": {"m1": {"state": FIGURE}}}
    source = written(tmp_path_factory.mktemp("small"), cells, {STATE: state})
    out, code = built(source)
    assert code == 0
    return out


@pytest.mark.parametrize(("claim", "code"), [("1 < 2", 0), ("2 < 1", 1)])
def test_a_claim_that_fails_stops_the_strict_build(claim, code, tmp_path):
    """So the chapters need not run a second time where that build runs them."""
    cells = [cell("markdown", TEXT), cell("code", f"assert {claim}")]
    source = written(tmp_path, cells)
    assert built(source, nb_execution_mode="force", nb_execution_timeout=60)[1] == code


def page(site, name="chapter"):
    return (site / "book" / f"{name}.html").read_text("utf-8")


def data(html, kind):
    return json.loads(re.search(f'<script type="{kind}"[^>]*>(.*?)</script>', html, re.S)[1])


def test_the_figure_is_mounted_and_its_state_comes_last(site):
    html = page(site)
    assert '<div class="figure-mount" data-model-id="m1">' in html
    state = FIGURE | {"figure": "arm"}
    del state["_esm"]
    assert data(html, re.escape(STATE))["state"] == {"m1": {"state": state}}
    assert html.index(STATE) > html.index("</footer>")
    assert re.search(r'<script data-figures="\w{8}" defer="defer" src="../_static/loader\.js', html)
    assert (site / "_static" / "figures" / "arm.js").exists()
    assert "loader.js" not in page(site, "first") and STATE not in page(site, "first")


def test_the_equation_is_set_with_its_number(site):
    html = page(site)
    assert '<annotation encoding="application/x-tex"> \\theta = 1 </annotation>' in html
    assert '<span class="eqno">(1)<a ' in html
    assert '<a class="reference internal" href="#equation-eq-one">(1)</a>' in html
    assert "MathJax" not in html
    assert "katex" in re.search(r"/\* (.*?) \*/", joined_style(site, html))[1]
    assert "katex" not in re.search(r"/\* (.*?) \*/", joined_style(site, page(site, "first")))[1]


def joined_style(site, html):
    (name,) = re.findall(r'<link rel="stylesheet" href="\.\./_static/([\w.-]+)', html)
    return (site / "_static" / name).read_text("utf-8")


def test_the_symbol_is_a_link_once_and_has_its_card(site):
    html = page(site)
    assert html.count('href="notation.html#symbol-theta" class="symbol"') == 1
    assert html.count('<span class="symbol" data-symbol="symbol-theta">') == 1
    meaning = {"symbol": "θ, <code>theta</code>", "meaning": "meta-parameters"}
    assert data(html, "application/json") == {"symbol-theta": meaning}
    rows = re.findall(r'<tr[^>]* id="([^"]*)"', page(site, "notation"))
    assert rows == ["symbol-theta", "symbol-n_inner_steps"]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("first", "page 1 of 3"),
        ("notation", "I. Only part · page 2 of 3"),
        ("chapter", "I. Only part · page 3 of 3"),
    ],
)
def test_each_page_says_where_it_stands(site, name, place):
    assert page(site, name).count(f'<p class="book-place">{place}</p>') == 1


def test_the_chapter_can_be_run(site):
    html = page(site)
    box = re.search(r'<div class="run-page" data-chapter="chapter" data-base="(.*?)"', html)
    assert box[1].startswith("https://cdn.jsdelivr.net/pyodide/")
    assert html.index("</h1>") < box.start()
    assert "runs the 2 code cells below" in html
    assert [f'id="cell-{k}"' in html for k in range(4)] == [False, True, True, False]
    text = (site / "_static" / "run" / "chapter.js").read_text("utf-8")
    cells = json.loads(text.partition(" = ")[2].rstrip(";\n"))["cells"]
    assert [cell["source"] for cell in cells] == ["import numpy", "1"]
    assert "run-page" not in page(site, "first")


def test_pages_ask_for_little_and_nothing_elsewhere(site):
    for name in NAMES:
        html = page(site, name)
        assert "thebe" not in html.lower()
        scripts = re.findall(r'<script[^>]* src="([^"]*)"', html)
        assert scripts and all(re.match(r"\.\./(_static|search)", address) for address in scripts)
        assert all(" defer" in tag for tag in re.findall(r"<script[^>]* src=[^>]*>", html))
        assert html.count('name="description"') == 1
    assert not (site / "_static" / "vendor" / "fontawesome").exists()
    assert not list((site / "_static").rglob("*.map"))


def test_the_picture_waits_and_keeps_its_room(site):
    (tag,) = re.findall(r"<img [^>]*picture\.png[^>]*>", page(site))
    assert 'loading="lazy"' in tag and 'width="30" height="20"' in tag


def test_a_title_names_the_book_once(site):
    titles = {name: re.search("<title>(.*?)</title>", page(site, name), re.S)[1] for name in NAMES}
    assert titles["first"].split() == ["First"]
    assert titles["chapter"].split()[:2] == ["A", "chapter"]
    assert titles["chapter"].count("MAML, from principle to code") == 1


def test_markup_is_mended(site):
    html = page(site)
    assert "<pre>" not in html and '<pre tabindex="0" role="group" aria-label="Code">' in html
    assert '<div role="navigation" aria-label="Start and search"' in html
