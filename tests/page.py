"""Figures shown whole on the page without a browser of ``javascript/page.mjs``, for the tests."""

import atexit
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from threading import Timer

import numpy as np
from node import JAVASCRIPT, as_sent, missing

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
WIDTH = 340  # of every plot, until a script says otherwise
# What scripts read of many figures.
STATUS = ("read", "[role=status]")
NOW = ("read", ".mf-now", "d")
LEGEND = [("read", ".mf-legend li"), ("read", ".mf-legend li", "class")]
LEGEND += [("read", ".mf-legend path", "class")]
SLIDERS = [("read", ".mf-row label"), ("read", "input[type=range]", "step")]
SLIDERS += [("read", "input[type=range]", "aria-valuetext")]


def heights(*widths):
    """Steps that read the heights of the plots at each width."""
    return [step for w in widths for step in (("width", w), ("read", ".mf-panel svg", "height"))]


def traits_of(figure):
    """What Python sends to the page; bytes as base64."""
    sent = {name: getattr(figure, name) for name in figure.keys if not name.startswith("_")}
    sent["_esm"] = figure._esm
    as_json = lambda v: {"base64": as_sent(v)} if isinstance(v, bytes) else v  # noqa: E731
    plain = (bytes, str, int, float, list, dict, type(None))
    return {name: as_json(value) for name, value in sent.items() if isinstance(value, plain)}


def show(figure, *script):
    """What the verbs of a script answer that acts on a figure and reads it, see page.mjs."""
    name = type(figure).__module__.split(".")[-1]
    node = page()
    node.stdin.write(json.dumps([name, traits_of(figure), script]) + "\n")
    node.stdin.flush()
    watch = Timer(60, node.kill)
    watch.start()
    answer = node.stdout.readline()
    watch.cancel()
    if not answer:
        page.cache_clear()
        raise AssertionError(node.stderr.read() or "the page took longer than a minute")
    return json.loads(answer)


@cache
def page():
    """The process that shows one figure after the other."""
    if shutil.which("node") is None:
        missing("node is not installed")
    command, pipe = ["node", JAVASCRIPT / "page.mjs"], subprocess.PIPE
    node = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    atexit.register(node.kill)
    return node


def as_listed(found):
    """Movers of a film as its legend lists them: the adapted one lies below, and comes first."""
    assert len(found) % 3 == 0
    return [found[k + n] for k in range(0, len(found), 3) for n in (1, 0, 2)]


def in_training(words):
    """What a read-out says last, where settings are beyond what training saw."""
    return f" Beyond training: {words}."


def loss_text(value):
    """Three figures, two below 0.1, none after the point from 100 on; up to 10^4."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}" if value >= 0.1 else f"{value:#.2g}"


def numbers(text):
    """All numbers in a path or a transform, as pairs."""
    found = np.array([float(n) for n in NUMBER.findall(text)])
    return found.reshape(-1, 2)


@dataclass(frozen=True)
class Frame:
    """Where a plot draws what: its size, margins as in CSS, and ends of its axes."""

    height: float
    margin: tuple
    x: tuple
    y: tuple
    log: str = ""
    width: float = WIDTH

    def px(self, values):
        _, right, _, left = self.margin
        return left + self._share(values, "x") * (self.width - left - right)

    def py(self, values):
        top, _, bottom, _ = self.margin
        return top + (1 - self._share(values, "y")) * (self.height - top - bottom)

    def points(self, x, y):
        return np.stack(np.broadcast_arrays(self.px(x), self.py(y)), axis=-1)

    def _share(self, values, axis):
        scale = np.log10 if axis in self.log else np.asarray
        values, low, high = scale(values), *scale(getattr(self, axis))
        return (values - low) / (high - low)


def assert_drawn(path, points, digits=1):
    """That a path goes through these pixels, as rounded as it is."""
    found = numbers(path)
    assert found.shape == np.shape(points)
    assert np.abs(found - points).max(initial=0) <= 0.5 * 10.0**-digits + 1e-9
