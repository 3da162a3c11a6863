"""Serve the built site and build it anew at every edit: ``python serve.py ROOT SITE PORT``.

Text, chapters, the site's files and the figures' JavaScript and style are watched. Python of the
package is not: it makes the outputs of all chapters stale, and ``make`` runs them again.
"""

import os
import socket
import sys

HOST = "127.0.0.1"
WATCHED = ("book", "maml_teach/widgets")
IGNORED = (
    ".venv",
    ".git",
    "_build",
    "_artifacts",
    "*/node_modules",
    "*/__pycache__",
    "*/.ruff_cache",
)


def is_free(port):
    """Whether nobody answers on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def free_port(port, attempts=20):
    """The first free port from ``port`` on."""
    for candidate in range(port, port + attempts):
        if is_free(candidate):
            return candidate
        print(f"Port {candidate} is taken.")
    sys.exit(f"No free port from {port} to {port + attempts - 1}. Try: make PORT=9000")


def command(root, site, port):
    """The call of sphinx-autobuild, which builds, serves, and reloads the reader's page."""
    build = ["-q", "-b", "html", "-d", os.path.join(os.path.dirname(site), ".doctrees")]
    watch = [part for folder in WATCHED for part in ("--watch", folder)]
    ignore = [part for pattern in IGNORED for part in ("--ignore", pattern)]
    address = ["--host", HOST, "--port", str(port), "--no-initial"]
    return ["sphinx-autobuild", *build, *watch, *ignore, *address, root, site]


if __name__ == "__main__":
    port = free_port(int(sys.argv[3]))
    print(
        f"\n  The book: http://{HOST}:{port}/    (Ctrl+C ends it)\n",
        flush=True,
    )
    call = command(*sys.argv[1:3], port)
    os.execvp(call[0], call)
