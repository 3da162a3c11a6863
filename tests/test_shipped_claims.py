"""Every number in ``claims.npz`` again, and who learned from which waves when its script ran.

The starts of the first seed are kept, and the random ones of all seeds can be drawn again: what
was measured of these is measured here, on a few of the test tasks where all would take long. What
was measured of the other starts is held to itself where two measures must agree.
"""

import json
import sys
from functools import partial
from pathlib import Path

import measure_claims as script
import numpy as np
import pytest
import torch
from shipped import adapted_by_torch, meta_gradient, trained_by_torch

from maml_teach import data, maml_torch, measures
from maml_teach.tasks import Waves
from maml_teach.train import load_run

SHIPPED = data.load("claims")
CONFIG = script.CONFIG
MODEL, NET = script.MODEL, maml_torch.MLP((1, 40, 40, 1))
CHOICES = [json.loads(str(one)) for one in SHIPPED["choice"]]
SEEDS = range(5)
FEW = np.arange(12)
SMALL = {
    **script.QUICK,
    "n_meta_steps": 4,
    "steps": [0, 2, 7, 20],
    "rates": {"sgd": [0.003, 0.03], "adam": [0.003, 0.03]},
    "head_rates": [0.02, 0.1],
}
FAMILIES = {
    "maml": (Waves(), 1),
    "joint": (Waves(), 0),
    "matched": (Waves(), 5),
    "shifted": (Waves(x_support=(-5, 0), x_query=(0, 5)), 5),
}
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": partial(torch.optim.Adam, eps=1e-8)}


def waves(family=None, what="test", config=CONFIG, n_queries=100):
    """The tasks of a part of the settings, in double precision."""
    rng = np.random.default_rng(config[what]["seed"])
    return (family or Waves()).sample(rng, config[what]["n_tasks"], 10, n_queries)


def random_start(seed):
    return MODEL.init(np.random.default_rng(1000 + seed)).astype(np.float32)


def contest(seed):
    """What is known of a seed's contest: all of the first, else the random start."""
    starts = {"random": random_start(seed)}
    if seed == 0:
        starts |= {name: SHIPPED[f"start {name}"][0] for name in ("maml", "joint")}
        starts["tuned"] = starts["maml"]
    return {name: (theta, tuple(CHOICES[seed][name])) for name, theta in starts.items()}


def stored_starts():
    return {name: SHIPPED[f"start {name}"][0] for name in FAMILIES}


def assert_shipped(found, seed, rows=FEW, columns=slice(None), moved=()):
    """Each array as shipped, to the digits kept; rounding may be enlarged in some rare tasks.

    ``moved`` are the same arrays from starts that differ by a rounding. By how much these come out
    otherwise after so many steps, the numbers of another processor may differ, too.
    """
    for name, array in found.items():
        shipped = SHIPPED[name][seed][rows][:, columns]
        rtol = 1e-3 if shipped.dtype == np.float16 else 1e-6
        assert array.shape == shipped.shape
        enlarged = [np.abs(other[name] / array - 1).max(axis=0) for other in moved]
        room = rtol + 5 * np.max(enlarged, axis=0) if moved else rtol
        with np.errstate(over="ignore"):
            near = np.isclose(array.astype(shipped.dtype), shipped, rtol=room, atol=0)
        assert near.mean() > 0.97, name


def moved_by_a_rounding(starts):
    """Each start with all its numbers moved to the next one up, and down."""
    for end in (np.inf, -np.inf):
        yield {
            name: (np.nextafter(theta, theta.dtype.type(end)), choice)
            for name, (theta, choice) in starts.items()
        }


def query_losses(theta, tasks, optimizer, rate, n_steps):
    theta_prime = adapted_by_torch(NET, theta, tasks, OPTIMIZERS[optimizer], rate, n_steps)
    return MODEL.loss(theta_prime, tasks.x_query, tasks.y_query)


@pytest.fixture
def few(monkeypatch):
    """Test tasks are the first few of them; those to choose on are all there."""
    draw = script.draw

    def drawn(family, what, config):
        tasks = draw(family, what, config)
        return tasks.select(FEW) if what == "test" else tasks

    monkeypatch.setattr(script, "draw", drawn)


def test_the_shipped_file_is_of_these_settings():
    assert json.loads(str(SHIPPED["config"])) == CONFIG
    assert CONFIG["seeds"] == [0, 1, 2, 3, 4]
    assert (CONFIG["alpha"], CONFIG["beta"], CONFIG["n_meta_steps"]) == (0.01, 0.001, 10_000)
    assert CONFIG["test"]["seed"] != CONFIG["choice"]["seed"]
    places = {"speed": 11, "frequency": 11, "shift": 13, "cka": 3}
    for name, array in SHIPPED.items():
        kind = name.partition(" ")[0]
        if kind in places:
            assert array.shape == (5, 200, places[kind]) and array.dtype == np.float16
    assert (Path(data.__file__).parent / "claims.npz").stat().st_size < 350_000
    assert script.TRAININGS == FAMILIES


@pytest.mark.parametrize("seed", SEEDS)
def test_speed(few, seed):
    measure = partial(script.measure_speed, thetas={}, seed=seed, config=CONFIG)
    moved = [measure(starts) for starts in moved_by_a_rounding(contest(seed))]
    assert_shipped(measure(contest(seed)), seed, moved=moved)


@pytest.mark.parametrize("seed", [0, 4])
def test_frequency(few, seed):
    config = {**CONFIG, "frequencies": [CONFIG["frequencies"][k] for k in (0, 9)]}
    measure = partial(script.measure_frequency, thetas={}, seed=seed, config=config)
    moved = [measure(starts) for starts in moved_by_a_rounding(contest(seed))]
    assert_shipped(measure(contest(seed)), seed, columns=[0, 9], moved=moved)


def test_predicting_zero_costs_the_mean_square_of_the_wave():
    columns = [np.mean(waves(Waves(f)).y_query ** 2, axis=(1, 2)) for f in CONFIG["frequencies"]]
    wanted = np.stack(columns, axis=1)
    assert np.allclose(SHIPPED["frequency zero"], wanted, rtol=5e-4, atol=0)


def test_shift(few):
    assert_shipped(script.measure_shift({}, stored_starts(), 0, CONFIG), 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_inside(few, seed):
    found = script.measure_inside(contest(seed), {}, seed, CONFIG)
    for name in [name for name in found if name.startswith("probe")]:
        assert np.allclose(found.pop(name), SHIPPED[name][seed], rtol=1e-6, atol=0)
    assert_shipped(found, seed)


def test_parts(few):
    found = script.measure_parts({}, stored_starts(), 0, CONFIG)
    rates = found.pop("parts rates")
    assert np.allclose(rates, SHIPPED["parts rates"][0], rtol=5e-4, atol=0)
    for name, losses in found.items():
        near = np.isclose(losses, SHIPPED[name][0, FEW], rtol=1e-3, atol=0)
        assert near.all(), name


def test_noise_and_curvature():
    config = {**CONFIG, "alphas": [CONFIG["alphas"][k] for k in (0, 8)]}
    found = script.measure_noise(contest(0), {}, 0, config)
    for name in ("random", "maml"):
        assert_shipped({f"noise {name}": found[f"noise {name}"]}, 0, [0], [0, 8])
        shipped = SHIPPED[f"curvature {name}"][0]
        assert np.allclose(found[f"curvature {name}"], shipped, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("name", "seed"), [("maml", 0), *[("random", s) for s in SEEDS]])
def test_noise_by_hand(name, seed):
    """At the largest rate: distances of pairs of waves, and products of gradients of pairs."""
    tasks = Waves().sample(np.random.default_rng(77), 2500, 10, 10)
    theta = contest(seed)[name][0].astype(float)
    both = measures.task_gradients(MODEL, theta, tasks, alpha=0.05)
    totals, n = [g.sum(axis=0) for g in both], 2500
    squares = [np.sum(g**2) for g in both]
    pairs = [(t @ t - q) / (n * (n - 1)) for t, q in zip(totals, squares, strict=True)]
    spreads = [q / n - p for q, p in zip(squares, pairs, strict=True)]
    noise = np.sqrt(np.divide(spreads, pairs))
    assert SHIPPED[f"noise {name}"][seed, 0, -1] == pytest.approx(noise[0] / noise[1], rel=1e-5)


@pytest.mark.parametrize(("name", "seed"), [("maml", 0), ("fomaml", 7)])
def test_a_short_training(name, seed):
    found = script.short_training(name, seed, CONFIG)
    assert np.allclose(found, SHIPPED[f"short {name}"][seed], rtol=1e-6, atol=0)


def test_short_trainings_of_a_seed_have_the_same_start():
    maml, fomaml = SHIPPED["short maml"], SHIPPED["short fomaml"]
    assert maml.shape == fomaml.shape == (10, 2)
    assert np.corrcoef(maml[:, 0], fomaml[:, 0])[0, 1] > 0.5
    assert (maml < 0.85 * fomaml).all() and (maml[:, 1] < maml[:, 0]).all()


@pytest.mark.parametrize("name", script.CONTESTANTS)
def test_a_model_before_meta_training(name):
    seed = list(script.CONTESTANTS).index(name) % 5
    config = {**CONFIG, "any": {**CONFIG["any"], "n_meta_steps": 1}}
    before, _ = script.try_model(name, seed, config)
    assert np.allclose(before, SHIPPED[f"any {name}"][seed, 0], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("name", "seed"), [("MLP", 1), ("logistic regression", 4)])
def test_a_model_after_meta_training(name, seed):
    found = script.try_model(name, seed, CONFIG)
    assert np.allclose(found, SHIPPED[f"any {name}"][seed], rtol=1e-6, atol=0)


def test_meta_training_helps_every_model_from_every_seed():
    for name in script.CONTESTANTS:
        before, after = SHIPPED[f"any {name}"].mean(axis=2).T
        assert (after < 0.85 * before).all(), name


@pytest.mark.parametrize("seed", SEEDS)
def test_measures_of_the_same_start_and_waves_agree(seed):
    for name, (_, _, n_steps) in CHOICES[seed].items():
        of_speed = SHIPPED[f"speed {name}"][seed, :, CONFIG["steps"].index(n_steps)]
        of_frequency = SHIPPED[f"frequency {name}"][seed, :, CONFIG["frequencies"].index(1)]
        assert np.array_equal(of_speed, of_frequency)
    assert SHIPPED["parts rates"][seed, 0] == np.float16(CONFIG["alpha"])
    of_speed = SHIPPED["speed maml"][seed, :, CONFIG["steps"].index(5)]
    assert np.array_equal(SHIPPED["parts all"][seed], of_speed)


@pytest.mark.parametrize("seed", SEEDS)
def test_before_adapting_every_start_follows_the_mean_wave(seed):
    """What is best without adapting: mean amplitude times the mean of sin(x - phase)."""

    def correlation(name, x, y):
        wave = (0.1 + 5) / 2 * -2 / np.pi * np.cos(x)
        wanted = np.mean((wave - y) ** 2, axis=(1, 2))
        return np.corrcoef(SHIPPED[name][seed, :, 0].astype(float), wanted)[0, 1]

    tasks, apart = waves(), waves(FAMILIES["shifted"][0])
    for name in ("speed maml", "speed joint"):
        assert correlation(name, tasks.x_query, tasks.y_query) > 0.98
    for name, least in (("matched", 0.98), ("shifted", 0.6)):
        assert correlation(f"shift {name} support", apart.x_support, apart.y_support) > least
        assert correlation(f"shift {name} query", apart.x_query, apart.y_query) > least


def test_choices_are_of_the_tables():
    for choice in CHOICES:
        assert choice["maml"] == ["sgd", 0.01, 10]
        for name in ("tuned", "joint", "random"):
            optimizer, rate, n_steps = choice[name]
            assert rate in CONFIG["rates"][optimizer] and n_steps in CONFIG["steps"]


def test_a_shipped_choice_beats_the_next_rate():
    config = {**CONFIG, "rates": {"sgd": [0.003, 0.01]}}
    found = script.choose(SHIPPED["start joint"][0], config)
    assert list(found) == CHOICES[0]["joint"]


def test_the_choice_is_the_best_of_all_on_waves_kept_for_it():
    theta, tasks = random_start(0), waves(what="choice", config=SMALL)
    table = {
        (optimizer, rate, n): query_losses(theta.astype(float), tasks, optimizer, rate, n).mean()
        for optimizer, rates in SMALL["rates"].items()
        for rate in rates
        for n in SMALL["steps"]
    }
    assert script.choose(theta, SMALL) == min(table, key=table.get)


def test_a_rate_that_diverges_is_not_chosen():
    config = {**SMALL, "rates": {"sgd": [1e20, 0.003]}, "steps": [5]}
    assert script.choose(random_start(0), config) == ("sgd", 0.003, 5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_losses_after_steps_are_those_of_torch(optimizer):
    theta, tasks = random_start(0).astype(float), waves().select(FEW)
    found = script.follow(theta, tasks, optimizer, 0.01, [0, 1, 4])
    for column, n_steps in zip(found.T, (0, 1, 4), strict=True):
        wanted = query_losses(theta, tasks, optimizer, 0.01, n_steps)
        assert np.allclose(column, wanted, rtol=1e-7, atol=0)


def test_a_task_that_diverges_has_infinite_losses():
    losses = script.follow(random_start(0), waves().select(FEW), "sgd", 1e20, [0, 3])
    assert np.isfinite(losses[:, 0]).all() and np.isinf(losses[:, 1]).all()


def test_tasks_are_drawn_in_single_precision_from_the_seed_of_their_part():
    for what in ("test", "choice"):
        found, wanted = script.draw(Waves(2), what, CONFIG), waves(Waves(2), what)
        for name, array in vars(found).items():
            assert np.array_equal(array, np.float32(vars(wanted)[name]))
            assert array.dtype == np.float32


def test_the_four_of_the_contest():
    thetas = {"maml": random_start(2), "joint": random_start(3)}
    found = script.starts(thetas, 4, SMALL)
    assert found["maml"] == (thetas["maml"], ("sgd", 0.01, 10))
    assert found["tuned"] == (thetas["maml"], script.choose(thetas["maml"], SMALL))
    assert found["joint"] == (thetas["joint"], script.choose(thetas["joint"], SMALL))
    theta, how = found["random"]
    assert np.array_equal(theta, random_start(4)) and how == script.choose(theta, SMALL)
    assert list(found) == ["maml", "tuned", "joint", "random"]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_start_is_trained_by_adam_on_its_family(tmp_path, name):
    family, n_inner_steps = FAMILIES[name]
    found = script.train(name, 4, SMALL, tmp_path)
    rng = np.random.default_rng(4)
    start = MODEL.init(rng).astype(np.float32)
    gradient = partial(meta_gradient, NET, alpha=0.01, n_inner_steps=n_inner_steps)
    betas = SMALL["n_meta_steps"] * [0.001]
    wanted = trained_by_torch(gradient, start.astype(float), family, (25, 10, 10), betas, rng)
    assert found.dtype == np.float32
    assert np.quantile(np.abs(found - wanted), 0.99) < 1e-6  # Adam enlarges the noise of zeros
    assert np.array_equal(load_run(tmp_path / f"{name}_4.npz").theta, found)


def test_an_interrupted_start_goes_on_to_the_bit(tmp_path, monkeypatch):
    whole, sample, calls = script.train("matched", 4, SMALL, tmp_path), Waves.sample, []

    def stopping(family, *counts):
        calls.append(counts)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return sample(family, *counts)

    monkeypatch.setattr(Waves, "sample", stopping)
    (tmp_path / "again").mkdir()
    with pytest.raises(KeyboardInterrupt):
        script.train("matched", 4, SMALL, tmp_path / "again")
    assert np.array_equal(script.train("matched", 4, SMALL, tmp_path / "again"), whole)
    assert len(calls) == 3 + 2  # four steps, one of them begun twice


def test_what_is_kept_is_not_made_again(tmp_path):
    file, made = tmp_path / "seed_0.npz", []

    def make():
        made.append(1)
        return {"one": np.arange(3), "a choice": np.array("text")}

    for _ in range(2):
        found = script.kept(file, make)
        assert found["one"].tolist() == [0, 1, 2] and str(found["a choice"]) == "text"
    assert len(made) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["seed_0.npz"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *[(name, "float16") for name in ("speed maml", "frequency zero", "cka joint")],
        *[(name, "float16") for name in ("shift matched query", "parts head", "parts rates")],
        *[(name, "float32") for name in ("probe maml", "noise maml", "short maml", "start maml")],
        *[(name, "float32") for name in ("any MLP", "curvature random")],
    ],
)
def test_losses_are_kept_in_half_precision(name, kind):
    array = np.array([1 / 3, 2.0])
    found = script.small(name, array)
    assert found.dtype == kind and np.array_equal(found, array.astype(kind))
    assert SHIPPED[name].dtype == kind


def test_texts_are_kept_as_they_are():
    assert script.small("choice", np.array(["text"])).tolist() == ["text"]


def test_a_seed_holds_its_starts_its_choice_and_every_measure(tmp_path, monkeypatch):
    passed = []

    def measure(name):
        return lambda *arguments: passed.append(arguments) or {name: np.arange(3)}

    monkeypatch.setattr(script, "MEASURES", [measure("one"), measure("two")])
    found = script.of_seed(4, SMALL, tmp_path)
    thetas = {name: script.train(name, 4, SMALL, tmp_path) for name in FAMILIES}
    for name in FAMILIES:
        assert np.array_equal(found.pop(f"start {name}"), thetas[name])
    contest = script.starts(thetas, 4, SMALL)
    choice = json.loads(str(found.pop("choice")))
    assert choice == {name: list(how) for name, (_, how) in contest.items()}
    assert found.keys() == {"one", "two"}
    for contest_there, thetas_there, seed, config in passed:
        assert contest_there.keys() == contest.keys() and thetas_there.keys() == thetas.keys()
        assert (seed, config) == (4, SMALL)


def test_all_measures_are_taken():
    there = {name for name in vars(script) if name.startswith("measure_")}
    assert {measure.__name__ for measure in script.MEASURES} == there


def test_short_trainings_and_models_of_all_seeds(monkeypatch):
    threads, seen = torch.get_num_threads(), []

    def any_numbers(name, seed, config):
        seen.append(torch.get_num_threads())
        return np.array([len(name), seed, config["seeds"][0]])

    monkeypatch.setattr(script, "short_training", any_numbers)
    monkeypatch.setattr(script, "try_model", any_numbers)
    config = {**SMALL, "short": {"n_seeds": 3}, "any": {"n_seeds": 2}, "seeds": [7]}
    torch.set_num_threads(2)
    found = script.others(config, None)
    assert torch.get_num_threads() == 2 and set(seen) == {1}
    torch.set_num_threads(threads)
    names = [("short", name, 3) for name in ("maml", "fomaml")]
    names += [("any", name, 2) for name in script.CONTESTANTS]
    assert found.keys() == {f"{kind} {name}" for kind, name, _ in names}
    for kind, name, n_seeds in names:
        wanted = [[len(name), seed, 7] for seed in range(n_seeds)]
        assert found[f"{kind} {name}"].tolist() == wanted


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs the script with these words; answers the file."""

    def runs(*words):
        folder, target = tmp_path / "deep" / "runs", tmp_path / "claims.npz"
        places = ["--folder", str(folder), "--target", str(target)]
        monkeypatch.setattr(sys, "argv", ["measure_claims.py", *words, *places])
        script.main()
        with np.load(target) as file:
            return dict(file)

    return runs


def test_a_quick_run_makes_every_array_of_the_file(run, tmp_path):
    made = run("--quick")
    assert json.loads(str(made["config"])) == script.QUICK
    assert set(made) == set(SHIPPED)
    for name, array in made.items():
        assert array.dtype.kind == SHIPPED[name].dtype.kind and array.ndim == SHIPPED[name].ndim
        if name.startswith("start"):
            runs = load_run(tmp_path / "deep" / "runs" / f"{name.removeprefix('start ')}_0.npz")
            assert np.array_equal(array, runs.theta[None])
    before = made["speed maml"]
    assert before.shape == (2, 4, 3) and not np.array_equal(*before)


def test_left_alone_the_script_has_all_seeds_in_their_order(run, monkeypatch):
    def of_seed(seed, config, folder):
        assert config == CONFIG and folder.is_dir()
        return {"start maml": np.full(2, seed), "speed maml": np.full((2, 3), seed + 1 / 3)}

    monkeypatch.setattr(script, "of_seed", of_seed)
    monkeypatch.setattr(script, "others", lambda config, folder: {"any MLP": np.arange(2)})
    made = run()
    assert json.loads(str(made["config"])) == CONFIG
    assert made["start maml"].tolist() == [[0, 0]]
    assert made["speed maml"][:, 1, 2].tolist() == [np.float16(s + 1 / 3) for s in SEEDS]
    assert made["any MLP"].tolist() == [0, 1]
    monkeypatch.setattr(script, "of_seed", None)  # kept, so not asked again
    monkeypatch.setattr(script, "others", None)
    again = run()
    assert all(np.array_equal(again[name], made[name]) for name in made)


def names_of(tasks):
    """Each wave by its first support point, which no two of them share."""
    return set(tasks.x_support[:, 0, 0].tolist())


def test_what_is_trained_on_chosen_on_and_judged_on_are_different_waves(monkeypatch, tmp_path):
    seen, stage, sample = {}, ["train"], Waves.sample

    def watched(family, *counts):
        tasks = sample(family, *counts)
        seen.setdefault(stage[0], set()).update(names_of(tasks))
        return tasks

    def choosing(*arguments):
        stage[0] = "choose"
        chosen = choose(*arguments)
        stage[0] = "train"
        return chosen

    def measured(*arguments):
        stage[0] = "judge"
        found = script.measure_speed(*arguments)
        stage[0] = "train"
        return found

    choose, test, choice = script.choose, names_of(waves()), names_of(waves(what="choice"))
    monkeypatch.setattr(Waves, "sample", watched)
    monkeypatch.setattr(script, "choose", choosing)
    monkeypatch.setattr(script, "MEASURES", [measured])
    config = {**SMALL, "test": CONFIG["test"], "choice": CONFIG["choice"], "steps": [0, 1]}
    for seed in CONFIG["seeds"]:
        script.of_seed(seed, config, tmp_path)
    assert seen["judge"] == test and seen["choose"] == choice
    assert len(seen["train"]) > 4 * 25 * 5
    assert not seen["train"] & seen["choose"] and not seen["train"] & seen["judge"]
    assert not seen["choose"] & seen["judge"]


def test_rates_of_the_parts_are_chosen_on_other_waves_than_they_are_judged_on(monkeypatch):
    judged, evaluate = [], script.evaluate

    def watched(model, theta, tasks, **how):
        found = evaluate(model, theta, tasks, **how)
        moving = how["alpha"] > 0
        judged.append((names_of(tasks), how["alpha"].max(), moving, found.losses[:, 5].mean()))
        return found

    monkeypatch.setattr(script, "evaluate", watched)
    found = script.measure_parts({}, stored_starts(), 0, SMALL)
    test, choice = (
        names_of(waves(what=what, config=SMALL).map(np.float32)) for what in ("test", "choice")
    )
    last = np.arange(MODEL.n_params) >= MODEL.n_params - 41  # 40 weights and a bias
    moved = {"all": last | True, "head": last, "body": ~last}
    for n, part in enumerate(("all", "head", "body")):
        *tried, final = judged[3 * n : 3 * n + 3]
        assert [one[0] for one in tried] == [choice, choice] and final[0] == test
        assert [one[1] for one in tried] == list(np.float32(SMALL["head_rates"]))
        assert final[1] == min(tried, key=lambda one: one[3])[1]
        assert found["parts rates"][n] == pytest.approx(final[1])
        assert all(np.array_equal(one[2], moved[part]) for one in (*tried, final))
        assert found[f"parts {part}"].mean() == final[3]
