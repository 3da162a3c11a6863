"""What every figure promises; the figures are the folders of ``maml_teach/widgets``."""

import json
import re
import shutil
import subprocess

import pytest
from node import missing

from maml_teach import widgets
from maml_teach.widgets import Case, FlipMistake, OnTrial, Outcome
from maml_teach.widgets.base import Figure
from maml_teach.widgets.front_end import HERE, bundle, figures, style

FOLDERS = sorted(path.name for path in HERE.iterdir() if (path / "__init__.py").exists())
CLASSES = {
    item.__module__.split(".")[-1]: item
    for item in vars(widgets).values()
    if isinstance(item, type) and issubclass(item, Figure)
}
LONGEST_BUILD = 30  # lines
LOAD = """const { default: figure } = await import(process.argv[1]);
console.log(JSON.stringify(Object.entries(figure).map(([key, value]) => [key, typeof value])));"""


def some_cases():
    outcome = Outcome([(0.0, 1.0), (1.0, 2.0)], "fine", 0.5)
    labels = {"x_label": "x", "y_label": "y", "value_label": "error", "caught_by": "the check"}
    return [Case(1, "a title", "a = 1", "a = 2", outcome, outcome, **labels)]


# Those that neither the package nor their defaults can fill.
MADE = {
    FlipMistake: lambda **settings: FlipMistake(some_cases(), **settings),
    OnTrial: lambda **settings: OnTrial.from_package("shift", **settings),
}


def make(name, **settings):
    """The figure of a folder; a new one that needs arguments has to say which in ``MADE``."""
    cls = CLASSES[name]
    return MADE.get(cls, getattr(cls, "from_package", cls))(**settings)


def test_every_folder_is_one_figure():
    assert list(figures()) == FOLDERS == sorted(CLASSES)
    assert {cls.__name__ for cls in CLASSES.values()} <= set(widgets.__all__)


@pytest.mark.parametrize("name", FOLDERS)
def test_the_front_end_is_one_module_that_loads(name, tmp_path):
    """A name that two modules of the bundle cannot share is an error of syntax, found here."""
    text = bundle(name)
    assert not re.search(r"^\s*import\b", text, re.MULTILINE)
    assert len(re.findall(r"^export default\b", text, re.MULTILINE)) == 1
    if shutil.which("node") is None:
        missing("node is not installed")
    file = tmp_path / "bundle.mjs"
    file.write_text(text, encoding="utf-8")
    command = ["node", "--input-type=module", "--eval", LOAD, file]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["render", "function"]], "no default export with render"


@pytest.mark.parametrize("name", FOLDERS)
def test_the_file_that_draws_says_its_folder_and_is_short(name):
    source = figures()[name].read_text("utf-8")
    (last,) = re.findall(r"^export default .*$", source, re.MULTILINE)
    assert source.rstrip().endswith(last)
    assert last.startswith(f'export default figure({{ name: "{name}", ')
    (build,) = re.findall(r"^function build\(.*?^}", source, re.MULTILINE | re.DOTALL)
    assert build.count("\n") + 1 <= LONGEST_BUILD


@pytest.mark.parametrize("name", FOLDERS)
def test_the_class_sends_its_own_front_end(name):
    figure = make(name)
    assert figure._esm == bundle(name)
    assert figure._css == style(name)
    assert repr(figure) == f"{type(figure).__name__}()"


@pytest.mark.parametrize("name", FOLDERS)
def test_an_unknown_setting_is_refused(name):
    with pytest.raises(ValueError, match=f"{CLASSES[name].__name__} has no setting colour"):
        make(name, colour="red")


def beyond():
    """Each end of the range of each numeric setting of each figure, and a value outside."""
    for name, cls in CLASSES.items():
        for trait, kind in cls.class_traits(settable=True).items():
            for end, way in (("min", -1), ("max", 1)):
                limit = getattr(kind, end, None)
                if limit is not None and abs(limit) < float("inf"):
                    yield name, trait, limit + way


@pytest.mark.parametrize(("name", "trait", "value"), list(beyond()))
def test_a_number_out_of_range_is_named(name, trait, value):
    with pytest.raises(ValueError, match=trait):
        make(name, **{trait: value})
