"""A small app whose releases tests can tell apart and break."""

MAIN = """
import asyncio
import os
import socket
import subprocess
import sys
import time

from fastapi import FastAPI, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse

BREAKS = {breaks!r}
ONLY = {only!r}
HERE = not ONLY or socket.gethostname() == ONLY

if HERE and BREAKS == "import":
    raise ImportError("broken on purpose")

app = FastAPI()


@app.on_event("startup")
async def begin():
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


SICKENS = float(BREAKS.removeprefix("sick ")) if HERE and BREAKS.startswith("sick ") else None
sick_from = None


async def sicken(request, call_next):
    # From some seconds after the first request of a visitor on, each answer is 503.
    global sick_from
    if sick_from is None and request.url.path == "/commit":
        sick_from = time.monotonic() + SICKENS
    if sick_from is not None and time.monotonic() >= sick_from:
        return JSONResponse("sick", 503)
    return await call_next(request)


if SICKENS is not None:
    app.middleware("http")(sicken)


@app.get("/health")
async def health():
    if HERE and BREAKS == "unhealthy":
        from fastapi import HTTPException
        raise HTTPException(503, "not today")
    return {{"status": "ok", "commit": os.environ["PROVISION_COMMIT"]}}


@app.get("/commit")
@app.post("/commit")
async def commit():
    return os.environ["PROVISION_COMMIT"]


@app.get("/slow")
async def slow(seconds: float = 5):
    await asyncio.sleep(seconds)
    return os.environ["PROVISION_COMMIT"]


@app.get("/stream")
async def stream(seconds: float = 5):
    async def lines():
        for _ in range(int(seconds * 5)):
            yield os.environ["PROVISION_COMMIT"] + "\\n"
            await asyncio.sleep(0.2)

    return StreamingResponse(lines(), headers={{"X-Accel-Buffering": "no"}})


@app.websocket("/ws")
async def echo(socket: WebSocket):
    await socket.accept()
    while True:
        await socket.send_text(await socket.receive_text())
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
        "requirements.txt": f"fastapi==0.165.0\n{requirements}"
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
