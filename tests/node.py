"""Runs functions of the figures' JavaScript modules in node, for the tests."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

JAVASCRIPT = Path(__file__).parent / "javascript"


def missing(what):
    """Skip, or fail where continuous integration promises that nothing is missing."""
    if "CI" in os.environ:
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def npm_file(path):
    """A file of the packages in javascript/package.json, installed at first need."""
    file = JAVASCRIPT / "node_modules" / path
    with FileLock(JAVASCRIPT / ".npm.lock"):  # tests run in several processes
        if file.exists():
            return file
        if shutil.which("npm") is None:
            missing(f"npm is not installed, and {path} comes from it")
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=JAVASCRIPT, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            missing(f"npm could not install {path}: {done.stderr.strip()[-300:]}")
    return file


def run_node(figure, cases):
    """Answers of ``javascript/{figure}.mjs`` to a list of (function, arguments), in one process."""
    if shutil.which("node") is None:
        missing("node is not installed")
    done = subprocess.run(
        ["node", JAVASCRIPT / f"{figure}.mjs"],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def as_sent(data):
    """Bytes for the reader ``sent`` of the adapters."""
    return base64.b64encode(data).decode()


def flat(array):
    """An array as the adapters take it."""
    return np.ravel(array).tolist()


def mulberry32(seed):
    """The generator of the figures, in Python integers."""
    mask, state = 0xFFFFFFFF, seed
    while True:
        state = t = (state + 0x6D2B79F5) & mask
        t = (t ^ (t >> 15)) * (t | 1) & mask
        t ^= (t + ((t ^ (t >> 7)) * (t | 61) & mask)) & mask
        yield (t ^ (t >> 14)) / 2**32


def relative_error(got, expected):
    """Relative, with a floor for answers that are zero but for rounding (Reptile's, K = 0)."""
    got, expected = np.ravel(got), np.ravel(expected)
    return np.linalg.norm(got - expected) / max(np.linalg.norm(expected), 1e-3)


def assert_all_close(figure, cases, expected):
    """``expected`` holds the reference answer of each case."""
    answers = run_node(figure, cases)
    assert len(answers) == len(expected)
    for (function, _), answer, wanted in zip(cases, answers, expected, strict=True):
        assert relative_error(answer, wanted) < 1e-9, function
