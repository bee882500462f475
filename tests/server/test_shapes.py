"""The same routes for requests on our server and with plain ``hypercorn -k trio``."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.server.applications import shapes
from tests.server.harness.peer import Peer
from tests.server.harness.process import HYPERCORN, PATIENCE, TRIOWS, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

pytestmark = pytest.mark.real_socket

SERVERS = {"triows": TRIOWS, "hypercorn": HYPERCORN}


@pytest.fixture(scope="module", params=SERVERS)
def shared(request: Any) -> Iterator[ServerProcess]:
    with ServerProcess(SERVERS[request.param], "shapes:app") as process:
        yield process


@pytest.fixture
def server(shared: ServerProcess) -> Iterator[ServerProcess]:
    """The server. After the test, it has to answer as before."""
    yield shared
    assert httpx2.get(f"{shared.url}/thread").json() == 42


@pytest.fixture
def client(server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def peer(server) -> Iterator[Peer]:
    with Peer(server.reach(PATIENCE)) as peer:
        yield peer


def ask(target: str, *lines: bytes, method: str = "GET") -> bytes:
    return b"\r\n".join([f"{method} {target} HTTP/1.1".encode(), b"host: here", *lines, b"", b""])


@pytest.mark.parametrize(
    ("method", "target", "options", "status", "wanted"),
    [
        ("GET", "/items/3?q=a", {}, 200, {"name": "a", "count": 3}),
        ("HEAD", "/items/3", {}, 200, None),
        ("POST", "/items/3", {"json": {"name": "b", "count": 1}}, 200, {"name": "b", "count": 4}),
        ("GET", "/thread", {}, 200, 42),
        ("POST", "/form", {"data": {"title": "t"}, "files": {"photo": b"1234"}}, 200, None),
        ("POST", "/upload", {"files": {"a": b"x" * 50_000}}, 200, 50_000),
        ("GET", "/items/0", {}, 409, None),
        ("GET", "/items/-1", {}, 500, None),
        ("GET", "/items/x", {}, 422, None),
        ("POST", "/items/x", {"json": {"count": "x"}}, 422, None),
        ("POST", "/items/1", {"content": b"{"}, 415, None),
        ("POST", "/items/1", {"json": {"name": "x" * 200_000}}, 413, None),
        ("GET", "/items/1", {"headers": {"accept": "text/html"}}, 406, None),
        ("DELETE", "/items/1", {}, 405, None),
        ("OPTIONS", "/items/1", {}, 204, None),
        ("GET", "/nowhere", {}, 404, None),
        ("GET", "/broken", {}, 500, None),
    ],
)
def test_whole_results_and_refusals_are_the_same(client, method, target, options, status, wanted):
    response = client.request(method, target, **options)
    assert response.status_code == status
    if wanted is not None:
        assert response.json() == wanted
    if status >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status


def test_what_was_read_before_is_304(client):
    tag = client.get("/items/3").headers["etag"]
    assert client.get("/items/3", headers={"if-none-match": tag}).status_code == 304


def test_a_file_is_sent_whole_or_in_part(client):
    whole = Path(shapes.__file__).read_bytes()
    assert client.get("/file").content == whole
    response = client.get("/file", headers={"range": "bytes=2-5"})
    assert (response.status_code, response.content) == (206, whole[2:6])


def test_a_result_is_sent_when_its_resource_has_exited(server, client):
    client.post("/items/3", json={"name": "b"})
    server.wait_for("^committed$")


def test_parts_come_as_they_are_made_and_with_an_end(server, client):
    lines = client.get("/parts").text.splitlines()
    assert lines == ['{"name":"first","count":1}', '{"name":"second","count":2}']
    server.wait_for("^committed$")


@pytest.mark.parametrize("target", ["/parts?how=fails", "/broken/parts"])
def test_a_stream_that_fails_has_no_end(client, target):
    with client.stream("GET", target) as response:
        assert response.status_code == 200
        with pytest.raises(httpx2.RemoteProtocolError):
            response.read()


def test_events_come_one_by_one_and_end_with_the_client(server, peer):
    peer.send(ask("/events"))
    data = b""
    while b"data: 1" not in data:
        data += peer.read(1)
    peer.finish()
    server.wait_for("^rolled back: HandlerCancelled")


@pytest.mark.parametrize("how", ["finish", "reset"])
def test_a_client_that_leaves_before_the_response_ends_the_handler(server, peer, how):
    peer.send(ask("/waiting"))
    server.wait_for("^waiting$")
    getattr(peer, how)()
    server.wait_for("^rolled back: HandlerCancelled")


def test_a_client_that_leaves_when_its_body_was_read_ends_the_handler(server, peer):
    lines = (b"content-type: application/json", b"content-length: 12")
    peer.send(ask("/waiting", *lines, method="POST") + b'{"name":"a"}')
    server.wait_for("^waiting$")
    peer.finish()
    server.wait_for("^rolled back: HandlerCancelled")


def test_a_client_that_leaves_in_its_upload_ends_the_handler(server, peer):
    lines = (b"content-type: multipart/form-data; boundary=b", b"content-length: 5000")
    peer.send(ask("/upload", *lines, method="POST") + b"--b\r\n")
    peer.finish()
    server.wait_for("^rolled back: ")


@pytest.mark.parametrize("name", SERVERS)
def test_a_signal_gives_handlers_and_streams_their_grace(name):
    options = ["--graceful-timeout", "0"] if name == "hypercorn" else []
    with ServerProcess(SERVERS[name], "shapes:app", *options) as process:
        with Peer(process.reach(PATIENCE)) as waiting, Peer(process.reach(PATIENCE)) as events:
            waiting.send(ask("/waiting"))
            events.send(ask("/events"))
            data = b""
            while b"data: 1" not in data:
                data += events.read(1)
            process.wait_for("^waiting$")
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 0
            told = waiting.read_rest()
            rest = events.read_rest()
        assert process.output.count("rolled back: HandlerCancelled") == 2
    assert b"0\r\n\r\n" not in rest
    # Hypercorn cancels what runs, also while it could still answer.
    assert told.startswith(b"HTTP/1.1 503 ") == (name == "triows")
