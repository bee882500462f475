"""What `serve` says about wrong arguments."""

from __future__ import annotations

import asyncio
import queue
import socket
import ssl
import threading
from typing import Any

import pytest
import starlette.testclient
import trio
from hypercorn.config import Config
from hypercorn.logging import Logger
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware

import triows
from triows import Triows, WebSocketRoute
from triows._server.mistakes import check_config


def make() -> Triows:
    return Triows()


async def make_async() -> Triows:
    return Triows()


@pytest.mark.parametrize(
    ("app", "told"),
    [
        (Starlette(), "got a Starlette, not a Triows application: to serve another ASGI"),
        (GZipMiddleware(Triows()), r"to add middleware, write Triows\(middlewares="),
        (Triows, "got the class Triows, not an application: make one with"),
        (WebSocketRoute("ws"), r"make one with Triows\(route\)"),
        (make, r"call it, as in `app = make\(\)`"),
        (make_async, "if it is a handler, put `@route.endpoint` above make_async"),
        ("chat:app", "import the application and give that"),
        (None, "got None, not an application"),
        (Config(), "got an object of type Config, not a Triows application"),
    ],
)
async def test_what_is_not_an_application_is_refused_with_what_to_give(app, told):
    with pytest.raises(TypeError, match=told):
        await triows.serve(app, Config())


async def test_a_coroutine_for_an_application_is_refused_and_closed():
    with pytest.raises(TypeError, match="await it, and give what it returns"):
        await triows.serve(make_async(), Config())


@pytest.mark.parametrize("config", ["127.0.0.1:0", Config, {"bind": "127.0.0.1:0"}, 8000])
async def test_what_is_not_a_configuration_is_refused_with_what_to_write(config):
    with pytest.raises(TypeError, match=r"as its configuration: write `from hypercorn"):
        await triows.serve(Triows(), config)


async def test_a_call_without_a_configuration_says_what_to_write():
    with pytest.raises(TypeError, match=r"got no configuration: write `from hypercorn"):
        await triows.serve(Triows())


@pytest.mark.parametrize("name", ["bind", "insecure_bind"])
@pytest.mark.parametrize("addresses", [8000, None, [8000], ("127.0.0.1", 8000), {"127.0.0.1:0"}])
async def test_addresses_that_are_not_a_list_of_strings_are_refused(name, addresses):
    config = Config()
    setattr(config, name, addresses)
    with pytest.raises(TypeError, match=rf"config.{name} takes a list .* write config.{name} = \["):
        await triows.serve(Triows(), config)


@pytest.mark.parametrize("proxy", ["10.0.0.1", ["10.0.0.1"], True, triows.Proxy])
async def test_what_is_not_a_proxy_is_refused_with_what_to_write(proxy):
    with pytest.raises(TypeError, match=r"proxy takes a triows.Proxy.* write proxy=Proxy\(trusted"):
        await triows.serve(Triows(), Config(), proxy=proxy)


async def test_a_proxy_for_another_address_is_refused():
    proxy = triows.Proxy(protocol=["127.0.0.1:1"])
    with pytest.raises(ValueError, match="at which the server doesn't listen"):
        await triows.serve(Triows(), Config(), proxy=proxy)


async def test_a_root_path_without_a_slash_is_refused():
    config = Config()
    config.root_path = "app"
    with pytest.raises(ValueError, match=r"config.root_path .* write '/app'"):
        await triows.serve(Triows(), config)


async def test_a_configuration_without_an_address_is_refused():
    config = Config()
    config.bind = []
    with pytest.raises(ValueError, match=r"config.bind has no address: write config.bind = \["):
        await triows.serve(Triows(), config)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"certfile": "both.pem"}, "config.certfile without config.keyfile .* go together; one"),
        ({"keyfile": "both.pem"}, "config.keyfile without config.certfile .* go together; one"),
        ({"ca_certs": "ca.pem"}, "config.ca_certs without config.verify_mode would let in"),
        ({"verify_mode": ssl.CERT_REQUIRED}, "config.verify_mode has an effect only with TLS: set"),
        ({"verify_flags": ssl.VERIFY_X509_STRICT}, "config.verify_flags has an effect only"),
        ({"keyfile_password": "secret"}, "config.keyfile_password has an effect only with TLS"),
        ({"ciphers": "ECDHE"}, "config.ciphers has an effect only with TLS"),
        ({"insecure_bind": ["127.0.0.1:0"]}, "config.insecure_bind has an effect only with TLS"),
    ],
)
async def test_settings_for_tls_that_would_be_ignored_are_refused(settings, told):
    config = Config.from_mapping(settings)
    with pytest.raises(ValueError, match=told), trio.fail_after(5):
        await triows.serve(Triows(), config)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"certfile": "cert.pem", "keyfile": "key.pem"},
        {"certfile": "both.pem", "keyfile": "both.pem", "insecure_bind": ["127.0.0.1:0"]},
        {"certfile": "a", "keyfile": "b", "ca_certs": "c", "verify_mode": ssl.CERT_REQUIRED},
        {"certfile": "a", "keyfile": "b", "ca_certs": "c", "verify_mode": ssl.CERT_NONE},
    ],
)
def test_settings_for_tls_that_fit_together_are_accepted(settings):
    check_config(Config.from_mapping(settings))


@pytest.mark.parametrize(
    ("trigger", "told"),
    [
        (trio.Event(), "write shutdown_trigger=event.wait"),
        (threading.Event(), "give the `wait` of a trio.Event"),
        (3.0, "takes an async function, not 3.0"),
        (
            threading.Event().wait,
            "the one of Event would block the loop: give the `wait` of a trio",
        ),
        (threading.Lock().acquire, "the one of lock would block the loop"),
        (queue.Queue().get, "the one of Queue would block the loop"),
    ],
)
async def test_what_is_not_a_trigger_is_refused_with_what_to_write(trigger, told):
    with pytest.raises(TypeError, match=told):
        await triows.serve(Triows(), Config(), shutdown_trigger=trigger)


async def test_a_trigger_that_was_called_is_refused_and_closed():
    with pytest.raises(TypeError, match="leave the parentheses out"):
        await triows.serve(Triows(), Config(), shutdown_trigger=trio.Event().wait())


@pytest.mark.real_socket
async def test_a_trigger_that_needs_asyncio_is_told_to_use_trio():
    config = Config()
    config.bind = ["127.0.0.1:0"]
    with pytest.RaisesGroup(
        pytest.RaisesExc(AttributeError, check=lambda exc: "trio.Event" in "".join(exc.__notes__)),
        flatten_subgroups=True,
        allow_unwrapped=True,
    ):
        await triows.serve(Triows(), config, shutdown_trigger=asyncio.Event().wait)


@pytest.mark.real_socket
async def test_a_trigger_that_is_not_async_is_refused():
    config = Config()
    config.bind = ["127.0.0.1:0"]
    with pytest.RaisesGroup(
        pytest.RaisesExc(TypeError, match="returned None at once: give an async function"),
        flatten_subgroups=True,
        allow_unwrapped=True,
    ):
        await triows.serve(Triows(), config, shutdown_trigger=lambda: None)


@pytest.mark.parametrize(
    ("sockets", "told"),
    [
        ("127.0.0.1:0", "takes a list of sockets"),
        (3, "takes a list of sockets"),
        ([3], "takes sockets of the standard library, not 3"),
        (["127.0.0.1:0"], "takes sockets of the standard library"),
    ],
)
async def test_what_are_not_sockets_are_refused_with_what_to_give(sockets, told):
    with pytest.raises(TypeError, match=told):
        await triows.serve(Triows(), Config(), sockets=sockets)


async def test_sockets_of_another_kind_are_refused():
    with socket.socket() as one, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        with pytest.raises(TypeError, match=r"write sockets=\[sock\]"):
            await triows.serve(Triows(), Config(), sockets=one)
        with pytest.raises(TypeError, match="takes stream sockets"):
            await triows.serve(Triows(), Config(), sockets=[datagrams])


# Without Trio


def test_serving_on_asyncio_says_how_to_serve():
    with pytest.raises(RuntimeError, match=r"write trio.run\(triows.serve, app, config\)"):
        asyncio.run(triows.serve(Triows(), Config()))


async def call(app: Triows, kind: str, sent: list[Any]) -> None:
    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": kind, "asgi": {"version": "3.0"}}, receive, send)


def test_a_server_on_asyncio_is_told_at_its_start_how_to_serve():
    sent: list[Any] = []
    asyncio.run(call(Triows(), "lifespan", sent))
    (message,) = sent
    assert message["type"] == "lifespan.startup.failed"
    assert "start the application by `triows run module:app`" in message["message"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_server_on_asyncio_without_a_start_is_told_at_the_first_connection(kind):
    with pytest.raises(RuntimeError, match="by `hypercorn -k trio module:app`"):
        asyncio.run(call(Triows(), kind, []))


@pytest.mark.parametrize("lifespan", [True, False])
def test_starlettes_test_client_is_told_to_use_ours(lifespan):
    client = starlette.testclient.TestClient(Triows())
    told = r"In a test, use triows\.testing\.TestClient"
    if lifespan:
        with pytest.raises(RuntimeError, match=told):
            client.__enter__()
        return
    with pytest.raises(RuntimeError, match=told), client.websocket_connect("/"):
        pass
    with pytest.raises(RuntimeError, match=told):
        client.get("/")


async def test_a_format_that_no_line_can_have_is_told_what_to_write():
    config = Config()
    config.access_log_format = "%(h)q"
    told = r"config.access_log_format: give a format such as '%\(h\)s"
    with pytest.raises(ValueError, match=told), trio.fail_after(5):
        await triows.serve(Triows(), config)


def test_a_logger_of_ones_own_may_have_formats_of_its_own():
    class OwnLogger(Logger):
        async def access(self, request: Any, response: Any, request_time: float) -> None: ...

    config = Config()
    config.logger_class, config.access_log_format = OwnLogger, "{h} 100%"
    check_config(config)


def test_a_root_path_in_percent_encoding_is_told_what_to_write():
    config = Config()
    config.root_path = "/a%20b"
    with pytest.raises(ValueError, match="write '/a b' instead of '/a%20b'"):
        check_config(config)
