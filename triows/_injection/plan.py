"""
What a handler needs, worked out once, when its route is registered.

A :class:`Plan` is a list of values to be made in order: parameters read from the request,
what the connection itself gives, the application's resources, then one step per factory.
Everything refers to everything else by its place in that list, so that serving a
connection inspects nothing.
"""

from __future__ import annotations

import functools
import inspect
import typing
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

from attrs import define, evolve, field, frozen

from triows._where import name_of, where
from triows.exceptions import (
    DependencyCycleError,
    DependencyError,
    HandlerSignatureError,
    MissingProviderError,
)
from triows.types import IgnoreMark, ParamMark, UseMark

from .factories import Factory, provided_type
from .params import (
    MISSING,
    ParamSpec,
    PathKey,
    has_fields,
    is_readable,
    param_spec,
    type_for,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

__all__ = ["Given", "Plan", "Planner", "Step", "providers"]

M = TypeVar("M")

# What a `type` statement makes; it came with Python 3.12.
_TYPE_ALIAS: Any = getattr(typing, "TypeAliasType", ())


@frozen
class Given:
    """A value that the connection itself has: the WebSocket, its nursery, the application."""

    name: str


@frozen
class Step:
    """One call of a factory; its arguments are places in the plan's list of values."""

    factory: Factory
    arguments: tuple[tuple[str, int], ...]


@frozen
class Plan:
    """
    How to make the arguments of one handler.

    The list of values is: :attr:`params`, then :attr:`givens`, then :attr:`shared`, then
    the results of :attr:`steps`.
    """

    params: tuple[ParamSpec, ...]
    givens: tuple[Given, ...]
    #: Factories whose value lives from start-up to shutdown, by the user's function.
    shared: tuple[Callable[..., Any], ...]
    steps: tuple[Step, ...]
    arguments: tuple[tuple[str, int], ...]
    signature: inspect.Signature
    #: All factories of the steps, as the user named them, whatever overrides them.
    factories: frozenset[Callable[..., Any]]

    @property
    def hosted(self) -> bool:
        """Whether any step makes a resource that has to be exited."""
        return any(step.factory.kind.hosted for step in self.steps)


def providers(
    dependencies: Iterable[Callable[..., Any] | UseMark], at: str | None = None
) -> dict[Any, UseMark]:
    """
    Index factories given as ``deps=`` by the type they make; later ones win.

    Args:
        dependencies: The factories.
        at: ``file:line (name)`` of the handler that they are given for, if it is one.

    Raises:
        DependencyError: A factory without a return annotation, or no factory at all.
    """
    found: dict[Any, UseMark] = {}
    for entry in dependencies:
        mark = (
            entry if isinstance(entry, UseMark) else UseMark(entry, reuse=False, scope="connection")
        )
        factory = mark.factory
        if factory is None or not callable(factory):
            raise DependencyError(f"deps= takes factories, or use(factory, ...), not {entry!r}", at)
        returned = factory if isinstance(factory, type) else _signature(factory).return_annotation
        if returned is inspect.Signature.empty:
            raise DependencyError(
                "a factory in deps= is found by the type it makes: annotate what it returns",
                where(factory),
            )
        made, marks = _unmarked(returned)
        if any(isinstance(mark_, IgnoreMark) for mark_ in marks):
            continue
        provided = provided_type(made)
        if provided in _PRIMITIVES:
            raise DependencyError(
                f"a factory in deps= would fill every parameter that is a {type_name(provided)}: "
                "ask for it where it is meant, with use(factory), or make a type of its own",
                where(factory),
            )
        found[provided] = mark
    return found


# What parameters of the request are; a factory for one of them would shadow all of those.
_PRIMITIVES = (str, int, float, bool, bytes)


def _signature(call: Callable[..., Any]) -> inspect.Signature:
    """The signature with its annotations evaluated, without what is bound already."""
    try:
        found = inspect.signature(call, eval_str=True)
    except NameError as exc:
        raise HandlerSignatureError(
            f"the annotation {exc.name!r} can't be resolved: define or import it at module level, "
            "not under TYPE_CHECKING or inside a function; names of a function are found if the "
            "module does without `from __future__ import annotations`",
            where(call),
        ) from None
    except (TypeError, ValueError, SyntaxError, AttributeError) as exc:
        raise HandlerSignatureError(f"its signature can't be read: {exc}", where(call)) from None
    bound = _bound(call)
    # inspect lists what a partial has bound by name as a parameter with a default.
    return found.replace(
        parameters=[one for one in found.parameters.values() if one.name not in bound]
    )


def _bound(call: Any) -> set[str]:
    """The names of the arguments that :func:`functools.partial` has bound."""
    names: set[str] = set()
    call = inspect.unwrap(call)
    while isinstance(call, functools.partial):
        names |= call.keywords.keys()
        call = inspect.unwrap(call.func)
    return names


_MARKS = (UseMark, ParamMark, IgnoreMark)


def _unmarked(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """An annotation without our marks (others, such as msgspec's, are kept), and the marks."""
    if isinstance(annotation, _TYPE_ALIAS):
        return _unmarked(annotation.__value__)
    if get_origin(annotation) is not Annotated:
        return annotation, ()
    # What is inside Annotated is no Annotated itself, but may be a name for one.
    inner, marks = _unmarked(get_args(annotation)[0])
    extras = get_args(annotation)[1:]
    rest = tuple(extra for extra in extras if not isinstance(extra, _MARKS))
    marks += tuple(extra for extra in extras if isinstance(extra, _MARKS))
    return (Annotated[(inner, *rest)] if rest else inner), marks


def _outermost(kind: type[M], marks: Iterable[Any]) -> M | None:
    """The last mark of a kind: an ``Annotated`` around a named one overrides it."""
    return next((mark for mark in reversed(tuple(marks)) if isinstance(mark, kind)), None)


def _check_parameter(asker: _Asker, parameter: inspect.Parameter) -> None:
    """
    Refuse what can't be written for any parameter.

    Raises:
        HandlerSignatureError: It is one that can't be given by name, or a mark stands where
            nobody looks for it.
    """
    if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
        raise HandlerSignatureError(
            f"`{parameter}` can't be filled by name: triows calls with keywords, so name every "
            "parameter, without *args, **kwargs and `/`; a decorator that takes them needs "
            "functools.wraps",
            asker.where,
        )
    for place, found in (("default", parameter.default), ("annotation", parameter.annotation)):
        if isinstance(found, UseMark | ParamMark):
            word = "use" if isinstance(found, UseMark) else "Param"
            raise HandlerSignatureError(
                f"`{parameter.name}` has {word}() as its {place}: write "
                f"`{parameter.name}: Annotated[TYPE, {word}(...)]`",
                asker.where,
            )


def _full_name(cls: Any) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _advice(name: str, wanted: str, *, in_app: bool) -> str:
    """What to do about a type that nothing makes."""
    place = (
        'to the application with deps=[use(factory, scope="app")]'
        if in_app
        else "to the route or the application with deps=[factory]"
    )
    return (
        f"nothing makes the {wanted} that `{name}` asks for: annotate it "
        f"`{name}: Annotated[{wanted}, use(factory)]`, or give the factory {place}"
    )


@frozen
class _Place:
    """A value of the plan: which of its lists it stands in, and where."""

    kind: str
    index: int


@frozen
class _Asker:
    """A function whose parameters are being planned, at the end of those who asked for it."""

    call: Callable[..., Any]
    #: As the user wrote them, the handler first; ``call`` may override the last of them.
    callers: tuple[Callable[..., Any], ...]
    scope: str = "connection"

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


@define
class Planner:
    """
    Makes one plan.

    Args:
        givens: Which types the connection itself gives.
        app_givens: Which of them also exist when the application starts.
        providers: Factories by the type they make.
        overrides: Factories to be used instead of others.
        path_keys: The keys in the route's path template, by name.
    """

    givens: Mapping[Any, Given]
    app_givens: Collection[Given] = ()
    providers: Mapping[Any, UseMark] = field(factory=dict)
    overrides: Mapping[Callable[..., Any], Callable[..., Any]] = field(factory=dict)
    path_keys: Mapping[str, PathKey] = field(factory=dict)
    _params: dict[ParamSpec, int] = field(factory=dict, init=False)
    _given: dict[Given, int] = field(factory=dict, init=False)
    _shared: dict[Callable[..., Any], int] = field(factory=dict, init=False)
    _steps: list[tuple[Factory, dict[str, _Place]]] = field(factory=list, init=False)
    _reused: dict[Callable[..., Any], _Place] = field(factory=dict, init=False)
    _used: set[Callable[..., Any]] = field(factory=set, init=False)

    def plan(self, handler: Callable[..., Any]) -> Plan:
        """
        Plan the arguments of *handler*.

        Raises:
            RouteSetupError: or one of its kin, with the file and line of the function
                that is wrong and what to do instead.
        """
        arguments = self._places(_Asker(handler, (handler,)))
        self._check_path_keys(handler)
        return self._numbered(arguments, handler)

    def plan_shared(self, factory: Callable[..., Any]) -> tuple[Factory, Plan]:
        """Plan a factory with ``scope="app"``: the factory to call, and its arguments."""
        call = self.overrides.get(factory, factory)
        places = self._places(_Asker(call, (factory,), "app"))
        return Factory.of(call), self._numbered(places, call)

    def _check_path_keys(self, handler: Callable[..., Any]) -> None:
        # A fake need not want what the factory in its place wants.
        if self.overrides:
            return
        taken = {spec.alias for spec in self._params if spec.source == "path"}
        if untaken := [key for key in self.path_keys if key not in taken]:
            key = untaken[0]
            wanted = type_name(type_for(self.path_keys[key]))
            raise HandlerSignatureError(
                f"nothing takes {{{key}}} of the path: add a parameter `{key}: {wanted}` to the "
                "handler or to one of its factories, or take it out of the path",
                where(handler),
            )

    def _places(self, asker: _Asker) -> dict[str, _Place]:
        """Where each argument of *asker* will stand, after planning what has to come before."""
        return {
            parameter.name: self._place(asker, parameter)
            for parameter in _signature(asker.call).parameters.values()
        }

    def _place(self, asker: _Asker, parameter: inspect.Parameter) -> _Place:
        _check_parameter(asker, parameter)
        annotation, marks = _unmarked(parameter.annotation)
        use_mark, param_mark = _outermost(UseMark, marks), _outermost(ParamMark, marks)
        if use_mark is not None and param_mark is not None:
            raise HandlerSignatureError(
                f"`{parameter.name}` has both use() and Param(): take out the one not meant",
                asker.where,
            )
        if use_mark is not None:
            return self._made(asker, parameter, annotation, use_mark)
        ignored = _outermost(IgnoreMark, marks) is not None
        if param_mark is None and not ignored and not self._is_path_key(parameter, annotation):
            provider = self._lookup(self.providers, annotation)
            if provider is not None:
                return self._made(asker, parameter, annotation, provider)
        given = self._lookup(self.givens, annotation)
        if given is not None:
            if param_mark is not None:
                raise HandlerSignatureError(
                    f"`{parameter.name}` is the connection's own {given.name}, which is not read "
                    "from the request: take its Param() out",
                    asker.where,
                )
            return self._given_to(asker, parameter, given)
        return self._read(asker, parameter, annotation, param_mark)

    def _is_path_key(self, parameter: inspect.Parameter, annotation: Any) -> bool:
        """Whether it is the path that fills it: a name there goes before any type."""
        return parameter.name in self.path_keys and is_readable(annotation)

    @staticmethod
    def _lookup(table: Mapping[Any, Any], annotation: Any) -> Any:
        try:
            return table.get(annotation)
        except TypeError:  # an annotation that can't be hashed
            return None

    def _given_to(self, asker: _Asker, parameter: inspect.Parameter, given: Given) -> _Place:
        if asker.scope == "app" and given not in self.app_givens:
            raise asker.misuse(
                f"`{parameter.name}` is the {given.name} of one connection, and {asker.name} lives "
                'as long as the application: take the parameter out, or drop scope="app"'
            )
        return _Place("given", self._given.setdefault(given, len(self._given)))

    def _read(
        self, asker: _Asker, parameter: inspect.Parameter, annotation: Any, mark: ParamMark | None
    ) -> _Place:
        """Plan a parameter that comes from the request."""
        name = parameter.name
        if annotation is parameter.empty:
            if name not in self.path_keys:
                raise HandlerSignatureError(
                    f"`{name}` has no annotation: write the type it shall have, as in "
                    f"`{name}: int`",
                    asker.where,
                )
            annotation = str
        self._check_readable(asker, name, annotation, mark)
        spec = param_spec(
            name,
            annotation,
            MISSING if parameter.default is parameter.empty else parameter.default,
            mark=mark,
            path_keys=self.path_keys,
            where=asker.where,
        )
        return _Place("param", self._params.setdefault(spec, len(self._params)))

    def _check_readable(
        self, asker: _Asker, name: str, annotation: Any, mark: ParamMark | None
    ) -> None:
        """
        Refuse what no request has; what it has in the wrong form is for param_spec to refuse.

        Raises:
            DependencyError: It takes a factory that is not there, or a request that is not.
        """
        in_app = asker.scope == "app"
        if mark is None and not is_readable(annotation):
            namesake = self._namesake(annotation)
            if namesake is not None:
                raise MissingProviderError(
                    f"`{name}` is a {_full_name(annotation)}, which nothing makes: annotate it "
                    f"`{name}: {_full_name(namesake)}`",
                    asker.where,
                    asker.chain,
                )
            if in_app or not has_fields(annotation):
                advice = _advice(name, type_name(annotation), in_app=in_app)
                raise MissingProviderError(advice, asker.where, asker.chain)
        if in_app:
            raise asker.misuse(
                f"`{name}` would come from a request, and {asker.name} lives as long as the "
                'application: take the parameter out, or drop scope="app"'
            )

    def _namesake(self, annotation: Any) -> Any:
        """What the connection gives under the same name: Starlette has a WebSocket, too."""
        wanted = type_name(annotation)
        return next((ours for ours in self.givens if type_name(ours) == wanted), None)

    def _made(
        self, asker: _Asker, parameter: inspect.Parameter, annotation: Any, mark: UseMark
    ) -> _Place:
        """Plan a parameter that a factory makes."""
        if parameter.default is not parameter.empty:
            raise HandlerSignatureError(
                f"`{parameter.name}` is made by a factory, so its default would never be used: "
                "take it out",
                asker.where,
            )
        factory, mark = self._factory_of(asker, parameter, annotation, mark)
        if mark.scope == "app":
            return _Place("shared", self._shared.setdefault(factory, len(self._shared)))
        if asker.scope == "app":
            raise asker.misuse(
                f"{name_of(factory)} lives as long as a connection, and {asker.name} as long as "
                f'the application: use({name_of(factory)}, scope="app"), or drop scope="app" there'
            )
        if not mark.reuse:
            return self._step(asker, factory)
        if factory not in self._reused:
            self._reused[factory] = self._step(asker, factory)
        return self._reused[factory]

    def _factory_of(
        self, asker: _Asker, parameter: inspect.Parameter, annotation: Any, mark: UseMark
    ) -> tuple[Callable[..., Any], UseMark]:
        """The factory that *mark* names, or that the parameter's type leads to."""
        if mark.factory is None:
            mark = self._found_by_type(asker, parameter, annotation, mark)
        factory = mark.factory
        if factory is None or not callable(factory):
            raise asker.misuse(
                f"`{parameter.name}` has use({factory!r}): give a function or a class"
            )
        try:
            hash(factory)
        except TypeError:
            raise asker.misuse(
                f"{factory!r} can't be hashed, so it can't be told from other factories: define "
                "its class frozen or with eq=False, or give a function"
            ) from None
        return factory, mark

    def _found_by_type(
        self, asker: _Asker, parameter: inspect.Parameter, annotation: Any, mark: UseMark
    ) -> UseMark:
        """What ``use()`` without a factory means: one from ``deps=``, or the class itself."""
        provider = self._lookup(self.providers, annotation)
        if provider is not None:
            # Whoever asks may add to what the provider's own mark says.
            scope = mark.scope if provider.scope == "connection" else provider.scope
            return UseMark(provider.factory, mark.reuse or provider.reuse, scope)
        if self._is_class_to_call(annotation):
            return evolve(mark, factory=annotation)
        raise MissingProviderError(
            f"`{parameter.name}` has use() without a factory, none in deps= makes "
            f"{type_name(annotation)}, and that can't be called itself: write use(factory)",
            asker.where,
            asker.chain,
        )

    def _is_class_to_call(self, annotation: Any) -> bool:
        return (
            isinstance(annotation, type)
            and annotation not in self.givens
            and not inspect.isabstract(annotation)
            and not getattr(annotation, "_is_protocol", False)
        )

    def _step(self, asker: _Asker, factory: Callable[..., Any]) -> _Place:
        """Plan a call of a factory, after the calls it needs itself."""
        callers = (*asker.callers, factory)
        if factory in asker.callers:
            raise DependencyCycleError(
                f"{name_of(factory)} needs itself: make one of the factories do without the other "
                "(Ignore[TYPE] asks for what the connection itself has, and for no factory)",
                where(factory),
                tuple(map(name_of, callers)),
            )
        self._used.add(factory)
        call = self.overrides.get(factory, factory)
        arguments = self._places(_Asker(call, callers))
        self._steps.append((Factory.of(call), arguments))
        return _Place("step", len(self._steps) - 1)

    def _numbered(self, arguments: Mapping[str, _Place], call: Callable[..., Any]) -> Plan:
        """Turn places into numbers, now that it is known how many there are of each kind."""
        starts: dict[str, int] = {}
        total = 0
        for kind, table in (
            ("param", self._params),
            ("given", self._given),
            ("shared", self._shared),
            ("step", self._steps),
        ):
            starts[kind] = total
            total += len(table)

        def numbers(places: Mapping[str, _Place]) -> tuple[tuple[str, int], ...]:
            return tuple((name, starts[place.kind] + place.index) for name, place in places.items())

        return Plan(
            params=tuple(self._params),
            givens=tuple(self._given),
            shared=tuple(self._shared),
            steps=tuple(Step(factory, numbers(places)) for factory, places in self._steps),
            arguments=numbers(arguments),
            signature=_signature(call),
            factories=frozenset(self._used),
        )
