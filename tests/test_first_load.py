"""A finished page asks for one style sheet, waits for no script, and has its data last."""

import re

import pytest
from extension import imported

first_load = imported("first_load")
PAGE = """<head>
<link rel="stylesheet" href="../_static/one.css?v=1" />
<link href="../_static/styles/two.css" rel="stylesheet" type="text/css" />
<link rel="icon" href="../_static/i.svg"/>
<script src="../_static/documentation_options.js?v=5"></script>
<script src="../_static/a.js?v=2"></script>
<script data-sd="x" src="../_static/b.js"></script>
<script src="https://elsewhere.org/c.js"></script>
<script src="../searchindex.js"></script>
</head><body><script type="application/vnd.jupyter.widget-state+json">{"a": 1}</script><p>x</p>
</body>"""


@pytest.fixture
def static(tmp_path):
    folder = tmp_path / "site" / "_static"
    (folder / "styles" / "fonts").mkdir(parents=True)
    (folder / "one.css").write_text("a{background:url(pic.png)}", "utf-8")
    (folder / "styles" / "two.css").write_text(
        '@import "three.css";b{src:url(fonts/f.woff),url("data:x"),url(#g)}', "utf-8"
    )
    (folder / "styles" / "three.css").write_text("i{src:url(../t.png)}", "utf-8")
    (tmp_path / "site" / "book").mkdir()
    return folder.resolve()


JOINED = """/* one.css styles/two.css */
a{background:url(pic.png)}
i{src:url(styles/../t.png)}b{src:url(styles/fonts/f.woff),url("data:x"),url(#g)}"""


def lightened(static, path="book/page.html"):
    return first_load.lighten(PAGE, static.parent / path, static, "let o = '\\1';")


def test_style_sheets_become_one_with_their_imports_and_addresses(static):
    links = re.findall(r"<link [^>]*stylesheet[^>]*>", lightened(static))
    (name,) = (path.name for path in static.glob("book-*.css"))
    assert (static / name).read_text("utf-8") == JOINED
    digest = first_load.digest(JOINED)
    assert links == [f'<link rel="stylesheet" href="../_static/{name}?v={digest}" />']


def test_the_link_leads_there_from_the_root_too(static):
    page = PAGE.replace("../_static", "_static")
    html = first_load.lighten(page, static.parent / "index.html", static, "")
    assert re.search(r'href="_static/book-\w{12}\.css\?v=\w{12}"', html)


def test_scripts_wait_and_data_come_last(static):
    html = lightened(static)
    assert "<script>let o = '\\1';</script>" in html
    assert '<script defer src="../_static/a.js?v=2">' in html
    assert '<script data-sd="x" defer src="../_static/b.js">' in html
    assert '<script defer src="../searchindex.js">' in html
    assert '<script src="https://elsewhere.org/c.js">' in html
    state = '<script type="application/vnd.jupyter.widget-state+json">{"a": 1}</script>'
    assert html.count(state) == 1
    assert html.rstrip().endswith(f"<p>x</p>\n{state}</body>")
    assert '<link rel="icon" href="../_static/i.svg"/>' in html


def test_a_page_without_style_sheets_stays(static):
    html = "<head></head><body></body>"
    assert first_load.lighten(html, static.parent / "x.html", static, "") == html
    assert not list(static.glob("book-*.css"))


def test_an_edited_sheet_reaches_pages_that_were_not_written(static):
    lightened(static)
    (static / "one.css").write_text("a{color:red}", "utf-8")
    first_load.refresh_styles(static)
    (path,) = static.glob("book-*.css")
    assert path.read_text("utf-8") == JOINED.replace("a{background:url(pic.png)}", "a{color:red}")


def test_names_differ_with_what_is_named():
    names = {first_load.digest(text) for text in ("a", "b", "a ", "")}
    assert len(names) == 4 and {len(name) for name in names} == {12}
