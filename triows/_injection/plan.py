"""
What a handler needs, as a list of values to make in order.

A :class:`Plan` has two halves. Its :class:`Head` is made at once: parameters from the request,
givens, and the application's resources. Its :class:`Body` has a step for each guard and factory,
and is awaited. Between the guards and the factories is the :class:`Intake`, if the plan has one: it
says what is made from the body of the request. Values refer to each other by their position in that
list, so nothing has to be inspected while a connection is served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from triows._where import name_of, where
from triows.exceptions import NotRunningError

from .readers import read_params

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Mapping, Sequence

    from triows._param_error import ParamError

    from .factories import Factory
    from .kinds import Given
    from .parameter import Parameter
    from .plain import PlainText
    from .query import RequestData
    from .readers import ParamSpec

__all__ = ["Body", "BodySpec", "Head", "Intake", "Plan", "Step"]


@frozen
class Head:
    """The values that are there before anything is awaited."""

    params: tuple[ParamSpec, ...]
    givens: tuple[Given, ...]
    #: Factories whose values live from start-up to shutdown, as the user named them.
    shared: tuple[Callable[..., Any], ...]
    #: The parameters, if all of them can be read by :func:`.plain.read_plain`.
    plain: tuple[PlainText, ...] | None = field(init=False)

    @plain.default
    def _(self) -> tuple[PlainText, ...] | None:
        plain = tuple(spec.plain for spec in self.params if spec.plain is not None)
        return plain if len(plain) == len(self.params) else None

    def read(self, data: RequestData) -> tuple[list[Any], list[ParamError]]:
        """Read the parameters. Results and errors are those of :func:`.read_params`."""
        return read_params(self.params, data)

    def values(
        self,
        params: Sequence[Any],
        own: Mapping[Given, Any],
        shared: Mapping[Callable[..., Any], Any],
    ) -> list[Any]:
        """
        Make the plan's first values: parameters, then givens, then the application's resources.

        Args:
            params: What :meth:`read` has returned.
            own: The value of each given.
            shared: The application's resources, by factory.

        Raises:
            NotRunningError: The application's start-up hasn't made one of its resources.
        """
        values = list(params)
        for given in self.givens:
            values.append(own[given])  # noqa: PERF401 - each comprehension costs a call
        for factory in self.shared:
            if factory not in shared:
                raise _not_running(factory)
            values.append(shared[factory])
        return values


def _not_running(factory: Callable[..., Any]) -> NotRunningError:
    return NotRunningError(
        f"{name_of(factory)} lives as long as the application, and the application has not been "
        "started: serve it by a server that runs its lifespan; in a test, use open_app() or `with "
        "TestClient(app)`; if it is mounted, put `async with app.running()` into the outer "
        f"application's lifespan\n  at {where(factory)}"
    )


@frozen
class BodySpec:
    """
    A parameter that is made from the whole body of a request.

    Args:
        known: What is known of it. If that is equal for two parameters, both are the same.
        decoder: What makes it, as :attr:`.BodyKind.decoder` has returned it.
    """

    known: Parameter
    decoder: Any = field(eq=False, repr=False)


@frozen
class Intake:
    """What is made from the body of a request: either its fields as a form, or it as a whole."""

    bodies: tuple[BodySpec, ...]
    form: tuple[ParamSpec, ...]


@frozen
class Step:
    """One call of a factory. Its arguments are positions in the plan's list of values."""

    factory: Factory
    arguments: tuple[tuple[str, int], ...]


@frozen
class Body:
    """
    What is awaited once: the steps, and then the handler's arguments.

    The results of the steps, and those of the intake, come after the values of the head, in order.
    """

    #: The steps, and the intake, in order.
    order: tuple[Step | Intake, ...]
    arguments: tuple[tuple[str, int], ...]
    steps: tuple[Step, ...] = field(init=False)
    intake: Intake | None = field(init=False)
    #: The factories of resources that have to be exited.
    _exited: tuple[Factory, ...] = field(init=False)

    @steps.default
    def _(self) -> tuple[Step, ...]:
        return tuple(one for one in self.order if isinstance(one, Step))

    @intake.default
    def _(self) -> Intake | None:
        return next((one for one in self.order if isinstance(one, Intake)), None)

    @_exited.default
    def _(self) -> tuple[Factory, ...]:
        return tuple(step.factory for step in self.steps if step.factory.hosted)

    @property
    def may_need_hosts(self) -> bool:
        """Whether :attr:`needs_hosts` can be true."""
        return bool(self._exited)

    @property
    def needs_hosts(self) -> bool:
        """Whether a resource needs a task of its own."""
        for factory in self._exited:  # noqa: SIM110 - any() costs a generator
            if factory.holding.is_possible:
                return True
        return False

    # The names of the arguments, if these are all values of the plan, in order.
    _names: tuple[str, ...] | None = field(init=False)

    @_names.default
    def _(self) -> tuple[str, ...] | None:
        in_order = [place for _, place in self.arguments] == [*range(len(self.arguments))]
        return tuple(name for name, _ in self.arguments) if in_order else None

    def arguments_in(self, values: Sequence[Any]) -> dict[str, Any]:
        """Choose the handler's arguments among all values of the plan."""
        if self._names is not None:
            return dict(zip(self._names, values, strict=False))
        return {name: values[place] for name, place in self.arguments}


@frozen
class Plan:
    """How to make the arguments of one handler, and what was found out about it."""

    head: Head
    body: Body
    #: The classes of the values of :attr:`Head.shared`, if that can be checked.
    expected: Mapping[Callable[..., Any], tuple[type, ...] | None]
    signature: inspect.Signature
    #: All factories of the steps, as the user named them, even if others override them.
    factories: frozenset[Callable[..., Any]]
