"""
Request ids: a name for each exchange, in all of its lines in the log.

Nothing is paid for them unless somebody asks for them.
"""

from __future__ import annotations

import os
import re
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from attrs import Attribute

__all__ = ["RequestIds", "current", "id_in"]

#: What proxies and programs send as an id: a UUID, a number, base64 or a trace. Nothing of that has
#: a space, or is longer.
_USABLE = re.compile(rb"[A-Za-z0-9._~:@/+=-]{1,128}")

#: The name of a header (:rfc:`9110#section-5.6.2`).
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

#: The id of the exchange that the calling task belongs to. Tasks and threads that a handler starts
#: have it, too.
current: ContextVar[str | None] = ContextVar("request_id", default=None)


def _check_header(_: Any, attribute: Attribute[str | None], value: Any) -> None:
    if value is not None and not (isinstance(value, str) and _TOKEN.fullmatch(value)):
        raise ValueError(
            f"RequestIds.{attribute.name} must be the name of a header such as 'x-request-id', "
            f"or None, not {value!r}"
        )


@frozen
class RequestIds:
    """
    Gives each request and each WebSocket an id, which is in all of its lines in the log.

    It is an argument of :func:`triows.serve`. Records of the log have the id as their attribute
    ``request_id``, handlers as ``state.request_id``, and :class:`triows.JsonFormatter` adds it to
    what your own code logs in the tasks of the exchange.

    Raises:
        ValueError: *header* isn't the name of a header.
    """

    #: The header in which a proxy sends the id, for example ``"x-request-id"``. Name it only if
    #: nobody can connect except a proxy that always sets this header: whoever sends it chooses
    #: the id. If it is missing, comes twice, or has something other than 1 to 128 letters, digits
    #: and ``._~:@/+=-``, the server makes an id. By default, it makes all of them.
    header: str | None = field(default=None, validator=_check_header)

    def of(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return the id of a request with these headers, whose names are in lower case."""
        if self.header is not None:
            name = self.header.lower().encode()
            found = [value for one, value in headers if one == name]
            if len(found) == 1 and _USABLE.fullmatch(found[0]):
                return found[0].decode()
        return os.urandom(16).hex()


def id_in(scope: Mapping[str, Any]) -> str | None:
    """Return the id in a scope, if there is one."""
    state = scope.get("state")
    found = state.get("request_id") if isinstance(state, dict) else None
    return found if isinstance(found, str) else None
