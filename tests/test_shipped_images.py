"""Every number in ``images.npz`` again, and on which scripts its script chose and judged."""

import json
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import train_images as script
from shipped import (
    adapted_alone,
    is_of,
    made_by,
    meta_gradient,
    protonet_gradient,
    trained_by_torch,
)

from maml_teach import data, maml_torch
from maml_teach.applications import images_torch
from maml_teach.applications.images import (
    TEST_SCRIPTS,
    TRAIN_SCRIPTS,
    FewShotImages,
    ImageClasses,
    digits,
    glyphs,
)
from maml_teach.tasks import Task

SHIPPED = data.load("images")
INNER = json.loads(str(SHIPPED["inner"]))
CONFIG = script.CONFIG
SMALL = {
    **CONFIG,
    "seeds": [0, 1],
    "n_tasks": 2,
    "n_queries": 2,
    "n_meta_steps": {"maml": 4, "anil": 2, "protonet": 2, "joint": 1},
    "joint_batch": 12,
    "embedding": 16,
    "test": {"n_tasks": 2, "seed": 12345},
    "choice": {"n_tasks": 2, "seed": 54321},
    "rates": [0.1, 0.4],
    "steps": [1, 2],
    "rates_shown": [0.02, 4.0],
}
BETAS = {4: [2e-3, 2e-3, 6e-4, 2e-4], 2: [2e-3, 6e-4], 1: [2e-3]}
SETTINGS = {"5w1s": (5, 1), "5w5s": (5, 5)}
ADAPTING = ("maml", "anil", "finetuned", "scratch")
METHODS = [*ADAPTING, "protonet", "joint", "pixels"]
ROWS = [*product(METHODS, SETTINGS, ("glyphs", "digits"))]


def in_double(n_out, seed):
    """The network in double precision, so that no rounding shows."""
    model, theta = images_torch.wrapped(n_out, seed)
    return model, theta.double()


class OneOfEach:
    """Batches of pictures with their class among all, for the classifier of all of them."""

    def sample(self, rng, *counts):
        episodes = FewShotImages(glyphs("train"), turn_classes=True)
        y = rng.integers(4 * len(glyphs("train")), size=(1, 12))
        x = episodes.pictures(rng, y[0], 1)[None, :, None]
        return Task(x, y, x, y)


def tasks_of(classes, setting, what, vary=1.0):
    ways, n_shots = SETTINGS[setting]
    rng = np.random.default_rng(what["seed"])
    return FewShotImages(classes, ways, vary=vary).sample(rng, what["n_tasks"], n_shots, 5)


def test_sets(setting, what):
    """The tasks of a setting by name of the test set."""
    return {"glyphs": tasks_of(glyphs("test"), setting, what), "digits": handwriting(setting, what)}


test_sets.__test__ = False


def handwriting(setting, what):
    return tasks_of(digits(), setting, what, vary=0.0)


def only_head(alpha, theta, ways):
    """``alpha`` for the last layer's 129 parameters per way, in single precision as they are."""
    rates = torch.zeros_like(theta)
    rates[-129 * ways :] = float(np.float32(alpha))
    return rates


def right_after(theta, tasks, alpha, n_steps, *, head=False):
    """Right answers of each task after an inner loop by torch's gradient descent.

    Each query picture goes through the network with the support set alone.
    """
    ways = int(tasks.y_query.max()) + 1
    model, rates = images_torch.wrapped(ways, 0)[0], torch.full_like(theta, alpha)
    rates = only_head(alpha, theta, ways) if head else rates
    tasks, counts = maml_torch.as_tensors(tasks, theta), []
    for t in range(tasks.n_tasks):
        x, y, x_query, y_query = (array[t] for array in vars(tasks).values())
        theta_prime = adapted_alone(model, theta, x, y, torch.optim.SGD, rates, n_steps)
        batches = [torch.cat([x, one[None]]) for one in x_query]
        said = [int(model.predict(theta_prime, both)[-1].argmax()) for both in batches]
        counts.append(int((torch.tensor(said) == y_query).sum()))
    return counts


def right_by_means(tasks, features, *, cosine=False):
    """Right answers where a query picture, by itself, goes to the nearest mean of features."""
    counts = []
    for x, y, x_query, y_query in zip(*vars(tasks).values(), strict=True):
        counts.append(0)
        for one, truth in zip(x_query, y_query, strict=True):
            *support, asked = features(np.concatenate([x, one[None]]))
            means = [np.mean(np.array(support)[y == way], axis=0) for way in range(y.max() + 1)]
            likeness = [-np.sum((asked - mean) ** 2) for mean in means]
            if cosine:
                likeness = [asked @ mean / np.linalg.norm(mean) for mean in means]
            counts[-1] += int(np.argmax(likeness) == truth)
    return counts


def flat(x):
    return x.reshape(len(x), -1).astype(float)


def through(theta, n_out, *, without_head=False):
    """The network with the parameters ``theta``, as a function of pictures."""
    net = images_torch.conv_net(n_out, generator=torch.Generator()).double()
    torch.nn.utils.vector_to_parameters(theta, net.parameters())
    net = net[:-1] if without_head else net
    return lambda x: net(torch.tensor(x).double()).detach().numpy()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """What the script makes with small settings, its runs, and which pictures it used for what."""
    folder, origin, used, stage = tmp_path_factory.mktemp("images"), {}, [], ["judge"]

    class Watched(FewShotImages):
        def sample(self, rng, *counts):
            tasks = super().sample(rng, *counts)
            origin[tasks.x_query.tobytes()] = self.classes.names
            if stage[0] == "train":
                used.append(("train", self.classes.names, tasks.x_query.tobytes()))
            return tasks

    def during(name, function):
        def staged(*arguments):
            before, stage[0] = stage[0], name
            done = function(*arguments)
            stage[0] = before
            return done

        return staged

    def watched(function):
        def seen(model, theta, tasks, *rest, **how):
            used.append((stage[0], origin[tasks.x_query.tobytes()], tasks.x_query.tobytes()))
            return function(model, theta, tasks, *rest, **how)

        return seen

    patches = {name: during(name, getattr(script, name)) for name in ("choose", "train")}
    for name in ("correct_after", "correct_by_means"):
        patches[name] = watched(getattr(script, name))
    patches |= {"FewShotImages": Watched, "wrapped": in_double, "costs": lambda *_: {}}
    made = made_by(script, "images", SMALL, folder, **patches)
    runs = {
        (name, seed): torch.tensor(np.load(folder / f"{name}_{seed}.npz")["theta"])
        for name, seed in product(SMALL["n_meta_steps"], SMALL["seeds"])
    }
    return made, runs, used, folder


def test_the_shipped_file_is_of_these_settings(small):
    assert json.loads(str(SHIPPED["config"])) == CONFIG
    shown = {"maml", "examples", "truths", "by_rate"}
    made = {"config", "inner", "costs", *shown, *map(" ".join, ROWS)}
    assert set(SHIPPED) == made == set(small[0])
    for row in ROWS:
        counts = SHIPPED[" ".join(row)]
        assert counts.shape == (3, 200) and counts.max() <= 5 * SETTINGS[row[1]][0]
    assert SHIPPED["by_rate"].shape == (4, 11, 200)
    assert (Path(data.__file__).parent / "images.npz").stat().st_size < 300_000


def test_rates_are_chosen_on_scripts_trained_on_and_judged_on_others(small):
    used = small[2]
    pictures = {s: {x for stage, _, x in used if stage == s} for s in ("train", "choose", "judge")}
    for stage, names, _ in used:
        if stage == "judge":
            assert is_of(names, TEST_SCRIPTS) or names == tuple("0123456789")
        else:
            assert is_of(names, TRAIN_SCRIPTS) and len(names) > 10
    assert len(pictures["choose"]) == 2 and len(pictures["judge"]) == 2 * 2  # glyphs and digits
    assert not pictures["train"] & pictures["choose"]


def test_classes_to_train_on_are_turned_by_quarters():
    """By transposing and flipping: class k, and after all others the same turned once, ..."""
    pictures = np.random.default_rng(0).random((2, 28, 28)).astype(np.float32)
    family = FewShotImages(ImageClasses(pictures, [0, 1], ("a", "b")), 5, 0.0, turn_classes=True)
    found = family.pictures(np.random.default_rng(1), [1, 3, 5, 7], 1)
    one = pictures[1]
    turned = [one, one.T[::-1], one[::-1, ::-1], one[::-1].T]
    assert np.array_equal(found, turned)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", SMALL["n_meta_steps"])
def test_training_is_adam_at_falling_rates(small, name, seed):
    family, n_out = FewShotImages(glyphs("train"), turn_classes=True), 5
    gradient, n_steps = partial(protonet_gradient, images_torch.wrapped(16, 0)[0]), 1
    if name == "protonet":
        n_out = 16
    else:
        if name == "joint":
            family, n_out, n_steps = OneOfEach(), 4 * len(glyphs("train")), 0
        model = images_torch.wrapped(n_out, 0)[0]

        def gradient(theta, tasks):
            rates = only_head(0.4, theta, 5) if name == "anil" else 0.4
            return meta_gradient(model, theta, tasks, rates, n_steps)

    betas, rng = BETAS[SMALL["n_meta_steps"][name]], np.random.default_rng(seed)
    wanted = trained_by_torch(gradient, in_double(n_out, seed)[1], family, (2, 1, 2), betas, rng)
    assert np.abs(small[1][name, seed].numpy() - wanted).max() < 1e-8


def starts_of(runs, seed):
    """Where each method that adapts in five ways begins."""
    scratch = in_double(5, seed)[1]
    features = runs["joint", seed][: len(scratch) - 5 * 129]
    return {
        "maml": runs["maml", seed],
        "anil": runs["anil", seed],
        "finetuned": torch.cat([features, scratch[-5 * 129 :]]),
        "scratch": scratch,
    }


@pytest.mark.parametrize(("seed", "setting"), [(0, "5w1s"), (0, "5w5s"), (1, "5w1s")])
def test_every_count_and_inner_loop_of_a_small_run(small, seed, setting):
    made, runs, _, _ = small
    inner, starts = json.loads(str(made["inner"]))[seed], starts_of(runs, seed)
    choice = tasks_of(glyphs("train"), setting, SMALL["choice"])
    pairs = list(product(SMALL["rates"], SMALL["steps"]))
    protonet = through(runs["protonet", seed], 16)
    n_classes = 4 * len(glyphs("train"))
    joint = through(runs["joint", seed], n_classes, without_head=True)
    sets = test_sets(setting, SMALL["test"])
    for name in METHODS:
        head = name == "anil"
        if name in starts:
            table = [sum(right_after(starts[name], choice, *p, head=head)) for p in pairs]
            assert inner[f"{name} {setting}"] == list(pairs[int(np.argmax(table))])
        for test, tasks in sets.items():
            if name in starts:
                loop = inner[f"{name} {setting}"]
                wanted = right_after(starts[name], tasks, *loop, head=head)
            else:
                features = {"pixels": flat, "joint": joint}.get(name, protonet)
                wanted = right_by_means(tasks, features, cosine=name == "joint")
                assert inner.get(f"{name} {setting}") is None
            assert made[f"{name} {setting} {test}"][seed].tolist() == wanted


def test_the_file_keeps_the_network_of_the_first_seed_and_what_it_does_by_rate(small):
    made, runs, _, _ = small
    assert np.array_equal(made["maml"], runs["maml", 0].numpy().astype(np.float16))
    tasks = tasks_of(glyphs("test"), "5w1s", SMALL["test"])
    for rate, counts in zip(SMALL["rates_shown"], made["by_rate"], strict=True):
        for n_steps in (0, 1, 10):
            assert counts[n_steps].tolist() == right_after(runs["maml", 0], tasks, rate, n_steps)


def test_what_was_judged_is_read_and_not_judged_again(small):
    made, _, _, folder = small
    counts, inner = script.judge_all({}, 1, SMALL, folder)
    assert inner == json.loads(str(made["inner"]))[1]
    assert all(np.array_equal(made[name][1], counts[name]) for name in map(" ".join, ROWS))


def test_every_method_has_its_costs(small):
    inner = json.loads(str(small[0]["inner"]))[0]
    found = script.costs(0, SMALL, inner)
    for costs, config in ((found, SMALL), (json.loads(str(SHIPPED["costs"])), CONFIG)):
        assert set(costs["seconds"]) == set(config["n_meta_steps"])
        assert set(costs["milliseconds"]) == set(METHODS) - {"pixels"}
        assert all(0 < value < 3600 for kind in costs.values() for value in kind.values())
    seconds = costs["seconds"].values()
    assert max(seconds) < 1.4 * min(seconds)  # about the same time for each


def test_examples_are_five_characters_and_another_picture_of_one(small):
    rng = np.random.default_rng(7)
    tasks = FewShotImages(glyphs("test"), 5, vary=0.7).sample(rng, 8, 1, 1)
    truths = rng.integers(5, size=8)
    for file in (small[0], SHIPPED):
        assert np.array_equal(file["truths"], truths)
        for t, truth in enumerate(truths):
            shown = np.concatenate([tasks.x_support[t, :, 0], tasks.x_query[t, truth]])
            assert np.abs(file["examples"][t] / 255 - shown).max() <= 1 / 255 + 1e-6


def few_differ(counts, wanted):
    """But for one picture: networks were judged in single precision, and stored in half."""
    return np.abs(np.subtract(counts, wanted, dtype=int)).sum() <= 1


@pytest.fixture(scope="module")
def shipped_tasks():
    """Test tasks of the shipped file: ``(setting, test set): tasks``."""
    sets = {(s, "digits"): handwriting(s, CONFIG["test"]) for s in ("5w1s", "5w5s")}
    return {**sets, ("5w1s", "glyphs"): tasks_of(glyphs("test"), "5w1s", CONFIG["test"])}


STORED = [("5w1s", "glyphs"), ("5w1s", "digits"), ("5w5s", "digits")]


@pytest.mark.parametrize("where", STORED)
def test_shipped_counts_of_raw_pixels(shipped_tasks, where):
    counts = right_by_means(shipped_tasks[where], flat)
    for by_seed in SHIPPED["pixels {} {}".format(*where)]:
        assert few_differ(by_seed, counts)


@pytest.mark.parametrize("where", STORED)
def test_shipped_counts_of_maml_and_from_scratch_on_the_first_tasks(shipped_tasks, where):
    few = shipped_tasks[where].select(slice(10, 16))
    maml, scratch = torch.tensor(SHIPPED["maml"].astype(np.float32)), images_torch.wrapped(5, 1)[1]
    for name, seed, theta in (("maml", 0, maml), ("scratch", 1, scratch)):
        loop = INNER[seed][f"{name} {where[0]}"]
        found = SHIPPED["{} {} {}".format(name, *where)][seed, 10:16]
        assert few_differ(found, right_after(theta, few, *loop))


@pytest.mark.parametrize("k", range(4))
def test_shipped_counts_by_rate_on_the_first_tasks(shipped_tasks, k):
    few, rate = shipped_tasks["5w1s", "glyphs"].select(slice(8)), CONFIG["rates_shown"][k]
    theta = torch.tensor(SHIPPED["maml"].astype(np.float32))
    for n_steps in (0, 1, 3):
        assert few_differ(
            SHIPPED["by_rate"][k, n_steps, :8], right_after(theta, few, rate, n_steps)
        )
