"""The three sliders of the claims chapter say what its tables say. From a file, network cut."""

import pytest

PAGE = "book/claims.html"


def figure(page, name):
    found = page.get_by_role("group", name=f"On trial: {name}", exact=True)
    found.scroll_into_view_if_needed()
    return found


# The text of a row that begins with a word; what is far from the window has no inner text.
ROW = """(first) => [...document.querySelectorAll('article table tr')]
  .map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent.trim()))
  .find((row) => row[0] === first)"""


def mean(cell):
    return float(cell.split(" ±")[0])


@pytest.mark.parametrize("frequency", ["0.5", "2"])
def test_frequency_and_table_agree(visit, frequency):
    page = visit("file").open(PAGE)
    one = figure(page, "related tasks")
    one.get_by_role("spinbutton").fill(frequency)
    row = page.evaluate(ROW, frequency)
    page.wait_for_timeout(700)
    said = one.get_by_role("status").inner_text()
    assert f"frequency {float(frequency):.2f}" in said
    for name, cell in zip(("MAML", "pretrained", "random start"), row[1:], strict=False):
        number = float(said.split(f"{name} ")[1].split(",")[0])
        assert number == pytest.approx(mean(cell), abs=0.006)


def test_variance_and_table_agree(visit):
    page = visit("file").open(PAGE)
    one = figure(page, "variance")
    one.get_by_role("spinbutton").fill("0.05")
    page.wait_for_timeout(700)
    said = one.get_by_role("status").inner_text()
    for name, row in (
        ("a random start", page.evaluate(ROW, "random")),
        ("the MAML start", page.evaluate(ROW, "MAML")),
    ):
        number = float(said.split(f"{name} ")[1].split(",")[0].split(". ")[0])
        assert number == pytest.approx(mean(row[-1]), abs=0.006)


def test_another_wave_and_reset(visit):
    seen = visit("file")
    one = figure(seen.open(PAGE), "shift")
    curve = one.locator(".mf-truth")
    first = curve.get_attribute("d")
    one.get_by_role("button", name="Another wave").click()
    seen.page.wait_for_timeout(100)
    assert curve.get_attribute("d") != first
    one.get_by_role("button", name="Reset").click()
    seen.page.wait_for_timeout(100)
    assert curve.get_attribute("d") == first
    assert seen.troubles == []
