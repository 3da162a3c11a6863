"""Every page: whole, local, light, readable on a phone."""

import re

BUDGET = 450_000  # bytes, compressed, of everything a page loads at first


def test_no_trouble(opened, page_path, scheme):
    seen = opened(scheme, page_path, width=1280)
    assert seen.troubles == []
    assert seen.loaded, "the page loaded nothing, so nothing was looked at"


def test_no_trouble_in_the_dark(opened, page_path):
    seen = opened("http", page_path, color_scheme="dark")
    page = seen.page
    assert seen.troubles == []
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_fits_a_phone(opened, page_path):
    page = opened("http", page_path, width=360).page
    width = page.evaluate("() => document.documentElement.scrollWidth")
    wide = page.evaluate(
        """() => [...document.querySelectorAll('.bd-article *')].filter(
             (e) => e.getBoundingClientRect().right > innerWidth + 1
               && !e.closest('.math, pre, .cell_output, .pst-scrollable-table-container')
           ).slice(0, 5).map((e) => e.outerHTML.slice(0, 120))"""
    )
    assert width <= 360, f"the page is {width} px wide; candidates: {wide}"


def test_weight(opened, site, page_path):
    seen = opened("http", page_path, width=1280)
    sizes = seen.gzip_bytes(site)
    total = sum(sizes.values())
    heaviest = sorted(sizes.items(), key=lambda item: -item[1])[:3]
    print(f"\n{page_path}: {total / 1000:.0f} kB compressed, most of it {heaviest}")
    assert page_path in sizes
    assert total < BUDGET


def test_head(site, page_path):
    html = (site / page_path).read_text("utf-8")
    assert re.search(r'<link rel="icon" href="[^"]+\.svg', html)
    descriptions = re.findall(r'<meta[^>]*name="description"[^>]*>', html)
    assert len(descriptions) == 1
    assert len(re.search(r'content="([^"]*)"', descriptions[0])[1]) > 40


def test_no_thebe(site, page_path):
    assert "thebe" not in (site / page_path).read_text("utf-8").lower()


def test_maths_is_set(opened, page_path):
    page = opened("file", page_path, width=1280).page
    written = page.locator(".bd-article .math").count()
    assert page.locator(".bd-article .math .katex-html").count() >= written
    assert page.locator(".bd-article .math .katex-mathml math").count() >= written
    assert page.locator(".katex-error").count() == 0
    fonts = page.evaluate("() => [...document.fonts].map((f) => f.family)")
    assert any(family.startswith("KaTeX") for family in fonts) == bool(written)


def test_start_page(visit):
    """The address without a path leads to the first chapter."""
    visit("http").goto("").wait_for_url("**/book/intro.html")


def test_search_finds_maml(visit):
    visit("http").goto("search.html?q=maml").wait_for_selector("#search-results li a")
