"""
What a handler needs, worked out once, when its route is registered.

A :class:`Plan` is a list of values to be made in order: parameters read from the request,
what the connection itself gives, the application's resources, then one step per factory.
Everything refers to everything else by its place in that list, so that serving a
connection inspects nothing.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from attrs import define, evolve, field, frozen

from triows._where import where
from triows.exceptions import (
    DependencyCycleError,
    DependencyError,
    HandlerSignatureError,
    MissingProviderError,
)
from triows.types import IgnoreMark, ParamMark, UseMark

from .factories import Factory, provided_type
from .params import MISSING, ParamSpec, has_fields, is_readable, param_spec, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

__all__ = ["Given", "Plan", "Planner", "Step", "providers"]


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


def providers(dependencies: Iterable[Callable[..., Any] | UseMark]) -> dict[Any, UseMark]:
    """
    Index factories given as ``deps=`` by the type they make; later ones win.

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
            raise DependencyError(
                f"deps= takes factories, or use(factory, ...), not {entry!r}",
            )
        returned = factory if isinstance(factory, type) else _signature(factory).return_annotation
        if returned is inspect.Signature.empty:
            raise DependencyError(
                "a factory in deps= is found by the type it makes: annotate what it returns",
                where(factory),
            )
        made, marks = _unmarked(returned)
        if not any(isinstance(mark_, IgnoreMark) for mark_ in marks):
            found[provided_type(made)] = mark
    return found


def _signature(call: Callable[..., Any]) -> inspect.Signature:
    """The signature with its annotations evaluated."""
    try:
        return inspect.signature(call, eval_str=True)
    except NameError as exc:
        raise HandlerSignatureError(
            f"the annotation {exc.name!r} can't be resolved: define or import it at module level, "
            "not under TYPE_CHECKING or inside a function",
            where(call),
        ) from None
    except (TypeError, ValueError, SyntaxError, AttributeError) as exc:
        raise HandlerSignatureError(f"its signature can't be read: {exc}", where(call)) from None


def _name(call: Callable[..., Any]) -> str:
    return getattr(call, "__qualname__", None) or repr(call)


def _unmarked(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """An annotation without our marks (others, such as msgspec's, are kept), and the marks."""
    if get_origin(annotation) is not Annotated:
        return annotation, ()
    inner, *extras = get_args(annotation)
    ours = tuple(extra for extra in extras if isinstance(extra, UseMark | ParamMark | IgnoreMark))
    rest = tuple(extra for extra in extras if extra not in ours)
    return (Annotated[(inner, *rest)] if rest else inner), ours


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
        return _name(self.call)

    @property
    def where(self) -> str:
        return where(self.call)

    @property
    def chain(self) -> tuple[str, ...]:
        return tuple(map(_name, self.callers))

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
        path_keys: The names in the route's path template.
    """

    givens: Mapping[Any, Given]
    app_givens: Collection[Given] = ()
    providers: Mapping[Any, UseMark] = field(factory=dict)
    overrides: Mapping[Callable[..., Any], Callable[..., Any]] = field(factory=dict)
    path_keys: Collection[str] = ()
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
        taken = {spec.alias for spec in self._params if spec.source == "path"}
        if untaken := [key for key in self.path_keys if key not in taken]:
            key = untaken[0]
            raise HandlerSignatureError(
                f"no one takes {{{key}}} of the path: add a parameter `{key}: str` to the handler "
                "or one of its factories, or take it out of the path",
                where(handler),
            )

    def _places(self, asker: _Asker) -> dict[str, _Place]:
        """Where each argument of *asker* will stand, after planning what has to come before."""
        return {
            parameter.name: self._place(asker, parameter)
            for parameter in _signature(asker.call).parameters.values()
        }

    def _place(self, asker: _Asker, parameter: inspect.Parameter) -> _Place:
        if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise HandlerSignatureError(
                f"`{parameter}` can't be filled by name: triows calls with keywords; name every "
                "parameter, without `*` or `/`",
                asker.where,
            )
        annotation, marks = _unmarked(parameter.annotation)
        uses = [mark for mark in marks if isinstance(mark, UseMark)]
        ignored = any(isinstance(mark, IgnoreMark) for mark in marks)
        if isinstance(parameter.default, UseMark):
            raise HandlerSignatureError(
                f"`{parameter.name}` has use() as its default: write "
                f"`{parameter.name}: Annotated[TYPE, use(factory)]`",
                asker.where,
            )
        if uses:
            return self._made(asker, parameter, annotation, uses[-1])
        if (given := self._lookup(self.givens, annotation)) is not None:
            return self._given_to(asker, parameter, given)
        mark = next((mark for mark in marks if isinstance(mark, ParamMark)), None)
        provider = self._lookup(self.providers, annotation)
        if provider is not None and mark is None and not ignored:
            return self._made(asker, parameter, annotation, provider)
        return self._read(asker, parameter, annotation, mark)

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
        if asker.scope == "app":
            raise asker.misuse(
                f"`{name}` would come from a request, and {asker.name} lives as long as the "
                'application: take the parameter out, or drop scope="app"'
            )
        if annotation is parameter.empty:
            if name not in self.path_keys:
                raise HandlerSignatureError(
                    f"`{name}` has no annotation: write the type it shall have, as in "
                    f"`{name}: int`",
                    asker.where,
                )
            annotation = str
        if mark is None and not is_readable(annotation) and not has_fields(annotation):
            wanted = type_name(annotation)
            raise MissingProviderError(
                f"nothing makes the {wanted} that `{name}` asks for: annotate it "
                f"`{name}: Annotated[{wanted}, use(factory)]`, or give the factory to the route or "
                "the application with deps=[factory]",
                asker.where,
                asker.chain,
            )
        spec = param_spec(
            name,
            annotation,
            MISSING if parameter.default is parameter.empty else parameter.default,
            mark=mark,
            path_keys=self.path_keys,
            where=asker.where,
        )
        return _Place("param", self._params.setdefault(spec, len(self._params)))

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
                f"{_name(factory)} lives as long as a connection, and {asker.name} as long as "
                f'the application: use({_name(factory)}, scope="app"), or drop scope="app" there'
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
            mark = self._lookup(self.providers, annotation) or evolve(mark, factory=annotation)
        if mark.factory is None or not callable(mark.factory):
            raise asker.misuse(
                f"`{parameter.name}` has use({mark.factory!r}): give a function or a class",
            )
        if mark.factory is annotation and not isinstance(annotation, type):
            raise MissingProviderError(
                f"`{parameter.name}` has use() without a factory, and none in deps= makes "
                f"{type_name(annotation)}: write use(factory)",
                asker.where,
                asker.chain,
            )
        return mark.factory, mark

    def _step(self, asker: _Asker, factory: Callable[..., Any]) -> _Place:
        """Plan a call of a factory, after the calls it needs itself."""
        callers = (*asker.callers, factory)
        if factory in asker.callers:
            raise DependencyCycleError(
                f"{_name(factory)} needs itself: make one of the factories do without the other",
                where(factory),
                tuple(map(_name, callers)),
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
