"""How tasks go through a module: every way gives the gradient of the plain loop."""

import collections
import re

import numpy as np
import pytest
import torch
import torch.utils.checkpoint
from test_engine import assert_equal, plain_loop
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from maml_teach import family_torch, maml_torch, paths_torch
from maml_teach.recognised_torch import as_mlp
from maml_teach.tasks import Task

CROSS_ENTROPY = nn.functional.cross_entropy


def labelled(*shape, ways=4, n=(5, 7), n_tasks=3):
    """Tasks of inputs ``(n_tasks, n, *shape)`` with labels."""
    generator, parts = torch.Generator().manual_seed(0), []
    for n_points in n:
        x = torch.randn(n_tasks, n_points, *shape, dtype=torch.float64, generator=generator)
        parts += [x, torch.randint(0, ways, (n_tasks, n_points), generator=generator)]
    return Task(*parts)


class Written(nn.Module):
    """A multilayer perceptron as most people write it."""

    def __init__(self, activation=torch.relu):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 6), nn.Linear(6, 5), nn.Linear(5, 4)
        self.activation = activation

    def forward(self, x):
        return self.c(self.activation(self.b(self.activation(self.a(x)))))


class Skipping(Written):
    """The same with a connection past a layer."""

    def forward(self, x):
        h = torch.sigmoid(self.a(x))
        return self.c(torch.sigmoid(self.b(h)) + h[:, :5])


class Encoder(nn.Module):
    """A sequence classifier on PyTorch's own encoder layer."""

    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Linear(3, 8), nn.Linear(8, 4)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

    def forward(self, x):
        return self.out(self.layer(self.embed(x)).mean(1))


class Attention(nn.Module):
    """Multi-head attention as a layer of its own."""

    def __init__(self):
        super().__init__()
        self.attention, self.out = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 4)

    def forward(self, x):
        y, _ = self.attention(x, x, x, need_weights=False)
        return self.out(y.mean(1))


class Causal(nn.Module):
    """Causal attention as most language models write it."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(4, 12), nn.Linear(4, 4)

    def forward(self, x):
        n, length, _ = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, 2, 2).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(n, length, 4).mean(1))


class Recurrent(nn.Module):
    """The last output of a recurrent layer."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.out = layer(3, 5, batch_first=True), nn.Linear(5, 4)

    def forward(self, x):
        return self.out(self.layer(x)[0][:, -1])


class Deciding(Written):
    """Asks for a value on its way: no ``vmap`` takes it."""

    def forward(self, x):
        return super().forward(-x if x.sum().item() > 0 else x)


def convolutions(*norm):
    layers = [nn.Conv2d(1, 3, 3), *norm, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4)]
    return nn.Sequential(*layers)


AROUND, WITHIN, HAND = "around vmap", "within vmap", "by hand"
ALONE = "One task after the other"
CASES = {
    "written MLP": (Written, (3,), HAND),
    "written MLP of methods": (lambda: Written(torch.Tensor.tanh), (3,), AROUND),
    "skipping": (Skipping, (3,), AROUND),
    "encoder layer": (Encoder, (6, 3), AROUND),
    "encoder layer in eval mode": (lambda: Encoder().eval(), (6, 3), WITHIN),
    "attention": (Attention, (6, 4), AROUND),
    "causal": (Causal, (6, 4), AROUND),
    "LSTM": (lambda: Recurrent(nn.LSTM), (6, 3), WITHIN),
    "GRU": (lambda: Recurrent(nn.GRU), (6, 3), WITHIN),
    "RNN": (lambda: Recurrent(nn.RNN), (6, 3), WITHIN),
    "deciding": (Deciding, (3,), ALONE),
    "dropout": (lambda: nn.Sequential(Written(), nn.Dropout(0.3)), (3,), ALONE),
    "convolutions": (convolutions, (1, 6, 6), AROUND),
    "BatchNorm": (lambda: convolutions(nn.BatchNorm2d(3)), (1, 6, 6), AROUND),
    "BatchNorm in eval mode": (lambda: convolutions(nn.BatchNorm2d(3)).eval(), (1, 6, 6), AROUND),
    "GroupNorm": (lambda: convolutions(nn.GroupNorm(3, 3)), (1, 6, 6), AROUND),
    "LayerNorm": (lambda: nn.Sequential(nn.LayerNorm(3), Written()), (3,), AROUND),
    "embedding": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 4)),
        (2, 3),
        AROUND,
    ),
}


def made(name):
    """The module with parameters away from their start, its tasks, and its path."""
    make, shape, path = CASES[name]
    torch.manual_seed(0)
    module = make().double()
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return module, labelled(*shape), path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("room", [2**27, 1], ids=["graphs kept", "no room for graphs"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n_inner_steps", [0, 1, 3])
def test_every_way_gives_the_gradient_of_the_plain_loop(name, n_inner_steps, room, monkeypatch):
    monkeypatch.setattr(paths_torch, "KEPT_BYTES", room)
    monkeypatch.setattr(paths_torch, "fewest", lambda *_: 0)  # also where it is no faster
    module, tasks, path = made(name)
    torch.manual_seed(1)
    with sdpa_kernel(SDPBackend.MATH):
        expected = plain_loop(module, CROSS_ENTROPY, tasks, 0.3, n_inner_steps)
    for objective in ("cross_entropy", CROSS_ENTROPY):
        model = maml_torch.from_module(module, objective)
        inner = {"alpha": 0.3, "n_inner_steps": n_inner_steps}
        for _ in range(2):  # the first batch decides, the second follows
            torch.manual_seed(1)
            answer = maml_torch.maml_gradient(model, model.theta(), tasks, **inner)
            assert_equal(answer, expected)
        if path != HAND or objective == "cross_entropy":
            assert path in model.path
        adapted = maml_torch.adapt(model, model.theta(), tasks, **inner)
        assert adapted.shape == (3, model.n_params)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in CASES if name != "dropout"])
def test_first_order_goes_the_same_ways(name):
    module, tasks, path = made(name)
    expected = plain_loop(module, CROSS_ENTROPY, tasks, 0.3, 3, first_order=True)
    model = maml_torch.from_module(module, "cross_entropy")
    inner = {"alpha": 0.3, "n_inner_steps": 3}
    assert_equal(maml_torch.fomaml_gradient(model, model.theta(), tasks, **inner), expected)
    assert path in model.path or (path == WITHIN and ALONE in model.path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_differences_of_gradients_come_close_to_every_exact_gradient(name):
    module, tasks, _ = made(name)
    model = maml_torch.from_module(module, "cross_entropy")
    inner = {"alpha": 0.3, "n_inner_steps": 2}
    torch.manual_seed(1)
    loss, exact = maml_torch.maml_gradient(model, model.theta(), tasks, **inner)
    torch.manual_seed(1)
    same, close = family_torch.hf_maml_gradient(model, model.theta(), tasks, **inner)
    assert float(loss) == pytest.approx(float(same), rel=1e-12)
    assert float((close - exact).norm() / exact.norm()) < 1e-6


def test_any_container_of_outputs_gets_a_task_axis():
    class Two(Written):
        def forward(self, x):
            y = super().forward(x)
            return {"scores": y, "parts": (y[:, :1], None), "kind": "two"}

    torch.manual_seed(0)
    model, tasks = (
        maml_torch.from_module(Two().double(), lambda out, y: out["scores"].sum()),
        labelled(3),
    )
    theta = model.theta() + torch.arange(3.0).double()[:, None]
    answer = model.predict(theta, tasks.x_query)
    assert answer["kind"] == "two" and answer["parts"][1] is None
    for t in range(3):
        alone = model.predict(theta[t], tasks.x_query[t])
        assert torch.equal(answer["scores"][t], alone["scores"])
        assert torch.equal(answer["parts"][0][t], alone["parts"][0])


def kernels(gradient, model, tasks):
    """Names of what PyTorch computes in a call."""
    with torch.profiler.profile() as profile:
        gradient(model, model.theta(), tasks, alpha=0.1)
    return {event.name for event in profile.events()}


def test_first_order_keeps_the_fast_attention():
    module, tasks, _ = made("causal")
    model = maml_torch.from_module(module, "cross_entropy")
    flash = "aten::_scaled_dot_product_flash_attention_for_cpu"
    assert flash in kernels(maml_torch.fomaml_gradient, model, tasks)
    assert flash not in kernels(maml_torch.maml_gradient, model, tasks)
    assert torch.backends.cuda.flash_sdp_enabled()  # as it was


class Distances(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.prototypes = nn.Linear(3, 4), nn.Parameter(torch.randn(4, 4))

    def forward(self, x):
        return -torch.cdist(self.embed(x), self.prototypes)


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope):
        return 3 * ctx.saved_tensors[0] ** 2 * slope


class Cubed(Written):
    def forward(self, x):
        return Once.apply(super().forward(x))


@pytest.mark.parametrize(
    ("make", "operation"),
    [(Distances, "cdist"), (Cubed, "an autograd.Function marked once_differentiable")],
)
def test_what_has_no_second_derivative_is_named_with_the_ways_out(make, operation):
    torch.manual_seed(0)
    module, tasks = make().double(), labelled(3)
    model = maml_torch.from_module(module, "cross_entropy")
    inner = {"alpha": 0.1, "n_inner_steps": 2}
    words = f"the model uses {operation}, which PyTorch cannot differentiate twice. Ways out: "
    with pytest.raises(NotImplementedError, match=re.escape(words + "family_torch.hf_maml")):
        maml_torch.maml_gradient(model, model.theta(), tasks, **inner)
    one = tasks.select(slice(0, 1))  # needs no trial of vmap
    with pytest.raises(NotImplementedError, match=re.escape(words)):
        fresh = maml_torch.from_module(module, "cross_entropy")
        maml_torch.maml_gradient(fresh, model.theta(), one, **inner)
    loss, first = maml_torch.fomaml_gradient(model, model.theta(), tasks, **inner)
    assert_equal((loss, first), plain_loop(module, CROSS_ENTROPY, tasks, 0.1, 2, first_order=True))
    _, without_hessian = family_torch.hf_maml_gradient(model, model.theta(), tasks, **inner)
    theta, v = model.theta(), torch.randn(model.n_params).double()

    def meta_loss(theta):
        theta_prime = maml_torch.adapt(model, theta, tasks, **inner)
        return float(maml_torch.query_loss(model, theta_prime, tasks))

    slope = (meta_loss(theta + 1e-5 * v) - meta_loss(theta - 1e-5 * v)) / 2e-5
    assert float(without_hessian @ v) == pytest.approx(slope, rel=1e-5)
    assert float(first @ v) != pytest.approx(slope, rel=1e-3)


def test_an_mlp_is_read_in_both_modes_and_put_back():
    module = nn.Sequential(Written(), nn.Identity())
    module[0].eval()
    assert as_mlp(module[0], "mse").sizes == (3, 6, 5, 4)
    assert module.training and not module[0].training and not module[0].a.training


class OnlyInTraining(Written):
    def forward(self, x):
        return super().forward(x) if self.training else 2 * super().forward(x)


class OutOfOrder(nn.Module):
    def __init__(self):
        super().__init__()
        self.last, self.first = nn.Linear(4, 2), nn.Linear(3, 4)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


class WithSpare(Written):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(2, 2)


@pytest.mark.parametrize("make", [Skipping, Deciding, OnlyInTraining, OutOfOrder, WithSpare])
def test_another_class_is_not_taken_for_an_mlp(make):
    assert as_mlp(make(), "mse") is None


@pytest.mark.parametrize("make", [OutOfOrder, WithSpare, OnlyInTraining])
def test_and_has_its_own_gradient(make):
    torch.manual_seed(0)
    for training in (True, False):
        module = make().double().train(training)
        model, tasks = maml_torch.from_module(module, "cross_entropy"), labelled(3, ways=2)
        if make is WithSpare:
            expected = maml_torch.unrolled_gradient(model, model.theta(), tasks, alpha=0.3)
        else:
            expected = plain_loop(module, CROSS_ENTROPY, tasks, 0.3, 1)
        assert_equal(maml_torch.maml_gradient(model, model.theta(), tasks, alpha=0.3), expected)


def test_large_modules_and_single_tasks_go_one_by_one():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 900), nn.Sigmoid(), nn.Linear(900, 4)).double()
    model, tasks = maml_torch.from_module(module, "cross_entropy"), labelled(3)
    maml_torch.maml_gradient(model, model.theta(), tasks.select(slice(1, 2)), alpha=0.1)
    assert model.path == paths_torch.SINGLE.text  # which decides nothing for several tasks
    maml_torch.maml_gradient(model, model.theta(), tasks, alpha=0.1)
    assert "around vmap" in model.path
    many = labelled(3, n=(2000, 2000))
    answer = maml_torch.maml_gradient(model, model.theta(), many, alpha=0.1)
    assert model.path == paths_torch.LARGE.text
    assert_equal(answer, plain_loop(module, CROSS_ENTROPY, many, 0.1, 1))
    one = tasks.select(slice(0, 1))
    answer = maml_torch.maml_gradient(model, model.theta(), one, alpha=0.1)
    assert_equal(answer, plain_loop(module, CROSS_ENTROPY, one, 0.1, 1))
    assert model.path == paths_torch.SINGLE.text


@pytest.mark.parametrize(("n_tasks", "path"), [(2, paths_torch.FEW.text), (8, WITHIN)])
def test_few_tasks_are_not_worth_many_operations(n_tasks, path):
    """Within vmap a GRU takes half as many operations again as alone, each at twice the price."""
    torch.manual_seed(0)
    model = maml_torch.from_module(Recurrent(nn.GRU), "cross_entropy")
    tasks = labelled(6, 3, n_tasks=n_tasks).map(lambda a: a.float() if a.is_floating_point() else a)
    maml_torch.maml_gradient(model, model.theta(), tasks, alpha=0.1)
    assert path in model.path
    (way,) = model._ways.values()
    assert 1.2 < way.ratio < 2.5 and way.together.call == 2


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")
@pytest.mark.filterwarnings("ignore")
def test_a_layer_that_is_one_operation_is_not_taken_apart():
    """The LSTM of oneDNN, in single precision and without a second derivative."""
    torch.manual_seed(0)
    model = maml_torch.from_module(Recurrent(nn.LSTM), "cross_entropy")
    tasks = labelled(6, 3, n_tasks=8).map(lambda a: a.float() if a.is_floating_point() else a)
    assert "aten::mkldnn_rnn_layer" in kernels(maml_torch.fomaml_gradient, model, tasks)
    assert model.path == paths_torch.FEW.text
    maml_torch.maml_gradient(model, model.theta(), tasks, alpha=0.1)
    assert WITHIN in model.path


@pytest.mark.parametrize("ratio", [1.0, 1.3, 2.5])
@pytest.mark.parametrize("size", [0.0, 0.4, 2.0])
def test_from_fewest_tasks_on_the_costs_are_lower_together(ratio, size):
    n = paths_torch.fewest(ratio, 1.5, size)
    together, alone = (lambda n: ratio * (1.5 + n * size)), (lambda n: n * (1 + size))
    if n == float("inf"):
        assert together(10**9) >= alone(10**9)
    else:
        assert together(n) == pytest.approx(alone(n))
        assert together(n + 1) < alone(n + 1) and together(n - 0.1) > alone(n - 0.1)


def test_what_vmap_gets_wrong_is_found_out():
    """A module whose derivative is another one for several tasks than for one."""

    class Wrong(torch.autograd.Function):
        generate_vmap_rule = False

        @staticmethod
        def forward(x):
            return x.sin()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, slope):
            return ctx.saved_tensors[0].cos() * slope

        @staticmethod
        def vmap(info, in_dims, x):
            return 1.01 * x.sin(), in_dims[0]

    class Net(Written):
        def forward(self, x):
            return Wrong.apply(super().forward(x))

    torch.manual_seed(0)
    module, tasks = Net().double(), labelled(3)
    model = maml_torch.from_module(module, "cross_entropy")
    answer = maml_torch.maml_gradient(model, model.theta(), tasks, alpha=0.3)
    assert_equal(answer, plain_loop(module, CROSS_ENTROPY, tasks, 0.3, 1))
    assert "would have other derivatives together" in model.path


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (nn.CrossEntropyLoss(reduction="none"), "must return a scalar, got shape (5,)"),
        (lambda output, y: 1.0, "must return a tensor, got float"),
        (lambda output, y: output.detach().mean(), "does not depend on theta"),
        (lambda output, y: torch.tensor(1.0), "does not depend on theta"),
        (lambda output, y: output.sum(0), "must return a scalar, got shape (4,)"),
    ],
)
@pytest.mark.parametrize(
    "method", [maml_torch.maml_gradient, maml_torch.fomaml_gradient, maml_torch.unrolled_gradient]
)
def test_an_objective_that_is_no_scalar_of_theta_is_refused(method, objective, words):
    model = maml_torch.from_module(Skipping().double(), objective)
    with pytest.raises(ValueError, match=re.escape(f"objective {words}")):
        method(model, model.theta(), labelled(3), alpha=0.1)


def test_an_output_that_is_no_tensor_needs_a_function():
    class Named(Written):
        def forward(self, x):
            return {"logits": super().forward(x)}

    module, tasks = Named().double(), labelled(3)
    model = maml_torch.from_module(module, "cross_entropy")
    with pytest.raises(ValueError, match=r"needs a tensor from the module, got dict"):
        maml_torch.maml_gradient(model, model.theta(), tasks, alpha=0.1)

    def objective(output, y):
        return CROSS_ENTROPY(output["logits"], y)

    model = maml_torch.from_module(module, objective)
    answer = maml_torch.maml_gradient(model, model.theta(), tasks, alpha=0.3)
    assert_equal(answer, plain_loop(module, objective, tasks, 0.3, 1))


def test_a_loss_that_is_linear_in_theta_has_no_curvature():
    module, tasks = nn.Linear(3, 4).double(), labelled(3)
    model = maml_torch.from_module(module, lambda output, y: output.mean())
    _, gradient = maml_torch.maml_gradient(model, model.theta(), tasks, alpha=0.3, n_inner_steps=3)
    _, first = maml_torch.fomaml_gradient(model, model.theta(), tasks, alpha=0.3, n_inner_steps=3)
    torch.testing.assert_close(gradient, first)


def test_labels_out_of_range_are_refused_on_every_way():
    for name in ("written MLP", "skipping", "LSTM", "deciding"):
        module, tasks, _ = made(name)
        wrong = Task(tasks.x_support, tasks.y_support + 3, tasks.x_query, tasks.y_query)
        model = maml_torch.from_module(module, "cross_entropy")
        with pytest.raises(ValueError, match="y has labels in"):
            maml_torch.maml_gradient(model, model.theta(), wrong, alpha=0.1)


@pytest.mark.parametrize("name", ["written MLP", "skipping", "LSTM", "dropout"])
def test_a_list_of_tasks_of_different_sizes_is_their_mean(name):
    module, tasks, _ = made(name)
    if name == "dropout":
        module.eval()
    sizes = [(5, 7), (3, 2), (5, 7)]
    singles = [
        Task(*(a[t, :n] for a, n in zip(parts, (s, s, q, q), strict=True)))
        for t, (s, q) in enumerate(sizes)
        for parts in [(tasks.x_support, tasks.y_support, tasks.x_query, tasks.y_query)]
    ]
    model, inner = maml_torch.from_module(module, "cross_entropy"), {"alpha": 0.3}
    alone = [
        plain_loop(module, CROSS_ENTROPY, Task(*(a[None] for a in vars(one).values())), 0.3, 1)
        for one in singles
    ]
    expected = (sum(part) / 3 for part in zip(*alone, strict=True))
    assert_equal(maml_torch.maml_gradient(model, model.theta(), singles, **inner), [*expected])
    rows = maml_torch.adapt(model, model.theta(), singles, **inner)
    for one, row in zip(singles, rows, strict=True):
        batch = Task(*(a[None] for a in vars(one).values()))
        assert np.allclose(row, maml_torch.adapt(model, model.theta(), batch, **inner)[0])


class Recomputing(Skipping):
    """Computes its layers again in the backward pass."""

    def forward(self, x):
        return torch.utils.checkpoint.checkpoint(super().forward, x, use_reentrant=False)


def test_layers_that_are_computed_again_are_refused():
    """They would be computed with the module's own parameters, and silently be wrong."""
    model = maml_torch.from_module(Recomputing().double(), "cross_entropy")
    for method in (maml_torch.maml_gradient, maml_torch.fomaml_gradient, maml_torch.adapt):
        with pytest.raises(ValueError, match="module computes layers again in the backward pass"):
            method(model, model.theta(), labelled(3), alpha=0.1)


class Mixed(nn.Module):
    """Parameters of two dtypes, as adapters on a backbone of lower precision have."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 5), nn.Linear(5, 4).bfloat16()

    def forward(self, x):
        return self.b(self.a(x).sigmoid().bfloat16()).float()


def test_each_parameter_keeps_its_dtype():
    torch.manual_seed(0)
    module, tasks = Mixed(), labelled(3)
    tasks = tasks.map(lambda a: a.float() if a.is_floating_point() else a)
    model = maml_torch.from_module(module, "cross_entropy")
    assert model.theta().dtype == torch.float32
    loss, gradient = maml_torch.maml_gradient(model, model.theta(), tasks, alpha=0.3)
    expected = plain_loop(module, CROSS_ENTROPY, tasks, 0.3, 1)
    assert float(loss) == pytest.approx(float(expected[0]), rel=1e-3)
    assert float((gradient - expected[1]).norm() / expected[1].norm()) < 0.03  # half precision


def test_inputs_may_be_any_mapping_and_hold_masks():
    """As what a tokenizer returns."""

    class Masked(Written):
        def forward(self, x, mask):
            return super().forward(x * mask[:, None])

    torch.manual_seed(0)
    module, tasks = Masked().double(), labelled(3)
    masks = [torch.arange(n) % 2 == 0 for n in (5, 7)]
    inputs = [
        collections.UserDict(x=x, mask=mask.expand(3, -1))
        for x, mask in zip((tasks.x_support, tasks.x_query), masks, strict=True)
    ]
    model = maml_torch.from_module(module, "cross_entropy")
    named = Task(inputs[0], tasks.y_support, inputs[1], tasks.y_query)
    answer = maml_torch.maml_gradient(model, model.theta(), named, alpha=0.3)
    zeroed = Task(
        tasks.x_support * masks[0][:, None],
        tasks.y_support,
        tasks.x_query * masks[1][:, None],
        tasks.y_query,
    )
    torch.manual_seed(0)
    twin = maml_torch.from_module(Written().double(), "cross_entropy")
    assert_equal(answer, maml_torch.maml_gradient(twin, model.theta(), zeroed, alpha=0.3))
