"""The bibliography's style: each source under the words by which the text cites it.

The text cites by author and year. A year that two sources of the same authors share carries a
letter in ``references.bib``, so that text and list agree; a test asks that no two labels are alike.
"""

from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style as PlainStyle
from pybtex.style.labels import BaseLabelStyle


def cited_as(entry):
    """Author and year of a source, as the text has them.

    >>> from pybtex.database import Entry, Person
    >>> people = [Person("Finn, Chelsea"), Person("Abbeel, Pieter"), Person("Levine, Sergey")]
    >>> for n in (1, 2, 3):
    ...     print(cited_as(Entry("book", {"year": "2017a"}, {"author": people[:n]})))
    Finn, 2017a
    Finn and Abbeel, 2017a
    Finn et al., 2017a
    """
    people = entry.persons.get("author") or entry.persons["editor"]
    names = [
        " ".join([*person.prelast_names, *person.last_names]).strip("{}")
        for person in people
    ]
    who = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
    return f"{who}, {entry.fields['year']}"


class AuthorYearLabels(BaseLabelStyle):
    """Labels such as 'Finn et al., 2017a'."""

    def format_labels(self, sorted_entries):
        return map(cited_as, sorted_entries)


class AuthorYearStyle(PlainStyle):
    """The plain style, under author and year instead of a number."""

    default_label_style = AuthorYearLabels


def setup(app):
    register_plugin("pybtex.style.formatting", "author_year", AuthorYearStyle)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
