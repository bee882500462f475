"""
What ``deps=`` gives: guards, and factories that are found by the type that they make.

The lists of the application, its routes and the endpoint come in. Each is a level. What comes out
says which factory makes a parameter of a type.

triows looks for a factory that makes exactly the type first, then for one that makes a subclass.
The nearest level comes first. If two factories in one level match, that is an error.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    NoReturn,
    Protocol,
    TypeAlias,
    TypeVar,
    get_args,
    get_origin,
)

from attrs import evolve, frozen
from starlette.responses import Response

from triows._annotations import type_name
from triows._where import code_for, name_of, where
from triows.exceptions import DependencyError
from triows.types import IgnoreMark, UseMark

from .factories import UNKNOWN, assumed_type, is_nothing, unopened
from .marks import Site, mark_of, unmarked, without_metadata
from .params import is_readable
from .signatures import Types, is_protocol, parameters_of, resolved, signature_of, unresolved_in
from .yields import unmanageable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "Dependency",
    "Entry",
    "Provider",
    "Providers",
    "check_factory",
    "is_mock",
    "providers",
    "specialised",
]

#: An entry of ``deps=``.
Dependency: TypeAlias = "Callable[..., Any] | UseMark"


@frozen
class Provider:
    """A factory of ``deps=``."""

    #: The annotated type of what it makes, with type variables if it makes many types.
    made: Any
    mark: UseMark

    @property
    def factory(self) -> Any:
        return self.mark.factory

    def for_types(self, types: Types) -> Provider:
        """Return the same provider, with *types* in place of its type variables."""
        cls = get_origin(self.factory) or self.factory
        if not types or not isinstance(cls, type):
            return self
        alias = resolved(_generic(cls), types=types)
        return Provider(alias, evolve(self.mark, factory=alias))


@frozen
class Providers:
    """
    Everything that ``deps=`` gives to one handler.

    Args:
        levels: The factories by level, the application's first.
        guards: The guards, in the order in which they run.
    """

    levels: tuple[tuple[Provider, ...], ...] = ()
    guards: tuple[UseMark, ...] = ()

    def find(self, annotation: Any, at: str) -> tuple[Provider, Types] | None:
        """
        Find the factory that makes exactly this type, and what its type variables stand for.

        Args:
            annotation: The type, with the metadata of other libraries.
            at: ``file:line (name)`` of the function that asks.

        Raises:
            DependencyError: Several factories match, and none is nearer.
        """
        return self._nearest(annotation, at, (_is_same, _is_form))

    def find_below(self, annotation: Any, at: str) -> tuple[Provider, Types] | None:
        """Find the factory that makes a subclass of this class. See :meth:`find`."""
        return self._nearest(annotation, at, (_is_below,))

    def _nearest(
        self,
        annotation: Any,
        at: str,
        tests: tuple[Callable[[Any, Any], Types | None], ...],
    ) -> tuple[Provider, Types] | None:
        for test in tests:
            for level in reversed(self.levels):
                fits = [
                    (provider, types)
                    for provider in level
                    if (types := test(provider.made, annotation)) is not None
                ]
                if len(fits) > 1:
                    _refuse_several(annotation, [provider for provider, _ in fits], at)
                if fits:
                    provider, types = fits[0]
                    return provider.for_types(types), types
        return None

    def near(self, annotation: Any) -> Provider | None:
        """Find a factory that makes nearly this type, if there is one."""
        wanted = _members(annotation)
        for level in reversed(self.levels):
            for provider in level:
                if wanted & _members(provider.made):
                    return provider
        return None


def _members(annotation: Any) -> set[Any]:
    try:
        return {*get_args(annotation), annotation} - {type(None)}
    except TypeError:  # one of them can't be hashed
        return set()


def _refuse_several(annotation: Any, found: list[Provider], at: str) -> NoReturn:
    names = " and ".join(f"{name_of(one.factory)} ({where(one.factory)})" for one in found)
    raise DependencyError(
        f"several factories in one deps= make {type_name(annotation)}: {names}. Say which with "
        f"Annotated[{type_name(annotation)}, use(factory)], or ask for the type that one of them "
        "makes",
        at,
    )


# Which factories match. Each function returns what the factory's type variables stand for.


def _is_same(made: Any, asked: Any) -> Types | None:
    return {} if made == asked else None


def _is_form(made: Any, asked: Any) -> Types | None:
    """Say whether *asked* is a form of the generic type, or only has other metadata."""
    return _matched(without_metadata(made), without_metadata(asked))


def _is_below(made: Any, asked: Any) -> Types | None:
    """Say whether the class is a subclass of the other by its definition, as for ``isinstance``."""
    asked = without_metadata(asked)
    cls = get_origin(asked) or asked
    if not isinstance(cls, type) or cls in (object, Generic, Protocol):
        return None
    found = (_matched(base, asked) for base in _bases(without_metadata(made)))
    return next((types for types in found if types is not None), None)


def _bases(annotation: Any) -> Iterable[Any]:
    """List the base classes of a class as they were written: ``Repo[User]``."""
    cls = get_origin(annotation) or annotation
    if not isinstance(cls, type):
        return
    yield annotation
    own = dict(zip(parameters_of(cls), get_args(annotation), strict=False))
    for base in getattr(cls, "__orig_bases__", cls.__bases__):
        yield from _bases(resolved(base, types=own))


def _matched(made: Any, asked: Any) -> Types | None:
    """Say what the variables of *made* stand for if it is *asked*. ``None`` if it isn't."""
    if isinstance(made, TypeVar):
        return {made: asked} if _is_allowed(made, asked) else None
    if made == asked:
        return {}
    made, origin = _generic(made), get_origin(asked)
    if origin is None:
        # Without arguments, all of its forms match.
        return {} if get_origin(made) is asked else None
    if get_origin(made) is not origin or len(get_args(made)) != len(get_args(asked)):
        return None
    types: Types = {}
    for one, other in zip(get_args(made), get_args(asked), strict=True):
        found = _matched(one, other)
        if found is None or any(types.get(key, value) != value for key, value in found.items()):
            return None
        types.update(found)
    return types


def _is_allowed(variable: TypeVar, type_: Any) -> bool:
    """Say whether a type variable may stand for a type."""
    cls = get_origin(type_) or type_
    bound = resolved(variable.__bound__, vars(sys.modules.get(variable.__module__, sys)))
    if isinstance(bound, type) and isinstance(cls, type) and not issubclass(cls, bound):
        return False
    return not variable.__constraints__ or type_ in variable.__constraints__


def _generic(annotation: Any) -> Any:
    """Return a generic class with its own type variables: ``Repo[T]`` for ``Repo``."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        parameters = parameters_of(annotation)
        if parameters:
            return annotation[parameters]  # type: ignore[index]
    return annotation


def specialised(mark: UseMark, made: Any, asked: Any) -> tuple[UseMark, Types]:
    """Apply a generic factory to the type that is asked for: ``use(Repo)`` for a ``Repo[int]``."""
    made = _generic(made)
    types = _is_form(made, asked)
    if types is None:
        types = _is_below(made, asked)
    provider = Provider(made, mark).for_types(types or {})
    return provider.mark, types or {}


# At registration.


def providers(*levels: Iterable[Dependency], at: str | None = None) -> Providers:
    """
    Check the factories given as ``deps=``, and sort them.

    Args:
        levels: The lists, the application's first.
        at: ``file:line (name)`` of the handler that they are given for, if it is one.

    Raises:
        DependencyError: One of them can't be used, or would never be used.
    """
    guards: dict[Any, UseMark] = {}
    found: list[tuple[Provider, ...]] = []
    for level in levels:
        made: dict[Any, Provider] = {}
        here: list[Provider] = []
        for entry in level:
            provider = Entry.of(entry, at).provider()
            if provider is None:
                continue
            if is_nothing(provider.made):
                _check_once(provider, here)
                # A guard that is given at two levels runs once.
                guards.setdefault(provider.factory, provider.mark)
                here.append(provider)
            elif provider not in made.values():
                _check_only(provider, made.values())
                made[len(made)] = provider
        found.append(tuple(made.values()))
    return Providers(tuple(found), tuple(guards.values()))


def _check_once(guard: Provider, others: Iterable[Provider]) -> None:
    """Refuse a guard that is twice in one list, as after a copied line that was to be another."""
    if any(other.factory == guard.factory for other in others):
        raise DependencyError(
            f"{name_of(guard.factory)} is a guard that is twice in one deps=, and would run once: "
            "leave one of them out",
            where(guard.factory),
        )


def _check_only(provider: Provider, others: Iterable[Provider]) -> None:
    for other in others:
        if other.made == provider.made:
            raise DependencyError(
                f"two factories in one deps= make {type_name(provider.made)}, and the other one "
                f"is {name_of(other.factory)} ({where(other.factory)}): take one of them out, "
                "or give it nearer to the handlers that it is for",
                where(provider.factory),
            )


def check_factory(factory: Any, what: str, at: str | None, chain: tuple[str, ...] = ()) -> None:
    """
    Refuse what can't be a factory.

    Args:
        factory: What was given as one.
        what: What a message calls it, such as ``deps=[None]``.
        at: ``file:line (name)`` of the function that asks.
        chain: The functions that asked for one another.

    Raises:
        DependencyError: It can't be called, can't be compared with others, is a mock or an abstract
            class, or lacks its ``yield``.
    """
    if get_origin(factory) is Annotated:
        raise DependencyError(f"{what}: {_remedy_for_annotated(factory)}", at, chain)
    if _is_no_factory(factory):
        raise DependencyError(f"{what}: {_remedy_for_value(factory)}", at, chain)
    if is_mock(factory):
        raise DependencyError(
            f"{what}: a mock takes any call, so nothing says whether it is the "
            "factory or its value. Write `lambda: mock` to hand it over, or "
            "`lambda: mock()` to call it",
            at,
            chain,
        )
    try:
        hash(factory)
    except TypeError:
        raise DependencyError(
            f"{factory!r} can't be hashed, so it can't be told from other factories: define "
            "its class frozen or with eq=False, or give a function",
            at,
            chain,
        ) from None
    if (abstract := _abstract(factory)) is not None:
        raise DependencyError(
            f"{what}: {_remedy_for_abstract(abstract)}", at or where(abstract), chain
        )
    if (problem := unmanageable(factory)) is not None:
        raise DependencyError(f"{name_of(factory)} {problem}", where(factory), chain)


def _is_no_factory(given: Any) -> bool:
    # A context manager that a generator function has made can be called, to decorate a function.
    return given is None or not callable(given) or _is_made_manager(given)


def _is_made_manager(given: Any) -> bool:
    decorators: Any = (contextlib.AsyncContextDecorator, contextlib.ContextDecorator)
    return isinstance(given, decorators) and hasattr(given, "gen")


def _remedy_for_value(given: Any) -> str:
    """Say what to give instead of what can't be called."""
    if _is_made_manager(given):
        return f"that is what a call of {name_of(given.func)} returned: leave the parentheses out"
    if given is None:
        return "give a function or a class. If a call returned it, leave the parentheses out"
    if inspect.iscoroutine(given) or inspect.isgenerator(given) or inspect.isasyncgen(given):
        if inspect.iscoroutine(given):
            given.close()  # or Python warns that it was never awaited
        return f"that is what a call of {given.__qualname__} returned: leave the parentheses out"
    function = getattr(given, "dependency", None)
    if callable(function):  # FastAPI's Depends and Litestar's Provide have it there
        return f"give the function in it, deps=[{code_for(function)}]"
    cls = type(given)
    if cls.__module__ == "builtins":
        return "give a function or a class"
    return (
        f"give a function or a class. If a new {cls.__name__} is meant, leave the parentheses out; "
        "for this one, give a function that returns it"
    )


def _abstract(factory: Any) -> type | None:
    """Return the class that the factory is, if Python makes no instances of it."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    cls = get_origin(factory) or factory
    if not isinstance(cls, type) or not (inspect.isabstract(cls) or is_protocol(cls)):
        return None
    # Its own `__new__`, or its metaclass, may make an instance of another class.
    makers: tuple[Any, Any] = (cls.__new__, type(cls).__call__)
    return cls if makers == (object.__new__, type.__call__) else None


def _remedy_for_abstract(cls: type) -> str:
    """Say what to give instead of a class that can't have instances."""
    kind = "a protocol" if is_protocol(cls) else "abstract"
    derived: list[type] = [*cls.__subclasses__()]
    for one in derived:  # those below a class follow it
        derived += one.__subclasses__()
    concrete = next((one for one in derived if _abstract(one) is None), None)
    give = (
        f"a function that makes an object of a class derived from {cls.__name__}"
        if concrete is None
        else f"a class derived from it, {concrete.__name__}, or a function that makes one"
    )
    return f"{cls.__name__} is {kind}, so Python can't make an instance of it: give {give}"


def _remedy_for_annotated(annotation: Any) -> str:
    """Say what to write in place of the annotation of a parameter."""
    inner, marks = unmarked(annotation)
    mark = mark_of(UseMark, marks)
    factory = without_metadata(inner) if mark is None or mark.factory is None else mark.factory
    name = code_for(factory)
    return f"Annotated[...] is for parameters, so write deps=[use({name})] or deps=[{name}]"


def is_mock(thing: Any) -> bool:
    """Say whether it is one of :mod:`unittest.mock`'s mocks, which only tests import."""
    mocks = sys.modules.get("unittest.mock")
    return mocks is not None and isinstance(thing, mocks.NonCallableMock)


# What guards of other frameworks return to refuse a request.
_ANSWERS = (BaseException, Response)

# The types of request parameters. A factory for one of them would fill all of those parameters.
_PRIMITIVES = (str, int, float, bool, bytes)


@frozen
class Entry:
    """One entry of ``deps=``, and what its annotations say."""

    mark: UseMark
    #: Its return annotation, and the type that it makes according to that.
    returned: Any
    made: Any
    #: Whether ``Ignore`` says that it must not be found by type.
    ignored: bool

    @classmethod
    def of(cls, entry: Any, at: str | None) -> Entry:
        mark = (
            entry if isinstance(entry, UseMark) else UseMark(entry, reuse=False, scope="connection")
        )
        if _is_no_factory(mark.factory):
            raise DependencyError(
                f"deps= takes factories, or use(factory, ...), not {entry!r}: "
                f"{_remedy_for_value(mark.factory)}",
                at,
            )
        check_factory(mark.factory, f"deps=[{mark.factory!r}]", at)
        annotation = signature_of(mark.factory).return_annotation
        Site("the return annotation", where(mark.factory)).check_return(annotation)
        returned, outer = unmarked(annotation)
        made, inner = unmarked(assumed_type(mark.factory, returned))
        ignored = mark_of(IgnoreMark, (*outer, *inner)) is not None
        return cls(mark, returned, made, ignored)

    @property
    def factory(self) -> Any:
        return self.mark.factory

    def refuse(self, problem: str) -> NoReturn:
        raise DependencyError(problem, where(self.factory))

    def provider(self) -> Provider | None:
        """
        Return what it provides. ``None`` if ``Ignore`` says that it provides nothing.

        Raises:
            DependencyError: It could never be used, or would make something else.
        """
        if is_nothing(self.made):
            self._check_guard()
        elif self.ignored:
            return None
        else:
            self._check_type()
        return Provider(self.made, self.mark)

    def _check_guard(self) -> None:
        if self.ignored:
            self.refuse(
                f"{name_of(self.factory)} makes nothing, so it is a guard, and Ignore has nothing "
                "to hide: annotate it `-> None`, or take it out of deps="
            )
        if self.mark.scope == "app":
            self.refuse(
                f"{name_of(self.factory)} makes nothing, so it is a guard, and guards run for each "
                'connection: take scope="app" out, or give what has to run at start-up as lifespan='
            )

    def _check_type(self) -> None:
        name, made = name_of(self.factory), without_metadata(self.made)
        missing = unresolved_in(made) or unresolved_in(self.returned)
        if missing is not None:
            self.refuse(
                f"{name} is found by the type it makes, and {missing!r} in its "
                "return annotation can't be resolved: import it at module level, not under "
                "TYPE_CHECKING"
            )
        if made is UNKNOWN:
            self.refuse(
                "a factory in deps= is found by the type it makes: annotate what it returns, such "
                f"as `def {name.rpartition('.')[2]}(...) -> TYPE`, or `-> None` for a guard, which "
                "runs before the handler and refuses by raising HTTPException"
            )
        if (problem := unopened(self.factory, made)) is not None:
            self.refuse(problem)
        if made is Any or made is object or isinstance(made, TypeVar):
            self.refuse(
                f"a factory in deps= is found by the type it makes, and {type_name(made)} says "
                f"nothing of it: annotate the class that {name} makes"
            )
        members = get_args(made) or (made,)
        if any(isinstance(one, type) and issubclass(one, _ANSWERS) for one in members):
            self.refuse(
                f"{name} makes {type_name(made)}, which no handler asks for: a guard is "
                "annotated `-> None`, and refuses by raising HTTPException"
            )
        if _is_primitive(made):
            self._refuse_primitive(made)
        if isinstance(made, type) and made is self.factory:
            self._check_class(made)

    def _refuse_primitive(self, made: Any) -> NoReturn:
        guard = (
            ". A guard is annotated `-> None` and refuses by raising HTTPException"
            if bool in (made, *get_args(made))
            else ""
        )
        self.refuse(
            f"a factory in deps= would fill every parameter that is a {type_name(made)}: "
            "ask for it where it is meant, with use(factory), or make a type of its own"
            f" with typing.NewType{guard}"
        )

    def _check_class(self, cls: type) -> None:
        """Refuse the class of a guard if an instance of it was meant."""
        call = getattr(cls, "__call__", None)  # noqa: B004 - the method of its instances
        if inspect.isfunction(call):
            returned, _ = unmarked(signature_of(call).return_annotation)
            made = assumed_type(call, returned)
            if made is UNKNOWN or is_nothing(made):
                self.refuse(
                    f"{cls.__name__} is a class whose instances are guards, and would only make "
                    f"one: give an instance, deps=[{cls.__name__}(...)]; for the instance itself "
                    f"give a function that is annotated to return {cls.__name__}"
                )


def _is_primitive(made: Any) -> bool:
    """Say whether only parameters have such a type: ``str``, ``str | None``, ``list[int]``."""
    if made in _PRIMITIVES:
        return True
    args = [arg for arg in get_args(made) if arg is not type(None) and arg is not ...]
    return bool(args) and is_readable(made) and all(_is_primitive(arg) for arg in args)
