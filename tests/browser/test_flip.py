"""The figure of mistakes: what the list and the switch change, and what stays where it is."""

import json

import pytest
from looking import impatient

PAGE = "book/mistakes.html"
STATE = "script[type='application/vnd.jupyter.widget-state+json']"
VERSIONS = {"wrong": "with the mistake", "right": "as it should be"}
SWITCH = {"wrong": "✗ wrong", "right": "✓ right"}
HEIGHT = "() => document.querySelector('.mf-flip').getBoundingClientRect().height"
PROGRAM = """(version) => [...document.querySelectorAll('.mf-shown .mf-line')]
  .filter((line) => !line.classList.contains(version === 'wrong' ? 'mf-right' : 'mf-wrong'))
  .map((line) => line.querySelector('code').textContent).join('\\n')"""


def test_each_mistake_shows_its_program_its_verdict_and_its_result(opened):
    page = impatient(opened("file", PAGE, width=1280))
    figure = page.locator(".mf-flip")
    cases = cases_of(page)
    assert len(cases) == 15
    for case in cases:
        figure.locator("select").select_option(str(case["number"]))
        for version in VERSIONS:
            figure.get_by_role("radio", name=SWITCH[version]).check(force=True)
            says(figure, case, version)
            assert page.evaluate(PROGRAM, version) == program(case, version)


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_nothing_moves_from_one_mistake_to_the_next(opened, width):
    page = impatient(opened("file", PAGE, width=1280))
    page.set_viewport_size({"width": width, "height": 900})
    figure, heights = page.locator(".mf-flip"), set()
    for case in cases_of(page):
        figure.locator("select").select_option(str(case["number"]))
        for version in VERSIONS:
            figure.get_by_role("radio", name=SWITCH[version]).check(force=True)
            says(figure, case, version)
            heights.add(page.evaluate(HEIGHT))
    assert max(heights) - min(heights) < 1


def test_on_paper_every_program_has_its_name_and_its_lines(opened):
    page = opened("file", PAGE, width=1280).page
    page.emulate_media(media="print")
    names = page.locator(".mf-program b")
    cases = cases_of(page)
    assert names.all_text_contents() == [f"{case['number']}. {case['title']}" for case in cases]
    assert all(name.is_visible() for name in names.all())
    tops = [program.bounding_box()["y"] for program in page.locator(".mf-program").all()]
    assert tops == sorted(tops) and len(set(tops)) == len(cases)


def program(case, version):
    """A program's text, from the diff that Python sent."""
    lines = [pieces for whose, pieces in case["diff"] if whose in ("both", version)]
    return "\n".join("".join(text for text, _ in pieces) for pieces in lines)


def cases_of(page):
    """What Python measured, as the page holds it."""
    state = json.loads(page.locator(STATE).text_content())["state"]
    (cases,) = (model["state"]["cases"] for model in state.values() if "cases" in model["state"])
    return cases


def says(figure, case, version):
    """Wait for the sentences on this version; its verdict and its number are those measured."""
    outcome, name = case[version], VERSIONS[version]
    before = f"Mistake {case['number']}, {case['title']}, {name}. "
    before += f"{case['caught_by']}: {outcome['verdict']}; {case['value_label']}: "
    status = figure.get_by_role("status")
    status.filter(has_text=before).wait_for(timeout=2000)
    number = status.text_content().removeprefix(before).partition(". ")[0]
    assert float(number.replace("−", "-")) == pytest.approx(outcome["value"], rel=0.051, abs=1e-12)
