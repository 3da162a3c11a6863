"""Pictures: what is turned, bent, framed and labelled; the network and its judges, another way."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestCentroid
from torch.nn import functional

from maml_teach import maml_torch
from maml_teach.applications import images, images_torch
from maml_teach.applications.images import SIZE, FewShotImages, ImageClasses
from maml_teach.tasks import Task


def few_classes(n_classes=3, n_each=4, seed=0):
    """Classes of random blots."""
    rng = np.random.default_rng(seed)
    pictures = rng.random((n_classes * n_each, SIZE, SIZE)).astype(np.float32)
    names = tuple(map(str, range(n_classes)))
    return ImageClasses(pictures, np.repeat(np.arange(n_classes), n_each), names)


def turned_left(picture):
    """A quarter turn against the clock: what was the right edge is on top."""
    return picture.T[::-1]


def quarter_turns(picture):
    """The picture after 0, 1, 2 and 3 quarter turns."""
    turns = [picture]
    for _ in range(3):
        turns.append(turned_left(turns[-1]))
    return np.array(turns)


def test_a_picture_of_a_turned_class_is_turned():
    """Class ``k`` after ``t`` quarter turns is number ``t`` times the classes plus ``k``."""
    classes = few_classes(n_each=1)
    family, rng = FewShotImages(classes, vary=0, turn_classes=True), np.random.default_rng(0)
    found = family.pictures(rng, range(12), 1)
    wanted = np.stack([quarter_turns(picture) for picture in classes.images], axis=1)
    assert np.array_equal(found, wanted.reshape(12, SIZE, SIZE))


def test_classes_are_not_turned_unless_asked():
    classes = few_classes(n_classes=5, n_each=1)
    found = FewShotImages(classes, vary=0).pictures(np.random.default_rng(0), range(5), 1)
    assert np.array_equal(found, classes.images)


def test_without_turns_an_episode_needs_as_many_classes_as_ways():
    classes = few_classes(n_classes=4)
    with pytest.raises(ValueError, match="n_ways is 5, but there are only 4"):
        FewShotImages(classes)
    tasks = FewShotImages(classes, 4, vary=0).sample(np.random.default_rng(0), 9, 1, 1)
    for picture in tasks.x_query.reshape(-1, SIZE, SIZE):
        assert (classes.images == picture).all(axis=(1, 2)).any()


def test_a_way_keeps_its_turn_and_an_episode_holds_turns_of_one_class_as_several():
    classes = few_classes(n_classes=2, n_each=3)
    family = FewShotImages(classes, 8, vary=0, turn_classes=True)
    tasks = family.sample(np.random.default_rng(0), 4, 1, 2)
    turns = np.array([quarter_turns(picture) for picture in classes.images]).reshape(24, -1)
    kind = np.repeat(np.arange(2), 3)[:, None] + 2 * np.arange(4)  # class and turn, six by four
    for t in range(4):
        of_way = {}
        for x, y in (
            (tasks.x_support[t], tasks.y_support[t]),
            (tasks.x_query[t], tasks.y_query[t]),
        ):
            for picture, way in zip(x, y, strict=True):
                place = int(np.abs(turns - picture.ravel()).sum(axis=1).argmin())
                assert np.array_equal(turns[place], picture.ravel())
                of_way.setdefault(int(way), set()).add(int(kind.ravel()[place]))
        assert sorted(map(min, of_way.values())) == list(range(8))
        assert all(len(kinds) == 1 for kinds in of_way.values())


def test_pictures_repeat_only_where_a_class_has_too_few():
    family, rng = FewShotImages(few_classes(), 3, vary=0), np.random.default_rng(0)
    assert len(np.unique(family.pictures(rng, [1], 4), axis=0)) == 4
    assert len(np.unique(family.pictures(rng, [1], 50), axis=0)) == 4
    own = few_classes().images[4:8]
    assert all((own == picture).all(axis=(1, 2)).any() for picture in family.pictures(rng, [1], 9))


def test_pictures_are_distorted_as_strongly_as_asked():
    classes = few_classes()
    for vary in (0.5, 1.0):
        found = FewShotImages(classes, 3, vary=vary).pictures(np.random.default_rng(0), [0, 2], 4)
        rng = np.random.default_rng(0)
        plain = FewShotImages(classes, 3, vary=0).pictures(rng, [0, 2], 4)
        assert np.array_equal(found, images.distort(plain, rng, strength=vary))
    assert FewShotImages(classes, 3).vary == 1 and not FewShotImages(classes, 3).turn_classes


AXES = ["turned", "sheared", "wider", "higher", "moved right", "moved down"]
MOST = dict(zip(AXES, [np.pi / 12, 0.25, 0.2, 0.2, 0.15, 0.15], strict=True))


def look_up_matrix(amounts):
    """Where a point of the picture is looked up, in half widths: elementary maps in their order."""
    cos, sin = np.cos(amounts["turned"]), np.sin(amounts["turned"])
    scaling = np.diag([1 + amounts["wider"], 1 + amounts["higher"], 1])
    turning = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    shearing = np.array([[1, amounts["sheared"], 0], [0, 1, 0], [0, 0, 1]])
    moving = np.array([[1, 0, amounts["moved right"]], [0, 1, amounts["moved down"]], [0, 0, 1]])
    return moving @ scaling @ turning @ shearing


def looked_up(picture, matrix):
    """SciPy's bilinear look-up of the picture, with nothing around it."""
    half, middle = SIZE / 2, (SIZE - 1) / 2
    columns, rows = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    points = np.stack([(columns - middle) / half, (rows - middle) / half, np.ones((SIZE, SIZE))])
    x, y, _ = np.einsum("ij,jhw->ihw", matrix, points) * half + middle
    return ndimage.map_coordinates(picture, [y, x], order=1, mode="grid-constant", cval=0)


def assert_looks_like(found, wanted):
    """Alike where there is ink; beyond the last column and row a thousandth of it may be left."""
    gaps = np.abs(found - wanted)
    assert gaps[wanted > 0].max() < 1e-5 and gaps.max() < 1e-3


def dice(amounts, bend=0.0):
    """A generator that draws these shares of the largest amounts, one column per picture."""
    return SimpleNamespace(
        uniform=lambda low, high, shape: np.broadcast_to(np.reshape(amounts, (6, -1)), shape),
        standard_normal=lambda shape: np.full(shape, bend),
    )


@pytest.mark.parametrize("axis", range(6), ids=AXES)
@pytest.mark.parametrize("share", [1.0, -0.5])
def test_a_distortion_does_what_it_says(axis, share):
    picture = ndimage.gaussian_filter(few_classes().images[0].astype(float), 1)
    amounts = share * np.eye(6)[axis]
    given = dict.fromkeys(AXES, 0.0) | {AXES[axis]: share * MOST[AXES[axis]]}
    wanted = looked_up(picture, look_up_matrix(given))
    found = images.distort(picture[None], dice(amounts))[0]
    assert found.dtype == np.float32
    assert_looks_like(found, wanted)
    assert np.abs(wanted - picture).max() > 0.02
    half = images.distort(picture[None], dice(2 * amounts), strength=0.5)[0]
    assert_looks_like(half, wanted)


def test_distortions_of_several_pictures_go_together_in_one_order():
    rng = np.random.default_rng(0)
    pictures = few_classes().images[:5].astype(float)
    shares = rng.uniform(-1, 1, (6, 5))
    found = images.distort(pictures, dice(shares))
    for k, picture in enumerate(pictures):
        given = {name: MOST[name] * share for name, share in zip(AXES, shares[:, k], strict=True)}
        assert_looks_like(found[k], looked_up(picture, look_up_matrix(given)))


def test_amounts_are_drawn_evenly_in_both_directions():
    seen = []
    rng = np.random.default_rng(0)
    spy = SimpleNamespace(
        uniform=lambda *how: seen.append(how) or rng.uniform(*how),
        standard_normal=rng.standard_normal,
    )
    images.distort(np.zeros((3, SIZE, SIZE)), spy)
    assert seen == [(-1, 1, (6, 3))]


def test_bending_moves_points_by_a_tenth_of_the_half_width_in_both_directions():
    """Seen on ramps, whose ink says where it was looked up; 1.4 pixels are 0.1 half widths."""
    still = SimpleNamespace(
        uniform=lambda low, high, shape: np.zeros(shape),
        standard_normal=np.random.default_rng(0).standard_normal,
    )
    rows = np.broadcast_to(np.arange(SIZE)[:, None] / (SIZE - 1.0), (1000, SIZE, SIZE))
    inner = slice(8, 20)
    for ramp, axis in ((rows, 1), (rows.transpose(0, 2, 1), 2)):
        moved = (images.distort(ramp, still) - ramp)[:, inner, inner] * (SIZE - 1)
        assert moved.std() == pytest.approx(1.4, rel=0.05)
        assert moved.mean() == pytest.approx(0, abs=0.1)
        assert np.diff(moved, axis=axis).std() < 0.35 * moved.std()
        less = (images.distort(ramp, still, strength=0.5) - ramp)[:, inner, inner] * (SIZE - 1)
        assert less.std() == pytest.approx(0.7, rel=0.05)


def test_a_bend_of_ones_looks_further_right_and_down():
    rows = np.broadcast_to(np.arange(SIZE)[:, None] / (SIZE - 1.0), (1, SIZE, SIZE))
    for ramp in (rows, rows.transpose(0, 2, 1)):
        moved = images.distort(ramp, dice(np.zeros(6), bend=1.0)) - ramp
        assert (moved[0, 8:20, 8:20] > 0.02).all()


def test_a_bend_is_made_of_bumps_around_evenly_spaced_knots():
    weights = images._smooth(29, 5)
    assert np.allclose((weights**2).sum(axis=1), 1)
    assert weights.argmax(axis=1).tolist() == np.round(np.arange(29) / 7 - 1e-9).tolist()
    at_a_knot = weights[7]
    assert np.allclose(at_a_knot / at_a_knot[1], np.exp(-((np.arange(5) - 1.0) ** 2) / 0.7))


def test_ink_between_pixels_is_scipys():
    rng = np.random.default_rng(0)
    pictures, at = (
        rng.random((2, SIZE, SIZE)).astype(np.float32),
        rng.uniform(-1.3, 1.3, (2, 2, 28, 28)),
    )
    found = images.look_up(pictures, at)
    for k, (x, y) in enumerate(at * SIZE / 2 + (SIZE - 1) / 2):
        inside = (np.abs(x - 13.5) < 14.4) & (np.abs(y - 13.5) < 14.4)
        wanted = ndimage.map_coordinates(pictures[k], [y, x], order=1, mode="grid-constant")
        assert np.abs(found[k] - wanted)[inside].max() < 1e-5
        assert np.abs(found[k])[(np.abs(x - 13.5) > 14.6) | (np.abs(y - 13.5) > 14.6)].max() < 1e-2


@pytest.mark.parametrize("shape", [(60, 30), (30, 60), (10, 10)])
def test_a_framed_picture_is_22_pixels_long_and_in_the_middle(shape):
    height, width = (22 * side // max(shape) for side in shape)
    framed = images.fit(Image.fromarray(np.full(shape, 255, np.uint8)))
    top, left = (SIZE - height) // 2, (SIZE - width) // 2
    inside = np.zeros((SIZE, SIZE))
    inside[top : top + height, left : left + width] = 1
    odd = width % 2 or height % 2  # the rest of half a pixel
    assert framed.dtype == np.float32
    assert framed.sum() == pytest.approx(height * width, rel=1e-3)
    assert odd or np.allclose(framed, inside, atol=1e-6)


def test_a_framed_picture_keeps_its_sides_and_shades():
    picture = np.zeros((44, 44), np.uint8)
    picture[:22, :] = 51  # a fifth of the ink above
    picture[22:, :22] = 255
    framed = images.fit(Image.fromarray(picture))
    assert np.allclose(framed[5:12, 5:23], 0.2, atol=1e-3)
    assert np.allclose(framed[16:23, 5:12], 1, atol=1e-3)
    assert np.allclose(framed[16:23, 17:23], 0, atol=1e-3)


def test_digits_are_those_of_scikit_learn_the_right_way_up():
    digits, data = images.digits(), load_digits()
    assert len(digits) == 10
    for k in range(10):
        own, ours = data.images[data.target == k], digits.images[digits.labels == k]
        assert len(own) == len(ours)
        for eight, picture in zip(own[::9], ours[::9], strict=True):
            seen = Image.fromarray(picture[3:25, 3:25]).resize((8, 8), Image.Resampling.BOX)
            assert np.corrcoef(np.ravel(seen), eight.ravel())[0, 1] > 0.97
            assert np.mean(seen) == pytest.approx(np.mean(eight) / 16, abs=0.03)


def test_omniglot_pictures_go_to_their_characters_are_framed_and_not_turned(tmp_path):
    """Drawing ``n`` of a character is a black bar 15 pixels high and 45 + 30 ``n`` wide."""
    where = [("Greek", 1), ("Greek", 2), ("Latin", 1)]
    for k, (alphabet, character) in reversed([*enumerate(where)]):
        folder = tmp_path / alphabet / f"character{character:02d}"
        folder.mkdir(parents=True)
        for n in range(k + 1):  # another number of drawings each
            page = np.full((105, 105), 255, np.uint8)
            page[30 * k : 30 * k + 15, : 45 + 30 * n] = 0
            Image.fromarray(page).save(folder / f"0001_{n:02d}.png")
    classes = images.omniglot(tmp_path)
    assert classes.labels.tolist() == [0, 1, 1, 2, 2, 2]
    for picture, n in zip(classes.images, [0, 0, 1, 0, 1, 2], strict=True):
        height = 22 * 15 / (45 + 30 * n)
        assert picture.sum() == pytest.approx(22 * height, rel=0.05)
        rows, columns = picture.sum(axis=1) @ np.arange(SIZE), picture.sum(axis=0) @ np.arange(SIZE)
        assert np.allclose([rows, columns] / picture.sum(), 13.5, atol=0.3)  # in the middle
        assert picture[:, 4:24].sum() > 0.85 * picture.sum() and picture[14].sum() > 20


def test_the_sizes_of_the_network_are_those_that_it_tells():
    model, theta = images_torch.wrapped(5, 0)
    assert theta.numel() == 28_837
    narrow = images_torch.conv_net(3, generator=torch.Generator().manual_seed(0), channels=4)
    assert narrow(torch.zeros(2, 1, SIZE, SIZE)).shape == (2, 3)
    again, other = images_torch.wrapped(5, 0)[1], images_torch.wrapped(5, 1)[1]
    assert torch.equal(theta, again) and not torch.equal(theta, other)
    assert model.objective == "cross_entropy"


def test_the_network_begins_as_its_layers_want_it():
    net = images_torch.conv_net(200, generator=torch.Generator().manual_seed(0))
    convolutions = [m for m in net if isinstance(m, torch.nn.Conv2d)]
    assert [c.in_channels for c in convolutions] == [1, 32, 32, 32]
    for c in convolutions:
        std = (2 / (9 * c.in_channels)) ** 0.5
        assert c.weight.std().item() == pytest.approx(std, rel=0.1)
    head = net[-1]
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.03) and not head.bias.any()


def test_the_network_by_its_layers():
    """Batch statistics of whatever comes in, also when it only predicts."""
    model, theta = images_torch.wrapped(5, 0)
    theta = theta.double()
    x = torch.rand(6, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    parts, z = iter(torch.split(theta, [288, 32, 32, *3 * [9216, 32, 32], 640, 5])), x
    for n_in in (1, 32, 32, 32):
        weight, scale, shift = next(parts), next(parts), next(parts)
        z = functional.conv2d(z, weight.reshape(32, n_in, 3, 3), stride=2, padding=1)
        mean, variance = z.mean(dim=(0, 2, 3), keepdim=True), z.var((0, 2, 3), False, keepdim=True)
        z = (z - mean) / (variance + 1e-5).sqrt() * scale[:, None, None] + shift[:, None, None]
        z = z.clamp(min=0)
    wanted = z.flatten(1) @ next(parts).reshape(5, 128).T + next(parts)
    assert torch.allclose(model.predict(theta, x), wanted, rtol=1e-9, atol=1e-12)


class Flat(torch.nn.Module):
    """The picture itself as a vector."""

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        """``(n, 784)``."""
        return self.factor * x.flatten(1)


def blurred_tasks(n_tasks=8, n_ways=4, n_shots=3):
    """Ways that overlap, so that many query pictures are near a wrong mean; labels shuffled."""
    rng = np.random.default_rng(0)
    means = rng.random((n_tasks, n_ways, 1, SIZE, SIZE))
    labels = [rng.permuted(np.tile(np.arange(n_ways), (n_tasks, n)), axis=1) for n in (n_shots, 15)]
    x = [
        means[np.arange(n_tasks)[:, None], y] + 5 * rng.random((*y.shape, 1, SIZE, SIZE))
        for y in labels
    ]
    return Task(x[0], labels[0], x[1], labels[1])


@pytest.mark.parametrize("name", ["squared_distance", "cosine_distance"])
def test_nearest_means_are_those_of_scikit_learn(name):
    tasks, model = blurred_tasks(), maml_torch.from_module(Flat().double(), "cross_entropy")
    found = images_torch.correct_by_means(model, model.theta(), tasks, getattr(images_torch, name))
    for t in range(8):
        x, y = tasks.x_support[t].reshape(12, -1), tasks.y_support[t]
        asked = tasks.x_query[t].reshape(60, -1)
        if name == "squared_distance":
            best = NearestCentroid().fit(x, y).predict(asked)
        else:
            means = np.stack([x[y == way].mean(axis=0) for way in range(4)])
            best = cosine_similarity(asked, means).argmax(axis=1)
        assert found[t] == (best == tasks.y_query[t]).sum()
    assert 15 < found.mean() < 50


def test_distances_by_hand():
    query, means = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 1.0], [-6.0, -8.0], [0.0, 0.0]])
    squared = images_torch.squared_distance(query, means)
    assert squared[0].tolist() == pytest.approx([4 * 18 / 2, 4 * 225 / 2, 4 * 25 / 2])
    cosine = images_torch.cosine_distance(query, means)
    assert cosine[0].tolist() == pytest.approx([-0.8, 1.0, 0.0])


def test_the_loss_of_protonet_is_that_of_softmax_over_minus_distances():
    """Means by a matrix of memberships, distances by inner products, logarithms by hand."""
    tasks = FewShotImages(few_classes(6), 3).sample(np.random.default_rng(0), 2, 2, 4)
    model, theta = images_torch.wrapped(3, 0)
    theta = theta.double()
    loss, gradient = images_torch.protonet_gradient(model, theta, tasks)
    free, total = theta.clone().requires_grad_(), 0.0
    for t in range(2):
        x = np.concatenate([tasks.x_support[t], tasks.x_query[t]]).astype(float)
        z = model.predict(free, torch.tensor(x))
        member = torch.eye(3, dtype=torch.double)[tasks.y_support[t]].T / 2
        means, query = member @ z[:6], z[6:]
        apart = (query**2).sum(1)[:, None] + (means**2).sum(1) - 2 * query @ means.T
        scores = -4 / 3 * apart
        right = scores[torch.arange(12), torch.tensor(tasks.y_query[t])]
        total = total + (torch.logsumexp(scores, dim=1) - right).sum() / 24
    assert loss.item() == pytest.approx(total.item(), rel=1e-9)
    wanted = torch.autograd.grad(total, free)[0]
    assert torch.allclose(gradient, wanted, rtol=1e-7, atol=1e-10)


def softly_learned():
    """Tasks on which the number of right answers changes from step to step."""
    tasks = blurred_tasks(n_tasks=3)
    model = maml_torch.from_module(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 4)), "cross_entropy"
    )
    return model, model.theta() * 0, tasks


RATES = {
    "one": 1e-4,
    "for each parameter": torch.linspace(0, 3e-4, 3140),
    "a table": torch.tensor([[1e-4], [0.0], [3e-4], [-2e-4], [1e-4]]),
}


@pytest.mark.parametrize("rates", RATES)
def test_right_answers_are_counted_after_just_so_many_steps(rates):
    model, theta, tasks = softly_learned()
    steps, alpha = [0, 1, 2, 4, 7], RATES[rates]
    found = images_torch.correct_after(model, theta, tasks, alpha=alpha, steps=steps)
    tensors, by_n = maml_torch.as_tensors(tasks, theta), {}
    for n in range(15):
        adapted = maml_torch.adapt(model, theta, tasks, alpha=alpha, n_inner_steps=n)
        best = [model.predict(adapted[t], tensors.x_query[t]).argmax(dim=1) for t in range(3)]
        by_n[n] = [(best[t] == tensors.y_query[t]).sum().item() for t in range(3)]
    assert found.tolist() == [by_n[n] for n in steps]
    assert len({tuple(by_n[n]) for n in steps}) >= 3
