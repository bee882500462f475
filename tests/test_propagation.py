"""An error arrives as the same object that was raised, whatever its class does."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any

import attrs
import pytest
import trio
from hypercorn.config import Config

import triows
from tests.transports.scripted import CONNECT, ScriptedServer
from triows import (
    HTTPException,
    Triows,
    WebSocket,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketRoute,
    use,
)
from triows._errors import leaves, without
from triows._inspection.inside import live
from triows._managers import AsyncGeneratorManager, GeneratorManager, considerate
from triows._reasons import Reason
from triows._where import where
from triows.testing import WebSocketDenialResponse, open_app


@dataclass(frozen=True)
class Frozen(Exception):
    """Can't be changed, not even its ``__traceback__``. It is equal to others with its fields."""

    code: int = 1


@attrs.frozen
class FrozenByAttrs(Exception):
    code: int = 1


class Sealed(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)

    def add_note(self, note: str) -> None:
        raise TypeError("no notes")


class Falsy(Exception):
    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0


class Equal(Exception):
    """Equal to everything, and can't be hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


class Incomparable(Exception):
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("don't compare me")

    def __hash__(self) -> int:
        raise RuntimeError("don't hash me")


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("don't read me")


class Closed(Exception):
    """Raises when asked for any attribute, even its class."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class Indecisive(ExceptionGroup[Exception]):
    """A group that is made without a message, and can't be split."""

    def __new__(cls, errors: Any) -> Any:
        return super().__new__(cls, "several", errors)

    def derive(self, errors: Any) -> Any:
        return Indecisive("several", errors)  # type: ignore[call-arg]


class Silent(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("don't show me")


class NamelessMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in {"__name__", "__qualname__", "__module__"}:
            raise RuntimeError(name)
        return super().__getattribute__(name)


class Nameless(Exception, metaclass=NamelessMeta):
    pass


class Demanding(Exception):
    def __init__(self, *, needed: int) -> None:
        self.needed = needed


class FrozenRefusal(HTTPException):
    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, "headers"):
            raise AttributeError(name)
        super().__setattr__(name, value)


STRANGE = [
    Frozen,
    FrozenByAttrs,
    Sealed,
    Falsy,
    Equal,
    Incomparable,
    Unreadable,
    lambda: Demanding(needed=1),
    StopIteration,
    StopAsyncIteration,
]


#: A test can't ask these for much. Trio can't take one of them apart.
HOSTILE = [
    *STRANGE,
    Closed,
    Nameless,
    Silent,
    lambda: Indecisive([ValueError(1), KeyError(2)]),
]


def name_of(make: Any) -> str:
    return repr(make) if isinstance(make, type) else make.__code__.co_names[0]


strange = pytest.mark.parametrize("make", STRANGE, ids=name_of)


async def bare() -> AsyncIterator[int]:
    yield 1


def sync_bare() -> Iterator[int]:
    yield 1


async def guarded() -> AsyncIterator[int]:
    try:
        yield 1
    finally:
        await trio.lowlevel.checkpoint()


def sync_guarded() -> Iterator[int]:
    try:
        yield 1
    finally:
        pass


class Manager:
    async def __aenter__(self) -> int:
        return 1

    async def __aexit__(self, *_: object) -> None:
        await trio.lowlevel.checkpoint()


FACTORIES = [
    bare,
    sync_bare,
    guarded,
    sync_guarded,
    asynccontextmanager(guarded),
    contextmanager(sync_guarded),
    Manager,
]


def serving(handler: Any, **settings: Any) -> Triows:
    route = WebSocketRoute("")
    route.endpoint(handler)
    return Triows(route, **settings)


async def closed_with(app: Triows) -> int:
    """Connect, and return the code with which the connection is closed."""
    async with (
        open_app(app, raise_app_exceptions=False) as client,
        client.websocket_connect("/") as session,
    ):
        with pytest.raises(WebSocketDisconnect) as caught:
            await session.receive()
        return caught.value.code


async def raised_in(app: Triows, code: int = 1011) -> BaseException | None:
    """Connect, and return the error that the connection raises."""
    try:
        async with open_app(app) as client, client.websocket_connect("/") as session:
            await session.expect_close(code)
    except BaseException as exc:  # noqa: BLE001 - it is looked at
        return exc
    return None


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    return [logging.Formatter("%(message)s").format(record) for record in errors]


# If one of these two leaves a coroutine, Python itself replaces it by a RuntimeError.
def is_same(raised: BaseException | None, error: BaseException) -> bool:
    if isinstance(error, StopIteration | StopAsyncIteration) and type(raised) is RuntimeError:
        return raised.__cause__ is error
    return raised is error


@strange
@pytest.mark.parametrize("factory", [None, *FACTORIES])
async def test_what_a_handler_raises_comes_out_as_itself(autojump_clock, factory, make):
    error = make()

    async def without(ws: WebSocket) -> None:
        await ws.accept()
        raise error

    async def handler(ws: WebSocket, value: Annotated[int, use(factory)]) -> None:
        await ws.accept()
        raise error

    assert is_same(await raised_in(serving(handler if factory else without)), error)


@strange
@pytest.mark.parametrize("when", ["entry", "exit"])
async def test_what_a_factory_raises_comes_out_as_itself(autojump_clock, when, make):
    error = make()

    async def factory(ws: WebSocket) -> AsyncIterator[int]:
        await ws.accept()
        if when == "entry":
            raise error
        yield 1
        raise error

    async def handler(
        outer: Annotated[int, use(guarded)], value: Annotated[int, use(factory)]
    ) -> None:
        if when == "exit":
            pass

    code = 1011 if when == "entry" else 1000
    assert is_same(await raised_in(serving(handler), code), error)


@strange
async def test_what_a_task_of_a_connection_raises_is_all_there_is(autojump_clock, make):
    error = make()

    async def task() -> None:
        raise error

    async def handler(
        ws: WebSocket, nursery: trio.Nursery, value: Annotated[int, use(guarded)]
    ) -> None:
        await ws.accept()
        nursery.start_soon(task)
        await trio.sleep_forever()

    raised = await raised_in(serving(handler))
    assert raised is not None
    (leaf,) = leaves(raised)
    assert is_same(leaf, error)


@strange
@pytest.mark.parametrize("where", ["app", "connection"])
async def test_what_a_test_raises_in_a_block_comes_out_as_itself(autojump_clock, where, make):
    error = make()

    async def handler(ws: WebSocket, value: Annotated[int, use(guarded)]) -> None:
        await ws.accept()
        async for _ in ws:
            pass

    raised: BaseException | None = None
    try:
        async with open_app(serving(handler)) as client:
            if where == "app":
                raise error
            async with client.websocket_connect("/"):
                raise error
    except BaseException as exc:  # noqa: BLE001 - it is looked at
        raised = exc
    assert is_same(raised, error)


@strange
async def test_what_happens_while_an_application_runs_comes_out_as_itself(make):
    error = make()
    if isinstance(error, StopIteration):
        pytest.skip("a coroutine, such as a resource's, can't raise it")

    @asynccontextmanager
    async def lifespan(app: Triows) -> AsyncIterator[None]:
        yield

    raised: BaseException | None = None
    try:
        async with Triows(lifespan=lifespan).running():
            raise error
    except BaseException as exc:  # noqa: BLE001 - it is looked at
        raised = exc
    assert is_same(raised, error)


@strange
async def test_a_server_is_told_of_any_failed_start(caplog, make):
    @asynccontextmanager
    async def lifespan(app: Triows) -> AsyncIterator[None]:
        raise make()
        yield

    events = [{"type": "lifespan.startup"}]
    sent = []

    async def receive() -> Any:
        return events.pop()

    async def send(event: Any) -> None:
        sent.append(event)

    await Triows(lifespan=lifespan)({"type": "lifespan"}, receive, send)
    assert [event["type"] for event in sent] == ["lifespan.startup.failed"]


async def test_serve_keeps_the_cause_and_the_context_of_what_it_raises():
    @asynccontextmanager
    async def lifespan(app: Triows) -> AsyncIterator[None]:
        try:
            raise LookupError("no such host")
        except LookupError as exc:
            raise RuntimeError("no database") from exc
        yield

    with pytest.raises(RuntimeError, match="no database") as caught:
        await triows.serve(Triows(lifespan=lifespan), Config())
    assert isinstance(caught.value.__cause__, LookupError)
    assert isinstance(caught.value.__context__, LookupError)


#: Trio itself fails at the end of a task or a nursery that raises these.
TRIO_FAILS = {("in a nursery", Silent), ("in a task", Silent), ("in a task", Closed)}


@pytest.mark.parametrize(
    ("how", "make"),
    [
        pytest.param(how, make, id=f"{how}-{name_of(make)}")
        for how in ("raised", "in a nursery", "in a task", "after a cancellation")
        for make in HOSTILE
        if (how, make) not in TRIO_FAILS
    ],
)
async def test_whatever_is_raised_the_peer_is_told_and_it_is_logged_once(
    autojump_clock, caplog, how, make
):
    exited = []

    async def held() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            exited.append(trio.current_time())

    async def failing() -> None:
        raise make()

    async def handler(
        ws: WebSocket, nursery: trio.Nursery, held: Annotated[int, use(held)]
    ) -> None:
        await ws.accept()
        if how == "in a task":
            nursery.start_soon(failing)
            await trio.sleep_forever()
        if how == "in a nursery":
            async with trio.open_nursery() as own:
                own.start_soon(trio.sleep_forever)
                raise make()
        if how == "after a cancellation":
            (lifetime,) = (exchange.lifetime for exchange in live(app))
            lifetime.cancel(Reason.TASK_FAILED)
        raise make()

    app = serving(handler)
    assert await closed_with(app) == 1011
    assert exited == [0]
    assert len(errors_in(caplog)) == 1


class Tricky(WebSocketDisconnect):
    @property
    def code(self) -> int:  # type: ignore[override]
        raise RuntimeError("which code?")

    @code.setter
    def code(self, code: int) -> None:
        pass

    @property
    def source(self) -> object:  # type: ignore[override]
        raise RuntimeError("whose?")


class TrickyRefusal(HTTPException):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class TrickyClose(WebSocketClose):
    def __getattribute__(self, name: str) -> Any:
        if name == "code":
            raise RuntimeError(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    ("make", "code"),
    [(Tricky, 1000), (TrickyClose, 1011), (lambda: TrickyRefusal(403), 1011)],
)
async def test_an_end_that_can_not_be_asked_what_it_wants_is_an_end(
    autojump_clock, caplog, make, code
):
    async def handler(ws: WebSocket, value: Annotated[int, use(guarded)]) -> None:
        await ws.accept()
        raise make()

    assert await closed_with(serving(handler)) == code
    assert len(errors_in(caplog)) == (code == 1011)


async def test_before_the_acceptance_it_is_a_500(autojump_clock, caplog):
    async def handler(ws: WebSocket, value: Annotated[int, use(guarded)]) -> None:
        raise Indecisive([TrickyRefusal(403)])

    async with open_app(serving(handler), raise_app_exceptions=False) as client:
        with pytest.raises(WebSocketDenialResponse) as caught:
            async with client.websocket_connect("/"):
                pass
    assert caught.value.status_code == 500
    assert len(errors_in(caplog)) == 1


async def test_an_error_in_deciding_how_it_ends_is_one_more_error(
    autojump_clock, caplog, monkeypatch
):
    exited = []

    async def held() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            exited.append(True)

    async def handler(ws: WebSocket, held: Annotated[int, use(held)]) -> None:
        await ws.accept()
        raise ValueError("the handler's")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the decision's")

    monkeypatch.setattr("triows._websocket.line.judge", broken)
    monkeypatch.setattr("triows._injection.resource.without", broken)
    assert await closed_with(serving(handler)) == 1011
    (text,) = errors_in(caplog)
    assert "the handler's" in text
    assert "the decision's" in text
    assert exited


@pytest.mark.parametrize("make", HOSTILE, ids=name_of)
async def test_whatever_ends_an_application_its_resources_exit(autojump_clock, make):
    exited = []

    async def lifespan(app: Triows) -> AsyncIterator[None]:
        try:
            yield
        finally:
            exited.append("lifespan")

    async def shared() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            exited.append("shared")

    async def handler(ws: WebSocket, value: Annotated[int, use(shared, scope="app")]) -> None: ...

    with pytest.raises(BaseException):  # noqa: B017, PT011 - the other tests say which
        async with serving(handler, lifespan=lifespan).running():
            raise make()
    assert exited == ["shared", "lifespan"]


async def test_an_error_in_closing_the_connections_keeps_no_resource(monkeypatch):
    exited = []

    async def lifespan(app: Triows) -> AsyncIterator[None]:
        yield
        exited.append("lifespan")

    app = Triows(lifespan=lifespan)

    async def broken() -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("not left")

    monkeypatch.setattr(Triows, "drain", lambda self: broken())
    with pytest.raises(RuntimeError, match="not left"):
        async with app.running():
            pass
    assert exited == ["lifespan"]


async def test_a_refusal_that_refuses_attributes_is_a_refusal(autojump_clock):
    async def handler(ws: WebSocket, value: Annotated[int, use(guarded)]) -> None:
        raise FrozenRefusal(401, {"code": 1})

    async with open_app(serving(handler)) as client:
        with pytest.raises(WebSocketDenialResponse) as caught:
            async with client.websocket_connect("/"):
                pass
    assert (caught.value.status_code, caught.value.json()["detail"]) == (401, {"code": 1})


async def test_a_refusal_that_can_not_be_sent_and_takes_no_note_is_reported_as_itself():
    error = FrozenRefusal(200)

    async def handler(ws: WebSocket) -> None:
        raise error

    server = ScriptedServer()
    await server.put(CONNECT)
    scope = {**server.scope, "path": "/", "headers": [], "query_string": b""}
    with pytest.raises(FrozenRefusal) as caught:
        await serving(handler).handle(scope, server.receive, server.send)
    assert caught.value is error
    assert server.sent[0]["status"] == 500


class Leaving(WebSocketDisconnect):
    def __init__(self) -> None:
        """Don't call the base class."""


async def test_a_disconnect_of_any_make_is_a_normal_end(autojump_clock):
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        raise Leaving

    async with (
        open_app(serving(handler)) as client,
        client.websocket_connect("/") as session,
    ):
        await session.expect_close(1000)


# The managers


def test_of_two_managers_only_those_of_contextlib_are_replaced():
    assert isinstance(considerate(asynccontextmanager(bare)()), AsyncGeneratorManager)
    assert isinstance(considerate(contextmanager(sync_bare)()), GeneratorManager)
    manager = Manager()
    assert considerate(manager) is manager


async def test_a_manager_takes_its_own_frames_off_a_traceback():
    error = LookupError()
    with pytest.raises(LookupError):
        async with considerate(asynccontextmanager(guarded)()):
            raise error
    depth, traceback = 0, error.__traceback__
    while traceback is not None:
        depth, traceback = depth + 1, traceback.tb_next
    assert depth == 1


async def yields_twice() -> AsyncIterator[int]:
    with suppress(LookupError):
        yield 1
    yield 2


def sync_yields_twice() -> Iterator[int]:
    with suppress(LookupError):
        yield 1
    yield 2


@pytest.mark.parametrize("error", [None, LookupError()])
async def test_a_generator_that_does_not_stop_is_an_error(error):
    stops = "yields_twice yielded " + ("again after an error" if error else "a second time")
    manager = considerate(asynccontextmanager(yields_twice)())
    await manager.__aenter__()
    with pytest.raises(RuntimeError, match=stops) as caught:
        await manager.__aexit__(type(error), error, None)
    assert str(caught.value).endswith(f"\n  at {where(yields_twice)}")
    manager = considerate(contextmanager(sync_yields_twice)())
    manager.__enter__()
    with pytest.raises(RuntimeError, match=f"sync_{stops}") as caught:
        manager.__exit__(type(error), error, None)
    assert str(caught.value).endswith(f"\n  at {where(sync_yields_twice)}")


async def never_yields() -> AsyncIterator[int]:
    return
    yield


def sync_never_yields() -> Iterator[int]:
    return
    yield


async def test_a_generator_that_does_not_yield_is_an_error():
    with pytest.raises(RuntimeError, match="never_yields ended without a yield") as caught:
        async with considerate(asynccontextmanager(never_yields)()):
            pass
    assert str(caught.value).endswith(f"\n  at {where(never_yields)}")
    with pytest.raises(RuntimeError, match="sync_never_yields ended without a yield") as caught:
        considerate(contextmanager(sync_never_yields)()).__enter__()
    assert str(caught.value).endswith(f"\n  at {where(sync_never_yields)}")


@pytest.mark.parametrize("depth", [100, 3000])
async def test_a_group_may_be_as_deep_as_it_likes(depth, autojump_clock):
    exits: list[str] = []

    async def resource() -> triows.AsyncResource[None]:
        try:
            yield
        finally:
            exits.append("exited")

    route = WebSocketRoute("deep")

    @route.endpoint
    async def handler(ws: WebSocket, held: Annotated[None, use(resource)]) -> None:
        await ws.accept()
        error: Exception = ValueError("the innermost")
        for _ in range(depth):
            error = ExceptionGroup("deep", [error])
        raise error

    async with (
        open_app(Triows(route), raise_app_exceptions=False) as client,
        client.websocket_connect("/deep") as ws,
    ):
        with pytest.raises(WebSocketDisconnect) as caught:
            await ws.receive()
    assert caught.value.code == 1011
    assert exits == ["exited"]


def test_leaving_exceptions_out_keeps_the_others_where_they_were():
    error: BaseException = ValueError("kept")
    for n in range(3000):
        error = BaseExceptionGroup("deep", [error, KeyError(n)])
    rest = without(error, BaseExceptionGroup("known", [*leaves_of_kind(error, KeyError)]))
    assert rest is not None
    assert [str(leaf) for leaf in leaves(rest)] == ["kept"]
    assert without(error, ValueError("another")) is error


def leaves_of_kind(error: BaseException, kind: type[BaseException]) -> list[BaseException]:
    return [leaf for leaf in leaves(error) if isinstance(leaf, kind)]
