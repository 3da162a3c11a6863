"""What stands in for a kernel inside a page: display, progress, pictures; and the pinned files."""

import base64
import hashlib
import json

import pytest
from extension import EXTENSION, imported

IN_PAGE, SCRIPTS = EXTENSION / "in_page", EXTENSION.parents[1] / "scripts"
cell_runner = imported("cell_runner", IN_PAGE)
page_markdown = imported("page_markdown", IN_PAGE)
pyodide_files = imported("pyodide_files", SCRIPTS)


@pytest.fixture
def shown(monkeypatch):
    """What cells show, as pairs of kind and data."""
    pairs = []
    monkeypatch.setattr(cell_runner, "_emit", lambda kind, data: pairs.append((kind, data)))
    return pairs


def module_of(name):
    """A stand-in by its file: its name is that of the library for which it stands."""
    source = (IN_PAGE / f"{name}.py").read_text("utf-8")
    space = {"__name__": name}
    exec(compile(source, name, "exec"), space)
    return space


def test_markup_and_markdown_are_shown_as_html(shown):
    display = module_of("IPython/display")
    display["display"](display["HTML"]("<i>1</i>"), display["Markdown"]("**2**"), 3)
    assert shown == [
        ("html", "<i>1</i>"),
        ("html", "<p><strong>2</strong></p>"),
        ("text", "3"),
    ]


@pytest.mark.parametrize(
    ("n", "counts"),
    [(20, range(2, 21, 2)), (5, range(1, 6)), (25, [3, 5, 8, 10, 13, 15, 18, 20, 23, 25])],
)
def test_progress_is_told_ten_times(n, counts, capsys):
    assert list(module_of("tqdm")["trange"](n, desc="training")) == list(range(n))
    assert capsys.readouterr().err == "".join(f"training: {k} of {n}\n" for k in counts)


def test_progress_says_what_it_is_told_and_may_be_silent(capsys):
    tqdm = module_of("tqdm")["tqdm"]
    bar = tqdm(iter("ab"), total=2, desc="d")
    for number, _ in enumerate(bar):
        bar.set_postfix(loss=number) if number == 0 else bar.set_postfix_str("end")
    assert capsys.readouterr().err == "d: 1 of 2, loss 0\nd: 2 of 2, end\n"
    assert list(tqdm("abc", disable=True)) == list("abc")
    assert list(tqdm(iter("abc"))) == list("abc")  # nobody knows how many
    assert capsys.readouterr().err == ""


def test_open_figures_become_pictures_and_are_closed(shown):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    plt.close("all")
    _, axes = plt.subplots(1, 3, figsize=(3, 1), dpi=100)
    axes[0].set_title("a < b")
    axes[2].set_title("c")
    plt.figure(figsize=(2, 1), dpi=100)
    cell_runner.show_figures()
    assert [kind for kind, _ in shown] == ["image", "image"]
    first, second = (html for _, html in shown)
    assert first.count('aria-label="a &lt; b; c"') == 2  # a wide shape and a narrow one
    assert second.count('aria-label="Figure of this cell"') == 2
    assert first.startswith('<span class="book-plot"><svg')
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a **b** `c`", "<p>a <strong>b</strong> <code>c</code></p>"),
        ("$\\alpha_{ij} + \\foo$", "<p><em>α<sub>ij</sub> + \\foo</em></p>"),
        ("one\ntwo\n\nthree", "<p>one two</p><p>three</p>"),
        ("a & b &nbsp; <br/> <b>", "<p>a &amp; b &nbsp; <br> &lt;b&gt;</p>"),
    ],
)
def test_markdown_as_far_as_the_book_needs_it(text, html):
    assert page_markdown.to_html(text) == html


LOCK = {
    "info": {"version": "1.2"},
    "packages": {
        "numpy": {"depends": [], "file_name": "numpy.whl"},
        "matplotlib": {"depends": ["numpy", "pytz", "cycler"], "file_name": "m.whl"},
        "cycler": {"depends": ["six"], "file_name": "c.whl"},
        "six": {"depends": [], "file_name": "six.whl"},
        "pytz": {"depends": [], "file_name": "p.whl"},
        "scipy": {"depends": ["numpy"], "file_name": "s.whl"},
    },
}


def test_only_what_the_chapters_need_is_pinned():
    wanted = ["cycler", "matplotlib", "numpy", "six"]
    assert pyodide_files.closure(LOCK["packages"], ("numpy", "matplotlib")) == wanted
    reduced = pyodide_files.reduced(LOCK)
    assert list(reduced["packages"]) == wanted
    assert reduced["packages"]["matplotlib"]["depends"] == ["numpy", "cycler"]
    assert LOCK["packages"]["matplotlib"]["depends"] == ["numpy", "pytz", "cycler"]


@pytest.fixture
def release(tmp_path):
    """A folder as Pyodide releases it: each file holds its own name."""
    lock = json.loads(json.dumps(LOCK))
    for package in lock["packages"].values():
        name = package["file_name"]
        package["sha256"] = hashlib.sha256(name.encode()).hexdigest()
        (tmp_path / name).write_bytes(name.encode())
    for name in pyodide_files.CORE:
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "pyodide-lock.json").write_text(json.dumps(lock), "utf-8")
    return tmp_path


def test_pins_are_sizes_and_hashes_as_browsers_write_them(release):
    pins = pyodide_files.pins_of(release)
    assert pins["cdn"] == "https://cdn.jsdelivr.net/pyodide/v1.2/full/"
    assert pins["version"] == "1.2"
    wheels = {"c.whl", "m.whl", "numpy.whl", "six.whl"}
    assert set(pins["files"]) == wheels | set(pyodide_files.CORE)
    for name, pin in pins["files"].items():
        kind = "sha384" if name == "pyodide.js" else "sha256"
        digest = hashlib.new(kind, name.encode()).digest()
        assert pin == {
            "size": len(name),
            "integrity": f"{kind}-{base64.b64encode(digest).decode()}",
        }


def test_a_wheel_that_is_not_that_of_the_lock_file_is_named(release):
    (release / "six.whl").write_bytes(b"else")
    with pytest.raises(ValueError, match=r"six\.whl: sha256 is not "):
        pyodide_files.pins_of(release)


def test_files_are_placed_as_scripts_of_their_names(release, tmp_path):
    pins = pyodide_files.pins_of(release)
    pyodide_files.place(str(release), tmp_path / "site", pins)
    folder = tmp_path / "site" / "_static" / "pyodide"
    assert {path.name for path in folder.iterdir()} == {f"{name}.js" for name in pins["files"]}
    text = (folder / "six.whl.js").read_text("utf-8")
    assert text == f'runPage.got("six.whl", "{base64.b64encode(b"six.whl").decode()}");\n'
