"""Every argument of every public function, of a wrong type, shape or value: the error names it.

The functions are found in the modules. A call that is right is put together from values by the name
of a parameter; then one argument after the other is replaced by what is wrong for its name.
"""

import inspect
import json
import re
from copy import deepcopy
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from maml_teach import family, family_torch, lean, maml, maml_torch, measures, tasks, train
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids, Task

SIZES, N, N_TASKS = (1, 3, 1), 10, 3
RNG = np.random.default_rng(0)
START = RNG.normal(size=N)
BATCH = Sinusoids().sample(RNG, N_TASKS, 4, 5)
SINGLE = [BATCH.select(index) for index in range(N_TASKS)]
CONFIG = train.MetaConfig(n_tasks=2, n_meta_steps=1)
X, Y = BATCH.x_support[0], BATCH.y_support[0]


def tensors(task):
    return task.map(torch.as_tensor)


def a_run(n=N):
    state = np.random.default_rng(0).bit_generator.state
    return train.Run(CONFIG, np.ones(n), (np.zeros(n), np.zeros(n)), np.empty(0), state)


RIGHT = {
    "numpy": {
        "model": MLP(SIZES),
        "theta": START,
        "vector": np.append(START, 1.0),
        "tasks": BATCH,
        **{"x": X, "y": Y, "v": START, "slope": np.ones((4, 3))},
        "b": np.ones((2, 3)),
        "anchor": START,
        "first_rates": np.array([[0.1]]),
        "rng": np.random.default_rng(0),
        "gradient": maml.maml_gradient,
        "adapt": maml.adapt,
    },
    "torch": {
        "model": maml_torch.MLP(SIZES),
        "theta": torch.tensor(START),
        "tasks": tensors(BATCH),
        **{"x": torch.tensor(X), "y": torch.tensor(Y), "v": torch.tensor(START)},
        "b": torch.ones(2, 3),
        "anchor": torch.tensor(START),
        "rng": np.random.default_rng(0),
        "generator": torch.Generator().manual_seed(0),
    },
}
COMMON = {
    "n_inner_steps": 1,
    "inner": "sgd",
    "rule": maml.SGD,
    "step": 1e-5,
    "lam": 2.0,
    "n_cg_steps": 2,
    "step_weights": [1.0],
    "product": lambda p: 2 * p,
    "n_steps": 2,
    "family": Sinusoids(),
    "config": CONFIG,
    "progress": False,
    "every": 1,
    "n_meta_steps": 1,
    "gradients": RNG.normal(size=(N_TASKS, N)),
    **{"one": RNG.normal(size=(5, 3)), "two": RNG.normal(size=(5, 2))},
    **{"features": RNG.normal(size=(6, 2)), "curve": RNG.normal(size=6)},
}
# Learned rates have the one shape or the other; the first that a function takes is right for it.
ALPHAS = (0.1, np.full(N, 0.1), np.array([[0.1]]))

NO_NUMBER = {
    **{repr(value): value for value in ("0.1", None, True, 0.1j, 0, -1, np.nan, np.inf)},
    **{"a list": [0.1], "a dict": {}, "a class": float, "text in an array": np.array("a")},
    **{"a tensor below zero": torch.tensor(-0.1), "a complex array": np.array(0.1j)},
}
NO_COUNT = {
    **{repr(value): value for value in (-1, 1.0, "1", None, True, np.nan, 1j)},
    **{"a list": [1], "an array": np.ones(2, int), "a tensor": torch.tensor(1.5), "a class": int},
    **{"a boolean tensor": torch.tensor(True), "NumPy's boolean": np.True_},
}
NO_ARRAY = {
    **{"none": None, "a number": 0.5, "text": "theta", "a list": [0.0] * N, "a class": np.ndarray},
    "strings": np.full(N, "a"),
    "objects": np.full(N, None),
    "complex": START + 0j,
    "masked": np.ma.masked_array(START, START > 0),
    "a complex tensor": torch.tensor(START) + 0j,
    "a sparse tensor": torch.tensor(START).to_sparse(),
}
NO_THETA = {
    **NO_ARRAY,
    "integers": np.arange(N),
    "an integer tensor": torch.arange(N),
    "no axis": np.array(0.5),
    **{f"of shape {shape}": np.ones(shape) for shape in [(N - 1,), (1, N_TASKS, N), (0,)]},
    "rows for other tasks": np.ones((N_TASKS + 1, N)),
    "a tensor too short": torch.ones(N - 1, dtype=torch.float64),
    "a tensor with an axis too many": torch.ones(1, N_TASKS, N, dtype=torch.float64),
    "not finite": np.full(N, np.nan),
    "a tensor that is not finite": torch.full((N,), np.inf, dtype=torch.float64),
}
ANY_LENGTH = ("of shape (9,)", "of shape (0,)")
ANY_AXES = (
    *("of shape (1, 3, 10)", "a tensor with an axis too many", "rows for other tasks"),
    *("not finite", "a tensor that is not finite"),  # an inner loop would not look each time
)
NO_ROWS = {
    **NO_ARRAY,
    "integers": np.arange(12).reshape(6, 2),
    **{f"of shape {shape}": np.ones(shape) for shape in [(6,), (1, 4), (0, 2), (6, 0), (2, 6, 2)]},
    "a tensor": torch.ones(6, 2),
}
NO_FUNCTION = {"none": None, "a name": "maml_gradient", "a number": 3}
NO_GENERATOR = {
    **{"a seed": 0, "none": None, "a module": np.random, "text": "rng"},
    **{"of the old kind": np.random.RandomState(0), "of torch": torch.Generator()},
}
NO_WEIGHTS = {
    "none": None,
    "empty": [],
    "two": [1, 2],
    "text": ["a"],
    "nan": [np.nan],
    "a number": 3,
}
WRONG = {
    "model": {
        **{"none": None, "text": "mlp", "a class": MLP, "a dict": {}, "an object": object()},
        "the class of the engine": maml_torch.MLP,
        "a bare module": nn.Linear(1, 1),
        "a bare stack": nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 1)),
        "parameters": START,
    },
    "theta": NO_THETA,
    "vector": NO_ARRAY | {"too short": np.ones(1)},
    "tasks": {
        **{"none": None, "text": "tasks", "a class": Task, "an array": X, "a dict": vars(BATCH)},
        **{"four arrays": tuple(vars(BATCH).values()), "listed": list(vars(BATCH).values())},
        "a single task": SINGLE[0],
        **{"empty": [], "empty tuple": (), "a generator": (task for task in SINGLE)},
        **{"a list of batches": [BATCH, BATCH], "one of them a batch": [SINGLE[0], BATCH]},
        **{"a list with none": [SINGLE[0], None], "of both kinds": [SINGLE[0], tensors(SINGLE[1])]},
    },
    "alpha": {
        **NO_NUMBER,
        "of another length": np.ones(N + 1),
        **{"no steps": np.ones((0, 1)), "three axes": np.ones((1, 1, N))},
        **{"nan in rates": np.full(N, np.nan), "objects": np.full(N, None)},
        **{"strings": np.full(N, "a"), "complex": np.full(N, 0.1j)},
        **{"masked": np.ma.masked_array(np.ones(N)), "booleans": np.ones(N, bool)},
    },
    "n_inner_steps": NO_COUNT,
    "inner": {"none": None, "a name": "newton", "a number": 3, "a list": ["sgd"], "a pair": (1, 2)},
    "rule": {"none": None, "a name": "newton", "a number": 3, "a pair": (1, 2)},
    **dict.fromkeys(["step", "lam"], NO_NUMBER | {"an array": np.ones(2)}),
    **dict.fromkeys(["n_cg_steps", "n_steps", "every"], NO_COUNT | {"0": 0}),
    "n_meta_steps": NO_COUNT | {"0": 0},
    "step_weights": NO_WEIGHTS,
    **dict.fromkeys(["rng"], NO_GENERATOR),
    "generator": {"a seed": 0, "none": None, "of NumPy": np.random.default_rng(0)},
    **dict.fromkeys(["gradient", "adapt", "product"], NO_FUNCTION),
    **dict.fromkeys(["x", "y", "v", "slope"], NO_ARRAY | {"of another length": np.ones((7, 7))}),
    **dict.fromkeys(["b", "first_rates"], NO_ARRAY),
    **dict.fromkeys(["gradients", "features"], NO_ROWS),
    "curve": NO_ARRAY | {"of another length": np.ones(5), "a table": np.ones((6, 1))},
    "one": NO_ARRAY | {"a vector": np.ones(5), "empty": np.ones((5, 0))},
    "two": NO_ARRAY | {"a vector": np.ones(5), "of other inputs": np.ones((4, 2))},
    "anchor": {name: value for name, value in NO_THETA.items() if "not finite" not in name},
    "family": {"none": None, "a class": Sinusoids, "tasks": BATCH, "an object": object()},
    "config": {"none": None, "a dict": asdict(CONFIG), "a class": train.MetaConfig},
    "checkpoint": {"a number": 3, "a list": ["run.npz"], "bytes": b"run.npz", "empty": ""},
    "path": {"a number": 3, "none": None, "a list": ["run.npz"]},
    "run": {"none": None, "a path": "run.npz", "a dict": vars(a_run()), "a class": train.Run},
    "like": {"an array": START, "a number": 0.5, "text": "torch"},
}
# What may stand in the place of a plain number.
BOXED = {
    "a tensor": torch.tensor(0.1, dtype=torch.float64),
    "a parameter": nn.Parameter(torch.tensor(0.1, dtype=torch.float64)),
    "an array": np.array(0.1),
    "NumPy's number": np.float64(0.1),
}
BOXED_ONES = {"a tensor": torch.tensor(1), "an array": np.array(1), "NumPy's number": np.int64(1)}

MODULES = {
    **{maml: "numpy", family: "numpy", lean: "numpy", measures: "numpy", train: "numpy"},
    **{maml_torch: "torch", family_torch: "torch"},
}


def functions():
    """Public functions whose parameters have a right value each, by name, with their engine."""
    for module, engine in MODULES.items():
        for name in getattr(module, "__all__", vars(module)):
            function = getattr(module, name)
            public = inspect.isfunction(function) and not name.startswith("_")
            if public and function.__module__ == module.__name__:
                yield f"{module.__name__.split('.')[1]}.{name}", function, engine
    for engine, values in RIGHT.items():
        for name, method in inspect.getmembers(values["model"], inspect.ismethod):
            if not name.startswith("_"):
                yield f"{engine} MLP.{name}", method, engine


def right_call(function, engine, tmp_path):
    """A call that is right, as arguments by name, or nothing if the function takes other things."""
    values = COMMON | RIGHT[engine]
    values |= {"checkpoint": tmp_path / "run.npz", "path": tmp_path / "kept.npz", "run": a_run()}
    values |= {"like": torch.tensor(START)}
    parameters = inspect.signature(function).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.name in {*values, "alpha"}]
    if any(p.default is p.empty and p.name not in known for p in parameters):
        return None
    call = {name: values[name] for name in known if name != "alpha"}
    if "alpha" not in known:
        return call
    for alpha in ALPHAS:
        alpha = torch.as_tensor(alpha) if engine == "torch" and np.ndim(alpha) else alpha
        try:
            run(function, call | {"alpha": alpha})
        except ValueError:
            continue
        return call | {"alpha": alpha}
    raise AssertionError(f"no rates are right for {function}")


def run(function, call):
    """The answer, all of it where it comes in pieces."""
    parameters = inspect.signature(function).parameters.values()
    positional = [p.name for p in parameters if p.name in call and p.kind is not p.KEYWORD_ONLY]
    if isinstance(call.get("rng"), np.random.Generator):  # each call draws the same
        call = call | {"rng": deepcopy(call["rng"])}
    rest = {name: value for name, value in call.items() if name not in positional}
    answer = function(*(call[name] for name in positional), **rest)
    return list(answer) if inspect.isgenerator(answer) else answer


# Not those that take what is made within the package alone.
FOUND = {
    name: (function, engine)
    for name, function, engine in functions()
    if right_call(function, engine, Path()) is not None
}


@pytest.fixture
def called(request, tmp_path):
    """A function and a call of it that is right."""
    function, engine = FOUND[request.param]
    train.save_run(a_run(), tmp_path / "kept.npz")
    call = right_call(function, engine, tmp_path)
    run(function, call)
    return function, engine, call


def complaint(function, call, name):
    """What is wrong with the answer to a wrong argument; nothing if it is named."""
    try:
        run(function, call)
    except ValueError as error:
        return None if re.search(rf"\b{name}", str(error)) else f"does not name it: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "taken in silence"


def is_default(function, name, value):
    return value is inspect.signature(function).parameters[name].default


def other_engine(function, engine, name):
    """The same argument for the other engine, which is as wrong; tensors are made of either."""
    values = RIGHT["numpy" if engine == "torch" else "torch"]
    both = name == "tasks" and (engine == "torch" or function is train.evaluate)
    right = name not in values or name in ("rng", "gradient") or both
    return {} if right else {"of the other engine": values[name]}


def is_right_here(function, name, what):
    """Whether what is wrong elsewhere is right for this function."""
    parameters = inspect.signature(function).parameters
    if name == "tasks":  # to convert tasks is to convert a single one, too
        return what == "a single task" and "theta" not in parameters
    if name == "theta" and (inspect.ismethod(function) or "x" in parameters):  # any axes before
        return what in ANY_AXES
    return name == "theta" and "model" not in parameters and what in ANY_LENGTH


@pytest.mark.parametrize("called", FOUND, indirect=True)
def test_a_wrong_argument_is_named(called):
    function, engine, call = called
    complaints = {}
    for name in set(call) & set(WRONG):
        for what, value in (WRONG[name] | other_engine(function, engine, name)).items():
            if is_default(function, name, value) or is_right_here(function, name, what):
                continue
            found = complaint(function, call | {name: value}, name)
            if found:
                complaints[f"{name}: {what}"] = found
    assert not complaints


@pytest.mark.parametrize("called", FOUND, indirect=True)
def test_a_number_may_come_in_a_box(called):
    function, _, call = called
    for name in ("alpha", "lam", "step", "n_inner_steps", "n_cg_steps"):
        if name not in call or np.ndim(call[name]):
            continue
        boxes = BOXED_ONES if name.startswith("n_") else BOXED
        plain = run(function, call | {name: 1 if name.startswith("n_") else 0.1})
        for box in boxes.values():
            for one, two in zip(flat(plain), flat(run(function, call | {name: box})), strict=True):
                assert np.array_equal(one, two)


def flat(answer):
    """All arrays of an answer."""
    if isinstance(answer, tuple | list):
        return [array for part in answer for array in flat(part)]
    return [np.asarray(answer)] if hasattr(answer, "shape") else []


def test_the_functions_are_found():
    wanted = {"measures.spread", "measures.noise", "measures.cka", "measures.probe"}
    assert wanted <= set(FOUND)
    wanted = {"maml.adapt", "maml_torch.anil_gradient", "family.imaml_adapt", "train.resume"}
    assert wanted | {"lean.maml_gradient", "numpy MLP.hvp", "torch MLP.loss"} <= set(FOUND)


def test_more_axes_of_numbers_are_named():
    """What ``accuracy_after`` takes needs tasks of another kind than the table has."""
    model = MLP((1, 3, 2), objective="cross_entropy")
    task = Task(BATCH.x_support, np.zeros((3, 4), int), BATCH.x_query, np.zeros((3, 5), int))
    start = model.init(np.random.default_rng(0))
    measure = partial(measures.accuracy_after, model, start, task, alpha=0.1)
    assert measure(steps=(0, np.int64(2))).shape == (2, N_TASKS)
    for steps in (None, "ab", 3, [-1], [0.5], []):
        with pytest.raises(ValueError, match="steps"):
            measure(steps=steps)


SETTINGS = {field.name: getattr(CONFIG, field.name) for field in fields(train.MetaConfig)}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_plain_numbers_or_named(name):
    value = SETTINGS[name]
    wrong = NO_COUNT if isinstance(value, int) else NO_NUMBER
    if isinstance(value, str):
        wrong = WRONG["inner"] | {"momentum": "momentum", "a rule": maml.SGD}
    for what, bad in wrong.items():
        with pytest.raises(ValueError, match=name):
            print(what, train.MetaConfig(**{name: bad}))
    if not isinstance(value, str):
        boxes = BOXED_ONES if isinstance(value, int) else BOXED
        for box in boxes.values():
            config = train.MetaConfig(**{name: box})
            assert json.loads(json.dumps(asdict(config))) == asdict(config)


NO_RANGE = {
    **{"none": None, "a number": 3, "text": "ab", "three": (0, 1, 2), "one": (1,), "empty": ()},
    **{"the wrong way round": (5, 1), "nan": (0, np.nan), "infinite": (0, np.inf)},
    **{"texts": ("0", "1"), "complex": (0, 1j), "booleans": (False, True), "a dict": {0: 1, 1: 2}},
    **{"an array of two axes": np.ones((1, 2)), "a set": {1, 2}, "none within": (None, 1)},
}
FAMILIES = [
    (made, field.name)
    for made in (tasks.Sinusoids, tasks.Lines, tasks.Waves)
    for field in fields(made)
]


@pytest.mark.parametrize(("made", "name"), FAMILIES)
def test_a_range_that_is_none_is_named(made, name):
    is_range = isinstance(getattr(made(), name), tuple)
    wrong = NO_RANGE if is_range else NO_NUMBER
    for what, value in wrong.items():
        with pytest.raises(ValueError, match=name):
            print(what, made(**{name: value}))
    if is_range:
        for value in ([0.5, 1], np.array([0.5, 1]), (torch.tensor(0.5), 1)):
            family = made(**{name: value})
            assert getattr(family, name) == (0.5, 1)
            assert hash(family) == hash(made(**{name: (0.5, 1)}))


@pytest.mark.parametrize("made", [tasks.Sinusoids, tasks.Lines, tasks.Waves])
def test_a_family_draws_from_a_generator_only(made):
    for rng in NO_GENERATOR.values():
        with pytest.raises(ValueError, match=r"rng must be a numpy\.random\.Generator"):
            made().sample(rng, 2, 3, 4)
    for count in ("n_tasks", "n_shots", "n_queries"):
        for value in NO_COUNT.values():
            with pytest.raises(ValueError, match=count):
                made().sample(np.random.default_rng(0), **({**COUNTS, count: value}))
    boxed = made().sample(np.random.default_rng(0), *map(torch.tensor, COUNTS.values()))
    assert boxed.x_query.shape == (2, 4, 1)


COUNTS = {"n_tasks": 2, "n_shots": 3, "n_queries": 4}
NO_POINTS = {
    **{
        "none": None,
        "a list": [[0.0]],
        "text": "points",
        "a class": np.ndarray,
        "no axis": np.ones(()),
    },
    **{"strings": X.astype(str), "objects": X.astype(object), "complex": X + 0j},
    **{"masked": np.ma.masked_array(X, X > 0), "a matrix": np.matrix(X)},
    **{"a complex tensor": torch.tensor(X) + 0j, "a sparse tensor": torch.tensor(X).to_sparse()},
    **{"dates": X.astype("datetime64[s]"), "not finite": X * np.nan, "empty": X[:0]},
}


@pytest.mark.parametrize("name", ["x_support", "y_support", "x_query", "y_query"])
def test_points_that_are_none_are_named(name):
    right = dict.fromkeys(["x_support", "y_support", "x_query", "y_query"], X)
    for what, value in NO_POINTS.items():
        with pytest.raises(ValueError, match=name):
            print(what, Task(**right | {name: value}))
        if name.startswith("x"):
            for nested in ({"image": X, "mask": value}, (X, (value,))):
                with pytest.raises(ValueError, match=name):
                    print(what, Task(**right | {name: nested}))
    if name.startswith("y"):
        with pytest.raises(ValueError, match=name):
            Task(**right | {name: (X, X)})
    else:
        Task(**right | {name: (X, X > 0)})  # a mask is no number and may be there


@pytest.mark.parametrize("n_shots", NO_COUNT.values(), ids=NO_COUNT)
def test_shots_that_cannot_be_counted_are_named(n_shots):
    with pytest.raises(ValueError, match="n_shots"):
        Task.split(BATCH.x_query, BATCH.y_query, n_shots)
    with pytest.raises(ValueError, match="n_shots"):
        Task.by_class(np.zeros((2, 3, 4, 1)), n_shots)


def test_points_are_split_only_where_there_is_an_axis_of_them():
    for what, value in NO_POINTS.items():
        if what not in ("not finite", "empty"):
            for call in (partial(Task.split, y=X), lambda x, n_shots: Task.split(X, x, n_shots)):
                with pytest.raises(ValueError, match=r"\b[xy](_support)? "):
                    call(value, n_shots=1)
            with pytest.raises(ValueError, match=r"\bx "):
                Task.by_class(value, n_shots=1)


@pytest.mark.parametrize("made", [MLP, maml_torch.MLP])
def test_networks_that_cannot_be_are_named(made):
    wrong = (
        None,
        3,
        "12",
        (1,),
        (),
        (1, 0, 1),
        (1, 2.5),
        (1, "2"),
        (1, None),
        (True, 1),
        {1: 2},
        [[1, 2]],
    )
    for sizes in wrong:
        with pytest.raises(ValueError, match="sizes"):
            made(sizes)
    for value in (None, 3, "gelu", ["relu"], torch.relu, nn.ReLU):
        with pytest.raises(ValueError, match="activation"):
            made(SIZES, value)
        with pytest.raises(ValueError, match="objective"):
            made(SIZES, objective=value)
    model = made([1, np.int64(3), torch.tensor(1)])
    assert model == made(SIZES)
    assert hash(model) == hash(made(SIZES))


def test_a_list_says_which_element_is_wrong():
    cases = {
        "element 1 is None": [SINGLE[0], None],
        "element 2 is ndarray of shape": [*SINGLE[:2], X],
        "element 0 holds arrays, element 1 tensors": [SINGLE[0], tensors(SINGLE[1])],
        r"element 1 is a batch: its x_support has shape \(3, 4, 1\)": [SINGLE[0], BATCH],
        r"Task\(\*tasks\) makes one": list(vars(BATCH).values()),
    }
    for message, given in cases.items():
        with pytest.raises(ValueError, match=rf"tasks .*{message}"):
            maml.maml_gradient(MLP(SIZES), START, given, alpha=0.1)


def test_arrays_that_torch_cannot_take_as_they_are_are_converted():
    model, start = RIGHT["torch"]["model"], RIGHT["torch"]["theta"]
    wanted = maml_torch.maml_gradient(model, start, BATCH, alpha=0.1)
    for change in (
        lambda array: np.ascontiguousarray(array[::-1])[::-1],
        lambda array: array.astype(array.dtype.newbyteorder()),
        lambda array: array.astype(np.longdouble),
    ):
        found = maml_torch.maml_gradient(model, start, BATCH.map(change), alpha=0.1)
        assert all(map(torch.equal, found, wanted))


def test_evaluation_takes_tasks_of_either_kind_and_lists():
    settings = {"alpha": 0.1, "n_inner_steps": 2}
    wanted = train.evaluate(MLP(SIZES), START, BATCH, **settings).losses
    net, start = RIGHT["torch"]["model"], RIGHT["torch"]["theta"]
    for given in (BATCH, tensors(BATCH), SINGLE, [tensors(task) for task in SINGLE]):
        for model, theta, adapt in (
            (MLP(SIZES), START, maml.adapt),
            (net, start, maml_torch.adapt),
        ):
            found = train.evaluate(model, theta, given, adapt=adapt, **settings).losses
            assert np.allclose(found, wanted, rtol=1e-12)
    for model, theta, adapt in ((MLP(SIZES), START, maml_torch.adapt), (net, start, maml.adapt)):
        with pytest.raises(ValueError, match=r"(theta|model) must be"):
            train.evaluate(model, theta, BATCH, adapt=adapt, **settings)


def test_labels_keep_their_kind_in_an_evaluation():
    x, y = BATCH.x_support, np.arange(12).reshape(3, 4) % 2
    task = Task(x, y, x, y)
    for dtype in (torch.float32, torch.float64):
        net = maml_torch.MLP((1, 3, 2), objective="cross_entropy")
        start = torch.ones(net.n_params, dtype=dtype)
        found = train.evaluate(net, start, task, alpha=0.1, n_inner_steps=1, adapt=maml_torch.adapt)
        assert found.losses[:, 0] == pytest.approx(np.log(2))


def not_runs(folder):
    """Files that are none of ``save_run``, by what they are."""
    whole = folder / "whole.npz"
    train.save_run(a_run(), whole)
    data = whole.read_bytes()
    kept = dict(np.load(whole))
    files = {
        **{"cut off": data[: len(data) // 2], "cut off late": data[:-10], "empty": b""},
        **{"text": b"theta = 1\n", "noise": bytes(range(256)) * 9, "an archive": EMPTY_ARCHIVE},
        "with a byte changed": data[:200] + bytes([data[200] ^ 255]) + data[201:],
    }
    for what, content in files.items():
        path = folder / f"{what}.npz"
        path.write_bytes(content)
        yield what, path
    state = json.loads(str(kept["settings"]))
    changes = {
        "something else": {"a": np.ones(3)},
        "settings of text": kept | {"settings": "none"},
        "settings of another kind": kept | {"settings": json.dumps([1])},
        "a bad setting": kept | {"settings": json.dumps(state | {"config": {"alpha": -1}})},
        "an unknown setting": kept | {"settings": json.dumps(state | {"config": {"speed": 1}})},
        "no generator": kept | {"settings": json.dumps(state | {"rng_state": {}})},
        "another generator": kept
        | {"settings": json.dumps(state | {"rng_state": {"bit_generator": "seed"}})},
        "objects": kept | {"theta": np.array([None, {}])},
        "other moments": kept | {"m": np.ones(3)},
        "no vector": kept | {"theta": np.ones((2, 5))},
        "text for theta": kept | {"theta": np.full(N, "a")},
    }
    for what, arrays in changes.items():
        path = folder / f"{what}.npz"
        np.savez(path, **arrays)
        yield what, path
    np.save(folder / "array.npy", START)
    yield "one array", folder / "array.npy"
    yield "a folder", folder


EMPTY_ARCHIVE = b"PK\x05\x06" + bytes(18)


def test_a_file_that_is_no_whole_run_is_named(tmp_path):
    for what, path in not_runs(tmp_path):
        with pytest.raises(ValueError, match=re.escape(f"path {str(path)!r} is not a saved run: ")):
            print(what, train.load_run(path))
    with pytest.raises(FileNotFoundError, match="nothing"):
        train.load_run(tmp_path / "nothing.npz")
    assert np.array_equal(train.load_run(str(tmp_path / "whole.npz")).theta, np.ones(N))


GOING_ON = {"progress": False}


@pytest.mark.parametrize("n", [N - 1, N + 1])
@pytest.mark.parametrize("engine", RIGHT)
def test_a_run_of_another_model_does_not_fit(tmp_path, n, engine):
    train.save_run(a_run(n), tmp_path / "run.npz")
    like = torch.ones(1) if engine == "torch" else None
    run, gradient = train.load_run(tmp_path / "run.npz", like=like), maml.maml_gradient
    gradient = maml_torch.maml_gradient if engine == "torch" else gradient
    with pytest.raises(ValueError, match=rf"run does not fit the model.*{n},.*n_params = {N}"):
        train.resume(RIGHT[engine]["model"], run, Sinusoids(), gradient=gradient, **GOING_ON)


def never(*args, **settings):
    raise AssertionError("a step was taken")


def meta_train(checkpoint, gradient=never, **changes):
    rng = np.random.default_rng(0)
    settings = {"rng": rng, "gradient": gradient, "checkpoint": checkpoint, **GOING_ON}
    return train.meta_train(MLP(SIZES), START, Sinusoids(), CONFIG, **settings | changes)


def test_a_checkpoint_that_cannot_be_written_is_named_before_the_first_step(tmp_path):
    (tmp_path / "a file").write_text("")
    (tmp_path / "folder").mkdir()
    long, zero = "x" * 300, "\0.npz"
    for place in ("no/such/folder/run.npz", "a file/run.npz", "folder", long, zero):
        before = sorted(tmp_path.rglob("*"))
        for path in (tmp_path / place, str(tmp_path / place)):
            with pytest.raises(ValueError, match=r"checkpoint '.*' cannot be written"):
                meta_train(path)
            with pytest.raises(ValueError, match=r"checkpoint '.*' cannot be written"):
                train.resume(MLP(SIZES), a_run(), Sinusoids(), checkpoint=path, gradient=never)
        assert sorted(tmp_path.rglob("*")) == before


def test_what_is_wrong_with_a_call_leaves_a_checkpoint_alone(tmp_path):
    path = tmp_path / "run.npz"
    train.save_run(a_run(), path)
    kept = path.read_bytes()
    for changes in ({"every": 0}, {"rng": 3}, {"gradient": 3}):
        with pytest.raises(ValueError, match=next(iter(changes))):
            meta_train(path, **changes)
    with pytest.raises(ValueError, match="theta has shape"):
        train.meta_train(
            *(MLP(SIZES), START[1:], Sinusoids(), CONFIG),
            **{"rng": np.random.default_rng(0), "checkpoint": path, "progress": False},
        )
    assert path.read_bytes() == kept
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_checkpoint_before_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "run.npz"
    train.save_run(a_run(), path)
    kept = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(train.os, step, full)
    with pytest.raises(OSError, match=r"run\.npz' could not be written.*No space left"):
        meta_train(path, gradient=maml.maml_gradient)
    assert path.read_bytes() == kept
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]


KINDS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


@pytest.mark.parametrize("kind", KINDS)
def test_every_generator_of_numpy_outlives_a_checkpoint(tmp_path, kind):
    path = tmp_path / "run.npz"

    def meta_trained(n_meta_steps, **more):
        rng = np.random.Generator(getattr(np.random, kind)(7))
        config = train.MetaConfig(n_tasks=2, n_meta_steps=n_meta_steps)
        settings = {"rng": rng, "progress": False, **more}
        return train.meta_train(MLP(SIZES), START, Sinusoids(), config, **settings)

    meta_trained(2, checkpoint=path)
    rest = train.resume(MLP(SIZES), train.load_run(path), Sinusoids(), n_meta_steps=3, **GOING_ON)
    assert np.array_equal(rest.theta, meta_trained(5).theta)
