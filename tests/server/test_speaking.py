"""Middleware that speaks to the peer itself, on sockets, with and without TLS, on two servers."""

from __future__ import annotations

import logging
import socket
import ssl
import struct
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import hypercorn.trio
import pytest
import trio
from hypercorn.config import Config

import triows
from tests.raw import CLOSE, TEXT, frame, handshake
from tests.speaking import CASES, WRAPPED, Case, Seen, application, check, wrapping

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.real_socket

#: How many seconds a busy machine may take for one connection. No test waits that long.
PATIENCE = 20


def talk(url: str, trust: ssl.SSLContext | None, *, at_once: bool) -> Seen:
    """
    Connect, send a command, and return all that comes.

    Args:
        url: The server's.
        trust: Makes a client of TLS.
        at_once: Whether the command is sent together with the handshake.
    """
    address = urlsplit(url)
    peer = socket.create_connection((address.hostname, address.port), PATIENCE)
    if trust is not None:
        peer = trust.wrap_socket(peer, server_hostname="127.0.0.1")
    command = frame(TEXT, b"command")
    with peer, peer.makefile("rb") as stream:
        peer.sendall(handshake("/x") + command * at_once)
        status = int(stream.readline().split()[1])
        while stream.readline().strip():
            pass
        if status != 101:
            return Seen(status)
        if not at_once:
            peer.sendall(command)
        messages: list[str] = []
        while True:
            opcode, length = stream.read(2)
            payload = stream.read(length)
            if opcode == 0x81:
                messages.append(payload.decode())
            elif opcode == 0x88:
                rest = b""
                with suppress(OSError):  # Hypercorn may have closed without waiting for an answer
                    peer.sendall(frame(CLOSE, payload))
                    rest = stream.read()
                assert rest == b""  # nothing follows, not even another response
                return Seen(101, tuple(messages), struct.unpack("!H", payload)[0])


async def run(
    serve: Callable[..., Any],
    case: Case,
    caplog: pytest.LogCaptureFixture,
    *,
    inside: Any = (),
    trust: ssl.SSLContext | None = None,
    **settings: Any,
) -> None:
    config = Config()
    config.bind, config.errorlog = ["127.0.0.1:0"], None
    for name, value in settings.items():
        setattr(config, name, value)
    app, story = application(case, *inside)
    caplog.clear()
    stop = trio.Event()
    with trio.fail_after(PATIENCE), caplog.at_level(logging.INFO, "triows"):
        async with trio.open_nursery() as nursery:
            serving = partial(serve, shutdown_trigger=stop.wait)
            (url,) = await nursery.start(serving, app, config)
            early = serve is triows.serve  # Hypercorn answers early messages with 400
            seen = await trio.to_thread.run_sync(lambda: talk(url, trust, at_once=early))
            stop.set()  # the server ends when all that belongs to the connection has ended
    check(case, story, seen, caplog)


async def test_a_middleware_and_the_application_share_one_state_on_sockets(caplog):
    for case in CASES:
        await run(triows.serve, case, caplog)
    for case in WRAPPED:
        await run(triows.serve, case, caplog, inside=[wrapping])


async def test_they_do_so_under_tls(caplog, certificate, trust):
    _, certfile, _, keyfile = certificate
    for case in CASES:
        await run(triows.serve, case, caplog, trust=trust, certfile=certfile, keyfile=keyfile)
    for case in WRAPPED:
        await run(
            triows.serve,
            case,
            caplog,
            inside=[wrapping],
            trust=trust,
            certfile=certfile,
            keyfile=keyfile,
        )


async def test_they_do_so_on_plain_hypercorn(caplog):
    for case in CASES:
        await run(hypercorn.trio.serve, case, caplog)
    for case in WRAPPED:
        await run(hypercorn.trio.serve, case, caplog, inside=[wrapping])
