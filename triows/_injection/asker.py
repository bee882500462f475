"""The functions that ask for a value. Messages about the value name them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from triows._where import name_of, where
from triows.exceptions import DependencyError, HandlerSignatureError

from .marks import Site
from .signatures import Types, library_remedy

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable

__all__ = ["Asker"]


@frozen
class Asker:
    """A function whose parameters are being planned, and the functions that asked for it."""

    call: Callable[..., Any]
    #: The functions as the user wrote them, the handler first. ``call`` may replace the last one.
    callers: tuple[Callable[..., Any], ...]
    scope: str = "connection"
    #: The types that take the place of a generic function's type variables.
    types: Types = field(factory=dict)

    @property
    def name(self) -> str:
        return name_of(self.call)

    @property
    def where(self) -> str:
        return where(self.call)

    @property
    def chain(self) -> tuple[str, ...]:
        return tuple(map(name_of, self.callers))

    def misuse(self, message: str) -> DependencyError:
        return DependencyError(message, self.where, self.chain)

    def remedy(self, own: str) -> str:
        """Say what to do about it. *own* is the advice if the function is the user's."""
        return library_remedy(self.call) or own

    def site(self, name: str) -> Site:
        """Return the place of the annotation of the parameter with that name."""
        return Site(f"`{name}`", self.where, f"{name}: ")

    def check_by_name(self, parameter: inspect.Parameter) -> None:
        """
        Refuse a parameter that can't be passed by name.

        Raises:
            HandlerSignatureError: The parameter is positional-only or variadic.
        """
        if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise HandlerSignatureError(
                f"`{parameter}` can't be filled by name: "
                + self.remedy(
                    "triows calls with keywords, so name every parameter, without *args, **kwargs "
                    "and `/`; a decorator that takes them needs functools.wraps"
                ),
                self.where,
            )
