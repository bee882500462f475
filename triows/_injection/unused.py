"""
Factories of ``deps=`` that no handler uses.

They would never be called. Most of them were meant as guards, because other frameworks call
everything in ``dependencies=``, even if no parameter asks for it. So the handler would serve
everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_origin

from triows._annotations import type_name
from triows._where import code_for, name_of, where
from triows.exceptions import DependencyError

from .factories import is_nothing
from .providers import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .providers import Dependency

__all__ = ["check_all_used"]


def check_all_used(
    dependencies: Iterable[Dependency],
    used: Iterable[Any],
    *,
    of: str,
    users: str,
    at: str | None = None,
) -> None:
    """
    Refuse a factory that was given for some handlers, if none of them uses it.

    Args:
        dependencies: One ``deps=``.
        used: The factories that the handlers' plans call, or take from the application.
        of: What the message says after "in deps=": whose it is.
        users: What the message calls the handlers, such as "no handler".
        at: ``file:line (name)`` of the handler, if it was given to one. By default, the message has
            that of the factory.

    Raises:
        DependencyError: A factory would never be called.
    """
    known = set(map(_generic, used))
    for entry in (Entry.of(one, at) for one in dependencies):
        if not is_nothing(entry.made) and _generic(entry.factory) not in known:
            raise DependencyError(
                f"{name_of(entry.factory)} in deps={of} makes {type_name(entry.made)}, and "
                f"{users} asks for it, so it would never be called: {_remedy(entry)}",
                at or where(entry.factory),
            )


def _generic(factory: Any) -> Any:
    return get_origin(factory) or factory


def _remedy(entry: Entry) -> str:
    if entry.mark.scope == "app":
        return "ask for it in a handler, open it in the lifespan, or take it out of deps="
    if entry.ignored:
        code = code_for(entry.factory)
        return (
            f"Ignore hides it from parameters of that type, so write use({code}) where you need it"
        )
    guard = (
        "give a function that is annotated `-> None`"
        if isinstance(_generic(entry.factory), type)
        else "annotate it `-> None`"
    )
    return (
        "ask for it by a parameter of that type, or take it out of deps=. If it is a guard, "
        f"{guard}, and it runs before all resources"
    )
