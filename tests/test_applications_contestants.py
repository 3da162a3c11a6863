"""The kinds of model against other ways to write them, and what their families draw."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from torch.nn import functional

from maml_teach.applications import contestants_torch as kinds
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids


def made(kind, *arguments):
    torch.manual_seed(0)
    return kind(*arguments).double()


def close(found, wanted):
    return np.allclose(found.detach().numpy(), wanted, rtol=1e-9, atol=1e-12)


def test_a_kernel_machine_is_a_sum_of_scikit_learns_kernels():
    model, x = made(kinds.Kernel), np.linspace(-6, 6, 9)[:, None]
    model.log_width.data += 0.4
    centres = np.linspace(-5, 5, 20)[:, None]
    kernel = rbf_kernel(x, centres, gamma=np.exp(-0.8))
    heights = model.heights.detach().numpy()
    assert np.allclose(
        model(torch.tensor(x)).detach(), kernel @ heights, atol=1e-6
    )  # float centres
    assert heights.shape == (20, 1) and 0.05 < heights.std() < 0.2
    assert kinds.Kernel(7).centres.shape == (7,) and kinds.Kernel().log_width.item() == 0


def test_a_gru_by_its_equations():
    model, x = made(kinds.Recurrent), np.random.default_rng(0).normal(size=(3, 5, 1))
    named = {name: value.detach().numpy() for name, value in model.named_parameters()}
    inner, outer = named["reader.weight_ih_l0"], named["reader.weight_hh_l0"]
    gate = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    h = np.zeros((3, 16))
    for t in range(5):
        a = np.split(x[:, t] @ inner.T + named["reader.bias_ih_l0"], 3, axis=1)
        b = np.split(h @ outer.T + named["reader.bias_hh_l0"], 3, axis=1)
        reset, keep = gate(a[0] + b[0]), gate(a[1] + b[1])
        h = (1 - keep) * np.tanh(a[2] + reset * b[2]) + keep * h
    assert close(model(torch.tensor(x)), h @ named["answer.weight"].T + named["answer.bias"])


def test_attention_is_torchs_scaled_dot_product():
    model, x = made(kinds.Attention), torch.randn(3, 6, 1, dtype=torch.double)
    z = (x @ model.embed.weight.T + model.embed.bias + model.places) @ model.parts.weight.T
    z = z + model.parts.bias
    seen = functional.scaled_dot_product_attention(z[..., :16], z[..., 16:32], z[..., 32:])
    wanted = seen.sum(dim=1) / 6 @ model.answer.weight.T + model.answer.bias
    assert close(model(x), wanted.detach().numpy())
    assert model.places.shape == (6, 16)


def test_the_network_of_the_sinusoids_is_the_books():
    net, x = made(kinds.mlp), np.linspace(-5, 5, 7)[:, None]
    layers = [m for m in net if isinstance(m, torch.nn.Linear)]
    theta = [part for m in layers for part in (m.weight.T.ravel(), m.bias)]
    wanted = MLP((1, 40, 40, 1)).predict(torch.cat(theta).detach().numpy(), x)
    assert close(net(torch.tensor(x)), wanted)


def test_the_small_convolutions_by_scipy():
    net, x = made(kinds.conv_net), np.random.default_rng(0).normal(size=(2, 1, 8, 8))
    z = x
    for layer in (net[0], net[3]):
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        z = np.stack(
            [
                [
                    sum(map(lambda c, w: correlate2d(c, w, "same"), one, w)) + b
                    for w, b in zip(weight, bias, strict=True)
                ]
                for one in z
            ]
        )
        z = np.tanh(z)
        z = (z[..., ::2, ::2] + z[..., 1::2, ::2] + z[..., ::2, 1::2] + z[..., 1::2, 1::2]) / 4
    head = net[-1]
    wanted = z.reshape(2, 64) @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    assert wanted.shape == (2, 3) and close(net(torch.tensor(x)), wanted)
    assert kinds.conv_net(7)[-1].out_features == 7


def test_an_echo_mixes_the_first_and_the_last_number():
    tasks, ends = kinds.Echoes().sample(np.random.default_rng(0), 400, 3, 4), []
    x, y = (
        np.concatenate([getattr(tasks, f"{n}_{p}") for p in ("support", "query")], 1) for n in "xy"
    )
    assert x.shape == (400, 7, 6, 1) and x.std() == pytest.approx(1, abs=0.02)
    for some, answers in zip(x[..., 0], y[..., 0], strict=True):
        weights = np.linalg.lstsq(some, answers)[0]
        assert np.allclose(some @ weights, answers, atol=1e-9)
        assert np.allclose(weights[1:-1], 0, atol=1e-9)
        ends.append([weights[0], -weights[-1]])
    first, last = np.transpose(ends)
    assert 0.5 <= np.min(ends) < 0.53 and 1.97 < np.max(ends) <= 2
    assert abs(np.corrcoef(first, last)[0, 1]) < 0.15
    assert kinds.Echoes(4).sample(np.random.default_rng(0), 1, 1, 1).x_query.shape == (1, 1, 4, 1)


def test_a_pattern_is_of_blocks_seen_through_noise():
    tasks = kinds.Patterns(n_ways=4).sample(np.random.default_rng(0), 2, 6, 4000)
    assert tasks.y_support.tolist() == 2 * [[0, 1, 2, 3, 0, 1]]
    assert tasks.y_query[0, :6].tolist() == [2, 3, 0, 1, 2, 3]
    means = np.stack([tasks.x_query[:, tasks.y_query[0] == k, 0].mean(axis=1) for k in range(4)], 1)
    blocks = means.reshape(2, 4, 4, 2, 4, 2).mean(axis=(3, 5), keepdims=True)
    assert np.abs(means.reshape(2, 4, 4, 2, 4, 2) - blocks).max() < 0.1
    assert blocks.std() == pytest.approx(1, abs=0.15)
    noise = tasks.x_query[:, :, 0] - means[:, tasks.y_query[0]]
    assert noise.std() == pytest.approx(0.7, abs=0.01)
    seen = tasks.x_support[:, :, 0] - means[:, tasks.y_support[0]]
    assert np.abs(seen).mean() == pytest.approx(0.7 * (2 / np.pi) ** 0.5, abs=0.05)


def test_a_border_is_straight_and_lies_nearly_the_same_way():
    tasks, found = kinds.Borders().sample(np.random.default_rng(0), 60, 100, 100), []
    for t in range(60):
        x = np.concatenate([tasks.x_support[t], tasks.x_query[t]])
        y = np.concatenate([tasks.y_support[t], tasks.y_query[t]])
        fit = LogisticRegression(C=1e6, fit_intercept=False, max_iter=5000).fit(x, y)
        assert fit.score(x, y) == 1
        found.append(fit.coef_[0] / np.linalg.norm(fit.coef_))
    common = np.array([2, 2 / 3, -2 / 3, -2]) / np.linalg.norm([2, 2 / 3, -2 / 3, -2])
    assert np.mean(found, axis=0) / np.linalg.norm(np.mean(found, axis=0)) @ common > 0.99
    along = np.array(found) @ common
    assert 0.5 < along.mean() < 0.92
    assert kinds.Borders(2).sample(np.random.default_rng(0), 1, 1, 1).x_query.shape == (1, 1, 2)


@pytest.mark.parametrize(
    ("name", "kind", "family"),
    [
        ("MLP", torch.nn.Sequential, Sinusoids),
        ("convolutions", torch.nn.Sequential, kinds.Patterns),
        ("recurrent (GRU)", kinds.Recurrent, kinds.Echoes),
        ("attention", kinds.Attention, kinds.Echoes),
        ("logistic regression", torch.nn.Linear, kinds.Borders),
        ("kernel machine", kinds.Kernel, Sinusoids),
    ],
)
def test_each_kind_has_its_family_and_an_answer_for_it(name, kind, family):
    contestant = kinds.CONTESTANTS[name]
    model, rng = contestant.make(), np.random.default_rng(0)
    assert isinstance(model, kind) and isinstance(contestant.family, family)
    tasks = contestant.family.sample(rng, 1, 2, 3)
    answer = model(torch.tensor(tasks.x_query[0], dtype=torch.float32))
    is_label = tasks.y_query.dtype.kind == "i"
    assert contestant.objective == ("cross_entropy" if is_label else "mse")
    n_ways = len(np.unique(contestant.family.sample(rng, 9, 9, 9).y_query)) if is_label else 1
    assert answer.shape == (3, n_ways)
