"""The numbers that a figure's read-out should give, from the package: a function for each figure.

Each takes the settings by trait and returns the numbers of the sentence, in their order. What the
page draws at random comes from its own generator, ``node.mulberry32``.
"""

import json
import math

import numpy as np
import torch
from node import mulberry32, run_node

from maml_teach import maml, maml_torch
from maml_teach.applications import (
    arm,
    detection,
    detection_torch,
    driving,
    images_torch,
    language,
    navigation,
    steering,
)
from maml_teach.data import load
from maml_teach.measures import gradient_gap as gap_of
from maml_teach.mlp import MLP
from maml_teach.reporting import band
from maml_teach.rules import adam
from maml_teach.tasks import Task
from maml_teach.widgets.base import WAVE_NETWORK
from maml_teach.widgets.claims import CLAIMS
from maml_teach.widgets.decision import advice
from maml_teach.widgets.family_map import FamilyMap
from maml_teach.widgets.gradient_gap import sinusoid_batches
from maml_teach.widgets.language import SETS, _language
from maml_teach.widgets.two_loops import default_tasks


def normals(stream, n):
    """Standard normal numbers, two uniforms each (Box and Muller)."""
    u = np.array([next(stream) for _ in range(2 * n)]).reshape(n, 2)
    return np.sqrt(-2 * np.log(1 - u[:, 0])) * np.cos(2 * np.pi * u[:, 1])


def two_loops(alpha, beta, n_inner_steps, algorithm):
    """Of the first outer step."""
    model, theta, tasks = MLP((1, 1)), np.array([-1.8, 2.4]), default_tasks()
    gradients = {"MAML": maml.maml_gradient, "FOMAML": maml.fomaml_gradient}
    inner = {"alpha": alpha, "n_inner_steps": n_inner_steps}
    _, exact = maml.maml_gradient(model, theta, tasks, **inner)
    _, gradient = gradients[algorithm](model, theta, tasks, **inner)
    losses = [
        maml.maml_gradient(model, at, tasks, **inner)[0] for at in (theta, theta - beta * gradient)
    ]
    columns = [np.column_stack([x, np.ones(len(x))]) for x in tasks.x_support]
    curvature = max(np.linalg.eigvalsh(2 * c.T @ c / len(c))[-1] for c in columns)
    cosine = gradient @ exact / np.linalg.norm(gradient) / np.linalg.norm(exact)
    apart = [] if algorithm == "MAML" else [math.degrees(math.acos(cosine))]
    return [0, *theta, *gradient, *apart, *losses, alpha * curvature]


def playground(alpha, n_inner_steps, n_shots, amplitude, phase):
    stream, saved = mulberry32(8), load("sinusoid_starts")
    x = np.array([[10 * next(stream) - 5] for _ in range(n_shots)])
    everywhere = np.linspace(-5, 5, 51)[:, None]
    points = (x, amplitude * np.sin(x - phase), everywhere, amplitude * np.sin(everywhere - phase))
    task, found = Task(*(array[None] for array in points)), []
    for name in ("random", "pretrained", "maml"):
        theta = saved[name].astype(float)
        for k in (0, n_inner_steps):
            theta_k = maml.adapt(WAVE_NETWORK, theta, task, alpha=alpha, n_inner_steps=k)
            found.append(float(WAVE_NETWORK.loss(theta_k, task.x_query, task.y_query)[0]))
    return [n_inner_steps, alpha, n_shots, *found]


def landscape(alpha, n_inner_steps, curvature_a):
    """F and its derivative in bowls, by their closed forms."""
    theta, centres = 0.35, np.array([-1.5, 0.75, 1.3])
    curvatures = np.array([curvature_a, 2.5, 5.8])
    left = (1 - alpha * curvatures) ** n_inner_steps  # of the distance from the centre
    weights = curvatures * left**2
    value = np.mean(weights * (theta - centres) ** 2) / 2
    slope = np.mean(weights * (theta - centres))
    return [value, theta, slope, slope]


def gradient_gap(alpha, n_inner_steps, start):
    theta = load("sinusoid_starts")[start].astype(np.float32)
    batches = sinusoid_batches()
    rows = np.array(
        [
            gap_of(WAVE_NETWORK, theta, b, alpha=alpha, n_inner_steps=n_inner_steps)[-1]
            for b in batches
        ]
    )
    before = np.mean([WAVE_NETWORK.loss(theta, b.x_query, b.y_query).mean() for b in batches])
    (first, length, reptile, reptiles), loss = rows.mean(axis=0)[:4], rows[:, 4].mean()
    ends = lambda column: (rows[:, column].min(), rows[:, column].max())  # noqa: E731
    return [
        *(alpha, n_inner_steps, first, *ends(0), 5, length),
        *(reptile, *ends(2), reptiles / n_inner_steps),
        *([90] if rows[:, [0, 2]].max() < 90 else []),
        *(before, loss),
    ]


def family_map(algorithm, alpha, beta):
    figure, saved = FamilyMap.from_package(), load("sinusoid_family")
    grid = saved["grid_mse"][figure.names.index(algorithm)]
    cell = grid[figure.alphas.index(alpha), figure.betas.index(beta)]
    last = np.where(np.isfinite(grid[..., -1]), grid[..., -1], np.inf)
    learns = last <= figure.reference / 2
    diverges = last > 10 * figure.reference
    best = np.unravel_index(last.argmin(), last.shape)
    top = [last.min(), figure.alphas[best[0]], figure.betas[best[1]]]
    counts = [learns.sum(), last.size, np.sum(~learns & ~diverges), diverges.sum()]
    return [alpha, beta, cell[0], cell[-1], figure.n_meta_steps, *top, *counts]


NET = MLP((1, 40, 40, 1))


def sampled_wave(stream):
    """Curve, support and query inputs of a task of *Train it here*."""
    amplitude, phase = 0.1 + 4.9 * next(stream), np.pi * next(stream)
    x = np.array([10 * next(stream) - 5 for _ in range(20)]).reshape(2, 10, 1)
    return lambda x: amplitude * np.sin(x - phase), x[0], x[1]


def training(alpha, beta, n_inner_steps, seed, held_out, n_meta_steps=0):
    """Of run A, MAML, before training or after a step of it."""
    stream, parts = mulberry32(seed), []
    for n_in, n_out in zip(NET.sizes[:-1], NET.sizes[1:], strict=True):
        parts += [(2 * next(stream) - 1) / n_in**0.5 for _ in range((n_in + 1) * n_out)]
    theta, inner = np.array(parts), {"alpha": alpha, "n_inner_steps": n_inner_steps}
    stream, moments = mulberry32(seed + 1000), (0 * theta, 0 * theta)
    for k in range(n_meta_steps):
        waves = [sampled_wave(stream) for _ in range(25)]
        arrays = [(a, curve(a), b, curve(b)) for curve, a, b in waves]
        tasks = Task(*(np.stack(part) for part in zip(*arrays, strict=True)))
        _, gradient = maml.maml_gradient(NET, theta, tasks, **inner)
        theta, moments = adam(theta, gradient, moments, beta, k + 1)
    curve, x, _ = sampled_wave(mulberry32(500_001 + held_out))
    grid = np.linspace(-5, 5, 121)[:, None]
    task = Task(x[None], curve(x)[None], grid[None], curve(grid)[None])
    ends = [theta, maml.adapt(NET, theta, task, **inner)[0]]
    losses = [NET.loss(end, grid, curve(grid)) for end in ends]
    return [alpha, beta, n_inner_steps, n_meta_steps, *losses]


def measured(claim, place):
    """Each curve of a claim at a place of its axis."""
    stored = load("claims")
    key, rows = CLAIMS[claim]
    places = np.array(json.loads(str(stored["config"]))[key], float)
    return [np.interp(place, places, band(stored[name])[0]) for name, *_ in rows]


def related_tasks(frequency):
    return [frequency, 200, *measured("related tasks", frequency)]


def shift(n_inner_steps):
    return [n_inner_steps, 200, *measured("shift", n_inner_steps)]


def variance(alpha):
    """Spreads, and for how many tasks the steepest direction is stretched."""
    stored = load("claims")
    shares = [
        100 * np.mean(alpha * stored[f"curvature {name}"].ravel() > 2)
        for name in ("random", "maml")
    ]
    return [alpha, *measured("variance", alpha), 2, shares[0], shares[1]]


def decision(equations, features, examples, compute, tasks, likeness):
    """Shares and leads in percent, for three of the results."""
    result = advice(locals())
    if result == "equations":
        robot, driving = load("robot"), load("driving")
        arm = robot["arm fitted with prior, 20"].mean() / robot["arm maml, 20"].mean()
        return [100 * arm, 100 * driving["fitted, 20"].mean() / driving["maml, 20"].mean()]
    images, found = load("images"), load("detection")
    lead = lambda stored, one, two: (stored[one].astype(float) - stored[two]).mean()  # noqa: E731
    if result == "far":
        return [100 / 25 * lead(images, "maml 5w1s digits", "protonet 5w1s digits")]
    assert result == "compare"
    glyphs = 100 / 25 * lead(images, "protonet 5w1s glyphs", "maml 5w1s glyphs")
    return [glyphs, 100 / 5 * lead(found, "match, 1", "maml, 1")]


def how_good_features(kind, n_shots):
    """Examples of each intent, and the accuracy of each method in percent, the best first."""
    stored = load("intents")
    place = np.argsort(stored["grid centroid 5w1s"].mean(axis=1))[kind - 1]
    names = ("centroid", "whitened", "logistic", "protonet", "anil", "maml")
    shares = [stored[f"grid {name} 5w{n_shots}s"][place].mean() for name in names]
    return [int(n_shots), *sorted(100 * np.array(shares), reverse=True)]


def find_it(n_shots, n_inner_steps, alpha=0.05):
    """Overlaps of the chapter's task by PyTorch, in double precision as the page."""
    saved = load("detection")
    model, _ = detection_torch.wrapped(0)
    model = maml_torch.from_module(model.module.double(), model.objective)
    scenes = torch.tensor(detection.from_bytes(saved["scenes"])[2], dtype=torch.float64)[:, None]
    boxes = torch.tensor(saved["boxes"][2], dtype=torch.float64)
    theta = torch.tensor(saved["maml"], dtype=torch.float64)
    parts = (scenes[:n_shots], boxes[:n_shots], scenes[5:], boxes[5:])
    task = Task(*(part[None] for part in parts))
    overlaps = []
    for k in (n_inner_steps, 0):
        theta_k = maml_torch.adapt(model, theta, task, alpha=alpha, n_inner_steps=k)
        overlaps.append(detection_torch.overlaps_of(model, theta_k[0], scenes[5:], boxes[5:]))
    (after, before) = overlaps
    return [n_shots, n_inner_steps, 1, after[0], before[0], after.mean(), before.mean()]


def draw_it(n_inner_steps, alpha):
    saved, start = load("images"), load("omniglot")["figure theta"]
    model, _ = images_torch.wrapped(5, 0)
    model = maml_torch.from_module(model.module.double(), model.objective)
    framed = run_node(
        "drawing", [("framed", [ink.ravel().tolist()]) for ink in saved["examples"][2]]
    )
    six = torch.tensor(framed, dtype=torch.float64).reshape(6, 1, 28, 28)
    theta = torch.tensor(start, dtype=torch.float64)
    labels = torch.tensor([[0, 1, 2, 3, 4, 0]])  # the sixth is seen together with the five
    task = Task(six[None, :5], labels[:, :5], six[None], labels)
    chances = []
    for k in (n_inner_steps, 0):
        theta_k = maml_torch.adapt(model, theta, task, alpha=alpha, n_inner_steps=k)
        with torch.no_grad():
            chances.append(model.predict(theta_k, task.x_query)[0, -1].softmax(0).numpy())
    best = chances[0].argmax()
    nearest = ((six[:5] - six[5:]) ** 2).sum(dim=(1, 2, 3))
    percents = [100 * each[best] for each in chances]
    return [
        n_inner_steps,
        alpha,
        best + 1,
        *percents,
        int(nearest.argmin()) + 1,
        saved["truths"][2] + 1,
    ]


def which_language(n_shots, n_inner_steps, alpha=1.0):
    """Of the first five languages, and the first example: a text of the second."""
    names, titles = language.shipped_names("test"), language.shipped_titles()
    five = [_language(name, names, titles) for name in SETS[0]]
    x = np.stack([language.features(t) for one in five for t in one["samples"][:n_shots]])
    asked = language.features(five[1]["asked"][0])[None]
    y = np.repeat(np.arange(5), n_shots)
    theta = load("language")["maml"].astype(np.float16).astype(float)
    task = Task(x[None], y[None], asked[None], np.array([[1]]))
    chances = []
    for k in (n_inner_steps, 0):
        theta_k = maml.adapt(language.MODEL, theta, task, alpha=alpha, n_inner_steps=k)
        scores = language.MODEL.predict(theta_k, task.x_query)[0, 0]
        chances.append(np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum())
    best = chances[0].argmax()
    return [n_inner_steps, n_shots, *(100 * each[best] for each in chances)]


def reach_it(alpha, n_inner_steps, n_walks, later=0.2):
    """Mean returns before and after each update."""
    goal = np.array([-0.3, -0.4])
    noise = normals(mulberry32(1), 6 * 50 * 80).reshape(6, 50, 40, 2)[:, :, :n_walks]
    goals = np.broadcast_to(goal, (1, n_walks, 2))
    theta, returns = load("robot")["policy maml"].astype(float), []
    for k in range(n_inner_steps + 1):
        rows = np.moveaxis(noise[k], 0, 1).reshape(1, n_walks, 100)
        x, y, its_return = navigation.experience(navigation.MODEL, theta, rows, goals)
        returns.append(its_return[0])
        theta = navigation.update(navigation.MODEL, theta, x, y, alpha * (later if k else 1))
    updates = {0: [], 1: [1, alpha]}.get(n_inner_steps, [1, n_inner_steps, alpha])
    straight = navigation.straight(goal[None])[0]
    return [*goal, n_walks, returns[0], *returns[1:], *updates, straight]


def lift_it(payload, friction, seconds, n_inner_steps, alpha=0.1):
    stream = mulberry32(2)
    between = lambda low, high: low + (high - low) * next(stream)  # noqa: E731

    def motion():
        centre = [between(-1, 1), between(-1, 1)]
        waves = [[between(0.3, 0.8), between(1, 4), between(0, 2 * np.pi)] for _ in range(4)]
        size, pace, phase = np.array(waves).reshape(2, 2, 3).transpose(2, 1, 0)[:, None]
        return arm.Motion(size, pace, phase, np.array([centre]))

    test, wanted = motion(), motion()
    n = round(seconds * arm.RATE)
    noise = normals(stream, 80).reshape(1, 40, 2)[:, :n]
    own = (0.55, 0.45, 2, 1.25, payload, 1.5 * friction, friction)
    one = arm.Arms(*(np.array([float(value)]) for value in own))
    x, y = arm.measured(one, test, np.arange(n) / arm.RATE, noise)
    start = load("robot")["arm maml"].astype(float)
    adapted = maml.adapt(
        arm.MODEL, start, Task(x, y, x, y), alpha=alpha, n_inner_steps=n_inner_steps
    )
    clock = arm.DT * np.arange(300)
    feeds = [
        arm.expected_torques(arm.MODEL, theta, wanted, clock) for theta in (start[None], adapted)
    ]
    feeds.append(arm.torques(one, *wanted.at(clock)))
    errors = [arm.tracking_error(arm.track(one, wanted, feed), wanted)[0] for feed in feeds]
    return [payload, friction, *errors[:2], n_inner_steps, seconds, errors[2]]


def drive_it(grip, wind, pull, seconds, n_inner_steps, alpha=0.1):
    stream = mulberry32(3)

    def waves(hertz):
        drawn = [(2 * np.pi * next(stream), next(stream), next(stream)) for _ in hertz]
        low, high = np.array(hertz).T
        phase, share, size = np.array(drawn).T
        return phase, 2 * np.pi * driving.DT * (low + (high - low) * share), size

    warm_up, n_road = 10, 200
    phase, pace, size = waves([(0.15, 1.15)] * 4)
    bend_phase, bend_pace, _ = waves([(0.055, 0.065), (0.1, 0.12), (0.17, 0.21)])
    k = np.arange(warm_up + 40)[:, None]
    steer = np.clip((0.06 * size * np.sin(pace * k + phase)).sum(axis=1), -0.15, 0.15)[None]
    noise = normals(stream, 2 * k.size).reshape(1, -1, 2)
    k = np.arange(n_road + steering.HORIZON)[:, None]
    bends = np.sin(bend_pace * k + bend_phase).sum(axis=1)
    own = (grip, 1700, 1.5, 85e3, 95e3, wind, math.radians(pull), 1, 17)
    car = driving.Cars(*(np.array([float(value)]) for value in own))
    x, y = driving.transitions(car, driving.drive_along(car, steer), steer, noise)
    own = slice(warm_up, warm_up + round(seconds / driving.DT))
    task = Task(x[:, own], y[:, own], x, y)
    start = load("driving")["maml"].astype(float)
    adapted = maml.adapt(driving.MODEL, start, task, alpha=alpha, n_inner_steps=n_inner_steps)
    plans = [driving.learned(driving.MODEL, theta) for theta in (start[None], adapted)]
    curvature = (0.0056 * bends / np.abs(bends).max())[None]
    errors = [
        100 * steering.lateral_error(steering.steer_along(car, plan, curvature)[0])[0]
        for plan in (*plans, driving.step)
    ]
    return [grip, wind, pull, *errors[:2], n_inner_steps, seconds, errors[2]]
