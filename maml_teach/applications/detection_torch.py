"""Few-shot detection on tensors: the network, its loss, and the boxes it says."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..inputs import Inputs
from ..maml_torch import FromModule, as_tensors, from_module
from ..rules import RULES
from ..tasks import Task
from .detection import CANVAS, FOUND, iou

STRIDE = 4  # pixels of the scene per cell of the map
GRID = CANVAS // STRIDE
USUAL = 16.0  # pixels: a box of this side has size 0 in what the network says


def finder(*, generator: torch.Generator, channels: int = 32) -> nn.Sequential:
    """Three convolutions with ReLU, the first in strides of four pixels, and five maps.

    Args:
        generator: A ``torch.Generator``; it draws the weights.
        channels: Width of the convolutions; 32 gives 20,261 parameters.

    Returns:
        An ``nn.Sequential`` from scenes ``(n, 1, 48, 48)`` to maps ``(n, 5, 12, 12)``: for each
        cell of four by four pixels a score for being the middle of the box, and the box if it is.
        Each scene goes through by itself: there is no BatchNorm.
    """
    layers: list[nn.Module] = []
    for n_in, side, stride in ((1, 7, STRIDE), (channels, 3, 1), (channels, 3, 1)):
        convolution = nn.Conv2d(n_in, channels, side, stride=stride, padding=side // 2)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(convolution.get_parameter("bias"))
        layers += [convolution, nn.ReLU()]
    head = nn.Conv2d(channels, 5, 1)
    nn.init.normal_(head.weight, std=0.02, generator=generator)
    nn.init.zeros_(head.get_parameter("bias"))
    return nn.Sequential(*layers, head)


class Matcher(nn.Module):
    """Learned template matching: what a box holds, and where a scene has the same features.

    The three convolutions of :func:`finder` see all scenes. The template is the mean of the
    features in the boxes of the examples; a scene's features, multiplied by it, go to the maps.

    Args:
        generator: A ``torch.Generator``; it draws the weights.
        channels: Width of the convolutions; 32 gives 20,421 parameters.

    Source:
        The features of Snell et al. (2017), compared place by place as in Bertinetto et al. (2016),
        Fully-Convolutional Siamese Networks for Object Tracking.
    """

    def __init__(self, *, generator: torch.Generator, channels: int = 32):
        super().__init__()
        trunk = finder(generator=generator, channels=channels)
        self.trunk = trunk[:-2]  # without the last ReLU: features of both signs
        self.head = nn.Conv2d(2 * channels, 5, 1)
        nn.init.normal_(self.head.weight, std=0.02, generator=generator)
        nn.init.zeros_(self.head.get_parameter("bias"))

    def forward(self, x_support: Tensor, boxes: Tensor, x_query: Tensor) -> Tensor:
        """Maps ``(n_queries, 5, 12, 12)`` from examples, their boxes ``(n, 4)``, and scenes."""
        shown, asked = self.trunk(x_support), self.trunk(x_query)
        inside = coverage(boxes)
        template = (shown * inside[:, None]).sum(dim=(2, 3)) / inside.sum(dim=(1, 2))[:, None]
        alike = asked * template.mean(dim=0)[:, None, None]
        return self.head(torch.cat([alike, asked], dim=1))


def coverage(boxes: Tensor) -> Tensor:
    """Which share of each cell lies in the box, ``(n, 12, 12)`` from ``(n, 4)``."""
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    edges = STRIDE * torch.arange(GRID + 1).to(boxes)
    ends = torch.minimum(edges[1:], high[..., None]) - torch.maximum(edges[:-1], low[..., None])
    columns, rows = (ends.clamp(min=0) / STRIDE).unbind(dim=1)
    return rows[:, :, None] * columns[:, None]


def match_gradient(
    model: FromModule, theta: Tensor, tasks: Task, *, alpha: float, n_inner_steps: int
) -> tuple[Tensor, Tensor]:
    """The gradient that trains a :class:`Matcher`, in the place of ``maml_gradient``.

    Nothing is adapted: ``alpha`` and ``n_inner_steps`` are not used.
    """
    del alpha, n_inner_steps
    tasks, theta = as_tensors(tasks, theta), theta.detach().clone().requires_grad_()
    given = (tasks.x_support, tasks.y_support, tasks.x_query)
    loss = model.loss(theta.expand(tasks.n_tasks, -1), given, tasks.y_query).mean()
    return loss.detach(), torch.autograd.grad(loss, theta)[0]


def found_by_match(model: FromModule, theta: Tensor, tasks: Task) -> NDArray:
    """Query glyphs of each task that a :class:`Matcher` finds, ``(n_tasks,)``."""
    tasks, counts = as_tensors(tasks, theta), []
    for t in range(tasks.n_tasks):
        task = tasks.select(t)
        given = (task.x_support, task.y_support, task.x_query)
        counts.append((overlaps_of(model, theta, given, task.y_query) > FOUND).sum())
    return np.array(counts)


def box_loss(maps: Tensor, boxes: Tensor) -> Tensor:
    """Cross-entropy over the cells plus smooth L1 of the box said in the right cell.

    Args:
        maps: What the network says, ``(n, 5, 12, 12)``.
        boxes: The truth, ``(n, 4)`` in pixels.

    Returns:
        The mean over scenes, a scalar.

    Source:
        Girshick (2015), Fast R-CNN, equations 1 to 3, with cells in place of regions.
    """
    cell = cells(boxes)
    score = nn.functional.cross_entropy(maps[:, 0].flatten(1), cell)
    return score + nn.functional.smooth_l1_loss(at_cell(maps, cell), coded(boxes, cell))


def cells(boxes: Tensor) -> Tensor:
    """Number of the cell in which the middle of each box lies, ``(n,)``."""
    column, row = (boxes[:, :2] / STRIDE).long().clamp(0, GRID - 1).T
    return row * GRID + column


def at_cell(maps: Tensor, cell: Tensor) -> Tensor:
    """The four numbers that the maps hold for a cell of each scene, ``(n, 4)``."""
    return maps[:, 1:].flatten(2)[torch.arange(len(cell)), :, cell]


def coded(boxes: Tensor, cell: Tensor) -> Tensor:
    """Boxes as the network says them: offset from the cell in cells, and log of the size."""
    return torch.cat([boxes[:, :2] / STRIDE - middles(cell), (boxes[:, 2:] / USUAL).log()], dim=1)


def middles(cell: Tensor) -> Tensor:
    """Middle of each cell, x and y in cells, ``(n, 2)``."""
    return torch.stack([cell % GRID, cell // GRID], dim=1) + 0.5


def boxes_of(maps: Tensor) -> Tensor:
    """The box of the cell with the highest score in each scene, ``(n, 4)`` in pixels."""
    cell = maps[:, 0].flatten(1).argmax(dim=1)
    said = at_cell(maps, cell)
    size = USUAL * said[:, 2:].clamp(-2, 1.1).exp()  # 2 to 48 pixels
    return torch.cat([STRIDE * (said[:, :2] + middles(cell)), size], dim=1)


def wrapped(seed: int) -> tuple[FromModule, Tensor]:
    """``(model, theta)``: the network as a model, its start drawn from ``seed``."""
    model = from_module(finder(generator=torch.Generator().manual_seed(seed)), box_loss)
    model.n_kept = 3  # the graphs of all three inner steps of a task are small
    return model, model.theta()


def wrapped_matcher(seed: int) -> tuple[FromModule, Tensor]:
    """``(model, theta)`` of a :class:`Matcher`, drawn from ``seed``."""
    model = from_module(Matcher(generator=torch.Generator().manual_seed(seed)), box_loss)
    return model, model.theta()


def found_after(
    model: FromModule,
    theta: Tensor,
    tasks: Task,
    *,
    alpha: float,
    steps: Sequence[int],
    optimizer: str = "sgd",
) -> NDArray:
    """How many query glyphs are found after adapting.

    Args:
        model: A wrapped network.
        theta: The start, ``(n_params,)``.
        tasks: Test tasks.
        alpha: Inner rate.
        steps: After how many inner steps to look, in increasing order.
        optimizer: Of the inner loop: ``"sgd"``, or ``"adam"`` to fine-tune a baseline.

    Returns:
        ``(len(steps), n_tasks)`` of counts. A network that diverged finds nothing.
    """
    tasks, rule = as_tensors(tasks, theta), RULES[optimizer]
    counts = np.zeros((len(steps), tasks.n_tasks), int)
    for t in range(tasks.n_tasks):
        task, theta_k, state = tasks.select(t), theta, rule.init(theta)
        for k in range(steps[-1] + 1):
            if k:
                gradient = model.gradient(theta_k, task.x_support, task.y_support)
                theta_k, state = rule.update(theta_k, gradient, state, alpha, k)
            if k in steps:
                overlaps = overlaps_of(model, theta_k, task.x_query, task.y_query)
                counts[steps.index(k), t] = (overlaps > FOUND).sum()
    return counts


def overlaps_of(model: FromModule, theta: Tensor, x: Inputs, boxes: Tensor) -> NDArray:
    """IoU of the box that the network says in each scene with the true one, ``(n,)``."""
    with torch.no_grad():
        said = boxes_of(model.predict(theta, x))
    return iou(said.numpy(), boxes.numpy())
