"""
What kind of factory a callable is, and what it makes. This is decided once, at registration.

A factory is an async generator function, a generator function, a context manager factory
(async or not) or a plain function (async or not). The first four kinds make resources. These have
to be exited, and each lives in a task of its own. Plain functions just return a value.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import inspect
import itertools
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    Never,
    NewType,
    NoReturn,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    is_typeddict,
)

from attrs import field, frozen

from triows._requires import refuse_as_factory
from triows._where import code_for, name_of, where
from triows.exceptions import DependencyError

from .marks import without_metadata
from .signatures import Unresolved, is_protocol, resolved, type_variables
from .yields import BareYields, bare_yields, holds_nothing, is_contextlibs, stands_at_bare, waits

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "UNKNOWN",
    "Factory",
    "FactoryKind",
    "agree",
    "assumed_type",
    "body_of",
    "factory_kind",
    "instance_types",
    "is_nothing",
    "made_type",
    "shown",
    "unopened",
]


class Unknown(enum.Enum):
    """The type of :data:`UNKNOWN`."""

    UNKNOWN = "UNKNOWN"


#: The type of what a factory makes, if it does not say.
UNKNOWN: Final = Unknown.UNKNOWN


class FactoryKind(enum.Enum):
    """How a factory makes its value and what has to happen after."""

    ASYNC_GENERATOR = "async generator"
    GENERATOR = "generator"
    CONTEXT_MANAGER = "context manager"
    COROUTINE = "async function"
    FUNCTION = "function"

    @property
    def hosted(self) -> bool:
        """Whether the value has to be exited."""
        return self not in (FactoryKind.COROUTINE, FactoryKind.FUNCTION)


class Holding:
    """
    Whether a resource may hold something that belongs to its task while it is used.

    If it holds a cancel scope, a nursery or a lock at its ``yield``, it needs a task of its own.

    Args:
        by_source: What its source says.
    """

    __slots__ = ("_is_known", "is_possible")

    def __init__(self, *, by_source: bool) -> None:
        self._is_known = by_source
        #: It is, unless the source says otherwise and the first resource was seen to hold nothing.
        self.is_possible = True

    def note(self, *, holds: bool) -> None:
        """Note what a resource holds that has come to its ``yield``."""
        self._is_known |= holds
        self.is_possible = self._is_known


@frozen(eq=False)
class Factory:
    """A factory, with everything that has to be known about it while connections are served."""

    call: Callable[..., Any]
    kind: FactoryKind
    name: str
    #: Where the bare yields are, if it is a generator function.
    bare: BareYields

    #: Called with the arguments. A hosted kind returns a context manager to be entered.
    open: Callable[..., Any]
    holding: Holding
    #: Whether entering or exiting its resources may wait for something.
    waits: bool = True
    #: The classes of its values, if they are known and can be checked.
    makes: tuple[type, ...] | None = None
    #: Whether its resources stay until the peer was told how the exchange ends.
    outlasts: bool = False
    #: Whether the value has to be exited.
    hosted: bool = field(init=False)

    @hosted.default
    def _(self) -> bool:
        return self.kind.hosted

    @classmethod
    def of(cls, call: Callable[..., Any]) -> Factory:
        """Look at a user's factory."""
        refuse_as_factory(call)
        kind = factory_kind(call)
        generator = kind in _FROM_GENERATOR
        return cls(
            call=call,
            kind=kind,
            name=name_of(call),
            bare=bare_yields(body_of(call)) if generator else {},
            open=_FROM_GENERATOR[kind](call) if generator else call,
            holding=Holding(by_source=not holds_nothing(call)),
            waits=waits(call),
        )

    def checked(self, value: Any) -> Any:
        """
        Pass on the value that the factory has made.

        Raises:
            DependencyError: It isn't of the class that the factory, or the parameter, is annotated
                with.
        """
        if self.makes is None or isinstance(value, self.makes):
            return value
        if self.makes == (NoneType,):
            raise DependencyError(
                f"{self.name} is a guard, and returned {value!r}: what a guard returns is not "
                "looked at. To refuse, let it raise HTTPException(403)",
                where(self.call),
            )
        wanted = " or ".join(name_of(one) for one in self.makes)
        raise DependencyError(
            f"{self.name} made {shown(value)}, where {wanted} is expected: let it make "
            "that, or annotate what it makes",
            where(self.call),
        )

    def is_guarded(self, manager: object) -> bool:
        """
        Say whether a resource at its ``yield`` has to see how its handler ended.

        A context manager always has to. A generator has to if that ``yield`` is inside ``try`` or
        ``with``.

        Args:
            manager: What :attr:`open` returned, entered.
        """
        return not stands_at_bare(getattr(manager, "gen", None), self.bare)


_FROM_GENERATOR: dict[FactoryKind, Callable[..., Any]] = {
    FactoryKind.ASYNC_GENERATOR: contextlib.asynccontextmanager,
    FactoryKind.GENERATOR: contextlib.contextmanager,
}


def shown(value: Any) -> str:
    """Name the value of a factory, for a message."""
    return "None" if value is None else f"an instance of {name_of(type(value))}"


def body_of(call: Any) -> Any:
    """Find the function whose code runs, behind ``functools.partial`` and ``__call__``."""
    while isinstance(call, functools.partial):
        call = call.func
    call = _class_of(call) or call
    if not inspect.isroutine(call) and not isinstance(call, type):
        return type(call).__call__
    return call


def _class_of(call: Any) -> type | None:
    """Return the class if *call* is one, maybe with arguments: ``Repo[int]``."""
    cls = get_origin(call) or call
    return cls if isinstance(cls, type) else None


def factory_kind(call: Callable[..., Any]) -> FactoryKind:
    """
    Say what kind of factory *call* is, without calling it.

    A class is a context manager factory if its instances are context managers. A function is one
    if it is decorated with :func:`contextlib.contextmanager` or
    :func:`~contextlib.asynccontextmanager`, or is annotated to return a context manager.
    """
    body = body_of(call)
    if inspect.isasyncgenfunction(body):
        return FactoryKind.ASYNC_GENERATOR
    if inspect.isgeneratorfunction(body):
        return FactoryKind.GENERATOR
    if inspect.iscoroutinefunction(body):
        return FactoryKind.COROUTINE
    if isinstance(body, type):
        entered = _is_manager_type(body) and not _is_lock(body)
        return FactoryKind.CONTEXT_MANAGER if entered else FactoryKind.FUNCTION
    if (kind := _wrapped_kind(body)) is not None:
        return kind
    returned = _return_annotation(body)
    # A function that returns a trio.Lock, for example, does not want triows to acquire it. So a
    # function's annotation has to say that it returns a context manager.
    named = any(
        base in _MANAGERS for base in getattr(get_origin(returned) or returned, "__mro__", ())
    )
    return FactoryKind.CONTEXT_MANAGER if named else FactoryKind.FUNCTION


def _wrapped_kind(body: Any) -> FactoryKind | None:
    """
    Find the kind of a function under decorators that use :func:`functools.wraps`.

    A decorator of :mod:`contextlib` makes a context manager from the generator. Other decorators
    pass on what the generator function returns.
    """
    wrapped = inspect.unwrap(body)
    if wrapped is body:
        return None
    decorators = body
    while decorators is not wrapped:
        if is_contextlibs(decorators):
            return FactoryKind.CONTEXT_MANAGER
        decorators = decorators.__wrapped__
    if inspect.isasyncgenfunction(wrapped):
        return FactoryKind.ASYNC_GENERATOR
    return FactoryKind.GENERATOR if inspect.isgeneratorfunction(wrapped) else None


_MANAGERS = (contextlib.AbstractAsyncContextManager, contextlib.AbstractContextManager)


def _is_manager_type(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, _MANAGERS)


def _is_lock(cls: type) -> bool:
    """
    Say whether entering it means acquiring it, as with :class:`trio.Lock` and similar classes.

    A parameter that asks for a lock wants the lock itself. You can acquire from a connection pool,
    too, but entering a pool gives you something else.
    """
    if not (hasattr(cls, "acquire") and hasattr(cls, "release")):
        return False
    enter = _enter(cls)
    acquire: Any = cls.acquire
    return enter is acquire or _entered_type(cls) in (None, NoneType, bool)


def _enter(cls: Any) -> Any:
    """Return the method that enters an instance; the async one if there are both."""
    return getattr(cls, "__aenter__", None) or cls.__enter__


def _return_annotation(call: Any) -> Any:
    """Return the annotation of what a function returns, or :data:`UNKNOWN`."""
    function = inspect.unwrap(call)
    written = getattr(function, "__annotations__", {}).get("return", UNKNOWN)
    if isinstance(written, str) and written.rpartition(".")[2] == "Self":
        return Self  # libraries often import it for type checkers only
    try:
        return without_metadata(resolved(written, getattr(function, "__globals__", {})))
    except Exception:  # noqa: BLE001 - a user's annotation may raise anything
        # An annotation that can't be evaluated is reported where the factory is planned.
        return UNKNOWN


# What a factory makes.


def made_type(call: Any, returned: Any) -> Any:
    """
    Return the type of a factory's value, if the annotations say it.

    Args:
        call: The factory.
        returned: The annotation of what it returns, resolved.

    Returns:
        The type, or :data:`UNKNOWN`. ``Annotated`` is kept.
    """
    return UNKNOWN if _is_decorated(call) else _annotated_type(call, returned)


def _is_decorated(call: Any) -> bool:
    """Say whether a decorator may return something other than the annotation shows."""
    while isinstance(call, functools.partial):
        call = call.func
    call = getattr(call, "__func__", call)
    if is_contextlibs(call):
        call = call.__wrapped__
    return not isinstance(call, type) and hasattr(call, "__wrapped__")


def _annotated_type(call: Any, returned: Any) -> Any:
    while isinstance(call, functools.partial):
        call = call.func
    kind, cls = factory_kind(call), _class_of(call)
    if cls is not None:
        return _entered_type(call) if kind is FactoryKind.CONTEXT_MANAGER else call
    returned = _of_owner(call, returned)
    if returned is inspect.Signature.empty or isinstance(returned, Unresolved):
        return UNKNOWN
    layer = without_metadata(returned)
    origin, args = get_origin(layer) or layer, get_args(layer)
    if origin in _LAYERS[kind]:
        # The first argument is what a generator yields, the last one what a coroutine returns.
        return args[-1 if origin is Coroutine else 0] if args else UNKNOWN
    if kind is FactoryKind.CONTEXT_MANAGER and _is_manager_type(origin):
        return _entered_type(layer)
    return returned


def assumed_type(call: Any, returned: Any) -> Any:
    """
    Return the type that a factory most likely makes. Its values are checked when they are made.

    Decorators seldom change what is returned. If the class of a context manager doesn't say what
    entering it returns, it nearly always returns itself.
    """
    made = _annotated_type(call, returned)
    if made is UNKNOWN and factory_kind(call) is FactoryKind.CONTEXT_MANAGER:
        layer = call if _class_of(call) else without_metadata(returned)
        if (cls := _class_of(layer)) not in (*_MANAGERS, *_ITERATORS) and _is_manager_type(cls):
            return layer
    return made


_ITERATORS = (AsyncGenerator, AsyncIterator, AsyncIterable, Generator, Iterator, Iterable)
_AWAITABLES = (Awaitable, Coroutine)

# For each kind, the types around the type of the value. One of them is taken off, and only once,
# because the value is also taken out only once.
_LAYERS: dict[FactoryKind, tuple[Any, ...]] = {
    FactoryKind.ASYNC_GENERATOR: _ITERATORS,
    FactoryKind.GENERATOR: _ITERATORS,
    FactoryKind.CONTEXT_MANAGER: (*_MANAGERS, *_ITERATORS),
    FactoryKind.COROUTINE: (),
    FactoryKind.FUNCTION: _AWAITABLES,
}


def _of_owner(call: Any, returned: Any) -> Any:
    """Say what ``Self`` means in a method: the class that it is bound to."""
    owner = getattr(call, "__self__", None) if inspect.isroutine(call) else call
    if owner is None or inspect.ismodule(owner):
        return returned
    cls = owner if isinstance(owner, type) else type(owner)
    function = getattr(call, "__func__", call)
    first = next(iter(getattr(function, "__annotations__", {}).values()), None)
    same: dict[Any, Any] = {Self: cls}
    # Before Python had Self, people wrote `def make(cls: type[T]) -> T`.
    if isinstance(first, TypeVar) or isinstance(next(iter(get_args(first)), None), TypeVar):
        same[first if isinstance(first, TypeVar) else get_args(first)[0]] = cls
    return resolved(returned, types=same)


def _entered_type(annotation: Any) -> Any:
    """Return the type that you get by entering a class: the class itself, or the annotated type."""
    cls = get_origin(annotation) or annotation
    enter = _enter(cls)
    if enter in (manager_type.__dict__[name] for manager_type, name in _RETURN_SELF):
        return annotation
    variables = type_variables(annotation)
    returned = resolved(_return_annotation(enter), types=variables)
    if isinstance(returned, TypeVar):
        # A type variable of the method itself says that it returns `self`.
        return UNKNOWN if returned in variables else annotation
    own = get_origin(returned) or returned
    is_self = returned is Self or (isinstance(own, type) and issubclass(cls, own))
    return annotation if is_self else returned


_RETURN_SELF = (
    (contextlib.AbstractAsyncContextManager, "__aenter__"),
    (contextlib.AbstractContextManager, "__enter__"),
)


# Comparing the type that a factory makes with the type that a parameter asks for.


def is_nothing(made: Any) -> bool:
    """Say whether a factory makes no value, or never returns. Then it is a guard."""
    made = without_metadata(made)
    if get_origin(made) in (Union, UnionType, Literal):
        return all(is_nothing(member) for member in get_args(made))
    return made is None or made is NoneType or made is NoReturn or made is Never


def unopened(call: Any, made: Any) -> str | None:
    """Say what is wrong with a function whose value has to be entered or awaited."""
    if factory_kind(call) not in (FactoryKind.COROUTINE, FactoryKind.FUNCTION):
        return None
    origin = get_origin(without_metadata(made)) or without_metadata(made)
    name = name_of(call)
    if origin in _MANAGERS:
        return (
            f"{name} is an `async def` that returns a context manager, which would be handed over "
            "without being entered: write `def`, or yield the value and let it return an "
            "AsyncIterator of it"
        )
    if origin in _ITERATORS:
        return (
            f"{name} returns an iterator, which would be handed over as it is: yield the value in "
            f"{name} itself, or decorate it with @contextlib.asynccontextmanager; for the iterator "
            f"itself, ask for it where it is meant, with use({code_for(call)})"
        )
    if origin in _AWAITABLES:
        return (
            f"{name} returns an awaitable in an `async def`, which nobody awaits: await it there, "
            "and annotate what comes of it"
        )
    return None


def instance_types(annotation: Any) -> tuple[type, ...] | None:
    """Return the classes of this type's values, if :func:`isinstance` can tell."""
    annotation = without_metadata(annotation)
    if isinstance(annotation, NewType):
        return instance_types(annotation.__supertype__)
    if annotation is None:
        return (NoneType,)
    cls = get_origin(annotation) or annotation
    if cls is Union or cls is UnionType:
        members = [instance_types(member) for member in get_args(annotation)]
        known = [one for one in members if one is not None]
        return None if len(known) < len(members) else tuple(itertools.chain(*known))
    if not isinstance(cls, type) or cls in (Any, object) or is_protocol(cls) or is_typeddict(cls):
        return None
    # An int is accepted for a float: PEP 484, "The numeric tower".
    return {float: (float, int), complex: (complex, float, int)}.get(cls, (cls,))


def agree(made: tuple[type, ...], wanted: tuple[type, ...]) -> bool:
    """Say whether a value of one of the first types may be of one of the second types."""
    return any(issubclass(a, b) or issubclass(b, a) for a in made for b in wanted)
