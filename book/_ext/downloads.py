"""What a page offers: itself as a notebook, and the package that notebooks need."""

from pathlib import Path

from maml_teach import __version__

FOLDER = "notebooks"  # of the site; make puts the files there
WHEEL = f"maml_teach-{__version__}-py3-none-any.whl"


def file_name(docname):
    """Name of the notebook of a page."""
    return f"{Path(docname).name}.ipynb"


def links(context, pagename):
    """Addresses of the page's notebook and of the package."""
    folder = context["pathto"](FOLDER, 1)
    return f"{folder}/{file_name(pagename)}", f"{folder}/{WHEEL}"


def buttons(group, notebook, package):
    """The theme's download buttons with notebook and package in the place of the source."""
    for button in group:
        if button["label"] == "download-source-button":
            button |= {"url": notebook, "text": ".ipynb"}
            yield button | {"tooltip": "Download this page as a notebook"}
            button |= {
                "url": package,
                "text": ".whl",
                "label": "download-package-button",
            }
            yield button | {"tooltip": "Download the package that the notebooks need"}
        else:
            yield button


def offer(app, pagename, templatename, context, doctree):
    """Make the download buttons of a page lead to its notebook, and to the package."""
    if pagename in app.env.all_docs:
        for group in context.get("header_buttons", []):
            if group["label"] == "download-buttons":
                group["buttons"] = [
                    *buttons(group["buttons"], *links(context, pagename))
                ]


def setup(app):
    """Come after the theme has made its buttons."""
    app.connect("html-page-context", offer, priority=902)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
