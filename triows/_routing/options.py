"""
The settings that routes and handlers may have, and how those further up count for those below.

A new setting is a field of :class:`RouteOptions`, with its rule. It is also an argument of each
class that takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args, get_origin

from attrs import field, fields, frozen

from triows._requires import refuse_in_list
from triows._settings import Compression, Limits, Settings, Timeouts
from triows._where import name_of
from triows.exceptions import HTTPException, RouteSetupError
from triows.types import ASGIApp, UseMark

from .handlers import Handler

if TYPE_CHECKING:
    from typing import Self

    from starlette.middleware import Middleware

__all__ = [
    "Dependency",
    "DepsList",
    "MiddlewareFactory",
    "Plugin",
    "RouteOptions",
    "compression_setting",
    "listed",
    "setting",
]

T = TypeVar("T")

#: Called once, when the route is included, with what is known about the endpoint. It returns what
#: is called in the handler's place.
Plugin: TypeAlias = Callable[[Any], Handler]

#: Makes a middleware around an ASGI application; or Starlette's description of one.
MiddlewareFactory: TypeAlias = "Callable[..., ASGIApp] | Middleware"

#: Makes the values of a type: a factory, alone or with the options of ``use``.
Dependency: TypeAlias = Callable[..., Any] | UseMark


class DepsList(tuple[Dependency, ...]):
    """
    What was given as one ``deps=``.

    Copies of a route, and the routes below it, share the list. So two lists are the same one only
    if they are the same object.

    Attributes:
        of: What messages say after "in deps=": whose it is.
        users: What messages call the functions that may use its factories.
        at: ``file:line (name)`` of the handler, if it was given to one.
    """

    of: str
    users: str
    at: str | None

    def __new__(
        cls, given: Iterable[Dependency], *, of: str, users: str, at: str | None = None
    ) -> Self:
        """
        Make one.

        Raises:
            RouteSetupError: A list was expected, and something else was given.
        """
        made = super().__new__(cls, listed("deps", given))
        made.of, made.users, made.at = of, users, at
        return made

    @property
    def levels(self) -> tuple[DepsList, ...]:
        """The list as the only level of ``RouteOptions.deps``. Nothing if it is empty."""
        return (self,) if self else ()


def listed(name: str, values: Iterable[T]) -> tuple[T, ...]:
    """
    Copy the value of an argument that takes a list.

    Raises:
        RouteSetupError: It isn't a list, or something in it decorates handlers.
    """
    if isinstance(values, Mapping):
        raise RouteSetupError(f"{name} takes a list, not a dict: write {name}=[...]")
    # A str is iterable, too, but nobody means a list of its characters.
    if isinstance(values, str) or not isinstance(values, Iterable):
        given = name_of(values) if callable(values) else repr(values)
        raise RouteSetupError(f"{name} takes a list: write {name}=[{given}]")
    found = tuple(values)
    refuse_in_list(name, found)
    return found


def setting(name: str, value: T | None, kind: type[T]) -> T | None:
    """
    Pass on an object of settings.

    Raises:
        RouteSetupError: It is something else, such as a dict or a number.
    """
    if value is not None and not isinstance(value, kind):
        raise RouteSetupError(f"{name} takes {kind.__name__}(...), not {_shown(value)}")
    return value


def compression_setting(value: Compression | Literal[False] | None) -> Any:
    """Pass on a setting of the compression, as :func:`setting` does. ``False`` means none."""
    return value if value is False else setting("compression", value, Compression)


def _status(_: str, value: Any) -> int | None:
    if value is None:
        return None
    # A name such as status.CREATED is a Literal[201], so that annotations can have it.
    (found, *more) = get_args(value) if get_origin(value) is Literal else (value,)
    # An IntEnum such as HTTPStatus is an int, and so is a bool.
    is_number = isinstance(found, int) and not isinstance(found, bool)
    if more or not is_number or found not in _FINAL or found == 304:
        raise RouteSetupError(
            f"status takes the status of the response, from 200 to 599 but not 304, not {value!r}"
        )
    return int(found)


#: Statuses below 200 are not the last one of a response (RFC 9110 section 15.2). A 304 answers a
#: condition of the request, so no handler has it always.
_FINAL = range(200, 600)


def _problems(name: str, values: Iterable[Any]) -> tuple[type[HTTPException], ...]:
    found = listed(name, values)
    for one in found:
        if isinstance(one, HTTPException):
            raise RouteSetupError(
                f"problems takes classes, not {one!r}: write problems=[{type(one).__name__}]"
            )
        if not (isinstance(one, type) and issubclass(one, HTTPException)):
            shown = one.__name__ if isinstance(one, type) else repr(one)
            raise RouteSetupError(
                f"problems takes subclasses of HTTPException, which handlers may raise, not {shown}"
            )
    return found


def _switch(name: str, value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise RouteSetupError(f"{name} takes True or False, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}: call it, as in {value.__name__}()"
    return repr(value)


def _level(_: str, given: DepsList) -> tuple[DepsList, ...]:
    return given.levels


def _maybe_listed(name: str, values: Iterable[T] | None) -> tuple[T, ...] | None:
    return None if values is None else listed(name, values)


def _compression(_: str, value: Any) -> Any:
    return compression_setting(value)


# The rules of the fields: how an argument is checked, and what applies below.


@frozen
class _Rule:
    #: Returns the field's value for the argument's name and value.
    check: Callable[[str, Any], Any]
    #: Returns what applies, for the value further up and the one here.
    resolve: Callable[[Any, Any], Any]


def _all_of_them(above: tuple[Any, ...], here: tuple[Any, ...]) -> tuple[Any, ...]:
    return above + here


def _the_nearest(above: T | None, here: T | None) -> T | None:
    return above if here is None else here


def _joined(check: Callable[[str, Any], tuple[Any, ...]]) -> dict[Any, _Rule]:
    """For a tuple: those further up come before those here."""
    return {_Rule: _Rule(check, _all_of_them)}


def _nearest(check: Callable[[str, Any], Any]) -> dict[Any, _Rule]:
    """For one value: the nearest one that isn't ``None`` replaces all further up."""
    return {_Rule: _Rule(check, _the_nearest)}


@frozen(kw_only=True)
class RouteOptions:
    """
    The settings of a route, which also apply to everything below it, or those of a handler.

    Attributes:
        deps: One list for each level that has one, the outermost first.
        middlewares: The outermost first.
        plugins: What is put around the handler, the innermost first.
        origins: ``None`` if there is no setting, as for the next three.
        timeouts: Replaces all those further up.
        limits: Replaces all those further up.
        compression: ``False`` means no compression.
        status: The status of a handler's response, if the annotation doesn't say another one. Only
            handlers have it.
        problems: What handlers may raise, those further up first.
        etag: Whether whole responses get an ``ETag``, and conditional requests are answered.
    """

    deps: tuple[DepsList, ...] = field(default=(), metadata=_joined(_level))
    middlewares: tuple[MiddlewareFactory, ...] = field(default=(), metadata=_joined(listed))
    plugins: tuple[Plugin, ...] = field(default=(), metadata=_joined(listed))
    origins: tuple[str, ...] | None = field(default=None, metadata=_nearest(_maybe_listed))
    timeouts: Timeouts | None = field(
        default=None, metadata=_nearest(partial(setting, kind=Timeouts))
    )
    limits: Limits | None = field(default=None, metadata=_nearest(partial(setting, kind=Limits)))
    compression: Compression | Literal[False] | None = field(
        default=None, metadata=_nearest(_compression)
    )
    status: int | None = field(default=None, metadata=_nearest(_status))
    problems: tuple[type[HTTPException], ...] = field(default=(), metadata=_joined(_problems))
    etag: bool | None = field(default=None, metadata=_nearest(_switch))

    @classmethod
    def given(cls, **arguments: Any) -> Self:
        """
        Check what was given as arguments, and make the options of it.

        Args:
            arguments: Values by the names of the fields. ``deps`` is a :class:`DepsList`.

        Raises:
            RouteSetupError: An argument got something that it doesn't take.
        """
        return cls(**{name: _RULES[name].check(name, arguments[name]) for name in arguments})

    @property
    def settings(self) -> Settings:
        """What an exchange needs of them. The defaults apply where nothing was given."""
        return Settings(
            self.timeouts or Timeouts(), self.limits or Limits(), self.compression or None
        )

    def below(self, above: RouteOptions) -> RouteOptions:
        """Return what applies here, if *above* is what applies further up."""
        return RouteOptions(
            **{
                name: rule.resolve(getattr(above, name), getattr(self, name))
                for name, rule in _RULES.items()
            }
        )


_RULES: dict[str, _Rule] = {one.name: one.metadata[_Rule] for one in fields(RouteOptions)}
