"""The search page: from files as from a server, every result has its section and an excerpt."""

import re
from urllib.parse import quote, unquote

import pytest
from looking import axe_violations, load_axe

QUERIES = ["Hessian", "Reptile", "learning rate", "detach", "create_graph"]
RESULTS = """() => [...document.querySelectorAll('#search-results li')].map((item) => ({
  link: item.querySelector('a').getAttribute('href'),
  title: item.querySelector('a').textContent,
  text: item.querySelector('.context').textContent,
  marked: [...item.querySelectorAll('mark')].map((mark) => mark.textContent) }))"""


def found(seen, query):
    """What the page shows for a query."""
    page = seen.goto(f"search.html?q={quote(query)}")
    seen.until(lambda: page.locator("#search-status").inner_text())
    return page.evaluate(RESULTS)


@pytest.mark.parametrize("query", QUERIES)
def test_every_result_has_an_excerpt_and_leads_to_its_section(visit, site, scheme, query):
    seen = visit(scheme)
    fetched = []
    watch = lambda request: request.resource_type in ("fetch", "xhr") and fetched.append(request)  # noqa: E731
    seen.page.on("request", watch)
    stems = tuple(word[:4].lower() for word in query.split())
    results = found(seen, query)
    assert results
    for result in results:
        assert result["marked"], result
        assert all(word.lower().startswith(stems) for word in result["marked"]), result
        assert all(word in result["text"] for word in result["marked"])
        assert 60 < len(result["text"]) < 300 and result["title"]
        path, _, anchor = result["link"].partition("#")
        assert f'id="{unquote(anchor)}"' in (site / path).read_text("utf-8")
    links = [result["link"] for result in results]
    assert len(set(links)) == len(links)
    assert seen.troubles == []
    assert fetched == []


def test_most_results_name_a_section_and_not_only_a_page(visit):
    seen = visit("file")
    titles = [result["title"] for query in QUERIES for result in found(seen, query)]
    assert sum("›" in title for title in titles) > len(titles) / 2


@pytest.mark.parametrize("query", QUERIES)
def test_files_and_a_server_show_the_same(visit, query):
    assert found(visit("file"), query) == found(visit("http"), query)


def test_a_title_that_is_asked_for_comes_first(visit):
    """Sphinx's ranking: the heading before pages that only use the words."""
    first = found(visit("file"), "Why the Hessian is never formed")[0]
    assert first["title"].endswith("› Why the Hessian is never formed")
    assert first["link"].endswith("#why-the-hessian-is-never-formed")


def test_what_stands_nowhere_is_said(visit):
    seen = visit("file")
    assert found(seen, "<zzyzx>") == []
    said = seen.page.locator("#search-status").inner_text()
    assert said.startswith("Nothing in this book matches “<zzyzx>”.")


def test_the_number_of_results_is_read_aloud(visit):
    seen = visit("http")
    n = len(found(seen, "Hessian"))
    status = seen.page.get_by_role("status")
    assert status.inner_text() == f"{n} places found for “Hessian”."
    assert len(found(seen, "crosswind")) == 1
    assert seen.page.get_by_role("status").inner_text() == "1 place found for “crosswind”."


def test_the_results_follow_the_field_by_keyboard(visit):
    seen = visit("file")
    results = found(seen, "Reptile")
    page = seen.page
    assert page.evaluate("() => document.activeElement.name") == "q"
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.getAttribute('href')") == results[0]["link"]
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(re.escape(results[0]["link"]) + "$"))
    assert seen.troubles == []


@pytest.mark.parametrize("width", [1280, 360])
def test_the_results_are_for_everybody(visit, width):
    """On a phone, in light and dark, without an axe-core violation; what is marked is seen."""
    seen = visit("http", width=width)
    assert found(seen, "learning rate")
    assert seen.page.evaluate("() => document.documentElement.scrollWidth") <= width
    load_axe(seen.page)
    for colours in ("light", "dark"):
        assert axe_violations(seen.page, colours) == []
        paint = "(mark) => getComputedStyle(mark).backgroundColor"
        marked = seen.page.locator(".search-list mark").first.evaluate(paint)
        assert marked not in ("rgba(0, 0, 0, 0)", "transparent")


def test_no_other_page_pays_for_it(site, page_path):
    loads = "search_texts.js" in (site / page_path).read_text("utf-8")
    assert loads == (page_path == "search.html")
