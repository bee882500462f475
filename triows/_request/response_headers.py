"""Headers and cookies of a response that somebody else makes of what the handler returns."""

from __future__ import annotations

from http.cookies import CookieError
from typing import TYPE_CHECKING, Any, Literal

from starlette.datastructures import MutableHeaders
from starlette.responses import Response

from triows._headers import check_header

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from triows.types import Message, Send

    from .results import Encoded, Encoder

__all__ = [
    "ResponseHeaders",
    "added_to_result",
    "adding_sender",
    "beneath_response",
    "encoded_with",
]

# What triows and the server know better, and what to do instead.
_NOT_SET_HERE = {
    "connection": "the server says whether the connection ends: leave it out",
    "content-length": "triows counts the bytes of the body: leave it out",
    "content-type": (
        'the return annotation says it, as in `Annotated[bytes, Media("image/png")]`. One of '
        "Starlette's responses has a media_type"
    ),
    "transfer-encoding": "the server says how the body is framed: leave it out",
}

# A response may have several of these, and none replaces another one (RFC 9110 section 12.5.5,
# RFC 6265 section 3).
_ADDED = frozenset({b"set-cookie", b"vary"})

_TOO_LATE = (
    "the head of the response is made already, so nobody would get this header: set headers before "
    "the handler returns. The head of a stream is sent before the generator runs, so set headers "
    "in a factory or guard of it"
)


class ResponseHeaders(MutableHeaders):
    """
    Headers and cookies that are added to the response.

    A handler of plain requests, and each of its factories and guards, gets the same object by a
    parameter of this type. It is a mapping, like Starlette's ``MutableHeaders``. It only has what
    you set, and not what triows or a Starlette ``Response`` adds.

    It counts when the handler has returned, or when a stream begins. A refusal, such as a raised
    :exc:`HTTPException`, has headers of its own. If the handler returns a Starlette ``Response``,
    headers of that take precedence. Only ``Set-Cookie`` and ``Vary`` of both are sent.

    Setting raises :exc:`ValueError` for what isn't allowed in a header, such as a line break, and
    for ``Content-Type``, ``Content-Length``, ``Transfer-Encoding`` and ``Connection``, which triows
    and the server set. It raises :exc:`RuntimeError` when the head of the response is made already.
    """

    def __init__(self) -> None:
        super().__init__()
        # Whether the head of the response has been made.
        self._is_taken = False

    def __setitem__(self, key: str, value: str) -> None:
        super().__setitem__(*self._checked(key, value))

    def __delitem__(self, key: str) -> None:
        self._check_time()
        super().__delitem__(key)

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """A copy of the names, in lower case, and the values."""
        return list(self._list)  # changing Starlette's own list would set headers unchecked

    def setdefault(self, key: str, value: str) -> str:
        """Set a header, unless it is there. Return the value that it has then."""
        return super().setdefault(*self._checked(key, value))

    def append(self, key: str, value: str) -> None:
        """Add a header, even if there is one with this name."""
        super().append(*self._checked(key, value))

    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: int | None = None,
        expires: datetime | str | int | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """
        Set a cookie, as the method of Starlette's ``Response`` does.

        Args:
            key: Its name.
            value: Its value. Characters that cookies don't allow are escaped, if they are latin-1.
            max_age: How many seconds it lasts. By default, it lasts until the browser is closed.
            expires: When it ends, for clients that don't know ``max_age``: a time, what the header
                says, or a number of seconds from now.
            path: The path below which the client sends it.
            domain: The domain to whose hosts the client sends it. By default, only this host.
            secure: Whether the client sends it by https only.
            httponly: Whether scripts of the page can't read it.
            samesite: When the client sends it with requests that come from other sites.
            partitioned: Whether each site that embeds this one gets a cookie of its own. This needs
                Python 3.14.

        Raises:
            ValueError: Something in it can't be sent.
            RuntimeError: The head of the response is made already.
        """
        for attribute in (expires, path, domain):
            if isinstance(attribute, str) and ";" in attribute:
                raise ValueError(f"a semicolon in {attribute!r} would end this part of the cookie")
        response = Response()
        try:
            response.set_cookie(
                key, value, max_age, expires, path, domain, secure, httponly, samesite, partitioned
            )
        except CookieError as exc:
            raise ValueError(f"the cookie {key!r} can't be sent: {exc}") from None
        except UnicodeEncodeError:
            raise ValueError(
                f"the cookie {key!r} has characters that are not allowed in a header"
            ) from None
        self.append("set-cookie", response.headers["set-cookie"])

    def delete_cookie(
        self,
        key: str,
        path: str = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """
        Let the client forget a cookie. Give the path and the domain with which it was set.

        Raises:
            ValueError: Something in it can't be sent.
            RuntimeError: The head of the response is made already.
        """
        self.set_cookie(key, "", 0, 0, path, domain, secure, httponly, samesite, partitioned)

    def _checked(self, key: str, value: str) -> tuple[str, str]:
        self._check_time()
        name, checked = (part.decode("latin-1") for part in check_header(key, value))
        if name in _NOT_SET_HERE:
            raise ValueError(f"{key!r} isn't set here: {_NOT_SET_HERE[name]}")
        return name, checked

    def _check_time(self) -> None:
        if self._is_taken:
            raise RuntimeError(_TOO_LATE)


def added_to_result(
    own: ResponseHeaders, headers: Iterable[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """
    Add what was set to the headers that triows makes for a result. What was set takes precedence.

    Nothing can be set after that.
    """
    return _combined(headers, _taken(own))


def beneath_response(
    own: ResponseHeaders, headers: Iterable[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """
    Add what was set to the headers of a response that the handler made, which take precedence.

    Cookies of the response come last, so a client keeps them if two have the same name. Nothing
    can be set after that.
    """
    return _combined(_taken(own), headers)


def encoded_with(own: ResponseHeaders, encode: Encoder, value: Any) -> Encoded:
    """Encode a result, and add what was set."""
    status, headers, body = encode(value)
    return status, added_to_result(own, headers), body


def adding_sender(own: ResponseHeaders, send: Send) -> Send:
    """Make an ASGI ``send`` that adds what was set to the response that goes through it."""

    async def sent(event: Message) -> None:
        if event["type"] == "http.response.start":
            event = {**event, "headers": beneath_response(own, event.get("headers", ()))}
        await send(event)

    return sent


def _taken(own: ResponseHeaders) -> list[tuple[bytes, bytes]]:
    own._is_taken = True
    return own.raw


def _combined(
    weaker: Iterable[tuple[bytes, bytes]], stronger: Iterable[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    stronger = list(stronger)
    replaced = {name.lower() for name, _ in stronger} - _ADDED
    return [*(one for one in weaker if one[0].lower() not in replaced), *stronger]
