"""What is kept for an app, so that it need not be made again: in Redis or Valkey, and by nginx."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from provision.inventory.fields import Text, matching
from provision.inventory.model import Context, Model

FOLDER = "/run/provision-redis"
UNITS = {"M": 1024**2, "G": 1024**3}
REDIS = ("memory", "eviction", "persistent")

CacheSize = Annotated[
    Text, matching(r"[1-9]\d{0,9}[kKmMgG]", '"{}" is not the size of a cache for nginx; write for example 100m')
]


def _memory(value: str) -> str:
    found = re.fullmatch(r"([1-9]\d{0,5})([MG])", value)
    if not found or not 4 * UNITS["M"] <= int(found[1]) * UNITS[found[2]] <= 1024 * UNITS["G"]:
        raise ValueError(f'"{value}" is not how much memory Redis may use; write 4M to 1024G, for example 64M')
    return value


class Cache(Model):
    """What is kept for the app. A plain `redis` or `valkey` is the engine, and a plain size what nginx keeps of the app's answers.

    Redis is an instance of the app's own. It has no port, and no other user of the server gets in.
    """

    engine: Literal["redis", "valkey", "redis-server"] | None = Field(
        default=None,
        description="A Redis of the app's own, of the distribution's package. redis: Valkey, which speaks Redis's protocol, on a server that has it"
        " (Debian 13, Ubuntu 24.04 and newer), and Redis on others; an app that has either keeps it. valkey: Valkey. redis-server: Redis itself,"
        " for what Valkey does not have. `REDIS_URL` in the app's environment leads to it, and"
        " {cache.url} and {cache.socket} in values of `environment` stand for its parts. If omitted: none.",
        examples=["redis"],
    )
    memory: Annotated[Text, AfterValidator(_memory)] = Field(
        default="64M",
        description="How much Redis may hold (maxmemory): 4M to 1024G. A change is made while Redis runs, and loses nothing.",
        examples=["64M"],
    )
    persistent: bool = Field(
        default=False,
        description="For queues and all else that must not be lost: Redis writes what it holds to the disk each second (appendonly), and"
        " refuses what is more than `memory`, rather than forget something. false: what it holds ends with the process.",
        examples=[True],
    )
    eviction: (
        Literal[
            "allkeys-lru",
            "allkeys-lfu",
            "allkeys-random",
            "volatile-lru",
            "volatile-lfu",
            "volatile-random",
            "volatile-ttl",
            "noeviction",
        ]
        | None
    ) = Field(
        default=None,
        description="What Redis forgets when `memory` is full, by the names of its maxmemory-policy; those with volatile forget only keys that"
        " expire. If omitted: allkeys-lru, what was not used for longest; noeviction with `persistent`.",
        examples=["allkeys-lru"],
    )
    answers: CacheSize | None = Field(
        default=None,
        description="How much nginx keeps on disk of the app's answers to GET that say `Cache-Control: public` or `s-maxage`, as nginx"
        " writes it, to answer with them for as long as they say. If omitted: nothing is kept.",
        examples=["100m"],
    )

    @classmethod
    def short(cls, value: object) -> str:
        """A word is an engine, and what begins with a digit is a size."""
        return "answers" if re.match(r"\d", str(value)) else "engine"

    @model_validator(mode="after")
    def _settings_of_something(self, info: ValidationInfo) -> Cache:
        written = [key for key in REDIS if key in self.model_fields_set]
        if written and not self.engine and not Context.of(info).partial:
            raise ValueError(f"{written[0]} is a setting of Redis; write engine: redis beside it")
        return self

    @property
    def limit(self) -> int:
        """How many bytes Redis may hold."""
        return int(self.memory[:-1]) * UNITS[self.memory[-1]]

    @property
    def policy(self) -> str:
        """Redis's maxmemory-policy."""
        return self.eviction or ("noeviction" if self.persistent else "allkeys-lru")

    def parts(self, app: str) -> dict[str, str]:
        """How the app of this name reaches its Redis: socket, and url."""
        socket = f"{FOLDER}/{app}/redis.sock"
        return {"socket": socket, "url": f"unix://{socket}"}
