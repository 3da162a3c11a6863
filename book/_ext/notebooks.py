"""The chapters as notebooks that any front end shows: ``sphinx-build -b notebooks``.

Code cells come from the source, to the character; text comes from the resolved page, as plain
Markdown. First stands a cell that checks what is installed.
"""

import hashlib
import json
from itertools import count, groupby
from pathlib import Path

import nbformat
from docutils import nodes
from downloads import WHEEL, file_name
from maml_teach import __version__
from plain_markdown import blocks, caption, inline
from run_page import code_cells, modules_of, requirements
from sphinx.builders import Builder
from sphinx.util import logging
from sphinx_exercise.nodes import solution_node

LOGGER = logging.getLogger(__name__)
BIBLIOGRAPHY = "book/bibliography"
# What of the package's optional parts brings a module along.
EXTRAS = {"anywidget": "widgets", "matplotlib": "plot", "torch": "torch"}
# How myst_nb numbers lines: those of the first cell from here on, and so forth.
LINES_PER_CELL = 10_000
HIDDEN = {"hide-input", "remove-input", "remove-cell"}
FOLDED = "<details>\n<summary>{}</summary>\n\n{}\n\n</details>"
SOLUTION_BELOW = "*The solution is folded below.*"
HOW_TO_RUN = (
    "*Run all cells first: what a folded cell draws or prints then stands below it.*"
)
KERNEL = {
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
    "name": "python3",
}
FIRST_CELL = """\
# Checks what this notebook needs, and says what is missing
import sys
from importlib.util import find_spec

from packaging.version import Version

try:
    from maml_teach import __version__ as installed
except ImportError:
    installed = "0"


class NotInstalled(ImportError):
    def _render_traceback_(self):  # one sentence instead of a traceback
        return [str(self)]


# The file is offered where this notebook is; the folder of the book's source does as well.
command = "%pip install '{wheel}'"
missing = [name for name in {modules} if not find_spec(name)]
if Version(installed) < Version("{version}"):
    missing.append("maml_teach {version} or newer")
if missing:
    raise NotInstalled(
        f"This notebook needs {{' and '.join(missing)}}: run {{command}} in a cell, "
        "with the path to that file, and restart the kernel."
    )
if "google.colab" in sys.modules:  # there, figures have to be allowed
    from google.colab import output

    output.enable_custom_widget_manager()
"""


def first_cell(notebook):
    """The cell that checks what a chapter needs, and says in one sentence what is missing."""
    loaded = requirements(modules_of(code_cells(notebook)))
    modules = sorted(loaded & {*EXTRAS})
    extras = ",".join(sorted(EXTRAS[name] for name in modules))
    wheel = f"{WHEEL}[{extras}]".replace("[]", "")
    names = json.dumps(modules)
    return FIRST_CELL.format(wheel=wheel, modules=names, version=__version__)


def is_cell(node):
    """Whether a node is a code cell with its outputs."""
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def place(node):
    """Index of the source's cell that a node comes from, or ``None``."""
    if is_cell(node):
        return node["cell_index"]
    # Its own line comes first, before those of numbers that other cells have computed.
    lines = (each.line for each in node.findall() if getattr(each, "line", None))
    line = next(lines, None)
    return line and line // LINES_PER_CELL - 1


def parts(section, page, prefix="", level=1):
    """The text of a page in pieces: ``(index of the source's cell or None, Markdown)``.

    Args:
        section: What to go through.
        page: See ``plain_markdown``.
        prefix: What the section's title starts with.
        level: Of the section's heading.
    """
    for node in section.children:
        if isinstance(node, nodes.section):
            yield from parts(node, page, level=level + 1)
        elif isinstance(node, nodes.title):
            marks = [
                f'<a id="{each}"></a>\n\n'
                for each in section["ids"]
                if each in page.anchors
            ]
            heading = f"{'#' * level} {prefix}{inline(node, page)}"
            yield place(node), "".join([*marks, heading])
        elif isinstance(node, solution_node):
            yield from folded(node.children[1].children, page)
        else:
            yield place(node), "" if is_cell(node) else blocks([node], page)


def folded(children, page):
    """The text of a solution, which the reader unfolds; a piece before and after each code cell."""
    summary = "Solution"
    if is_cell(children[0]):
        yield None, SOLUTION_BELOW
        summary = "Solution, continued"
    for is_code, group in groupby(children, is_cell):
        group = list(group)
        if is_code:
            yield place(group[-1]), ""
        else:
            yield place(group[0]), FOLDED.format(summary, blocks(group, page))
            summary = "Solution, continued"


def texts(section, page, prefix):
    """``{index of the source's cell: its Markdown}``."""
    found, now = {}, 0
    for index, text in parts(section, page, prefix):
        now = max(now, index or 0)
        if text:
            found.setdefault(now, []).append(text)
    return {index: "\n\n".join(pieces) for index, pieces in found.items()}


def captions(doctree, page):
    """``{index of a code cell: number and caption of the figure or table it shows}``."""
    found = {}
    for cell in doctree.findall(is_cell):
        for text in cell.findall(is_caption):
            found[place(cell)] = caption(text.parent, text, page)
    return found


def is_caption(node):
    """Whether a node is the caption of a figure or a table."""
    kind = nodes.title if isinstance(node.parent, nodes.table) else nodes.caption
    return isinstance(node, kind)


def solution_cells(doctree):
    """Indices of the code cells that belong to a solution."""
    solutions = doctree.findall(solution_node)
    return {place(cell) for each in solutions for cell in each.findall(is_cell)}


def code_cell(source, identifier, tags=(), folded=()):
    """A code cell without outputs.

    Args:
        source: The code.
        identifier: Of the cell, within its notebook.
        tags: Of the cell.
        folded: What JupyterLab and Colab fold of it: ``"source"``, ``"outputs"``.
    """
    cell = nbformat.v4.new_code_cell(source, id=identifier)
    cell.metadata = {"tags": list(tags)} if tags else {}
    if folded:
        cell.metadata["jupyter"] = {f"{part}_hidden": True for part in folded}
        cell.metadata["cellView"] = "form"  # in Colab
    return cell


def text_cell(text, identifier):
    """A cell of Markdown."""
    return nbformat.v4.new_markdown_cell(text, id=identifier)


def cells(notebook, texts, captions, solutions):
    """The cells of a chapter, each code cell as in the source."""
    kinds = {index: cell["cell_type"] for index, cell in enumerate(notebook["cells"])}
    lost = [texts[index] for index in texts if kinds[index] != "markdown"]
    if lost:
        raise ValueError(
            f"no cell of the source is known for this text: {lost[0][:80]!r}"
        )
    for index, cell in enumerate(notebook["cells"]):
        source, name = "".join(cell["source"]), cell["id"]
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] == "code":
            hidden = ("source",) if HIDDEN & {*tags} else ()
            folded = ("source", "outputs") if index in solutions else hidden
            yield code_cell(source, name, tags, folded)
            if index in captions:
                yield text_cell(captions[index], f"{name}-caption")
        elif index in texts:
            yield text_cell(texts[index], name)


def chapter_number(env, docname):
    """``"3. "`` for the third chapter; nothing for a page without a number."""
    return "".join(f"{n}. " for n in env.toc_secnumbers.get(docname, {}).get("", ()))


def anchors(doctree, labels):
    """Identifiers of the sections that a link leads to: those of labels, and those of references."""
    linked = {
        node["refid"] for node in doctree.findall(nodes.reference) if "refid" in node
    }
    sections = doctree.findall(nodes.section)
    return {
        each for node in sections for each in node["ids"] if each in linked | labels
    }


def addresses(citations):
    """``{identifier: address}`` of the sources in the bibliography that can be opened."""
    found = {}
    for each in citations:
        fields = each.entry.fields
        doi = f"https://doi.org/{fields['doi']}" if "doi" in fields else ""
        found[each.citation_id] = fields.get("url", doi)
    return found


class NotebookBuilder(Builder):
    """Writes every page as a notebook, all into one folder."""

    name = "notebooks"
    format = "notebooks"

    def get_outdated_docs(self):
        """All: it takes seconds."""
        return self.env.found_docs

    def get_target_uri(self, docname, typ=None):
        """The file beside the others."""
        return file_name(docname)

    def prepare_writing(self, docnames):
        """Look up where links may lead."""
        self.sources = addresses(self.env.get_domain("cite").citations)
        self.labels = {*self.env.get_domain("std").anonlabels}

    def number(self, node):
        """Number of an equation, an exercise, an algorithm or a figure, as on the site."""
        kinds = self.fignumbers.values()
        (found,) = (kind[node["ids"][0]] for kind in kinds if node["ids"][0] in kind)
        return ".".join(map(str, found))

    def address(self, node):
        """Where a link leads: a page of the web, a notebook, a section of this one.

        Nowhere if it is an equation or an exercise of this one: its number says where it is.
        """
        target, _, fragment = node.get("refuri", "").partition("#")
        if ":" in target:
            return node["refuri"]
        fragment = fragment or node.get("refid", "")
        if target == file_name(BIBLIOGRAPHY) and self.sources.get(fragment):
            return self.sources[fragment]
        return f"#{fragment}" if not target and fragment in self.anchors else target

    def write_doc(self, docname, doctree):
        """Write one page."""
        self.anchors = anchors(doctree, self.labels)
        self.fignumbers = self.env.toc_fignumbers.get(docname, {})
        section = doctree.next_node(nodes.section)
        found = texts(section, self, chapter_number(self.env, docname))
        path = Path(self.env.doc2path(docname))
        if path.suffix == ".ipynb":
            source = json.loads(path.read_text("utf-8"))
            first = code_cell(first_cell(source), "what-it-needs", folded=("source",))
            drawn, solutions = captions(doctree, self), solution_cells(doctree)
            note = text_cell(HOW_TO_RUN, "how-to-run")
            made = [note, first, *cells(source, found, drawn, solutions)]
        else:
            made = [text_cell("\n\n".join(found.values()), "text")]
        metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
        notebook = nbformat.v4.new_notebook(cells=made, metadata=metadata)
        notebook.metadata["as_written"] = fingerprint(notebook)
        write(notebook, Path(self.outdir) / file_name(docname))


def fingerprint(notebook):
    """Changes with the text and the code of a notebook, not with its outputs."""
    sources = [cell["source"] for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:16]


def write(notebook, path):
    """Write a notebook, and lose nothing of an earlier one.

    Where the book says the same as before, the file stays, with what a reader has made of it. Where
    not, a reader's own version is kept beside the new file.
    """
    if path.exists():
        earlier = nbformat.read(path, as_version=4)
        written = earlier.metadata.get("as_written")
        if written == notebook.metadata["as_written"]:
            return
        if written != fingerprint(earlier):
            yours = free_name(path)
            path.rename(yours)
            LOGGER.info("kept your version of %s as %s", path.name, yours.name)
    nbformat.write(notebook, path)


def free_name(path):
    """A name beside a file that no file has."""
    names = (path.with_stem(f"{path.stem}-yours-{n}") for n in count(1))
    return next(name for name in names if not name.exists())


def choose_outputs(app, config):
    """Of a cell's outputs the pictures and tables count here, whose captions are kept."""
    kinds = ("image/png", "image/svg+xml", "text/markdown", "text/plain")
    found = [(NotebookBuilder.name, kind, rank) for rank, kind in enumerate(kinds)]
    config.nb_mime_priority_overrides = [*config.nb_mime_priority_overrides, *found]


def setup(app):
    """Make the builder known."""
    app.add_builder(NotebookBuilder)
    app.connect("config-inited", choose_outputs)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
