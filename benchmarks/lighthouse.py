"""Lighthouse on every page of the built site, as on a mid-range phone: one line per page.

Run ``python benchmarks/lighthouse.py [SITE] [PAGE ...]`` after ``make build``. It needs Chromium
and Node.js; npm fetches Lighthouse. The site is served from this machine with gzip, as static
hosts do. Lighthouse slows network and processor down by its own model, so that a busy machine
reads worse than it is: run it on an idle one.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LIGHTHOUSE = "lighthouse@12"
FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-background-networking"
TEXTS = {".html", ".css", ".js", ".svg", ".json"}
NUMBERS = {
    "first-contentful-paint": "first paint",
    "largest-contentful-paint": "largest",
    "total-blocking-time": "blocked",
    "cumulative-layout-shift": "shift",
    "total-byte-weight": "weight",
}


class Gzipped(SimpleHTTPRequestHandler):
    """Serves texts compressed."""

    def do_GET(self):
        """Answer with the file, compressed if it is a text."""
        path = Path(self.translate_path(self.path))
        if path.suffix not in TEXTS or not path.is_file():
            return super().do_GET()
        body = gzip.compress(path.read_bytes())
        self.send_response(200)
        self.send_header("Content-Type", f"{self.guess_type(str(path))}; charset=utf-8")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


def report(url):
    """What Lighthouse says of a page, as the dict that it writes."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
    command = ["npx", "--yes", LIGHTHOUSE, url, "--quiet", "--output=json", "--output-path=stdout"]
    done = subprocess.run(
        [*command, f"--chrome-flags={FLAGS}"],
        env={**os.environ, "CHROME_PATH": str(chromium)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def line(found):
    """Scores out of 100, then the numbers behind the first of them."""
    scores = [f"{key} {100 * one['score']:.0f}" for key, one in found["categories"].items()]
    audits = found["audits"]
    numbers = [f"{text} {audits[key]['displayValue']}" for key, text in NUMBERS.items()]
    return ", ".join(scores + numbers).replace("\xa0", " ")


def main():
    """Print one line per page."""
    site = Path(sys.argv[1] if len(sys.argv) > 1 else "_build/html").resolve()
    pages = sys.argv[2:] or sorted(path.stem for path in (site / "book").glob("*.html"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Gzipped, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for page in pages:
        address = f"http://127.0.0.1:{server.server_port}/book/{page}.html"
        print(f"{page:13}", line(report(address)), flush=True)


if __name__ == "__main__":
    main()
