"""Leave out the style rules of a built site that no page can ever use.

The theme carries all of Bootstrap. A rule stays when one of its selectors names only classes
that stand somewhere in the pages or in the scripts that change them.
"""

import re
from pathlib import Path

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
CLASS = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
NEGATION = re.compile(r":not\([^()]*\)")
WORD = re.compile(r"[\w-]+")
OWN = re.compile(
    r"site\.css|book-[0-9a-f]+\.css"
)  # the book's, and what is joined of all
GROUPS = ("@media", "@supports", "@layer", "@container")


def words_of(paths):
    """Every word that the files hold: whatever a class may be called is among them."""
    return {
        word
        for path in paths
        for word in WORD.findall(path.read_text("utf-8", "replace"))
    }


def blocks(css):
    """Split into ``(selector, body)``; statements such as ``@import`` have no body."""
    start = opening = depth = 0
    for match in re.finditer(r"[{};]", css):
        mark, at = match[0], match.start()
        if mark == "{":
            opening = at if depth == 0 else opening
            depth += 1
        elif mark == "}":
            depth -= 1
        if depth == 0 and mark == "}":
            yield css[start:opening].strip(), css[opening + 1 : at]
        elif depth == 0 and mark == ";":
            yield css[start : at + 1].strip(), None
        if depth == 0:
            start = at + 1


def can_match(selector, words):
    """Whether one of the comma-separated selectors names only known classes."""
    parts = NEGATION.sub("", selector).split(",")
    return any(all(name in words for name in CLASS.findall(part)) for part in parts)


def slim(css, words):
    """The style sheet without the rules that cannot match."""
    kept = []
    for selector, body in blocks(COMMENT.sub("", css)):
        if body is None:
            kept.append(selector)
        elif selector.startswith(GROUPS):
            inner = slim(body, words)
            kept.append(f"{selector}{{{inner}}}" if inner else "")
        elif selector.startswith("@") or can_match(selector, words):
            kept.append(f"{selector}{{{body}}}")
    return "".join(kept)


def style_sheets(folder):
    """The theme's and the extensions' style sheets in a built site."""
    return [
        path
        for path in (Path(folder) / "_static").rglob("*.css")
        if not OWN.fullmatch(path.name)
    ]


def slim_site(folder):
    """Rewrite the style sheets of a built site in place, all but the book's own."""
    static = Path(folder) / "_static"
    scripts = [p for p in static.rglob("*.js") if "vendor" not in p.parts]
    words = words_of([*Path(folder).rglob("*.html"), *scripts])
    for path in style_sheets(folder):
        path.write_text(slim(path.read_text("utf-8"), words), "utf-8")
