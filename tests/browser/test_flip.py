"""The board of mistakes: a switch changes which code runs and what the check says of it."""

PAGE = "book/mistakes.html"
LIVE = """() => [...document.querySelectorAll('.mf-flip .mf-live')].map(
  (e) => e.querySelector('.mf-code-label').textContent)"""


def test_each_switch_changes_code_and_verdict(visit):
    page = visit("file").open(PAGE)
    figure = page.locator(".mf-flip")
    switches = figure.get_by_role("switch").all()
    assert len(switches) == 15
    for switch in switches:
        assert switch.is_checked()
        switch.uncheck()
        figure.locator(".mf-verdict", has_text="✓ Passes: ").wait_for(timeout=2000)
        assert page.evaluate(LIVE) == ["✓ as it should be, running"]
        switch.check()
        figure.locator(".mf-verdict", has_text="✗ Caught: ").wait_for(timeout=2000)
        assert page.evaluate(LIVE) == ["✗ the mistake, running"]
