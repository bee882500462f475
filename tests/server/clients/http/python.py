"""Clients in Python, each in this process."""

from __future__ import annotations

import asyncio
import http.client
import io
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import trio
from attrs import field, frozen

from tests.server.clients.http.interface import Answer, Step, body
from tests.server.harness.process import PATIENCE

__all__ = ["Aiohttp", "Httpx", "Stdlib"]


def _parts(size: int) -> Iterator[bytes]:
    """A body, in parts that nobody would choose."""
    data = body(size)
    yield data[:1]
    yield data[1:1000]
    yield data[1000:]


@frozen
class Stdlib:
    """The standard library's ``http.client``, on which urllib and requests are built."""

    cannot: Mapping[str, str] = field(default={"expects": "it doesn't know 100 Continue"})

    @staticmethod
    def missing() -> None:
        return None

    async def ask(self, url: str, steps: list[Step]) -> list[Answer]:
        return await trio.to_thread.run_sync(self._ask, url, steps)

    def _ask(self, url: str, steps: list[Step]) -> list[Answer]:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        try:
            return [self._one(connection, step) for step in steps]
        finally:
            connection.close()

    @staticmethod
    def _one(connection: http.client.HTTPConnection, step: Step) -> Answer:
        sent: Any = _parts(step.size) if step.chunked else body(step.size) or None
        connection.request(step.method, step.target, sent, encode_chunked=step.chunked)
        response = connection.getresponse()
        data = response.read(step.leave or None)
        if step.leave:
            response.close()
            connection.close()
        return Answer.of(response.status, response.headers, data)


@frozen
class Httpx:
    """
    httpx, or httpx2.

    Args:
        module: Which of them.
    """

    module: Any
    cannot: Mapping[str, str] = field(default={"expects": "it sends the body at once"})

    @staticmethod
    def missing() -> None:
        return None

    async def ask(self, url: str, steps: list[Step]) -> list[Answer]:
        return await trio.to_thread.run_sync(self._ask, url, steps)

    def _ask(self, url: str, steps: list[Step]) -> list[Answer]:
        with self.module.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client:
            return [self._one(client, step) for step in steps]

    @staticmethod
    def _one(client: Any, step: Step) -> Answer:
        sent = _parts(step.size) if step.chunked else body(step.size) or None
        data = b""
        with client.stream(step.method, step.target, content=sent) as response:
            for part in response.iter_raw():
                data += part
                if step.leave and len(data) >= step.leave:
                    break
        return Answer.of(response.status_code, response.headers, data)


@frozen
class Aiohttp:
    """aiohttp."""

    cannot: Mapping[str, str] = field(factory=dict)

    @staticmethod
    def missing() -> None:
        return None

    async def ask(self, url: str, steps: list[Step]) -> list[Answer]:
        return await trio.to_thread.run_sync(self._ask, url, steps)

    def _ask(self, url: str, steps: list[Step]) -> list[Answer]:
        async def ask() -> list[Answer]:
            async with aiohttp.ClientSession(url) as session:
                return [await self._one(session, step) for step in steps]

        return asyncio.run(asyncio.wait_for(ask(), PATIENCE))

    @staticmethod
    async def _one(session: aiohttp.ClientSession, step: Step) -> Answer:
        async def parts() -> AsyncIterator[bytes]:
            for part in _parts(step.size):
                yield part

        sent: Any = io.BytesIO(body(step.size)) if step.size else None
        if step.chunked:
            sent = parts()
        asking = session.request(step.method, step.target, data=sent, expect100=step.expects)
        async with asking as response:
            if step.leave:
                data = await response.content.readexactly(step.leave)
                response.close()
            else:
                data = await response.read()
        return Answer.of(response.status, response.headers, data)
