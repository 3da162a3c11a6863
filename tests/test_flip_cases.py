"""Cases of the board of mistakes: the lines shown are lines that ran, and the check tells."""

import numpy as np
import pytest

from maml_teach import maml
from maml_teach.mlp import MLP
from maml_teach.tasks import Sinusoids
from maml_teach.widgets.flip.cases import curve, curve_case, gradient_case, require_lines

RNG = np.random.default_rng(0)
MODEL = MLP((1, 8, 8, 1), "tanh")
PROBLEM = MODEL, MODEL.init(RNG), Sinusoids().sample(RNG, 4, 5, 5)
INNER = {"alpha": 0.05, "n_inner_steps": 3}
BOTH = maml.maml_gradient, maml.fomaml_gradient
LAST = "return meta_loss, v.mean(axis=0)"
LABELS = {"x_label": "x", "y_label": "y", "value_label": "value", "caught_by": "the check"}


def test_lines_may_be_broken_elsewhere_but_must_occur():
    require_lines("return  meta_loss,\nv.mean( axis=0 )", maml.maml_gradient)
    with pytest.raises(ValueError, match=r"maml_gradient, but it has no \['nowhere'\]"):
        require_lines(f"{LAST}\nnowhere", maml.maml_gradient)


def test_a_wrong_gradient_becomes_a_case():
    case, verdict = gradient_case(1, "no second order", (LAST, LAST), BOTH, PROBLEM, **INNER)
    assert verdict.mistake == "first-order only" and case.wrong.verdict == str(verdict)
    assert case.right.value == 0 < 1e-3 < case.wrong.value
    assert all(np.isclose(x, y, atol=1e-6) for x, y in case.right.points)


def test_right_lines_may_stand_in_a_function_that_is_called():
    codes = "rule.update(theta_k, g, state, rate(alpha, k), k + 1)", LAST
    arguments = (1, "no second order", codes, BOTH, PROBLEM)
    gradient_case(*arguments, right_lines_of=maml.inner_path, **INNER)
    with pytest.raises(ValueError, match="lines of maml_gradient"):
        gradient_case(*arguments, **INNER)


def test_a_mistake_that_is_none_is_refused():
    with pytest.raises(ValueError, match="tell right from wrong"):
        gradient_case(1, "none", (LAST, LAST), (BOTH[0], BOTH[0]), PROBLEM, **INNER)


def test_a_curve_becomes_a_case():
    outcomes = [curve(range(2), y, "said", y[1]) for y in ([2.0, 1.0], [2.0, 3.0])]
    case = curve_case(2, "worse", (LAST, LAST), BOTH, outcomes, **LABELS)
    assert (case.plot, case.wrong.points, case.wrong.value) == ("curve", [(0, 2), (1, 3)], 3)
    with pytest.raises(ValueError, match="lines of fomaml_gradient"):
        curve_case(2, "worse", (LAST, "nowhere"), BOTH, outcomes, **LABELS)
