"""An S3 server on the lab's bridge: moto behind Gunicorn, in a virtual environment of its own, as the project needs neither."""

import os
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provision.lab.dns import ACME
from tests.lab.conftest import LAB

# pgBackRest does not understand how moto's own server ends a connection.
NEEDS = ("moto[s3,server]==5.2.5", "gunicorn==27.0.1")
PLACE = Path.home() / ".cache" / "provision" / "lab" / "moto-5.2.5"
BUCKET = "backups"
SERVER = """\
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends

app = DomainDispatcherApplication(create_backend_app)
s3_backends["123456789012"]["aws"].create_bucket("BUCKET", "us-east-1")
""".replace("BUCKET", BUCKET)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The place of an empty bucket, as HOST:PORT/BUCKET. Its certificate is signed by .lab/acme-api-ca.pem, which servers do not trust by default."""
    python = PLACE / "bin" / "python"
    if not (PLACE / "complete").exists():
        venv.create(PLACE, with_pip=True, clear=True)
        subprocess.run((python, "-m", "pip", "install", "--quiet", *NEEDS), check=True, timeout=600)
        (PLACE / "complete").touch()
    (folder / "s3.py").write_text(SERVER)
    with socket.socket() as free:
        free.bind(("10.213.0.1", 0))
        port = free.getsockname()[1]
    command = (python, "-m", "gunicorn", "--bind", f"10.213.0.1:{port}", "--threads", "8", "--chdir", folder, "s3:app")
    login = ("--certfile", LAB / "acme/api.pem", "--keyfile", LAB / "acme/api.key")
    environment = os.environ | {"S3_IGNORE_SUBDOMAIN_BUCKETNAME": "true", "PYTHONPATH": ""}
    with (folder / "s3.log").open("w") as log:
        server = subprocess.Popen((*command, *login), env=environment, stdout=log, stderr=log)
    try:
        _wait(port, folder)
        yield f"{ACME}:{port}/{BUCKET}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait(port: int, folder: Path) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with socket.socket() as one:
            if one.connect_ex(("10.213.0.1", port)) == 0:
                return
        time.sleep(0.3)
    sys.exit((folder / "s3.log").read_text())
