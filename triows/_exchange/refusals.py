"""Refusals that all kinds of exchange have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from attrs import evolve

from triows._counted import counted
from triows._errors import is_a
from triows._reply import Refused, Reply, from_exception, problem
from triows.exceptions import HTTPException, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triows._param_error import ParamError
    from triows.types import Scope

__all__ = ["agreed", "if_all", "instance_of", "invalid_request"]

#: How many of the mistakes in a request the log names.
_MOST_NAMED = 5

E = TypeVar("E", bound=BaseException)


def invalid_request(errors: Sequence[ParamError]) -> Reply:
    """Make a 422 with every error that was found. The log has their names, and no values."""
    reply = problem(
        422,
        f"{counted(len(errors), 'mistake')} in the request",
        errors=[
            {"location": error.location, "name": error.name, "message": error.message}
            for error in errors
        ],
    )
    names = [f"{one.location} {one.name!r}" if one.name else one.location for one in errors]
    more = [f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    return evolve(reply, why=f"{reply.why}: {', '.join([*names[:_MOST_NAMED], *more])}")


def if_all(found: Sequence[BaseException], *kinds: type[E]) -> list[E]:
    """Return the exceptions, if all of them are of these kinds."""
    matching = [exc for exc in found if is_a(exc, *kinds)]
    return matching if len(matching) == len(found) else []


def _refusal_of(exc: Exception, instance: str | None) -> Reply:
    if isinstance(exc, Refused):
        return exc.reply
    if isinstance(exc, InvalidRequest):
        return invalid_request(exc.errors)
    assert isinstance(exc, HTTPException)
    return from_exception(exc, instance)


def agreed(found: Sequence[BaseException], instance: str | None = None) -> Reply | None:
    """
    Make the refusal that all exceptions ask for, if each is an HTTPException and they agree.

    Args:
        found: The exceptions.
        instance: The request's path, as it was sent.

    Raises:
        Exception: One of them asks for what can't be sent.
    """
    refusals = [_refusal_of(exc, instance) for exc in if_all(found, HTTPException, Refused)]
    if len({(one.status, tuple(one.headers), one.body) for one in refusals}) != 1:
        return None
    refusal = refusals[0]
    return refusal if refusal.why else evolve(refusal, why="HTTPException")


def instance_of(scope: Scope) -> str | None:
    """Return the path of a plain request as it was sent, for problems that tell it."""
    if scope["type"] != "http":
        return None
    raw: bytes | None = scope.get("raw_path")
    return quote(scope["path"]) if raw is None else raw.decode("latin-1")
