"""The figures' JavaScript and the site's own scripts, read by the TypeScript compiler."""

import shutil
import subprocess

from node import JAVASCRIPT, missing, npm_file


def test_the_types_in_the_comments_hold():
    compiler = npm_file("typescript/bin/tsc")
    if shutil.which("node") is None:
        missing("node is not installed")
    command = ["node", compiler, "--project", JAVASCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
