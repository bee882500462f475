"""
The words for a signature: they say where a value comes from, or what makes it.

    async def handler(
        ws: Annotated[WebSocket, use(accepted)],
        token: Annotated[str, Param("header", alias="x-token")],
    ) -> None: ...
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args

import msgspec
from attrs import field, frozen

from ._arguments import SIGNATURE, hinting
from ._param_error import ParamSource as ParamSource
from ._requires import refuse_as_factory

__all__ = [
    "HTML",
    "JSON",
    "ASGIApp",
    "AsyncResource",
    "Ignore",
    "JSONMark",
    "Media",
    "Message",
    "Param",
    "ParamMark",
    "ParamSource",
    "Receive",
    "Scope",
    "Send",
    "UseMark",
    "UseScope",
    "UseUntil",
    "use",
]

T = TypeVar("T")

# ASGI's own words, as in https://asgi.readthedocs.io/en/latest/specs/main.html
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

UseScope: TypeAlias = Literal["connection", "app"]
UseUntil: TypeAlias = Literal["sent"]

#: What an async generator factory returns. It yields one value, and closes it afterwards.
AsyncResource: TypeAlias = AsyncGenerator[T, None]


class IgnoreMark:
    """The type of the mark that :data:`Ignore` leaves in an annotation."""

    def __repr__(self) -> str:
        return "Ignore"


IGNORE = IgnoreMark()

#: On a parameter, it says that the connection fills it, and not a factory. On a factory's return
#: annotation, it says that the factory does not provide that type.
Ignore: TypeAlias = Annotated[T, IGNORE]


# RFC 9110 section 8.3.1. Values in quotes are left out: no media type of a response needs them.
# A parameter `q` would be a weight in Accept (section 12.4.2).
_MEDIA_TYPE = re.compile(r"{0}/{0}(?:; ?(?![qQ]=){0}={0})*".format(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+"))


@frozen
class Media:
    """
    Says, inside ``Annotated`` on a return annotation, which media type the result has.

        async def photo(user_id: int) -> Annotated[bytes, Media("image/png")]: ...

    Args:
        type: What ``Content-Type`` says. For ``str``, it gets ``; charset=utf-8`` if it is a
            ``text/`` without a charset.

    Raises:
        ValueError: It isn't a media type (:rfc:`9110#section-8.3.1`), or has a ``*``.
    """

    type: str = field()

    @type.validator
    def _check(self, _: object, value: object) -> None:
        if not isinstance(value, str) or not _MEDIA_TYPE.fullmatch(value) or "*" in value:
            raise ValueError(f"{value!r} isn't a media type: write Media('image/png'), for example")


@frozen
class JSONMark:
    """The type of the mark that :data:`JSON` leaves in an annotation."""


#: On a return annotation, a ``str`` that is sent as ``text/html``.
HTML: TypeAlias = Annotated[str, Media("text/html")]

#: On a return annotation, a value that is sent as JSON even if it is a ``str`` or ``None``.
JSON: TypeAlias = Annotated[T, JSONMark()]


@frozen
class ParamMark:
    """Made by :func:`Param`; says where a parameter's value comes from."""

    source: ParamSource | None
    alias: str | None
    decoder: Callable[[str], Any] | None
    constraint: msgspec.Meta | None


@frozen
class UseMark:
    """Made by :func:`use`; says which factory makes a parameter's value."""

    factory: Callable[..., Any] | None
    reuse: bool
    scope: UseScope
    until: UseUntil | None = None


@hinting(SIGNATURE)
def Param(  # noqa: N802 - it reads as a type does, and is lihil's name for it
    source: ParamSource | None = None,
    *,
    alias: str | None = None,
    decoder: Callable[[str], Any] | None = None,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    multiple_of: float | None = None,
    pattern: str | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    tz: bool | None = None,
) -> ParamMark:
    """
    Say, inside ``Annotated``, where a parameter comes from and which values it may have.

    Args:
        source: ``"path"``, ``"query"``, ``"header"``, ``"cookie"``, or, in a route for requests,
            ``"body"`` or ``"form"``. Without it, the parameter's name and type decide.
        alias: The name in the request, if it isn't the parameter's own. By default, a header's
            name is the parameter's with hyphens for underscores.
        decoder: A function that converts the string of the request, or the bytes of its body,
            instead of the conversion by type. If it raises :exc:`ValueError`, the peer made a
            mistake, and sees the error's text.
        gt: The value has to be greater than this.
        ge: The value has to be at least this.
        lt: The value has to be less than this.
        le: The value has to be at most this.
        multiple_of: The value has to be a multiple of this.
        pattern: A regular expression that has to match somewhere in the text.
        min_length: The smallest length of a text or list.
        max_length: The greatest length of a text or list.
        tz: Whether a datetime or time must (true) or must not (false) have a time zone.

    Raises:
        ValueError: There is no such source, or no value could keep the constraints.
        TypeError: A constraint makes no sense, or *alias* isn't a str.
    """
    if source is not None:
        is_name = isinstance(source, str)
        _check_word(
            "Param() reads from {}",
            source,
            get_args(ParamSource),
            f". If that is a name in the request, write alias={source!r}" * is_name,
        )
    if alias is not None and not isinstance(alias, str):
        raise TypeError(
            f"Param(alias=...) is one name in the request, a str such as 'x-token', not {alias!r}"
        )
    constraints = {
        "gt": gt, "ge": ge, "lt": lt, "le": le, "multiple_of": multiple_of,
        "pattern": pattern, "min_length": min_length, "max_length": max_length, "tz": tz,
    }  # fmt: skip
    given = {name: value for name, value in constraints.items() if value is not None}
    return ParamMark(source, alias, decoder, _constraint(given) if given else None)


def _constraint(given: dict[str, Any]) -> msgspec.Meta:
    try:
        meta = msgspec.Meta(**given)
    except re.error as exc:
        raise ValueError(
            f"Param(pattern={given['pattern']!r}) isn't a regular expression: {exc}. "
            "re.escape(text) makes one that matches a text"
        ) from None
    lowest = [given[name] for name in ("ge", "gt") if name in given]
    highest = [given[name] for name in ("le", "lt") if name in given]
    excluded = {"gt", "lt"} & given.keys()
    shortest, longest = given.get("min_length", 0), given.get("max_length", math.inf)
    is_empty = lowest and highest and lowest > highest
    if is_empty or (excluded and lowest == highest) or shortest > longest:
        written = ", ".join(f"{name}={value!r}" for name, value in given.items())
        raise ValueError(f"no value keeps Param({written}): its bounds leave nothing between them")
    return meta


@hinting(SIGNATURE)
def use(
    factory: Callable[..., Any] | None = None,
    /,
    *,
    reuse: bool = False,
    scope: UseScope = "connection",
    until: UseUntil | None = None,
) -> UseMark:
    """
    Say, inside ``Annotated``, which factory makes a parameter's value.

    Args:
        factory: An async generator function, a generator function, a context manager factory
            (async or not), or a plain function (async or not). A generic class may have its
            arguments: ``use(Repo[User])``. Without it, the parameter's type decides: a factory
            that is registered for the type with ``deps=``, or the class itself.
        reuse: Share one value within the connection, among all parameters that ask for this
            factory with ``reuse=True``. Otherwise each of them gets its own.
        scope: With ``"app"``, there is one value, which lives from start-up to shutdown.
        until: In a route for requests, resources exit before the response is sent, so that a
            response with a 2xx status means that the work is done. With ``"sent"``, the value stays
            until the server has taken the last byte of the response. An error in its exit is
            only logged. In a route for WebSockets, the value stays until the peer has got
            everything, and the connection is closed.

    Raises:
        ValueError: There is no such scope, or a value of the application can't end with a response.
        TypeError: *reuse* isn't a bool.
        RouteSetupError: ``@requires`` guards the factory.
    """
    if factory is not None:
        refuse_as_factory(factory)
    _check_word("use(scope=...) takes {}", scope, get_args(UseScope))
    if not isinstance(reuse, bool):
        raise TypeError(f"use(reuse=...) takes True or False, not {reuse!r}")
    if until is not None:
        _check_word("use(until=...) takes {}", until, get_args(UseUntil))
        if scope == "app":
            raise ValueError(
                'use(scope="app") makes a value that lives until the shutdown: leave until= out'
            )
    return UseMark(factory, reuse, scope, until)


def _check_word(what: str, word: object, known: tuple[str, ...], hint: str = "") -> None:
    # A type checker finds this, too. Without the check, a typo would silently mean something else.
    if word not in known:
        *first, last = map(repr, known)
        words = f"{', '.join(first)} or {last}" if first else last
        raise ValueError(f"{what.format(words)}, not {word!r}{hint}")
