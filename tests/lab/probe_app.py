"""A small app whose releases tests can tell apart and break."""

# Starlette alone, which starts in half of FastAPI's time: the tests deploy this app hundreds of times.
MAIN = """
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

BREAKS = {breaks!r}
ONLY = {only!r}
HERE = not ONLY or socket.gethostname() == ONLY

if HERE and BREAKS == "import":
    raise ImportError("broken on purpose")


@contextlib.asynccontextmanager
async def lifespan(app):
    if HERE and BREAKS == "start":
        os._exit(3)
    if HERE and BREAKS == "hang":
        await asyncio.sleep(3600)
    if HERE and BREAKS == "exit":
        asyncio.get_running_loop().call_later(2, os._exit, 3)
    if HERE and BREAKS.startswith("resist"):
        subprocess.Popen([sys.executable, "-m", "resist", *BREAKS.split()[1:]], start_new_session=True)
    if HERE and BREAKS == "memory":
        app.state.hog = bytearray(400_000_000)
    yield


SICKENS = float(BREAKS.removeprefix("sick ")) if HERE and BREAKS.startswith("sick ") else None
sick_from = None


class Sicken:
    # From some seconds after the first request of a visitor on, each answer is 503.
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        global sick_from
        if scope["type"] == "http":
            if sick_from is None and scope["path"] == "/commit":
                sick_from = time.monotonic() + SICKENS
            if sick_from is not None and time.monotonic() >= sick_from:
                return await JSONResponse("sick", 503)(scope, receive, send)
        await self.app(scope, receive, send)


async def health(request):
    if HERE and BREAKS == "unhealthy":
        return JSONResponse({{"detail": "not today"}}, 503)
    return JSONResponse({{"status": "ok", "commit": os.environ["PROVISION_COMMIT"]}})


async def commit(request):
    return JSONResponse(os.environ["PROVISION_COMMIT"])


async def slow(request):
    await asyncio.sleep(float(request.query_params.get("seconds", 5)))
    return JSONResponse(os.environ["PROVISION_COMMIT"])


async def stream(request):
    async def lines():
        for _ in range(int(float(request.query_params.get("seconds", 5)) * 5)):
            yield os.environ["PROVISION_COMMIT"] + "\\n"
            await asyncio.sleep(0.2)

    return StreamingResponse(lines(), headers={{"X-Accel-Buffering": "no"}})


async def echo(socket):
    await socket.accept()
    while True:
        await socket.send_text(await socket.receive_text())


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/health", health),
        Route("/commit", commit, methods=["GET", "POST"]),
        Route("/slow", slow),
        Route("/stream", stream),
        WebSocketRoute("/ws", echo),
    ],
)
if SICKENS is not None:
    app.add_middleware(Sicken)
"""


WORKER = """
import os
import sys
import time

print("working", flush=True)
while True:
    # Whoever reads the file meanwhile finds it whole.
    path = f"/srv/probe/shared/{sys.argv[1]}"
    with open(f"{path}.new", "w") as file:
        file.write(os.environ["PROVISION_COMMIT"])
    os.replace(f"{path}.new", path)
    if sys.argv[1] != "worker":
        break
    time.sleep(0.2)
"""


# What a taken-over release may try, to stay: a daemon in a session of its own that no polite signal ends, that says to systemd that
# it is the main process and needs more time, and, asked to, kills what the other slot starts.
RESIST = """
import os
import signal
import socket
import sys
import time
from pathlib import Path

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
other = {"blue": "green", "green": "blue"}[os.environ["PROVISION_SLOT"]]
while True:
    if "NOTIFY_SOCKET" in os.environ:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            text = f"MAINPID={os.getpid()}\\nEXTEND_TIMEOUT_USEC=30000000"
            notify.sendto(text.encode(), os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
    for path in Path("/proc").glob("[0-9]*/cmdline") if "kill" in sys.argv else ():
        try:
            if f"/etc/probe/{other}/" in path.read_text():
                os.kill(int(path.parent.name), signal.SIGKILL)
        except OSError:
            pass
    time.sleep(0.02)
"""


# A package that a release may require.
EXTRA = {
    "pyproject.toml": "[project]\nname = 'probe-extra'\nversion = '1'\n[build-system]\nrequires = ['setuptools']\n"
    "build-backend = 'setuptools.build_meta'\n[tool.setuptools]\npy-modules = ['probe_extra']\n",
    "probe_extra.py": "",
}


def files(breaks: str = "", only: str = "", note: str = "", requirements: str = "") -> dict[str, str]:
    """The repository's files. `breaks` says how the release is broken ("sick 0.5": half a second after it got traffic;
    "resist" and "resist kill": it does not want to be replaced),
    `only` on which host; `requirements` adds some.
    """
    return {
        "probe.py": MAIN.format(breaks=breaks, only=only),
        "requirements.txt": f"starlette==1.10.0\n{requirements}"
        + ("no-such-package-anywhere==1.0\n" if breaks == "requirement" else ""),
        "note.txt": note,
        "worker.py": WORKER,
        "resist.py": RESIST,
    }


INVENTORY = """
include: {lab}/lab.yml
rollout: {{batch: {batch}, on_failure: rollback}}
apps:
  probe:
    source: {url}
    module: probe:app
    domains: ["probe.{{host}}.test"]
    process_manager: {manager}
    workers: 2
    timeout: 8
    health: {{path: /health, timeout: 10, watch: 1}}
    migrate: {migrate}
    memory_max: {memory}
"""
