"""
The words a signature is written in: where a value comes from, what makes it.

    async def handler(
        ws: Annotated[WebSocket, use(accepted)],
        token: Annotated[str, Param("header", alias="x-token")],
    ) -> None: ...
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args

import msgspec
from attrs import frozen

from ._requires import refuse_as_factory

__all__ = [
    "ASGIApp",
    "AsyncResource",
    "Ignore",
    "Message",
    "Param",
    "ParamMark",
    "ParamSource",
    "Receive",
    "Scope",
    "Send",
    "UseMark",
    "UseScope",
    "use",
]

T = TypeVar("T")

# ASGI's own words, as in https://asgi.readthedocs.io/en/latest/specs/main.html
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

ParamSource: TypeAlias = Literal["path", "query", "header", "cookie"]
UseScope: TypeAlias = Literal["connection", "app"]

#: What an async generator factory returns: it yields one value and closes it after.
AsyncResource: TypeAlias = AsyncGenerator[T, None]


class IgnoreMark:
    """The type of the mark that :data:`Ignore` leaves in an annotation."""

    def __repr__(self) -> str:
        return "Ignore"


IGNORE = IgnoreMark()

#: On a parameter: filled from the connection, not by a factory. On a factory's return
#: annotation: the factory is not the provider of that type.
Ignore: TypeAlias = Annotated[T, IGNORE]


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
    Say where a parameter comes from and what it must satisfy, inside ``Annotated``.

    Args:
        source: ``"path"``, ``"query"``, ``"header"`` or ``"cookie"``; left out, the
            parameter's name and type decide.
        alias: The name on the wire, if it is not the parameter's. A header's default
            name has hyphens for the underscores.
        decoder: Called with the string from the wire; replaces the conversion by
            type. A :exc:`ValueError` it raises is the peer's error, and its text is
            shown to the peer.
        gt: The value is greater than this.
        ge: The value is at least this.
        lt: The value is less than this.
        le: The value is at most this.
        multiple_of: The value is a multiple of this.
        pattern: A regular expression that the text contains a match of.
        min_length: Least length of a text or list.
        max_length: Greatest length of a text or list.
        tz: Whether a datetime or time must (true) or must not (false) have a zone.

    Raises:
        ValueError: a source that is none of those.
        TypeError: a constraint that makes no sense.
    """
    if source is not None:
        _check_word("Param() reads from", source, get_args(ParamSource))
    constraints = {
        "gt": gt, "ge": ge, "lt": lt, "le": le, "multiple_of": multiple_of,
        "pattern": pattern, "min_length": min_length, "max_length": max_length, "tz": tz,
    }  # fmt: skip
    given = {name: value for name, value in constraints.items() if value is not None}
    constraint = msgspec.Meta(**given) if given else None  # type: ignore[call-overload]
    return ParamMark(source, alias, decoder, constraint)


def use(
    factory: Callable[..., Any] | None = None,
    /,
    *,
    reuse: bool = False,
    scope: UseScope = "connection",
) -> UseMark:
    """
    Say which factory makes a parameter's value, inside ``Annotated``.

    Args:
        factory: An async generator function, a generator function, a context manager
            factory (async or not), or a plain function (async or not). A generic class may
            have its arguments, ``use(Repo[User])``. Left out, the parameter's type decides: a
            factory registered for it with ``deps=``, or the class itself.
        reuse: Share one instance within the connection, among all that ask for this
            factory with ``reuse=True``. Otherwise each place gets its own.
        scope: ``"app"`` makes one instance that lives from start-up to shutdown.

    Raises:
        ValueError: a scope that is none of those.
        RouteSetupError: a factory that ``@requires`` guards.
    """
    if factory is not None:
        refuse_as_factory(factory)
    _check_word("use() takes scope=", scope, get_args(UseScope))
    return UseMark(factory, reuse, scope)


def _check_word(what: str, word: object, known: tuple[str, ...]) -> None:
    # A type checker says so too. Unchecked, a slip of the pen would mean something else.
    if word not in known:
        raise ValueError(f"{what} {' or '.join(map(repr, known))}, not {word!r}")
