"""Connections of several threads: what Fabric writes into the configuration of one is seen by no other."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from provision.controller import connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.tables import MakeHost

THREADS, EACH = 8, 60


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    """Threads take turns a thousand times as often as they do otherwise."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def test_many_threads_make_connections_at_once(make_host: MakeHost) -> None:
    host = make_host("user: deploy\nhosts: {web1: 192.0.2.1}\n")
    begin = threading.Barrier(THREADS)

    def make() -> list[str]:
        begin.wait()
        return [connection._connection(host, None).user for _ in range(EACH)]

    with ThreadPoolExecutor(THREADS) as pool:
        made = [each.result() for each in [pool.submit(make) for _ in range(THREADS)]]
    assert made == [["deploy"] * EACH] * THREADS
