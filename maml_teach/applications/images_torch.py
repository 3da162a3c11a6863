"""Few-shot images on tensors: the convolutional network, ProtoNet, and scores of test tasks."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..inputs import rate
from ..maml_torch import FromModule, Rates, adapt, as_tensors, from_module
from ..tasks import Task, check_batch

Distance = Callable[[Tensor, Tensor], Tensor]  # of queries and class means


def conv_net(n_out: int, *, generator: torch.Generator, channels: int = 32) -> nn.Module:
    """Four convolutions with BatchNorm and ReLU, each halving the picture, and a linear layer.

    Args:
        n_out: Numbers that come out per picture: ``n_ways``.
        generator: A ``torch.Generator``; it draws the weights.
        channels: Width of the convolutions; 32 gives 28,837 parameters for five ways.

    Returns:
        An ``nn.Module`` for pictures ``(n, 1, 28, 28)``. BatchNorm uses the statistics of the
        batch it is given: a query set is normalised as a whole (transductively), as in the paper.

    Source:
        Finn et al. (2017), section 5.2: the Omniglot network, with strides in place of pooling,
        and half its channels.
    """
    layers = []
    for n_in in (1, channels, channels, channels):
        convolution = nn.Conv2d(n_in, channels, 3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu", generator=generator)
        layers += [convolution, nn.BatchNorm2d(channels, track_running_stats=False), nn.ReLU()]
    head = nn.Linear(4 * channels, n_out)
    nn.init.normal_(head.weight, std=0.01, generator=generator)
    nn.init.zeros_(head.bias)
    return nn.Sequential(*layers, nn.Flatten(), head)


def protonet_gradient(
    model: FromModule,
    theta: Tensor,
    tasks: Task,
    *,
    alpha: Rates | None = None,
    n_inner_steps: int = 0,
) -> tuple[Tensor, Tensor]:
    """Prototypical networks: no adapting; a query picture belongs to the nearest class mean.

    It takes the place of ``maml_gradient`` in ``meta_train``; the model's outputs are the space in
    which distances are taken.

    Source:
        Snell, Swersky and Zemel (2017), equations 1 and 2.
    """
    check_batch(tasks)
    theta, tasks = theta.detach().clone().requires_grad_(), as_tensors(tasks, theta)
    loss: Any = 0.0
    for t in range(tasks.n_tasks):
        scores = -nearest_means(model, theta, tasks.select(t), squared_distance)
        loss = loss + nn.functional.cross_entropy(scores, tasks.y_query[t]) / tasks.n_tasks
    return loss.detach(), torch.autograd.grad(loss, theta)[0]


def nearest_means(model: FromModule, theta: Tensor, task: Task, distance: Distance) -> Tensor:
    """``(n_queries, n_ways)``: distance of each query picture of one task from the class means.

    All pictures go through the network as one batch, as in training.
    """
    embedded = model.predict(theta, torch.cat([task.x_support, task.x_query]))
    return from_means(embedded, task.y_support, distance)


def from_means(embedded: Tensor, labels: Tensor, distance: Distance) -> Tensor:
    """Distance of what comes after the labelled features from the mean of each class of these."""
    support, query = embedded[: len(labels)], embedded[len(labels) :]
    ways = range(int(labels.max()) + 1)
    return distance(query, torch.stack([support[labels == way].mean(dim=0) for way in ways]))


def each_alone(model: FromModule, theta: Tensor, task: Task) -> Tensor:
    """Outputs for the support set and *one* query picture, for each query picture of one task.

    Returns:
        ``(n_queries, n_support + 1, n_out)``. BatchNorm sees no other query picture: at test time
        nothing is learned from pictures that are still to be told apart.
    """
    batches = (torch.cat([task.x_support, picture[None]]) for picture in task.x_query)
    return torch.stack([model.predict(theta, batch) for batch in batches])


def squared_distance(query: Tensor, means: Tensor) -> Tensor:
    """Squared Euclidean distance over the number of dimensions, ``(n_queries, n_ways)``."""
    return ((query[:, None] - means) ** 2).mean(dim=2) * 4


def cosine_distance(query: Tensor, means: Tensor) -> Tensor:
    """Minus the cosine, ``(n_queries, n_ways)``."""
    unit = nn.functional.normalize
    return -unit(query, dim=1) @ unit(means, dim=1).T


def correct_by_means(model: FromModule, theta: Tensor, tasks: Task, distance: Distance) -> NDArray:
    """Query pictures of each task that are nearest to their own class mean, ``(n_tasks,)``.

    Each goes through the network with the support set and without the other query pictures.
    """
    tasks, best = as_tensors(tasks, theta), []
    with torch.no_grad():
        for t in range(tasks.n_tasks):
            task = tasks.select(t)
            scores = [
                from_means(embedded, task.y_support, distance)
                for embedded in each_alone(model, theta, task)
            ]
            best.append(torch.cat(scores).argmin(dim=1))
    return (torch.stack(best) == tasks.y_query).sum(dim=1).numpy()


def correct_after(
    model: FromModule, theta: Tensor, tasks: Task, *, alpha: Rates, steps: Sequence[int]
) -> NDArray:
    """Query pictures that are classified rightly after adapting, each by :func:`each_alone`.

    Args:
        model: A wrapped network.
        theta: The start, ``(n_params,)``.
        tasks: Test tasks.
        alpha: Inner rate, or rates as ``adapt`` takes them.
        steps: After how many inner steps to look, in increasing order.

    Returns:
        ``(len(steps), n_tasks)`` of counts.
    """
    tasks = as_tensors(tasks, theta)
    counts: list[list[int]] = []
    for t in range(tasks.n_tasks):
        one, theta_k, k = tasks.select(slice(t, t + 1)), theta, 0
        counts.append([])
        for n in steps:
            for step in range(k, n):
                theta_k = adapt(model, theta_k, one, alpha=rate(alpha, step))[0]
            k = n
            with torch.no_grad():
                scores = each_alone(model, theta_k, one.select(0))[:, -1]
                right = scores.argmax(dim=1) == one.y_query[0]
            counts[-1].append(int(right.sum()))
    return torch.tensor(counts).T.numpy()


def wrapped(n_out: int, seed: int) -> tuple[FromModule, Tensor]:
    """``(model, theta)``: the network for ``n_out`` numbers, drawn from ``seed``."""
    net = conv_net(n_out, generator=torch.Generator().manual_seed(seed))
    model = from_module(net, "cross_entropy")
    return model, model.theta()
