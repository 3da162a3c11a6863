"""Style rules that no page can use are left out, and no others."""

import pytest
from extension import imported

slim_css = imported("slim_css")
CSS = """@import "other.css";
/* .gone { } */ .used { color: red; } .unused { color: blue }
.used .unused, h1 { margin: 0 } .used.unused, .unused { padding: 0 }
a:not(.unused) { border: 0 } .used:hover::after { content: "}" }
@media (min-width: 9px) { .used { top: 0 } .unused { top: 1px } }
@media print { .unused { left: 0 } }
@font-face { font-family: F }
@keyframes fade { from { opacity: 0 } }"""


def test_a_rule_stays_when_one_of_its_selectors_can_match():
    css = slim_css.slim(CSS.replace('content: "}"', "content: none"), {"used"})
    assert css == (
        '@import "other.css";.used{ color: red; }.used .unused, h1{ margin: 0 }'
        "a:not(.unused){ border: 0 }.used:hover::after{ content: none }"
        "@media (min-width: 9px){.used{ top: 0 }}@font-face{ font-family: F }"
        "@keyframes fade{ from { opacity: 0 } }"
    )


@pytest.mark.parametrize("group", ["@media x", "@supports (a: b)", "@layer base", "@container x"])
def test_groups_are_looked_into(group):
    css = f"{group} {{ .a {{ top: 0 }} .b {{ top: 1px }} }}"
    assert slim_css.slim(css, {"b"}) == f"{group}{{.b{{ top: 1px }}}}"
    assert slim_css.slim(css, set()) == ""


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("h1 > p", True),
        (".a", True),
        (".a.b", False),
        (".a .c-d", True),
        (".b, .a", True),
        (".b, .c-d .b", False),
        ("p:not(.b)", True),
        (".-x", False),
        ("[href$='.b']", False),  # cautious in no way: such a rule would be lost
    ],
)
def test_a_selector_matches_when_all_its_classes_are_known(selector, matches):
    assert slim_css.can_match(selector, {"a", "c-d"}) == matches


def test_nested_blocks_are_one_block():
    css = ".a { .b { top: 0 } .c { } } @charset 'x'; .d { }"
    found = [(selector, body and body.strip()) for selector, body in slim_css.blocks(css)]
    assert found == [(".a", ".b { top: 0 } .c { }"), ("@charset 'x';", None), (".d", "")]


def test_a_site_is_slimmed_by_its_pages_and_scripts(tmp_path):
    static = tmp_path / "_static"
    (static / "vendor").mkdir(parents=True)
    rules = "".join(f".{name} {{ top: 0 }}" for name in ("page", "script", "vendored", "none"))
    for name in ("theme.css", "site.css", "book-0a1b2c.css"):
        (static / name).write_text(rules, "utf-8")
    (tmp_path / "index.html").write_text('<p class="page">', "utf-8")
    (static / "own.js").write_text("e.classList.add('script')", "utf-8")
    (static / "vendor" / "lib.js").write_text("'vendored'", "utf-8")
    slim_css.slim_site(tmp_path)
    assert (static / "theme.css").read_text("utf-8") == ".page{ top: 0 }.script{ top: 0 }"
    for name in ("site.css", "book-0a1b2c.css"):  # the book's own stay whole
        assert (static / name).read_text("utf-8") == rules
