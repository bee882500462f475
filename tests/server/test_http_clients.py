"""The HTTP clients that most people use get what they expect from a server."""

from __future__ import annotations

import json
import shutil
import subprocess
from hashlib import sha256

import pytest

from tests.server.clients.http import HTTPClient, Step, body

pytestmark = pytest.mark.real_socket

MiB = 2**20


def run(*command: str) -> str:
    """Run a program, and return what it prints. Skip the test if it isn't here."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here")
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout


def skip_if_it_cannot(client: HTTPClient, what: str) -> None:
    if what in client.cannot:
        pytest.skip(f"{type(client).__name__}: {client.cannot[what]}")


async def test_requests_in_turn_go_over_one_connection(plain_server, http_client):
    steps = [Step("/hello"), Step("/seen", "POST", size=10), Step("/hello")]
    answers = await http_client.ask(plain_server.url, steps)
    assert [answer.status for answer in answers] == [200] * 3
    assert answers[0].text == answers[2].text == "hello"
    assert len({answer.headers["x-port"] for answer in answers}) == 1


async def test_a_body_with_a_length_arrives(plain_server, http_client):
    sizes = [1, 100_000, 3 * MiB]
    steps = [Step("/seen", "POST", size) for size in sizes]
    answers = await http_client.ask(plain_server.url, steps)
    for answer, size in zip(answers, sizes, strict=True):
        facts = json.loads(answer.text)
        assert (facts["method"], facts["length"], facts["coding"]) == ("POST", str(size), "")
        assert (facts["size"], facts["hash"]) == (size, sha256(body(size)).hexdigest())


async def test_a_body_in_chunks_arrives_and_the_connection_is_kept(plain_server, http_client):
    skip_if_it_cannot(http_client, "chunked")
    steps = [Step("/seen", "PUT", 2 * MiB, chunked=True), Step("/hello")]
    answer, after = await http_client.ask(plain_server.url, steps)
    facts = json.loads(answer.text)
    assert (facts["method"], facts["length"], facts["coding"]) == ("PUT", "", "chunked")
    assert (facts["size"], facts["hash"]) == (2 * MiB, sha256(body(2 * MiB)).hexdigest())
    assert after.headers["x-port"] == answer.headers["x-port"]


async def test_a_body_that_waits_for_100_continue_arrives(plain_server, http_client):
    skip_if_it_cannot(http_client, "expects")
    steps = [Step("/seen", "POST", 100_000, chunked, expects=True) for chunked in (False, True)]
    answers = await http_client.ask(plain_server.url, [*steps, Step("/hello")])
    for answer in answers[:2]:
        facts = json.loads(answer.text)
        assert facts["expect"].lower() == "100-continue"  # Java writes it with a capital letter
        assert (facts["size"], facts["hash"]) == (100_000, sha256(body(100_000)).hexdigest())
    assert answers[2].text == "hello"


async def test_a_body_that_nobody_asks_for_is_answered_without_it(plain_server, http_client):
    skip_if_it_cannot(http_client, "expects")
    skip_if_it_cannot(http_client, "be refused")
    steps = [Step("/refused", "POST", 100_000, expects=True), Step("/hello")]
    answer, after = await http_client.ask(plain_server.url, steps)
    assert (answer.status, answer.text) == (403, "no")
    assert after.text == "hello"


def test_an_answer_instead_of_100_continue_ends_the_connection(plain_server):
    """Otherwise a client that leaves its body out would send its next request in place of it."""
    peer = plain_server.connect()
    answer = peer.ask(
        b"POST /refused HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    )
    assert (answer.status, answer.header(b"connection")) == (403, b"close")


async def test_an_answer_to_head_has_a_length_and_no_body(plain_server, http_client):
    steps = [Step("/big?size=5000", "HEAD"), Step("/hello")]
    answer, after = await http_client.ask(plain_server.url, steps)
    assert (answer.status, answer.headers["content-length"], answer.size) == (200, "5000", 0)
    assert after.text == "hello"
    assert after.headers["x-port"] == answer.headers["x-port"]


async def test_a_big_download_arrives_whole(plain_server, http_client):
    size = 10 * MiB
    (answer,) = await http_client.ask(plain_server.url, [Step(f"/big?size={size}")])
    assert (answer.size, answer.hash) == (size, sha256(body(size)).hexdigest())


async def test_an_answer_in_chunks_arrives_and_the_connection_is_kept(plain_server, http_client):
    size = 2 * MiB
    steps = [Step(f"/streamed?size={size}"), Step("/hello")]
    answer, after = await http_client.ask(plain_server.url, steps)
    assert "content-length" not in answer.headers
    assert (answer.size, answer.hash) == (size, sha256(body(size)).hexdigest())
    assert after.headers["x-port"] == answer.headers["x-port"]


async def test_a_client_that_leaves_early_ends_the_answer(plain_server, http_client):
    key = plain_server.new_key()
    await http_client.ask(plain_server.url, [Step(f"/endless?key={key}", leave=100_000)])
    (answer,) = await http_client.ask(plain_server.url, [Step(f"/left?key={key}")])
    assert answer.text == "it has left"


def test_wrk_reports_no_errors(plain_server):
    told = run("wrk", "--threads", "1", "--connections", "8", "--duration", "1s", plain_server.url)
    assert "requests in" in told
    assert "Socket errors" not in told
    assert "Non-2xx" not in told


def test_h2load_gets_an_answer_to_each_pipelined_request(plain_server):
    # With HTTP/1.1, -m says how many requests are pipelined.
    told = run("h2load", "--h1", "-n", "800", "-c", "4", "-m", "8", f"{plain_server.url}/hello")
    assert "800 total, 800 started, 800 done, 800 succeeded, 0 failed, 0 errored" in told
