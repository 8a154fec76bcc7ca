"""An app that needs what a sandbox can break: numpy, uvloop, workers of its own; and that can ask for what it forbids."""

REQUIREMENTS = "fastapi==0.165.0\nnumpy\n"
MAIN = """
import asyncio
import mmap
import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI

NEEDS = os.environ.get("NEEDS", "")


def need():
    if NEEDS == "executable memory":
        mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    if NEEDS == "priority":
        os.setpriority(os.PRIO_PROCESS, 0, 19)


@asynccontextmanager
async def lifespan(app):
    if os.environ.get("WHEN") == "start":
        need()
    yield


if os.environ.get("WHEN") == "import":
    need()
app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health():
    return "ok"


@app.get("/loop")
async def loop():
    return type(asyncio.get_running_loop()).__module__


def square(number):
    return number * number


@app.get("/pool")
def pool():
    with ProcessPoolExecutor(2) as workers:
        return sum(workers.map(square, range(5)))


@app.get("/numpy")
def matrices():
    import numpy
    return float((numpy.linalg.inv(numpy.eye(300) * 2) @ numpy.eye(300)).sum())
"""
SEES = """
import json
import mmap
import os
import sys
import time

status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines() if ":" in line)


def writes(folder):
    try:
        open(f"{folder}/x", "w").close()
        os.remove(f"{folder}/x")
    except OSError:
        return False
    return True


found = {
    "seccomp": status["Seccomp"].strip(),
    "capabilities": status["CapBnd"].strip().strip("0"),
    "new privileges": status["NoNewPrivs"].strip() == "0",
    "others": [name for name in os.listdir("/proc") if name.isdigit() and os.stat(f"/proc/{name}").st_uid != os.getuid()],
    "shared memory": os.listdir("/dev/shm"),
    "temporary files": os.listdir("/tmp"),
    "umask": oct(os.umask(0o77)),
    "writes": [folder for folder in ("/srv/boxed", "/etc/boxed", "/run/boxed", "/var/cache", "/root", "/home") if writes(folder)],
    "shared": writes("/srv/boxed/shared"),
}
if os.environ.get("WHEN") == sys.argv[1]:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
path = f"/srv/boxed/shared/{sys.argv[1]}.json"
with open(f"{path}.new", "w") as file:
    json.dump({**found, "mark": os.environ.get("MARK"), "release": os.environ.get("PROVISION_RELEASE")}, file)
os.replace(f"{path}.new", path)
if sys.argv[1] == "worker":
    time.sleep(3600)
"""
# A package whose build lasts until somebody stops it.
SLOW = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "slow"
version = "1"
"""
FILES = {
    "boxed.py": MAIN,
    "sees.py": SEES,
    "requirements.txt": REQUIREMENTS,
    "requirements-slow.txt": "./slow\n",
    "slow/pyproject.toml": SLOW,
    "slow/backend.py": "import time\n\ntime.sleep(60)\n",
}
INVENTORY = """
include: {lab}/lab.yml
apps:
  boxed:
    source: {url}
    module: boxed:app
    domains: ["boxed.{{host}}.test"]
    workers: 2
    health: {{path: /health, timeout: 8, watch: 1}}
    migrate: python sees.py migration
    processes: {{worker: python sees.py worker}}
    schedules: {{tick: {{at: "03:00", run: python sees.py tick}}}}
    hooks: {{before: python sees.py before, after: python sees.py after}}
    environment: {{MARK: first}}
"""
