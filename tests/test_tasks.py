import numpy as np
import pytest

from maml_teach.tasks import Sinusoids, Task


def test_sinusoids_are_those_of_the_paper():
    tasks = Sinusoids().sample(np.random.default_rng(0), 2000, 10, 10)
    x = np.concatenate([tasks.x_support, tasks.x_query], axis=1)[..., 0]
    y = np.concatenate([tasks.y_support, tasks.y_query], axis=1)[..., 0]
    assert -5 <= x.min() < -4.99
    assert 4.99 < x.max() <= 5
    # y = a sin x + b cos x exactly, with amplitude and phase in the paper's ranges
    features = np.stack([np.sin(x), np.cos(x)], axis=-1)
    a, b = np.array(
        [np.linalg.lstsq(f, t, rcond=None)[0] for f, t in zip(features, y, strict=True)]
    ).T
    assert np.allclose(features @ np.stack([a, b], axis=-1)[..., None], y[..., None])
    amplitude, phase = np.hypot(a, b), np.arctan2(-b, a)
    assert amplitude.min() == pytest.approx(0.1, abs=0.02)
    assert amplitude.max() == pytest.approx(5.0, abs=0.02)
    assert phase.min() == pytest.approx(0.0, abs=0.01)
    assert phase.max() == pytest.approx(np.pi, abs=0.01)


def test_a_task_cannot_be_changed():
    task = Task(*(np.zeros((1, 1, 1)) for _ in range(4)))
    with pytest.raises(AttributeError):
        task.x_support = np.ones((1, 1, 1))
