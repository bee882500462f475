"""Large uploads and downloads take little memory, also if the client is slow, or leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.server.harness.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server.harness.checked import CheckedServer

MiB = 2**20

#: How large a body is. ``trials.soak`` tries a gigabyte.
SIZE = 64 * MiB

#: How much memory a body may take on its way. The buffers of the system and of our output count.
ALLOWED = 8 * MiB

BLOCK = bytes(2**16)

#: How often the server is asked for something else while a slow client waits.
GLANCES = 20

HEAD = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n"
)
TAIL = b"\r\n--b--\r\n"

UPLOADS = {
    "parts": (b"PUT /big/parts", b"", b"", b""),
    "upload": (b"POST /big/upload", b"Content-Type: multipart/form-data; boundary=b", HEAD, TAIL),
}
DOWNLOADS = ["stream", "response", "file"]


def head(line: bytes, *lines: bytes, key: str, size: int = SIZE) -> bytes:
    target = line + f"?key={key}&size={size} HTTP/1.1".encode()
    return b"\r\n".join([target, b"Host: 127.0.0.1", *filter(None, lines), b"", b""])


def begin_upload(peer: Peer, name: str, key: str) -> None:
    line, media, before, after = UPLOADS[name]
    length = b"Content-Length: %d" % (len(before) + SIZE + len(after))
    peer.send(head(line, media, length, key=key) + before)


def end_upload(peer: Peer, name: str) -> bytes:
    peer.send(UPLOADS[name][3])
    return peer.read_answer().body


def received(peer: Peer, size: int) -> Iterator[int]:
    """Read so many bytes, and yield how many have come with each."""
    while size > 0:
        data = peer.socket.recv(min(size, len(BLOCK)))
        assert data, "the response ended"
        size -= len(data)
        yield len(data)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def begin_download(peer: Peer, name: str, key: str, size: int = SIZE) -> None:
    peer.send(head(f"GET /big/{name}".encode(), key=key, size=size))


def memory_taken(server: CheckedServer, before: int) -> int:
    taken: int = server.bystander.ask_for("peak") - before
    return taken


@pytest.mark.parametrize("name", UPLOADS)
def test_an_upload_is_not_held_in_memory(endpoints_server, name):
    server, key = endpoints_server, endpoints_server.new_key()
    before = server.bystander.ask_for("memory")
    peer = server.connect()
    begin_upload(peer, name, key)
    for _ in range(SIZE // len(BLOCK)):
        peer.send(BLOCK)
    assert end_upload(peer, name) == b"%d" % SIZE
    assert server.report(key) == {"error": None, "bytes": SIZE}
    assert memory_taken(server, before) < ALLOWED


@pytest.mark.parametrize("name", UPLOADS)
def test_an_upload_that_comes_in_small_pieces_is_not_held_in_memory(endpoints_server, name):
    server, key = endpoints_server, endpoints_server.new_key()
    before = server.bystander.ask_for("memory")
    peer = server.connect()
    line, media, front, end = UPLOADS[name]
    peer.send(head(line, media, b"Transfer-Encoding: chunked", key=key) + chunk(front))
    pieces = chunk(b"1234567") * 8192
    for _ in range(16):
        peer.send(pieces)
    peer.send(chunk(end) + b"0\r\n\r\n")
    assert peer.read_answer().body == b"%d" % (16 * 8192 * 7)
    assert memory_taken(server, before) < ALLOWED


@pytest.mark.parametrize("name", DOWNLOADS)
def test_a_download_is_not_held_in_memory(endpoints_server, name):
    server, key = endpoints_server, endpoints_server.new_key()
    before = server.bystander.ask_for("memory")
    peer = server.connect()
    begin_download(peer, name, key)
    assert sum(received(peer, SIZE)) == SIZE
    assert server.report(key) == {"error": None, "bytes": SIZE}
    assert memory_taken(server, before) < ALLOWED


@pytest.mark.parametrize("name", DOWNLOADS)
def test_a_download_waits_for_a_slow_client(endpoints_server, name):
    server, key = endpoints_server, endpoints_server.new_key()
    before = server.bystander.ask_for("memory")
    peer = server.connect()
    begin_download(peer, name, key)
    for _ in range(GLANCES):
        # The server has time for others in between.
        server.bystander.echo("still there")
        assert sum(received(peer, MiB)) == MiB
        assert memory_taken(server, before) < ALLOWED
    peer.socket.close()
    assert server.report(key)["error"] in LEFT


# Clients that leave in the middle

#: What a resource gets then: the error of a send or a receive, or the cancellation.
LEFT = {"ClientDisconnect", "HandlerCancelled"}


def leave(peer: Peer, how: str) -> None:
    if how == "reset":
        peer.reset()
    else:
        peer.socket.close()


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("name", ["stream", "response", "events", "silent"])
def test_a_handler_is_cancelled_when_its_client_leaves(endpoints_server, name, how):
    server, key = endpoints_server, endpoints_server.new_key()
    peer = server.connect()
    begin_download(peer, name, key)
    server.report(f"begin of {key}")
    if name != "silent":
        assert sum(received(peer, MiB)) == MiB
    leave(peer, how)
    assert server.report(key)["error"] in LEFT


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("name", UPLOADS)
def test_an_upload_ends_when_its_client_leaves(endpoints_server, name, how):
    server, key = endpoints_server, endpoints_server.new_key()
    peer = server.connect()
    begin_upload(peer, name, key)
    for _ in range(16):
        peer.send(BLOCK)
    server.report(f"begin of {key}")  # a reset could take the request with it
    leave(peer, how)
    report: dict[str, Any] = server.report(key)
    assert report["error"] in LEFT
    assert report["bytes"] <= MiB
