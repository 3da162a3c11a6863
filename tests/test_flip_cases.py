"""Cases for the figure of mistakes: what is shown is what ran, and the check tells."""

import inspect
import traceback

import numpy as np
import pytest

from maml_teach import maml
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids
from maml_teach.widgets.flip.cases import curve, curve_case, edited, gradient_case, source

RNG = np.random.default_rng(0)
MODEL = MLP((1, 8, 8, 1), "tanh")
PROBLEM = MODEL, MODEL.init(RNG), Sinusoids().sample(RNG, 4, 5, 5)
INNER = {"alpha": 0.05, "n_inner_steps": 3}
FACTOR = 3
AXES = {"x_label": "x", "y_label": "y", "log_y": True}
LABELS = {**AXES, "value_label": "value", "caught_by": "the check"}


def right(model, theta, tasks, **inner):
    return maml.maml_gradient(model, theta, tasks, **inner)


def times(x):
    """Names of this module are seen by an edited function, too."""
    return FACTOR * x


FIRST_ORDER = edited(right, ("maml.maml_gradient", "maml.fomaml_gradient"))


def test_an_edited_function_runs_its_text():
    assert FIRST_ORDER.__name__ == "right"
    assert source(FIRST_ORDER) == source(right).replace("maml_gradient", "fomaml_gradient")
    exact, first = (f(*PROBLEM, **INNER)[1] for f in (maml.maml_gradient, maml.fomaml_gradient))
    assert np.array_equal(FIRST_ORDER(*PROBLEM, **INNER)[1], first)
    assert np.array_equal(right(*PROBLEM, **INNER)[1], exact)
    assert edited(times, ("* x", "+ x"))(4) == 7 and times(4) == 12


def test_edits_of_an_edited_function_add_up():
    once = edited(times, ("* x", "+ x"))
    assert edited(once, ("+ x", "- x"))(4) == -1 and once(4) == 7


def test_an_error_in_an_edited_function_shows_its_line():
    with pytest.raises(ZeroDivisionError) as caught:
        edited(times, ("* x", "/ x"))(0)
    assert traceback.extract_tb(caught.tb)[-1].line == "return FACTOR / x"


def test_a_change_must_name_text_that_is_there_once():
    with pytest.raises(ValueError, match=r"'nowhere' occurs 0 times"):
        edited(times, ("nowhere", ""))
    with pytest.raises(ValueError, match=r"occurs once in times, but 'x' occurs 2 times"):
        edited(times, ("x", "y"))


def test_a_method_is_shown_from_the_margin():
    assert inspect.getsource(MLP.predict).startswith("    def")
    assert source(MLP.predict).startswith("def predict(")


def scores(gradient):
    """A curve that tells which gradient was used."""
    g = gradient(*PROBLEM, **INNER)[1]
    return [(0, 1.0), (1, np.linalg.norm(g))]


def test_a_wrong_gradient_becomes_a_case():
    arguments = 1, "no second order", (right, FIRST_ORDER), PROBLEM, scores
    case, verdict = gradient_case(*arguments, labels=AXES, **INNER)
    assert (
        verdict.mistake == "first-order only"
        and case.wrong.verdict == f"failed: {verdict.sentence}"
    )
    assert case.right.value == 0 < 1e-3 < case.wrong.value
    assert case.caught_by == "check_meta_gradient" and case.log_y is True
    assert (case.right_code, case.wrong_code) == (source(right), source(FIRST_ORDER))
    assert case.right.points == scores(right) != scores(FIRST_ORDER) == case.wrong.points


def test_a_mistake_that_is_none_is_refused():
    same = edited(right, ("return", "return  "))
    with pytest.raises(ValueError, match="tell right from wrong"):
        gradient_case(1, "none", (right, same), PROBLEM, scores, labels=AXES, **INNER)


def test_a_right_gradient_that_is_wrong_is_refused():
    both = FIRST_ORDER, right
    with pytest.raises(ValueError, match="tell right from wrong"):
        gradient_case(1, "turned round", both, PROBLEM, scores, labels=AXES, **INNER)


def test_a_curve_becomes_a_case():
    outcomes = [curve(enumerate(y), "said", y[1]) for y in ([2.0, 1.0], [2.0, 3.0])]
    case = curve_case(2, "worse", (right, FIRST_ORDER), outcomes, **LABELS)
    assert (case.right.points, case.wrong.points) == ([(0, 2), (1, 1)], [(0, 2), (1, 3)])
    assert (case.wrong.value, case.wrong_code) == (3, source(FIRST_ORDER))
