"""How a figure's front end is put together: one text of JavaScript, one of style."""

import re
from pathlib import Path

from ..data import record

HERE = Path(__file__).parent
IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.[\w./]+)\.js";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?!default)(?=(?:async )?(?:function\*?|class|const) (\w+))", re.M)


def bundle(name: str, folder: Path = HERE) -> str:
    """One ES module, as text, for the figure ``name``: its own file after all that it imports.

    The files are real modules, so that node can test them one by one. A page has only the one
    text that anywidget sends; in it, each imported module is a function of its own, so that its
    names stay within it.

    Args:
        name: Name of the figure's folder, such as ``"playground"``.
        folder: Where that folder is, if not beside the shared modules.

    Raises:
        ValueError: If there is no such figure.
    """
    files = figures(folder)
    if name not in files:
        raise ValueError(f"name must be one of {sorted(files)}, got {name!r}")
    modules: dict[str, str] = {}
    own = _linked(files[name], modules)
    return "\n".join([*modules.values(), own])


def style(name: str, folder: Path = HERE) -> str:
    """The style sheet of the figure ``name``: what all figures use, then its own if it has one."""
    sheets = HERE / "shared" / "figure.css", folder / name / f"{name}.css"
    return "\n".join([roles_style(), *(_read(path) for path in sheets if path.exists())])


def roles_style() -> str:
    """What each role of ``data/roles.json`` looks like, as a class: ``mf-role-maml`` and so on."""
    roles = record("roles").items()
    dark = 'html[data-theme="dark"] .maml-figure, [data-jp-theme-light="false"] .maml-figure'
    colours = {
        selector: "".join(f" --mf-{key}: {role[theme]};" for key, role in roles)
        for selector, theme in ((".maml-figure", "light"), (dark, "dark"))
    }
    looks = {
        f".maml-figure .mf-role-{key}": f" --mf-series: var(--mf-{key}); --mf-dash:"
        f" {' '.join(map(str, role['dash'])) or 'none'};"
        for key, role in roles
    }
    return "\n".join(f"{selector} {{{rules} }}" for selector, rules in (colours | looks).items())


def figures(folder: Path = HERE) -> dict[str, Path]:
    """The file that draws each figure, by the figure's name: the one with a default export."""
    files = [path for path in sorted(folder.glob("*/*.js")) if "export default" in _read(path)]
    return {path.parent.name: path for path in files}


def _linked(path: Path, modules: dict[str, str]) -> str:
    """A module's text with its imports taken from ``modules``, where they are put if missing."""

    def link(found: re.Match[str]) -> str:
        names, where = found.groups()
        imported = _file(path, where)
        if imported.stem not in modules:
            modules[imported.stem] = _as_function(imported, modules)
        return f"const {{{names.replace(' as ', ': ')}}} = {imported.stem}_js;\n"

    return IMPORT.sub(link, _read(path))


def _as_function(path: Path, modules: dict[str, str]) -> str:
    """A module as a constant that holds its exports: whatever else it names is its own."""
    text = _linked(path, modules)
    exports = ", ".join(EXPORT.findall(text))
    return (
        f"const {path.stem}_js = (() => {{\n{EXPORT.sub('', text)}return {{ {exports} }};\n}})();"
    )


def _file(importer: Path, where: str) -> Path:
    """The file that a module imports; ``../shared/`` is this package's, wherever the figure is."""
    inside = HERE / "shared" if where.startswith("../shared/") else importer.parent
    return inside / f"{Path(where).name}.js"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
