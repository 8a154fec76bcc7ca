"""An app with a Redis, a worker and schedules, by the inventory alone."""

from tests.lab.conftest import SUITE

MAIN = """\
import os

from fastapi import FastAPI
from redis import Redis

app = FastAPI()
VERSION = "first"
store = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)


@app.get("/health")
def health():
    return store.ping()


@app.get("/version")
def version():
    return VERSION


@app.get("/commit")
def commit():
    store.get("visits")
    return os.environ["PROVISION_COMMIT"]


@app.get("/parts")
def parts():
    return [os.environ[name] for name in ("REDIS_URL", "BROKER", "SAID")]


@app.post("/visits")
def visit():
    return store.incr("visits")


@app.get("/visits")
def visits():
    return int(store.get("visits") or 0)


@app.post("/jobs")
def job():
    return store.lpush("jobs", VERSION)


@app.get("/counts")
def counts():
    return {name: int(store.get(name) or 0) for name in ("done", "scheduled", "hook", "run")}
"""
WORKER = """\
import os
import time

import redis

store = redis.Redis.from_url(os.environ["REDIS_URL"])
while True:
    try:
        if store.brpop("jobs", timeout=1):
            store.incr("done")
    except redis.RedisError:
        time.sleep(0.2)
"""
COUNT = """\
import os
import sys

from redis import Redis

print(Redis.from_url(os.environ["REDIS_URL"]).incr(sys.argv[1]))
"""
# Redis itself, also where there is Valkey.
ENGINE = "redis-server" if SUITE == "trixie" else "redis"
WANTED = {
    "python": "system",
    "cache": {"engine": ENGINE, "memory": "32M"},
    "environment": {"BROKER": "redis+socket://{cache.socket}", "SAID": "{other}"},
    "processes": {"worker": "python worker.py"},
    "schedules": {"tick": {"at": "*:*:0/2", "run": "python count.py scheduled"}},
    "hooks": {"before": "python count.py hook"},
    "health": {"watch": 0},
}
