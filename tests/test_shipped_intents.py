"""Every kind of number in ``intents.npz`` and ``lora.npz`` a second way, on made-up features."""

import json
from functools import partial
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import train_intents as script
import train_lora
from shipped import adapted_alone, meta_gradient, protonet_gradient, trained_by_torch

from maml_teach import maml_torch
from maml_teach.applications.intents import Intents, Sentences
from maml_teach.data import load
from maml_teach.mlp import MLP

SHIPPED, LORA = load("intents"), load("lora")
CONFIG = {
    **script.CONFIG,
    "seeds": [0, 1],
    "split": {"clinc150": {"test": 2, "choice": 2, "train": 2}},
    "settings": {"5w1s": [5, 1], "5w5s": [5, 5]},
    "hidden": 4,
    "n_tasks": 2,
    "n_queries": 3,
    "n_meta_steps": 10,
    "test": {"n_tasks": 4, "seed": 12345, "n_queries": 5},
    "choice": {"n_tasks": 5, "seed": 54321, "n_queries": 4},
    "rates": [0.03, 0.3],
    "steps": [1, 4],
    "penalties": [0.1, 10.0],
    "shares": [0.3, 3.0],
    "tried": {"alpha": {"maml": [0.1], "anil": [3.0]}, "n_meta_steps": [3]},
}
N_FEATURES, N_EACH, N_INTENTS, N_DOMAINS = 8, 14, 6, 6
BETAS = 7 * [1e-3] + 3 * [3e-4]


@pytest.fixture(scope="module")
def made_up():
    """Features of noisy intents, and sentences that say nothing."""
    rng, n = np.random.default_rng(0), N_INTENTS * N_DOMAINS
    features = rng.normal(size=(n, 1, N_FEATURES)) + rng.normal(size=(n, N_EACH, N_FEATURES))
    labels, names = np.repeat(np.arange(n), N_EACH), tuple(f"intent {k:02d}" for k in range(n))
    groups = tuple(f"domain {k // N_INTENTS}" for k in range(n))
    return features.reshape(-1, N_FEATURES), Sentences(
        ("a word",) * len(labels), labels, names, groups
    )


@pytest.fixture(scope="module")
def small(made_up, tmp_path_factory):
    """What the script makes of them in double precision, so that no rounding shows; its runs."""
    folder, double = tmp_path_factory.mktemp("intents"), {**vars(np), "float32": np.float64}
    whole = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "np", SimpleNamespace(**double))
        found = {
            setting: script.in_a_setting(*made_up, "clinc150", setting, CONFIG, folder / setting)
            for setting in CONFIG["settings"]
        }
        tried = script.tried(families(made_up), CONFIG, folder)
    torch.set_default_dtype(whole)
    return found, {file.stem: np.load(file)["theta"] for file in folder.glob("*.npz")}, tried


def parts_of(sentences):
    """The intents of the three parts: whole domains, drawn at random."""
    order = np.random.default_rng(CONFIG["split_seed"]).permutation(sorted(set(sentences.groups)))
    own = {"test": order[:2], "choice": order[2:4], "train": order[4:]}
    return {
        part: np.array([k for k, name in enumerate(sentences.groups) if name in some])
        for part, some in own.items()
    }


def families(made_up):
    features, sentences = made_up
    return {p: Intents(features, sentences.labels, k) for p, k in parts_of(sentences).items()}


def drawn(made_up, part, shots):
    what = CONFIG[part]
    rng = np.random.default_rng(what["seed"])
    return families(made_up)[part].sample(rng, what["n_tasks"], shots, what["n_queries"])


def network(*sizes):
    return maml_torch.MLP(sizes, "tanh", "cross_entropy")


LINEAR, DEEP = network(N_FEATURES, 5), network(N_FEATURES, 4, 5)
HEAD = torch.arange(DEEP.n_params) >= N_FEATURES * 4 + 4
NETS = {"maml": DEEP, "maml linear": LINEAR, "anil": DEEP, "finetuned": LINEAR, "scratch": DEEP}


def first(name, seed):
    """Where a method begins, before any training."""
    if NETS[name] is LINEAR:
        return np.zeros(LINEAR.n_params)
    return MLP((N_FEATURES, 4, 5), "tanh").init(np.random.default_rng(1000 + seed))


def rates(name, alpha):
    return alpha * HEAD.double() if name == "anil" else alpha


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("setting", CONFIG["settings"])
@pytest.mark.parametrize("name", script.TRAINED)
def test_training_is_adam_at_falling_rates(small, made_up, name, setting, seed):
    family, rng = families(made_up)["train"], np.random.default_rng(seed)
    if name == "protonet":
        gradient = partial(protonet_gradient, network(N_FEATURES, N_FEATURES))
        start = np.append(np.eye(N_FEATURES), np.zeros(N_FEATURES))
    else:
        alpha, start = rates(name, CONFIG["alpha"][name]), first(name, seed)
        gradient = lambda theta, tasks: meta_gradient(NETS[name], theta, tasks, alpha, 3)  # noqa: E731
    counts = (2, CONFIG["settings"][setting][1], 3)
    wanted = trained_by_torch(gradient, start, family, counts, BETAS, rng)
    assert np.abs(small[1][f"{setting} {name} {seed}"] - wanted).max() < 1e-9


def after(name, theta, tasks, alpha, n_steps):
    """Accuracy of each task after torch's gradient descent."""
    net, tasks, shares = NETS[name], maml_torch.as_tensors(tasks, torch.as_tensor(theta)), []
    for x, y, x_query, y_query in zip(*vars(tasks).values(), strict=True):
        how = (torch.optim.SGD, rates(name, alpha), n_steps)
        adapted = adapted_alone(net, torch.as_tensor(theta), x, y, *how)
        shares.append(
            float((net.predict(adapted, x_query).argmax(dim=1) == y_query).double().mean())
        )
    return shares


def best_of(table):
    """The first key with the highest mean."""
    return max(table, key=lambda key: np.mean(table[key]))


@pytest.mark.parametrize(("setting", "seed"), list(product(CONFIG["settings"], (0, 1))))
def test_every_accuracy_and_inner_loop_of_a_small_run(small, made_up, setting, seed):
    (rows, chosen), thetas, _ = small[0][setting], *small[1:]
    tests, choice = (drawn(made_up, part, int(setting[2])) for part in ("test", "choice"))
    for name in script.ADAPTING:
        theta = thetas[f"{setting} {name} {seed}"] if name in script.TRAINED else first(name, seed)
        pairs = product(CONFIG["rates"], CONFIG["steps"])
        pair = best_of({pair: after(name, theta, choice, *pair) for pair in pairs})
        assert chosen["inner"][seed][name] == list(pair)
        assert np.allclose(rows[name][seed], after(name, theta, tests, *pair))
    theta = thetas[f"{setting} protonet {seed}"]
    embed = lambda x: x @ theta[:-N_FEATURES].reshape(N_FEATURES, -1) + theta[-N_FEATURES:]  # noqa: E731
    assert np.allclose(rows["protonet"][seed], by_means(tests, embed, distances))


def distances(x, means):
    return -((x[:, None] - means) ** 2).sum(axis=2)


def cosines(x, means):
    return x @ means.T / np.linalg.norm(means, axis=1)


def by_means(tasks, embed, likeness):
    """Accuracy of each task where a sentence goes to the most alike mean."""
    shares = []
    for x, y, x_query, y_query in zip(*vars(tasks).values(), strict=True):
        means = np.stack([embed(x)[y == way].mean(axis=0) for way in range(5)])
        shares.append(np.mean(likeness(embed(x_query), means).argmax(axis=1) == y_query))
    return shares


def by_whitening(made_up, tasks, share):
    """The same by angle, after the inverse root of the covariance within training intents."""
    features, sentences = made_up
    own = np.stack([features[sentences.labels == k] for k in parts_of(sentences)["train"]])
    spread = np.mean([np.cov(rows.T) for rows in own], axis=0)
    values, vectors = np.linalg.eigh(spread + share * np.trace(spread) / N_FEATURES * np.eye(8))
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    return by_means(tasks, lambda x: (x - own.mean(axis=(0, 1))) @ root, cosines)


def by_regression(tasks, penalty):
    """Accuracy of each task of weights that minimise ``|W|^2 / 2 + penalty * sum of losses``."""
    shares = []
    for x, y, x_query, y_query in zip(*vars(tasks).values(), strict=True):
        x, y, x_query = torch.as_tensor(x), torch.as_tensor(y), torch.as_tensor(x_query)
        W = torch.zeros(N_FEATURES, 5, dtype=torch.float64, requires_grad=True)
        b = torch.zeros(5, dtype=torch.float64, requires_grad=True)
        rule = torch.optim.LBFGS(
            [W, b], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
        )

        def loss(W=W, b=b, x=x, y=y, rule=rule):
            rule.zero_grad()
            value = torch.nn.functional.cross_entropy(x @ W + b, y, reduction="sum")
            value = penalty * value + (W**2).sum() / 2
            value.backward()
            return value

        rule.step(loss)
        shares.append(float(np.mean((x_query @ W + b).argmax(dim=1).numpy() == y_query)))
    return shares


@pytest.mark.parametrize("setting", CONFIG["settings"])
def test_every_row_without_a_training(small, made_up, setting):
    rows, chosen = small[0][setting]
    tests, choice = (drawn(made_up, part, int(setting[2])) for part in ("test", "choice"))
    assert np.allclose(rows["centroid"], [by_means(tests, np.asarray, cosines)])
    for name, way, values in (
        ("whitened", lambda tasks, s: by_whitening(made_up, tasks, s), CONFIG["shares"]),
        ("logistic", by_regression, CONFIG["penalties"]),
    ):
        value = best_of({value: way(choice, value) for value in values})
        assert chosen["chosen"][name] == value
        assert np.allclose(rows[name], [way(tests, value)])


def test_what_was_tried_is_judged_on_the_intents_kept_for_choosing(small, made_up):
    *_, thetas, tried = small
    choice, family = drawn(made_up, "choice", 1), families(made_up)["train"]
    for name, alpha in (("maml", 0.1), ("anil", 3.0)):
        key, inner = f"{name} {alpha:g} 3", rates(name, alpha)
        gradient = lambda theta, tasks, name=name, inner=inner: meta_gradient(  # noqa: E731
            NETS[name], theta, tasks, inner, 3
        )
        betas, rng = [1e-3, 1e-3, 3e-4], np.random.default_rng(0)
        wanted = trained_by_torch(gradient, first(name, 0), family, (2, 1, 3), betas, rng)
        assert np.abs(thetas[f"tried {key}"] - wanted).max() < 1e-9
        pairs = product(CONFIG["rates"], CONFIG["steps"])
        assert tried[key] == pytest.approx(
            max(np.mean(after(name, wanted, choice, *pair)) for pair in pairs)
        )


def test_the_shipped_files_are_of_these_settings_and_hold_every_row():
    for shipped, own in ((SHIPPED, script), (LORA, train_lora)):
        assert json.loads(str(shipped["config"])) == json.loads(json.dumps(own.CONFIG))
    made, rows = script.CONFIG, set()
    for data, settings in made["settings_of"].items():
        for setting, name in product(settings, (*script.ADAPTING, *script.UNTRAINED, "protonet")):
            key = f"accuracy {name} {data} {setting}"
            rows |= {key}
            n_seeds = 1 if name in script.UNTRAINED else 3
            assert SHIPPED[key].shape == (n_seeds, 200)
            n_queries = made["settings"][setting][0] * made["test"]["n_queries"]
            whole = n_queries * SHIPPED[key]
            assert np.allclose(whole, np.round(whole), atol=1e-3)  # a share of the queries
    assert {key for key in SHIPPED if key.startswith("accuracy")} == rows
    for name, setting in product(("finetuned", "maml"), train_lora.CONFIG["settings_of_lora"]):
        assert LORA[f"{name} {setting}"].shape == (2, train_lora.CONFIG["n_test"])


def test_the_rates_of_training_are_the_best_of_those_tried():
    """None is the smallest or the largest, and none would be better with more steps."""
    tried = json.loads(str(SHIPPED["tried"]))
    for name, alphas in script.CONFIG["tried"]["alpha"].items():
        best = max(alphas, key=lambda alpha: tried[f"{name} {alpha:g} 500"])
        assert script.CONFIG["alpha"][name] == best
        assert min(alphas) < best < max(alphas)
        longer = max(tried[f"{name} {alpha:g} 2000"] for alpha in alphas)
        assert longer < tried[f"{name} {best:g} 500"] + 0.005
    betas = json.loads(str(LORA["betas"]))
    assert set(betas) == {f"{beta:g}" for beta in train_lora.CONFIG["betas"]}
