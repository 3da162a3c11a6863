"""``python -m maml_teach.check``: what is right passes, what is wrong is named."""

import os
import subprocess
import sys
import tomllib
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from maml_teach import check, diagnosis
from maml_teach.check import likeliest, main, score
from maml_teach.mistaken import MISTAKES
from maml_teach.tasks import Task
from maml_teach.vectors import METHODS, network, reference, vectors

# Somebody's MAML: plain torch, task by task, nothing of the package.
PLAIN = """
import torch
from torch.nn import functional as F

OTHER = {"support": "query", "query": "support"}


def output(theta, x, sizes, activation):
    start = 0
    for k, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:])):
        W = theta[start : start + n_in * n_out].reshape(n_in, n_out)
        start += n_in * n_out
        b = theta[start : start + n_out]
        start += n_out
        x = x @ W + b
        if k < len(sizes) - 2:
            x = getattr(torch, activation)(x)
    return x


def step(theta, g, state, alpha, k, method):
    if method == "momentum":
        m = 0.9 * state[0] + g
        return theta - alpha * m, (m, None)
    if method == "adam":
        m, v = 0.9 * state[0] + 0.1 * g, 0.999 * state[1] + 0.001 * g * g
        root = torch.sqrt(v / (1 - 0.999**k)) + 1e-8
        return theta - alpha * m / (1 - 0.9**k) / root, (m, v)
    return theta - alpha * g, state


def my_gradient(problem):
    method, sizes, n_steps = problem["method"], problem["sizes"], problem["n_inner_steps"]
    theta = torch.tensor(problem["theta"], requires_grad=True)
    alpha = torch.tensor(problem["alpha"], dtype=torch.float64, requires_grad=True)
    rates = alpha
    if method == "anil":
        rates = alpha * (torch.arange(len(theta)) >= len(theta) - (sizes[-2] + 1) * sizes[-1])
    loss_of = {"mse": F.mse_loss, "cross_entropy": F.cross_entropy}[problem["objective"]]
    losses, ends = [], []
    for task in problem["tasks"]:
        task = {key: torch.tensor(value) for key, value in task.items()}

        def loss(theta, part):
            found = output(theta, task["x_" + part], sizes, problem["activation"])
            return loss_of(found, task["y_" + part])

        theta_k, state = theta, (torch.zeros(len(theta)), torch.zeros(len(theta)))
        for k in range(n_steps):
            graph = method not in ("fomaml", "reptile")
            (g,) = torch.autograd.grad(loss(theta_k, "support"), theta_k, create_graph=graph)
            theta_k, state = step(theta_k, g, state, rates, k + 1, method)
        losses.append(loss(theta_k, "query"))
        ends.append(theta_k)
    meta_loss = sum(losses) / len(losses)
    if method == "reptile":
        return meta_loss, (theta - sum(ends) / len(ends)) / problem["alpha"]
    if method == "meta_sgd":
        return meta_loss, *torch.autograd.grad(meta_loss, (theta, alpha))
    return meta_loss, torch.autograd.grad(meta_loss, theta)[0]
"""

names = (f"somebodys_maml_{k}" for k in count())  # Python keeps what it has imported


@pytest.fixture
def checked(tmp_path, monkeypatch, capsys):
    """Writes a module, runs the command on it; the exit code, and what was printed."""
    monkeypatch.syspath_prepend(tmp_path)

    def run(text, *options, function="my_gradient"):
        name = next(names)
        (tmp_path / f"{name}.py").write_text(text, "utf-8")
        code = main([f"{name}:{function}", *options])
        return code, *capsys.readouterr()

    return run


def edited(*changes):
    text = PLAIN
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def told(out):
    """The sentence of the likeliest mistake."""
    (line,) = [one for one in out.splitlines() if one.startswith("Likeliest mistake")]
    return line.partition(": ")[2]


def test_the_command_passes_a_right_one(tmp_path):
    (tmp_path / "mine.py").write_text(PLAIN, "utf-8")
    command = [sys.executable, "-m", "maml_teach.check", "mine:my_gradient"]
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    *lines, last = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[:2] for line in lines] == [[one.name, "ok"] for one in vectors()]
    assert last == f"{len(lines)} vectors: {len(lines)} ok." and done.stderr == ""


PLANTED = {
    "first order": (
        ("create_graph=graph", "create_graph=False"),
        "the walk back is missing: this is first-order MAML (create_graph forgotten, or a detach)",
    ),
    "sum for mean": (
        ("meta_loss = sum(losses) / len(losses)", "meta_loss = sum(losses)"),
        "the gradient is off by the factor 4, the number of tasks: a sum, not their mean",
    ),
    "sets exchanged": (
        (
            'task["x_" + part], sizes, problem["activation"])\n'
            "            return loss_of(found, task[",
            'task["x_" + OTHER[part]], sizes, problem["activation"])\n'
            '            return loss_of(found, {"y_" + OTHER[k[2:]]: v for k, v in task.items()}[',
        ),
        "support and query set are exchanged",
    ),
    "a step too few": (("range(n_steps)", "range(n_steps - 1)"), "one inner step is missing"),
    "a step too many": (
        ("range(n_steps)", "range(n_steps + 1)"),
        "there is one inner step too many",
    ),
    "wrong sign": (
        ("torch.autograd.grad(meta_loss, theta)[0]", "-torch.autograd.grad(meta_loss, theta)[0]"),
        "the gradient is of the wrong sign",
    ),
    "W as in nn.Linear": (
        (".reshape(n_in, n_out)", ".reshape(n_out, n_in).T"),
        "theta is read and the gradient written with W as (n_out, n_in)",
    ),
    "b before W": (
        (
            "        W = theta[start : start + n_in * n_out].reshape(n_in, n_out)\n"
            "        start += n_in * n_out\n"
            "        b = theta[start : start + n_out]\n"
            "        start += n_out\n",
            "        b = theta[start : start + n_out]\n"
            "        W = theta[start + n_out : start + (n_in + 1) * n_out].reshape(n_in, n_out)\n"
            "        start += (n_in + 1) * n_out\n",
        ),
        "theta is read and the gradient written with b before W",
    ),
    "mean over points": (
        (
            'loss(theta_k, "query"))\n        ends.append(theta_k)\n'
            "    meta_loss = sum(losses) / len(losses)",
            'loss(theta_k, "query") * len(task["y_query"]))\n        ends.append(theta_k)\n'
            '    meta_loss = sum(losses) / sum(len(one["y_query"]) for one in problem["tasks"])',
        ),
        "the mean is over all query points, not over tasks",
    ),
    "half the square": (
        ('{"mse": F.mse_loss', '{"mse": lambda *given: F.mse_loss(*given) / 2'),
        "the squared error has a factor 1/2",
    ),
    "sums over points": (
        ('{"mse": F.mse_loss', '{"mse": lambda *given: F.mse_loss(*given, reduction="sum")'),
        "the losses are sums over the points of a set, not means",
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_mistake_is_named(planted, checked):
    change, sentence = PLANTED[planted]
    code, out, err = checked(edited(change), "--only", "maml")
    assert code == 1 and told(out) == f"{sentence}." and err == ""
    assert "Also, in" not in out


ONLY_MAML = ("--only", "maml")


def test_a_function_that_does_not_look_at_the_method_is_told_so(checked):
    ignores = edited(('problem["method"], problem["sizes"]', '"maml", problem["sizes"]'))
    code, out, _ = checked(ignores, "--only", "maml", "fomaml", "reptile", "momentum", "adam")
    assert code == 1 and "21 ok, 16 wrong." in out
    told_so = "problem['method'] is not looked at: this is the gradient of 'maml'."
    assert told(out) == told_so and "Also, in" not in out


def answers(function, method="maml"):
    """The scores of a function on the vectors of a method; ten steps tell no more than five."""
    asked = [one for one in vectors() if one.problem["method"] == method]
    return [score(function, one) for one in asked if one.problem["n_inner_steps"] < 10]


SAME = {"answers fomaml": "first-order only"}  # asked for MAML, these are one


@pytest.mark.parametrize("mistake", [name for name in MISTAKES if name not in ("", "answers maml")])
def test_every_mistake_of_the_table_is_told_from_the_others(mistake):
    wrong = [one for one in answers(MISTAKES[mistake][1]) if one.state != "ok"]
    assert {one.state for one in wrong} == {"wrong"}
    assert all(mistake in one.mistakes for one in wrong)
    [(found, sentence, n)] = likeliest(wrong)
    assert found == SAME.get(mistake, mistake) and n == len(wrong)
    assert sentence == MISTAKES[found][0]


OF_ALL = ("first-order only", "one step too few", "W transposed, written", "support as query")


@pytest.mark.parametrize("mistake", OF_ALL)
@pytest.mark.parametrize("method", ["anil", "meta_sgd", "momentum", "adam"])
def test_mistakes_are_named_with_every_second_order_method(method, mistake):
    [(found, _, n)] = likeliest(answers(MISTAKES[mistake][1], method))
    assert found == mistake and n == 4


def with_factor(factor, gradient=reference):
    def answer(problem):
        meta_loss, *gradients = gradient(problem)
        return meta_loss, *(factor * each for each in gradients)

    return answer


@pytest.mark.parametrize(
    ("method", "function", "name"),
    [
        ("meta_sgd", with_factor(-1), "wrong sign"),
        ("reptile", with_factor(0.25), "divided twice"),
        ("adam", with_factor(7.5), "scaled"),
        ("maml", with_factor(0), "scaled"),
        ("momentum", with_factor(4, MISTAKES["one step too few"][1]), None),
    ],
)
def test_a_factor_is_named(method, function, name):
    found, sentence, _ = likeliest(answers(function, method))[0]
    assert found == (name or "one step too few, sum for mean")
    assert ("multiplied by 7.5" in sentence) == (method == "adam")


def by_diagnosis(name):
    """An answer of the table that only plain MAML on arrays has."""

    def answer(problem):
        model = network(problem)
        functions = diagnosis.SingleTask(model.loss, model.gradient, model.hvp)
        tasks = [Task(**task) for task in problem["tasks"]]
        settings = problem["alpha"], problem["n_inner_steps"]
        here = diagnosis.Problem(functions, problem["theta"], tasks, *settings)
        each = [diagnosis.MISTAKES[name][1](here, task) for task in tasks]
        return reference(problem)[0], np.mean(each, axis=0)

    return answer


@pytest.mark.parametrize(
    "name", ["sign of the Hessian", "collapsed product", "Hessians at theta_prime"]
)
def test_what_diagnosis_knows_is_told(name):
    assert likeliest(answers(by_diagnosis(name)))[0][:2] == (name, diagnosis.MISTAKES[name][0])


def each_task(problem):
    return [reference({**problem, "tasks": [task]}) for task in problem["tasks"]]


def normalised(problem):
    each = [gradient / np.linalg.norm(gradient) for _, gradient in each_task(problem)]
    return reference(problem)[0], np.mean(each, axis=0)


def after_each_task(problem):
    """The start moves on with every task."""
    theta, beta = problem["theta"], 0.1
    for task in problem["tasks"]:
        at = {**problem, "theta": theta, "tasks": [task]}
        theta = theta - beta * reference(at)[1]
    return reference(problem)[0], (problem["theta"] - theta) / beta


RNG = np.random.default_rng(0)
CALLS = count()


def random(problem):
    return reference(problem)[0], RNG.normal(size=problem["theta"].shape)


def spent(problem):
    """It can be called once, then it raises."""
    if next(CALLS):
        raise RuntimeError("spent")
    return 1.0, np.ones_like(problem["theta"])


def halfway(problem):
    exact, first = reference(problem), MISTAKES["first-order only"][1](problem)
    return exact[0], (exact[1] + first[1]) / 2


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (after_each_task, "order of the tasks"),
        (normalised, "per-task scaling"),
        (random, "not repeatable"),
        (halfway, "way back"),
    ],
)
def test_the_rest_is_told_by_diagnosis(function, name):
    assert likeliest(answers(function))[0][0] == name


def test_a_second_call_that_raises_is_a_finding():
    assert (
        "raises RuntimeError: spent"
        in score(spent, named("maml_relu_mse_k02")).mistakes["not repeatable"]
    )


def named(name):
    (vector,) = [one for one in vectors() if one.name == name]
    return vector


def test_what_nothing_explains_is_said_to_be_unknown():
    unknown = "unknown", "no known mistake fits", 4
    assert likeliest(answers(random, "anil")) == [unknown]


@pytest.mark.parametrize(
    ("meta_loss", "name"),
    [
        (lambda problem: 4 * reference(problem)[0], "meta-loss summed"),
        (lambda problem: MISTAKES["no inner loop"][1](problem)[0], "meta-loss before adapting"),
        (lambda problem: MISTAKES["support as query"][1](problem)[0], "meta-loss on the support"),
        (lambda problem: 17.0, "meta-loss"),
    ],
)
def test_a_wrong_loss_beside_a_right_gradient_is_named(meta_loss, name):
    scores = answers(lambda problem: (meta_loss(problem), reference(problem)[1]))
    assert likeliest(scores)[0][0].startswith(name)


def test_single_precision_is_told_from_a_mistake(checked):
    single = edited(
        (
            '    theta = torch.tensor(problem["theta"], requires_grad=True)',
            '    theta = torch.tensor(problem["theta"]).float().requires_grad_()',
        ),
        ("torch.tensor(value)", "torch.tensor(value, dtype=KINDS[key[0], value.dtype.kind])"),
        (
            'OTHER = {"',
            'KINDS = {("x", "f"): torch.float32, ("y", "f"): torch.float32, '
            '("y", "i"): torch.int64}\nOTHER = {"',
        ),
        (
            'alpha = torch.tensor(problem["alpha"], dtype=torch.float64',
            'alpha = torch.tensor(problem["alpha"], dtype=torch.float32',
        ),
    )
    code, out, _ = checked(single, *ONLY_MAML)
    assert code == 1 and told(out).startswith("right but for rounding: single precision")
    assert checked(single, "--tolerance", "1e-4")[0] == 0


def test_methods_that_are_not_there_are_skipped(checked):
    first = (
        "    method, sizes",
        '    if problem["method"] != "maml":\n'
        '        raise NotImplementedError("no " + problem["method"])\n    method, sizes',
    )
    code, out, _ = checked(edited(first))
    assert code == 0 and "21 ok, 24 skipped." in out
    assert "skipped  no adam" in out
    code, out, _ = checked(edited(first), "--only", "adam")
    assert code == 1 and "nothing was checked" in out


def test_an_error_is_a_line_and_the_rest_goes_on(checked):
    code, out, _ = checked(edited(('"cross_entropy": F.cross_entropy', '"": 0')), *ONLY_MAML)
    assert code == 1 and out.count("KeyError") == 10 + 1 and "11 ok, 10 error." in out
    assert "The first error, in maml_relu_cross_entropy_k00: KeyError: 'cross_entropy'" in out


def test_nan_is_wrong(checked):
    code, out, _ = checked(
        "def my_gradient(problem): return float('nan'), problem['theta'] * float('nan')", *ONLY_MAML
    )
    assert code == 1 and told(out) == "the answer holds nan or inf."


UNUSABLE = {
    "a number": ("1.0", "got a float"),
    "three": ("1.0, [0.0] * 39, [0.0] * 39", "got a tuple of 3 (for a method"),
    "a layer": ("1.0, problem['theta'][:8]", "got shapes (), (8,)"),
    "losses": ("problem['theta'], problem['theta']", "got shapes (39,), (39,)"),
    "ragged": ("1.0, [[1.0], [1.0, 2.0]]", "got what is no array of numbers"),
    "words": ("1.0, 'none'", "got what is no array of numbers"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_answers_of_the_wrong_shape_are_no_answers(what, checked):
    returned, sentence = UNUSABLE[what]
    code, out, err = checked(f"def my_gradient(problem): return {returned}", *ONLY_MAML)
    assert code == 2 and out == ""
    assert "must return (meta_loss, gradient) for maml_relu_cross_entropy_k00" in err
    assert sentence in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("nowhere_at_all:f", "the module 'nowhere_at_all' cannot be imported: ModuleNotFoundError"),
        ("math:nothing", "'nothing' does not exist in the module 'math'"),
        ("math:pi", "'pi' is no function in the module 'math'"),
        ("math", "give module:function, such as my_module:my_gradient, got 'math'"),
        (":f", "give module:function"),
    ],
)
def test_what_cannot_be_found_is_said(spec, sentence, capsys):
    assert main([spec]) == 2
    out, err = capsys.readouterr()
    assert sentence in err and out == "" and len(err.splitlines()) == 1


def test_a_module_with_an_error_is_said(checked):
    code, _, err = checked("def my_gradient(")
    assert code == 2 and "cannot be imported: SyntaxError" in err
    code, _, err = checked("import nowhere_at_all")
    assert code == 2 and "No module named 'nowhere_at_all'" in err


def test_an_unknown_method_is_refused(capsys):
    with pytest.raises(SystemExit) as left:
        main(["math:sin", "--only", "mamal"])
    assert left.value.code == 2 and "invalid choice: 'mamal'" in capsys.readouterr().err


def test_help_says_what_the_function_is_given(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    told = capsys.readouterr().out
    assert left.value.code == 0
    assert all(f"    {key} " in told for key in vectors()[0].problem)
    assert all(f'"{method}"' in told for method in METHODS)


def test_a_function_may_spoil_what_it_is_given():
    def spoils(problem):
        answer = reference(problem)
        problem["theta"][:] = 0
        problem["tasks"].clear()
        return answer

    vector = named("maml_relu_mse_k02")
    assert score(spoils, vector).state == score(spoils, vector).state == "ok"


def test_several_mistakes_are_told_one_after_the_other(checked):
    """Without a second order, and with the wrong sign where the method is Reptile's."""
    several = edited(
        ("create_graph=graph", "create_graph=False"),
        ("return meta_loss, (theta - sum", "return meta_loss, -(theta - sum"),
    )
    code, out, _ = checked(several, "--only", "reptile", "adam", "momentum", "fomaml")
    *_, counts, first, second = out.splitlines()
    assert code == 1 and counts == "16 vectors: 4 ok, 12 wrong."
    assert first.startswith("Likeliest mistake, in 8 of 12 wrong answers: the walk back is missing")
    assert second == "Also, in 4 of 12 wrong answers: the gradient is of the wrong sign."


def test_the_package_takes_the_vectors_along():
    root = Path(check.__file__).parents[1]
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    patterns = settings["package-data"]["maml_teach"]
    taken = {path for one in patterns for path in (root / "maml_teach").glob(one) if path.is_file()}
    assert set((root / "maml_teach" / "data" / "vectors").iterdir()) <= taken
