"""What is shown of a plain request that a handler or a mounted application answers."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triows import EventStream, Route, ServerSentEvent, Timeouts, Triows, use
from triows.inspect import RequestNode, Tree, tree
from triows.testing import open_app

START = {"type": "http.response.start", "status": 206, "headers": []}
PART = {"type": "http.response.body", "body": b"part", "more_body": True}
END = {"type": "http.response.body", "body": b"end"}


def mounting(app: Any, **settings: Any) -> Triows:
    outer = Triows(**settings)
    outer.mount("/files", app)
    return outer


def only(app: Triows) -> RequestNode:
    (request,) = tree(app).requests
    return request


class Stepping:
    """Send one event of the response for each step that the test allows. It may clean up."""

    def __init__(self, cleanup: float = 0) -> None:
        self._cleanup = cleanup
        self._into, self._events = trio.open_memory_channel[Any](10)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b"12345"
        try:
            async for event in self._events:
                await send(event)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self._cleanup)

    async def step(self, event: Any) -> None:
        self._into.send_nowait(event)
        await wait_all_tasks_blocked()

    def finish(self) -> None:
        self._into.close()


async def ask(client: Any, address: tuple[str, int] | None = None) -> None:
    """Make a request, and don't mind how it ends."""
    try:
        async with client.stream(
            "POST", "/files/a", sending=True, timeout=99, client=address
        ) as one:
            await one.send(b"12345")
            await trio.sleep_forever()
    except OSError:
        pass


async def test_a_request_is_shown_with_what_it_asks_for_and_who_answers(autojump_clock):
    stepping = Stepping()
    app = mounting(stepping)
    async with open_app(app) as client, trio.open_nursery() as nursery:
        nursery.start_soon(ask, client, ("192.0.2.1", 4321))
        await trio.sleep(90)
        seen = only(app)
        assert tree(app).connections == ()
        stepping.finish()
        nursery.cancel_scope.cancel()
    assert (seen.route, seen.method, seen.path) == ("/files", "POST", "/files/a")
    assert seen.peer == "192.0.2.1:4321"
    assert seen.handler.endswith("(Stepping.__call__)")
    assert seen.age == pytest.approx(90)
    assert (seen.ending, seen.grace, seen.cancelled) == (None, None, None)


async def test_its_state_follows_the_response(autojump_clock):
    stepping = Stepping()
    app, states = mounting(stepping), []
    async with open_app(app) as client, trio.open_nursery() as nursery:
        nursery.start_soon(ask, client)
        await wait_all_tasks_blocked()
        for event in (START, PART, END):
            seen = only(app)
            states.append((seen.state, seen.status, seen.bytes_received, seen.bytes_sent))
            await stepping.step(event)
        seen = only(app)  # it goes on behind its response
        states.append((seen.state, seen.status, seen.bytes_received, seen.bytes_sent))
        stepping.finish()
        await wait_all_tasks_blocked()
        assert tree(app).requests == ()
        nursery.cancel_scope.cancel()
    assert states == [
        ("unanswered", None, 5, 0),
        ("answering", 206, 5, 0),
        ("answering", 206, 5, 4),
        ("answered", 206, 5, 7),
    ]


async def test_a_request_shows_the_grace_of_a_shutdown_and_why_it_was_cancelled(autojump_clock):
    app = mounting(Stepping(cleanup=2), timeouts=Timeouts(shutdown_grace=10))
    async with open_app(app) as client, trio.open_nursery() as nursery:
        nursery.start_soon(ask, client)
        await trio.sleep(1)
        nursery.start_soon(client.shutdown)
        await trio.sleep(4)
        seen = only(app)
        assert tree(app).draining
        assert (seen.ending, seen.grace, seen.cancelled) == ("shutdown", 6, None)
        assert "  unanswered  shutdown, 6.0 s left  5.0 s" in str(seen)
        await trio.sleep(7)
        seen = only(app)
        assert (seen.ending, seen.grace, seen.cancelled) == ("shutdown", 0, "shutdown")
        assert "  unanswered  cancelled: shutdown  12.0 s" in str(seen)
        await trio.sleep(2)
        nursery.cancel_scope.cancel()


async def test_the_tasks_of_the_application_are_shown_where_they_wait(autojump_clock):
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever, name="below")
            await trio.sleep_forever()

    app = mounting(answer)
    async with open_app(app) as client, trio.open_nursery() as nursery:
        nursery.start_soon(ask, client)
        await wait_all_tasks_blocked()
        (task,) = only(app).tasks
        nursery.cancel_scope.cancel()
    assert task.name.endswith("answer")
    assert task.source == "await trio.sleep_forever()"
    assert [one.name for one in task.nurseries[0].tasks] == ["below"]


async def test_a_request_is_a_line_with_its_application_and_its_bytes_below(autojump_clock):
    stepping = Stepping()
    app = mounting(stepping)
    async with open_app(app) as client, trio.open_nursery() as nursery:
        nursery.start_soon(ask, client)
        await wait_all_tasks_blocked()
        await stepping.step(START)
        text, whole = str(only(app)).split("\n"), str(tree(app))
        stepping.finish()
        nursery.cancel_scope.cancel()
    assert text[0] == "POST  /files/a  testclient:50000  answering 206  0.0 s"
    assert text[1].startswith("├── application  tests/inspection/test_requests.py:")
    assert text[2] == "├── received 5 bytes  sent 0 bytes"
    assert text[0] in whole
    assert "1 request" in whole.split("\n", maxsplit=1)[0]


async def test_what_a_client_chose_can_not_begin_a_line(autojump_clock):
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        seen.append(only(app))
        await send(START)
        await send(END)

    seen: list[RequestNode] = []
    app = mounting(answer)
    async with open_app(app) as client:
        await client.get("/files/a%0A%1B[2J")
    assert seen[0].path == "/files/a\\n\\x1b[2J"


async def test_a_request_is_the_same_after_a_way_through_json(autojump_clock):
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        seen.append(tree(app))

    seen: list[Tree] = []
    app = mounting(answer)
    async with open_app(app) as client:
        await client.get("/files/a")
    assert msgspec.json.decode(msgspec.json.encode(seen[0]), type=Tree) == seen[0]


async def test_the_page_shows_requests(autojump_clock):
    app = mounting(Stepping(), debug=True)
    async with open_app(app) as client, trio.open_nursery() as nursery:
        nursery.start_soon(ask, client)
        await wait_all_tasks_blocked()
        local = {"client": ("127.0.0.1", 5000), "headers": {"host": "localhost"}}
        async with client.stream("GET", "/_triows/tree", **local) as page:
            text = (await page.read()).decode()
        nursery.cancel_scope.cancel()
    assert '<span class="title">POST</span>' in text
    assert '<span class="title">/files/a</span>' in text
    assert "unanswered" in text


# Requests to handlers


async def resource() -> AsyncIterator[int]:
    await trio.sleep(1)
    yield 1
    await trio.sleep(1)


async def test_a_handler_is_shown_with_its_stage_its_resources_and_its_nursery(autojump_clock):
    route = Route("sums/{first}")

    @route.post
    async def add(
        first: int, second: int, value: Annotated[int, use(resource)], nursery: trio.Nursery
    ) -> int:
        nursery.start_soon(trio.sleep_forever, name="below")
        await trio.sleep(1)
        return first + second + value

    app = Triows(route)
    async with open_app(app) as client, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ask() -> None:
            assert (await client.post("/sums/1?second=2")).json() == 4

        stages = []
        for _ in range(3):
            await trio.sleep(0.9 if not stages else 1)
            seen = only(app)
            held = [one.name.rpartition(".")[2] for one in seen.resources]
            stages.append((seen.stage, seen.state, held))
            if seen.stage == "handler":
                assert seen.tasks[0].source == "await trio.sleep(1)"
                assert [one.name for one in seen.tasks[1].nurseries[0].tasks] == ["below"]
                assert seen.tasks[1].name == "<request nursery>"
        text = str(seen).split("\n")
    assert (seen.route, seen.path, seen.is_mounted) == ("/sums/{first}", "/sums/1", False)
    assert stages == [
        ("arguments", "unanswered", ["resource"]),
        ("handler", "unanswered", ["resource"]),
        ("end", "answering", ["resource"]),
    ]
    assert text[0].startswith("POST  /sums/1  testclient:50000  answering 200  ending  2.9 s")
    assert text[1].startswith("├── handler  tests/inspection/test_requests.py:")
    assert text[3].startswith("├── resource  resource")


@pytest.mark.parametrize("is_looked_at_twice", [False, True])
async def test_a_request_whose_body_is_read_makes_its_arguments(autojump_clock, is_looked_at_twice):
    route = Route("")

    @route.post
    async def read(numbers: dict[str, int]) -> int:
        await trio.sleep(1)
        return sum(numbers.values())

    app = Triows(route)
    headers = {"content-type": "application/json"}
    async with (
        open_app(app) as client,
        client.stream("POST", "/", sending=True, headers=headers) as request,
    ):
        await request.send(b'{"a":')
        await wait_all_tasks_blocked()
        if is_looked_at_twice:
            assert (only(app).stage, only(app).bytes_received) == ("arguments", 5)
        await request.send(b"3}")
        await request.send_end()
        await trio.sleep(0.5)
        seen = only(app)
        assert (seen.stage, seen.bytes_received) == ("handler", 7)
        assert seen.tasks[0].source == "await trio.sleep(1)"
        assert await request.read() == b"3"


async def test_a_stream_is_shown_at_the_line_of_its_handler(autojump_clock):
    route = Route("")

    @route.get
    async def count(value: Annotated[int, use(resource)]) -> EventStream:
        yield ServerSentEvent(value)
        await trio.sleep(1000)

    app = Triows(route, debug=True)
    async with open_app(app) as client:
        async with client.stream("GET", "/") as response:
            assert await response.receive() == b"data: 1\n\n"
            await wait_all_tasks_blocked()
            seen = only(app)
            local = {"client": ("127.0.0.1", 5000), "headers": {"host": "localhost"}}
            async with client.stream("GET", "/_triows/tree", **local) as page:
                text = (await page.read()).decode()
            response.reset()
        assert (seen.state, seen.stage, seen.bytes_sent) == ("answering", "handler", 9)
        assert seen.tasks[0].source == "await trio.sleep(1000)"
        assert [one.name for one in seen.resources] == ["resource"]
    assert "await trio.sleep(1000)" in text
