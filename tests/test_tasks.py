import numpy as np
import pytest

from maml_teach.tasks import Lines, Sinusoids, Task, Waves


def test_sinusoids_are_those_of_the_paper():
    tasks = Sinusoids().sample(np.random.default_rng(0), 2000, 10, 10)
    x = np.concatenate([tasks.x_support, tasks.x_query], axis=1)[..., 0]
    y = np.concatenate([tasks.y_support, tasks.y_query], axis=1)[..., 0]
    assert -5 <= x.min() < -4.99
    assert 4.99 < x.max() <= 5
    # y = a sin x + b cos x exactly, with amplitude and phase in the paper's ranges
    features = np.stack([np.sin(x), np.cos(x)], axis=-1)
    a, b = np.array(
        [np.linalg.lstsq(f, t, rcond=None)[0] for f, t in zip(features, y, strict=True)]
    ).T
    assert np.allclose(features @ np.stack([a, b], axis=-1)[..., None], y[..., None])
    amplitude, phase = np.hypot(a, b), np.arctan2(-b, a)
    assert amplitude.min() == pytest.approx(0.1, abs=0.02)
    assert amplitude.max() == pytest.approx(5.0, abs=0.02)
    assert phase.min() == pytest.approx(0.0, abs=0.01)
    assert phase.max() == pytest.approx(np.pi, abs=0.01)


def test_a_task_cannot_be_changed():
    task = Task(*(np.zeros((1, 1, 1)) for _ in range(4)))
    with pytest.raises(AttributeError):
        task.x_support = np.ones((1, 1, 1))


def test_lines_are_straight_and_seen_through_windows():
    ranges = {"slope": (1, 3), "intercept": (-4, -2), "centre": (5, 7), "half_width": (0.5, 1)}
    tasks = Lines(**ranges).sample(np.random.default_rng(0), 3000, 30, 20)
    x = np.concatenate([tasks.x_support, tasks.x_query], axis=1)[..., 0]
    y = np.concatenate([tasks.y_support, tasks.y_query], axis=1)[..., 0]
    slope = (y[:, 1] - y[:, 0]) / (x[:, 1] - x[:, 0])
    intercept = y[:, 0] - slope * x[:, 0]
    assert np.allclose(slope[:, None] * x + intercept[:, None], y, rtol=1e-9)
    found = {"slope": slope, "intercept": intercept}
    # Fifty points reach nearly to the ends of their window.
    low, high = x.min(axis=1), x.max(axis=1)
    found |= {"centre": (low + high) / 2, "half_width": (high - low) / 2}
    for name, values in found.items():
        assert values.min() == pytest.approx(ranges[name][0], abs=0.08), name
        assert values.max() == pytest.approx(ranges[name][1], abs=0.08), name
    assert np.abs(np.corrcoef(list(found.values())) - np.eye(4)).max() < 0.08


def test_the_usual_lines():
    assert vars(Lines()) == {
        **{"slope": (-2, 2), "intercept": (-2, 2), "centre": (-1, 1), "half_width": (0.3, 2)}
    }


def test_waves_of_frequency_one_are_the_sinusoids_of_the_paper():
    waves = Waves().sample(np.random.default_rng(5), 3, 4, 6)
    rng = np.random.default_rng(5)
    amplitude, phase = rng.uniform(0.1, 5, (3, 1, 1)), rng.uniform(0, np.pi, (3, 1, 1))
    x_support, x_query = rng.uniform(-5, 5, (3, 4, 1)), rng.uniform(-5, 5, (3, 6, 1))
    for found, wanted in (
        *((waves.x_support, x_support), (waves.x_query, x_query)),
        (waves.y_support, amplitude * np.sin(x_support - phase)),
        (waves.y_query, amplitude * np.sin(x_query - phase)),
    ):
        assert np.allclose(found, wanted, rtol=1e-12)


def test_a_frequency_multiplies_the_input_alone():
    slow = Waves(frequency=1).sample(np.random.default_rng(6), 4, 5, 5)
    fast = Waves(frequency=2.5, x_support=(-2, 2), x_query=(-2, 2))
    fast = fast.sample(np.random.default_rng(6), 4, 5, 5)  # the same waves at 2.5 x the pace
    assert np.allclose(2.5 * fast.x_support, slow.x_support, rtol=1e-12)
    assert np.allclose(fast.y_support, slow.y_support, rtol=1e-9)
    assert np.allclose(fast.y_query, slow.y_query, rtol=1e-9)


def test_support_and_query_points_have_ranges_of_their_own():
    waves = Waves(x_support=(-5, 0), x_query=(1, 2)).sample(np.random.default_rng(0), 500, 10, 10)
    ends = [(x.min(), x.max()) for x in (waves.x_support, waves.x_query)]
    assert np.allclose(ends, [(-5, 0), (1, 2)], atol=0.01)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        *(({"frequency": bad}, "frequency") for bad in (0, -1, np.inf, np.nan)),
        *(({name: bad}, name) for name in ("x_support", "x_query") for bad in ((1, 1), (2, 1))),
        ({"x_query": (-np.inf, 1)}, "x_query"),
    ],
)
def test_waves_that_cannot_be_are_named(change, named):
    with pytest.raises(ValueError, match=named):
        Waves(**change)


def numbered():
    """Every entry differs from every other."""
    numbers = iter(range(1000))
    shapes = {"x_support": (4, 2, 1), "y_support": (4, 2, 1), "x_query": (4, 3, 1)}
    shapes["y_query"] = (4, 3, 1)
    fill = lambda shape: np.array([next(numbers) for _ in range(np.prod(shape))], float)  # noqa: E731
    return Task(**{name: fill(shape).reshape(shape) for name, shape in shapes.items()})


def test_a_batch_is_split_behind_its_shots():
    x, y = np.arange(10.0).reshape(2, 5, 1), np.arange(10).reshape(2, 5)
    task = Task.split(x, y, 2)
    assert task.x_support[..., 0].tolist() == [[0, 1], [5, 6]] == task.y_support.tolist()
    assert task.x_query[..., 0].tolist() == [[2, 3, 4], [7, 8, 9]] == task.y_query.tolist()


@pytest.mark.parametrize("index", [slice(1, 3), [3, 0], np.array([2]), np.array([], int)])
def test_selecting_takes_the_same_tasks_from_all_four_arrays(index):
    whole, part = numbered(), numbered().select(index)
    for name, array in vars(whole).items():
        assert np.array_equal(getattr(part, name), array[index]), name
    assert part.n_tasks == len(np.arange(4)[index])


def test_a_map_reaches_every_array_also_in_tuples_and_dicts():
    whole = numbered()
    inputs = {"a": whole.x_support, "b": (whole.x_support + 50,)}
    task = Task(inputs, whole.y_support, whole.x_query, whole.y_query)
    mapped = task.map(lambda array: array + 100)
    assert np.array_equal(mapped.x_support["a"], whole.x_support + 100)
    assert np.array_equal(mapped.x_support["b"][0], whole.x_support + 150)
    for name in ("y_support", "x_query", "y_query"):
        assert np.array_equal(getattr(mapped, name), getattr(whole, name) + 100), name
    assert task.map(lambda array: array) is task
    assert task.map(lambda array: array + 1 if array is whole.y_query else array) is not task
