"""Put learn2learn beside the other peers of ``compare.py``, whole or as source.

Usage: python benchmarks/install_peers.py, with the Python of the environment to install into.

Its published source does not build on today's Python: C files that were generated for an older one.
Where pip cannot install it, its pure Python part is unpacked into the environment instead; that is
all that ``compare.py`` needs. Where not even the source can be had, it is left out, with a line.
"""

import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

SOURCE = "learn2learn==0.2.0"


def pip(*arguments):
    """Whether pip did it, and the last line that it said."""
    command = [sys.executable, "-m", "pip", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode == 0, (done.stderr.strip().splitlines() or [""])[-1]


def unpack(archive, target):
    """The package's folder out of a source archive, into ``target``."""
    with tarfile.open(archive) as source:
        for member in source.getmembers():
            inside = member.name.partition("/")[2]
            if inside.startswith("learn2learn/") and inside.endswith(".py"):
                member.name = inside
                source.extract(member, target, filter="data")


def main():
    """Install, or unpack, or say why not."""
    if pip("install", "--quiet", "--no-deps", SOURCE)[0]:
        return print("learn2learn: installed")
    with tempfile.TemporaryDirectory() as folder:
        wanted = ["--no-deps", "--no-binary", ":all:", "--dest", folder, SOURCE]
        _, reason = pip("download", "--quiet", *wanted)
        archives = list(Path(folder).glob("*.tar.gz"))
        if not archives:
            return print(f"learn2learn: left out, its source could not be had ({reason})")
        unpack(archives[0], sysconfig.get_path("purelib"))
    return print("learn2learn: does not build here; its Python source is used")


if __name__ == "__main__":
    main()
