"""Pages that load what they show: figures mounted, scripts dropped, pictures that wait."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from extension import imported
from myst_nb.sphinx_ import NbMetadataCollector

book_site = imported("book_site")
VIEW = "application/vnd.jupyter.widget-view+json"
FIGURE = {"_anywidget_id": "maml_teach.widgets.arm.LiftIt", "_esm": "a", "_css": "b", "x": 1}
STATE = {
    "version_major": 2,
    "state": {
        "shown": {"state": FIGURE},
        "hidden": {"state": FIGURE | {"x": 2}},
        "slider": {"state": {"value": "</script>"}},
    },
}


def view(model):
    body = json.dumps({"model_id": model})
    return nodes.raw("", f'<script type="{VIEW}">{body}</script>', format="html")


@pytest.fixture
def kept(monkeypatch):
    """The scripts that each page asks for, as the notebook extension keeps them."""
    files = {"page": {"ipywidgets_state": ("address", {"type": "t", "body": json.dumps(STATE)})}}
    get = lambda env, page: files.setdefault(page, {})  # noqa: E731
    add = lambda env, page, key, uri, attributes: get(env, page).update({key: (uri, attributes)})  # noqa: E731
    monkeypatch.setattr(NbMetadataCollector, "get_js_files", staticmethod(get))
    monkeypatch.setattr(NbMetadataCollector, "add_js_file", staticmethod(add))
    return files


def placed(*models, page="page"):
    document = nodes.document(SimpleNamespace(), None)
    document += [view(model) for model in models]
    document += nodes.raw("", "<b>else</b>", format="html")
    book_site.place_figures(SimpleNamespace(env=SimpleNamespace(docname=page)), document)
    return [child.astext() for child in document.children]


def test_a_figure_is_mounted_and_a_slider_of_a_kernel_is_a_sentence(kept):
    mount, sentence, other = placed("shown", "slider")
    assert mount == book_site.mount_html("shown")
    assert 'data-model-id="shown"' in mount and book_site.NO_SCRIPTS in mount
    assert (sentence, other) == (book_site.NO_KERNEL, "<b>else</b>")


def test_only_the_state_of_what_is_shown_is_embedded_without_its_code(kept):
    placed("shown", "slider")
    uri, attributes = kept["page"]["ipywidgets_state"]
    assert (uri, attributes["type"]) == ("address", "t")
    name = FIGURE["_anywidget_id"]
    shown = {"_anywidget_id": name, "x": 1, "figure": "arm"}
    wanted = {"version_major": 2, "state": {"shown": {"state": shown}}}
    assert json.loads(attributes["body"]) == wanted


def test_a_state_cannot_end_its_script(kept):
    kept["page"]["ipywidgets_state"][1]["body"] = json.dumps(
        {"state": {"shown": {"state": FIGURE | {"x": "</script>"}}}}
    )
    placed("shown")
    body = kept["page"]["ipywidgets_state"][1]["body"]
    assert "</" not in body
    assert json.loads(body)["state"]["shown"]["state"]["x"] == "</script>"


def test_a_page_without_living_figures_embeds_nothing(kept):
    assert placed("slider")[0] == book_site.NO_KERNEL
    assert kept["page"] == {}
    raw = placed("shown", page="other")[0]  # nothing is known of it there
    assert raw == view("shown").astext()


def asset(name, body=None):
    return SimpleNamespace(filename=name, attributes={"body": body} if body else {})


def trimmed(page, context):
    scripts = []
    app = SimpleNamespace(
        env=None,
        config=SimpleNamespace(myst_html_meta={"description": "A book"}, root_doc="first"),
        add_js_file=lambda name, **options: scripts.append((name, options)),
    )
    book_site.trim_page(app, page, "", context, None)
    return scripts


def test_thebe_goes_and_the_loader_comes_where_figures_are(kept):
    files = [asset("a.js"), asset("_static/sphinx-thebe.js"), asset("", "let x = 'sphinx-thebe'")]
    context = {"script_files": files, "css_files": [asset("sphinx-thebe.css"), asset("b.css")]}
    ((loader, options),) = trimmed("page", context)
    assert [f.filename for f in context["script_files"]] == ["a.js"]
    assert [f.filename for f in context["css_files"]] == ["b.css"]
    assert loader == "loader.js"
    assert options["loading_method"] == "defer"
    assert options["data-figures"] == imported("figure_files").version()
    assert trimmed("other", {}) == []


@pytest.mark.parametrize("tags", ["", '<meta name="description" content="own">'])
def test_every_page_is_described_once(kept, tags):
    context = {"metatags": tags}
    trimmed("page", context)
    wanted = tags or '<meta content="A book" name="description" />'
    assert context["metatags"] == wanted


def test_pictures_wait_and_keep_their_room(tmp_path):
    from PIL import Image

    (tmp_path / "book").mkdir()
    Image.new("1", (30, 20)).save(tmp_path / "book" / "one two.png")
    images = {"book/one two.png": (set(), "one two.png")}
    app = SimpleNamespace(env=SimpleNamespace(images=images), srcdir=str(tmp_path))
    own = '<img alt="x" src="../_images/one%20two.png" />'
    sized = '<img width="5" src="../_images/one%20two.png">'
    far = '<img src="https://elsewhere.org/two.png">'
    context = {"body": f"<p>{own}{sized}{far}</p>"}
    book_site.defer_images(app, "page", "", context, None)
    assert context["body"] == (
        '<p><img loading="lazy" width="30" height="20" alt="x" src="../_images/one%20two.png" />'
        '<img loading="lazy" width="5" src="../_images/one%20two.png">'
        '<img loading="lazy" src="https://elsewhere.org/two.png"></p>'
    )


def listener(module):
    return SimpleNamespace(handler=SimpleNamespace(__module__=module))


def test_thebe_is_unhooked_and_nobody_else():
    listeners = {
        "a": [listener("sphinx_thebe"), listener("own")],
        "b": [listener("sphinx_thebe.x")],
    }
    book_site.silence_thebe(SimpleNamespace(events=SimpleNamespace(listeners=listeners)))
    assert [x.handler.__module__ for x in listeners["a"]] == ["own"]
    assert listeners["b"] == []


@pytest.fixture
def built(tmp_path):
    """As much of a built site as is slimmed."""
    files = {
        "scripts/bootstrap.js": "boot\n//# sourceMappingURL=bootstrap.js.map",
        "scripts/bootstrap.js.map": "{}",
        "scripts/pydata-sphinx-theme.js": f"for(e of x){book_site.MEASURE};"
        "\n//# sourceMappingURL=theme.js.map",
        "scripts/fontawesome.js": "icons",
        "vendor/fontawesome/webfonts/a.woff2": "font",
        "vendor/katex/katex.min.css": ".katex{}",
        "images/logo.png": "png",
        "locales/de.js": "x",
        "styles/pydata-sphinx-theme.css": '.fa-a:before,.fa-b:before{content:"\\f101"}'
        '@font-face{font-family:"Font Awesome 6 Free";src:url(x)}@font-face{font-family:Own}'
        ".used{top:0}.unused{top:0}",
    }
    for name, text in files.items():
        path = tmp_path / "_static" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    (tmp_path / "index.html").write_text('<p class="used fa-a katex">', "utf-8")
    return tmp_path / "_static"


def application(built, kind="html"):
    return SimpleNamespace(outdir=str(built.parent), builder=SimpleNamespace(format=kind))


def names(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_what_no_page_loads_stays_out(built):
    for _ in range(2):  # a second build changes nothing more
        book_site.slim_down(application(built), None)
        assert names(built) == {
            "scripts/bootstrap.js",
            "scripts/pydata-sphinx-theme.js",
            "styles/pydata-sphinx-theme.css",
            "vendor/katex/katex.min.css",
        }
        text = lambda name: (built / name).read_text("utf-8")  # noqa: E731
        assert text("scripts/bootstrap.js") == "boot"
        assert text("scripts/pydata-sphinx-theme.js") == "for(e of x)void 'reading.js';"
        css = text("styles/pydata-sphinx-theme.css")
        assert css == "@font-face{font-family:Own}.used{top:0}"


def test_a_build_that_failed_or_is_no_site_is_left_alone(built):
    before = names(built)
    book_site.slim_down(application(built), ValueError("failed"))
    book_site.slim_down(application(built, "latex"), None)
    assert names(built) == before


def test_a_theme_that_measures_otherwise_is_named(built):
    (built / "scripts" / "pydata-sphinx-theme.js").write_text("else", "utf-8")
    with pytest.raises(ValueError, match=r"pydata-sphinx-theme\.js no longer holds 'e\.tabIndex"):
        book_site.slim_down(application(built), None)


def test_the_books_own_files_are_copied(tmp_path):
    app = SimpleNamespace(outdir=str(tmp_path), builder=SimpleNamespace(format="html"))
    book_site.copy_static(app, ValueError("failed"))
    assert not (tmp_path / "_static").exists()
    book_site.copy_static(app, None)
    assert names(tmp_path / "_static") == names(book_site.OWN_FILES)


def test_own_templates_come_before_the_themes():
    config = SimpleNamespace(templates_path=[])
    book_site.use_own_templates(None, config)
    (folder,) = map(Path, config.templates_path)
    assert folder.name == "templates" and any(folder.iterdir())


def test_matrices_stay_on_one_thread(monkeypatch):
    wanted = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    for name in wanted:
        monkeypatch.setenv(name, "1")
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # the reader's own wish counts
    book_site.one_thread_each()
    assert [book_site.os.environ[name] for name in wanted] == ["7", "1", "1"]
