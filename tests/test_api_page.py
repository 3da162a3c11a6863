"""The page of all public names: each name of the package has its place there, and no other has."""

import ast
import re
import subprocess
import sys
from functools import partial
from io import StringIO

import nbformat
import pytest
import small
from bs4 import BeautifulSoup
from extension import EXTENSION, imported
from small import ROOT

api = imported("api")
FOLDER = ROOT / "maml_teach"
CONTENTS = """
format: jb-book
root: book/first
parts: [{caption: Reference, chapters: [{file: book/names}, {file: book/other}]}]
"""


def site(source, package, builder="html"):
    """The folder and the exit code of a book of three pages, one of them on a package."""
    names = f"# Names\n\n```{{public-names}} {package}\n```\n"
    files = {"first.md": "# First\n\nA.", "names.md": names, "other.md": "# Other\n\nB."}
    if not (source / "book").exists():
        small.written(source, CONTENTS, files)
    return small.built(source, builder, nitpicky=True)


def page_of(out):
    return BeautifulSoup((out / "book" / "names.html").read_text("utf-8"), "html.parser")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page on the package of the book."""
    out, code = site(tmp_path_factory.mktemp("site"), FOLDER)
    assert code == 0
    return page_of(out)


def body(path):
    return ast.parse(path.read_text("utf-8")).body


def public(nodes, chosen=None):
    """Functions and classes whose names do not begin with an underscore, or that are chosen."""
    for node in nodes:
        name = getattr(node, "name", "_")
        if name in chosen if chosen else name[0] != "_" or name == "__call__":
            yield node


def wanted():
    """The anchors that the files ask for, read by other means than the page is."""
    files = [*FOLDER.glob("*.py"), *FOLDER.glob("applications/*.py"), FOLDER / "data/__init__.py"]
    for path in files:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if module != "maml_teach":
            yield module
        statements = body(path)
        said = [
            ast.literal_eval(node.value)
            for node in statements
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ]
        for node in public(statements, *said):
            yield f"{module}.{node.name}"
            if isinstance(node, ast.ClassDef) and "applications" not in module:
                yield from (f"{module}.{node.name}.{each.name}" for each in public(node.body))


def found(page):
    """The anchors of the page, in its order."""
    return [node["id"] for node in page.select("[id^='maml_teach.']")]


def test_every_public_name_is_there_once_and_no_other(page):
    assert sorted(found(page)) == sorted(wanted())
    assert len(found(page)) > 300


def test_a_name_without_its_section_would_be_seen(page):
    cut = BeautifulSoup(str(page), "html.parser")
    cut.find(id="maml_teach.maml.adapt").decompose()
    assert {*wanted()} - {*found(cut)} == {"maml_teach.maml.adapt"}


def test_modules_stand_in_the_order_of_the_table(page):
    table = body(FOLDER / "__init__.py")[0].value.value.split("=  =")[1]
    order = [name for name in re.findall(r"^(\w+)  ", table, re.MULTILINE) if name != "widgets"]
    sections = page.select("article > section > section")
    assert [each["id"] for each in sections] == [f"maml_teach.{name}" for name in order]
    assert order[:2] == ["tasks", "protocols"] and "applications" in order


def test_every_link_within_the_page_leads_somewhere(page):
    ids = {node["id"] for node in page.select("[id]")}
    targets = [a["href"][1:] for a in page.select("article a.reference[href^='#']")]
    assert len(targets) > 60
    assert {*targets} <= ids
    assert not re.search(r":(func|class|meth|math|param|returns|raises)\b", page.article.get_text())


def test_references_are_to_the_names_that_are_meant(page):
    def links(name):
        return {a["href"][1:] for a in page.find(id=name).select("a.reference[href^='#maml']")}

    assert "maml_teach.rules.Rule" in links("maml_teach.maml.adapt")
    assert "maml_teach.maml.adapt" in links("maml_teach.maml.maml_gradient")
    assert "maml_teach.protocols.TorchModel.linearize" in links("maml_teach.protocols.TorchModel")
    assert "maml_teach.paths_torch.from_module" in links("maml_teach.maml_torch")


def test_a_docstring_becomes_lists_and_equations(page):
    section = page.find(id="maml_teach.maml.maml_gradient")
    assert section.select_one("div.math .katex-display") and section.select("span.math .katex")
    parts = section.select_one("ul").find_all("li", recursive=False)
    labels = [part.strong.get_text() for part in parts]
    assert labels == ["Arguments", "Returns", "Raises", "Source"]
    names = [item.code.get_text() for item in parts[0].select("ul > li")]
    assert names == ["model", "theta", "tasks", "alpha", "n_inner_steps", "inner"]
    assert parts[1].get_text(" ", strip=True).startswith("Returns : (meta_loss, gradient) : the ")
    assert parts[3].get_text().strip() == "Source: Finn et al. (2017), Algorithm 2, line 10."


def test_every_part_of_a_docstring_is_told(page):
    """Counted in the texts of the files: no argument, error or source is lost."""
    known = {
        name: each for name, each in api.Package(FOLDER).known.items() if hasattr(each, "node")
    }
    texts = [known[name].docstring for name in found(page) if name in known and is_whole(name)]
    said = [re.findall(r"^(\w+):$", text, re.MULTILINE) for text in texts]
    labels = [node.get_text() for node in page.select("article li > p > strong")]
    for part in ("Args", "Returns", "Raises", "Source", "Attributes"):
        shown = labels.count(part.replace("Args", "Arguments"))
        assert shown == sum(parts.count(part) for parts in said) > 0, part


def is_whole(name):
    """Whether a name has a section of its own and not only an item."""
    return ".applications." not in name


def test_signatures_stand_where_the_style_lets_long_ones_wrap(tmp_path):
    (tmp_path / "small").mkdir()
    out, _ = site(tmp_path, planted(tmp_path / "small", GOOD))
    style = (api.Path(api.__file__).parents[1] / "_static" / "site.css").read_text("utf-8")
    assert ".bd-article div.signature pre { white-space: pre-wrap;" in style
    signatures = page_of(out).select("div.signature pre")
    assert [each.get_text().strip() for each in signatures] == ["twice(x: float) -> float"]


def test_the_package_is_read_and_not_imported():
    code = (
        "import sys; from pathlib import Path; import api; "
        f"assert len(api.Package(Path({str(FOLDER)!r})).anchors) > 300; "
        "print([name for name in ('torch', 'numpy', 'maml_teach') if name in sys.modules])"
    )
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=EXTENSION, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


GOOD = 'def twice(x: float) -> float:\n    """Twice ``x``."""\n'


def planted(folder, text, table="part                what"):
    """A package of one module."""
    (folder / "__init__.py").write_text(f'"""A package.\n\n{table}\n"""\n', "utf-8")
    (folder / "part.py").write_text(f'"""A part.\n\nMore of it.\n"""\n\n{text}', "utf-8")
    return folder


@pytest.fixture
def package(tmp_path):
    """Makes a package of one module, and answers how it is read."""
    folder = tmp_path / "small"
    folder.mkdir()
    return lambda text: api.Package(planted(folder, text))


SIGNATURES = {
    "def f(): ...": "f()",
    "def f(a, b=2, *, c: int = 3) -> str: ...": "f(a, b=2, *, c: int = 3) -> str",
    "def f(a, /, *b, **c): ...": "f(a, /, *b, **c)",
    'def f(a: "Later | None" = None): ...': "f(a: Later | None = None)",
    'def f(a: str = "sgd"): ...': 'f(a: str = "sgd")',
    "def f(a: tuple[\n    int, int\n]): ...": "f(a: tuple[ int, int ])",
    "class F: ...": "class F",
    "class F:\n    def __init__(self, a: int): ...": "class F(a: int)",
    "class E:\n    def __init__(self, a: int): ...\nclass F(E): ...": "class F(a: int)",
    "@dataclass(frozen=True)\nclass F:\n    a: int\n    b: float = 0.5": "class F(a: int, b: float = 0.5)",  # noqa: E501
    "class F(NamedTuple):\n    a: int": "class F(a: int)",
    "class F(Protocol):\n    a: int": "class F",
    "class F:\n    @property\n    def f(self) -> int: ...": "property f: int",
    "class F:\n    @classmethod\n    def f(cls, a): ...": "classmethod f(a)",
    "class F:\n    @staticmethod\n    def f(a): ...": "staticmethod f(a)",
    "class F:\n    def f(self, a): ...": "f(a)",
}


@pytest.mark.parametrize("text", SIGNATURES)
def test_a_signature(package, text):
    read = package(text)
    (*_, last) = read.modules[0].names
    name = last if "f" not in [m.node.name for m in last.methods] else last.methods[0]
    assert api.signature(name, read) == SIGNATURES[text]


def test_a_long_signature_has_a_line_for_each_parameter(package):
    parts = [f"a_long_name_{k}: float" for k in range(4)]
    read = package(f"def f({', '.join(parts)}) -> float: ...")
    lines = "".join(f"    {part},\n" for part in parts)
    assert api.signature(read.modules[0].names[0], read) == f"f(\n{lines}) -> float"


def test_what_is_public(package):
    text = (
        "def f(): ...\ndef _g(): ...\nclass H:\n    def __call__(self): ...\n    def _k(self): ..."
    )
    read = package(f"from .other import made\nTypes = int  # a remark\nLIMIT = 3\n{text}")
    (module,) = read.modules
    assert [name.path for name in module.public] == ["f", "H"]
    assert [name.path for name in module.public[1].public_methods] == ["H.__call__"]
    assert module.types == ["Types = int  # a remark"]
    assert module.passed_on == []
    read = package(f'from .other import made\n__all__ = ["H", "made"]\n{text}')
    assert [name.path for name in read.modules[0].public] == ["H"]
    assert read.modules[0].passed_on == ["small.other.made"]


def test_where_a_name_is_looked_for(package):
    text = "def f(): ...\nclass E:\n    def m(self): ...\nclass F(E):\n    def k(self): ..."
    read = package(text)
    (module,) = read.modules

    def find(target, owner=None):
        return read.find(target, module, owner)

    assert find("f") == find("part.f") == find("small.part.f") == "small.part.f"
    assert find("m", "small.part.F") == find("F.m") == "small.part.E.m"
    assert find("k", "small.part.F") == find("part.F.k") == "small.part.F.k"
    assert find("part") == "small.part"
    assert find("nowhere") is None and find("f.k") is None and find("F.nowhere") is None


FAULTS = {
    "def f():\n    return 1": "small.part.f has no docstring",
    'def f():\n    """See :func:`nowhere`."""': "there is no nowhere",
    'def f():\n    """See *this."""': "Inline emphasis start-string without end-string",
    'def f():\n    r"""One.\n\n    .. math:: \\nothing\n    """': "no equation from",
    'def f():\n    """One.\n\n    :seealso nothing: a.\n    """': "seealso",
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_faulty_docstring_stops_the_strict_build(tmp_path, monkeypatch, text):
    (tmp_path / "small").mkdir()
    said = StringIO()
    monkeypatch.setattr(small, "Sphinx", partial(small.Sphinx, warning=said))
    try:
        _, code = site(tmp_path, planted(tmp_path / "small", text))
    except (ValueError, KeyError) as error:
        code = repr(error)
        said.write(code)
    assert code and FAULTS[text] in said.getvalue()


FULL = '''def f(a):
    r"""First :math:`x`, like :func:`_hidden`.

    .. math:: x = 1

    Args:
        a: One, with a colon: here.

    Returns:
        ``b``: what it is.

    Source:
        A book, chapter 1.

    >>> f(1)
    1
    """


def _hidden(): ...
'''


def test_a_page_of_names_is_a_notebook_too(tmp_path):
    (tmp_path / "small").mkdir()
    out, code = site(tmp_path, planted(tmp_path / "small", FULL), "notebooks")
    assert code == 0
    text = nbformat.read(out / "names.ipynb", 4)["cells"][0]["source"]
    for part in (
        "A part.\n\n### part.f\n\n```python\nf(a)\n```\n\nFirst $x$, like `_hidden()`.",
        "$$\nx = 1\n$$\n\n- **Arguments**\n\n  - `a`: One, with a colon: here.\n",
        "- **Returns**: `b`: what it is.\n- **Source**: A book, chapter 1.",
        "```pycon\n>>> f(1)\n1\n```",
    ):
        assert part in text
    assert "More of it" not in text
