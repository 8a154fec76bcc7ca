"""The image that the lab's servers are made from."""

import shutil
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from provision.lab import image
from provision.lab.machine import run


class Relay(BaseHTTPRequestHandler):
    """Passes requests on to this machine's mirror, but answers the first one for a package with an error."""

    protocol_version = "HTTP/1.1"
    packages: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        if self.path.endswith(".deb"):
            self.packages.append(self.path)
            if len(self.packages) == 1:
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        with urllib.request.urlopen(f"{image.mirror().archive}{self.path}", timeout=60) as answer:
            self.send_response(200)
            self.send_header("Content-Length", answer.headers["Content-Length"])
            self.end_headers()
            shutil.copyfileobj(answer, self.wfile)


def test_one_error_that_a_mirror_answers_does_not_end_the_making_of_an_image(tmp_path: Path) -> None:
    """apt, and so mmdebstrap, takes it for final."""
    root = tmp_path / "root"
    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as relay:
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        source = f"deb http://127.0.0.1:{relay.server_port} bookworm main"
        words = ("--mode=root", "--variant=extract", "--include=passwd", "bookworm")
        done = run("sh", image.DEBIAN, root, *words, root, source, timeout=180)
        relay.shutdown()
    assert "E: apt download failed" in done.stderr
    assert f"{Relay.packages[0].rpartition('/')[2]}  503  Service Unavailable" in done.stderr.replace("%2b", "+")
    assert (root / "usr/bin/passwd").is_file()
    shutil.rmtree(root)
