"""The clients that most people use get what they expect from a server."""

from __future__ import annotations

import pytest
import trio

from tests.server.clients import Closed

pytestmark = pytest.mark.real_socket


MESSAGES = ["", "a", b"", b"\x00\xff", "\N{SNOWMAN}" * 1000, b"x" * 65_536, "y" * 2**20]


async def test_messages_of_both_kinds_and_of_every_size_come_back(process_server, open_real_client):
    async with open_real_client(f"{process_server.ws_url}/echo") as client:
        for message in MESSAGES:
            await client.send(message)
            assert await client.receive() == message
        await client.close(1000, "")


async def test_a_message_in_fragments_comes_back_whole(process_server, open_fragmenting_client):
    async with open_fragmenting_client(f"{process_server.ws_url}/echo") as client:
        await client.send_fragments(["one, ", "two, ", "three"])
        assert await client.receive() == "one, two, three"
        await client.send_fragments([b"x" * 2**18] * 4)
        assert await client.receive() == b"x" * 2**20
        await client.close(1000, "")


async def test_the_handler_sees_the_code_and_the_reason_of_the_client(
    process_server, open_real_client
):
    key = process_server.new_key()
    async with open_real_client(f"{process_server.ws_url}/collecting?key={key}") as client:
        await client.send("before")
        await client.close(4001, "bye")
    report = process_server.report(key)
    assert (report["messages"], report["code"], report["reason"]) == (["before"], 4001, "bye")


async def test_the_client_sees_the_code_and_the_reason_of_the_handler(
    process_server, open_real_client
):
    url = f"{process_server.ws_url}/closing/4002?reason=enough"
    async with open_real_client(url) as client:
        with pytest.raises(Closed) as caught:
            await client.receive()
    assert caught.value.args == (4002, "enough")


async def test_a_ping_of_the_clients_is_answered(process_server, open_pinging_client):
    async with open_pinging_client(f"{process_server.ws_url}/echo") as client:
        await client.ping()
        await client.close(1000, "")


async def test_a_ping_of_the_handlers_is_answered(process_server, open_real_client):
    async with open_real_client(f"{process_server.ws_url}/pinging") as client:
        latency = await client.receive()
        assert isinstance(latency, str)
        assert 0 < float(latency) < 15


async def test_the_subprotocol_is_the_one_that_was_chosen(process_server, open_real_client):
    url = f"{process_server.ws_url}/chosen"
    async with open_real_client(url, subprotocols=["chat", "super-chat"]) as client:
        assert client.subprotocol == "super-chat"
        assert await client.receive() == '["chat","super-chat"]'


async def test_tls_is_as_good(tls_server, open_real_client, cafile):
    key = tls_server.new_key()
    url = f"{tls_server.ws_url}/echo?key={key}"
    async with open_real_client(url, cafile=cafile) as client:
        await client.send(b"x" * 2**20)
        assert await client.receive() == b"x" * 2**20
        await client.close(4001, "bye")
    report = await trio.to_thread.run_sync(tls_server.report, key)
    assert (report["code"], report["reason"]) == (4001, "bye")


async def test_compression_changes_nothing(compressing_process_server, open_real_client):
    async with open_real_client(f"{compressing_process_server.ws_url}/echo") as client:
        for message in ["a" * 100_000, b"\x00" * 100_000, "", "b"]:
            await client.send(message)
            assert await client.receive() == message
        await client.close(1000, "")
