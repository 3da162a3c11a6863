"""The compiled meta-step of *Train it here*: ``meta_step.c`` as WebAssembly, in a JavaScript file.

The bytes are written as base64 into a module of their own, because a page from a file may load no
other file. The same source and the same ``ziglang`` give the same bytes, on any machine.

Usage: make wasm, or .venv/bin/python scripts/build_wasm.py where the extra ``wasm`` is installed.
Writes maml_teach/widgets/training/meta_step_bytes.js.
"""

import base64
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "maml_teach" / "widgets" / "training"
SOURCE, MODULE = FOLDER / "meta_step.c", FOLDER / "meta_step_bytes.js"
COMPILE = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding"]
COMPILE += ["-mcpu=generic+simd128", "-O2", "-fno-inline-functions", "-g0", "-nostdlib"]
COMPILE += ["-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
COMPILE += [f"-Wl,--{option}" for option in ("no-entry", "export-dynamic", "strip-all")]


def compiled(source: Path = SOURCE) -> bytes:
    """The WebAssembly module of a C file."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "module.wasm"
        # Named from its own folder: no path of this machine gets into the bytes.
        subprocess.run([*COMPILE, "-o", out, source.name], cwd=source.parent, check=True)
        return out.read_bytes()


def as_module(code: bytes) -> str:
    """The JavaScript module that holds these bytes."""
    lines = "\n".join(textwrap.wrap(base64.b64encode(code).decode(), 98))
    note = "/** meta_step.c as WebAssembly, in base64. Written by `make wasm`; edit the C file. */"
    return f"{note}\nexport const bytes = `\n{lines}\n`;\n"


if __name__ == "__main__":
    MODULE.write_text(as_module(compiled()), encoding="utf-8")
    print(f"{MODULE.name}: {len(compiled())} bytes of WebAssembly")
