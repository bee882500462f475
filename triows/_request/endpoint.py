"""Serves the requests to one handler: parameters, arguments, the handler, the response."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import evolve, field, frozen
from starlette.responses import Response

from triows._errors import combined
from triows._exchange.asked import data_of, read_head
from triows._exchange.lifetime import Opening
from triows._headers import SteadyHeaders
from triows._injection.call import make_arguments
from triows._injection.factories import FactoryKind
from triows._injection.hosts import ResourceStack
from triows._injection.kinds import APP, NURSERY
from triows._injection.plan import Intake
from triows._injection.readers import read_form as read_form_params
from triows._left_open import refuse_left_open, scopes_of
from triows._reply import Refused, problem
from triows._requires import note_checked
from triows.exceptions import InvalidRequest

from .answering import AnsweringLine
from .body import BadBody, RequestBody
from .checked import unfinished
from .etags import conditional
from .forms import FormReader
from .kind import HEADERS, PARTS, REQUEST, UPLOAD
from .request import Request
from .response_headers import ResponseHeaders, added_to_result, encoded_with
from .responses import begin_response, is_whole, send_response, whole_of
from .serving import ServedRequests
from .streaming import send_parts
from .threads import follow_threads
from .upload import Upload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import trio

    from triows._exchange.catchers import Catchers
    from triows._exchange.lifetime import Lifetime
    from triows._injection.factories import Factory
    from triows._injection.kinds import Given
    from triows._injection.plan import Plan
    from triows._param_error import ParamError
    from triows._requires import Requirement
    from triows.types import Scope

    from .exchange import RequestExchange
    from .forms import Form
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
    #: Whether the handler runs in a thread.
    in_thread: bool
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
    may_need_scope: bool = field(init=False)
    # Whether there is more than parameters to make arguments of.
    _needs_call: bool = field(init=False)

    @_wants_nursery.default
    def _(self) -> bool:
        return NURSERY in self.plan.head.givens

    @_is_streamed.default
    def _(self) -> bool:
        return self.results.kind in _STREAMED

    @_needs_call.default
    def _(self) -> bool:
        head = self.plan.head
        return bool(head.givens or head.shared or self.plan.body.order)

    @needs_lifetime.default
    def _(self) -> bool:
        waits = any(not _is_instant(step.factory) for step in self.plan.body.steps)
        return self._wants_nursery or self._is_streamed or waits or self.in_thread

    @may_need_scope.default
    def _(self) -> bool:
        return self._wants_nursery or self.plan.body.may_need_hosts

    @property
    def needs_scope(self) -> bool:
        return self._wants_nursery or self.plan.body.needs_hosts

    def line_of(self, transport: RequestTransport, scope: Scope) -> AnsweringLine:
        replaced = partial(self.catchers.replaced, scope) if self.catchers else None
        return AnsweringLine(transport, self.settings.timeouts, scope, replaced)

    # Without a lifetime.

    async def answer(self, exchange: RequestExchange) -> None:
        transport, scope = exchange.transport, exchange.scope
        exchange.follow_client()
        encode = self._encoder(scope)
        if self._needs_call:
            call = _Call(self, exchange)
            call.read_head()
            stack = ResourceStack(None, _never, takes_guests=True)
            exchange.hold(stack)
            arguments = await call.arguments(stack, None)
            own = call.headers
            if own is not None:
                encode = partial(encoded_with, own, encode)
        else:
            stack = None
            own = None
            arguments = self._arguments(scope)
        result = await self.handler(**arguments)
        if scopes_of(exchange.task) is not exchange.scopes:
            await refuse_left_open(exchange.scopes)
        if isinstance(result, Response):
            if not is_whole(result) or result.background is not None:
                await _send(result, exchange, own, holds=stack is not None and bool(stack.hosts))
                return
            status, headers, body = whole_of(result, own, method=scope["method"])
        else:
            response = encode(result)
            if self.has_etags:
                response = self._tagged(response, scope)
            status, headers, body = response
        if stack is None and type(headers) is SteadyHeaders:
            rest = transport.answer_nowait(status, headers, body)
        else:
            transport.start(status, headers)
            if stack is not None and stack.hosts:
                await _exit(stack, self.settings.timeouts.teardown)
            rest = transport.send_nowait(body, more=False)
        if rest is not None:
            await rest

    # In a lifetime.

    async def live(self, exchange: RequestExchange) -> None:
        lifetime = exchange.lifetime
        line = lifetime.line
        assert isinstance(line, AnsweringLine)

        async def body(stack: ResourceStack, nursery: trio.Nursery | None) -> None:
            encode = self._encoder(exchange.scope)
            call = _Call(self, exchange)
            if self.plan.body.steps:
                call.limited = lifetime
            call.read_head()
            arguments = await call.arguments(stack, nursery)
            own = call.headers
            if self._is_streamed:
                await self._stream(arguments, exchange, own)
                line.finish = partial(exchange.transport.send_nowait, b"", more=False)
                return
            if self.in_thread:
                lifetime.stragglers = follow_threads()
            result = await self.handler(**arguments)
            if isinstance(result, Response):
                await begin_response(result, exchange.scope, line, own)
                return
            response = encode(result) if own is None else encoded_with(own, encode, result)
            if self.has_etags:
                response = self._tagged(response, exchange.scope)
            status, headers, content = response
            exchange.transport.start(status, headers)
            line.finish = partial(exchange.transport.send_nowait, content, more=False)

        await lifetime.run(
            body,
            wants_nursery=self._wants_nursery,
            enters_resources=self.plan.body.needs_hosts,
        )

    def _stream(
        self,
        arguments: dict[str, Any],
        exchange: RequestExchange,
        own: ResponseHeaders | None,
    ) -> Awaitable[None]:
        stream = self.results.stream
        assert stream is not None
        if own is not None:
            stream = evolve(stream, headers=added_to_result(own, stream.headers))
        return send_parts(
            self.handler(**arguments),
            stream,
            exchange.transport,
            without_body=exchange.scope["method"] == "HEAD",
            interval=self.settings.timeouts.ping_interval,
        )

    # What both have in common.

    def _tagged(self, response: Encoded, scope: Scope) -> Encoded:
        """Add the ETag to a response, or make it a 304."""
        if_none_match = _header(scope["headers"], b"if-none-match")
        return conditional(scope["method"], if_none_match, response)

    def _encoder(self, scope: Scope) -> Encoder:
        """
        Choose how to send the result, if the client may have one.

        Raises:
            Refused: It may not, or accepts nothing that there is.
        """
        if self.requirements:
            self._check_peer(scope)
        encode = self.results.encoder_for(_header(scope["headers"], b"accept"))
        if encode is None:
            raise Refused(self.results.not_acceptable())
        return encode

    def _arguments(self, scope: Scope) -> dict[str, Any]:
        """
        Make the arguments of a handler that only has parameters.

        Raises:
            InvalidRequest: Something is wrong with them.
        """
        plan = self.plan
        if not plan.head.params:
            return {}
        params, errors = read_head(plan.head, scope, self.settings.limits)
        if errors:
            raise InvalidRequest(errors)
        return plan.body.arguments_in(params)

    def _check_peer(self, scope: Scope) -> None:
        """
        Refuse a peer that lacks a scope.

        Raises:
            Refused: It lacks one.
            RouteSetupError: Nobody has authenticated it.
        """
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

    __slots__ = (
        "_body",
        "_endpoint",
        "_errors",
        "_exchange",
        "_form",
        "_params",
        "headers",
        "limited",
    )

    def __init__(self, endpoint: RequestEndpoint, exchange: RequestExchange) -> None:
        self._endpoint = endpoint
        self._exchange = exchange
        #: The lifetime, if there is a limit for the factories.
        self.limited: Lifetime | None = None
        #: What is to be added to the response, if somebody asks for that.
        self.headers: ResponseHeaders | None = None
        self._params: Sequence[Any] = ()
        self._errors: list[ParamError] = []
        self._body: RequestBody | None = None
        self._form: FormReader | None = None

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

    def read_form(self) -> Awaitable[Form]:
        """Wait for the body as a form. See :meth:`.FormReader.read`."""
        if self._form is None:
            self._form = FormReader(self.body, self._endpoint.settings.limits)
        return self._form.read()

    def read_head(self) -> None:
        """
        Read the parameters.

        Raises:
            InvalidRequest: Something is wrong with them. If there is also something to be made from
                the body, that is said later, together with what is wrong there.
        """
        endpoint = self._endpoint
        if not endpoint.plan.head.params:
            return
        self._params, self._errors = read_head(
            endpoint.plan.head, self._exchange.scope, endpoint.settings.limits
        )
        if self._errors and endpoint.plan.body.intake is None:
            raise InvalidRequest(self._errors)

    def values(self, nursery: trio.Nursery | None) -> list[Any]:
        """Make the values that are there before anything is awaited."""
        head = self._endpoint.plan.head
        own = {given: self._given(given, nursery) for given in head.givens} if head.givens else {}
        return head.values(self._params, own, self._endpoint.shared)

    def _given(self, given: Given, nursery: trio.Nursery | None) -> Any:
        if given is REQUEST:
            scope, transport = self._exchange.scope, self._exchange.transport
            return Request(scope, transport, self.body, self.read_form)
        if given is HEADERS:
            self.headers = ResponseHeaders()
            return self.headers
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
        if self.limited is not None and not isinstance(body.order[0], Intake):
            self._limit()
        values = self.values(nursery)
        arguments = await make_arguments(
            body, values, stack, patience=timeouts.teardown, take_in=self._take_in_unlimited
        )
        assert arguments is not None
        if self.limited is not None:
            self.limited.note_opened()
        return arguments

    def _limit(self) -> None:
        if self.limited is not None:
            line = self.limited.line
            assert isinstance(line, AnsweringLine)
            timeouts = self._endpoint.settings.timeouts
            self.limited.note_opening(Opening(timeouts.accept, line.too_slow))

    async def _take_in_unlimited(self, intake: Intake) -> list[Any]:
        """Take in the body, which has a limit of its own, before the factories."""
        if self.limited is not None:
            self.limited.note_opened()
        self._exchange.is_reading = True
        values = await self._take_in(intake)
        self._exchange.is_reading = False
        self._limit()
        return values

    async def _take_in(self, intake: Intake) -> list[Any]:
        """
        Read the body, and make what the intake says.

        Raises:
            InvalidRequest: Something in the request is wrong.
        """
        body = self.body
        body.refuse_early()
        if intake.form:
            return await self._take_form(intake)
        decoders = [spec.decoder.choose(body) for spec in intake.bodies]
        whole = await body.read()
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
        data = data_of(self._exchange.scope, self._endpoint.settings.limits)
        data.form = await self.read_form()
        values, errors = read_form_params(intake.form, data)
        if errors := [*self._errors, *errors]:
            raise InvalidRequest(errors)
        return values


def _header(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    """Return the value of a header, if there is one. Several are one, with commas."""
    known = dict(headers)
    if len(known) == len(headers) and b"host" in known:  # names are in lower case, and come once
        return known.get(wanted)
    found = None
    for name, value in headers:
        if len(name) == len(wanted) and name.lower() == wanted:
            found = value if found is None else found + b", " + value
    return found


async def _send(
    response: Response,
    exchange: RequestExchange,
    own: ResponseHeaders | None,
    *,
    holds: bool,
) -> None:
    """
    Let a response send itself.

    Args:
        response: The response.
        exchange: The request.
        own: What the handler set besides, if it asked for that.
        holds: Whether there are resources. Then the exchange sends it, and holds them.

    Raises:
        RuntimeError: It has returned before its end.
        ClientDisconnect: The client has gone.
    """
    transport, scope = exchange.transport, exchange.scope
    if not holds:
        await send_response(response, scope, transport.asgi_receive, transport.asgi_send, own)
        if not (transport.complete or transport.left):
            raise unfinished(response, is_begun=transport.status is not None)
        return
    line = exchange.lifetime.line
    assert isinstance(line, AnsweringLine)
    exchange.rest = lambda *_: begin_response(response, scope, line, own)


async def _exit(stack: ResourceStack, seconds: float) -> None:
    """
    Let the resources exit of a handler that has returned.

    Raises:
        BaseException: What went wrong in that, as one exception.
    """
    error = combined("errors in one request", await stack.aclose(seconds=seconds))
    try:
        if error is not None:
            raise error
    finally:
        del error  # its traceback refers to this frame


def _is_instant(factory: Factory) -> bool:
    """Say whether a factory can't hang, so that it needs no limit, and neither do its exits."""
    return factory.kind is FactoryKind.FUNCTION or not (factory.waits or factory.outlasts)


def _never(_resource: object) -> NoReturn:
    """Be called when a resource fails. A plain function makes none."""
    raise AssertionError
