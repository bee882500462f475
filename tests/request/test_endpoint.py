"""The order in which a request to a handler is served, and what ends it early."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

import httpx2
import msgspec
import pytest
import trio

from triows import (
    ClientDisconnect,
    HandlerCancelled,
    HTTPException,
    Limits,
    Param,
    Request,
    Route,
    RouteSetupError,
    TeardownTimeout,
    Timeouts,
    Triows,
    Upload,
    use,
)
from triows.testing import HTTPDisconnect, open_app

TIMEOUTS = Timeouts(
    accept=10, disconnect_grace=1, shutdown_grace=10, receive=30, teardown=4, close=5
)

IS_JSON = {"content-type": "application/json"}

EVENTS: list[str] = []


@pytest.fixture(autouse=True)
def events() -> list[str]:
    """What has happened, in order."""
    EVENTS.clear()
    return EVENTS


def note(what: str) -> None:
    EVENTS.append(what)


class User(msgspec.Struct):
    name: str


class Session:
    """A resource that exits before the response."""


class Trail:
    """A resource that exits after the response."""


def told(name: str, *, fails: bool = False, seconds: float = 0) -> Any:
    """Make a factory of a session, which notes its exit."""

    async def get_session() -> AsyncIterator[Session]:
        note(f"enter {name}")
        try:
            yield Session()
        except HandlerCancelled as exc:
            note(f"{name} sees {exc.reason}")
            raise
        except Exception as exc:
            note(f"{name} sees {type(exc).__name__}")
            raise
        finally:
            await trio.sleep(seconds)
            note(f"exit {name}")
        if fails:
            raise LookupError("it could not be stored")

    return get_session


async def get_trail() -> AsyncIterator[Trail]:
    note("enter trail")
    yield Trail()
    note("exit trail")


def deny() -> None:
    note("guard")
    raise HTTPException(403)


def allow() -> None:
    note("guard")


def app_of(handler: Any, *methods: str, **options: Any) -> Triows:
    route = Route("", **{"timeouts": TIMEOUTS, **options})
    route.add_endpoint(*(methods or ("POST",)), func=handler)
    return Triows(route)


@asynccontextmanager
async def serving(handler: Any, *methods: str, **options: Any) -> AsyncIterator[Any]:
    async with open_app(app_of(handler, *methods, **options)) as client:
        yield client


# The order


async def test_everything_happens_in_its_order(autojump_clock):
    session = told("session", seconds=1)

    async def handler(
        user: User,
        session: Annotated[Session, use(session)],
        trail: Annotated[Trail, use(get_trail, until="sent")],
    ) -> User:
        note("handler")
        return user

    async with (
        serving(handler, deps=[allow]) as client,
        client.stream("POST", "/", sending=True, headers=IS_JSON) as request,
    ):
        await trio.sleep(1)
        note("body")
        await request.send(b'{"name": "ada"}')
        await request.send_end()
        await request.receive_head()
        note("response")
        assert await request.read() == b'{"name":"ada"}'
        assert EVENTS.index("exit session") < EVENTS.index("response")
    assert [one for one in EVENTS if one != "response"] == [
        "guard",
        "body",
        "enter session",
        "enter trail",
        "handler",
        "exit session",
        "exit trail",
    ]


async def test_a_guard_is_asked_before_the_body_is_read(autojump_clock):
    async def handler(user: User) -> None:
        raise AssertionError

    async with (
        serving(handler, deps=[deny]) as client,
        client.stream("POST", "/", sending=True) as request,
    ):
        assert await request.receive_head() == 403


async def test_a_guard_that_needs_the_body_is_asked_when_it_is_there():
    def check(user: User) -> None:
        if user.name != "ada":
            raise HTTPException(403)

    async def handler(user: User) -> str:
        return user.name

    async with serving(handler, deps=[allow, check]) as client:
        assert (await client.post("/", json={"name": "bob"})).status_code == 403
        assert (await client.post("/", json={"name": "ada"})).text == "ada"
    assert EVENTS == ["guard", "guard"]


@pytest.mark.parametrize(("guard", "status", "asked"), [(deny, 403, False), (allow, 200, True)])
async def test_the_client_is_asked_for_its_body_when_the_guards_have_agreed(
    autojump_clock, guard, status, asked
):
    async def handler(user: User) -> str:
        return user.name

    headers = {"expect": "100-continue", "content-length": "14", **IS_JSON}
    async with (
        serving(handler, deps=[guard]) as client,
        client.stream("POST", "/", sending=True, headers=headers) as request,
    ):
        await trio.sleep(1)
        assert ("received 100" in request.events) == asked
        with suppress(HTTPDisconnect):
            await request.send(b'{"name":"ada"}')
        assert await request.receive_head() == status


async def test_bad_parameters_are_told_before_the_guards_if_there_is_no_body():
    async def handler(number: int) -> None: ...

    async with serving(handler, "GET", deps=[deny]) as client:
        assert (await client.get("/?number=x")).status_code == 422
        assert EVENTS == []


async def test_what_is_wrong_in_the_head_and_in_the_body_is_told_together():
    async def handler(user: User, number: int, other: int) -> None: ...

    async with serving(handler) as client:
        response = await client.post("/?number=x", json={"name": 1})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert [(one["location"], one["name"]) for one in response.json()["errors"]] == [
        ("query", "number"),
        ("query", "other"),
        ("body", "name"),
    ]


async def test_what_is_wrong_in_the_head_and_in_a_form_is_told_together():
    async def handler(number: int, age: Annotated[int, Param("form")]) -> None: ...

    async with serving(handler) as client:
        response = await client.post("/?number=x", data={"age": "y"})
    assert [(one["location"], one["name"]) for one in response.json()["errors"]] == [
        ("query", "number"),
        ("form", "age"),
    ]


async def test_what_is_wrong_in_the_head_is_told_with_a_good_body_too():
    async def handler(user: User, number: int) -> None: ...

    async with serving(handler) as client:
        response = await client.post("/?number=x", json={"name": "ada"})
    assert [one["location"] for one in response.json()["errors"]] == ["query"]


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"accept": "text/html"}, b"{}", 406),
        ({"content-type": "text/html"}, b"{}", 415),
        ({"content-type": "application/json"}, b"1" * 101, 413),
        ({"content-type": "application/json"}, b"{", 422),
    ],
)
async def test_a_request_that_can_not_be_served_is_refused_with_a_problem(headers, content, status):
    async def handler(user: User) -> User:
        raise AssertionError

    async with serving(handler, limits=Limits(body=100)) as client:
        response = await client.post("/", headers=headers, content=content)
    assert (response.status_code, response.json()["status"]) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_body_that_is_announced_too_long_is_refused_before_it_comes(autojump_clock):
    async def handler(user: User) -> None: ...

    headers = {"content-length": "101", "content-type": "application/json"}
    async with (
        serving(handler, limits=Limits(body=100)) as client,
        client.stream("POST", "/", sending=True, headers=headers) as request,
    ):
        assert await request.receive_head() == 413


async def test_no_factory_is_called_for_a_body_that_is_refused():
    async def handler(user: User, session: Annotated[Session, use(told("session"))]) -> None: ...

    async with serving(handler) as client:
        assert (await client.post("/", json={})).status_code == 422
    assert EVENTS == []


# A 2xx means that it is done


async def commits(session: Annotated[Session, use(told("session", fails=True))]) -> str:
    return "it is done"


async def test_if_an_exit_fails_the_client_is_told_and_somebody_sees_the_error():
    async with serving(commits) as client:
        with pytest.raises(LookupError, match="could not be stored"):
            await client.post("/")
    async with open_app(app_of(commits), raise_app_exceptions=False) as client:
        assert (await client.post("/")).status_code == 500


async def test_the_value_is_encoded_before_the_resources_exit():
    async def handler(session: Annotated[Session, use(told("session"))]) -> int:
        return object()  # type: ignore[return-value]

    async with open_app(app_of(handler), raise_app_exceptions=False) as client:
        assert (await client.post("/")).status_code == 500
    assert EVENTS == ["enter session", "session sees TypeError", "exit session"]


async def test_an_exit_that_hangs_is_a_failure_too(autojump_clock):
    async def handler(session: Annotated[Session, use(told("session", seconds=100))]) -> str:
        return "it is done"

    async with open_app(app_of(handler), raise_app_exceptions=False) as client:
        assert (await client.post("/")).status_code == 500
        assert trio.current_time() <= TIMEOUTS.teardown


async def test_what_stays_until_the_response_is_sent_fails_for_the_log_alone(caplog):
    async def stays() -> AsyncIterator[Trail]:
        yield Trail()
        raise LookupError("too late")

    async def handler(trail: Annotated[Trail, use(stays, until="sent")]) -> str:
        return "it is done"

    async with open_app(app_of(handler), raise_app_exceptions=False) as client:
        assert (await client.post("/")).text == "it is done"
    assert "too late" in caplog.text


def test_what_stays_can_not_need_what_exits_before():
    def stays(session: Annotated[Session, use(told("session"))]) -> Iterator[Trail]:
        yield Trail()

    async def handler(trail: Annotated[Trail, use(stays, until="sent")]) -> None: ...

    with pytest.raises(RouteSetupError, match=r"stays until the response is sent, and needs "):
        app_of(handler)


def test_one_resource_exits_at_one_time():
    async def handler(
        one: Annotated[Trail, use(get_trail, reuse=True)],
        other: Annotated[Trail, use(get_trail, reuse=True, until="sent")],
    ) -> None: ...

    with pytest.raises(RouteSetupError, match=r'only one of those .* says until="sent"'):
        app_of(handler)


async def test_a_stream_holds_its_resources_and_ends_after_their_exits(autojump_clock):
    async def handler(
        session: Annotated[Session, use(told("session", seconds=2))],
    ) -> AsyncIterator[bytes]:
        yield b"one"
        note("last part")

    async with (
        serving(handler, "GET") as client,
        client.stream("GET", "/") as response,
    ):
        assert await response.receive() == b"one"
        await response.expect_nothing(1.5)
        assert EVENTS == ["enter session", "last part"]
        assert await response.receive() == b""
        assert EVENTS[-1] == "exit session"


async def test_a_stream_whose_exit_fails_is_cut():
    async def handler(
        session: Annotated[Session, use(told("session", fails=True))],
    ) -> AsyncIterator[bytes]:
        yield b"one"

    async with (
        open_app(app_of(handler, "GET"), raise_app_exceptions=False) as client,
        client.stream("GET", "/") as response,
    ):
        assert await response.receive() == b"one"
        with pytest.raises(HTTPDisconnect):
            await response.receive()


# The nursery


async def test_the_nursery_is_over_before_the_resources_and_the_response(autojump_clock):
    async def background() -> None:
        try:
            await trio.sleep_forever()
        finally:
            note("background ends")

    async def handler(
        nursery: trio.Nursery, session: Annotated[Session, use(told("session"))]
    ) -> str:
        nursery.start_soon(background)
        await trio.sleep(1)
        return "it is done"

    async with serving(handler) as client:
        assert (await client.post("/")).text == "it is done"
    assert EVENTS == ["enter session", "background ends", "exit session"]


async def test_a_task_of_the_nursery_that_fails_is_an_error_of_the_request(autojump_clock):
    async def background() -> None:
        raise LookupError("in the background")

    async def handler(nursery: trio.Nursery) -> str:
        nursery.start_soon(background)
        await trio.sleep(100)
        raise AssertionError

    async with serving(handler) as client:
        with pytest.raises(ExceptionGroup) as caught:
            await client.post("/")
    assert caught.group_contains(LookupError, match="in the background")
    async with open_app(app_of(handler), raise_app_exceptions=False) as client:
        assert (await client.post("/")).status_code == 500


# A client that leaves


async def plain() -> None:
    await sleeping()


async def with_session(session: Annotated[Session, use(told("session"))]) -> None:
    await sleeping()


async def with_nursery(nursery: trio.Nursery) -> None:
    await sleeping()


async def streaming() -> AsyncIterator[bytes]:
    await sleeping()
    yield b""


async def sleeping() -> None:
    try:
        await trio.sleep(1000)
    finally:
        note(f"over after {trio.current_time():g} s")


@pytest.mark.parametrize("handler", [plain, with_session, with_nursery, streaming])
@pytest.mark.parametrize("after", [0.5, 2])
async def test_a_handler_has_its_grace_when_the_client_has_left(autojump_clock, handler, after):
    async with (
        serving(handler) as client,
        client.stream("POST", "/", sending=True) as request,
    ):
        await request.send_end()
        await trio.sleep(after)
        request.close()
    assert f"over after {after + TIMEOUTS.disconnect_grace:g} s" in EVENTS


@pytest.mark.parametrize("handler", [plain, with_session, with_nursery])
async def test_a_client_that_leaves_together_with_its_request_is_noticed(autojump_clock, handler):
    async with (
        serving(handler) as client,
        client.stream("POST", "/", sending=True) as request,
    ):
        request.close()
    assert f"over after {TIMEOUTS.disconnect_grace:g} s" in EVENTS


async def test_a_resource_learns_why_its_handler_was_cancelled(autojump_clock):
    async with (
        serving(with_session) as client,
        client.stream("POST", "/", sending=True) as request,
    ):
        await request.send_end()
        await trio.sleep(1)
        request.close()
    assert EVENTS[2:] == ["session sees peer gone", "exit session"]


async def test_a_handler_that_finishes_in_its_grace_is_not_cancelled(autojump_clock):
    async def handler(session: Annotated[Session, use(told("session"))]) -> str:
        await trio.sleep(2.5)
        note("finished")
        return "nobody reads this"

    async with (
        serving(handler) as client,
        client.stream("POST", "/", sending=True) as request,
    ):
        await request.send_end()
        await trio.sleep(2)
        request.close()
    assert EVENTS == ["enter session", "finished", "exit session"]


async def test_a_client_that_leaves_in_the_middle_of_its_body_calls_no_handler(
    autojump_clock, caplog
):
    async def handler(user: User, session: Annotated[Session, use(told("session"))]) -> None:
        raise AssertionError

    async with (
        serving(handler) as client,
        client.stream("POST", "/", sending=True) as request,
    ):
        await request.send(b'{"name"')
        request.close()
    assert EVENTS == []
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


async def parts(parts: AsyncIterator[bytes]) -> None:
    async for _ in parts:
        note("part")


async def whole(request: Request) -> None:
    await request.body()


async def uploaded(upload: Upload) -> None:
    async for part in upload:
        note(str(part.name))
        async for _ in part:
            note("part")


@pytest.mark.parametrize("handler", [parts, whole, uploaded])
async def test_a_handler_that_reads_the_body_is_told_and_that_is_no_error(
    autojump_clock, caplog, handler
):
    headers = {"content-type": "multipart/form-data; boundary=b"}
    async with (
        serving(handler) as client,
        client.stream("POST", "/", sending=True, headers=headers) as request,
    ):
        await request.send(b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\nx')
        await trio.sleep(1)
        request.close()
        began = trio.current_time()
    assert trio.current_time() == began
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


async def test_a_client_that_sends_nothing_is_told_so_when_its_time_is_over(autojump_clock):
    async def handler(user: User) -> None: ...

    async with (
        serving(handler) as client,
        client.stream("POST", "/", sending=True, timeout=100) as request,
    ):
        await request.send(b'{"name"')
        assert await request.receive_head() == 408
        assert trio.current_time() == pytest.approx(TIMEOUTS.receive, abs=5)


# Limits


async def test_factories_have_a_limit_and_the_one_that_waits_is_named(autojump_clock):
    async def get_session() -> Session:
        await trio.sleep(100)
        raise AssertionError

    async def handler(session: Annotated[Session, use(get_session)]) -> None: ...

    async with serving(handler) as client:
        with pytest.raises(trio.TooSlowError, match=r"waited for the factory .*get_session"):
            await client.post("/", timeout=50)
        assert trio.current_time() == TIMEOUTS.accept


async def test_a_handler_has_no_limit(autojump_clock):
    async def handler(session: Annotated[Session, use(told("session"))]) -> str:
        await trio.sleep(10_000)
        return "at last"

    async with open_app(app_of(handler), timeout=20_000) as client:
        assert (await client.post("/")).text == "at last"


async def test_the_time_in_which_the_body_comes_is_not_the_factories(autojump_clock):
    async def handler(user: User, session: Annotated[Session, use(told("session"))]) -> str:
        return user.name

    async with (
        serving(handler, deps=[allow]) as client,
        client.stream("POST", "/", sending=True, headers=IS_JSON) as request,
    ):
        await trio.sleep(TIMEOUTS.accept * 2)
        await request.send(b'{"name": "ada"}')
        await request.send_end()
        assert await request.receive_head() == 200


# A shutdown


@pytest.mark.parametrize("handler", [plain, with_session, with_nursery, streaming])
async def test_a_request_has_the_grace_of_a_shutdown(autojump_clock, handler):
    async with open_app(app_of(handler), raise_app_exceptions=False) as client:

        async def ask() -> None:
            with suppress(Exception):
                await client.post("/", timeout=100)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(1)
            await client.shutdown()
    assert f"over after {1 + TIMEOUTS.shutdown_grace:g} s" in EVENTS


async def test_a_request_that_ends_in_its_grace_is_answered(autojump_clock):
    answers: list[int] = []

    async def handler(session: Annotated[Session, use(told("session"))]) -> str:
        await trio.sleep(5)
        return "it is done"

    async with open_app(app_of(handler), timeout=100) as client:

        async def ask() -> None:
            answers.append((await client.post("/")).status_code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(1)
            await client.shutdown()
    assert answers == [200]


async def test_a_request_that_does_not_is_answered_with_503(autojump_clock):
    answers: list[int] = []

    async with open_app(app_of(with_session), timeout=100) as client:

        async def ask() -> None:
            answers.append((await client.post("/")).status_code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(1)
            await client.shutdown()
    assert answers == [503]


async def test_a_disconnect_that_is_not_this_clients_is_an_error():
    async def handler() -> None:
        error = ClientDisconnect("of another request")
        vars(error)["source"] = object()
        raise error

    async with open_app(app_of(handler), raise_app_exceptions=False) as client:
        assert (await client.post("/")).status_code == 500


# What isn't done, and what the client alone got wrong


async def test_a_task_that_does_not_end_in_time_keeps_the_answer_from_a_2xx(autojump_clock):
    route = Route("work")

    @route.get
    async def handler(nursery: trio.Nursery) -> str:
        async def stubborn() -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep(30)

        nursery.start_soon(stubborn)
        return "done"

    with pytest.raises(TeardownTimeout, match="did not end in time"):
        async with open_app(Triows(route, timeouts=Timeouts(teardown=2))) as client:
            assert (await client.get("/work", timeout=60)).status_code == 500


async def test_a_body_that_is_too_large_while_a_stream_is_sent_is_no_error_of_ours(caplog):
    route = Route("echo", limits=Limits(body=10))

    @route.post
    async def handler(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for part in body:
            yield part

    caplog.set_level("INFO", "triows")
    async with open_app(Triows(route)) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.post("/echo", content=b"x" * 20)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "the body has more than 10 bytes" in caplog.text


async def test_the_log_says_why_a_disconnect_of_somebody_else_is_a_500(caplog):
    async def handler() -> None:
        raise ClientDisconnect("of another request")

    caplog.set_level("INFO", "triows")
    async with open_app(app_of(handler), raise_app_exceptions=False) as client:
        assert (await client.post("/")).status_code == 500
    assert "answered 500 (a ClientDisconnect was raised, and this client is there)" in caplog.text
