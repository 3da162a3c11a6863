"""Sources: cited under words that name one of them, and findable."""

from pathlib import Path

import pytest
from extension import imported
from pybtex.database import parse_file

bibliography = imported("bibliography")
ENTRIES = parse_file(Path(__file__).parents[1] / "book" / "references.bib").entries


def test_no_two_sources_are_cited_alike():
    labels = [bibliography.cited_as(entry) for entry in ENTRIES.values()]
    assert len(labels) > 30
    assert {label for label in labels if labels.count(label) > 1} == set()


def test_a_letter_stands_only_where_it_is_needed():
    years = {bibliography.cited_as(entry): entry.fields["year"] for entry in ENTRIES.values()}
    lettered = [label[:-1] for label, year in years.items() if not year.isdigit()]
    assert lettered
    assert [label for label in lettered if lettered.count(label) < 2] == []


@pytest.mark.parametrize("key", ENTRIES)
def test_an_article_can_be_found(key):
    """By its DOI or at an address; books, reports and theses by their publisher."""
    entry = ENTRIES[key]
    wanted = {"article": {"doi", "url"}, "inproceedings": {"doi", "url", "pages"}}
    wanted |= {"misc": {"doi", "url", "howpublished"}, "book": {"publisher"}}
    assert wanted.get(entry.type, {"institution"}) & set(entry.fields), entry.type
    assert entry.fields["title"] and entry.fields["year"]
