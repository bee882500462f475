"""A plain request from its connection to the application's end of it."""

import pytest
import trio

from triows import Triows
from triows.testing import HTTPDisconnect, open_app
from triows.testing._http_exchange import HTTPExchange


class Boom(Exception):
    pass


def serving(app):
    served = Triows()
    served.mount("/", app)
    return served


async def echo(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        more = message["more_body"]
        body = {"body": message["body"], "more_body": more}
        await send({"type": "http.response.body", **body})


async def hang(scope, receive, send):
    await trio.sleep_forever()


async def fail(scope, receive, send):
    raise Boom


async def begun(client, url="http://testserver/", **options):
    return await HTTPExchange.begin(client._stage, "POST", url, **options)


async def parts(*given):
    for one in given:
        yield one


HEADERS = [(b"host", b"testserver"), (b"transfer-encoding", b"chunked")]


async def test_a_request_and_its_response_may_be_longer_than_all_buffers(autojump_clock):
    async with open_app(serving(echo)) as client:
        exchange = await begun(client)
        body = [bytes(2**16)] * 20
        await exchange.ask("POST", "/", HEADERS, parts(*body))
        size = 0
        while part := await exchange.peer.receive():
            size += len(part)
        assert size == 20 * 2**16
        await exchange.wait_over()
        exchange.leave()


async def test_the_application_sees_the_address_and_the_scheme_of_the_client(autojump_clock):
    seen = []

    async def look(scope, receive, send):
        seen.append((scope["client"], scope["scheme"]))
        await echo(scope, receive, send)

    async with open_app(serving(look)) as client:
        for options in ({"url": "https://testserver/"}, {"address": ("10.0.0.1", 1)}, {}):
            exchange = await begun(client, **options)
            await exchange.ask("POST", "/", HEADERS, parts())
            await exchange.wait_over()
            exchange.leave()
    assert seen == [
        (("testclient", 50000), "https"),
        (("10.0.0.1", 1), "http"),
        (("testclient", 50001), "http"),
    ]


async def test_an_error_is_taken_once(autojump_clock):
    async with open_app(serving(fail)) as client:
        exchange = await begun(client)
        await exchange.ask("POST", "/", HEADERS, parts())
        assert (await exchange.peer.receive_head()).status_code == 500
        await exchange.wait_over()
        assert isinstance(exchange.take_error(), Boom)
        assert exchange.take_error() is None
        exchange.leave()


async def test_an_error_that_nobody_has_taken_is_one_of_the_application(autojump_clock):
    async def left():
        async with open_app(serving(fail)) as client:
            exchange = await begun(client)
            await exchange.ask("POST", "/", HEADERS, parts())
            await exchange.peer.receive_head()
            exchange.leave()

    with pytest.raises(Boom):
        await left()


async def test_a_request_that_is_given_up_is_cancelled_after_its_grace(autojump_clock):
    async with open_app(serving(hang)) as client:
        exchange = await begun(client)
        await exchange.ask("POST", "/", HEADERS, parts())
        await trio.sleep(1)
        started = trio.current_time()
        await exchange.give_up(3)
        assert trio.current_time() == started + 3
        assert exchange.call.over.is_set()
        with pytest.raises(HTTPDisconnect):
            await exchange.peer.receive_head()
        exchange.leave()


async def test_a_request_that_is_never_sent_is_over_with_its_connection(autojump_clock):
    async with open_app(serving(hang)) as client:
        exchange = await begun(client)
        exchange.leave()
        await exchange.wait_over()
