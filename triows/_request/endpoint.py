"""Serves the requests to one handler: parameters, arguments, the handler, the response."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import evolve, field, frozen
from starlette.responses import Response

from triows._exchange.asked import data_of
from triows._exchange.lifetime import Opening
from triows._injection.call import make_arguments
from triows._injection.factories import FactoryKind
from triows._injection.hosts import ResourceStack
from triows._injection.kinds import APP, NURSERY
from triows._injection.readers import read_form as read_form_params
from triows._reply import Refused, problem
from triows._requires import note_checked
from triows.exceptions import InvalidRequest

from .answering import AnsweringLine
from .body import BadBody, RequestBody
from .etags import conditional
from .forms import read_form
from .kind import PARTS, REQUEST, UPLOAD
from .request import Request
from .responses import begin_response, is_whole
from .serving import ServedRequests
from .streaming import send_parts
from .upload import Upload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import trio

    from triows._exchange.catchers import Catchers
    from triows._exchange.lifetime import Lifetime
    from triows._injection.kinds import Given
    from triows._injection.plan import Intake, Plan
    from triows._injection.query import ParamError, RequestData
    from triows._requires import Requirement
    from triows.types import Scope

    from .exchange import RequestExchange
    from .results import Encoded, Encoder, ResultPlan
    from .transport import RequestTransport

__all__ = ["RequestEndpoint"]

# The kinds of results that are sent while the handler runs.
_STREAMED = ("events", "parts")


@frozen(eq=False, kw_only=True)
class RequestEndpoint(ServedRequests):
    """A handler of requests, with everything that is needed to serve them."""

    plan: Plan
    results: ResultPlan
    #: Whether whole results get an ``ETag``, and may be answered with 304.
    has_etags: bool
    #: What is given for the application.
    app: Any
    #: The application's resources, by factory. It changes at start-up and shutdown.
    shared: Mapping[Callable[..., Any], Any]
    #: What the peer needs.
    requirements: tuple[Requirement, ...]
    catchers: Catchers
    _wants_nursery: bool = field(init=False)
    _is_streamed: bool = field(init=False)
    needs_lifetime: bool = field(init=False)

    @_wants_nursery.default
    def _(self) -> bool:
        return NURSERY in self.plan.head.givens

    @_is_streamed.default
    def _(self) -> bool:
        return self.results.kind in _STREAMED

    @needs_lifetime.default
    def _(self) -> bool:
        # Plain functions can't hang, so they need no limit, and nothing of them has to be closed.
        kinds = {step.factory.kind for step in self.plan.body.steps}
        return self._wants_nursery or self._is_streamed or not kinds <= {FactoryKind.FUNCTION}

    def line_of(self, transport: RequestTransport, scope: Scope) -> AnsweringLine:
        replaced = partial(self.catchers.replaced, scope) if self.catchers else None
        return AnsweringLine(transport, self.settings.timeouts, scope, replaced)

    # Without a lifetime.

    async def answer(self, exchange: RequestExchange) -> None:
        transport = exchange.transport
        transport.on_left = exchange.note_left
        if transport.left:  # before anybody listened
            exchange.note_left()
        encode, call = self._begun(exchange)
        if self.plan.body.order:
            stack = ResourceStack(None, _never)
            arguments = await call.arguments(stack, None)
        else:
            arguments = self.plan.body.arguments_in(call.values(None))
        result = await self.handler(**arguments)
        if isinstance(result, Response):
            if not is_whole(result) or result.background is not None:
                await result(exchange.scope, transport.asgi_receive, transport.asgi_send)
                return
            transport.start(result.status_code, result.raw_headers)
            body = bytes(result.body)
        else:
            status, headers, body = self._encoded(encode, result, exchange.scope)
            transport.start(status, headers)
        rest = transport.send_nowait(body, more=False)
        if rest is not None:
            await rest

    # In a lifetime.

    async def live(self, exchange: RequestExchange) -> None:
        lifetime = exchange.lifetime
        line = lifetime.line
        assert isinstance(line, AnsweringLine)
        if exchange.transport.left:  # before anybody listened
            lifetime.note_gone()

        async def body(stack: ResourceStack, nursery: trio.Nursery | None) -> None:
            encode, call = self._begun(exchange)
            arguments = await call.arguments(stack, nursery, lifetime)
            if self._is_streamed:
                await self._stream(arguments, exchange)
                line.finish = partial(exchange.transport.send_nowait, b"", more=False)
                return
            result = await self.handler(**arguments)
            if isinstance(result, Response):
                await begin_response(result, exchange.scope, line)
                return
            status, headers, content = self._encoded(encode, result, exchange.scope)
            exchange.transport.start(status, headers)
            line.finish = partial(exchange.transport.send_nowait, content, more=False)

        await lifetime.run(
            body,
            wants_nursery=self._wants_nursery,
            enters_resources=self.plan.body.needs_hosts,
        )

    def _stream(self, arguments: dict[str, Any], exchange: RequestExchange) -> Awaitable[None]:
        assert self.results.stream is not None
        return send_parts(
            self.handler(**arguments),
            self.results.stream,
            exchange.transport,
            without_body=exchange.scope["method"] == "HEAD",
            interval=self.settings.timeouts.ping_interval,
        )

    # What both have in common.

    def _encoded(self, encode: Encoder, result: Any, scope: Scope) -> Encoded:
        if not self.has_etags:
            return encode(result)
        if_none_match = _header(scope["headers"], b"if-none-match")
        return conditional(scope["method"], if_none_match, encode(result))

    def _begun(self, exchange: RequestExchange) -> tuple[Encoder, _Call]:
        """
        Read what is in the head of a request.

        Raises:
            Refused: The request is refused because of its head.
        """
        scope = exchange.scope
        self._check_peer(scope)
        encode = self.results.encoder_for(_header(scope["headers"], b"accept"))
        if encode is None:
            raise Refused(self.results.not_acceptable())
        call = _Call(self, exchange)
        if self.plan.head.params:
            call.read_head()
        return encode, call

    def _check_peer(self, scope: Scope) -> None:
        """
        Refuse a peer that lacks a scope.

        Raises:
            Refused: It lacks one.
            RouteSetupError: Nobody has authenticated it.
        """
        if not self.requirements:
            return
        missed = next((one for one in self.requirements if not one.is_met(scope)), None)
        note_checked(self.requirements)
        if missed is not None:
            why = "it lacks a scope that @requires asks for"
            raise Refused(evolve(problem(missed.status), why=why))


class _Call:
    """
    What one request gives to the handler.

    Args:
        endpoint: What serves the request.
        exchange: The request.
    """

    __slots__ = ("_body", "_data", "_endpoint", "_errors", "_exchange", "_params")

    def __init__(self, endpoint: RequestEndpoint, exchange: RequestExchange) -> None:
        self._endpoint = endpoint
        self._exchange = exchange
        self._params: Sequence[Any] = ()
        self._errors: list[ParamError] = []
        self._data: RequestData | None = None
        self._body: RequestBody | None = None

    @property
    def body(self) -> RequestBody:
        """The body of the request."""
        if self._body is None:
            transport = self._exchange.transport
            transport.receive_timeout = self._endpoint.settings.timeouts.receive
            self._body = RequestBody(
                transport.receive,
                headers=self._exchange.scope["headers"],
                limit=self._endpoint.settings.limits.body,
            )
        return self._body

    def read_head(self) -> None:
        """
        Read the parameters.

        Raises:
            InvalidRequest: Something is wrong with them. If there is also something to be made from
                the body, that is said later, together with what is wrong there.
        """
        endpoint = self._endpoint
        self._data = data_of(self._exchange.scope, endpoint.settings.limits)
        self._params, self._errors = endpoint.plan.head.read(self._data)
        if self._errors and endpoint.plan.body.intake is None:
            raise InvalidRequest(self._errors)

    def values(self, nursery: trio.Nursery | None) -> list[Any]:
        """Make the values that are there before anything is awaited."""
        head = self._endpoint.plan.head
        own = {given: self._given(given, nursery) for given in head.givens} if head.givens else {}
        return head.values(self._params, own, self._endpoint.shared)

    def _given(self, given: Given, nursery: trio.Nursery | None) -> Any:
        if given is REQUEST:
            return Request(self._exchange.scope, self._exchange.transport, self.body)
        if given is NURSERY:
            return nursery
        if given is APP:
            return self._endpoint.app
        if given is UPLOAD:
            return Upload(self.body, self._endpoint.settings.limits)
        assert given is PARTS
        return self.body

    async def arguments(
        self,
        stack: ResourceStack,
        nursery: trio.Nursery | None,
        lifetime: Lifetime | None = None,
    ) -> dict[str, Any]:
        """
        Call the guards, take in the body, call the factories, and return the handler's arguments.

        Raises:
            BaseException: One of them raised this.
        """
        endpoint, body = self._endpoint, self._endpoint.plan.body
        timeouts = endpoint.settings.timeouts
        if self._errors:
            assert body.intake is not None
            await self._take_in(body.intake)  # to say everything that is wrong
        opening = None
        if lifetime is not None and body.steps:
            assert isinstance(lifetime.line, AnsweringLine)
            opening = Opening(timeouts.accept, lifetime.line.too_slow)

        async def take_in(intake: Intake) -> list[Any]:
            if lifetime is None or opening is None:
                return await self._take_in(intake)
            lifetime.note_opened()  # the body has a limit of its own
            values = await self._take_in(intake)
            lifetime.note_opening(opening)
            return values

        if lifetime is not None and opening is not None:
            lifetime.note_opening(opening)
        arguments = await make_arguments(
            body, self.values(nursery), stack, patience=timeouts.teardown, take_in=take_in
        )
        assert arguments is not None
        if lifetime is not None and opening is not None:
            lifetime.note_opened()
        return arguments

    async def _take_in(self, intake: Intake) -> list[Any]:
        """
        Read the body, and make what the intake says.

        Raises:
            InvalidRequest: Something in the request is wrong.
        """
        self.body.refuse_early()
        if intake.form:
            return await self._take_form(intake)
        decoders = [spec.decoder.choose(self.body) for spec in intake.bodies]
        whole = await self.body.read()
        values, errors = [], self._errors
        for decode in decoders:
            try:
                values.append(decode(whole))
            except BadBody as exc:
                errors += exc.errors
        if errors:
            raise InvalidRequest(errors)
        return values

    async def _take_form(self, intake: Intake) -> list[Any]:
        limits = self._endpoint.settings.limits
        data = self._data or data_of(self._exchange.scope, limits)
        data.form = await read_form(self.body, limits)
        values, errors = read_form_params(intake.form, data)
        if errors := [*self._errors, *errors]:
            raise InvalidRequest(errors)
        return values


def _header(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    """Return the value of a header, if there is one. Several are one, with commas."""
    found = None
    for name, value in headers:
        if len(name) == len(wanted) and name.lower() == wanted:
            found = value if found is None else found + b", " + value
    return found


def _never(_resource: object) -> NoReturn:
    """Be called when a resource fails. A plain function makes none."""
    raise AssertionError
