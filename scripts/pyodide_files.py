"""The files of Pyodide that a page may load: pin them by hash, or place them in a built site.

``pin FOLDER``        FOLDER holds a Pyodide release with its official ``pyodide-lock.json``;
                      writes sizes and hashes to ``book/_ext/pyodide.json``
``place SOURCE SITE`` SOURCE is a folder or an address; every file is checked against the pins
                      and written to ``SITE/_static/pyodide/``
"""

import base64
import hashlib
import json
import sys
from pathlib import Path
from urllib.request import urlopen

PINS = Path(__file__).parents[1] / "book" / "_ext" / "pyodide.json"
CDN = "https://cdn.jsdelivr.net/pyodide/v{version}/full/"
LOADER = "pyodide.js"
CORE = (LOADER, "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip")
WANTED = ("numpy", "matplotlib")
# matplotlib asks for these to write PDF files and for other time zones and back ends.
SPARED = {"fonttools", "pytz", "matplotlib-pyodide"}


def integrity(data, algorithm="sha256"):
    """The hash of bytes, written as browsers write it (Subresource Integrity)."""
    return f"{algorithm}-{base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def closure(packages, wanted):
    """Names of the wanted packages and all they need, without those spared."""
    found, queue = [], list(wanted)
    while queue:
        name = queue.pop(0)
        if name not in found and name not in SPARED:
            found.append(name)
            queue += packages[name]["depends"]
    return sorted(found)


def reduced(lock, wanted=WANTED):
    """The part of a lock file that concerns the wanted packages."""
    names = closure(lock["packages"], wanted)
    packages = {name: dict(lock["packages"][name]) for name in names}
    for package in packages.values():
        package["depends"] = [d for d in package["depends"] if d in names]
    return {"info": lock["info"], "packages": packages}


def pins_of(folder):
    """Sizes and hashes of the files in ``folder``; wheels must be those of the lock file.

    Raises:
        ValueError: If a wheel is not the one that the lock file names.
    """
    lock = reduced(json.loads((folder / "pyodide-lock.json").read_text("utf-8")))
    official = {p["file_name"]: p["sha256"] for p in lock["packages"].values()}
    files = {}
    for name in (*CORE, *official):
        data = (folder / name).read_bytes()
        if name in official and hashlib.sha256(data).hexdigest() != official[name]:
            raise ValueError(f"{name}: sha256 is not {official[name]}, that of the lock file")
        algorithm = "sha384" if name == LOADER else "sha256"
        files[name] = {"size": len(data), "integrity": integrity(data, algorithm)}
    version = lock["info"]["version"]
    return {"version": version, "cdn": CDN.format(version=version), "files": files, "lock": lock}


def checked(name, data, pin):
    """The data, if it is what the pin says.

    Raises:
        ValueError: If it is not.
    """
    found = integrity(data, pin["integrity"].partition("-")[0])
    if found != pin["integrity"]:
        raise ValueError(f"{name}: hash is {found}, pinned is {pin['integrity']}")
    return data


def read(source, name):
    """One file of a folder or an address."""
    if not source.startswith("https://"):
        return (Path(source) / name).read_bytes()
    with urlopen(source.rstrip("/") + "/" + name) as answer:
        return answer.read()


def wrapped(name, data):
    """A script that hands a file to the page: scripts, unlike files, load from ``file://`` too."""
    return f'runPage.got("{name}", "{base64.b64encode(data).decode()}");\n'


def place(source, site, pins):
    """Check every pinned file of ``source`` and write it into ``site`` as a script."""
    folder = Path(site) / "_static" / "pyodide"
    data = {name: checked(name, read(source, name), pin) for name, pin in pins["files"].items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in data.items():
        (folder / f"{name}.js").write_text(wrapped(name, content), "utf-8")


def main(command, source, site=None):
    """Do what the command line says."""
    if command == "pin":
        PINS.write_text(json.dumps(pins_of(Path(source)), indent=1) + "\n", "utf-8")
        return
    pins = json.loads(PINS.read_text("utf-8"))
    place(source or pins["cdn"], site, pins)
    megabytes = sum(pin["size"] for pin in pins["files"].values()) / 1e6
    print(f"{len(pins['files'])} files, {megabytes:.1f} MB, all as pinned: {site}/_static/pyodide")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError) as error:
        sys.exit(f"pyodide_files: {error}")
