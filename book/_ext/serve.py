"""Serve a built site to this machine: ``python serve.py FOLDER PORT``."""

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"


class Quiet(SimpleHTTPRequestHandler):
    """Answers requests without a log line for each."""

    def log_message(self, *args):
        """Say nothing: the address is the one line to read."""


class Server(ThreadingHTTPServer):
    """A server that fails to start when another one holds its port."""

    allow_reuse_port = False


def open_server(folder, port, attempts=20):
    """The server on the first free port from ``port`` on."""
    for candidate in range(port, port + attempts):
        try:
            return Server((HOST, candidate), partial(Quiet, directory=folder))
        except OSError:
            print(f"Port {candidate} is taken.")
    sys.exit(f"No free port from {port} to {port + attempts - 1}. Try: make PORT=9000")


if __name__ == "__main__":
    server = open_server(sys.argv[1], int(sys.argv[2]))
    print(
        f"\n  The book: http://{HOST}:{server.server_port}/    (Ctrl+C ends it)\n",
        flush=True,
    )
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
