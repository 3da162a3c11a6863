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


def sentence(one, words):
    """The figure's sentence, once it has these words in it."""
    status = one.get_by_role("status")
    status.filter(has_text=words).wait_for()
    return status.inner_text()


def mean(cell):
    return float(cell.split(" ±")[0])


@pytest.mark.parametrize("frequency", ["0.5", "2"])
def test_frequency_and_table_agree(opened, frequency):
    page = opened("file", PAGE, width=1280).page
    one = figure(page, "related tasks")
    one.get_by_role("spinbutton").fill(frequency)
    row = page.evaluate(ROW, frequency)
    said = sentence(one, f"frequency {float(frequency):.2f}")
    shown = row[1], row[3], row[4]  # the second column, MAML tuned, has no curve
    for name, cell in zip(("MAML", "pretrained", "random start"), shown, strict=True):
        number = float(said.split(f"{name} ")[1].split(",")[0])
        assert number == pytest.approx(mean(cell), abs=0.006)


def test_variance_and_table_agree(opened):
    page = opened("file", PAGE, width=1280).page
    one = figure(page, "variance")
    one.get_by_role("spinbutton").fill("0.05")
    said = sentence(one, "α = 0.05")
    for name, row in (
        ("a random start", page.evaluate(ROW, "random")),
        ("the MAML start", page.evaluate(ROW, "MAML")),
    ):
        number = float(said.split(f"{name} ")[1].split(",")[0].split(". ")[0])
        assert number == pytest.approx(mean(row[-1]), abs=0.006)


def test_another_wave_and_reset(opened):
    seen = opened("file", PAGE, width=1280)
    one = figure(seen.page, "shift")
    curve = one.locator(".mf-truth")
    first = curve.get_attribute("d")
    one.get_by_role("button", name="Another wave").click()
    assert seen.until(lambda: curve.get_attribute("d") != first)
    one.get_by_role("button", name="Reset").click()
    seen.attribute(curve, "d", first)
    assert seen.troubles == []
