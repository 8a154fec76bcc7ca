"""A small app whose releases tests can tell apart and break."""

MAIN = """
import asyncio
import os
import socket

from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse

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
    if HERE and BREAKS == "memory":
        app.state.hog = bytearray(400_000_000)


@app.get("/health")
async def health():
    if HERE and BREAKS == "unhealthy":
        from fastapi import HTTPException
        raise HTTPException(503, "not today")
    return {{"status": "ok", "commit": os.environ["PROVISION_COMMIT"]}}


@app.get("/commit")
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
    with open(f"/srv/probe/shared/{sys.argv[1]}", "w") as file:
        file.write(os.environ["PROVISION_COMMIT"])
    if sys.argv[1] != "worker":
        break
    time.sleep(0.2)
"""


def files(breaks: str = "", only: str = "", note: str = "", requirements: str = "") -> dict[str, str]:
    """The repository's files. `breaks` says how the release is broken, `only` on which host; `requirements` adds some."""
    return {
        "probe.py": MAIN.format(breaks=breaks, only=only),
        "requirements.txt": f"fastapi==0.165.0\n{requirements}"
        + ("no-such-package-anywhere==1.0\n" if breaks == "requirement" else ""),
        "note.txt": note,
        "worker.py": WORKER,
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
