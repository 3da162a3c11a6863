"""What a cell says that the chapter says stands there, and is asserted."""

import pytest
from sentences import Said, chapters, open_sentences, prose, said, said_in


@pytest.mark.parametrize("chapter", chapters())
def test_what_a_cell_quotes_stands_in_the_chapter(chapter):
    text = prose(chapter)
    assert [found.words for found in said(chapter) if found.words not in text] == []


@pytest.mark.parametrize("chapter", chapters())
def test_what_a_cell_quotes_is_asserted(chapter):
    assert [found.words for found in said(chapter) if not found.asserted] == []


def test_a_quotation_without_its_assert_is_found():
    lines = ['# says "a"', "x = 1", '# says "b"', '    # says "c"', "assert x", '# says "d"']
    asserted = {"a": False, "b": True, "c": True, "d": False}
    wanted = [Said(words, "id", holds) for words, holds in asserted.items()]
    assert list(said_in("id", "\n".join(lines))) == wanted


def test_the_list_of_the_open_ones_finds_a_comparison(monkeypatch):
    text = "MAML is better than chance. It adapts. ANIL needs $3$ steps."
    monkeypatch.setattr("sentences.cells", lambda _, kind: [("a", text)] * (kind == "markdown"))
    assert list(open_sentences("any")) == ["MAML is better than chance."]
