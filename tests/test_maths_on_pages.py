"""Equations are set when the site is built, or there is a warning that says where."""

import re
from types import SimpleNamespace

import pytest
from docutils import nodes
from extension import imported

maths = imported("maths")


def mathml(html):
    return re.search(r"<math.*?</math>", html)[0]


def test_a_formula_is_set_for_eyes_and_ears():
    html = maths.typeset(r"\theta_i' = \theta - \alpha g", False)
    assert html.startswith('<span class="katex">')
    said = mathml(html)
    assert r'encoding="application/x-tex">\theta_i&#x27; = \theta - \alpha g</annotation>' in said
    assert re.findall(r"<mi>(.)</mi>", said) == list("θiθαg")


def test_a_displayed_formula_is_displayed():
    assert 'display="block"' in maths.typeset("x^2", True)
    assert 'class="katex-display"' in maths.typeset("x^2", True)
    assert "display" not in maths.typeset("x^2", False)


@pytest.mark.parametrize("tex", [r"\frac{1}", r"\unknown", "x_1_2", "x^{"])
def test_what_cannot_be_read_is_an_error(tex):
    with pytest.raises(ValueError, match=f"no equation from {re.escape(repr(tex))}"):
        maths.typeset(tex, False)


@pytest.fixture
def warnings(monkeypatch):
    heard = []
    note = lambda text, *args, location: heard.append((text % args, location))  # noqa: E731
    monkeypatch.setattr(maths, "log", SimpleNamespace(warning=note))
    return heard


def test_a_page_keeps_what_cannot_be_read_and_warns_of_the_place(warnings):
    node = nodes.math(r"\unknown < 1", r"\unknown < 1")
    assert maths.html_of(node, display=False) == r"\unknown < 1"
    ((words, place),) = warnings
    assert words.startswith(r"no equation from '\\unknown < 1'")
    assert place is node


@pytest.mark.parametrize(
    ("tex", "display", "rows"),
    [
        (r"a &= b \\ c &= d", True, 2),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", True, 2),
        ("a = b", True, 0),
    ],
)
def test_lines_stand_below_each_other(tex, display, rows, warnings):
    html = maths.html_of(nodes.math(tex, tex), display)
    assert mathml(html).count("<mtr>") == rows
    assert warnings == []


class Writer:
    """As much of a writer as an equation asks for."""

    def __init__(self):
        self.body = []
        self.builder = SimpleNamespace(name="html", fignumbers={}, config=None)

    def starttag(self, node, tag, suffix="\n", CLASS=""):
        return f'<{tag} class="{CLASS}">{suffix}'

    def add_permalink_ref(self, node, title):
        self.body.append(f'<a title="{title}">#</a>')


def written(visit, node):
    writer = Writer()
    with pytest.raises(nodes.SkipNode):
        visit(writer, node)
    return "".join(writer.body)


def test_a_formula_in_a_line_is_a_span():
    html = written(maths.visit_inline, nodes.math("x", "x"))
    classes = "math notranslate nohighlight"
    assert html == f'<span class="{classes}">{maths.typeset("x", False)}</span>'


def test_a_displayed_equation_has_its_number_and_a_link(monkeypatch):
    monkeypatch.setattr(maths, "get_node_equation_number", lambda writer, node: node["number"])
    block = nodes.math_block("x", "x", number="3.4")
    html = written(maths.visit_block, block)
    head, _, equation = html.partition('<span class="eqno">(3.4)')
    assert head.strip() == '<div class="math notranslate nohighlight">'
    rest = '<a title="Link to this equation">#</a></span>'
    assert equation == f"{rest}{maths.typeset('x', True)}</div>\n"
    block["number"] = None
    assert "eqno" not in written(maths.visit_block, block)


@pytest.mark.parametrize(("page", "sheets"), [("a", ["vendor/katex/katex.min.css"]), ("b", [])])
def test_the_style_sheet_comes_with_equations(page, sheets):
    found = []
    domain = SimpleNamespace(data={"has_equations": {"a": True, "b": False}})
    env = SimpleNamespace(get_domain={"math": domain}.get)
    maths.add_styles(SimpleNamespace(env=env, add_css_file=found.append), page, "", {}, None)
    maths.add_styles(SimpleNamespace(env=env, add_css_file=found.append), "unknown", "", {}, None)
    assert found == sheets
