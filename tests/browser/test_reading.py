"""What helps to read: place in the book, cards on symbols, search and print without a network."""

import re

import pytest

CHAPTER = "book/derivation.html"


def test_each_page_says_where_it_stands(visit, site):
    seen = []
    for path in sorted((site / "book").glob("*.html")):
        words = re.findall(r'<p class="book-place">([^<]*)</p>', path.read_text("utf-8"))
        assert len(words) == 1
        seen.append(re.search(r"page (\d+) of (\d+)$", words[0]).groups())
    assert sorted(int(number) for number, _ in seen) == list(range(1, len(seen) + 1))
    assert {int(total) for _, total in seen} == {len(seen)}


def test_a_card_explains_a_symbol(visit):
    seen = visit("file")
    page = seen.open("book/algorithm.html")
    link = page.locator("a.symbol[data-symbol=symbol-theta_prime]")
    card = page.locator("#symbol-card")
    assert not card.is_visible()
    link.focus()
    assert "adapted parameters" in card.inner_text()
    assert link.get_attribute("aria-describedby") == "symbol-card"
    page.keyboard.press("Escape")
    assert not card.is_visible()
    link.hover()
    card.hover()  # the way to the card must not close it
    seen.frames(30)
    assert card.is_visible()
    link.click()
    page.wait_for_url("**/notation.html#symbol-theta_prime")
    assert "theta_prime" in page.locator("tr:target").inner_text()


@pytest.mark.parametrize("symbol", ["a.symbol", "span.symbol"])
def test_a_card_stays_after_a_tap(visit, symbol):
    seen = visit("file", width=360, has_touch=True)
    page = seen.open("book/algorithm.html")
    card = page.locator("#symbol-card")
    page.locator(f"p {symbol}").first.tap()
    seen.frames(30)
    assert card.is_visible()
    page.locator(".book-place").tap()
    assert not card.is_visible()


def test_every_symbol_has_its_card_and_its_row(site):
    notation = (site / "book/notation.html").read_text("utf-8")
    rows = set(re.findall(r'<tr[^>]* id="(symbol-[\w-]+)"', notation))
    n_marked = 0
    for path in (site / "book").glob("*.html"):
        html = path.read_text("utf-8")
        marked = set(re.findall(r'data-symbol="([\w-]+)"', html))
        linked = re.findall(r'<a href="notation.html#([\w-]+)"[^>]* class="symbol"', html)
        linked += re.findall(r'class="symbol" data-symbol="([\w-]+)"[^>]*href=', html)
        assert marked <= rows
        n_marked += len(marked)
    assert n_marked > 20


def test_back_at_the_top_no_section_is_marked(visit):
    seen = visit("file")
    page = seen.open(CHAPTER)
    marked = page.locator(".bd-sidebar-secondary .nav-link.active")
    page.locator(".bd-article h2").nth(2).evaluate("(e) => e.scrollIntoView({ block: 'start' })")
    assert seen.until(lambda: marked.count() > 0)
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    assert seen.until(lambda: marked.count() == 0)
    seen.frames(30)
    assert marked.count() == 0


def test_search_works_from_a_file(visit):
    seen = visit("file")
    page = seen.goto("search.html?q=hessian")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a", has_text="derivation").count() >= 1


def test_paper_holds_the_whole_chapter(visit):
    """Sidebars and buttons go, folded solutions and code open."""
    page = visit("http", color_scheme="dark").open(CHAPTER)
    page.emulate_media(media="print")
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    for hidden in (".bd-sidebar-primary", ".prev-next-footer", ".figure-mount button"):
        assert not page.locator(hidden).first.is_visible(), hidden
    for shown in (".figure-mount svg", ".admonition.solution p:not(.admonition-title)"):
        assert page.locator(shown).first.is_visible(), shown
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("html").get_attribute("data-theme") == "light"
    page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_nothing_fades_in_on_paper(visit):
    """Code that print has just opened would come out pale or blank."""
    page = visit("http").open(CHAPTER)
    page.emulate_media(media="print", reduced_motion="no-preference")
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    names = page.evaluate(
        """() => [...document.querySelectorAll('.bd-article details *')].map(
          (e) => getComputedStyle(e).animationName)"""
    )
    assert set(names) == {"none"}


@pytest.mark.parametrize("name", ["concepts", "derivation", "mistakes"])
def test_all_letters_are_loaded_before_printing(visit, name):
    """Fonts that only skipped parts use are missing on paper if nobody has scrolled there."""
    seen = visit("file")
    page = seen.open(f"book/{name}.html")
    loaded = "() => [...document.fonts].filter((f) => f.status === 'loaded').length"
    seen.until(lambda: page.evaluate("() => 'letters' in document.documentElement.dataset"))
    page.evaluate("() => document.fonts.ready.then(() => true)")
    before = page.evaluate(loaded)
    page.add_style_tag(content="section { content-visibility: visible !important }")
    page.evaluate("() => document.body.offsetHeight && document.fonts.ready.then(() => true)")
    assert page.evaluate(loaded) == before >= 1


def test_pictures_say_what_they_show(site):
    for path in (site / "book").glob("*.html"):
        article = path.read_text("utf-8").partition("<article")[2].partition("</article>")[0]
        for tag in re.findall(r"<img [^>]*>", article):
            alt = re.search(r'alt="([^"]*)"', tag)
            assert alt and len(alt[1]) > 30 and ".png" not in alt[1], tag[:200]
