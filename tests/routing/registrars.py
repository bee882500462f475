"""A second kind of routes, which has nothing but what a kind needs: plain calls, by method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triows._routing.kind import Kind
from triows._routing.registrar import Registrar
from triows.exceptions import RouteSetupError

if TYPE_CHECKING:
    from collections.abc import Callable


def check_callable(func: Any, at: str) -> None:
    if not callable(func):
        raise RouteSetupError(f"{func!r} can't be called", at)


CALL = Kind(name="http", check_handler=check_callable, remedy="decorate it with @calls.on")


class Calls(Registrar["Calls"]):
    """Registers functions by methods. It may share its node with other registrars."""

    _kind = CALL

    def on(self, method: str, **settings: Any) -> Callable[[Any], Any]:
        """Decorate the function for a method."""
        return self._registering([method], None, **{"name": None, "deps": (), **settings})

    @classmethod
    def beside(cls, other: Registrar) -> Calls:
        """Return the registrar of this kind on the node of another one."""
        return cls._on(other._node)
