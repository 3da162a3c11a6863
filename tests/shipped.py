"""What the tests of the shipped files share: scripts that run here, and second ways to train."""

import sys
import unicodedata

import numpy as np
import pytest
import torch

from maml_teach import maml_torch


def made_by(script, name, settings, folder, **patches):
    """The arrays that ``script`` writes with these quick ``settings``; runs stay in ``folder``."""
    target = folder / f"made_{name}.npz"
    with pytest.MonkeyPatch.context() as patch:
        for attribute, value in {"QUICK": settings, **patches}.items():
            patch.setattr(script, attribute, value)
        options = ["--quick", "--folder", str(folder), "--target", str(target)]
        patch.setattr(sys, "argv", [name, *options])
        script.main()
    with np.load(target) as file:
        return dict(file)


def joined(parts):
    """One dataclass of arrays from several."""
    kind = type(parts[0])
    return kind(*(np.concatenate([vars(p)[name] for p in parts]) for name in vars(parts[0])))


def meta_gradient(model, theta, tasks, alpha, n_inner_steps, *, second_order=True):
    """Autograd through every inner step, task by task; without a step that of the query loss."""
    theta, tasks = theta.detach().requires_grad_(), maml_torch.as_tensors(tasks, theta)
    total = 0.0
    for t in range(tasks.n_tasks):
        task, theta_k = tasks.select(t), theta
        for _ in range(n_inner_steps):
            loss = model.loss(theta_k, task.x_support, task.y_support)
            slope = torch.autograd.grad(loss, theta_k, create_graph=second_order)[0]
            theta_k = theta_k - alpha * slope
        total = total + model.loss(theta_k, task.x_query, task.y_query) / tasks.n_tasks
    return torch.autograd.grad(total, theta)[0]


def protonet_gradient(model, theta, tasks):
    """Cross-entropy of minus four times the mean squared distance from the class means.

    Support and query go through the network together, as BatchNorm has it in training.
    """
    theta, tasks, loss = theta.detach().requires_grad_(), maml_torch.as_tensors(tasks, theta), 0.0
    for x, y, x_query, y_query in zip(*vars(tasks).values(), strict=True):
        both = model.predict(theta, torch.cat([x, x_query]))
        support, query = both[: len(x)], both[len(x) :]
        means = torch.stack([support[y == way].mean(dim=0) for way in range(int(y.max()) + 1)])
        scores = -4 * ((query[:, None] - means) ** 2).mean(dim=2)
        loss = loss + torch.nn.functional.cross_entropy(scores, y_query) / tasks.n_tasks
    return torch.autograd.grad(loss, theta)[0]


def trained_by_torch(gradient, theta, family, counts, betas, rng):
    """``theta`` after one step of ``torch.optim.Adam`` at each of the outer rates ``betas``."""
    theta = torch.as_tensor(theta).clone()
    optimizer = torch.optim.Adam([theta])
    for beta in betas:
        optimizer.param_groups[0]["lr"] = beta
        theta.grad = torch.as_tensor(gradient(theta.clone(), family.sample(rng, *counts)))
        optimizer.step()
    return theta.numpy()


def adapted_by_torch(model, theta, tasks, optimizer, alpha, n_steps):
    """One network per task after ``n_steps`` of an optimizer of ``torch.optim``."""
    start = torch.as_tensor(theta)
    tasks = maml_torch.as_tensors(tasks, start)
    theta = start.expand(tasks.n_tasks, -1).clone().requires_grad_()
    rule = optimizer([theta], lr=alpha)
    for _ in range(n_steps):
        rule.zero_grad()
        model.loss(theta, tasks.x_support, tasks.y_support).sum().backward()
        rule.step()
    return theta.detach().numpy()


def adapted_alone(model, theta, x, y, optimizer, alpha, n_steps):
    """``theta`` of one task after ``n_steps``; ``alpha`` is a rate, or one for each parameter."""
    theta_k, whole = theta.clone().requires_grad_(), isinstance(alpha, float)
    rule = optimizer([theta_k], lr=alpha if whole else 1.0)
    for _ in range(n_steps):
        loss = model.loss(theta_k, x, y)
        theta_k.grad = torch.autograd.grad(loss, theta_k)[0] * (1.0 if whole else alpha)
        rule.step()
    return theta_k.detach()


def is_of(names, scripts):
    """Whether all characters are of these scripts, by the first words of their names."""
    return {unicodedata.name(name).partition(" ")[0] for name in names} <= set(scripts)
