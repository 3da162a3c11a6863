"""Every number in ``language.npz`` again, and which languages its script used for what."""

import json
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import train_language as script
from shipped import adapted_alone, made_by, meta_gradient, protonet_gradient, trained_by_torch

from maml_teach import data, maml_torch
from maml_teach.applications.language import (
    MODEL,
    WhichLanguage,
    distinct_languages,
    fnv1a,
    language_name,
    relatives,
    words,
)
from maml_teach.mlp import MLP
from maml_teach.tasks import Task

SHIPPED = data.load("language")
INNER = json.loads(str(SHIPPED["inner"]))
CONFIG = script.CONFIG
SMALL = {
    **CONFIG,
    "seeds": [0, 1],
    "split": {"seed": 2, "n_test": 11, "n_choice": 7},
    "n_names": 80,
    "n_names_shown": 40,
    "n_tasks": 2,
    "n_meta_steps": {**dict.fromkeys(CONFIG["n_meta_steps"], 10), "joint": 20},
    "joint_steps": [10, 20],
    "joint_batch": 8,
    "embedding": 8,
    "n_train_languages": [6],
    "test": {"n_tasks": 4, "seed": 12345, "n_queries": 3},
    "choice": {"n_tasks": 5, "seed": 54321, "n_queries": 2},
    "rates": [0.3, 1.0],
    "steps": [1, 4],
    "n_whitening": 8,
    "shares": [0.5, 2.0],
}
PAIR, HALVES = ("test", "train"), ("near", "far")
RATES = (1e-3, 3e-4)  # outer, for seven tenths of the steps and for the others
NET = maml_torch.MLP((1024, 64, 5), "tanh", "cross_entropy")
HEAD = np.arange(MODEL.n_params) >= 1025 * 64
ALPHA = {"maml": 1.0, "fomaml": 0.3, "anil": 3.0}
# the start of each method that adapts, and whether only its head does
STARTS = {
    "maml": ("maml", False),
    "fomaml": ("fomaml", False),
    "anil": ("anil", True),
    "finetuned": ("new head", False),
    "finetuned head": ("new head", True),
    "scratch": ("scratch", False),
}


class OneOfEach:
    """Batches of samples with their language among all, for the classifier of all of them."""

    def __init__(self, names, n_samples):
        self.family, self.n_samples = WhichLanguage(names), n_samples

    def sample(self, rng, *counts):
        y = rng.integers(len(self.family.names), size=(1, self.n_samples))
        x = self.family.samples_of(rng, y[0], 1).reshape(1, self.n_samples, -1)
        return Task(x, y, x, y)


def split(names, config):
    """Names by part and language, the languages in random order, the names evenly spaced."""
    order = np.random.default_rng(config["split"]["seed"]).permutation(sorted(names)).tolist()
    n_test, n_both = (
        config["split"]["n_test"],
        sum(config["split"][k] for k in ("n_test", "n_choice")),
    )
    parts = {"test": order[:n_test], "choice": order[n_test:n_both], "train": order[n_both:]}
    few = lambda some: evenly(some, config["n_names"])  # noqa: E731
    return {part: {one: few(names[one]) for one in some} for part, some in parts.items()}


def evenly(some, n):
    """All of them, or ``n`` from the first to the last."""
    at = np.linspace(0, len(some) - 1, n) if n < len(some) else range(len(some))
    return tuple(some[int(k)] for k in at)


def some_of(names, n, seed):
    order = np.random.default_rng(seed).permutation(list(names))[:n]
    return {str(name): names[str(name)] for name in order}


def tasks_of(names, n_shots, what):
    rng = np.random.default_rng(what["seed"])
    return WhichLanguage(names).sample(rng, what["n_tasks"], n_shots, what["n_queries"])


def halves_of(names):
    """The test languages in two halves, by their cosine with the closest one of the training."""
    mine, known = ({one: profile(some) for one, some in names[p].items()} for p in PAIR)
    closest = {one: max(x @ y for y in known.values()) for one, x in mine.items()}
    order = sorted(closest, key=closest.get, reverse=True)
    parts = order[: len(order) // 2], order[len(order) // 2 :]
    own = lambda some: {one: names["test"][one] for one in some}  # noqa: E731
    return {half: own(some) for half, some in zip(HALVES, parts, strict=True)}


def profile(some):
    """Square roots of how often each bucket is hit by all names of a language, of length one."""
    found = np.zeros(1024)
    for padded in (f" {word} " for name in some for word in words(name)):
        for n in (1, 2, 3):
            for at in range(len(padded) - n + 1):
                found[fnv1a(padded[at : at + n]) % 1024] += 1
    return np.sqrt(found / found.sum())


def random_start(seed):
    return MODEL.init(np.random.default_rng(2000 + seed))


def right_after(theta, tasks, alpha, n_steps, *, head=False):
    """Right answers of each task after an inner loop by torch's gradient descent."""
    theta = torch.as_tensor(theta)
    rates = alpha * torch.tensor(HEAD if head else np.ones_like(HEAD)).to(theta)
    tasks, counts = maml_torch.as_tensors(tasks, theta), []
    for t in range(tasks.n_tasks):
        x, y, x_query, y_query = (array[t] for array in vars(tasks).values())
        theta_prime = adapted_alone(NET, theta, x, y, torch.optim.SGD, rates, n_steps)
        counts.append(int((NET.predict(theta_prime, x_query).argmax(dim=-1) == y_query).sum()))
    return counts


def right_by_means(tasks, features, *, cosine):
    """Right answers where a query sample goes to the nearest mean of its support features."""
    counts = []
    for x, y, x_query, y_query in zip(*vars(tasks).values(), strict=True):
        means = np.stack([features(x)[y == way].mean(axis=0) for way in range(5)])
        asked = features(x_query)
        likeness = -((asked[:, None] - means) ** 2).sum(axis=2)
        if cosine:
            lengths = np.linalg.norm(asked, axis=1)[:, None] * np.linalg.norm(means, axis=1)
            likeness = asked @ means.T / lengths
        counts.append(np.sum(likeness.argmax(axis=1) == y_query))
    return counts


def hidden(theta):
    W, b = theta[: 1024 * 64].reshape(1024, 64), theta[1024 * 64 : 1025 * 64]
    return lambda x: np.tanh(x @ W + b)


def embedded(theta, n):
    W, b = theta[1025 * 64 :][: 64 * n].reshape(64, n), theta[1025 * 64 + 64 * n :]
    return lambda x: hidden(theta)(x) @ W + b


@pytest.fixture(scope="module")
def languages():
    pytest.importorskip("babel")
    return distinct_languages()


@pytest.fixture(scope="module")
def small(tmp_path_factory, languages):
    """What the script makes with small settings, in double precision so that no rounding shows."""
    folder = tmp_path_factory.mktemp("language")
    double = {
        "np": SimpleNamespace(**{**vars(np), "float32": np.float64}),
        "torch": SimpleNamespace(**{**vars(torch), "float32": torch.float64}),
    }
    found = {"distinct_languages": lambda: languages}
    made = made_by(script, "language", SMALL, folder, **double, **found)
    return made, {file.stem: np.load(file)["theta"] for file in folder.glob("*_?.npz")}


@pytest.fixture(scope="module")
def parts(languages):
    """The languages of the small run by part."""
    return split(languages, SMALL)


def test_the_shipped_file_is_of_these_settings(small):
    assert json.loads(str(SHIPPED["config"])) == CONFIG
    assert set(SHIPPED) == set(small[0])
    methods, parts = [*STARTS, "protonet", "joint centroid", "centroid"], ["", " near", " far"]
    rows = [f"{name}{part}, {n}" for name in methods for part in parts for n in (1, 5)]
    rows += [f"maml before, {n_shots}" for n_shots in (1, 5)]
    whitened = [f"centroid whitened{part}, {n}" for part in parts for n in (1, 5)]
    rest = ["config", "inner", "shares", "seconds", "tried_joint", "names", "maml", "fewer"]
    assert set(json.loads(str(SHIPPED["seconds"]))) == set(CONFIG["n_meta_steps"])
    assert set(SHIPPED) == {*rest, *rows, *whitened}
    assert all(SHIPPED[row].shape == (1, 200) for row in whitened)
    assert all(SHIPPED[row].shape == (3, 200) and SHIPPED[row].max() <= 50 for row in rows)
    assert SHIPPED["fewer"].shape == (3, 4, 2, 200)
    assert (Path(data.__file__).parent / "language.npz").stat().st_size < 300_000


def test_spread_takes_first_and_last_and_evenly_between():
    assert script.spread("abcdefghij", 4) == ("a", "d", "g", "j")
    assert script.spread("abc", 4) == ("a", "b", "c")


def test_the_shipped_names_are_those_of_the_languages_in_three_parts(languages):
    shown, titles = json.loads(SHIPPED["names"].tobytes())
    wanted = split(languages, CONFIG)
    assert [len(some) for some in wanted.values()] == [30, 15, len(languages) - 45]
    assert len({one for some in wanted.values() for one in some}) == len(languages)
    for part, some in wanted.items():
        assert list(shown[part]) == list(some)
        assert all(tuple(shown[part][one]) == evenly(names, 60) for one, names in some.items())
    assert titles == {one: language_name(one) for one in languages}


def test_the_halves_share_no_language_and_one_is_closer_to_the_training(languages):
    names = split(languages, CONFIG)
    near, far = halves_of(names).values()
    assert len(near) == len(far) == 15 and {*near, *far} == set(names["test"])
    families = script.all_families(names)
    assert (families["near"].names, families["far"].names) == (near, far)
    found = relatives(names["test"], names["train"])
    closest = [found[one][1] for one in [*near, *far]]
    assert min(closest[:15]) >= max(closest[15:]) and max(closest) < 1
    # Sister languages stand on both sides of the split; the first half is where to find them.
    for one, sister in (("nl", "af"), ("sv", "no"), ("cs", "sk"), ("zu", "xh"), ("fi", "et")):
        assert one in near and found[one][0] == sister


def test_the_names_of_a_small_run(small, parts):
    shown, _ = json.loads(small[0]["names"].tobytes())
    wanted = {p: {one: list(evenly(n, 40)) for one, n in some.items()} for p, some in parts.items()}
    assert shown == wanted


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", [*ALPHA, "protonet", "joint_10", "joint_20", "maml_of_6"])
def test_training_is_adam_at_falling_rates(small, parts, name, seed):
    names, n_out = parts["train"], 5
    family = WhichLanguage(some_of(names, 6, seed) if name == "maml_of_6" else names)
    if name.startswith("joint"):
        n_out, family = len(names), OneOfEach(names, 8)
        net = maml_torch.MLP((1024, 64, n_out), "tanh", "cross_entropy")
        gradient = lambda theta, tasks: meta_gradient(net, theta, tasks, 1.0, 0)  # noqa: E731
    elif name == "protonet":
        n_out = 8
        gradient = partial(protonet_gradient, maml_torch.MLP((1024, 64, n_out), "tanh"))
    else:
        method = name.removesuffix("_of_6")
        rates = ALPHA[method] * torch.tensor(HEAD | (method != "anil")).double()
        gradient = lambda theta, tasks: meta_gradient(  # noqa: E731
            NET, theta, tasks, rates, 2, second_order=method != "fomaml"
        )
    start = MLP((1024, 64, n_out)).init(np.random.default_rng(1000 + seed))
    rng = np.random.default_rng(seed)
    tenths = (14, 6) if name == "joint_20" else (7, 3)
    betas = [beta for beta, n in zip(RATES, tenths, strict=True) for _ in range(n)]
    wanted = trained_by_torch(gradient, start, family, (2, 1, 5), betas, rng)
    assert np.abs(small[1][f"{name}_{seed}"] - wanted).max() < 1e-7


def test_the_file_keeps_the_network_of_the_first_seed(small):
    assert np.array_equal(small[0]["maml"], np.float16(small[1]["maml_0"]))


def judging(names, n_shots):
    """The tasks that judge in a small run: of all test languages, and of each half."""
    parts = {"": names["test"], **{f" {half}": own for half, own in halves_of(names).items()}}
    return {half: tasks_of(own, n_shots, SMALL["test"]) for half, own in parts.items()}


@pytest.mark.parametrize(("seed", "n_shots"), list(product((0, 1), (1, 5))))
def test_every_count_and_inner_loop_of_a_small_run(small, parts, seed, n_shots):
    made, thetas = small
    starts = {name: thetas[f"{name}_{seed}"] for name in [*ALPHA, "protonet"]}
    starts["joint"] = thetas[f"joint_20_{seed}"]
    features = starts["joint"][: 1025 * 64]
    starts |= {"scratch": random_start(seed)}
    starts |= {"new head": np.append(features, np.zeros(HEAD.sum()))}
    inner = json.loads(str(made["inner"]))[str(n_shots)][seed]
    choice, tests = tasks_of(parts["choice"], n_shots, SMALL["choice"]), judging(parts, n_shots)
    pairs, wanted = list(product(SMALL["rates"], SMALL["steps"])), {}
    for name, (start, head) in STARTS.items():
        table = [sum(right_after(starts[start], choice, *p, head=head)) for p in pairs]
        assert inner[name] == list(pairs[int(np.argmax(table))])
        for half, test in tests.items():
            wanted[name + half] = right_after(starts[start], test, *inner[name], head=head)
    wanted["maml before"] = right_after(starts["maml"], tests[""], 1.0, 0)
    for half, test in tests.items():
        wanted["centroid" + half] = right_by_means(test, lambda x: x, cosine=True)
        wanted["joint centroid" + half] = right_by_means(test, hidden(features), cosine=True)
        own = embedded(starts["protonet"], 8)
        wanted["protonet" + half] = right_by_means(test, own, cosine=False)
    found = {name: made[f"{name}, {n_shots}"][seed].tolist() for name in wanted}
    assert found == {name: list(map(int, right)) for name, right in wanted.items()}


@pytest.mark.parametrize("seed", [0, 1])
def test_counts_with_fewer_languages_of_a_small_run(small, parts, seed):
    made, thetas = small
    names = parts["train"]
    for k, (n, run) in enumerate([(6, "maml_of_6"), (len(names), "maml")]):
        for j, some in enumerate((some_of(names, n, seed), parts["test"])):
            wanted = right_after(thetas[f"{run}_{seed}"], tasks_of(some, 1, SMALL["test"]), 1.0, 5)
            assert made["fewer"][seed, k, j].tolist() == wanted


@pytest.mark.parametrize("n", [10, 20])
def test_the_steps_of_joint_are_judged_on_the_choice_languages(small, parts, n):
    made, thetas = small
    choice, best = tasks_of(parts["choice"], 1, SMALL["choice"]), []
    for seed in (0, 1):
        features = thetas[f"joint_{n}_{seed}"][: 1025 * 64]
        start, pairs = (
            np.append(features, np.zeros(HEAD.sum())),
            product(SMALL["rates"], SMALL["steps"]),
        )
        best.append(max(sum(right_after(start, choice, *pair)) for pair in pairs))
    n_answers = choice.y_query.size
    assert json.loads(str(made["tried_joint"]))[str(n)] == pytest.approx(np.mean(best) / n_answers)


def test_the_shipped_joint_has_the_best_number_of_steps():
    tried = json.loads(str(SHIPPED["tried_joint"]))
    assert CONFIG["n_meta_steps"]["joint"] == int(max(tried, key=tried.get))
    assert list(tried) == [str(n) for n in CONFIG["joint_steps"]]


def test_a_rate_that_diverges_has_nothing_right(parts):
    tasks = tasks_of(parts["test"], 1, SMALL["test"])
    with np.errstate(all="ignore"):
        counts = script.correct_after(random_start(0), tasks, 1e308, [0, 3])
    assert counts[0].sum() > 0 and counts[1].tolist() == [0] * 4


def test_large_batches_go_in_parts_and_come_back_whole(parts):
    tasks = tasks_of(parts["test"], 1, {**SMALL["test"], "n_tasks": 7})
    halves = script.in_parts(tasks, 3)
    assert [part.n_tasks for part in halves] == [3, 3, 1]
    assert np.array_equal(np.concatenate([part.x_query for part in halves]), tasks.x_query)


def test_a_sample_of_all_languages_is_of_its_label():
    """Each made-up language has a vowel of its own."""
    names = {v: tuple(f"{a}{v}{b}" for a in "bcdfghk" for b in "lmnprst") for v in "aeiouy"}
    task = script.AllLanguages(WhichLanguage(names), 40).sample(np.random.default_rng(0), 1, 1, 1)
    vowels = [fnv1a(vowel) % 1024 for vowel in names]
    assert np.array_equal(task.x_query[0][:, vowels].argmax(axis=1), task.y_query[0])
    assert set(task.y_query[0].tolist()) == set(range(6)) and task.x_query.dtype == np.float32


@pytest.fixture(scope="module", params=[1, 5])
def shipped_tasks(request, languages):
    """The number of shots, and the tasks on which all methods were judged."""
    names = split(languages, CONFIG)
    tasks = tasks_of(names["test"], request.param, CONFIG["test"])
    return request.param, script.in_single_precision(tasks), names


def few_differ(counts, wanted):
    """But for one sample: the network was judged in single precision and is stored in half."""
    return np.abs(np.subtract(counts, wanted, dtype=int)).sum() <= 1


def test_shipped_counts_on_the_first_tasks(shipped_tasks):
    n_shots, tasks, _ = shipped_tasks
    few, maml = tasks.select(slice(12)), SHIPPED["maml"].astype(np.float32)
    loops = INNER[str(n_shots)]
    found = {name: SHIPPED[f"{name}, {n_shots}"][:, :12] for name in ("maml", "scratch")}
    assert few_differ(found["maml"][0], right_after(maml, few, *loops[0]["maml"]))
    before = SHIPPED[f"maml before, {n_shots}"][0, :12]
    assert few_differ(before, right_after(maml, few, 1.0, 0))
    if n_shots == 1:  # on new languages, with all training languages
        assert few_differ(SHIPPED["fewer"][0, 3, 1, :12], right_after(maml, few, 1.0, 5))
    for seed in CONFIG["seeds"]:
        theta, loop = random_start(seed).astype(np.float32), loops[seed]["scratch"]
        assert few_differ(found["scratch"][seed], right_after(theta, few, *loop))


def test_shipped_counts_of_the_nearest_centroid(shipped_tasks):
    n_shots, tasks, _ = shipped_tasks
    counts = right_by_means(tasks, lambda x: x.astype(float), cosine=True)
    for seed in CONFIG["seeds"]:
        assert few_differ(SHIPPED[f"centroid, {n_shots}"][seed], counts)


def test_the_shipped_inner_loop_is_the_best_on_the_choice_languages(languages):
    names, theta = split(languages, CONFIG), SHIPPED["maml"].astype(np.float32)
    tasks = script.in_single_precision(tasks_of(names["choice"], 1, CONFIG["choice"]))
    assert script.choose(theta, tasks, CONFIG, False) == tuple(INNER["1"][0]["maml"])


def test_shipped_counts_on_the_training_languages(languages):
    names, theta = split(languages, CONFIG), SHIPPED["maml"].astype(np.float32)
    own = some_of(names["train"], len(names["train"]), 0)
    few = script.in_single_precision(tasks_of(own, 1, CONFIG["test"])).select(slice(12))
    assert few_differ(SHIPPED["fewer"][0, 3, 0, :12], right_after(theta, few, 1.0, 5))


def right_when_whitened(names, config, tasks):
    """Right answers of the nearest mean, by share: a singular value decomposition, task by task."""
    family = WhichLanguage(names["train"])
    n, rng = len(names["train"]), np.random.default_rng(0)
    x = family.samples_of(rng, range(n), config["n_whitening"]).reshape(n, -1, 1024).astype(float)
    off = (x - x.mean(axis=1, keepdims=True)).reshape(-1, 1024)
    _, sizes, directions = np.linalg.svd(off, full_matrices=True)
    variances = np.zeros(1024)
    variances[: len(sizes)] = sizes**2 / (len(off) - n)
    found = {}
    for share in config["shares"]:
        scale = (variances + share * variances.mean()) ** -0.5
        features = lambda z, s=scale: ((z - x.mean(axis=(0, 1))) @ directions.T) * s  # noqa: E731
        found[share] = right_by_means(tasks, features, cosine=True)
    return found


def test_the_whitened_row_is_of_the_share_that_is_best_on_the_choice_languages(small, parts):
    made, _ = small
    for n_shots in (1, 5):
        choice = right_when_whitened(
            parts, SMALL, tasks_of(parts["choice"], n_shots, SMALL["choice"])
        )
        share = json.loads(str(made["shares"]))[str(n_shots)]
        assert sum(choice[share]) == max(map(sum, choice.values()))
        for half, tasks in judging(parts, n_shots).items():
            row = right_when_whitened(parts, {**SMALL, "shares": [share]}, tasks)[share]
            assert made[f"centroid whitened{half}, {n_shots}"].tolist() == [list(map(int, row))]


def test_the_shipped_whitened_row(shipped_tasks):
    n_shots, tasks, names = shipped_tasks
    share = json.loads(str(SHIPPED["shares"]))[str(n_shots)]
    assert share not in (CONFIG["shares"][0], CONFIG["shares"][-1])  # no edge of the table
    found = right_when_whitened(names, {**CONFIG, "shares": [share]}, tasks)[share]
    assert few_differ(SHIPPED[f"centroid whitened, {n_shots}"][0], found)
