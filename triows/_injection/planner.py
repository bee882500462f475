"""
Plans what a handler needs. This happens once, when its route is registered.

A handler comes in, with what its route and its kind give to it. A :class:`.plan.Plan` comes out.
"""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any, get_origin

from attrs import define, evolve, field, frozen

from triows._annotations import type_name
from triows._where import code_for, name_of, where
from triows.exceptions import DependencyCycleError, HandlerSignatureError, MissingProviderError
from triows.types import IgnoreMark, ParamMark, UseMark

from .advice import annotation_advice, given_advice, mistaken_for_text, provider_advice, untaken_key
from .asker import Asker
from .bodies import BODY, body_spec, check_fields, is_body, is_form
from .choice import agreed, check_shared, chosen
from .factories import Factory
from .kinds import given_for
from .marks import Site, mark_of, unmarked
from .packs import has_fields
from .parameter import MISSING
from .params import is_readable, param_spec
from .pathkeys import PathKey, type_for
from .plan import Body, Head, Intake, Plan, Step
from .providers import Providers
from .signatures import Types, signature_of, unresolved_in
from .sources import FORM, PATH

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Iterable, Mapping

    from .kinds import Given, RouteKind
    from .plan import BodySpec
    from .readers import ParamSpec

__all__ = ["Planner"]


@frozen
class _Place:
    """A value of the plan: which of its lists it is in, and its index there."""

    kind: str
    index: int


@frozen
class Planner:
    """
    Makes plans for the handlers of one kind of route that have the same ``deps=`` and path.

    Args:
        kind: What they may ask for.
        providers: The guards, and the factories that are found by the type they make.
        overrides: Factories to be used instead of others.
        path_keys: The keys in the route's path template, by name.
    """

    kind: RouteKind
    providers: Providers = field(factory=Providers)
    overrides: Mapping[Callable[..., Any], Callable[..., Any]] = field(factory=dict)
    path_keys: Mapping[str, PathKey] = field(factory=dict)

    def plan(self, handler: Callable[..., Any]) -> Plan:
        """
        Plan the guards, and after them the arguments of *handler*.

        Raises:
            RouteSetupError: Something can't work. The error, which may be of a subclass, has the
                file and line of the function, and says what to do instead.
        """
        return _Planning(self).plan(handler)

    def plan_shared(
        self, factory: Callable[..., Any], makes: tuple[type, ...] | None = None
    ) -> tuple[Factory, Plan]:
        """
        Plan a factory with ``scope="app"``. Return the factory to call, and its plan.

        Args:
            factory: The factory as the user named it, even if another overrides it.
            makes: The classes that the parameters for it expect.
        """
        asker = Asker(self.called(factory), (factory,), "app")
        return evolve(Factory.of(asker.call), makes=makes), _Planning(self).plan_alone(asker)

    def called(self, factory: Callable[..., Any]) -> Callable[..., Any]:
        """Return what to call for a factory: the one that overrides it, or the factory itself."""
        # You can override Repo, for all types, or only Repo[int].
        generic = get_origin(factory) or factory
        return self.overrides.get(factory, self.overrides.get(generic, factory))


@define
class _Planning:
    """One plan, while its values are collected."""

    planner: Planner
    _params: dict[ParamSpec, int] = field(factory=dict, init=False)
    _given: dict[Given, int] = field(factory=dict, init=False)
    # What is made from the body. It is read in one way: which, and by whom first.
    _bodies: dict[BodySpec, int] = field(factory=dict, init=False)
    _taken_by: dict[BodySpec, list[Any]] = field(factory=dict, init=False)
    _form: dict[ParamSpec, int] = field(factory=dict, init=False)
    # The function that takes it as it comes, and the name of its parameter for it.
    _streamed_by: tuple[Asker, str] | None = field(default=None, init=False)
    _intake: tuple[str, str, Asker] | None = field(default=None, init=False)
    # How many of the steps are guards, and what they need.
    _guards: int = field(default=0, init=False)
    _shared: dict[Callable[..., Any], int] = field(factory=dict, init=False)
    _expected: dict[Callable[..., Any], tuple[type, ...] | None] = field(factory=dict, init=False)
    _steps: list[tuple[Factory, dict[str, _Place]]] = field(factory=list, init=False)
    # For each step, a resource that it needs, or is, and that exits before the response.
    _ending: list[str | None] = field(factory=list, init=False)
    _reused: dict[tuple[Any, ...], _Place] = field(factory=dict, init=False)
    _used: set[Callable[..., Any]] = field(factory=set, init=False)

    def plan(self, handler: Callable[..., Any]) -> Plan:
        asker = Asker(handler, (handler,))
        for guard in self.planner.providers.guards:
            self._guarded_by(asker, guard)
        self._guards = len(self._steps)
        arguments = self._places(asker)
        self._check_path_keys(handler)
        return self._numbered(arguments, handler)

    def plan_alone(self, asker: Asker) -> Plan:
        """Plan the arguments of a function without the guards."""
        return self._numbered(self._places(asker), asker.call)

    @property
    def kind(self) -> RouteKind:
        return self.planner.kind

    def _guarded_by(self, asker: Asker, guard: UseMark) -> None:
        """Plan a guard. No parameter takes its value, which is ``None``."""
        factory: Any = guard.factory
        overridden = self.planner.called(factory) is not factory
        place = self._step(asker, guard, {}, None if overridden else (NoneType,))
        if guard.reuse:
            self._reused[factory, ()] = place

    def _check_path_keys(self, handler: Callable[..., Any]) -> None:
        # A test's fake may have other parameters than the factory that it replaces.
        if self.planner.overrides:
            return
        taken = {spec.known.alias for spec in self._params if spec.known.source == PATH.name}
        if untaken := [key for key in self.planner.path_keys if key not in taken]:
            key = untaken[0]
            problem = untaken_key(handler, key, type_name(type_for(self.planner.path_keys[key])))
            raise HandlerSignatureError(problem, where(handler))

    def _places(self, asker: Asker) -> dict[str, _Place]:
        """Say where each argument of *asker* will be, after planning what has to come before."""
        signature = signature_of(asker.call, asker.types)
        if len(asker.callers) > 1 or not self.kind.has_results:
            Site("the return annotation", asker.where).check_return(signature.return_annotation)
        return {
            parameter.name: self._place(asker, parameter)
            for parameter in signature.parameters.values()
        }

    def _place(self, asker: Asker, parameter: inspect.Parameter) -> _Place:
        asker.check_by_name(parameter)
        site = asker.site(parameter.name)
        site.check_parameter(parameter.annotation)
        annotation, marks = unmarked(parameter.annotation)
        use_mark, param_mark = mark_of(UseMark, marks), mark_of(ParamMark, marks)
        if param_mark is None or param_mark.decoder is None or parameter.default is ...:
            site.check_default(parameter.default, parameter.annotation)
        if use_mark is not None:
            mark, types = chosen(
                asker,
                parameter.name,
                annotation,
                use_mark,
                self.planner.providers,
                self.kind.givens,
            )
            return self._made(asker, parameter, annotation, mark, types)
        if (missing := unresolved_in(annotation)) is not None:
            site.refuse(
                f"asks for {missing!r}, which can't be resolved: define or import it at module "
                "level, not under TYPE_CHECKING or inside a function"
            )
        by_type = param_mark is None and mark_of(IgnoreMark, marks) is None
        if by_type and not self._is_path_key(parameter, annotation):
            place = self._made_by_type(asker, parameter, annotation)
        else:
            place = self._given_by_type(asker, parameter, annotation, param_mark)
        return place or self._read(asker, parameter, annotation, param_mark)

    def _made_by_type(
        self, asker: Asker, parameter: inspect.Parameter, annotation: Any
    ) -> _Place | None:
        """Plan a parameter by its type, if a factory makes that type or it is a given."""
        found = self.planner.providers.find(annotation, asker.where)
        if found is None:
            given = self._given_by_type(asker, parameter, annotation, None)
            # What can be read from the request is read, even if a factory makes a subclass of it.
            if given is not None or is_readable(annotation):
                return given
            found = self.planner.providers.find_below(annotation, asker.where)
        if found is None:
            return None
        provider, types = found
        return self._made(asker, parameter, annotation, provider.mark, types)

    def _given_by_type(
        self, asker: Asker, parameter: inspect.Parameter, annotation: Any, mark: ParamMark | None
    ) -> _Place | None:
        """Plan a parameter whose type is that of a given."""
        given = given_for(self.kind.givens, annotation)
        if given is None:
            return None
        if mark is not None:
            asker.site(parameter.name).refuse(
                f"is the {self.kind.noun}'s own {given.name}, which is not read from the request: "
                "take its Param() out"
            )
        if asker.scope == "app" and not given.in_app:
            raise asker.misuse(
                f"`{parameter.name}` is the {given.name} of one {self.kind.noun}, and {asker.name} "
                'lives as long as the application: take the parameter out, or drop scope="app"'
            )
        if given.takes_body:
            self._check_one_intake(asker, parameter.name, given.takes_body)
            self._check_once(asker, parameter.name)
        return _Place("given", self._given.setdefault(given, len(self._given)))

    def _is_path_key(self, parameter: inspect.Parameter, annotation: Any) -> bool:
        """Say whether the path fills it. The name of a key takes precedence over the type."""
        return parameter.name in self.planner.path_keys and is_readable(annotation)

    def _read(
        self, asker: Asker, parameter: inspect.Parameter, annotation: Any, mark: ParamMark | None
    ) -> _Place:
        """Plan a parameter that comes from the request."""
        name = parameter.name
        if annotation is parameter.empty:
            if name not in self.planner.path_keys:
                advice = annotation_advice(name, self.kind)
                raise HandlerSignatureError(
                    f"`{name}` has no annotation: {asker.remedy(advice)}",
                    asker.where,
                )
            annotation = str
        default = MISSING if parameter.default is parameter.empty else parameter.default
        in_path = self._is_path_key(parameter, annotation)
        of_body = not in_path and self._is_of_body(annotation, mark)
        self._check_readable(asker, name, annotation, mark, of_body=of_body)
        if of_body and not is_form(annotation, mark, self.kind):
            return self._place_body(asker, name, annotation, default, mark)
        spec = param_spec(
            name,
            annotation,
            default,
            mark=mark,
            path_keys=self.planner.path_keys,
            kind=self.kind,
            where=asker.where,
        )
        if spec.known.fields:
            asker.site(name).check_fields(annotation)
        if spec.known.source == FORM.name:
            self._check_one_intake(asker, name, "as a form")
            return _Place("form", self._form.setdefault(spec, len(self._form)))
        return _Place("param", self._params.setdefault(spec, len(self._params)))

    def _is_of_body(self, annotation: Any, mark: ParamMark | None) -> bool:
        """Say whether a parameter comes from the body of the request, or would if it had one."""
        marked = mark is not None and mark.source in (BODY, FORM.name)
        if self.kind.body is None:
            return marked
        return is_form(annotation, mark, self.kind) or is_body(annotation, mark)

    def _place_body(
        self, asker: Asker, name: str, annotation: Any, default: Any, mark: ParamMark | None
    ) -> _Place:
        """Plan a parameter that is made from the whole body."""
        site = asker.site(name)
        spec = body_spec(name, annotation, default, self.kind, site, mark)
        check_fields(annotation, site)
        self._check_one_intake(asker, name, "as a whole")
        others = [one.known.name for one in self._bodies if asker.call in self._taken_by[one]]
        if spec not in self._bodies and others:
            site.refuse(
                f"would be made from the body, as `{others[0]}` is: a request has one body, so "
                "make one class with both as its fields, or read one of them from elsewhere, as "
                'in Param("query")'
            )
        self._taken_by.setdefault(spec, []).append(asker.call)
        return _Place("body", self._bodies.setdefault(spec, len(self._bodies)))

    def _check_once(self, asker: Asker, name: str) -> None:
        """
        Refuse a second parameter that reads the body as it comes.

        The second one to read would get nothing, and take that for the whole body.
        """
        if self._streamed_by is None:
            self._streamed_by = (asker, name)
            return
        before, other = self._streamed_by
        if before.call is not asker.call:
            raise HandlerSignatureError(
                f"`{name}` reads the body of the request as it comes, and so does `{other}` of "
                f"{before.name}: it comes only once, so let one of them read it, and hand on what "
                "the other one needs",
                asker.where,
            )
        if name != other:
            asker.site(name).refuse(
                f"would be the same as `{other}`: the body of a request comes only once, so take "
                "one of them out"
            )
        asker.site(name).refuse(
            f"reads the body of the request as it comes, and {asker.name} is called more than once "
            "for it: it comes only once, so say reuse=True wherever this factory is used"
        )

    def _check_one_intake(self, asker: Asker, name: str, how: str) -> None:
        """
        Refuse to read the body in two ways, because it comes only once.

        Args:
            asker: The function that reads it.
            name: The name of its parameter.
            how: The way, for messages.
        """
        if self._intake is None:
            self._intake = (how, name, asker)
            return
        before, other, its_asker = self._intake
        if before != how:
            asker.site(name).refuse(
                f"reads the body of the request {how}, and `{other}` of {its_asker.name} "
                f"reads it {before}: it comes only once, so choose one of them"
            )

    def _check_readable(
        self,
        asker: Asker,
        name: str,
        annotation: Any,
        mark: ParamMark | None,
        *,
        of_body: bool,
    ) -> None:
        """
        Refuse a type that no request can have.

        :func:`.param_spec` refuses types that a request can have, and that can't be read.

        Raises:
            DependencyError: The parameter needs a factory that doesn't exist, or a request where
                there is none.
            HandlerSignatureError: Its name says that it isn't meant to be read from the request.
        """
        in_app = asker.scope == "app"
        is_file = of_body and is_form(annotation, mark, self.kind)
        if mark is None and not is_file and not is_readable(annotation):
            problem = f"nothing makes the {type_name(annotation)} that `{name}` asks for"
            meant = given_advice(name, annotation, self.kind)
            nearly = self.planner.providers.near(annotation) is not None
            fits = of_body or has_fields(annotation)
            if meant is not None or in_app or nearly or not fits:
                advice = provider_advice(name, annotation, self.planner.providers, in_app=in_app)
                raise MissingProviderError(
                    meant or f"{problem}: {asker.remedy(advice)}",
                    asker.where,
                    asker.chain,
                )
        if in_app:
            raise asker.misuse(
                f"`{name}` would come from a request, and {asker.name} lives as long as the "
                "application: take the parameter out, give its value with functools.partial, or "
                'drop scope="app"'
            )
        by_query = mark is None and name not in self.planner.path_keys
        if by_query and (meant := mistaken_for_text(name, annotation, self.kind)) is not None:
            raise HandlerSignatureError(
                f"`{name}: {type_name(annotation)}` would be read from the query of the request: "
                f"{asker.remedy(meant)}",
                asker.where,
            )

    def _made(
        self,
        asker: Asker,
        parameter: inspect.Parameter,
        annotation: Any,
        mark: UseMark,
        types: Types,
    ) -> _Place:
        """Plan a parameter that a factory makes."""
        factory: Any = mark.factory
        name = name_of(factory)
        if parameter.default is not parameter.empty:
            raise HandlerSignatureError(
                f"`{parameter.name}` is made by a factory, so its default would never be used: "
                "take it out",
                asker.where,
            )
        # The value of a test's fake is not checked.
        overridden = self.planner.called(factory) is not factory
        makes = None if overridden else agreed(asker, parameter.name, annotation, factory, types)
        if mark.scope == "app":
            check_shared(asker, factory, types)
            self._expected.setdefault(factory, makes)
            return _Place("shared", self._shared.setdefault(factory, len(self._shared)))
        if asker.scope == "app":
            raise asker.misuse(
                f"{name} lives as long as a {self.kind.noun}, and {asker.name} as long as the "
                f'application: use({code_for(factory)}, scope="app"), or drop scope="app" there'
            )
        if not mark.reuse:
            return self._step(asker, mark, types, makes)
        key = (factory, tuple(types.items()))
        if key not in self._reused:
            self._reused[key] = self._step(asker, mark, types, makes)
        elif mark.until != self._outlasting(self._reused[key]):
            raise asker.misuse(
                f'{name} is shared, and only one of those that ask for it says until="sent": say '
                "so in all of them, or in none"
            )
        return self._reused[key]

    def _outlasting(self, place: _Place) -> str | None:
        return "sent" if self._steps[place.index][0].outlasts else None

    def _step(
        self,
        asker: Asker,
        mark: UseMark,
        types: Types,
        makes: tuple[type, ...] | None,
    ) -> _Place:
        """Plan a call of a factory, after the calls that it needs itself."""
        factory: Any = mark.factory
        callers = (*asker.callers, factory)
        if factory in asker.callers:
            raise DependencyCycleError(
                f"{name_of(factory)} needs itself: make one of the factories do without the other "
                f"(Ignore[TYPE] asks for what the {self.kind.noun} itself has, and for no factory)",
                where(factory),
                tuple(map(name_of, callers)),
            )
        self._used |= {factory, get_origin(factory) or factory}
        call = self.planner.called(factory)
        arguments = self._places(Asker(call, callers, types=types))
        made = evolve(Factory.of(call), makes=makes, outlasts=mark.until is not None)
        ending = self._ending_among(arguments.values())
        if made.outlasts and ending is not None:
            raise asker.misuse(
                f"{name_of(factory)} stays until the response is sent, and needs {ending}, which "
                f'exits before: add until="sent" to use({ending}), too, or take it out here'
            )
        self._steps.append((made, arguments))
        own = made.name if made.hosted and not made.outlasts else None
        self._ending.append(own or ending)
        return _Place("step", len(self._steps) - 1)

    def _ending_among(self, places: Iterable[_Place]) -> str | None:
        """Name a resource behind these values that exits before the response, if there is one."""
        names = (self._ending[place.index] for place in places if place.kind == "step")
        return next(filter(None, names), None)

    def _steps_before_intake(self) -> int:
        """Count the guards that don't need the body. They come before it is read."""
        for number, (_, places) in enumerate(self._steps[: self._guards]):
            if any(place.kind in ("body", "form") for place in places.values()):
                return number
        return self._guards

    def _numbered(self, arguments: Mapping[str, _Place], call: Callable[..., Any]) -> Plan:
        """Turn places into numbers, now that the length of each list is known."""
        before = self._steps_before_intake()
        tables: tuple[tuple[str, int], ...] = (
            ("param", len(self._params)),
            ("given", len(self._given)),
            ("shared", len(self._shared)),
            ("step", before),
            ("body", len(self._bodies)),
            ("form", len(self._form)),
        )
        starts: dict[str, int] = {}
        total = 0
        for kind, length in tables:
            starts[kind] = total
            total += length

        def number(place: _Place) -> int:
            later = place.kind == "step" and place.index >= before
            return (total - before if later else starts[place.kind]) + place.index

        def numbers(places: Mapping[str, _Place]) -> tuple[tuple[str, int], ...]:
            return tuple((name, number(place)) for name, place in places.items())

        order: list[Step | Intake] = [
            Step(factory, numbers(places)) for factory, places in self._steps
        ]
        if self._bodies or self._form:
            order.insert(before, Intake(tuple(self._bodies), tuple(self._form)))
        return Plan(
            head=Head(tuple(self._params), tuple(self._given), tuple(self._shared)),
            body=Body(tuple(order), numbers(arguments)),
            expected=dict(self._expected),
            signature=signature_of(call),
            factories=frozenset(self._used),
        )
