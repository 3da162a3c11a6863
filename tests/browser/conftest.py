"""The built site in Chromium, with the network cut.

``MAML_SITE`` names the built site (default ``_build/html``), ``CHROMIUM`` the browser. Missing
parts skip with a line that names them; where ``CI`` is set they fail.
"""

import gzip
import os
import re
import shutil
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SITE = Path(os.environ.get("MAML_SITE", "_build/html")).resolve()
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
REDIRECT = "index.html"  # holds nothing but the way to the first chapter
MOUNT = 'class="figure-mount"'
FIRST = "book/intro.html"  # stands for the pages as long as there is no site to list


def pages():
    """Every page of the built site, as paths relative to it."""
    found = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
    return [p for p in found if p != REDIRECT and not p.startswith("_static")] or [FIRST]


def missing(what):
    """Skip, or fail where continuous integration promises that nothing is missing."""
    if os.environ.get("CI"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def figure_pages():
    """Those on which a figure stands."""
    found = [p for p in pages() if (SITE / p).exists() and MOUNT in (SITE / p).read_text("utf-8")]
    return found or [FIRST]


def pytest_generate_tests(metafunc):
    """Run a test that asks for ``page_path``, ``figure_page`` or ``scheme`` once for each."""
    if "page_path" in metafunc.fixturenames:
        metafunc.parametrize("page_path", pages())
    if "figure_page" in metafunc.fixturenames:
        metafunc.parametrize("figure_page", figure_pages())
    if "scheme" in metafunc.fixturenames:
        metafunc.parametrize("scheme", ["file", "http"])


def pytest_collection_modifyitems(items):
    """Keep the tests of a page in one process, where they share what is open."""
    for item in (each for each in items if Path(__file__).parent in each.path.parents):
        given = getattr(item, "callspec", None)
        page = given and (given.params.get("page_path") or given.params.get("figure_page"))
        item.add_marker(pytest.mark.xdist_group(page or item.module.__name__))


@pytest.fixture(scope="session")
def site():
    """Folder of the built site."""
    if not (SITE / FIRST).exists():
        if "MAML_SITE" in os.environ:
            missing(f"no site at MAML_SITE={SITE}")
        pytest.skip("site not built: make strict")
    return SITE


@pytest.fixture(scope="session")
def browser(site):
    """One headless Chromium for the whole run."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        missing("no Chromium found: install it or set CHROMIUM")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


class Server(ThreadingHTTPServer):
    """Takes all that a page asks for at once; a page that is closed meanwhile is no error."""

    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a log line for each."""

    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def http_base(site):
    """Address of a local server on the site's folder."""
    handler = partial(QuietHandler, directory=str(site))
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def bases(site, http_base):
    """Where the site's pages are found, by scheme."""
    return {"file": site.as_uri(), "http": http_base}


# In every page, before its own scripts. Two switches for tests: `printing`, since a browser that
# prints tells nobody of new sizes, and `impatient`, which has a read-out say at once what would
# wait for a pause. And a list of the figures that were touched.
STAGE = """
const Watched = ResizeObserver;
window.ResizeObserver = class extends Watched {
  constructor(react) { super((...given) => window.printing || react(...given)); } };
const after = window.setTimeout;
window.setTimeout = (job, wait, ...given) =>
  after(job, window.impatient && wait === 500 ? 0 : wait, ...given);
window.touched = new Set();
for (const kind of ['input', 'change', 'pointerdown', 'click', 'keydown']) {
  addEventListener(kind, ({ target }) => {
    const figure = target.closest?.('.maml-figure');
    if (figure) touched.add(figure);
  }, true);
}
"""
# What a test may change of an open page, and back to it.
KEEP = """() => {
  window.kept = {
    styles: new Set(document.querySelectorAll('style')),
    folds: [...document.querySelectorAll('details')].map((fold) => [fold, fold.open]),
    theme: document.documentElement.dataset.theme };
  touched.clear();
}"""
# Answers whether anything was: most tests only look.
RESTORE = """(dark) => {
  let changed = scrollY > 0 || matchMedia('print').matches
    || matchMedia('(prefers-color-scheme: dark)').matches !== dark;
  const put = (isAsKept, back) => isAsKept || (back(), (changed = true));
  put(!window.printing, () => {
    window.printing = false;
    dispatchEvent(new Event('afterprint'));
  });
  window.impatient = false;
  document.querySelectorAll('style').forEach((style) =>
    put(kept.styles.has(style), () => style.remove()));
  kept.folds.forEach(([fold, open]) => put(fold.open === open, () => (fold.open = open)));
  const page = document.documentElement.dataset;
  put(page.theme === kept.theme, () => (page.theme = kept.theme));
  put(document.activeElement === document.body, () => document.activeElement.blur());
  touched.forEach((figure) => put(false, () => {
    const buttons = [...figure.querySelectorAll('button')];
    buttons.find((button) => button.textContent === 'Reset').click();
  }));
  touched.clear();
  return changed;
}"""


class Visit:
    """One page in one browser context, and everything that went wrong on it."""

    def __init__(self, context, base):
        self.base = base
        self.troubles = []
        self.loaded = {}
        # Nothing leaves the site.
        context.route(re.compile(f"^(?!{re.escape(base)}|data:|blob:)"), self._refuse)
        context.add_init_script(f"(() => {{{STAGE}}})()")
        self.page = context.new_page()
        self.size = self.page.viewport_size
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.troubles.append(f"page error: {error}"))
        self.page.on("requestfailed", lambda r: self.troubles.append(f"failed: {r.url}"))
        self.page.on("response", self._response)

    def _refuse(self, route):
        self.troubles.append(f"request outside: {route.request.url}")
        route.abort()

    def _console(self, message):
        if message.type in ("error", "warning"):
            self.troubles.append(f"console {message.type}: {message.text}")

    def _response(self, response):
        url = response.url.partition("?")[0].partition("#")[0]
        if response.status >= 400:
            self.troubles.append(f"status {response.status}: {url}")
        elif url.startswith(self.base):
            self.loaded[url] = response

    def goto(self, path):
        """Load a page, and wait for nothing else."""
        self.page.goto(f"{self.base}/{path}", wait_until="load")
        return self.page

    def open(self, path):
        """Load a page, pass by all its figures, and wait until they and the fonts stand still."""
        self.goto(path)
        self.pass_by()
        self.page.evaluate("() => document.fonts.ready.then(() => true)")
        self.page.evaluate(KEEP)
        return self.page

    def restore(self, scheme="light"):
        """Bring an open page back to what it was when it was opened."""
        if self.page.evaluate(RESTORE, scheme == "dark"):
            self.page.emulate_media(media="null", color_scheme=scheme, reduced_motion="reduce")
            self.page.evaluate(RESTORE, scheme == "dark")  # the scheme may have set the theme
            self.to_the_top()
        if self.page.viewport_size != self.size:
            self.page.set_viewport_size(self.size)
            self.pass_by()

    def pass_by(self):
        """See each figure drawn on the way down, and go back to the top."""
        for mount in self.page.locator(".figure-mount").all():
            assert self.until(partial(self.passed_by, mount), 20), mount.inner_html()[:200]
        self.to_the_top()

    def to_the_top(self):
        """At once: a press on what still glides by would miss it."""
        self.page.evaluate("() => scrollTo({ top: 0, behavior: 'instant' })")
        self.frames(2)

    def passed_by(self, mount):
        """Whether a figure is drawn; goes to where it is, which parts above it may change."""
        # A driver's own way is content with a place in a part that is not laid out yet.
        mount.evaluate("(f) => f.scrollIntoView({ behavior: 'instant' })")
        self.frames(2)
        return mount.evaluate("(f) => 'ready' in f.dataset || 'failed' in f.dataset")

    def until(self, question, seconds=10):
        """Ask until the answer is true, ``seconds`` at most, and return the last answer."""
        end = time.monotonic() + seconds
        while not (answer := question()) and time.monotonic() < end:
            self.page.wait_for_timeout(20)
        return answer

    def frames(self, n):
        """Let the page draw so many frames: time enough for what should not happen to happen."""
        self.page.evaluate(
            """(n) => new Promise((done) => {
              const next = () => (n-- > 0 ? requestAnimationFrame(next) : done());
              next(); })""",
            n,
        )

    def attribute(self, node, name, value):
        """Wait, ten seconds at most, until a node has an attribute of this value."""
        from playwright.sync_api import expect

        expect(node).to_have_attribute(name, value, timeout=10_000)

    def gzip_bytes(self, site):
        """Compressed size of each resource that the page loaded from the site."""
        sizes = {}
        for url in self.loaded:
            path = site / url.removeprefix(self.base).lstrip("/")
            sizes[path.relative_to(site).as_posix()] = len(gzip.compress(path.read_bytes()))
        return sizes


def new_context(browser, width=1280, **options):
    """A context of its own, in which a figure that plays by itself stands still."""
    viewport = {"width": width, "height": 900}
    return browser.new_context(viewport=viewport, reduced_motion="reduce", **options)


def close(context):
    """Close a context; what it still asks for is not waited for, or closing could last for ever."""
    context.unroute_all(behavior="ignoreErrors")
    context.close()


@pytest.fixture
def visit(browser, bases):
    """Make a visit: ``visit("file", width=360)``."""
    contexts = []

    def start(scheme, **options):
        contexts.append(new_context(browser, **options))
        return Visit(contexts[-1], bases[scheme])

    yield start
    for context in contexts:
        close(context)


@pytest.fixture(scope="session")
def shelf():
    """Pages that lie open: those of one path at a time, by how they were opened."""
    kept = {}
    yield kept
    for context, _ in kept.values():
        close(context)


@pytest.fixture
def opened(browser, bases, shelf):
    """A visit to a page that is open already, and as it was when it was opened.

    What is put back: the window's size, media and scheme, added styles, folds, the theme, the
    focus, and each figure that was touched, by its Reset.
    """

    def look(scheme, path, **options):
        key = path, scheme, *sorted(options.items())
        for other in [other for other in shelf if other[0] != path]:
            close(shelf.pop(other)[0])
        if key in shelf:
            shelf[key][1].restore(options.get("color_scheme", "light"))
        else:
            context = new_context(browser, **options)
            shelf[key] = context, Visit(context, bases[scheme])
            shelf[key][1].open(path)
        return shelf[key][1]

    return look
