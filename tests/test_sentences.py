"""What a cell says that the chapter says stands there, and is asserted."""

import re

import pytest
from sentences import BOOK, Said, chapters, open_numbers, open_sentences, prose, said, said_in


@pytest.mark.parametrize("chapter", chapters())
def test_what_a_cell_quotes_stands_in_the_chapter(chapter):
    text = prose(chapter)
    assert [found.words for found in said(chapter) if found.words not in text] == []


@pytest.mark.parametrize("chapter", chapters())
def test_what_a_cell_quotes_is_asserted(chapter):
    assert [found.words for found in said(chapter) if not found.asserted] == []


@pytest.mark.parametrize("chapter", chapters())
def test_each_number_in_the_prose_is_computed_cited_or_asserted(chapter):
    assert list(open_numbers(chapter)) == []


@pytest.mark.parametrize("chapter", chapters())
def test_no_sentence_names_a_shade_that_the_dark_scheme_turns_round(chapter):
    """Nor does a caption: what is dark on a light page may be bright on a dark one."""
    shade = re.compile(r".{0,60}\b(?:darker|lighter|paler|black(?![-\\])|white)\b.{0,60}")
    assert shade.findall((BOOK / f"{chapter}.ipynb").read_text("utf-8")) == []


def test_a_number_without_a_source_is_found(monkeypatch):
    text = """## 8. A heading of 5 words

It is 1.4 times as fast. See Algorithm 2 and section 5.1. Here {glue:text}`ratio` is computed.

1. Take 5 points.
2. With $3$ steps, `K = 4` and Conv4 it takes 7 steps.

The error is 0.3 {cite:p}`finn2017maml`. A 5-way task has a 95% interval.

```{exercise} Count
Take 20 steps.
```
"""
    monkeypatch.setattr("sentences.cells", lambda _, kind: [("a", text)] * (kind == "markdown"))
    wanted = ["It is 1.4 times as fast.", "With $3$ steps, `K = 4` and Conv4 it takes 7 steps."]
    assert list(open_numbers("any")) == wanted


def test_a_quotation_without_its_assert_is_found():
    lines = ['# says "a"', "x = 1", '# says "b"', '    # says "c"', "assert x", '# says "d"']
    asserted = {"a": False, "b": True, "c": True, "d": False}
    wanted = [Said(words, "id", holds) for words, holds in asserted.items()]
    assert list(said_in("id", "\n".join(lines))) == wanted


def test_the_list_of_the_open_ones_finds_a_comparison(monkeypatch):
    text = "MAML is better than chance. It adapts. ANIL needs $3$ steps."
    monkeypatch.setattr("sentences.cells", lambda _, kind: [("a", text)] * (kind == "markdown"))
    assert list(open_sentences("any")) == ["MAML is better than chance."]
