"""The page of all public names, written from the docstrings: ``{public-names} maml_teach``.

The package is read and not imported. Its modules come in the order of the table in its docstring;
those of a package within it that has a table of its own are listed in brief. A name is public if it
is in ``__all__``, or, where a module has none, if it does not begin with an underscore.
"""

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive, Parser
from sphinx.addnodes import pending_xref
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.util import logging
from sphinx.util.docutils import LoggingReporter, new_document

LOG = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]
FIGURES = "widgets"  # stand in the chapters; nobody calls what they are made of
ROW = re.compile(r"^(\w+) {2,}\S", re.MULTILINE)  # of a table in a docstring
COLUMNS = 70  # as long may a signature in one line be
READ = Config(
    napoleon_use_ivar=True,
    napoleon_use_admonition_for_references=True,
    napoleon_custom_sections=[("Source", "references")],
)
LABELS = {
    "param": "Arguments",
    "ivar": "Attributes",
    "returns": "Returns",
    "yields": "Yields",
    "raises": "Raises",
}


def is_public(name):
    """Whether a name is meant for others. What an object does when it is called is."""
    return not name.startswith("_") or name == "__call__"


@dataclass(frozen=True)
class Module:
    """A module, as its file has it; ``in_brief`` if its names are only listed."""

    name: str
    path: Path
    in_brief: bool = False

    @cached_property
    def source(self):
        """Its text."""
        return self.path.read_text("utf-8")

    @cached_property
    def body(self):
        """Its statements."""
        return ast.parse(self.source).body

    @cached_property
    def docstring(self):
        """Its docstring."""
        return ast.get_docstring(ast.parse(self.source)) or ""

    @cached_property
    def lines(self):
        """Its lines, in bytes, which is what its syntax counts."""
        return self.source.encode().splitlines(keepends=True)

    def written(self, node):
        """An expression as the file has it, in one line."""
        lines = self.lines[node.lineno - 1 : node.end_lineno]
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        return " ".join(b"".join(lines).decode().split())

    @property
    def short(self):
        """The last part of its name."""
        return self.name.rpartition(".")[2]

    @property
    def names(self):
        """Its functions and classes, all of them."""
        return [Name(self, node.name, node) for node in defined(self.body)]

    @property
    def exported(self):
        """What it says in ``__all__``, or ``None``."""
        for node in self.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets) == "__all__":
                return ast.literal_eval(node.value)
        return None

    @property
    def public(self):
        """Its functions and classes that a reader calls."""
        chosen = self.exported
        return [
            name
            for name in self.names
            if (is_public(name.path) if chosen is None else name.path in chosen)
        ]

    @property
    def imports(self):
        """``{name: whole name}`` of what it imports from the package."""
        inside = self.name.split(".")
        if self.path.name != "__init__.py":
            inside.pop()
        found = {}
        for node in self.body:
            if isinstance(node, ast.ImportFrom) and node.level:
                origin = inside[: len(inside) - node.level + 1]
                base = ".".join(filter(None, [*origin, node.module]))
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{base}.{alias.name}"
        return found

    @property
    def passed_on(self):
        """Whole names of what it offers and another module defines."""
        imports = self.imports
        return [imports[name] for name in self.exported or () if name in imports]

    @property
    def types(self):
        """Its lines that give a type a name, as they are; signatures use these names."""
        lines = self.source.splitlines()
        return [
            "\n".join(lines[node.lineno - 1 : node.end_lineno])
            for node in self.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and is_public(node.targets[0].id)
            and not node.targets[0].id.isupper()
        ]


@dataclass(frozen=True)
class Name:
    """A function, a class or a method; ``path`` is its name within the module."""

    module: Module
    path: str
    node: ast.FunctionDef | ast.ClassDef

    @property
    def whole(self):
        """Its whole name, which is its anchor too."""
        return f"{self.module.name}.{self.path}"

    @property
    def methods(self):
        """What a class has, all of it."""
        inner = defined(self.node.body) if self.is_class else ()
        return [Name(self.module, f"{self.path}.{node.name}", node) for node in inner]

    @property
    def public_methods(self):
        """Of these what a reader calls."""
        return [each for each in self.methods if is_public(each.node.name)]

    @property
    def is_class(self):
        """Whether it is a class."""
        return isinstance(self.node, ast.ClassDef)

    @property
    def decorators(self):
        """Names of its decorators."""
        return [
            re.match(r"[\w.]+", ast.unparse(each))[0].rpartition(".")[2]
            for each in self.node.decorator_list
        ]

    @property
    def docstring(self):
        """Its docstring.

        Raises:
            ValueError: If it has none.
        """
        if text := ast.get_docstring(self.node):
            return text
        raise ValueError(f"{self.whole} has no docstring")


def defined(body):
    """The functions and classes among some statements."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node for node in body if isinstance(node, kinds)]


def modules(folder, name=None, in_brief=False):
    """The modules of a package in the order of its table, after a package within it the package's."""
    package = Module(name or folder.name, folder / "__init__.py", in_brief)
    for row in ROW.findall(package.docstring):
        inner = folder / row
        if row == FIGURES:
            continue
        if inner.is_dir():
            yield Module(f"{package.name}.{row}", inner / "__init__.py")
            yield from modules(inner, f"{package.name}.{row}", in_brief=True)
        else:
            yield Module(f"{package.name}.{row}", inner.with_suffix(".py"), in_brief)


# --- Signatures ----------------------------------------------------------------------------------


def type_of(node, module):
    """A type as its file has it; one in quotes without them."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return module.written(node)


def parameter(arg, default, module, marks=""):
    """One parameter with its type and its default."""
    hint = f": {type_of(arg.annotation, module)}" if arg.annotation else ""
    equals = " = " if hint else "="
    value = f"{equals}{module.written(default)}" if default else ""
    return f"{marks}{arg.arg}{hint}{value}"


def parameters(function, module):
    """The parameters of a function, one by one, with the signs between their kinds."""
    given = function.args
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + given.defaults
    found = [parameter(*each, module) for each in zip(plain, defaults, strict=True)]
    if given.posonlyargs:
        found.insert(len(given.posonlyargs), "/")
    if given.vararg:
        found.append(parameter(given.vararg, None, module, "*"))
    elif given.kwonlyargs:
        found.append("*")
    named = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    found += [parameter(*each, module) for each in named]
    if given.kwarg:
        found.append(parameter(given.kwarg, None, module, "**"))
    return found


def fields(node, module):
    """The fields of a dataclass or a named tuple, as parameters of what makes one."""
    return [
        parameter(ast.arg(each.target.id, each.annotation), each.value, module)
        for each in node.body
        if isinstance(each, ast.AnnAssign) and is_public(each.target.id)
    ]


def taken(name, package):
    """What a function takes, or what a class is made of; ``None`` if the class does not say."""
    if not name.is_class:
        bound = "." in name.path and "staticmethod" not in name.decorators
        return parameters(name.node, name.module)[1 if bound else 0 :]
    bases = [ast.unparse(base) for base in name.node.bases]
    if "dataclass" in name.decorators or "NamedTuple" in bases:
        return fields(name.node, name.module)
    made = package.inherited(name.whole, "__init__")
    if not made:
        return None
    maker = package.known[made]
    return parameters(maker.node, maker.module)[1:]


def signature(name, package):
    """How a name is called, in lines that are easy to read."""
    given, short = taken(name, package), name.path.rpartition(".")[2]
    kinds = ("classmethod", "staticmethod")
    kind = "".join(f"{each} " for each in kinds if each in name.decorators)
    answer = getattr(name.node, "returns", None)
    hint = type_of(answer, name.module) if answer else ""
    if {"property", "cached_property"} & {*name.decorators}:
        return f"property {short}: {hint}"
    kind = "class " if name.is_class else kind
    end = f" -> {hint}" if hint else ""
    if given is None:
        return f"{kind}{short}"
    line = f"{kind}{short}({', '.join(given)}){end}"
    if len(line) <= COLUMNS or not given:
        return line
    inner = "".join(f"    {each},\n" for each in given)
    return f"{kind}{short}(\n{inner}){end}"


# --- What a docstring refers to ------------------------------------------------------------------


class Package:
    """All names of a package, and which of them stand on the page."""

    def __init__(self, folder):
        self.name = folder.name
        self.modules = list(modules(folder))
        self.known = {module.name: module for module in self.modules}
        self.anchors = {*self.known}
        for module in self.modules:
            names = [(name, *name.methods) for name in module.names]
            self.known |= {each.whole: each for group in names for each in group}
            for name in module.public:
                inner = [] if module.in_brief else name.public_methods
                self.anchors |= {name.whole, *(each.whole for each in inner)}

    def find(self, target, module, owner=None):
        """The whole name of what a docstring calls ``target``, or ``None``.

        It may be a method of the class ``owner``, a name of the module or one that it imports,
        begin with a module or with the package, or be defined in a single other module.
        """
        first, _, rest = target.partition(".")
        starts = [f"{module.name}.{first}", f"{self.name}.{first}", first]
        starts += [module.imports[first]] if first in module.imports else []
        wholes = [f"{owner}.{target}"] if owner else []
        wholes += [f"{start}.{rest}".rstrip(".") for start in starts]
        for whole in wholes:
            if found := self.inherited(*whole.rpartition(".")[::2]):
                return found
        anywhere = [whole for whole in self.known if whole.endswith(f".{target}")]
        return anywhere[0] if len(anywhere) == 1 else None

    def inherited(self, owner, target):
        """The whole name of ``target`` in a module, or in a class or one that it is derived from."""
        whole, name = f"{owner}.{target}".lstrip("."), self.known.get(owner)
        if whole in self.known:
            return whole
        bases = name.node.bases if isinstance(name, Name) and name.is_class else ()
        for base in bases:
            above = self.find(ast.unparse(base), name.module)
            if above and (found := self.inherited(above, target)):
                return found
        return None


# --- Docstrings as parts of the page -------------------------------------------------------------


def text(*parts):
    """A paragraph."""
    made = [nodes.Text(part) if isinstance(part, str) else part for part in parts]
    return nodes.paragraph("", "", *made)


def code(words):
    """Code within a line."""
    return nodes.literal(words, words)


def block(lines, language="python", classes=()):
    """Lines of code."""
    return nodes.literal_block(lines, lines, language=language, classes=[*classes])


def signature_block(lines):
    """Lines of Python that go on in the next line where there is no room for them."""
    return block(lines, classes=["signature"])


def item(*children):
    """An item of a list."""
    return nodes.list_item("", *children)


def lead(label, body):
    """Blocks with a word before the first of them."""
    first, *others = body
    if isinstance(first, nodes.paragraph):
        return [text(label, ": ", *first.children), *others]
    return [text(label, ":"), *body]


def part_of(field):
    """``(kind, argument, body)`` of a field, such as ``:param alpha: A rate.``"""
    name, body = field.children
    kind, _, argument = name.astext().partition(" ")
    return kind, argument, body.children


def items_of(parts):
    """The fields of a docstring as items, those of a kind in a list of their own."""
    by_kind = {}
    for kind, argument, body in map(part_of, parts):
        by_kind.setdefault(kind, []).append((argument, body))
    # What stands before a colon counts as a type; here it is part of the sentence.
    typed = by_kind.pop("rtype", [])
    for kind, group in by_kind.items():
        label = nodes.strong("", LABELS[kind])
        if kind in ("returns", "yields"):
            ((_, body),) = group
            for _, (before,) in typed:
                body = [text(*before.children, ": ", *body[0].children), *body[1:]]
            yield item(*lead(label, body))
        else:
            inner = [item(*lead(code(name), body)) for name, body in group]
            yield item(text(label), nodes.bullet_list("", *inner))


def arranged(children):
    """The blocks of a docstring, with its sections as one list and its examples as code."""
    is_part = (nodes.field_list, nodes.admonition)
    for listed, group in groupby(children, key=lambda node: isinstance(node, is_part)):
        if listed:
            yield nodes.bullet_list("", *parts_of(group))
            continue
        for node in group:
            is_example = isinstance(node, nodes.doctest_block)
            yield block(node.astext(), "pycon") if is_example else node


def parts_of(group):
    """Items for neighbouring sections of a docstring."""
    for node in group:
        if isinstance(node, nodes.admonition):  # the only section that is made one
            yield item(*lead(nodes.strong("", "Source"), node.children[1:]))
        else:
            yield from items_of(node.children)


class PublicNames(Directive):
    """A section for each module, and within it one for each name."""

    required_arguments = 1

    def run(self):
        """The sections."""
        self.package = Package(ROOT / self.arguments[0])
        self.env = self.state.document.settings.env
        self.env.note_dependency(str(ROOT / self.arguments[0] / "__init__.py"))
        made, within = [], None
        for module in self.package.modules:
            self.env.note_dependency(str(module.path))
            section = self.section_of(module)
            if module.in_brief:
                within += section
            else:
                made.append(within := section)
        return made

    def parsed(self, text, module, owner=None, place=None):
        """A text of a docstring as blocks, its references resolved."""
        source = f"{module.path}:docstring of {place or module.name}"
        document = new_document(source, self.state.document.settings)
        document.reporter = LoggingReporter(source)
        Parser().parse(text, document)
        for node in list(document.findall(pending_xref)):
            node.replace_self(self.reference(node, module, owner))
        return document.children

    def reference(self, node, module, owner):
        """A link to the name that a docstring mentions, or its name alone if it is not public."""
        whole = self.package.find(node["reftarget"], module, owner)
        words = code(node.astext())
        if whole is None:
            place = f"docstring of {owner or module.name}"
            LOG.warning("%s: there is no %s", place, node["reftarget"])
        if whole not in self.package.anchors:
            return words
        return nodes.reference("", "", words, refid=whole, internal=True)

    def first_words(self, docstring, module, owner=None):
        """The first paragraph of a docstring."""
        first, *_ = docstring.split("\n\n")
        return self.parsed(first, module, owner)

    def section_of(self, module):
        """The section of a module."""
        title = nodes.title("", module.name.partition(".")[2])
        section = nodes.section("", title, ids=[module.name], names=[])
        section += self.first_words(module.docstring, module)
        if module.in_brief:
            section += nodes.bullet_list("", *map(self.brief, module.public))
            return section
        if module.passed_on:
            section += self.passed_on(module)
        if module.types:
            section += text("Types that the signatures name:")
            section += signature_block("\n".join(module.types))
        section += [self.entry(name) for name in module.public]
        return section

    def passed_on(self, module):
        """A sentence on what a module offers and another one defines."""
        return text("It also offers ", *self.links(module.passed_on), ".")

    def derived(self, name):
        """A sentence on the classes of the package that a class is derived from."""
        bases = [ast.unparse(base) for base in name.node.bases]
        found = [self.package.find(base, name.module) for base in bases]
        links = self.links(filter(None, found))
        return [text("Derived from ", *links, ".")] if links else []

    def links(self, wholes):
        """Names of the page with commas between them, each a link to its section."""
        made = []
        for whole in (each for each in wholes if each in self.package.anchors):
            words = code(whole.partition(".")[2])
            made += [", ", nodes.reference("", "", words, refid=whole, internal=True)]
        return made[1:]

    def brief(self, name):
        """An item for a name: what it takes, and its first paragraph."""
        given = taken(name, self.package) or ()
        short = [re.match(r"[*\w/]+", each)[0] for each in given]
        takes = "" if name.is_class and not given else f"({', '.join(short)})"
        body = self.first_words(name.docstring, name.module)
        made = item(*lead(code(name.path + takes), body))
        made["ids"].append(name.whole)
        return made

    def entry(self, name):
        """The section of a name, and within it those of its methods."""
        inside = "." in name.path
        title = name.path if inside else f"{name.module.short}.{name.path}"
        section = nodes.section("", nodes.title("", title), ids=[name.whole])
        section += signature_block(signature(name, self.package))
        section += self.derived(name) if name.is_class else []
        lines = GoogleDocstring(name.docstring, READ).lines()
        owner = name.whole.rpartition(".")[0] if inside else name.whole
        blocks = self.parsed("\n".join(lines), name.module, owner, name.whole)
        section += list(arranged(blocks))
        section += [self.entry(method) for method in name.public_methods]
        return section


def show_modules(app, pagename, templatename, context, doctree):
    """Of the contents of a page of names, show the modules, and the names of one when there."""
    if doctree and next(doctree.findall(is_signature), None):
        context["theme_show_toc_level"] = 1


def is_signature(node):
    """Whether a node is the signature of a name."""
    return isinstance(node, nodes.literal_block) and "signature" in node["classes"]


def setup(app):
    """Make the directive known, and come before the theme has made the contents of a page."""
    app.add_directive("public-names", PublicNames)
    app.connect("html-page-context", show_modules, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
