"""The PyTorch engine on networks that are not its own MLP."""

import numpy as np
import pytest
import torch
from problems import random_problem
from torch import nn

from maml_teach import maml_torch
from maml_teach.checks import central_difference, relative_error
from maml_teach.tasks import Task

DOUBLE = {"dtype": torch.float64}


def image_tasks(n_tasks=3, n_ways=4, n_points=8):
    rng = np.random.default_rng(0)
    return Task(
        *(
            array
            for _ in range(2)
            for array in (
                rng.normal(size=(n_tasks, n_points, 1, 6, 6)),
                rng.integers(0, n_ways, size=(n_tasks, n_points)),
            )
        )
    )


def conv_net(norm):
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3), norm, nn.Tanh(), nn.Flatten(), nn.Linear(48, 4)]
    return nn.Sequential(*(layer for layer in layers if layer is not None)).double()


NETS = {
    "plain": lambda: conv_net(None),
    "batch_norm": lambda: conv_net(nn.BatchNorm2d(3)),
    "batch_norm_without_running_statistics": lambda: conv_net(
        nn.BatchNorm2d(3, track_running_stats=False)
    ),
    "group_norm": lambda: conv_net(nn.GroupNorm(3, 3)),
}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("n_inner_steps", [0, 1, 3])
def test_any_module_has_the_central_difference_gradient(net, n_inner_steps):
    model, tasks = maml_torch.from_module(NETS[net](), "cross_entropy"), image_tasks()
    settings = {"alpha": 0.2, "n_inner_steps": n_inner_steps}

    def meta_loss(theta):
        return float(maml_torch.maml_gradient(model, torch.tensor(theta), tasks, **settings)[0])

    _, gradient = maml_torch.maml_gradient(model, model.theta(), tasks, **settings)
    theta, rng = model.theta().numpy(), np.random.default_rng(1)
    for v in rng.normal(size=(5, theta.size)):
        slope = central_difference(lambda h, v=v: meta_loss(theta + h[0] * v), np.zeros(1), 1e-5)
        assert relative_error(slope, [float(gradient.numpy() @ v)]) < 1e-6


@pytest.mark.parametrize("net", ["batch_norm", "batch_norm_without_running_statistics"])
@pytest.mark.parametrize("n_inner_steps", [1, 5])
def test_batch_norm_is_exact_at_second_order(net, n_inner_steps):
    """Against batch norm written out with mean and variance, differentiated task by task."""
    module, tasks = NETS[net](), image_tasks()
    model = maml_torch.from_module(module, "cross_entropy")
    norm = module[1]

    def written_out(theta, x, y):
        blocks = theta.split([p.numel() for p in module.parameters()])
        W, b, scale, shift, W_out, b_out = (
            block.view_as(p) for block, p in zip(blocks, module.parameters(), strict=True)
        )
        z = nn.functional.conv2d(x, W, b)
        centred = z - z.mean((0, 2, 3), keepdim=True)
        z = centred / (centred.square().mean((0, 2, 3), keepdim=True) + norm.eps).sqrt()
        z = torch.tanh(z * scale[:, None, None] + shift[:, None, None]).flatten(1)
        return nn.functional.cross_entropy(z @ W_out.T + b_out, y)

    theta = model.theta().requires_grad_()
    meta_loss = 0.0
    for t in range(tasks.n_tasks):
        xs, ys, xq, yq = (
            torch.tensor(a[t])
            for a in (tasks.x_support, tasks.y_support, tasks.x_query, tasks.y_query)
        )
        theta_k = theta
        for _ in range(n_inner_steps):
            (g,) = torch.autograd.grad(written_out(theta_k, xs, ys), theta_k, create_graph=True)
            theta_k = theta_k - 0.2 * g
        meta_loss = meta_loss + written_out(theta_k, xq, yq) / tasks.n_tasks
    (expected,) = torch.autograd.grad(meta_loss, theta)
    _, gradient = maml_torch.maml_gradient(
        model, model.theta(), tasks, alpha=0.2, n_inner_steps=n_inner_steps
    )
    assert relative_error(gradient.numpy(), expected.numpy()) < 1e-10


def test_running_statistics_do_not_leak():
    module, tasks = NETS["batch_norm"](), image_tasks()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    model = maml_torch.from_module(module, "cross_entropy")
    maml_torch.maml_gradient(model, model.theta(), tasks, alpha=0.1, n_inner_steps=2)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_trained_weights_go_back_into_the_module():
    module = NETS["plain"]()
    model, tasks = maml_torch.from_module(module, "cross_entropy"), image_tasks()
    theta = model.theta() + 1.0
    x = torch.tensor(tasks.x_query[0])
    expected = model.predict(theta, x)
    assert model.load(theta) is module
    assert torch.equal(module(x), expected)
    assert torch.equal(model.theta(), theta)


def test_an_objective_may_be_a_function():
    module = NETS["plain"]()
    by_name = maml_torch.from_module(module, "cross_entropy")
    by_hand = maml_torch.from_module(module, nn.functional.cross_entropy)
    one, two = (
        maml_torch.maml_gradient(m, m.theta(), image_tasks(), alpha=0.1, n_inner_steps=2)
        for m in (by_name, by_hand)
    )
    assert one[0] == pytest.approx(two[0])
    assert relative_error(one[1].numpy(), two[1].numpy()) < 1e-12


def test_a_module_with_the_weights_of_the_mlp_gives_its_gradient():
    model, theta, tasks = random_problem("relu", "mse")
    layers = []
    for n_in, n_out in zip(model.sizes[:-1], model.sizes[1:], strict=True):
        layers += [nn.Linear(n_in, n_out, **DOUBLE), nn.ReLU()]
    module, start = nn.Sequential(*layers[:-1]), 0
    with torch.no_grad():
        for layer in layers[:-1:2]:
            for p, transpose in ((layer.weight, True), (layer.bias, False)):
                block = torch.tensor(theta[start : start + p.numel()])
                p.copy_(block.view(p.shape[::-1]).T if transpose else block)
                start += p.numel()
    wrapped = maml_torch.from_module(module, "mse")
    twin = maml_torch.MLP(model.sizes)
    settings = {"alpha": 0.3, "n_inner_steps": 3}
    loss, gradient = maml_torch.maml_gradient(wrapped, wrapped.theta(), tasks, **settings)
    loss_mlp, gradient_mlp = maml_torch.maml_gradient(twin, torch.tensor(theta), tasks, **settings)
    assert float(loss) == pytest.approx(float(loss_mlp), rel=1e-12)
    assert float(gradient.norm()) == pytest.approx(float(gradient_mlp.norm()), rel=1e-12)


def test_the_answer_carries_no_graph():
    model, tasks = maml_torch.from_module(NETS["plain"](), "cross_entropy"), image_tasks()
    theta = model.theta().requires_grad_()
    for name in ("maml_gradient", "fomaml_gradient", "reptile_gradient", "joint_gradient"):
        loss, gradient = getattr(maml_torch, name)(model, theta, tasks, alpha=0.1)
        assert not loss.requires_grad
        assert not gradient.requires_grad
    assert not maml_torch.adapt(model, theta, tasks, alpha=0.1).requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")
def test_cuda_gives_the_gradient_of_the_cpu():
    model, theta, tasks = random_problem("tanh", "cross_entropy")
    twin = maml_torch.MLP(model.sizes, "tanh", "cross_entropy")
    _, cpu = maml_torch.maml_gradient(twin, torch.tensor(theta), tasks, alpha=0.3, n_inner_steps=5)
    _, gpu = maml_torch.maml_gradient(
        twin, torch.tensor(theta, device="cuda"), tasks, alpha=0.3, n_inner_steps=5
    )
    assert gpu.device.type == "cuda"
    assert relative_error(gpu.cpu().numpy(), cpu.numpy()) < 1e-10


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_leading_axes_broadcast(activation):
    """Many theta on the points of one task, or each on its own: the same as one by one."""
    model = maml_torch.MLP((2, 5, 4, 3), activation)
    draw = torch.Generator().manual_seed(0)
    thetas = torch.stack([model.init(draw, **DOUBLE) for _ in range(3)])
    v = torch.randn(thetas.shape, generator=draw, **DOUBLE)
    x = torch.randn(3, 7, 2, generator=draw, **DOUBLE)
    y = torch.randn(3, 7, 3, generator=draw, **DOUBLE)
    for xs, ys in ((x[:1], y[:1]), (x[0], y[0]), (x, y)):
        each = list(zip(thetas, v, xs.expand(x.shape), ys.expand(y.shape), strict=True))
        losses = torch.stack([model.loss(t, p, q) for t, _, p, q in each])
        gradients = torch.stack([model.gradient(t, p, q) for t, _, p, q in each])
        products = torch.stack([model.hvp(t, w, p, q) for t, w, p, q in each])
        assert torch.allclose(model.loss(thetas, xs, ys), losses)
        assert torch.allclose(model.gradient(thetas, xs, ys), gradients)
        assert torch.allclose(model.hvp(thetas, v, xs, ys), products)
