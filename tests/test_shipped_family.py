"""Every number in ``sinusoid_family.npz`` again as far as it can be, and how its parts were made.

No network of this file is kept: trainings begin here again and are followed for the first stage,
choices are made again from the tables, and the table is held to what is known of its test tasks.
"""

import json
import sys
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import train_family as script

from maml_teach import data, maml
from maml_teach.tasks import Sinusoids
from maml_teach.train import MetaConfig, meta_train

SHIPPED = data.load("sinusoid_family")
TARGET = script.TARGET
GRID, CHOICE, TABLE = (SHIPPED[f"{part}_mse"].astype(float) for part in ("grid", "choice", "table"))
NAMES = ["joint", "MAML", "FOMAML", "Reptile", "ANIL", "Meta-SGD", "MAML++", "iMAML"]
ALPHAS = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
BETAS = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1]
MILD = 0.001, 0.0003  # rates at which rounding is not enlarged
FEW = Sinusoids().sample(np.random.default_rng(9), 6, 10, 20).map(np.float32)


@cache
def tasks_of(seed, n_tasks):
    return Sinusoids().sample(np.random.default_rng(seed), n_tasks, 10, 100).map(np.float32)


def same(one, two):
    return all(np.array_equal(vars(one)[name], vars(two)[name]) for name in vars(one))


def numbers_of(job):
    """Any four numbers, different for every job."""
    name, *rest = job
    seed = [NAMES.index(name), *(int(1e6 * number) for number in rest)]
    return np.random.default_rng(seed).uniform(1, 2, 4)


def short(name, *, beta=MILD[1], seed=5, n_stages=1, n_meta_steps=6):
    counts = {"n_meta_steps": n_meta_steps, "n_stages": n_stages, "n_test_steps": 5}
    return script.train(name, MILD[0], beta, seed, tasks=FEW, **counts)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs a part of the script, one job after the other; answers the file and what was asked."""
    target, asked = tmp_path / "made.npz", []

    def serial(function, jobs, n_processes):
        asked.append((function.__name__, jobs, n_processes))
        return [function(job) for job in jobs]

    def runs(*words):
        monkeypatch.setattr(sys, "argv", ["train_family.py", *words])
        script.main()
        return dict(np.load(target)), asked.pop()

    monkeypatch.setattr(script, "TARGET", target)
    monkeypatch.setattr(script, "in_parallel", serial)
    return runs


def test_the_shipped_file_is_of_these_settings():
    assert json.loads(str(SHIPPED["settings"])) == {
        "made_by": "scripts/train_family.py",
        "device": "CPU",
        "algorithms": NAMES,
        "alphas": ALPHAS,
        "betas": BETAS,
        "n_inner_steps": 5,
        "lam": 20.0,
        "n_cg_steps": 5,
        "grid": {"n_meta_steps": 1000, "n_stages": 20, "seed": 0, "n_tasks": 100, "task_seed": 1},
        "choose": {
            "n_meta_steps": 10_000,
            "n_pairs": 3,
            "seeds": [0, 100],
            "n_tasks": 100,
            "task_seed": 1,
        },
        "table": {
            "n_meta_steps": 10_000,
            "n_stages": 10,
            "n_seeds": 5,
            "n_tasks": 600,
            "task_seed": 2,
        },
        "table_steps": [0, 1, 5, 10],
    }
    assert {name: array.shape for name, array in SHIPPED.items()} == {
        "settings": (),
        "grid_mse": (8, 7, 7, 21),
        "choice_rates": (8, 3, 2),
        "choice_mse": (8, 3, 2),
        "table_rates": (8, 2),
        "table_mse": (8, 5, 600, 4),
    }
    assert TARGET.samefile(Path(data.__file__).parent / "sinusoid_family.npz")


@pytest.mark.parametrize("name", ["MAML", "ANIL", "Meta-SGD", "MAML++", "iMAML"])
def test_the_grid_begins_with_the_losses_of_the_random_start(name):
    """Five steps at the largest rates enlarge the rounding of single precision."""
    cells = GRID[NAMES.index(name), :, :, 0]
    for alpha, row in zip(ALPHAS, cells, strict=True):
        vector = script.first_vector(name, alpha, np.random.default_rng(0))
        found = script.judge(name, vector, tasks_of(1, 100), alpha, 5)[:, 5].mean()
        assert np.allclose(row, found, rtol=1e-5 if alpha >= 0.1 else 1e-6, atol=0)


def test_algorithms_that_adapt_alike_begin_alike():
    for name in ("joint", "FOMAML", "Reptile", "Meta-SGD", "MAML++"):
        # To rounding, which the processor decides: the rows need not be of one machine.
        assert np.allclose(GRID[NAMES.index(name), ..., 0], GRID[1, ..., 0], rtol=1e-6)


def followed(monkeypatch, n_looks, function, job):
    """Losses of a training at its start and after its first stages, then it is stopped."""
    losses = []

    def judge(*arguments):
        losses.append(original(*arguments))
        if len(losses) == n_looks:
            raise KeyboardInterrupt
        return losses[-1]

    original = script.judge
    monkeypatch.setattr(script, "judge", judge)
    with pytest.raises(KeyboardInterrupt):
        function(job)
    return np.array(losses)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_training_begins_here_as_it_did(monkeypatch, name):
    """The stage after the first has another meta-gradient for MAML++ alone."""
    n_looks = 3 if name == "MAML++" else 2
    losses = followed(monkeypatch, n_looks, script.grid_cell, (name, *MILD))
    found = losses[:, :, 5].mean(axis=1)
    shipped = GRID[NAMES.index(name), 1, 1, :n_looks]
    assert np.allclose(found, shipped, rtol=2e-6, atol=0)
    assert found[-1] < 0.999 * found[0]


def test_the_shipped_choice_had_the_promising_pairs():
    """For each beta the best alpha, and of these the best three, by going through them all."""
    for mse, pairs in zip(GRID[..., -1], SHIPPED["choice_rates"], strict=True):
        columns = []
        for b, beta in enumerate(BETAS):
            cells = [(mse[a, b], alpha) for a, alpha in enumerate(ALPHAS) if np.isfinite(mse[a, b])]
            if cells:
                columns.append((*min(cells), beta))
        assert [(alpha, beta) for _, alpha, beta in sorted(columns)[:3]] == list(map(tuple, pairs))


def test_the_shipped_table_has_the_pairs_that_survived_and_are_best():
    for pairs, losses, rates in zip(
        SHIPPED["choice_rates"], CHOICE, SHIPPED["table_rates"], strict=True
    ):
        alive = [
            (sum(of_pair), pair)
            for pair, of_pair in zip(pairs.tolist(), losses.tolist(), strict=True)
            if np.isfinite(of_pair).all()
        ]
        cautious = min(pairs.tolist(), key=lambda pair: pair[1])
        assert rates.tolist() == (min(alive)[1] if alive else cautious)


@pytest.mark.parametrize("name", NAMES[:-1])
def test_the_table_and_the_choice_speak_of_the_same_trainings(name):
    """The same lengths and rates, from other seeds and on other tasks."""
    n = NAMES.index(name)
    pair = SHIPPED["choice_rates"][n].tolist().index(SHIPPED["table_rates"][n].tolist())
    ratio = np.nanmedian(TABLE[n, :, :, 2].mean(axis=1)) / CHOICE[n, pair].mean()
    assert 0.4 < ratio < 2.5


def test_before_adapting_the_table_follows_the_mean_wave_on_its_tasks():
    """What is best without adapting: mean amplitude times the mean of sin(x - phase)."""
    tasks = tasks_of(2, 600)
    wave = (0.1 + 5) / 2 * -2 / np.pi * np.cos(tasks.x_query)
    wanted = np.mean((wave - tasks.y_query) ** 2, axis=(1, 2))
    for name, algorithm in zip(NAMES, TABLE[..., 0], strict=True):
        for losses in algorithm[np.isfinite(algorithm).all(axis=1)]:
            assert np.corrcoef(losses, wanted)[0, 1] > (0.98 if name == "joint" else 0.6)
            assert losses.mean() > 0.99 * wanted.mean()


def test_trainings_of_the_table_adapt_at_once_or_stopped():
    means = TABLE.mean(axis=2)
    stopped = np.isnan(TABLE).all(axis=(2, 3))
    assert np.array_equal(stopped, np.isnan(TABLE).any(axis=(2, 3)))
    assert (np.diff(means[~stopped][:, :3]) < 0).all()
    assert stopped[NAMES.index("iMAML")].all() and stopped[:5].sum() == 1


@pytest.mark.parametrize(
    ("done", "wanted"),
    [
        (0, [0.2, 0.2, 0.2, 0.2, 0.2]),
        (0.25, [0.1, 0.1, 0.1, 0.1, 0.6]),
        (0.5, [0, 0, 0, 0, 1]),
        (0.9, [0, 0, 0, 0, 1]),
    ],
)
def test_weights_of_early_steps_are_gone_at_half_time(done, wanted):
    assert np.allclose(script.step_weights(done), wanted, rtol=1e-12, atol=1e-15)


def test_rates_are_learned_where_the_algorithm_learns_them():
    for name in NAMES:
        found = script.first_rates(name, 0.03)
        wanted = {"Meta-SGD": (1761,), "MAML++": (5, 1)}.get(name)
        vector = script.first_vector(name, 0.03, np.random.default_rng(4))
        start = script.MODEL.init(np.random.default_rng(4)).astype(np.float32)
        assert np.array_equal(vector[:1761], start) and vector.dtype == np.float32
        if wanted is None:
            assert found is None and vector.size == 1761
        else:
            assert found.shape == wanted and (found == np.float32(0.03)).all()
            assert np.array_equal(vector[1761:], np.ones(found.size))


def test_learned_rates_are_those_adapted_with():
    """A rate of zero moves nothing; one step at the double rate, then none."""
    for name in ("Meta-SGD", "MAML++"):
        vector = script.first_vector(name, 0.003, np.random.default_rng(4))
        vector[1761:] = 0
        still = script.judge(name, vector, FEW, 0.003, 5)
        assert np.array_equal(still, still[:, :1].repeat(6, axis=1))
    vector[1761] = 2
    found = script.judge("MAML++", vector, FEW, 0.003, 5)
    theta_prime = maml.adapt(script.MODEL, vector[:1761], FEW, alpha=0.006)
    wanted = script.MODEL.loss(theta_prime, FEW.x_query, FEW.y_query)
    assert np.allclose(found[:, 1:], wanted[:, None], rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["Reptile", "Meta-SGD", "iMAML"])
def test_stages_are_one_training_with_looks_in_between(name):
    """Adam's moments and the stream of tasks go on: to the bit."""
    parts, whole = short(name, n_stages=3), short(name)
    assert parts.shape == (4, 6, 6) and parts.dtype == np.float32
    assert np.array_equal(parts[[0, 3]], whole)
    assert not np.array_equal(parts[1], parts[2])
    assert np.array_equal(parts[1], short(name, n_meta_steps=2)[1])


def test_a_training_is_that_of_the_outer_loop():
    """25 tasks of 10 and 10 points, 5 steps; the start comes from the stream before the tasks."""
    rng = np.random.default_rng(5)
    theta = script.MODEL.init(rng).astype(np.float32)
    config = MetaConfig(alpha=MILD[0], beta=MILD[1], n_inner_steps=5, n_meta_steps=6)
    family, how = script.Sinusoids32(), {"rng": rng, "progress": False}
    theta = meta_train(script.MODEL, theta, family, config, **how).theta
    theta_k, found = np.repeat(theta[None], 6, axis=0), short("MAML")[1]
    for k in range(6):
        wanted = script.MODEL.loss(theta_k, FEW.x_query, FEW.y_query)
        assert np.allclose(found[:, k], wanted, rtol=1e-6, atol=0)
        theta_k = maml.adapt(script.MODEL, theta_k, FEW, alpha=MILD[0])


def test_maml_plus_plus_is_told_how_much_is_done(monkeypatch):
    told, original = [], script.gradient_of
    monkeypatch.setattr(script, "gradient_of", lambda *job: told.append(job) or original(*job))
    short("MAML++", n_stages=3)
    assert [job[:2] for job in told] == 3 * [("MAML++", MILD[0])]
    assert [job[2] for job in told] == pytest.approx([0, 1 / 3, 2 / 3])


def test_a_training_that_stops_has_no_losses_from_that_stage(monkeypatch):
    stops = iter([False] * 3 + [True])

    def gradient(model, theta, tasks, **inner):
        if next(stops):
            raise FloatingPointError("diverged")
        return maml.fomaml_gradient(model, theta, tasks, **inner)

    monkeypatch.setattr(script, "gradient_of", lambda *job: gradient)
    losses = short("FOMAML", n_stages=3)
    assert np.isfinite(losses[:2]).all()
    assert np.isnan(losses[2:]).all()


def test_tasks_are_the_papers_in_single_precision():
    tasks = script.Sinusoids32().sample(np.random.default_rng(3), 4, 5, 6)
    wanted = Sinusoids().sample(np.random.default_rng(3), 4, 5, 6)
    assert all(array.dtype == np.float32 for array in vars(tasks).values())
    assert same(tasks, wanted.map(np.float32))


@pytest.mark.parametrize(
    ("cell", "job", "length", "tasks", "answer"),
    [
        (
            script.grid_cell,
            ("MAML", 0.01, 0.03),
            {"n_meta_steps": 1000, "n_stages": 20, "n_test_steps": 5},
            (1, 100),
            lambda losses: [one[:, 5].sum() / len(one) for one in losses],
        ),
        (
            script.choose_cell,
            ("ANIL", 0.01, 0.03, 100),
            {"n_meta_steps": 10_000, "n_stages": 10, "n_test_steps": 5},
            (1, 100),
            lambda losses: losses[3, :, 5].sum() / 7,
        ),
        (
            script.table_cell,
            ("Reptile", 0.01, 0.03, 4),
            {"n_meta_steps": 10_000, "n_stages": 10, "n_test_steps": 10},
            (2, 600),
            lambda losses: np.stack([losses[3, :, k] for k in (0, 1, 5, 10)], axis=1),
        ),
    ],
)
def test_a_cell_trains_at_length_and_is_judged_on_its_own_tasks(
    monkeypatch, cell, job, length, tasks, answer
):
    losses, asked = np.random.default_rng(0).normal(size=(4, 7, 11)), []

    def train(*place, tasks, **counts):
        asked.append((place, counts, tasks))
        return losses

    monkeypatch.setattr(script, "train", train)
    assert np.allclose(cell(job), answer(losses), rtol=1e-12)
    ((place, counts, judged_on),) = asked
    assert place == (*job, 0)[:4]  # the grid's only seed is 0
    assert counts == length
    assert same(judged_on, tasks_of(*tasks))


def test_training_choice_and_test_have_seeds_of_their_own():
    table_seeds = set(range(1, script.TABLE["n_seeds"] + 1))
    assert not table_seeds & {script.GRID["seed"], *script.CHOOSE["seeds"]}
    assert script.GRID["task_seed"] == script.CHOOSE["task_seed"] != script.TABLE["task_seed"]


def test_no_training_sees_a_task_that_anyone_is_judged_on(monkeypatch):
    """The seeds of trainings and of tasks are the same numbers, but the streams differ."""
    trained, sample = set(), script.Sinusoids32.sample

    def watched(family, *counts):
        tasks = sample(family, *counts)
        trained.update(tasks.y_support.min(axis=(1, 2)))
        return tasks

    monkeypatch.setattr(script.Sinusoids32, "sample", watched)
    for seed in (0, 1, 2, 3, 4, 5, 100):
        short("joint", seed=seed, n_meta_steps=20)
    validation, test = (
        set(tasks.y_support.min(axis=(1, 2))) for tasks in (tasks_of(1, 100), tasks_of(2, 600))
    )
    assert len(trained) == 7 * 20 * 25
    assert not trained & validation and not trained & test and not validation & test


def test_promising_pairs_are_of_different_outer_rates():
    mse = np.full((7, 7, 2), np.nan)
    mse[..., 0] = -1  # losses before the end do not count
    mse[3, 1, 1], mse[4, 1, 1] = 0.3, 0.1
    mse[0, 6, 1], mse[2, 2, 1], mse[6, 2, 1] = 0.2, 0.5, 0.4
    wanted = [(ALPHAS[4], BETAS[1]), (ALPHAS[0], BETAS[6]), (ALPHAS[6], BETAS[2])]
    assert script.promising(mse) == wanted


@pytest.mark.parametrize(
    ("losses", "wanted"),
    [
        ([[0.3, 0.3], [0.1, 0.4], [0.5, 0.2]], 1),
        ([[0.3, 0.3], [0.1, np.nan], [0.2, 0.2]], 2),
        ([[np.nan, 0.3], [0.1, np.nan], [np.nan, np.nan]], 2),  # the smallest outer rate
    ],
)
def test_a_pair_is_chosen_if_it_survived(losses, wanted):
    pairs = np.array([[0.01, 0.03], [0.03, 0.01], [0.1, 0.001]])
    assert script.chosen(pairs, np.array(losses)).tolist() == pairs[wanted].tolist()


def test_answers_come_in_the_order_of_the_jobs(capsys):
    assert script.in_parallel(abs, [-3, 2, -1, 5], 2) == [3, 2, 1, 5]
    assert "4/4" in capsys.readouterr().err


def test_the_grid_has_a_cell_for_every_algorithm_and_pair_of_rates(run, monkeypatch):
    monkeypatch.setattr(script, "grid_cell", numbers_of)
    made, (_, jobs, n_processes) = run("grid")
    assert n_processes == 2 and len(jobs) == 8 * 7 * 7
    for (n, name), (a, alpha), (b, beta) in product(*map(enumerate, (NAMES, ALPHAS, BETAS))):
        wanted = numbers_of((name, alpha, beta))
        assert np.array_equal(made["grid_mse"][n, a, b], wanted.astype(np.float32))
    assert json.loads(str(made["settings"])) == json.loads(str(SHIPPED["settings"]))


def test_the_parts_follow_each_other_in_one_file(run, monkeypatch):
    """Each reads what the one before it found, and leaves it in the file."""
    monkeypatch.setattr(script, "grid_cell", numbers_of)
    monkeypatch.setattr(script, "choose_cell", lambda job: numbers_of(job)[0])
    tested = {seed: np.full((600, 4), seed + 0.25) for seed in range(1, 6)}
    tested[3][5, 2] = 1e6
    monkeypatch.setattr(script, "table_cell", lambda job: tested[job[3]])
    grid, _ = run("grid")
    choice, (_, jobs, n_processes) = run("choose", "--processes", "3")
    assert n_processes == 3 and len(jobs) == 8 * 3 * 2
    table, (_, table_jobs, _) = run("table")
    for name in ("grid_mse", "choice_rates", "choice_mse"):
        before = grid if name == "grid_mse" else choice
        assert np.array_equal(table[name], before[name])
    for n, name in enumerate(NAMES):
        pairs = script.promising(grid["grid_mse"][n])
        assert choice["choice_rates"][n].tolist() == list(map(list, pairs))
        found = choice["choice_mse"][n]
        for p, s in product(range(3), range(2)):
            job = (name, *pairs[p], (0, 100)[s])
            assert job in jobs and found[p, s] == np.float32(numbers_of(job)[0])
        rates = pairs[found.mean(axis=1).argmin()]
        assert table["table_rates"][n].tolist() == list(rates)
        asked = table_jobs[5 * n : 5 * n + 5]
        assert asked == [(name, *rates, seed) for seed in range(1, 6)]
        for seed, losses in zip(range(1, 6), table["table_mse"][n], strict=True):
            with np.errstate(over="ignore"):
                assert np.array_equal(losses, tested[seed].astype(np.float16))
    assert set(table) == set(SHIPPED)
    for name in set(table) - {"settings", "grid_mse"}:
        assert table[name].shape == SHIPPED[name].shape
    assert {name: array.dtype.kind for name, array in table.items()} == {
        name: array.dtype.kind for name, array in SHIPPED.items()
    }


def test_the_file_may_lie_elsewhere(run, monkeypatch, tmp_path):
    monkeypatch.setattr(script, "grid_cell", numbers_of)
    run("grid")
    run("grid", "--target", str(tmp_path / "other.npz"))
    with np.load(tmp_path / "other.npz") as one, np.load(tmp_path / "made.npz") as two:
        assert np.array_equal(one["grid_mse"], two["grid_mse"])
