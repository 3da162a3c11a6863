"""The torch engine against the plain loop: autograd through the inner steps, task by task."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from problems import KINDS, random_problem
from torch import nn
from torch.func import functional_call

from maml_teach import maml, maml_torch
from maml_teach.checks import relative_error
from maml_teach.recognised_torch import as_mlp
from maml_teach.tasks import Task, arrays_in, map_arrays

EXAMPLE = Path(__file__).parent.parent / "examples" / "port_learn2learn.py"
WRAPPERS = {
    "one_by_one": maml_torch.from_module,
    "all_at_once": maml_torch.from_module_all_at_once,
}


def image_tasks(n_tasks=3, n_ways=4, n_points=(8, 20)):
    """More query images than from_module needs to lay them out with channels innermost."""
    rng = np.random.default_rng(0)
    arrays = []
    for n in n_points:
        arrays.append(torch.tensor(rng.normal(size=(n_tasks, n, 1, 6, 6))))
        arrays.append(torch.tensor(rng.integers(0, n_ways, size=(n_tasks, n))))
    return Task(*arrays)


def conv_net(*norm):
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3), *norm, nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4)]
    return nn.Sequential(*layers).double()


def eval_net():
    net = conv_net(nn.BatchNorm2d(3))
    net[1].running_mean.fill_(0.2)
    net[1].running_var.fill_(1.7)
    return net.eval()


NETS = {
    "plain": conv_net,
    "batch_norm": lambda: conv_net(nn.BatchNorm2d(3)),
    "batch_norm_without_running": lambda: conv_net(nn.BatchNorm2d(3, track_running_stats=False)),
    "batch_norm_in_eval_mode": eval_net,
    "group_norm": lambda: conv_net(nn.GroupNorm(3, 3)),
}


def call(net, parameters, x):
    buffers = {name: b.clone() for name, b in net.named_buffers()}
    if isinstance(x, dict):
        return functional_call(net, {**parameters, **buffers}, (), x)
    return functional_call(net, {**parameters, **buffers}, x if isinstance(x, tuple) else (x,))


def plain_loop(net, loss, tasks, alpha, n_inner_steps, *, first_order=False):
    """The meta-gradient as every tutorial writes it; ``alpha`` is a number or one per tensor."""
    names = [name for name, p in net.named_parameters() if p.requires_grad]
    start = [dict(net.named_parameters())[name] for name in names]
    rates = alpha if isinstance(alpha, list) else [alpha] * len(names)
    meta_loss = 0.0
    for t in range(tasks.n_tasks):
        xs, xq = (map_arrays(lambda a, t=t: a[t], x) for x in (tasks.x_support, tasks.x_query))
        ys, yq, now = tasks.y_support[t], tasks.y_query[t], start
        for _ in range(n_inner_steps):
            inner_loss = loss(call(net, dict(zip(names, now, strict=True)), xs), ys)
            steps = torch.autograd.grad(inner_loss, now, create_graph=not first_order)
            now = [p - r * g for p, r, g in zip(now, rates, steps, strict=True)]
        output = call(net, dict(zip(names, now, strict=True)), xq)
        meta_loss = meta_loss + loss(output, yq) / tasks.n_tasks
    gradient = torch.autograd.grad(meta_loss, start)
    return meta_loss.detach(), torch.cat([g.reshape(-1) for g in gradient])


def assert_equal(answer, expected):
    assert relative_error([float(answer[0])], [float(expected[0])]) < 1e-10
    assert relative_error(answer[1].numpy(), expected[1].numpy()) < 1e-10


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("n_inner_steps", [0, 1, 3, 6])
def test_a_module_has_the_gradient_of_the_plain_loop(net, wrapper, n_inner_steps):
    """Second order through BatchNorm included; 6 steps are more than the walk keeps graphs of."""
    net, tasks, loss = NETS[net](), image_tasks(), nn.functional.cross_entropy
    expected = plain_loop(net, loss, tasks, 0.2, n_inner_steps)
    for objective in (loss, "cross_entropy"):
        model = WRAPPERS[wrapper](net, objective)
        assert model.n_kept < 6 or wrapper == "all_at_once"
        answer = maml_torch.maml_gradient(
            model, model.theta(), tasks, alpha=0.2, n_inner_steps=n_inner_steps
        )
        assert_equal(answer, expected)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("net", NETS)
def test_first_order_is_that_of_the_plain_loop(net, wrapper):
    net, tasks, loss = NETS[net](), image_tasks(), nn.functional.cross_entropy
    model = WRAPPERS[wrapper](net, loss)
    answer = maml_torch.fomaml_gradient(model, model.theta(), tasks, alpha=0.2, n_inner_steps=4)
    assert_equal(answer, plain_loop(net, loss, tasks, 0.2, 4, first_order=True))


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_running_statistics_are_neither_read_nor_changed_in_training(wrapper):
    net, tasks = NETS["batch_norm"](), image_tasks()
    inner = {"alpha": 0.2, "n_inner_steps": 5}
    answers = []
    for mean in (0.0, 3.0):
        net[1].running_mean.fill_(mean)
        before = {name: b.clone() for name, b in net.named_buffers()}
        model = WRAPPERS[wrapper](net, "cross_entropy")
        answers.append(maml_torch.maml_gradient(model, model.theta(), tasks, **inner))
        maml_torch.adapt(model, model.theta(), tasks, **inner)
        assert all(torch.equal(b, before[name]) for name, b in net.named_buffers())
    assert torch.equal(answers[0][1], answers[1][1])


@pytest.mark.parametrize("n_inner_steps", [1, 2, 5, 10])
@pytest.mark.parametrize(("activation", "objective"), KINDS)
def test_the_mlp_has_the_gradient_of_plain_autograd(activation, objective, n_inner_steps):
    """For one rate, one per parameter, one per step, and one per step and parameter."""
    model, theta, tasks = random_problem(activation, objective)
    twin = maml_torch.MLP(model.sizes, activation, objective)
    rng = np.random.default_rng(3)
    shapes = [(twin.n_params,), (2, 1), (2, twin.n_params)]
    for alpha in (0.3, *(rng.uniform(-0.1, 0.3, size=shape) for shape in shapes)):
        inner = {"alpha": alpha, "n_inner_steps": n_inner_steps}
        expected = maml_torch.unrolled_gradient(twin, torch.tensor(theta), tasks, **inner)
        assert_equal(maml_torch.maml_gradient(twin, torch.tensor(theta), tasks, **inner), expected)


@pytest.mark.parametrize(("activation", "objective"), KINDS)
@pytest.mark.parametrize("n_inner_steps", [1, 5])
def test_numpy_equals_plain_autograd(activation, objective, n_inner_steps):
    """The walk is written out in NumPy and in torch; this side of the pair knows nothing of it."""
    model, theta, tasks = random_problem(activation, objective)
    inner = {"alpha": 0.3, "n_inner_steps": n_inner_steps}
    twin = maml_torch.MLP(model.sizes, activation, objective)
    loss, gradient = maml.maml_gradient(model, theta, tasks, **inner)
    expected = maml_torch.unrolled_gradient(twin, torch.tensor(theta), tasks, **inner)
    assert relative_error(gradient, expected[1].numpy()) < 1e-10
    assert relative_error([loss], [float(expected[0])]) < 1e-10


def test_a_model_with_nothing_but_a_loss_goes_by_plain_autograd():
    class Quartic:
        def loss(self, theta, x, y):
            return (x * theta[..., None, :] ** 4 / 4 + y * theta[..., None, :] ** 2 / 2).mean(
                dim=(-2, -1)
            )

    one, zero = torch.ones(1, 1, 1).double(), torch.zeros(1, 1, 1).double()
    task, start = Task(one, zero, zero, one), torch.ones(1).double()
    inner = {"alpha": 0.1, "n_inner_steps": 1}
    _, exact = maml_torch.maml_gradient(Quartic(), start, task, **inner)
    _, first = maml_torch.fomaml_gradient(Quartic(), start, task, **inner)
    assert float(first) == pytest.approx(0.9)  # theta' = 1 - 0.1
    assert float(exact) == pytest.approx(0.9 * (1 - 0.1 * 3))


def test_memory_does_not_grow_with_the_steps():
    """All but the last step keep theta_k alone, and compute their product on the way back."""

    class Watched(maml_torch.FromModule):
        def linearize(self, *arguments):
            seen.append("linearize")
            return super().linearize(*arguments)

        def loss_and_gradient(self, theta, x, y):
            seen.append("step" if x.shape[0] == 8 else "query")
            return super().loss_and_gradient(theta, x, y)

    seen, tasks = [], image_tasks(n_tasks=1)
    model = Watched(NETS["plain"](), "cross_entropy")
    maml_torch.maml_gradient(model, model.theta(), tasks, alpha=0.1, n_inner_steps=10)
    assert seen == ["step"] * 9 + ["linearize"] + ["query"] + ["linearize"] * 9


@pytest.mark.parametrize("n_inner_steps", [1, 6])
def test_dropout_draws_the_same_numbers_on_the_way_back(n_inner_steps):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 9), nn.Tanh(), nn.Dropout(0.4), nn.Linear(9, 3)).double()
    tasks = maml_torch.as_tensors(random_problem("tanh", "mse")[2], torch.zeros(1).double())
    model, loss = maml_torch.from_module(net, "mse"), nn.functional.mse_loss
    torch.manual_seed(5)
    expected = plain_loop(net, loss, tasks, 0.3, n_inner_steps)
    after = torch.rand(1)
    torch.manual_seed(5)
    inner = {"alpha": 0.3, "n_inner_steps": n_inner_steps}
    assert_equal(maml_torch.maml_gradient(model, model.theta(), tasks, **inner), expected)
    assert torch.equal(torch.rand(1), after)  # nor was anything drawn in between
    at_once = maml_torch.from_module_all_at_once(net, "mse")
    with pytest.raises(RuntimeError, match="random"):
        maml_torch.maml_gradient(at_once, at_once.theta(), tasks, **inner)


class ByView(nn.Module):
    """A module that takes the usual memory layout for granted, as many do."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(1, 3, 3), nn.Linear(48, 4)
        self.strides = []

    def forward(self, x):
        self.strides.append(x.stride())
        return self.head(self.conv(x).tanh().view(len(x), -1))


def test_a_module_that_relies_on_the_usual_layout_gets_it():
    net, tasks = ByView().double(), image_tasks()
    expected = plain_loop(net, nn.functional.cross_entropy, tasks, 0.2, 2)
    net.strides.clear()
    model = maml_torch.FromModule(net, "cross_entropy")
    inner = {"alpha": 0.2, "n_inner_steps": 2}
    assert_equal(maml_torch.maml_gradient(model, model.theta(), tasks, **inner), expected)
    assert net.strides.count((36, 1, 6, 1)) == 1  # tried once, with the query images


class TwoInputs(nn.Module):
    """Adds what it makes of two inputs; twin of one linear layer on both."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Linear(4, 5)
        self.head = nn.Linear(5, 2)

    def forward(self, left, right):
        return self.head(torch.tanh(self.body(torch.cat([left, right], dim=-1))))


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("kind", [tuple, dict])
def test_inputs_may_be_a_tuple_or_a_dict(kind, wrapper):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(3, n, 2)) for n in (5, 5, 5, 6, 6, 6)]
    xs, xq = arrays[0:2], arrays[3:5]
    if kind is dict:
        xs, xq = ({"left": x[0], "right": x[1]} for x in (xs, xq))
    else:
        xs, xq = tuple(xs), tuple(xq)
    tasks = Task(xs, arrays[2], xq, arrays[5])
    net = TwoInputs().double()
    model = WRAPPERS[wrapper](net, nn.functional.mse_loss)
    tensors = maml_torch.as_tensors(tasks, model.theta())
    expected = plain_loop(net, nn.functional.mse_loss, tensors, 0.2, 4)
    inner = {"alpha": 0.2, "n_inner_steps": 4}
    assert_equal(maml_torch.maml_gradient(model, model.theta(), tasks, **inner), expected)
    assert maml_torch.adapt(model, model.theta(), tasks, **inner).shape == (3, model.n_params)
    assert tasks.n_tasks == 3
    part = tasks.select(slice(1, 3))
    assert [a.shape[0] for a in arrays_in(part.x_query)] == [2, 2]


def test_a_part_of_the_inputs_that_does_not_pair_up_is_named():
    x, y = np.zeros((3, 5, 2)), np.zeros((3, 5, 1))
    with pytest.raises(ValueError, match=r"does not pair up with x_query of shape \(3, 4, 2\)"):
        Task((x, x), y, (x, np.zeros((3, 4, 2))), y)
    with pytest.raises(ValueError, match="x_support must be finite"):
        Task({"left": x, "right": x * np.nan}, y, x, y)
    with pytest.raises(ValueError, match="x_support is empty"):
        Task((), y, x, y)


def test_the_objective_decides_what_targets_look_like():
    """One label per pixel: neither floats (n, n_out) nor labels (n,)."""
    torch.manual_seed(0)
    net = nn.Conv2d(1, 4, 3, padding=1).double()
    images = image_tasks()
    maps = [torch.randint(0, 4, (3, n, 6, 6)) for n in (8, 20)]
    tasks = Task(images.x_support, maps[0], images.x_query, maps[1])
    model = maml_torch.from_module(net, nn.functional.cross_entropy)
    inner = {"alpha": 0.2, "n_inner_steps": 2}
    expected = plain_loop(net, nn.functional.cross_entropy, tasks, 0.2, 2)
    assert_equal(maml_torch.maml_gradient(model, model.theta(), tasks, **inner), expected)


def test_rates_by_name_freeze_all_but_what_is_named():
    net = TwoInputs().double()
    rng = np.random.default_rng(0)
    x, y = (
        [tuple(rng.normal(size=(2, n, 2)) for _ in "lr") for n in (5, 6)],
        [rng.normal(size=(2, n, 2)) for n in (5, 6)],
    )
    tasks = Task(x[0], y[0], x[1], y[1])
    model = maml_torch.from_module(net, "mse")
    alpha = maml_torch.rates_by_name(net, {"head": 0.3})
    anil = maml_torch.anil_gradient(model, model.theta(), tasks, alpha=0.3, n_inner_steps=4)
    inner = {"alpha": alpha, "n_inner_steps": 4}
    assert_equal(maml_torch.maml_gradient(model, model.theta(), tasks, **inner), anil)
    moved = maml_torch.adapt(model, model.theta(), tasks, **inner) != model.theta()
    assert torch.equal(moved, (alpha > 0).expand(2, -1))
    by_tensor = maml_torch.rates_by_name(net, {"head": 0.3, "head.bias": 0.1}, otherwise=0.2)
    tensors = maml_torch.as_tensors(tasks, model.theta())
    expected = plain_loop(net, nn.functional.mse_loss, tensors, [0.2, 0.2, 0.3, 0.1], 4)
    inner = {"alpha": by_tensor, "n_inner_steps": 4}
    assert_equal(maml_torch.maml_gradient(model, model.theta(), tasks, **inner), expected)
    with pytest.raises(ValueError, match=r"rates names 'hea'; parameters are body.weight, "):
        maml_torch.rates_by_name(net, {"hea": 0.1})


def test_parameters_that_need_no_gradient_stay_out_of_theta():
    net, tasks = conv_net(), image_tasks()
    net[0].requires_grad_(False)
    model = maml_torch.from_module(net, "cross_entropy")
    assert model.n_params == 12 * 4 + 4
    expected = plain_loop(net, nn.functional.cross_entropy, tasks, 0.2, 2)
    inner = {"alpha": 0.2, "n_inner_steps": 2}
    assert_equal(maml_torch.maml_gradient(model, model.theta(), tasks, **inner), expected)
    net.requires_grad_(False)
    with pytest.raises(ValueError, match="no parameters to train"):
        maml_torch.from_module(net, "cross_entropy")


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_targets_that_would_be_broadcast_are_refused(wrapper):
    x, y = torch.ones(3, 5, 2), torch.ones(3, 5, 1)
    model = WRAPPERS[wrapper](nn.Linear(2, 2), "mse")
    with pytest.raises(ValueError, match=r"y has shape .*expected \(\.\.\., \(5, 2\)\)"):
        maml_torch.maml_gradient(model, model.theta(), Task(x, y, x, y), alpha=0.1)


def test_any_optimiser_takes_the_outer_step():
    """Three lines with set_grad are what loss.backward() and step() do with the plain loop."""
    tasks, loss, nets = image_tasks(), nn.functional.cross_entropy, [conv_net(), conv_net()]
    optimizers = [torch.optim.AdamW(net.parameters(), lr=0.01) for net in nets]
    model = maml_torch.from_module(nets[0], loss)
    for _ in range(3):
        _, gradient = maml_torch.maml_gradient(model, model.theta(), tasks, alpha=0.2)
        model.set_grad(gradient)
        _, flat = plain_loop(nets[1], loss, tasks, 0.2, 1)
        maml_torch.from_module(nets[1], loss).set_grad(flat)
        for optimizer in optimizers:
            optimizer.step()
    one, two = (net.state_dict() for net in nets)
    assert all(relative_error(one[name].numpy(), two[name].numpy()) < 1e-10 for name in one)
    assert not torch.equal(one["0.weight"], conv_net()[0].weight)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_divergence_is_reported(wrapper):
    model, x = WRAPPERS[wrapper](nn.Linear(2, 2).double(), "mse"), torch.ones(3, 4, 2).double()
    x[1] *= 1e200
    which = "a task" if wrapper == "one_by_one" else "1 of 3 tasks"
    with pytest.raises(FloatingPointError, match=f"diverged on {which} within 1 steps"):
        maml_torch.maml_gradient(model, model.theta(), Task(x, x, x, x), alpha=0.1)
    with pytest.raises(FloatingPointError, match="diverged on 1 of 3 tasks"):
        maml_torch.adapt(model, model.theta(), Task(x, x, x, x), alpha=0.1)


def test_the_port_of_learn2learns_example_runs_and_is_no_longer():
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "101"],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    losses = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    assert len(EXAMPLE.read_text().splitlines()) <= 91  # learn2learn's examples/maml_sine.py


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("net", NETS)
def test_a_gpu_gives_the_gradient_of_the_cpu(net, wrapper):
    net, tasks = NETS[net](), image_tasks()
    expected = plain_loop(net, nn.functional.cross_entropy, tasks, 0.2, 5)
    model = WRAPPERS[wrapper](net.cuda(), "cross_entropy")
    loss, gradient = maml_torch.maml_gradient(
        model, model.theta(), tasks, alpha=0.2, n_inner_steps=5
    )
    assert gradient.is_cuda
    assert_equal((loss.cpu(), gradient.cpu()), expected)


def test_map_arrays_reaches_every_array():
    nested = {"one": np.ones(1), "two": (np.ones(2), np.ones(3))}
    doubled = map_arrays(lambda array: 2 * array, nested)
    assert [array.tolist() for array in arrays_in(doubled)] == [[2], [2, 2], [2, 2, 2]]


def stack(*layers):
    torch.manual_seed(0)
    return nn.Sequential(*layers).double()


STACKS = {
    "relu": lambda: stack(nn.Linear(2, 7), nn.ReLU(), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3)),
    "tanh": lambda: stack(nn.Linear(2, 7), nn.Tanh(), nn.Linear(7, 3)),
    "linear": lambda: stack(nn.Linear(2, 3)),
}


def vector_tasks(objective):
    rng = np.random.default_rng(0)
    arrays = []
    for n in (6, 9):
        arrays.append(torch.tensor(rng.normal(size=(4, n, 2))))
        if objective == "cross_entropy":
            arrays.append(torch.tensor(rng.integers(0, 3, size=(4, n))))
        else:
            arrays.append(torch.tensor(rng.normal(size=(4, n, 3))))
    return Task(*arrays)


@pytest.mark.parametrize("n_inner_steps", [0, 1, 5])
@pytest.mark.parametrize("objective", ["mse", "cross_entropy", nn.functional.mse_loss])
@pytest.mark.parametrize("net", STACKS)
def test_a_stack_of_linear_layers_has_the_gradient_of_the_plain_loop(net, objective, n_inner_steps):
    """It goes through the MLP, with theta in the module's own order."""
    net, tasks = STACKS[net](), vector_tasks(objective)
    loss = nn.functional.cross_entropy if objective == "cross_entropy" else nn.functional.mse_loss
    model = maml_torch.from_module(net, objective)
    assert len(model.portions((tasks.x_support, tasks.y_support))) == 1
    inner = {"alpha": 0.1, "n_inner_steps": n_inner_steps}
    expected = plain_loop(net, loss, tasks, 0.1, n_inner_steps)
    assert_equal(maml_torch.maml_gradient(model, model.theta(), tasks, **inner), expected)
    rates = maml_torch.rates_by_name(net, {list(net._modules)[-1]: 0.1})
    one_by_one = maml_torch.FromModule(net, objective)
    answers = [
        maml_torch.maml_gradient(m, m.theta(), tasks, alpha=rates, n_inner_steps=3)
        for m in (model, one_by_one)
    ]
    assert_equal(*answers)


def hooked():
    net = STACKS["relu"]()
    net[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    return net


def frozen():
    net = STACKS["relu"]()
    net[0].weight.requires_grad_(False)
    return net


def tied():
    shared = nn.Linear(2, 2)
    return stack(shared, nn.Tanh(), shared)


@pytest.mark.parametrize(
    "net",
    [
        hooked,
        frozen,
        tied,
        lambda: stack(nn.Linear(2, 7), nn.ReLU(), nn.Linear(7, 7), nn.Tanh(), nn.Linear(7, 3)),
        lambda: stack(nn.Linear(2, 7), nn.GELU(), nn.Linear(7, 3)),
        lambda: stack(nn.Linear(2, 7, bias=False), nn.ReLU(), nn.Linear(7, 3)),
        lambda: stack(nn.Linear(2, 7), nn.ReLU()),
        lambda: stack(
            nn.Linear(2, 4), nn.ReLU(), nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
        ),
        lambda: nn.ModuleList([nn.Linear(2, 2)]),
    ],
)
def test_what_is_no_plain_stack_is_not_taken_for_one(net):
    assert as_mlp(net(), "mse") is None
    assert maml_torch.from_module(net(), "mse").path == "Decided with the first batch of tasks."


def test_a_hooked_layer_still_counts():
    net, tasks = hooked(), vector_tasks("mse")
    model = maml_torch.from_module(net, "mse")
    answer = maml_torch.maml_gradient(model, model.theta(), tasks, alpha=0.1, n_inner_steps=2)
    assert_equal(answer, plain_loop(net, nn.functional.mse_loss, tasks, 0.1, 2))


def test_an_answer_can_be_differentiated_further():
    """No tensor leaves the engine that autograd would refuse."""
    model, theta, tasks = random_problem("tanh", "mse")
    twin = maml_torch.MLP(model.sizes, "tanh", "mse")
    loss, gradient = maml_torch.maml_gradient(twin, torch.tensor(theta), tasks, alpha=0.1)
    weight = torch.ones_like(gradient, requires_grad=True)
    ((weight * gradient).sum() + weight.sum() * loss).backward()
    assert torch.equal(weight.grad, gradient + loss)
