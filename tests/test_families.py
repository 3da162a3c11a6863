"""What every family of tasks promises; the families are found in the package, not listed."""

import importlib
import inspect
import pkgutil
from dataclasses import fields

import numpy as np
import pytest

import maml_teach
from maml_teach.applications.detection import Scenes
from maml_teach.applications.handwriting import Alphabets
from maml_teach.applications.images import SIZE, FewShotImages, ImageClasses
from maml_teach.applications.intents import Intents
from maml_teach.applications.language import WhichLanguage, shipped_names
from maml_teach.tasks import check_batch

COUNTS = {"n_tasks": 3, "n_shots": 2, "n_queries": 4}


def found():
    """Every class of the package that samples tasks, by name."""
    for module in pkgutil.walk_packages(maml_teach.__path__, "maml_teach."):
        if module.name.startswith("maml_teach.widgets") or module.name.endswith("plotting"):
            continue
        for name, item in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            is_protocol = getattr(item, "_is_protocol", False)
            if item.__module__ == module.name and hasattr(item, "sample") and not is_protocol:
                yield name, item


def some_classes():
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(60, SIZE, SIZE)).astype(np.float32)
    return ImageClasses(images, np.repeat(np.arange(6), 10), tuple("abcdef"))


def some_intents():
    return np.repeat(np.arange(6), 10_000), np.arange(6)


# Those that need something to draw from.
MADE = {
    Alphabets: lambda: Alphabets(some_classes(), 3),
    FewShotImages: lambda: FewShotImages(some_classes(), 5),
    Intents: lambda: Intents(np.random.default_rng(0).normal(size=(60_000, 9)), *some_intents()),
    Scenes: lambda: Scenes(some_classes()),
    WhichLanguage: lambda: WhichLanguage(shipped_names("test")),
}
FAMILIES = dict(found())


def family(name):
    """One of them; a new family that needs arguments has to say which in ``MADE``."""
    return MADE.get(FAMILIES[name], FAMILIES[name])()


def sample(name, seed=0, **counts):
    return family(name).sample(np.random.default_rng(seed), **{**COUNTS, **counts})


def arrays(tasks):
    return {field.name: getattr(tasks, field.name) for field in fields(tasks)}


def test_the_families_are_found_and_frozen():
    assert all(one.__dataclass_params__.frozen for one in FAMILIES.values())
    assert {"Sinusoids", "Lines", "FewShotImages", "Goals"} < set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_batch_has_the_counts_asked_for(name):
    """Counts may be per class: then support and query have the same multiple of them."""
    tasks = sample(name)
    check_batch(tasks)
    assert {len(array) for array in arrays(tasks).values()} == {COUNTS["n_tasks"]}
    ways, rest = divmod(tasks.x_support.shape[1], COUNTS["n_shots"])
    assert (rest, tasks.x_query.shape[1]) == (0, ways * COUNTS["n_queries"])
    assert tasks.y_support.shape[1] == tasks.x_support.shape[1]
    assert tasks.y_query.shape[1] == tasks.x_query.shape[1]
    for part in ("x", "y"):
        support, query = getattr(tasks, f"{part}_support"), getattr(tasks, f"{part}_query")
        assert support.shape[2:] == query.shape[2:]


@pytest.mark.parametrize("name", FAMILIES)
def test_inputs_are_floats_and_targets_floats_or_labels(name):
    tasks = sample(name)
    for part in ("x", "y"):
        support, query = getattr(tasks, f"{part}_support"), getattr(tasks, f"{part}_query")
        assert support.dtype == query.dtype
    assert tasks.x_support.dtype in (np.float32, np.float64)
    is_label = np.issubdtype(tasks.y_support.dtype, np.integer)
    assert is_label == (tasks.y_support.ndim == 2)
    assert is_label or tasks.y_support.dtype in (np.float32, np.float64)
    if is_label:
        assert set(np.unique(tasks.y_query)) <= set(range(tasks.y_query.max() + 1))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_depends_on_the_generator_alone(name):
    first, again, other = (arrays(sample(name, seed)) for seed in (7, 7, 8))
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first["x_support"], other["x_support"])


@pytest.mark.parametrize("name", FAMILIES)
def test_the_tasks_of_a_batch_differ_and_share_no_point(name):
    tasks = sample(name)
    points = np.concatenate([tasks.x_support, tasks.x_query], axis=1)
    points = points.reshape(-1, *points.shape[2:])
    assert len(np.unique(points, axis=0)) == len(points)


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, None])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_bad_count_is_named(name, count, bad):
    with pytest.raises(ValueError, match=rf"{count} must be an integer of at least 1, got {bad}"):
        sample(name, **{count: bad})
