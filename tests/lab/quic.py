"""A client that speaks HTTP/3 and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent

from tests.lab.conftest import LAB

SECONDS = 10


class Answered(dict[str, str]):
    """The headers of an answer, `:status` among them, and its body."""

    body = ""


class Client(QuicConnectionProtocol):
    """One connection; `get` asks over it."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.http = H3Connection(self._quic)
        self.answers: dict[int, Answered] = {}
        self.waiting: dict[int, asyncio.Future[Answered]] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        """Events of QUIC become those of HTTP/3."""
        if isinstance(event, ConnectionTerminated):
            for answer_to in self.waiting.values():
                if not answer_to.done():
                    answer_to.set_exception(ConnectionError("the server closed the connection"))
        for each in self.http.handle_event(event):
            if not isinstance(each, HeadersReceived | DataReceived):
                continue
            answer = self.answers.setdefault(each.stream_id, Answered())
            if isinstance(each, HeadersReceived):
                answer.update({name.decode(): value.decode() for name, value in each.headers})
            else:
                answer.body += each.data.decode()
            if each.stream_ended and each.stream_id in self.waiting:
                self.waiting[each.stream_id].set_result(answer)

    async def get(self, domain: str, path: str) -> Answered:
        """The answer to a request. Raises TimeoutError or ConnectionError where there is none."""
        stream = self._quic.get_next_available_stream_id()
        self.waiting[stream] = asyncio.get_running_loop().create_future()
        names = {":method": "GET", ":scheme": "https", ":authority": domain, ":path": path}
        self.http.send_headers(stream, [(name.encode(), value.encode()) for name, value in names.items()], True)
        self.transmit()
        return await asyncio.wait_for(self.waiting[stream], SECONDS)


@asynccontextmanager
async def connected(address: str, domain: str) -> AsyncIterator[Client]:
    """A connection to a site, whose certificate must be good."""
    wanted = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=domain)
    wanted.load_verify_locations(str(LAB / "acme-root.pem"))
    async with connect(address, 443, configuration=wanted, create_protocol=Client) as client:
        assert isinstance(client, Client)
        yield client
