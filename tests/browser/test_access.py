"""Every page for every reader: no axe-core violation, all by keyboard, motion only if wanted."""

import pytest
from looking import axe_violations, load_axe

WIDTHS, SCHEMES = (1280, 360), ("light", "dark")


@pytest.mark.parametrize("width", WIDTHS)
def test_no_axe_violation(opened, page_path, width):
    page = opened("http", page_path, width=width).page
    # axe passes over what the browser has not laid out yet.
    page.add_style_tag(content="section { content-visibility: visible !important }")
    load_axe(page)
    assert [found for colours in SCHEMES for found in axe_violations(page, colours)] == []


def test_the_first_tab_leads_to_the_text(visit):
    page = visit("http").open("book/family.html")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent.trim()") == (
        "Skip to main content"
    )
    page.keyboard.press("Enter")
    page.wait_for_url("**#main-content")


def test_what_takes_the_focus_has_a_name_and_a_role(opened, page_path):
    """Of the browser's own tree for assistive technology, every node that can be focused."""
    page = opened("file", page_path, width=1280).page
    page.add_style_tag(content="section { content-visibility: visible !important }")
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    nameless = []
    for node in (each for each in tree if not each.get("ignored")):
        said = {each["name"]: each["value"].get("value") for each in node.get("properties", [])}
        name, role = (node.get(key, {}).get("value", "") for key in ("name", "role"))
        if said.get("focusable") and (not name.strip() or role in ("generic", "none")):
            nameless.append((role, name, node["backendDOMNodeId"]))
    assert nameless == []


def test_focus_is_seen(opened, page_path):
    """The first thirty stops of the Tab key each show where they are."""
    page = opened("http", page_path, width=1280).page
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement === document.body"):
            break
        unseen = page.evaluate(
            """() => { const e = document.activeElement;
              const style = (x) => getComputedStyle(x);
              const outlined = (x) => style(x).outlineStyle !== 'none'
                && style(x).outlineWidth !== '0px';
              const marked = (x) => outlined(x) || style(x).boxShadow !== 'none';
              const ring = e.querySelector('.mf-hit'); // of a point to drag
              if (ring && !['none', 'rgba(0, 0, 0, 0)'].includes(style(ring).stroke)) return '';
              const drawn = [e, e.nextElementSibling, e.parentElement, e.querySelector('*')];
              return drawn.some((x) => x && marked(x)) ? '' : e.outerHTML.slice(0, 160); }"""
        )
        assert unseen == ""
