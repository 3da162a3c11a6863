"""The texts of the search page: those of all sections and boxes, each once."""

import json
import re

import small
from extension import imported

texts = imported("search_texts")
PAGE = """<p class="book-place">page 1 of 2</p>
<section id="top"><h1><span class="section-number">1. </span>Top<a class="headerlink">#</a></h1>
<div class="run-page"><p>Press</p></div><p>One <code><span class="pre">word</span></code>.</p>
<p>Of <span class="katex"><span class="katex-mathml"><math><mi>θ</mi><mo>\u2062</mo><mn>2</mn>
<annotation>\\theta</annotation></math></span><span class="katex-html">no</span></span></p>
<table><tr><td>a<br/>b</td><td>c</td></tr></table><script>no</script>
<section id="inner"><span id="label"></span><h2>Inner</h2><div><pre>x = <b>1</b>\ny</pre></div>
</section>
<section id="full"><h2>Full</h2>
<div class="exercise admonition" id="ex"><p class="admonition-title">Ex 1</p>
<section id="exercise-content"><p>Ask.</p></section></div>
<div class="note admonition"><p class="admonition-title">Note</p><p>Inside.</p></div>
<div class="solution admonition" id="sol"><p class="admonition-title">Sol 1</p><p>Say.</p></div>
</section>
<section id="empty"><h2>Empty</h2><section id="a"><h3>A</h3></section><section id="b"><h3>B</h3>
</section></section></section>"""


def test_each_part_has_its_own_text():
    assert texts.entries(PAGE) == [
        ["top", "1. Top", "One word. Of θ2 a b c"],
        ["inner", "Inner", "x = 1 y"],
        ["full", "Full", "Note Inside."],
        ["ex", "Ex 1", "Ask."],
        ["sol", "Sol 1", "Say."],
        ["empty", "Empty", "A. B"],
        ["a", "A", ""],
        ["b", "B", ""],
    ]


CONTENTS = """
format: jb-book
root: book/first
parts: [{caption: Part, chapters: [{file: book/one}, {file: book/two}]}]
"""


def script(out):
    text = (out / "_static" / "search_texts.js").read_text("utf-8")
    return json.loads(text.removeprefix("var searchTexts = ").rstrip(";\n"))


def test_a_later_build_keeps_what_it_does_not_write_and_forgets_what_is_gone(tmp_path):
    files = {"first.md": "# First\n\nOld.", "one.md": "# One\n\nKept.", "two.md": "# Two\n\nGone."}
    source = small.written(tmp_path, CONTENTS, files)
    out, _ = small.built(source)
    one = [["one", "One", "Kept."]]
    assert script(out) == {
        "book/first": [["first", "First", "Old."]],
        "book/one": one,
        "book/two": [["two", "Two", "Gone."]],
    }
    (source / "book" / "first.md").write_text("# First\n\nNew.", "utf-8")
    (source / "book" / "two.md").unlink()
    (source / "_toc.yml").write_text(CONTENTS.replace(", {file: book/two}", ""), "utf-8")
    small.built(source)
    assert script(out) == {"book/first": [["first", "First", "New."]], "book/one": one}


def test_only_the_search_page_loads_them_before_the_index(tmp_path):
    files = {f"{name}.md": f"# {name}" for name in ("first", "one", "two")}
    out, _ = small.built(small.written(tmp_path, CONTENTS, files))
    page, search = ((out / name).read_text("utf-8") for name in ("book/first.html", "search.html"))
    assert "search_texts" not in page
    wanted = ["searchtools", "language_data", "search_texts", "search", "searchindex"]
    loaded = re.findall(r'<script[^>]* src="(?:_static/)?(\w+)\.js', search)
    assert [name for name in loaded if name in wanted] == wanted
