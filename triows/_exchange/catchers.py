"""
What an application makes of its exceptions: :meth:`.Triows.catch`.

An exception comes in that a handler, a factory or an exit has raised. What comes out is what says
how the exchange ends: an HTTPException, or a WebSocketClose.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from starlette.exceptions import WebSocketException
from starlette.requests import HTTPConnection

from triows._errors import leaves
from triows._where import name_of, where
from triows.exceptions import HTTPException, RouteSetupError, WebSocketClose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from triows.types import Scope

__all__ = ["Catchers", "Replaced"]

F = TypeVar("F", bound="Callable[..., Any]")

#: :meth:`Catchers.replaced` for one exchange.
Replaced: TypeAlias = (
    "Callable[[list[BaseException], Callable[[BaseException], bool]], list[BaseException]]"
)

#: What a catcher may return.
_ANSWERS = (HTTPException, WebSocketClose, WebSocketException)


class Catchers:
    """The catchers of one application, by the class of the exceptions that they catch."""

    def __init__(self) -> None:
        # With each, whether it also takes the connection.
        self._by_class: dict[type[BaseException], tuple[Callable[..., Any], bool]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_class)

    def add(self, classes: Sequence[Any], catcher: Any) -> None:
        """
        Add a catcher.

        Raises:
            RouteSetupError: It can't be one, or there is one for a class already.
        """
        at = where(catcher) if callable(catcher) else None
        _check_classes(classes, at)
        takes_connection = _check_catcher(catcher, at)
        for cls in classes:
            other = self._by_class.get(cls)
            if other is not None:
                raise RouteSetupError(
                    f"{name_of(cls)} is caught already, at {where(other[0])}: take one of the two "
                    "out",
                    at,
                )
        self._by_class |= dict.fromkeys(classes, (catcher, takes_connection))

    def replaced(
        self,
        scope: Scope,
        errors: list[BaseException],
        is_end: Callable[[BaseException], bool],
    ) -> list[BaseException]:
        """
        Return what counts in place of some errors.

        Those that nobody catches stay as they are.

        Args:
            scope: The request.
            errors: What was raised. They may be groups. If a catcher fails, its error is added.
            is_end: Whether an error only means that the exchange is over. Nobody catches those.
        """
        found: list[BaseException] = []
        failed: list[BaseException] = []
        for error in errors:
            answers = [
                (leaf, None if is_end(leaf) else self._answer(scope, leaf, failed))
                for leaf in leaves(error)
            ]
            if all(answer is None for _, answer in answers):
                found.append(error)
            else:
                found += [leaf if answer is None else answer for leaf, answer in answers]
        errors += failed
        return [*found, *failed]

    def _answer(
        self, scope: Scope, error: BaseException, failed: list[BaseException]
    ) -> BaseException | None:
        known = (self._by_class[cls] for cls in type(error).__mro__ if cls in self._by_class)
        catcher, takes_connection = next(known, (None, False))
        if catcher is None:
            return None
        try:
            further = (HTTPConnection(scope),) if takes_connection else ()
            answer: BaseException | None = catcher(error, *further)
            if answer is None or isinstance(answer, _ANSWERS):
                return answer
            raise TypeError(
                f"{name_of(catcher)} returned {answer!r}, where an HTTPException or a "
                f"WebSocketClose is expected\n  at {where(catcher)}"
            )
        except Exception as exc:  # noqa: BLE001 - it is an error of the exchange
            failed.append(exc)
            return None


def _check_classes(classes: Sequence[Any], at: str | None) -> None:
    if not classes:
        raise RouteSetupError("catch() takes the classes that it catches: catch(ValueError)", at)
    for cls in classes:
        if not (isinstance(cls, type) and issubclass(cls, Exception)):
            raise RouteSetupError(
                f"catch() takes classes of exceptions, not {cls!r}: write @app.catch(ValueError)",
                at,
            )


def _check_catcher(catcher: Any, at: str | None) -> bool:
    """Refuse what can't catch. Otherwise say whether it takes the connection, too."""
    if not callable(catcher):
        raise RouteSetupError(f"catch() decorates a function, not {catcher!r}")
    if inspect.iscoroutinefunction(catcher):
        raise RouteSetupError(
            "a function that catches only says what the answer is, so it is a `def`: leave out the "
            "`async`, and await in a resource, which sees the exception at its `yield`",
            at,
        )
    needed = _needed(catcher)
    if needed not in (1, 2):
        raise RouteSetupError(
            "a function that catches takes the exception, and maybe the HTTPConnection: "
            f"`def {name_of(catcher)}(error): ...`",
            at,
        )
    return needed == 2


def _needed(catcher: Callable[..., Any]) -> int:
    """Count the arguments that it has to get."""
    try:
        parameters = inspect.signature(catcher).parameters.values()
    except ValueError:  # a built-in may have no signature
        return 1
    return len(
        [
            one
            for one in parameters
            if one.default is one.empty
            and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        ]
    )
