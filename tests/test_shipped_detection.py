"""Every number in ``detection.npz`` again, and on which scripts its script chose and judged."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import train_detection as script
from shipped import adapted_alone, is_of, made_by, meta_gradient, trained_by_torch

from maml_teach import data, maml_torch
from maml_teach.applications import detection, detection_torch
from maml_teach.applications.detection import Scenes
from maml_teach.applications.images import TEST_SCRIPTS, TRAIN_SCRIPTS, glyphs

SHIPPED = data.load("detection")
INNER = json.loads(str(SHIPPED["inner"]))
MODEL = detection_torch.wrapped(0)[0]
SCALES = [[0.7, 0.85, 1.0, 1.2, 1.4], [0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3, 1.5, 1.7]]
SMALL = {
    **script.CONFIG,
    "seeds": [0, 1],
    "n_tasks": 2,
    "n_meta_steps": {"maml": 4, "joint": 2, "match": 2},
    "test": {"n_tasks": 4, "seed": 12345},
    "choice": {"n_tasks": 4, "seed": 54321},
    "rates": {"sgd": [0.01, 0.05], "adam": [1e-3, 3e-3]},
    "steps": {"sgd": [1, 3], "adam": [2, 6]},
    "most_steps": 4,
}
BETAS = {"maml": [2e-3, 2e-3, 6e-4, 2e-4], "joint": [2e-3, 6e-4], "match": [2e-3, 6e-4]}
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
CONTESTANTS = {
    "maml": ("maml", "sgd"),
    "joint": ("joint", "sgd"),
    "joint adam": ("joint", "adam"),
    "scratch": ("scratch", "adam"),
}


def in_double(seed):
    """The network in double precision, so that no rounding shows."""
    model, theta = detection_torch.wrapped(seed)
    return model, theta.double()


def matcher_in_double(seed):
    """The same for learned template matching."""
    model, theta = detection_torch.wrapped_matcher(seed)
    return model, theta.double()


def scenes(split, n_shots, what):
    return Scenes(glyphs(split)).sample(
        np.random.default_rng(what["seed"]), what["n_tasks"], n_shots, 5
    )


def overlap(one, other):
    """Intersection over union of two boxes ``(cx, cy, w, h)``."""
    sides = [
        min(a + wa / 2, b + wb / 2) - max(a - wa / 2, b - wb / 2)
        for a, b, wa, wb in zip(one[:2], other[:2], one[2:], other[2:], strict=True)
    ]
    both = max(sides[0], 0) * max(sides[1], 0)
    return both / (one[2] * one[3] + other[2] * other[3] - both)


def n_found(said, boxes):
    return sum(overlap(one, other) > 0.5 for one, other in zip(said, boxes, strict=True))


def found(theta, tasks, optimizer, alpha, n_steps):
    """Query glyphs of each task found after adapting by an optimizer of torch."""
    tasks, counts = maml_torch.as_tensors(tasks, theta), []
    for t in range(tasks.n_tasks):
        task = tasks.select(t)
        how = OPTIMIZERS[optimizer], alpha, n_steps
        theta_prime = adapted_alone(MODEL, theta, task.x_support, task.y_support, *how)
        said = detection_torch.boxes_of(MODEL.predict(theta_prime, task.x_query).detach())
        counts.append(n_found(said.tolist(), task.y_query.tolist()))
    return np.array(counts)


def maps_by_match(theta, x_support, boxes, x_query):
    """Maps of a matcher, layer by layer, its templates cell by cell."""
    net = detection_torch.Matcher(generator=torch.Generator()).to(theta.dtype)
    torch.nn.utils.vector_to_parameters(theta, net.parameters())
    trunk, head = net.trunk, net.head
    means = []
    for features, (cx, cy, w, h) in zip(trunk(x_support), boxes.tolist(), strict=True):
        total, area = 0.0, 0.0
        for row, column in product(range(12), range(12)):
            width = min(4 * column + 4, cx + w / 2) - max(4 * column, cx - w / 2)
            height = min(4 * row + 4, cy + h / 2) - max(4 * row, cy - h / 2)
            inside = max(width, 0) * max(height, 0)
            total, area = total + inside * features[:, row, column], area + inside
        means.append(total / area)
    template, asked = sum(means) / len(means), trunk(x_query)
    return head(torch.cat([asked * template[None, :, None, None], asked], dim=1))


def match_gradient(theta, tasks):
    """Autograd through the mean loss of the tasks, one after the other."""
    tasks = maml_torch.as_tensors(tasks, theta)
    model, loss = detection_torch.wrapped_matcher(0)[0], 0.0
    theta = theta.detach().clone().requires_grad_()
    for t in range(tasks.n_tasks):
        task = tasks.select(t)
        maps = model.predict(theta, (task.x_support, task.y_support, task.x_query))
        loss = loss + detection_torch.box_loss(maps, task.y_query) / tasks.n_tasks
    return torch.autograd.grad(loss, theta)[0]


def templates_found(tasks, pool, scales):
    counts = []
    for x, boxes, x_query, wanted in zip(*vars(tasks).values(), strict=True):
        pictures = detection.crops(x[:, 0], boxes)
        pictures = [detection.mean_picture(pictures)] if pool == "mean crop" else pictures
        counts.append(n_found(detection.best_match(pictures, x_query[:, 0], scales), wanted))
    return np.array(counts)


def few_differ(counts, wanted):
    """But for one glyph whose overlap rounding may bring above or below a half."""
    return np.abs(np.subtract(counts, wanted, dtype=int)).sum() <= 1


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """What the script makes with small settings, its runs, and which scenes it used for what."""
    folder, origin, used, stage = tmp_path_factory.mktemp("detection"), {}, [], ["judge"]

    class Watched(Scenes):
        def sample(self, rng, *counts):
            tasks = super().sample(rng, *counts)
            origin[tasks.x_query.tobytes()] = self.classes.names
            if self.fewest:
                used.append(("train", self.classes.names, tasks.x_query.tobytes()))
            return tasks

    def choose(*arguments):
        stage[0] = "choose"
        chosen = original["choose"](*arguments)
        stage[0] = "judge"
        return chosen

    def found_after(model, theta, tasks, **how):
        used.append((stage[0], origin[tasks.x_query.tobytes()], tasks.x_query.tobytes()))
        return original["found_after"](model, theta, tasks, **how)

    def found_by_template(tasks, *how):
        used.append(("template", origin[tasks.x_query.tobytes()], tasks.x_query.tobytes()))
        return original["found_by_template"](tasks, *how)

    def found_by_match(model, theta, tasks):
        used.append(("judge", origin[tasks.x_query.tobytes()], tasks.x_query.tobytes()))
        return original["found_by_match"](model, theta, tasks)

    patches = [choose, found_after, found_by_template, found_by_match]
    patches = {function.__name__: function for function in patches}
    original = {name: getattr(script, name) for name in patches}
    patches |= {"wrapped": in_double, "wrapped_matcher": matcher_in_double, "costs": lambda *_: {}}
    made = made_by(script, "detection", SMALL, folder, Scenes=Watched, **patches)
    starts = [
        {
            name: torch.tensor(np.load(folder / f"{name}_{seed}.npz")["theta"])
            for name in SMALL["n_meta_steps"]
        }
        for seed in SMALL["seeds"]
    ]
    starts[0]["scratch"] = in_double(1000)[1]
    return made, starts, used


def test_the_shipped_file_is_of_these_settings(small):
    assert json.loads(str(SHIPPED["config"])) == script.CONFIG
    assert set(SHIPPED) == set(small[0])
    for name, n_shots in product([*CONTESTANTS, "match", "by step", "template"], (1, 5)):
        n_seeds = 1 if name in ("scratch", "template") else 3
        shape = (n_seeds, 21, 200) if name == "by step" else (n_seeds, 200)
        counts = SHIPPED[f"{name}, {n_shots}"]
        assert counts.shape == shape and counts.max() == 5
    assert (Path(data.__file__).parent / "detection.npz").stat().st_size < 300_000


def test_rates_are_chosen_on_scripts_trained_on_and_judged_on_others(small):
    used = small[2]
    scripts = {"train": TRAIN_SCRIPTS, "choose": TRAIN_SCRIPTS, "judge": TEST_SCRIPTS}
    for stage, names, _ in used:
        assert stage == "template" or is_of(names, scripts[stage])
    by_template = [is_of(names, TEST_SCRIPTS) for stage, names, _ in used if stage == "template"]
    assert by_template == 2 * [False, False, False, False, True]
    seen = {s: {x for stage, _, x in used if stage == s} for s in ("train", "choose", "judge")}
    assert [len(x) for x in seen.values()] == [2 * 4, 2, 2]  # one for each number of shots
    assert not seen["train"] & seen["choose"]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", SMALL["n_meta_steps"])
def test_training_is_adam_at_falling_rates(small, name, seed):
    def gradient(theta, tasks):
        if name == "match":
            g = match_gradient(theta, tasks)
        else:
            g = meta_gradient(MODEL, theta, tasks, 0.05, 3 if name == "maml" else 0)
        return g * min(1.0, 5.0 / float(g.norm()))

    start = (matcher_in_double if name == "match" else in_double)(seed)[1]
    family, rng = Scenes(glyphs("train"), fewest=1), np.random.default_rng(seed)
    wanted = trained_by_torch(gradient, start, family, (2, 5, 5), BETAS[name], rng)
    assert np.abs(small[1][seed][name].numpy() - wanted).max() < 1e-9


def test_a_long_gradient_is_cut_and_a_short_one_is_not():
    for length in (3.0, 6.0):
        whole = torch.tensor([0.6, 0.8]) * length
        loss, g = script.cut(lambda *_, whole=whole, **__: (1.5, whole), 4.0)(None, None, None)
        assert loss == 1.5 and torch.allclose(g, torch.tensor([0.6, 0.8]) * min(length, 4.0))


@pytest.mark.parametrize("n_shots", [1, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_count_and_inner_loop_of_a_small_run(small, seed, n_shots):
    made, starts, _ = small
    inner = json.loads(str(made["inner"]))[seed]
    choice, test = (
        scenes(*each)
        for each in (("train", n_shots, SMALL["choice"]), ("test", n_shots, SMALL["test"]))
    )
    for name, (start, optimizer) in CONTESTANTS.items():
        key = f"{name}, {n_shots}"
        if start in starts[seed]:
            theta = starts[seed][start]
            pairs = list(product(SMALL["rates"][optimizer], SMALL["steps"][optimizer]))
            sums = [found(theta, choice, optimizer, *pair).sum() for pair in pairs]
            assert inner[key] == list(pairs[int(np.argmax(sums))])
            wanted = found(theta, test, optimizer, *inner[key])
            assert np.array_equal(made[key][seed], wanted)
    wanted = []
    for t in range(4):
        task = maml_torch.as_tensors(test, starts[seed]["match"]).select(t)
        maps = maps_by_match(starts[seed]["match"], task.x_support, task.y_support, task.x_query)
        said = detection_torch.boxes_of(maps.detach())
        wanted.append(n_found(said.tolist(), task.y_query.tolist()))
    assert made[f"match, {n_shots}"][seed].tolist() == wanted
    by_step = [found(starts[seed]["maml"], test, "sgd", 0.05, n) for n in range(5)]
    assert np.array_equal(made[f"by step, {n_shots}"][seed], by_step)
    assert made[f"scratch, {n_shots}"].shape == (1, 4)


@pytest.mark.parametrize("n_shots", [1, 5])
def test_template_matching_of_a_small_run_in_the_best_way(small, n_shots):
    made, _, _ = small
    ways = list(product(("each crop", "mean crop"), SCALES))
    choice = scenes("train", n_shots, SMALL["choice"])
    sums = [templates_found(choice, *way).sum() for way in ways]
    best = list(ways[int(np.argmax(sums))])
    assert json.loads(str(made["inner"]))[0][f"template, {n_shots}"] == best
    wanted = templates_found(scenes("test", n_shots, SMALL["test"]), *best)
    assert np.array_equal(made[f"template, {n_shots}"], [wanted])


def test_every_method_has_its_costs(small):
    found = script.costs(SMALL, json.loads(str(small[0]["inner"]))[0])
    shipped = json.loads(str(SHIPPED["costs"]))
    for costs, config in ((found, SMALL), (shipped, script.CONFIG)):
        assert set(costs["seconds"]) == set(config["n_meta_steps"])
        assert set(costs["milliseconds"]) == {*CONTESTANTS, "match"}
        assert all(0 < value < 7200 for kind in costs.values() for value in kind.values())
    seconds = shipped["seconds"].values()
    assert max(seconds) < 1.4 * min(seconds)  # about the same time for each


def test_the_file_keeps_the_network_of_the_first_seed_and_the_scenes_of_the_page(small):
    made, starts, _ = small
    assert np.array_equal(made["maml"], starts[0]["maml"].numpy().astype(np.float16))
    tasks = Scenes(glyphs("test")).sample(np.random.default_rng(7), 6, 5, 4)
    x = np.concatenate([tasks.x_support, tasks.x_query], axis=1)[:, :, 0]
    boxes = np.concatenate([tasks.y_support, tasks.y_query], axis=1)
    for file in (made, SHIPPED):
        assert np.abs(detection.from_bytes(file["scenes"]) - x).max() <= 1 / 63 + 1e-6
        assert np.array_equal(file["boxes"], boxes)


@pytest.fixture(scope="module", params=[1, 5])
def shipped_tasks(request):
    """The number of shots, and the tasks on which all methods were judged."""
    return request.param, scenes("test", request.param, script.CONFIG["test"])


def test_shipped_counts_on_the_first_tasks(shipped_tasks):
    """With the network as it is stored, in half precision."""
    n_shots, tasks = shipped_tasks
    few, maml = tasks.select(slice(15)), torch.tensor(SHIPPED["maml"].astype(np.float32))
    starts = {"maml": (maml, "sgd"), "scratch": (detection_torch.wrapped(1000)[1], "adam")}
    for name, (start, optimizer) in starts.items():
        key = f"{name}, {n_shots}"
        assert few_differ(SHIPPED[key][0, :15], found(start, few, optimizer, *INNER[0][key]))
    by_step = [found(maml, few, "sgd", 0.05, n) for n in (0, 3, 7)]
    assert few_differ(SHIPPED[f"by step, {n_shots}"][0][[0, 3, 7], :15], by_step)


def test_shipped_template_matching_on_the_first_tasks(shipped_tasks):
    n_shots, tasks = shipped_tasks
    key, few = f"template, {n_shots}", tasks.select(slice(60))
    assert np.array_equal(SHIPPED[key][0, :60], templates_found(few, *INNER[0][key]))
