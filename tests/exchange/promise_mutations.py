"""
Breaks the promise on purpose, so that we know that its property test would notice.

Each mutation changes one place of the package in a way in which somebody might get it wrong. Some
break only what few cases have. It says what these have in common, so that it takes no thousand
cases to meet one.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from attrs import frozen

from tests.exchange import promise_cases
from tests.exchange.promise_cases import Error, Event, Handler, Leaf, What
from tests.exchange.promise_route_cases import Result
from triows._errors import consists_of
from triows._exchange.lifetime import Lifetime
from triows._injection.guests import Guest
from triows._injection.hosts import ResourceStack
from triows._injection.resource import Resource
from triows._reasons import Reason
from triows._request import responses, streaming
from triows._request.answering import AnsweringLine
from triows._request.endpoint import RequestEndpoint
from triows._server.request import StreamRequest
from triows.exceptions import Disconnected

__all__ = ["MUTATIONS", "Mutation"]


@frozen
class Mutation:
    """
    One way to break the promise.

    Args:
        apply: Breaks it until the patch is undone.
        where: Attributes of the calls in which it shows.
    """

    apply: Callable[[pytest.MonkeyPatch], None]
    where: dict[str, Any]


#: The mutations, by what they do.
MUTATIONS: dict[str, Mutation] = {}


def _mutation(what: str, **where: Any) -> Callable[[Callable[[pytest.MonkeyPatch], None]], None]:
    def register(apply: Callable[[pytest.MonkeyPatch], None]) -> None:
        MUTATIONS[what] = Mutation(apply, where)

    return register


@_mutation("the response is sent before the exits")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AnsweringLine, "tells_last", False)


def _is_disconnect(error: BaseException | None, cancelled: str | None) -> bool:
    left = error is not None and consists_of(error, Disconnected)
    return left or cancelled is Reason.PEER_GONE


@_mutation(
    "exits are skipped if the client has left",
    events=(Event(What.PEER_CLOSES, 1),),
    handler=Handler(waits=math.inf),
    seen=True,
)
def _(patch: pytest.MonkeyPatch) -> None:
    aclose = ResourceStack.aclose

    async def skipping(self: Any, *, error: Any = None, cancelled: Any = None, **rest: Any) -> Any:
        if _is_disconnect(error, cancelled):
            self.hosts[:] = [one for one in self.hosts if not isinstance(one, Guest)]
        return await aclose(self, error=error, cancelled=cancelled, **rest)

    patch.setattr(ResourceStack, "aclose", skipping)


@_mutation("exits are cancelled if the client has left")
def _(patch: pytest.MonkeyPatch) -> None:
    aclose = ResourceStack.aclose

    async def hasty(
        self: Any, *, seconds: float, error: Any = None, cancelled: Any = None, **rest: Any
    ) -> Any:
        if _is_disconnect(error, cancelled):
            seconds = 0
        return await aclose(self, seconds=seconds, error=error, cancelled=cancelled, **rest)

    patch.setattr(ResourceStack, "aclose", hasty)


@_mutation("the generator of a stream is not closed", result=Result.PARTS, size=3000)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(streaming, "aclosing", nullcontext)


@_mutation(
    "what a StreamingResponse iterates over is not closed", result=Result.ITERATED, size=3000
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(responses, "aclosing", nullcontext)


@_mutation("the last chunk of a stream is sent before the exits")
def _(patch: pytest.MonkeyPatch) -> None:
    stream, send_nowait = RequestEndpoint._stream, StreamRequest.send_nowait

    async def ending(self: Any, arguments: Any, exchange: Any) -> None:
        await stream(self, arguments, exchange)
        await exchange.transport.send(b"", more=False)

    def send_once(self: Any, body: bytes, *, more: bool) -> Any:
        return None if self.complete else send_nowait(self, body, more=more)

    patch.setattr(RequestEndpoint, "_stream", ending)
    patch.setattr(StreamRequest, "send_nowait", send_once)


@_mutation(
    "the last part of a response of Starlette's is sent before the exits", result=Result.FILE
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(responses._HeldEnd, "send", lambda self, event: self._request.asgi_send(event))


@_mutation("the error of an exit is swallowed")
def _(patch: pytest.MonkeyPatch) -> None:
    exits = Lifetime._exit

    async def swallowing(self: Any, *args: Any, **rest: Any) -> list[BaseException]:
        await exits(self, *args, **rest)
        return []

    patch.setattr(Lifetime, "_exit", swallowing)


@_mutation("an exit that takes too long is no error")
def _(patch: pytest.MonkeyPatch) -> None:
    judge = Resource._judge
    patch.setattr(Resource, "_judge", lambda self, *, is_late: judge(self, is_late=False))


@_mutation(
    "an error like that of a client that has left is none, although the client is there",
    events=(),
    resources=(promise_cases.Resource(exit_error=Error((Leaf.DISCONNECT,))),),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.delattr(AnsweringLine, "is_end")


@_mutation('what stays until="sent" exits with the others')
def _(patch: pytest.MonkeyPatch) -> None:
    aclose = ResourceStack.aclose

    async def early(self: Any, *, spares_outlasting: bool = False, **rest: Any) -> Any:
        return await aclose(self, **rest)

    patch.setattr(ResourceStack, "aclose", early)


@_mutation("resources exit in the order of entry")
def _(patch: pytest.MonkeyPatch) -> None:
    aclose = ResourceStack.aclose

    async def forward(self: Any, **rest: Any) -> Any:
        self.hosts.reverse()
        try:
            return await aclose(self, **rest)
        finally:
            self.hosts.reverse()

    patch.setattr(ResourceStack, "aclose", forward)


@_mutation("the handler goes on for ever when the client has left")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lifetime, "note_gone", lambda self: None)


@_mutation("a task of the exchange's nursery may fail")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lifetime, "_note_task_failed", lambda self, error: None)


@_mutation(
    "a resource isn't told that a task has failed when the handler had returned",
    events=(),
    handler=Handler(),
    resources=(promise_cases.Resource(),),
    task=promise_cases.Task(cleanup_fails=True),
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lifetime, "_as_seen", lambda self, outcome: outcome)


@_mutation("a resource isn't told that the handler was cancelled")
def _(patch: pytest.MonkeyPatch) -> None:
    let_raise = Resource.let_raise
    patch.setattr(
        Resource, "let_raise", lambda self, error, _, *how: let_raise(self, error, None, *how)
    )


@_mutation("a resource isn't told that the handler has failed")
def _(patch: pytest.MonkeyPatch) -> None:
    let_raise = Resource.let_raise
    patch.setattr(Resource, "let_raise", lambda self, _, *how: let_raise(self, None, *how))
