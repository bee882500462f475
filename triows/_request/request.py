"""The request as a handler may ask for it."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import trio
from attrs import frozen
from starlette.datastructures import FormData
from starlette.requests import Request as StarlettesRequest

from triows._checkpoints import checkpointed
from triows._param_error import ParamError

from .body import BadBody, BodyTooLarge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from triows.types import Scope

    from .body import RequestBody
    from .forms import Form
    from .transport import RequestTransport

__all__ = ["Request"]


class Request(StarlettesRequest):
    """
    The request that a handler serves, as Starlette shows it.

    A handler gets it by a parameter of this type, or of Starlette's. Its body may have
    ``Limits.body`` bytes: more of them raise an error that answers with 413. What a parameter was
    made from can be read here again.

    A body comes only once. If some of it was read by :meth:`stream`, by an :class:`Upload`, by an
    ``AsyncIterator[bytes]`` or by :meth:`form` as ``multipart/form-data``, each of the other ways,
    and :meth:`body`, raises a :exc:`RuntimeError`. So does reading it in the same way again, if it
    was read to its end. What was read by :meth:`body` can be read once more in one of these ways.

    If a task is cancelled while it reads, call the same method again. It goes on where it was.
    """

    def __init__(
        self,
        scope: Scope,
        transport: RequestTransport,
        body: RequestBody,
        read_form: Callable[[], Awaitable[Form]],
    ) -> None:
        super().__init__(scope, transport.asgi_receive, transport.asgi_send)
        self._transport = transport
        self._parts = body
        self._read_form = read_form
        self._data: FormData | None = None

    def stream(self) -> AsyncGenerator[bytes, None]:
        """
        Yield the parts of the body as they come, and nothing at the end.

        Raises:
            ClientDisconnect: The client has left before the end of the body.
            HTTPException: The body is larger than ``Limits.body``: 413.
            RuntimeError: Some of the body was read in another way, or it was read to its end.
        """
        return _Stream(self._parts)

    @checkpointed
    async def body(self) -> bytes:
        """
        Wait for the whole body. A further call returns the same bytes.

        Raises:
            ClientDisconnect: The client has left before the end of the body.
            HTTPException: The body is larger than ``Limits.body``: 413.
            RuntimeError: Some of the body was read in another way.
            trio.BusyResourceError: Another task reads it.
        """
        return await self._parts.read()

    @checkpointed
    async def json(self) -> Any:
        """
        Wait for the whole body, and decode it. A further call returns the same object.

        Raises:
            InvalidRequest: It isn't JSON: 422. This is a :exc:`json.JSONDecodeError`, too, which
                Starlette's method raises.
            ClientDisconnect: The client has left before the end of the body.
            HTTPException: The body is larger than ``Limits.body``: 413.
        """
        if hasattr(self, "_json"):
            await trio.lowlevel.checkpoint()
            return self._json
        body = await self._parts.read()
        try:
            value = json.loads(body)
            _check_text(value, body)
        except (ValueError, RecursionError) as exc:
            raise _not_json(exc) from None
        self._json = value
        return value

    def form(
        self,
        *,
        max_files: float = math.inf,
        max_fields: float = math.inf,
        max_part_size: float = math.inf,
    ) -> _AwaitableForm:
        """
        Wait for the whole body, and decode it as a form. A further call returns the same one.

        Await it, or use it in ``async with``, which closes the files at the end. They are held in
        memory. The texts come before the files.

        Args:
            max_files: How many files there may be, if ``Limits.parts`` is too many.
            max_fields: How many texts there may be, likewise.
            max_part_size: How many bytes a text may have, if ``Limits.body`` is too many.

        Raises:
            ClientDisconnect: The client has left before the end of the body.
            HTTPException: The body isn't a form: 415. It is malformed: 422. Or there is more of it
                than the limits allow: 413.
            RuntimeError: Some of the body was read in another way.
            trio.BusyResourceError: Another task reads it.
        """
        return _AwaitableForm(self, _Most(max_files, max_fields, max_part_size))

    @checkpointed
    async def _form_within(self, most: _Most) -> FormData:
        if self._data is None:
            form = await self._read_form()
            if form.errors:
                raise BadBody(list(form.errors))
            most.check(form)
            texts = [(name, text) for name, texts in form.values.items() for text in texts]
            files = [(name, file) for name, files in form.files.items() for file in files]
            self._data = FormData([*texts, *files])
        return self._data

    @checkpointed
    async def close(self) -> None:
        """Close the files of the form, if :meth:`form` has read it."""
        if self._data is not None:
            await self._data.close()

    async def is_disconnected(self) -> bool:
        """Say whether the client is known to have left."""
        await trio.lowlevel.checkpoint()
        return self._transport.left

    async def send_push_promise(self, path: str) -> None:
        """Do nothing: browsers no longer support this."""
        await trio.lowlevel.checkpoint()

    @checkpointed
    async def send_early_hints(self, link: str, /, *additional_links: str) -> None:
        """
        Tell the client what to load, if the server can. If it can't, nothing is done.

        Args:
            link: The value of a header ``Link``.
            additional_links: Others.

        Raises:
            ClientDisconnect: The client has left.
        """
        await super().send_early_hints(link, *additional_links)


class _NotJSON(BadBody, json.JSONDecodeError):
    """
    A body isn't JSON: 422. Code that was written for Starlette catches it, too.

    Args:
        message: What is wrong with it, for the peer.
        fault: What :func:`json.loads` has raised, or would have.
    """

    def __init__(self, message: str, fault: json.JSONDecodeError) -> None:
        json.JSONDecodeError.__init__(self, fault.msg, fault.doc, fault.pos)
        BadBody.__init__(self, [ParamError("body", "", message)])


def _check_text(value: Any, body: bytes) -> None:
    """
    Refuse lone surrogates, which nobody could write, store or send again.

    Raises:
        UnicodeEncodeError: There is one.
    """
    if b"\\u" in body:
        json.dumps(value, ensure_ascii=False).encode()


def _not_json(fault: ValueError | RecursionError) -> _NotJSON:
    if isinstance(fault, json.JSONDecodeError):
        said = f"JSON is malformed: {fault}" if fault.doc else "Missing required body"
        return _NotJSON(said, fault)
    if isinstance(fault, UnicodeEncodeError):
        said = "JSON has half of a surrogate pair"
    elif isinstance(fault, UnicodeError):
        said = "Not valid UTF-8"
    elif isinstance(fault, RecursionError):
        said = "Nested too deeply"
    else:  # Python's limit for integers is 4300 digits
        said = "JSON has a number with too many digits"
    return _NotJSON(said, json.JSONDecodeError(said, "", 0))


# A generator wouldn't be a cancel point once it has ended, and Trio would have to clean it up if
# somebody leaves the loop over it.
class _Stream(AsyncGenerator[bytes, None]):
    """What Starlette's ``stream()`` returns."""

    def __init__(self, parts: RequestBody) -> None:
        self._parts = parts
        self._is_begun = self._is_over = False

    async def asend(self, _: None) -> bytes:
        if self._is_over:
            await trio.lowlevel.checkpoint()
            raise StopAsyncIteration
        await self._begin()
        try:
            return await anext(self._parts)
        except StopAsyncIteration:
            self._is_over = True
            return b""

    async def _begin(self) -> None:
        if not self._is_begun:
            try:
                self._parts.begin_iteration()
            except RuntimeError:
                await trio.lowlevel.checkpoint()
                raise
            self._is_begun = True

    async def athrow(self, *error: Any) -> bytes:
        self._is_over = True
        await trio.lowlevel.checkpoint()
        return await super().athrow(*error)


@frozen
class _Most:
    """How much there may be in a form, if that is less than the route's limits allow."""

    files: float
    texts: float
    size: float

    def check(self, form: Form) -> None:
        """
        Refuse a form that has more.

        Raises:
            BodyTooLarge: It has.
        """
        self._count(sum(map(len, form.files.values())), self.files, "files")
        self._count(sum(map(len, form.values.values())), self.texts, "fields")
        for name, texts in form.values.items():
            largest = max(len(text.encode()) for text in texts)
            self._count(largest, self.size, f"bytes in the field {name!r}")

    def _count(self, number: int, most: float, things: str) -> None:
        if number > most:
            raise BodyTooLarge(f"there are more {things} than {most}")


@frozen(eq=False)
class _AwaitableForm:
    """What Starlette's ``form()`` returns: it is awaited, or entered."""

    _request: Request
    _most: _Most

    def __await__(self) -> Generator[Any, None, FormData]:
        return self._request._form_within(self._most).__await__()

    async def __aenter__(self) -> FormData:
        return await self

    async def __aexit__(self, *_: object) -> None:
        await self._request.close()
