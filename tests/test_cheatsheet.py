"""The sheet of one page: its code runs, its links lead somewhere, its equations are the book's."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from maml_teach.maml import maml_gradient
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids

BOOK = Path(__file__).parents[1] / "book"
PAGE = (BOOK / "cheatsheet.md").read_text("utf-8")
WALK, MODULE = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)  # each of them runs
LOOPS = re.findall(r"\| `([^`]+)` \|$", PAGE, re.M)  # the last cells of the table of both loops
FORMULAS = [f for f in re.findall(r"\$([^$]+)\$", PAGE) if re.search(r"=|\\(approx|leftarrow)", f)]
LINKS = {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", PAGE)}


def names(block):
    """What the page takes as given, on a tiny problem: in NumPy for the walk."""
    rng, family, model = np.random.default_rng(0), Sinusoids(), MLP((1, 5, 1), "tanh")
    counts = {"n_tasks": 3, "n_shots": 4, "n_queries": 6, "n_inner_steps": 2, "n_meta_steps": 2}
    given = {"rng": rng, "family": family, "alpha": 0.05, "beta": 0.01} | counts
    given["tasks"] = family.sample(rng, n_tasks=3, n_shots=4, n_queries=6)
    if block == MODULE:
        return given | {"module": torch.nn.Linear(1, 1), "gradient": torch.ones(2)}
    tasks, starts = given["tasks"], np.tile(model.init(rng), (3, 1))
    given |= {"support": (tasks.x_support, tasks.y_support), "theta_k": starts, "path": [starts]}
    return given | {"query": (tasks.x_query, tasks.y_query), "model": model, "theta": starts[0]}


def test_the_lines_of_the_loops_and_the_walk_are_maml():
    here, (inner, *outer) = names(WALK), LOOPS
    start, model, tasks = here["theta"], here["model"], here["tasks"]
    for _ in range(here["n_inner_steps"]):
        exec(inner, here)
        here["path"].append(here["theta_k"])
    here["theta_prime"] = here["theta_k"]
    exec("\n".join([WALK, *outer]), here)
    meta_loss, gradient = maml_gradient(model, start, tasks, alpha=0.05, n_inner_steps=2)
    assert np.isclose(here["meta_loss"], meta_loss) and np.allclose(here["gradient"], gradient)
    assert np.allclose(here["theta"], start - 0.01 * gradient)


def test_the_lines_for_a_module_and_the_calls_below_run():
    here = names(MODULE)
    exec(MODULE, here)
    after = PAGE.partition(MODULE)[2].partition("\n## ")[0]
    adapt, load, set_grad = re.findall(r"`([a-z_]+\.[^`]+\))`", after)
    assert eval(adapt, here).shape == (3, 2)
    assert torch.equal(eval(load, here).weight[0], here["run"].theta[:1])
    assert eval(set_grad, here).bias.grad == 1


@pytest.mark.parametrize("link", sorted(LINKS))
def test_a_linked_page_exists(link):
    assert (BOOK / link).is_file()


def test_equations_are_those_of_the_chapters():
    notebooks = [json.loads(path.read_text("utf-8")) for path in BOOK.glob("*.ipynb")]
    cells = [cell for notebook in notebooks for cell in notebook["cells"]]
    book = re.sub(r"\s", "", "".join("".join(cell["source"]) for cell in cells))
    assert [f for f in FORMULAS if re.sub(r"\s", "", f) not in book] == []
    assert len(FORMULAS) == 7
