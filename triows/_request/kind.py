"""What handlers of requests may ask for, and the sentences about it."""

from __future__ import annotations

import collections.abc
import typing
from typing import TYPE_CHECKING, Any

import trio
from starlette.requests import Request as StarlettesRequest

from triows._injection.kinds import APP, NAMES_OF_ALL, NURSERY, BodyKind, Given, RouteKind

from .decoding import body_decoder
from .request import Request
from .response_headers import ResponseHeaders
from .upload import Upload, UploadFile

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HEADERS", "PARTS", "REQUEST", "UPLOAD", "WITHOUT_BODY", "request_kind"]

REQUEST = Given("Request")
PARTS = Given("body", takes_body="as it comes")
UPLOAD = Given("Upload", takes_body="as an Upload")
HEADERS = Given("ResponseHeaders")

#: The methods whose requests have no body that means anything (RFC 9110 sections 9.3.1 to 9.3.8).
WITHOUT_BODY = frozenset({"GET", "HEAD", "TRACE"})

# `AsyncIterator[bytes]` of these two modules are different objects.
_PARTS: tuple[Any, ...] = (
    collections.abc.AsyncIterator[bytes],
    typing.AsyncIterator[bytes],
    collections.abc.AsyncIterable[bytes],
    typing.AsyncIterable[bytes],
)

# FastAPI and Quart give handlers the response, whose headers and cookies they then set.
_RETURNED = (
    "to set headers and cookies, ask for `headers: ResponseHeaders`, and write "
    '`headers["location"] = ...`. `status=` of the decorator says the status. For everything else, '
    "make the response in the handler and return it, as in `return HTMLResponse(page, 404)`"
)


def _decoder(
    type_: Any, default: Callable[[], Any] | None, own: Callable[[Any], Any] | None
) -> Any:
    return body_decoder(type_, default=default, own=own)


def request_kind(application: type, method: str) -> RouteKind:
    """
    Make the kind of routes for requests of one method.

    Args:
        application: The class of applications, which this module can't import.
        method: The HTTP method.
    """
    has_body = method not in WITHOUT_BODY
    givens: dict[Any, Given] = {
        Request: REQUEST,
        StarlettesRequest: REQUEST,
        ResponseHeaders: HEADERS,
        trio.Nursery: NURSERY,
        application: APP,
    }
    if has_body:
        givens |= dict.fromkeys(_PARTS, PARTS) | {Upload: UPLOAD}
    return RouteKind(
        noun="request",
        givens=givens,
        names={
            **NAMES_OF_ALL,
            "request": "Request",
            "req": "Request",
            "ws": "Request",
            "websocket": "Request",
            "WebSocket": "Request",
            "HTTPConnection": "Request",
            "MutableHeaders": "ResponseHeaders",
        },
        remedies={"Response": _RETURNED},
        unmistakable=("request", "nursery"),
        no_body=f"a {method} request has no body",
        body=BodyKind(_decoder, UploadFile) if has_body else None,
        has_results=True,
    )
