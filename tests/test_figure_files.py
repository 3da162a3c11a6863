"""The figures' code as files of the site."""

import json
from types import SimpleNamespace

import pytest
from extension import imported

from maml_teach.widgets.front_end import bundle, figures, style

figure_files = imported("figure_files")


def test_a_state_keeps_all_but_its_code():
    state = {"_anywidget_id": "maml_teach.widgets.arm.LiftIt", "_esm": "x", "_css": "y", "z": 1}
    assert figure_files.without_code(state) == {
        "_anywidget_id": "maml_teach.widgets.arm.LiftIt",
        "z": 1,
        "figure": "arm",
    }


@pytest.mark.parametrize("name", figures())
def test_a_script_hands_over_the_code_of_its_figure(name):
    text = figure_files.scripts()[name]
    before, _, code = text.partition(" = ")
    assert before == f"mamlFigures.{name}"
    assert code.endswith(";\n")
    assert json.loads(code.removesuffix(";\n")) == {"_esm": bundle(name), "_css": style(name)}


def test_the_version_changes_with_every_figure(monkeypatch):
    scripts, versions = dict(figure_files.scripts()), set()
    for name in scripts:
        changed = scripts | {name: scripts[name] + " "}
        monkeypatch.setattr(figure_files, "scripts", lambda changed=changed: changed)
        versions.add(figure_files.version())
    monkeypatch.undo()
    assert len(versions | {figure_files.version()}) == len(scripts) + 1
    assert {len(version) for version in versions} == {8}


def test_files_are_written_for_a_site_that_was_built(tmp_path):
    def written(kind, exception):
        app = SimpleNamespace(builder=SimpleNamespace(format=kind), outdir=str(tmp_path))
        figure_files.write_scripts(app, exception)
        return {path.stem: path.read_text("utf-8") for path in tmp_path.rglob("*.js")}

    assert written("latex", None) == written("html", ValueError("failed")) == {}
    assert written("html", None) == figure_files.scripts()
    assert (tmp_path / "_static" / "figures" / "arm.js").exists()
