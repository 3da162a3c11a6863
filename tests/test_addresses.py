"""Every address outside the site, by its form: what is mistyped shows without a network.

Whether there is something at an address is asked by ``make links``.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(path for path in (ROOT / "book").iterdir() if path.suffix in (".md", ".ipynb", ".bib")),
]
ADDRESS = re.compile(r"https?://[^\s\"'`<>\\|]+")
HERE = ("127.0.0.1", "localhost")
FORMS = {
    "arxiv.org": r"/(abs|pdf)/(\d\d(0[1-9]|1[0-2])\.\d{4,5}|[a-z-]+/\d{7})(v\d+)?",
    "doi.org": r"/10\.\d{4,9}/\S+",
    "github.com": r"/[\w.-]+/[\w.-]+(/(issues|pull)/\d+|/(tree|blob)/[\w./-]+)?",
    "openreview.net": r"/forum\?id=[\w-]+",
}


def addresses(text):
    """All of a text, without the brackets and points that belong to its sentences."""
    dois = [f"https://doi.org/{doi}" for doi in re.findall(r"\bdoi = \{([^}]+)\}", text)]
    for found in [*ADDRESS.findall(text), *dois]:
        address = found.rstrip(".,;:*_}")
        while address.endswith(")") and address.count(")") > address.count("("):
            address = address[:-1].rstrip(".,;:*_")
        yield address


def fault_of(address):
    """What is wrong with the form of an address, or nothing."""
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    if host.partition(":")[0] in HERE:
        return None
    if scheme != "https":
        return "is not https"
    if not re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", host):
        return "has no proper host"
    wanted = FORMS.get(host.removeprefix("www."))
    if wanted and not re.fullmatch(wanted, f"{slash}{path}".rstrip("/")):
        return f"is not of the form that {host} has"
    return None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_address_has_a_proper_form(path):
    faults = {one: fault_of(one) for one in addresses(path.read_text("utf-8"))}
    assert {one: fault for one, fault in faults.items() if fault} == {}


def test_there_are_addresses_to_look_at():
    found = {one for path in SOURCES for one in addresses(path.read_text("utf-8"))}
    assert len(found) > 60
    hosts = {one.split("/")[2].removeprefix("www.") for one in found}
    assert set(FORMS) <= hosts


@pytest.mark.parametrize(
    "address",
    [
        "http://arxiv.org/abs/1703.03400",
        "https://arxiv.org/abs/1713.03400",
        "https://arxiv.org/abs/1703.034",
        "https://doi.org/11.1/x",
        "https://github.com/cbfinn",
        "https://github.com/pytorch/pytorch/issues/",
        "https://openreview.net/forum?rJY0",
        "https://example",
    ],
)
def test_a_mistyped_address_is_found(address):
    assert fault_of(address)
