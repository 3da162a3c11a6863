"""The rules of the inner loop: the shipped numbers come from the script, and can be had again."""

import json
import sys
from functools import partial

import numpy as np
import pytest
import torch
import train_rules as script

from maml_teach.data import load
from maml_teach.tasks import Sinusoids

OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "adam": torch.optim.Adam,
}
SHIPPED = load("rules")
NAMES = ("sgd", "momentum", "adam", "adam, first order")


def test_the_shipped_file_is_of_these_settings():
    assert json.loads(str(SHIPPED["config"])) == script.CONFIG
    for name in NAMES:
        assert SHIPPED[f"mse {name}"].shape == (3, 11)
        assert SHIPPED[f"losses {name}"].shape == (3, 600)
        assert SHIPPED[f"history {name}"].shape == (3, 100)
        np.testing.assert_allclose(
            SHIPPED[f"losses {name}"].mean(axis=1), SHIPPED[f"mse {name}"][:, 5], rtol=1e-4
        )


@pytest.mark.parametrize("name", NAMES)
def test_shipped_losses_are_those_of_the_optimisers_of_torch(name):
    """Five steps of ``torch.optim`` from the shipped start, on the first of the test tasks."""
    rule, _, _ = name.partition(",")
    alpha = json.loads(str(SHIPPED["rates"]))[rule][0]
    what = script.CONFIG["test"]
    tasks = Sinusoids().sample(np.random.default_rng(what["seed"]), what["n_tasks"], 10, 10)
    theta, found = torch.tensor(SHIPPED[f"theta {name}"]).double(), []
    for t in range(12):
        point = theta.clone().requires_grad_()
        optimizer = OPTIMIZERS[rule]([point], lr=alpha)
        for _ in range(5):
            at = point.detach().numpy()
            gradient = script.MODEL.gradient(at, tasks.x_support[t], tasks.y_support[t])
            point.grad = torch.tensor(gradient)
            optimizer.step()
        adapted = point.detach().numpy()
        found.append(script.MODEL.loss(adapted, tasks.x_query[t], tasks.y_query[t]))
    np.testing.assert_allclose(SHIPPED[f"losses {name}"][0, :12], found, rtol=2e-3)


def test_a_chosen_rate_is_the_best_that_was_tried_and_no_edge():
    for rule, (alpha, found) in json.loads(str(SHIPPED["rates"])).items():
        found = {float(rate): loss for rate, loss in found.items()}
        assert min(found, key=found.get) == alpha
        assert min(script.CONFIG["rates"][rule]) < alpha < max(script.CONFIG["rates"][rule])


def test_what_is_chosen_on_is_not_what_is_judged_on():
    assert script.CONFIG["choice"]["seed"] != script.CONFIG["test"]["seed"]
    assert 100 not in script.CONFIG["seeds"]  # the seed of the trainings that choose


def test_a_quick_run_writes_every_row(tmp_path, monkeypatch):
    target = tmp_path / "rules.npz"
    words = ["--quick", "--folder", tmp_path, "--target", target]
    monkeypatch.setattr(sys, "argv", ["train_rules.py", *map(str, words)])
    script.main()
    with np.load(target) as made:
        assert set(made) == set(SHIPPED)
        assert json.loads(str(made["config"])) == script.QUICK
