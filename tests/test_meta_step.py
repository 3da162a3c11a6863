"""The compiled meta-step of Train it here: its source, its bytes, and its numbers."""

import base64
from importlib.util import find_spec

import numpy as np
import pytest
from build_wasm import MODULE, as_module, compiled
from node import missing, relative_error, run_node
from test_javascript import as_json
from test_training_figure import GRADIENTS, MODEL, TOLERANCE, first_run, trained

from maml_teach.rules import ADAM
from maml_teach.tasks import Sinusoids
from maml_teach.widgets.front_end import bundle

ALPHA, BETA = 0.02, 0.003
# Whether the page has WebAssembly, as the first cases of a process in node.
PAGES = {"compiled": [], "plain": [("withoutWebAssembly", [])]}
RUNS = [(name, k) for name in GRADIENTS for k in (0, 1, 2, 5, 10)]
RUNS.remove(("Reptile", 0))  # it has gone no way, and Adam makes much of rounding
# Tasks in a batch, support points, query points; memory grows, and is used again.
SIZES = [(25, 10, 10), (3, 4, 6), (40, 30, 50), (1, 1, 1), (2, 50, 3)]


def in_numpy(theta, batches, algorithm, n_inner_steps):
    """Meta-loss, theta and the moments of each outer step, one after the other."""
    moments, steps = (0 * theta, 0 * theta), []
    inner = {"alpha": ALPHA, "n_inner_steps": n_inner_steps}
    for k, tasks in enumerate(batches, 1):
        meta_loss, gradient = GRADIENTS[algorithm](MODEL, theta, tasks, **inner)
        theta, moments = ADAM.update(theta, gradient, moments, BETA, k)
        steps.append((meta_loss, theta, *moments))
    return steps


def in_node(page, theta, batches, algorithm, n_inner_steps):
    """The same in node, after seeing that it is computed as it should be."""
    settings = {"algorithm": algorithm, "alpha": ALPHA, "beta": BETA}
    given = [first_run(theta), [as_json(tasks) for tasks in batches]]
    steps = ("metaSteps", [*given, settings | {"n_inner_steps": n_inner_steps}])
    *_, is_compiled, done = run_node(
        "training", [*PAGES[page], ("isCompiled", [as_json(batches[0])]), steps]
    )
    assert is_compiled == (page == "compiled")
    return [(one["metaLoss"], *(one["run"][key] for key in ("theta", "m", "v"))) for one in done]


def assert_same(algorithm, found, wanted):
    assert len(found) == len(wanted)
    for one, reference in zip(found, wanted, strict=True):
        for value, expected in zip(one, reference, strict=True):
            assert relative_error(value, expected) < TOLERANCE[algorithm]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("algorithm", "n_inner_steps"), RUNS)
def test_consecutive_steps_are_those_of_numpy(algorithm, n_inner_steps, page):
    rng = np.random.default_rng(n_inner_steps)
    theta = MODEL.init(rng) + 0.05 * rng.normal(size=MODEL.n_params)
    batches = [Sinusoids().sample(rng, 25, 10, 10) for _ in range(4)]
    wanted = in_numpy(theta, batches, algorithm, n_inner_steps)
    assert_same(algorithm, in_node(page, theta, batches, algorithm, n_inner_steps), wanted)


@pytest.mark.parametrize("n_inner_steps", [1, 3])
@pytest.mark.parametrize("algorithm", GRADIENTS)
def test_batches_of_any_size_one_after_the_other(algorithm, n_inner_steps):
    rng = np.random.default_rng(7)
    theta, batches = MODEL.init(rng), [Sinusoids().sample(rng, *sizes) for sizes in SIZES]
    wanted = in_numpy(theta, batches, algorithm, n_inner_steps)
    assert_same(algorithm, in_node("compiled", theta, batches, algorithm, n_inner_steps), wanted)


def test_tasks_of_different_sizes_are_left_to_javascript():
    rng = np.random.default_rng(3)
    theta, one, other = MODEL.init(rng), *(Sinusoids().sample(rng, 2, n, n + 1) for n in (4, 7))
    settings = {"algorithm": "MAML", "alpha": ALPHA, "beta": BETA, "n_inner_steps": 2}
    mixed = as_json(one) + as_json(other)
    steps = ("metaSteps", [first_run(theta), [mixed], settings])
    is_compiled, [step] = run_node("training", [("isCompiled", [mixed]), steps])
    halves = [
        GRADIENTS["MAML"](MODEL, theta, tasks, alpha=ALPHA, n_inner_steps=2)
        for tasks in (one, other)
    ]
    assert not is_compiled
    assert relative_error(step["metaLoss"], (halves[0][0] + halves[1][0]) / 2) < 1e-9
    assert relative_error(step["run"]["m"], 0.05 * (halves[0][1] + halves[1][1])) < 1e-9


def test_the_page_trains_with_what_was_compiled():
    """The worker's program is one classic script, made from the text that the page has."""
    settings = {"algorithm": "MAML", "alpha": ALPHA, "beta": BETA, "n_inner_steps": 2}
    told = [{"command": "settings", "settings": settings}, {"command": "begin", "seed": 4}]
    told += [{"command": "step"}] * 3
    [found] = run_node("training", [("servedByThePage", [bundle("training"), told])])
    theta, losses = trained(4, 3, **settings)
    assert found["count"] == 1
    assert relative_error([report["losses"] for report in found["reports"]], losses) < 1e-9
    assert relative_error(found["reports"][-1]["theta"], theta) < 1e-9


def shipped():
    """The bytes in the JavaScript module."""
    return base64.b64decode(MODULE.read_text("utf-8").split("`")[-2])


def test_the_shipped_bytes_are_those_of_the_source():
    if find_spec("ziglang") is None:
        missing("ziglang is not installed, which compiles meta_step.c: pip install -e '.[wasm]'")
    code = compiled()
    assert code == shipped()
    assert as_module(code) == MODULE.read_text("utf-8")


def sections(code):
    """The number of each section of a WebAssembly module, in order."""
    at, found = 8, []
    while at < len(code):
        found.append(code[at])
        size, shift, more = 0, 0, True
        while more:
            at += 1
            size, shift, more = size | (code[at] & 127) << shift, shift + 7, code[at] > 127
        at += 1 + size
    assert at == len(code)
    return found


def test_the_module_is_small_and_has_no_imports_and_no_names():
    code = shipped()
    custom, imports = 0, 2
    assert code[:8] == b"\0asm\1\0\0\0" and len(code) < 12_000
    assert not {custom, imports} & set(sections(code))
