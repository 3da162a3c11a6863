"""The site's own Sphinx extension: every page loads what it shows, from the site itself.

Three things happen here. A widget that can live without a kernel becomes a mount for
``_static/loader.js``; any other becomes one sentence. Pages lose the scripts they have no use
for. The theme's icon font and its unused style rules, most of a page's weight, stay out of the
built site.
"""

import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import figure_files
import imagesize
from docutils import nodes
from myst_nb.core.render import WIDGET_VIEW_MIMETYPE
from myst_nb.sphinx_ import NbMetadataCollector
from slim_css import slim_site

OWN_FILES = Path(__file__).parents[1] / "_static"
STATE_KEY = "ipywidgets_state"
NO_SCRIPTS = (
    "This figure is interactive and needs JavaScript; "
    "the text around it says what it shows. The same figure runs in the notebook."
)
NO_KERNEL = "Live controls: run this notebook in JupyterLab."

UNUSED_FILES = (
    "scripts/fontawesome.js",
    "scripts/fontawesome.js.LICENSE.txt",
    "vendor/fontawesome",
    "images",
    "locales",
)
ICON_RULE = re.compile(r'(?:\.fa-[\w-]+:before,?)+\{content:"[^"]*"\}')
ICON_FONT = re.compile(r"@font-face\{[^}]*Font Awesome[^}]*\}")
IMAGE = re.compile(r'<img [^>]*src="([^"]+)"[^>]*>')
MEASURE = "e.tabIndex=e.scrollWidth>e.clientWidth||e.scrollHeight>e.clientHeight?0:-1"
NOT_NOW = "void 'reading.js'"
VIEW = re.compile(
    rf'<script type="{re.escape(WIDGET_VIEW_MIMETYPE)}">(.*)</script>', re.DOTALL
)


def mount_html(model_id):
    """The place where the loader draws a figure, with a sentence for readers without scripts."""
    return (
        f'<div class="figure-mount" data-model-id="{model_id}">'
        f'<noscript><p class="figure-note">{NO_SCRIPTS}</p></noscript></div>'
    )


def model_of(raw):
    """Identifier of the widget that a view shows."""
    return json.loads(VIEW.search(raw.astext())[1])["model_id"]


def replacement(model_id, models):
    """The node that stands for a widget view on a static page."""
    if model_id in models:
        return nodes.raw("", mount_html(model_id), format="html")
    return nodes.paragraph("", NO_KERNEL, classes=["figure-note"])


def place_figures(app, doctree):
    """Replace every widget view, and embed the state of the widgets that can live and are shown."""
    docname = app.env.docname
    scripts = NbMetadataCollector.get_js_files(app.env, docname)
    if STATE_KEY not in scripts:
        return
    uri, attributes = scripts.pop(STATE_KEY)
    embedded = json.loads(attributes["body"])
    models = {key: m for key, m in embedded["state"].items() if m["state"].get("_esm")}
    views = [node for node in doctree.findall(nodes.raw) if VIEW.search(node.astext())]
    shown = {model_of(raw) for raw in views}
    models = {key: model for key, model in models.items() if key in shown}
    for model in models.values():
        model["state"] = figure_files.without_code(model["state"])
    for raw in views:
        raw.replace_self(replacement(model_of(raw), models))
    if models:
        body = json.dumps(embedded | {"state": models}).replace("</", "<\\/")
        NbMetadataCollector.add_js_file(
            app.env, docname, STATE_KEY, uri, attributes | {"body": body}
        )


def trim_page(app, pagename, templatename, context, doctree):
    """Drop Thebe's files, and add the loader where there are figures."""
    for kind in ("script_files", "css_files"):
        files = context.get(kind, [])
        files[:] = [f for f in files if "sphinx-thebe" not in described(f)]
    if STATE_KEY in NbMetadataCollector.get_js_files(app.env, pagename):
        about = {"data-figures": figure_files.version()}
        app.add_js_file("loader.js", loading_method="defer", **about)
    if pagename == app.config.root_doc:
        context["docstitle"] = ""  # the page's own title is the book's name already
    tags = context.get("metatags", "")
    if 'name="description"' not in tags:  # the search page has no source file
        description = app.config.myst_html_meta["description"]
        context["metatags"] = (
            f'{tags}<meta content="{description}" name="description" />'
        )


def defer_images(app, pagename, templatename, context, doctree):
    """Load pictures only as the reader comes near, and keep their room free until then."""
    sources = {name: path for path, (_, name) in app.env.images.items()}

    def deferred(tag):
        path = sources.get(unquote(Path(tag[1]).name))
        width, height = imagesize.get(Path(app.srcdir) / path) if path else (-1, -1)
        room = (
            f'width="{width}" height="{height}" '
            if width > 0 and "width" not in tag[0]
            else ""
        )
        return tag[0].replace("<img ", f'<img loading="lazy" {room}', 1)

    context["body"] = IMAGE.sub(deferred, context.get("body", ""))


def described(asset):
    """File name and inline start of a page's script or style, to recognise it by."""
    return f"{asset.filename} {(asset.attributes.get('body') or '')[:40]}"


def silence_thebe(app):
    """Unhook Thebe, which starts kernels on a server; the theme brings it along."""
    for listeners in app.events.listeners.values():
        listeners[:] = [
            x for x in listeners if not x.handler.__module__.startswith("sphinx_thebe")
        ]


def use_own_templates(app, config):
    """Put this folder's templates before the theme's."""
    config.templates_path.append(str(Path(__file__).parent / "templates"))


def copy_static(app, exception):
    """Copy the book's own files, which Sphinx passes over when no text has changed."""
    if not exception and app.builder.format == "html":
        target = Path(app.outdir) / "_static"
        shutil.copytree(OWN_FILES, target, dirs_exist_ok=True)


def slim_down(app, exception):
    """Delete what no page loads: icon fonts, source maps, style rules without a match.

    What an earlier build has slimmed already stays as it is.
    """
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    for name in UNUSED_FILES:
        path = static / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for source_map in static.rglob("*.map"):
        source_map.unlink()
    for name in ("scripts/bootstrap.js", "scripts/pydata-sphinx-theme.js"):
        drop_source_map(static / name)
    measure_later(static / "scripts" / "pydata-sphinx-theme.js")
    theme = static / "styles" / "pydata-sphinx-theme.css"
    theme.write_text(
        ICON_FONT.sub("", ICON_RULE.sub("", theme.read_text("utf-8"))), "utf-8"
    )
    slim_site(app.outdir)


def drop_source_map(path):
    """Remove the comment that sends a browser's tools to a file that is not shipped."""
    path.write_text(
        re.sub(r"\n//# sourceMappingURL=\S+", "", path.read_text("utf-8")), "utf-8"
    )


def measure_later(path):
    """Take out a loop that lays out the whole page at once; ``reading.js`` measures what is near.

    Raises:
        ValueError: If the theme's script no longer holds it.
    """
    script = path.read_text("utf-8")
    if NOT_NOW in script:
        return
    if MEASURE not in script:
        raise ValueError(f"{path.name} no longer holds {MEASURE!r}")
    path.write_text(script.replace(MEASURE, NOT_NOW), "utf-8")


def one_thread_each():
    """Keep the chapters' small matrices on one thread: several only wait for each other."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def setup(app):
    """Connect the steps above to the events they belong to."""
    one_thread_each()
    silence_thebe(app)
    app.connect("config-inited", use_own_templates)
    app.connect("doctree-read", place_figures)
    app.connect("html-page-context", trim_page, priority=900)
    app.connect("html-page-context", defer_images, priority=901)
    app.connect("build-finished", copy_static, priority=300)
    app.connect("build-finished", slim_down)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
