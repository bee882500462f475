"""
What an application makes of its exceptions: :meth:`.Triows.catch`.

An exception comes in that a handler, a factory or an exit has raised, or one of triows' refusals.
What comes out is what says how the exchange ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import evolve
from starlette.exceptions import WebSocketException

from triows._errors import exc_info, leaves
from triows._log import logger
from triows._reply import Refused
from triows._where import name_of, where
from triows.exceptions import (
    Disconnected,
    HTTPException,
    RouteSetupError,
    WebSocketClose,
)

from .catcher import Catcher, checked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from triows._reply import Reply
    from triows.types import Scope

__all__ = ["Catchers", "Replaced"]

#: :meth:`Catchers.replaced` for one exchange.
Replaced: TypeAlias = (
    "Callable[[list[BaseException], Callable[[BaseException], bool]], list[BaseException]]"
)

# They say themselves how an exchange ends. A function for Exception, which is for what nobody has
# expected, doesn't get them.
_MEANT = (HTTPException, WebSocketClose, WebSocketException, Disconnected)


class Catchers:
    """The catchers of one application, by the class of the exceptions that they catch."""

    #: Whether one of them gets triows' own refusals.
    catch_refusals = False

    def __init__(self) -> None:
        self._by_class: dict[type[BaseException], Catcher] = {}

    def __bool__(self) -> bool:
        return bool(self._by_class)

    def add(self, classes: Sequence[type[Exception]], function: Any) -> None:
        """
        Add a function.

        Args:
            classes: What it catches. They are checked.
            function: Anything.

        Raises:
            RouteSetupError: It can't catch, or there is one for a class already.
        """
        catcher = checked(function, classes)
        for cls in classes:
            other = self._by_class.get(cls)
            if other is not None:
                raise RouteSetupError(
                    f"{name_of(cls)} is caught already, at {where(other.function)}: take one of "
                    "the two out",
                    where(function),
                )
        self._by_class |= dict.fromkeys(classes, catcher)
        self.catch_refusals = self._for(HTTPException) is not None

    def replaced(
        self,
        scope: Scope,
        errors: list[BaseException],
        is_end: Callable[[BaseException], bool] = lambda _: False,
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
        caught = _as_exception(error.reply) if isinstance(error, Refused) else error
        found = self._for(type(caught))
        if found is None:
            return None
        cls, catcher = found
        try:
            answer = catcher.answer(caught, scope)
        except Exception as exc:  # noqa: BLE001 - it is an error of the exchange
            failed.append(exc)
            return None
        if answer is not None and cls is Exception:
            _log_unexpected(scope, caught, catcher)
        if isinstance(error, Refused) and isinstance(answer, Refused):
            return Refused(_with_duties(answer.reply, error.reply))
        return answer

    def _for(self, cls: type[BaseException]) -> tuple[type[BaseException], Catcher] | None:
        """Find the catcher of the nearest class, and that class."""
        is_meant = issubclass(cls, _MEANT)
        for base in cls.__mro__:
            if base in self._by_class and not (is_meant and base is Exception):
                return base, self._by_class[base]
        return None


def _log_unexpected(scope: Scope, error: BaseException, catcher: Catcher) -> None:
    """Log an exception that only the function for Exception has caught, as nobody expected it."""
    logger.error(
        "unexpected error in %s %r, answered by %s",
        scope["type"],
        scope.get("path"),
        where(catcher.function),
        exc_info=exc_info(error),
    )


# These describe the body of a reply. What else there is says what the status requires.
_OF_THE_BODY = (b"content-type", b"content-length")

# An HTTPException can't have these, since a handler can't send them.
_OF_THE_SERVER = (b"connection", b"upgrade")


def _as_exception(reply: Reply) -> HTTPException:
    """Make what a catcher gets for a refusal that triows makes."""
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in reply.headers
        if name not in (*_OF_THE_BODY, *_OF_THE_SERVER)
    }
    # Without a detail, it is the phrase of the status, as for every HTTPException.
    return HTTPException(reply.status, reply.detail or None, headers or None)


def _with_duties(answer: Reply, refusal: Reply) -> Reply:
    """
    Add the headers that an answer has to have because of its status, if it has none of its own.

    They are the ``Allow`` of a 405 (:rfc:`9110#section-15.5.6`), and the ``Upgrade`` of a 426
    (:rfc:`9110#section-15.5.22`).
    """
    if answer.status != refusal.status:
        return answer
    own = {*_OF_THE_BODY, *(name.lower() for name, _ in answer.headers)}
    duties = [(name, value) for name, value in refusal.headers if name.lower() not in own]
    return evolve(answer, headers=[*answer.headers, *duties], why=answer.why or refusal.why)
