"""How good must features be: what is sent, looked up, drawn and said of a measured grid."""

import json
from base64 import b64encode

import numpy as np
import pytest
from node import run_node
from page import STATUS, show

from maml_teach.widgets import HowGoodFeatures
from maml_teach.widgets.features import METHODS, SHOTS

KINDS = ["layer 1", "bag of words", "the whole encoder"]
RNG = np.random.default_rng(0)
SHARES = {
    f"grid {name} {setting}": np.float32(RNG.uniform(0.3, 1, (3, 2)))
    for setting in SHOTS.values()
    for name, *_ in METHODS
}
SHARES["grid centroid 5w1s"] = np.float32([[0.5, 0.6], [0.3, 0.4], [0.9, 0.95]])
ORDER = [1, 0, 2]  # by the nearest mean with one example


def stored(**change):
    config = json.dumps({"settings": {"5w1s": [5, 1]}})
    return {**SHARES, "kinds": np.array(KINDS), "config": config, **change}


def means(setting, kind):
    """Accuracy of each method by its name on the page."""
    return {
        label: SHARES[f"grid {name} {setting}"][ORDER[kind]].mean() for name, label, _ in METHODS
    }


def test_kinds_are_in_the_order_of_the_nearest_mean():
    figure = HowGoodFeatures(stored())
    assert figure.kinds == ["bag of words", "layer 1", "the whole encoder"]
    assert (figure.kind, figure.n_shots) == (3, "1")


def test_the_page_looks_up_what_was_measured():
    figure = HowGoodFeatures(stored())
    numbers = b64encode(figure.grid).decode()
    for setting, name in enumerate(SHOTS.values()):
        [rows] = run_node("features", [("rowsOf", [numbers, figure.methods, 3, setting])])
        for kind in range(3):
            found = {row["name"]: row["shares"][kind] for row in rows}
            assert found == pytest.approx(means(name, kind))


@pytest.mark.parametrize(("kind", "n_shots"), [(1, "1"), (3, "5")])
def test_the_read_out_names_the_best_first(kind, n_shots):
    [words], values = show(
        HowGoodFeatures(stored(), kind=kind, n_shots=n_shots), STATUS, ("read", "text.mf-value")
    )
    wanted = means(SHOTS[n_shots], kind - 1)
    order = sorted(wanted, key=wanted.get, reverse=True)
    text = [f"{name} {100 * wanted[name]:.1f}%" for name in order]
    assert words.endswith(f"At the top: {order[0]}. All: {', '.join(text)}.")
    assert values == [f"{100 * share:.1f}%" for share in wanted.values()]


def test_methods_closer_than_half_a_point_are_level():
    rows = [
        {"name": name, "look": "maml", "shares": [share]}
        for name, share in (("one", 0.8), ("two", 0.8049), ("three", 0.799))
    ]
    [words] = run_node("features", [("describe", [rows, ["layer 1"], 0, "1"])])
    assert words.startswith(
        "Features: layer 1; 1 example of each intent. At the top: two, one. All"
    )


def test_what_is_missing_or_out_of_range_is_named():
    without = {key: value for key, value in stored().items() if key != "grid maml 5w5s"}
    with pytest.raises(ValueError, match="stored lacks grid maml 5w5s"):
        HowGoodFeatures(without)
    with pytest.raises(ValueError, match="kind must be from 1 to 3, got 4"):
        HowGoodFeatures(stored(), kind=4)
    with pytest.raises(ValueError, match="n_shots"):
        HowGoodFeatures(stored(), n_shots="2")
