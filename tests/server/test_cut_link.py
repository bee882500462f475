"""A link is cut: nothing comes any more, not even FIN or RST. The handler has to notice."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.raw import PING, PONG, TEXT, frame
from tests.server.harness import link as links
from tests.server.harness.choice import PATIENCE, start
from tests.server.harness.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server.harness.process import ServerProcess

pytestmark = [pytest.mark.real_socket]

#: Settings of the routes below /watched, in seconds, and spare time for a busy machine.
INTERVAL, TIMEOUT, AIR = 0.3, 0.3, 1


@pytest.fixture(scope="module")
def link() -> Iterator[links.Link]:
    if (reason := links.missing()) is not None:
        pytest.skip(reason)
    with links.link() as link:
        yield link


@pytest.fixture(scope="module")
def server(link: links.Link) -> Iterator[ServerProcess]:
    with start(below=link.at_server, host=links.SERVER) as process:
        yield process
        process.stop()


def be_quiet(peer: Peer) -> None:
    """Only answer pings. Without the answers, the server would close the connection by then."""
    for _ in range(3):
        ping = peer.read_frame()
        assert ping.opcode == PING
        peer.send(frame(PONG, ping.payload))


def read_much(peer: Peer) -> None:
    for _ in range(50):
        peer.read_frame()


def read_nothing(peer: Peer) -> None:
    peer.read_frame()


def fill_the_inbox(peer: Peer) -> None:
    peer.send(frame(TEXT, b"x") * 200)


@pytest.mark.parametrize(
    ("handler", "before"),
    [
        ("watched", be_quiet),
        ("watched/deaf", be_quiet),
        ("watched/pour", read_much),
        ("watched/pour", read_nothing),
        ("watched/deaf", fill_the_inbox),
    ],
    ids=["idle", "waiting for nobody", "sending", "waiting to send", "with a full inbox"],
)
def test_the_handler_knows_that_the_link_is_cut(link, server, handler, before):
    key = f"{handler.replace('/', '-')}-{before.__name__}"
    with link.at_client(lambda: Peer(server.reach(PATIENCE))) as peer:
        peer.open(f"/{handler}?key={key}")
        before(peer)
        with link.cut():
            cut = time.monotonic()
            report = json.loads(server.wait_for(f"report of {key}: .*").partition(": ")[2])
            seconds = time.monotonic() - cut
        peer.reset()
    assert seconds < INTERVAL + TIMEOUT + AIR
    assert report["code"] == 1011
