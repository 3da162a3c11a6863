"""Which language?: typed words, one's own language, and what cannot be read. From a file."""

PAGE = "book/language.html"


def open_figure(seen):
    """The figure, the field at its top, and a function that waits for words in its sentence."""
    figure = seen.open(PAGE).locator(".mf-language")
    figure.scroll_into_view_if_needed()
    status = figure.get_by_role("status")

    def says(words):
        status.get_by_text(words).wait_for(timeout=10_000)
        return status.inner_text()

    return figure, figure.get_by_label("Which language is this?"), says


def bars(figure):
    return [text.inner_html() for text in figure.locator(".mf-bar-text").all()]


def test_typed_words_are_placed_as_they_are_typed(visit):
    seen = visit("file")
    figure, field, says = open_figure(seen)
    says("It is ")
    first, example = bars(figure), field.input_value()
    assert len(first) == 10 and all(text.endswith("%") for text in first)
    field.fill("dzień dobry wszystkim, bardzo proszę")
    says("the network says Polish")
    field.press("End")
    field.type(" ogórek")
    assert seen.until(lambda: bars(figure) != first)
    figure.get_by_role("button", name="Reset").click()
    says("It is ")
    assert seen.until(lambda: (bars(figure), field.input_value()) == (first, example))
    assert seen.troubles == []


def test_a_language_of_ones_own(visit):
    """A row's samples replaced by words with an unmistakable look."""
    seen = visit("file")
    figure, field, says = open_figure(seen)
    figure.get_by_label("Dutch, sample 1").fill("qxqx wqqx xqw qqxw")
    field.fill("xqqx qwx")
    assert "Dutch" in says("the network says Dutch")
    assert "It is" not in figure.get_by_role("status").inner_text()
    figure.get_by_role("button", name="Other languages").click()
    says("It is ")
    assert figure.get_by_label("Swedish, sample 1").input_value() != ""
    assert figure.get_by_label("Dutch, sample 1").count() == 0
    assert seen.troubles == []


def test_what_cannot_be_read_is_said(visit):
    seen = visit("file")
    figure, field, says = open_figure(seen)
    says("It is ")
    field.fill("")
    says("there is no word in it")
    assert field.get_attribute("aria-invalid") == "true" and not any(bars(figure))
    field.fill("привет")
    says("is not a Latin letter")
    figure.get_by_label("Turkish, sample 1").fill("12")
    says("Turkish, sample 1: there is no word in it")
    figure.get_by_role("button", name="Another example").click()
    figure.get_by_label("Turkish, sample 1").fill("bir iki")
    says("It is ")
    assert seen.troubles == []


def test_samples_appear_with_the_slider(visit):
    seen = visit("file", width=360)
    figure, _, says = open_figure(seen)
    shown = lambda: figure.locator(".mf-chip:visible").count()  # noqa: E731
    assert shown() == 25
    figure.get_by_label("samples each", exact=True).fill("4")
    says("4 samples of each language")
    assert shown() == 20
    wide = "document.documentElement.scrollWidth <= innerWidth"
    assert seen.page.evaluate(wide)
