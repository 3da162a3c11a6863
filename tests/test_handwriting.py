"""Omniglot as its authors pack it, made up in small: what is read, refused, drawn and framed."""

import json
import sys
import zipfile

import numpy as np
import pytest
import train_omniglot as script
from PIL import Image, ImageDraw

from maml_teach.applications import handwriting, images
from maml_teach.applications.handwriting import Alphabets, framed
from maml_teach.applications.images import SIZE, omniglot, one_shot_runs
from maml_teach.data import load

UNFRAMED = ("maml", "protonet")
ALPHABETS = {"Greek": 6, "Latin": 5}
N_DRAWINGS = 4


def scrawl(rng):
    """A page of 105 by 105 pixels, black on white: a line of four corners."""
    page = Image.new("1", (105, 105), 1)
    corners = [tuple(corner) for corner in rng.integers(15, 90, (4, 2)).tolist()]
    ImageDraw.Draw(page).line(corners, fill=0, width=4)
    return page


def background(folder):
    """A background set of two alphabets."""
    rng = np.random.default_rng(0)
    for alphabet, n_characters in ALPHABETS.items():
        for k in range(n_characters):
            own = folder / alphabet / f"character{k + 1:02d}"
            own.mkdir(parents=True)
            for i in range(N_DRAWINGS):
                scrawl(rng).save(own / f"{k:04d}_{i + 1:02d}.png")
    return folder


def one_shot(folder, n_runs=2, n_ways=20):
    """Runs in which the test picture is the training picture, in another order, turned by none."""
    rng = np.random.default_rng(1)
    for r in range(1, n_runs + 1):
        name = f"run{r:02d}"
        for part in ("training", "test"):
            (folder / name / part).mkdir(parents=True)
        order, lines = rng.permutation(n_ways), []
        pages = [scrawl(rng) for _ in range(n_ways)]
        for k, page in enumerate(pages):
            page.save(folder / name / "training" / f"class{k + 1:02d}.png")
        for k, truth in enumerate(order):
            pages[truth].save(folder / name / "test" / f"item{k + 1:02d}.png")
            pair = f"test/item{k + 1:02d}.png", f"training/class{truth + 1:02d}.png"
            lines.append(" ".join(f"{name}/{one}" for one in pair))
        (folder / name / "class_labels.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def zipped(folder, file, *, inside=""):
    """A zip file of the folder, its files below ``inside``, as the authors packed theirs."""
    with zipfile.ZipFile(file, "w") as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, inside + str(path.relative_to(folder)))
    return file


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with the three files that a reader downloads, and what is in them."""
    top = tmp_path_factory.mktemp("omniglot")
    drawings, runs = background(top / "drawings"), one_shot(top / "runs")
    for name in ("small1", "small2"):
        inside = f"images_background_{name}/"
        zipped(drawings, top / f"images_background_{name}.zip", inside=inside)
    zipped(runs, top / "all_runs.zip")
    return top


def test_a_background_set_is_the_same_from_its_folder_and_from_its_zip_file(data):
    classes = omniglot(data / "images_background_small1.zip")
    assert classes.names[:2] == ("Greek/character01", "Greek/character02")
    assert classes.names[-1] == "Latin/character05" and len(classes) == 11
    again = omniglot(data / "drawings")
    assert np.array_equal(again.images, classes.images) and again.names == classes.names
    assert np.bincount(classes.labels).tolist() == [N_DRAWINGS] * 11


def test_each_drawing_fills_22_pixels_in_the_middle(data):
    for picture in omniglot(data / "drawings").images:
        rows, columns = np.nonzero(picture > 0.02)
        assert 22 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 24
        assert abs(rows.min() + rows.max() - 27) <= 1
        assert abs(columns.min() + columns.max() - 27) <= 1


def test_a_shrunk_drawing_lies_where_it_was_drawn(data):
    """As large on 28 pixels as on 105, and in the same place; nothing is cut out."""
    pages, small = (
        one_shot_runs(data / "all_runs.zip", how) for how in (images.page, images.shrunk)
    )
    for (large, *_), (shown, *_) in zip(pages, small, strict=True):
        assert large.shape == (20, 1, 105, 105) and shown.shape == (20, 1, SIZE, SIZE)
        assert large.dtype == shown.dtype == np.float32
        assert set(np.unique(large)) == {0, 1}
        assert np.allclose(large.mean(axis=(1, 2, 3)), shown.mean(axis=(1, 2, 3)), rtol=0.12)
        for axis in (2, 3):
            middles = [
                (one.sum(axis=(1, 5 - axis)) * places(one.shape[axis])).sum(axis=1)
                / one.sum(axis=(1, 2, 3))
                for one in (large, shown)
            ]
            assert np.abs(np.subtract(*middles)).max() < 0.6 / SIZE  # of a pixel
    framed_ones = omniglot(data / "drawings").images
    assert np.abs(framed_ones - omniglot(data / "drawings", images.shrunk).images).max() > 0.5


def places(n):
    """Middles of ``n`` pixels between 0 and 1."""
    return (np.arange(n) + 0.5) / n


@pytest.mark.parametrize("path", ["all_runs.zip", "runs"])
def test_a_label_is_the_place_of_the_right_picture(data, path):
    runs = one_shot_runs(data / path)
    assert len(runs) == 2
    for shown, asked, labels in runs:
        assert shown.shape == asked.shape == (20, 1, SIZE, SIZE)
        assert np.array_equal(shown[labels], asked) and sorted(labels) == list(range(20))


def test_a_path_that_is_not_the_data_set_is_named(tmp_path, data):
    for read, wanted in (
        (omniglot, "is not a part of Omniglot"),
        (one_shot_runs, "no folder run01"),
    ):
        with pytest.raises(ValueError, match=f"{tmp_path}.*{wanted}"):
            read(tmp_path)
        with pytest.raises(ValueError, match="is neither a folder nor a zip file"):
            read(tmp_path / "nowhere")
        for name, content in (("text.zip", b"no zip"), ("cut.zip", half_of(data))):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ValueError, match=f"{name}.*is no whole zip file"):
                read(tmp_path / name)
        (tmp_path / "text.zip").unlink()
        (tmp_path / "cut.zip").unlink()
    (tmp_path / "Greek" / "character01").mkdir(parents=True)
    with pytest.raises(ValueError, match="found 1 of them"):
        omniglot(tmp_path)


def half_of(data):
    whole = (data / "all_runs.zip").read_bytes()
    return whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "class_labels.txt").unlink(), "run02 .* has no class_labels.txt"),
        (lambda run: (run / "training" / "class03.png").unlink(), "run02 must pair .*class03"),
        (lambda run: (run / "test" / "item05.png").unlink(), "run02 must pair .*item05"),
        (lambda run: (run / "class_labels.txt").write_text("one\n"), "run02 must pair"),
    ],
)
def test_a_run_that_is_not_whole_is_named(tmp_path, spoil, message):
    spoil(one_shot(tmp_path) / "run02")
    with pytest.raises(ValueError, match=message):
        one_shot_runs(tmp_path)


def test_tasks_are_of_one_alphabet_and_one_turn_as_far_as_it_reaches(data):
    classes = omniglot(data / "drawings")
    family = Alphabets(classes, n_ways=5, vary=0)
    tasks = family.sample(np.random.default_rng(0), 30, 1, 2)
    seen = set()
    for t in range(30):
        ways = [found_in(classes, x[0]) for x in tasks.x_support[t]]
        alphabets = {classes.names[label].partition("/")[0] for label, _ in ways}
        assert len(alphabets) == 1 and len({turn for _, turn in ways}) == 1
        seen |= {(*alphabets, ways[0][1])}
        for x, y in zip(tasks.x_query[t], tasks.y_query[t], strict=True):
            assert found_in(classes, x[0]) == ways[y]
            assert not (tasks.x_support[t] == x).all(axis=(1, 2, 3)).any()
    assert len(seen) > 6


def found_in(classes, picture):
    """Class and quarter turns of a picture."""
    for turn in range(4):
        same = (np.rot90(classes.images, turn, axes=(1, 2)) == picture).all(axis=(1, 2))
        if same.any():
            return int(classes.labels[same.argmax()]), turn
    raise AssertionError("no such drawing")


def test_a_small_alphabet_is_filled_up_with_its_turns(data):
    classes = omniglot(data / "drawings")
    tasks = Alphabets(classes, n_ways=20, vary=0).sample(np.random.default_rng(0), 8, 1, 1)
    for shown in tasks.x_support:
        ways = [found_in(classes, x[0]) for x in shown]
        assert len(set(ways)) == 20
        assert len({classes.names[label].partition("/")[0] for label, _ in ways}) == 1


def test_a_class_of_a_single_drawing_is_refused(data):
    classes = omniglot(data / "drawings")
    lone = images.ImageClasses(classes.images[:3], [0, 1, 1], ("Greek/a", "Greek/b"))
    with pytest.raises(ValueError, match="two drawings each"):
        Alphabets(lone)
    with pytest.raises(ValueError, match="n_ways"):
        Alphabets(classes, n_ways=0)
    with pytest.raises(ValueError, match="n_ways is 21, but 'Latin' has 20 characters"):
        Alphabets(classes, n_ways=21)


def test_framing_undoes_moving_and_scaling(data):
    pictures = omniglot(data / "drawings").images[:12]
    assert np.abs(framed(pictures) - pictures).mean() < 0.02
    half = (np.arange(SIZE) + 0.5) * 2 / SIZE - 1
    at = np.stack(np.meshgrid(1.3 * half + 0.1, 1.3 * half - 0.2))
    moved = images.look_up(pictures, np.repeat(at[None], len(pictures), axis=0))
    apart = [np.abs(one - pictures).mean() for one in (moved, framed(moved))]
    assert apart[1] < 0.05 < 2 * apart[1] < apart[0]


def test_an_empty_picture_stays_empty():
    assert not framed(np.zeros((2, SIZE, SIZE))).any()


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["train_omniglot.py", *map(str, words)])
    script.main()


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    """What a quick run of the script makes of the made-up data."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        places = ["--folder", folder, "--target", folder / "omniglot.npz"]
        run(patch, "--data", data, "--quick", *places)
    with np.load(folder / "omniglot.npz") as file:
        return dict(file), folder


def test_a_quick_run_has_errors_of_every_method_background_and_run(made):
    found, config = made[0], json.loads(str(made[0]["config"]))
    assert config == script.QUICK
    for name in config["n_meta_steps"]:
        for name_of_set in ("small1", "small2"):
            errors = found[f"errors {name} {name_of_set}"]
            assert errors.shape == (1, 2) and (errors >= 0).all() and (errors <= 1).all()
    # Its test pictures are its training pictures, which the nearest picture cannot miss.
    for rival in ("pixels", "points"):
        assert found[f"errors {rival} none"].tolist() == [[0, 0]]
    for name in script.QUICK["unframed"]["names"]:
        assert found[f"unframed {name} small1"].shape == (1, 2)
    inner = json.loads(str(found["inner"]))
    assert inner["maml small1"] == [[0.1, inner["maml small1"][0][1]]]
    assert inner["protonet small1"] == [None]
    assert set(json.loads(str(found["seconds"]))) == set(config["n_meta_steps"])


def test_a_finished_run_is_read_and_not_trained_again(made, data, monkeypatch):
    before, folder = made

    def refused(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("artifacts.meta_train", refused)
    run(monkeypatch, "--data", data, "--quick", "--folder", folder, "--target", folder / "b.npz")
    with np.load(folder / "b.npz") as after:
        assert np.array_equal(before["theta maml small1"], after["theta maml small1"])


def test_without_the_data_the_script_says_where_to_get_them(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--data", tmp_path)
    said = capsys.readouterr().err
    assert "images_background_small1.zip is not there" in said and "brendenlake/omniglot" in said


def test_unframed_networks_are_trained_on_drawings_that_lie_as_they_were_drawn(data, tmp_path):
    """The very pictures that the family and the runs hand over."""
    seen = []

    def noted(names, backgrounds, runs, place, config, folder):
        del names, config
        seen.append((backgrounds["small1"].images, runs.x_support, place(np.ones(2)), folder.name))
        return {}, {}, {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "all_errors", noted)
        script.part_unframed(data, script.QUICK, tmp_path)
    ((drawings, shown, kept, folder),) = seen
    assert np.array_equal(drawings, omniglot(data / "drawings", images.shrunk).images)
    runs = one_shot_runs(data / "all_runs.zip", images.shrunk)
    assert np.array_equal(shown, np.stack([shown for shown, *_ in runs]))
    assert np.array_equal(kept, np.ones(2)) and folder == "unframed"
    family = Alphabets(omniglot(data / "drawings", images.shrunk), 5, vary=0.3, place=np.asarray)
    spans = [handwriting._span(x[:, 0], 1)[1] for x in family.sample(rng(), 6, 1, 1).x_support]
    assert np.ptp(spans) > 5  # framed ones would all be about as wide or as high as each other


def rng():
    return np.random.default_rng(0)


def test_points_take_the_worse_direction_and_do_not_mind_where_a_drawing_lies():
    """All points of the short line are on the long one, which is no reason to take one for it."""
    short, long, bent = np.zeros((3, 41, 41))
    short[18:23, 20] = long[5:36, 20] = bent[5:36, 20] = 1
    bent[5, 14:20] = 1
    moved = np.roll(long, (3, 9), axis=(0, 1))
    shown, asked = np.array([[short], [bent]]), np.array([[moved], [short]])
    assert script.nearest(shown, asked).tolist() == [1, 0]


def test_the_authors_own_rival_makes_the_errors_that_they_report():
    """The demonstration beside their data: 38.8 percent."""
    assert 100 * load("omniglot")["errors points none"].mean() == pytest.approx(38.8, abs=0.05)


def test_training_does_not_see_the_runs_that_judge(data):
    """No drawing of a background set is a picture of the official runs."""
    drawings = {x.tobytes() for x in omniglot(data / "drawings").images}
    for shown, asked, _ in one_shot_runs(data / "all_runs.zip"):
        assert not drawings & {x.tobytes() for x in np.concatenate([shown, asked])}
    assert handwriting.Alphabets is script.Alphabets


def test_the_shipped_file_is_of_these_settings():
    shipped = load("omniglot")
    assert json.loads(str(shipped["config"])) == script.CONFIG
    keys = {f"{name} {b}" for name in script.GRADIENTS for b in script.CONFIG["backgrounds"]}
    errors = {key: shipped[f"errors {key}"] for key in keys}
    assert all(rows.shape == (3, 20) for rows in errors.values())
    unframed = [f"unframed {key}" for key in keys if key.split()[0] in UNFRAMED]
    errors |= {key: shipped[key] for key in unframed}
    assert len(errors) == 14 and all(rows.shape == (3, 20) for rows in errors.values())
    # Twenty test pictures a run: a share of them is a whole number of twentieths.
    assert all(np.allclose(20 * rows, np.round(20 * rows), atol=1e-5) for rows in errors.values())
    inner = json.loads(str(shipped["inner"]))
    assert set(inner) == keys and all(len(loops) == 3 for loops in inner.values())
