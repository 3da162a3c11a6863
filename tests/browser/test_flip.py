"""The board of mistakes: a switch changes which code runs and what the check says of it."""

import json

import pytest

PAGE = "book/mistakes.html"
STATE = "script[type='application/vnd.jupyter.widget-state+json']"
LIVE = """() => [...document.querySelectorAll('.mf-flip .mf-live')].map(
  (e) => e.querySelector('.mf-code-label').textContent)"""


def test_each_switch_changes_code_and_verdict(visit):
    page = visit("file").open(PAGE)
    figure = page.locator(".mf-flip")
    switches = figure.get_by_role("switch").all()
    cases = cases_of(page)
    assert len(switches) == len(cases) > 10
    for switch in switches:
        assert switch.is_checked()
        switch.uncheck()
        figure.locator(".mf-verdict", has_text="✓ Passes: ").wait_for(timeout=2000)
        assert page.evaluate(LIVE) == ["✓ as it should be, running"]
        switch.check()
        figure.locator(".mf-verdict", has_text="✗ Caught: ").wait_for(timeout=2000)
        assert page.evaluate(LIVE) == ["✗ the mistake, running"]


def test_the_readout_is_what_was_measured_with_and_without(visit):
    page = visit("file").open(PAGE)
    figure = page.locator(".mf-flip")
    for case, switch in zip(cases_of(page), figure.get_by_role("switch").all(), strict=True):
        title = f"Mistake {case['number']}, {case['title']}: "
        switch.uncheck()
        says(figure, f"{title}mended. {case['value_label']}: ", case["right"])
        switch.check()
        says(figure, f"{title}planted. {case['value_label']}: ", case["wrong"])


def cases_of(page):
    """What Python measured, as the page holds it."""
    state = json.loads(page.locator(STATE).text_content())["state"]
    (cases,) = (model["state"]["cases"] for model in state.values() if "cases" in model["state"])
    return cases


def says(figure, before, outcome):
    """Wait for the sentence that begins so; its number and its verdict are those measured."""
    status = figure.get_by_role("status")
    status.filter(has_text=before).wait_for(timeout=2000)
    number, _, verdict = status.text_content().removeprefix(before).partition(". ")
    assert float(number.replace("−", "-")) == pytest.approx(outcome["value"], rel=0.051, abs=1e-12)
    assert verdict.endswith(f": {outcome['verdict']}.")
