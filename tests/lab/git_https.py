"""A Git host over HTTPS behind a password: git-http-backend(1), and basic authentication."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from provision.lab.dns import ACME
from tests.lab.index import USER, with_tls


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path, password: str) -> None:
        super().__init__(("10.213.0.1", 0), _Handler)
        self.folder = folder
        self.authorization = "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.headers["Authorization"] != self.server.authorization:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="lab"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
        }
        asked = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        answer = subprocess.run(("git", "http-backend"), input=asked, env=environ, capture_output=True).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in (*fields.items(), ("Content-Length", str(len(content)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving_git(folder: Path, password: str) -> Iterator[str]:
    """The address below which the bare repositories of a folder are, for whoever has the password of `index.USER`.

    Its certificate is signed by the CA .lab/acme-api-ca.pem, which servers do not trust by default.
    """
    with _Server(folder, password) as server:
        with_tls(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"https://{ACME}:{server.server_address[1]}"
        finally:
            server.shutdown()
