"""What a page asks for before it can be read: one style sheet, no script, the figures' data last."""

import hashlib
import re
from pathlib import Path

SHEET = re.compile(r'\s*<link (?=[^>]*rel="stylesheet")[^>]*href="([^"?]*)[^"]*"[^>]*>')
IMPORT = re.compile(r'@import "([^"]+)";?')
ADDRESS = re.compile(r"url\((?!\s*[\"']?(?:data:|#))([^)]+)\)")
OPTIONS = re.compile(
    r'<script src="[^"]*_static/documentation_options\.js[^"]*"></script>'
)
SCRIPT = re.compile(r'<script( data-sd[^>]*)? src="(?=[^"]*(?:_static/|searchindex))')
STATE = re.compile(
    r'<script type="application/vnd\.jupyter\.widget-state\+json">.*?</script>',
    re.DOTALL,
)


def style_text(path, static):
    """A style sheet with its imports in place and its addresses relative to ``static``."""
    css, folder = path.read_text("utf-8"), path.parent.relative_to(static).as_posix()
    if folder != ".":
        css = ADDRESS.sub(lambda m: f"url({folder}/{m[1]})", css)
    return IMPORT.sub(lambda m: style_text((path.parent / m[1]).resolve(), static), css)


def digest(text):
    """A short name for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def joined(names, static):
    """Style sheets of ``static`` as one, with a first line that says which they are."""
    css = "\n".join(style_text((static / name).resolve(), static) for name in names)
    return f"/* {' '.join(names)} */\n{css}"


def join_styles(html, path, static):
    """One link to one file instead of a dozen; pages with the same sheets have the same file."""
    sheets = [(path.parent / href).resolve() for href in SHEET.findall(html)]
    if not sheets:
        return html
    names = [sheet.relative_to(static).as_posix() for sheet in sheets]
    css, name = joined(names, static), f"book-{digest(' '.join(names))}.css"
    (static / name).write_text(css, "utf-8")
    depth = "../" * (len(path.relative_to(static.parent).parts) - 1)
    link = f'\n  <link rel="stylesheet" href="{depth}_static/{name}?v={digest(css)}" />'
    first = SHEET.search(html).start()
    return html[:first] + link + SHEET.sub("", html[first:])


def refresh_styles(static):
    """Join the sheets of each joined file again: pages that were not written still load it."""
    for path in static.glob("book-*.css"):
        first = path.read_text("utf-8").partition("\n")[0]
        path.write_text(joined(first.strip("/* ").split(), static), "utf-8")


def lighten(html, path, static, options):
    """A finished page in the order in which it is read.

    ``options`` are Sphinx's, a script of a few lines that later scripts need at once.
    """
    html = join_styles(html, path, static)
    html = OPTIONS.sub(lambda _: f"<script>{options}</script>", html)
    html = SCRIPT.sub(r'<script\1 defer src="', html)
    data = STATE.findall(html)
    return STATE.sub("", html).replace("</body>", "".join(data) + "</body>")


def lighten_site(app, exception):
    """Do this for every page that this build has written."""
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir).resolve() / "_static"
    refresh_styles(static)
    options = (static / "documentation_options.js").read_text("utf-8")
    pages = [
        path for path in static.parent.rglob("*.html") if static not in path.parents
    ]
    for path in pages:
        html = path.read_text("utf-8")
        if OPTIONS.search(html):  # else an earlier build has done it
            path.write_text(lighten(html, path, static, options), "utf-8")


def setup(app):
    """After ``book_site`` has slimmed the style sheets."""
    app.connect("build-finished", lighten_site, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
