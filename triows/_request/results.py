"""
Results: what a handler returns, and how it is sent.

The return annotation decides, once, when the handler is registered. :func:`plan_result` makes a
:class:`ResultPlan` of it. For each request, the plan has an encoder for what the client accepts,
which turns a value into a status, headers and a body.

=================================  ==============================================
annotation                         response
=================================  ==============================================
what msgspec or pydantic writes    JSON, or MessagePack if the client prefers it
``str``, ``HTML``                  ``text/plain``, ``text/html``
``bytes``                          ``application/octet-stream``
``Annotated[bytes, Media(...)]``   that media type
``None``                           204 without a body
a class of Starlette's responses   what the response says
none, ``Any``, ``object``          whatever the value is, by the rows above
``EventStream``                    an event stream
another async iterator             its parts; items that aren't bytes or str are JSON lines
=================================  ==============================================

In a union, the class of the value chooses the member, and each member may have a status. A value
that has more than its annotation says is an error, also inside another one (see ``_shapes.py``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from types import NoneType
from typing import Any, Literal, Never, NoReturn, TypeAlias, TypeVar, Union

from attrs import evolve, field, frozen
from starlette.responses import Response

from triows._annotations import mentions, type_name, unnamed
from triows._headers import SteadyHeaders
from triows._injection.signatures import Unresolved
from triows._reply import Reply, not_acceptable
from triows._shapes import classes_of
from triows.exceptions import HTTPException
from triows.types import HTML

from .accept import preferred
from .declared import Annotation, Declared, checked_status
from .events import ServerSentEvent
from .representations import (
    BINARY,
    CANT_WRITE,
    STRUCTURED,
    TEXT,
    Alternative,
    Write,
    unsendable,
    writers_of,
)
from .streams import Stream, is_iterator, plan_stream

__all__ = ["Alternative", "Encoded", "Encoder", "ResultPlan", "plan_result"]

#: The status, the headers and the body.
Encoded: TypeAlias = tuple[int, Sequence[tuple[bytes, bytes]], bytes]
#: Turns what the handler returned into a response. Raises :exc:`TypeError` if that is impossible.
Encoder: TypeAlias = Callable[[Any], Encoded]
Kind: TypeAlias = Literal["whole", "events", "parts", "response", "dynamic"]

#: How many ``Accept`` headers a plan remembers, and how long they may be. Browsers and libraries
#: send a few fixed ones, the longest about 150 bytes. If there are more, the plan starts again.
KEPT = 64
KEPT_SIZE = 512

# Caches must not give MessagePack to a client that wants JSON (RFC 9110 section 12.5.5).
_VARY = (b"vary", b"accept")

_JSON = "application/json"


@frozen(eq=False)
class ResultPlan:
    """
    How the results of a handler are sent.

    Attributes:
        kind: ``"whole"``: there is an encoder. ``"response"``: the handler returns a response of
            Starlette's. ``"dynamic"``: it may be such a response, and there is an encoder for
            everything else. ``"events"`` and ``"parts"``: there is a :attr:`stream`.
        alternatives: The responses that the annotation declares.
        problems: The exceptions in the annotation, which the handler may raise.
        stream: How the parts of a stream are sent.
    """

    kind: Kind
    alternatives: tuple[Alternative, ...]
    problems: tuple[type[HTTPException], ...]
    stream: Stream | None
    _annotation: str
    _where: str
    _kept: dict[bytes | None, Encoder | None] = field(factory=dict, init=False)

    def encoder_for(self, accept: bytes | None) -> Encoder | None:
        """
        Return what encodes the handler's result for a client.

        If at least one alternative is acceptable, the others are sent in any case, since a client
        can't know which one comes. A ``"dynamic"`` result is always acceptable.

        Args:
            accept: The value of the request's ``Accept``, if there is one. Several are joined
                with commas.

        Returns:
            ``None`` if the client accepts nothing that the handler can return: a 406. The encoder
            raises :exc:`TypeError` for a value that can't be sent as the annotation says.
        """
        try:
            return self._kept[accept]
        except KeyError:
            return self._negotiated(accept)

    def accepts_stream(self, accept: bytes | None) -> bool:
        """Say whether a client accepts the stream. If not, the answer is a 406."""
        return self.encoder_for(accept) is not None

    def not_acceptable(self) -> Reply:
        """Make the 406 that says which media types there are."""
        return not_acceptable(self._offered)

    @property
    def _offered(self) -> list[str]:
        return list(dict.fromkeys(name for one in self.alternatives for name in one.writers))

    def _negotiated(self, accept: bytes | None) -> Encoder | None:
        encoder = self._encoder(accept)
        if len(accept or b"") <= KEPT_SIZE:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[accept] = encoder
        return encoder

    def _encoder(self, accept: bytes | None) -> Encoder | None:
        chosen = [preferred(accept, one.media_types) for one in self.alternatives]
        if self.kind != "dynamic" and self._offered and not any(chosen):
            return None
        encoders = [
            (one.classes, self._encoder_of(one, one.status, media or next(iter(one.writers), None)))
            for one, media in zip(self.alternatives, chosen, strict=True)
            if one.status is not None and not one.is_response
        ]
        return encoders[0][1] if len(encoders) == 1 else _by_class(encoders, self._refused)

    def _encoder_of(self, one: Alternative, status: int, media: str | None) -> Encoder:
        classes = one.classes if len(one.classes) > 1 else one.classes[0]
        if media is None:
            return _without_body(status, classes, self._refused)
        head = [(b"content-type", media.encode())]
        if len(one.writers) > 1:
            head.append(_VARY)
        # MessagePack has no integers of more than 64 bits, and JSON has. The handler has done its
        # work, so a 406 would be wrong. RFC 9110 section 12.5.1 lets a server send something else.
        is_packed = one.is_structured and media != _JSON
        instead = self._encoder_of(one, status, _JSON) if is_packed else None
        write = one.writers[media]
        return _with_body(status, SteadyHeaders(head), write, classes, self._refused, instead)

    def _refused(self, value: Any, reason: object = None) -> TypeError:
        return unsendable(value, self._annotation, self._where, reason)


_Refused: TypeAlias = Callable[..., TypeError]

_EMPTY = (b"content-length", b"0")


def _with_body(
    status: int,
    head: SteadyHeaders,
    write: Write,
    classes: Any,
    refused: _Refused,
    instead: Encoder | None = None,
) -> Encoder:
    def encode(value: Any) -> Encoded:
        if not isinstance(value, classes):
            raise refused(value)
        try:
            body = write(value)
        except CANT_WRITE as exc:
            if instead is not None and isinstance(exc, OverflowError):
                return instead(value)
            raise refused(value, exc) from exc
        # The server says how long it is, unless it would take it for a body that wasn't made.
        return status, head if body else (*head, _EMPTY), body

    return encode


def _without_body(status: int, classes: Any, refused: _Refused) -> Encoder:
    # A 204 must not have a Content-Length (RFC 9110 section 8.6). All others need one.
    headers = () if status == 204 else (_EMPTY,)
    response: Encoded = (status, headers, b"")

    def encode(value: Any) -> Encoded:
        if not isinstance(value, classes):
            raise refused(value)
        return response

    return encode


def _by_class(encoders: Sequence[tuple[tuple[type, ...], Encoder]], refused: _Refused) -> Encoder:
    """Let the nearest class of a value choose the encoder."""
    table = {cls: encode for classes, encode in encoders for cls in classes}
    others = table.pop(object, None)

    def find(value: Any) -> Encoder:
        for cls in type(value).__mro__:
            if cls in table:
                return table[cls]
        # Abstract classes, such as Sequence, aren't among the bases of a list.
        found = next((table[cls] for cls in table if isinstance(value, cls)), others)
        if found is None:
            raise refused(value)
        return found

    def encode(value: Any) -> Encoded:
        return (table.get(type(value)) or find(value))(value)

    return encode


# Planning.


def plan_result(
    annotation: Any, *, status: Any = None, is_generator: bool = False, where: str
) -> ResultPlan:
    """
    Decide how the results of a handler are sent.

    Args:
        annotation: The return annotation, evaluated. :data:`inspect.Signature.empty` if there is
            none.
        status: What was given to the decorator. It is for members without a status of their own.
        is_generator: Whether the handler is a generator function, async or not.
        where: ``file:line (name)`` of the handler.

    Raises:
        HandlerSignatureError: Nothing can be sent as the annotation says, or two things in it
            contradict. The text says what to write instead.
    """
    written = Annotation(annotation, where)
    if isinstance(annotation, Unresolved):
        written.refuse(
            f"{annotation.name!r} can't be resolved: define or import it at module level, not "
            "under TYPE_CHECKING"
        )
    return _Planning(written, status, is_generator).plan()


_NEVER = (NoReturn, Never)
_UNKNOWN = (inspect.Signature.empty, Any, object)
_WITHOUT_BODY = (204, 205)


@frozen
class _Planning:
    annotation: Annotation
    status: Any
    is_generator: bool

    def plan(self) -> ResultPlan:
        members = self.annotation.members()
        self._check_given()
        if self.is_generator or any(is_iterator(one.type) for one in members):
            stream = plan_stream(
                self.annotation, members, given=self.status, is_generator=self.is_generator
            )
            return self._plan(stream.kind, [stream.alternative], stream=stream)
        problems = [self._problem(one) for one in members if _is_exception(one.type)]
        returned = [
            one for one in members if one.type not in _NEVER and not _is_exception(one.type)
        ]
        for one in members:
            if one.type in _NEVER and (one.status or one.media):
                self.annotation.refuse(
                    f"{one.name} has a status or a media type, and the handler returns nothing: "
                    "leave it out, and raise an HTTPException with its status"
                )
        self._check_effect(returned)
        if len(returned) == 1 and _is_unknown(returned[0]):
            return self._plan("dynamic", self._by_value(returned[0]), problems)
        alternatives = self._told_apart(returned)
        responses = [one for one in alternatives if one.is_response]
        kind: Kind = "dynamic" if responses else "whole"
        if responses and len(responses) == len(alternatives):
            kind = "response"
        return self._plan(kind, alternatives, problems)

    def _plan(
        self,
        kind: Kind,
        alternatives: Sequence[Alternative],
        problems: Sequence[type[HTTPException]] = (),
        stream: Stream | None = None,
    ) -> ResultPlan:
        annotation = self.annotation
        return ResultPlan(
            kind,
            tuple(alternatives),
            tuple(problems),
            stream,
            "HTML" if annotation.value == HTML else type_name(annotation.value),
            annotation.where,
        )

    # Statuses

    def _check_given(self) -> None:
        if self.status is not None:
            try:
                checked_status(self.status)
            except ValueError as exc:
                self.annotation.refuse_given(self.status, str(exc))

    def _check_effect(self, returned: Sequence[Declared]) -> None:
        """Refuse a status in the decorator that would have no effect."""
        if self.status is None or any(
            one.status is None and not _is_response(one.type) for one in returned
        ):
            return
        if any(_is_response(one.type) for one in returned):
            why = "Response(status_code=...) says it"
        else:
            why = "the annotation has a status for everything that the handler returns"
        self.annotation.refuse_given(self.status, f"{why}: leave the argument out")

    def _status(self, member: Declared, default: int, *, has_body: bool) -> int:
        chosen = self.status if member.status is None else member.status
        try:
            return checked_status(default if chosen is None else chosen, has_body=has_body)
        except ValueError as exc:
            self.annotation.refuse(f"{member.name}: {exc}")

    # Members

    def _problem(self, member: Declared) -> type[HTTPException]:
        if not issubclass(member.type, HTTPException):
            self.annotation.refuse(
                f"{member.name} is an exception that no client understands: make it an HTTPProblem"
            )
        if member.media is not None or member.is_json:
            self.annotation.refuse(
                f"{member.name} is always application/problem+json: leave Media and JSON out"
            )
        cls: type[HTTPException] = member.type
        own = getattr(cls, "__status__", member.status)
        if own is None and cls is HTTPException:
            self.annotation.refuse(
                f"{member.name} says no status: raise it, and leave it out here, or make a class "
                "of HTTPProblem with the __status__"
            )
        if member.status not in (None, own):
            self.annotation.refuse(
                f"{member.name} has the status {own} of its own: leave out {member.status}"
            )
        return cls

    def _by_value(self, member: Declared) -> list[Alternative]:
        """Return the alternatives for values whose type isn't declared."""
        chosen = self.status if member.status is None else member.status
        status = None if chosen is None else checked_status(chosen)
        nothing = Alternative(status or 204, None, {}, (NoneType,))
        if status in _WITHOUT_BODY:
            return [nothing]
        known = ((str, TEXT), (bytes, BINARY), (object, STRUCTURED))
        return [
            nothing,
            *(Alternative(status or 200, cls, how, classes_of(cls)) for cls, how in known),
        ]

    def _alternative(self, member: Declared) -> Alternative:
        if _is_response(member.type):
            self._check_response(member)
            return Alternative(None, member.type, {}, (member.type,), is_response=True)
        if mentions(member.type, ServerSentEvent):
            self.annotation.refuse(
                f"{member.name} would be sent as JSON: for a stream of events, annotate `-> "
                "EventStream`, and `yield` each ServerSentEvent"
            )
        if _is_nothing(member):
            if member.media is not None:
                self.annotation.refuse("None has no body, so it has no media type")
            return Alternative(self._status(member, 204, has_body=False), None, {}, (NoneType,))
        try:
            writers = writers_of(member)
        except (TypeError, ValueError) as exc:
            self.annotation.refuse(str(exc))
        status = self._status(member, 200, has_body=True)
        return Alternative(status, member.type, writers, classes_of(member.type))

    def _check_response(self, member: Declared) -> None:
        """Refuse what is said about a response that says it itself."""
        name = member.name
        if member.media is not None:
            self.annotation.refuse(f"{name} says its media type: leave Media(...) out")
        if member.status is not None:
            self.annotation.refuse(
                f"{name} says its status: leave {member.status} out, and return "
                f"{name}(..., status_code={member.status})"
            )
        if member.is_json:
            self.annotation.refuse(f"{name} is sent as it is: write `{name}` without JSON[...]")

    def _told_apart(self, members: Sequence[Declared]) -> list[Alternative]:
        """Make the alternatives, and check that the class of each value chooses one of them."""
        made = [self._alternative(one) for one in members]
        self._check_nulls(members, made)
        alternatives = list(_joined(made))
        self._check_classes(alternatives)
        return alternatives

    def _check_nulls(self, members: Sequence[Declared], made: Sequence[Alternative]) -> None:
        """Refuse a ``None`` that would be JSON's null, if nothing beside it is JSON."""
        others = [member for member in members if not member.is_null]
        if len(others) < len(members) and not any(
            one.is_structured
            for member, one in zip(members, made, strict=True)
            if not member.is_null
        ):
            name = others[0].name if others else "..."
            self.annotation.refuse(
                f"{name} isn't JSON, so None can't be JSON's null beside it: write "
                f"`{name} | Annotated[None, status.NO_CONTENT]`, or `JSON[{name} | None]`"
            )

    def _check_classes(self, alternatives: Sequence[Alternative]) -> None:
        seen: dict[type, Alternative] = {}
        for one in alternatives:
            for cls in one.classes:
                other = seen.setdefault(cls, one)
                if other is not one:
                    self._refuse_twice(cls, other, one)

    def _refuse_twice(self, cls: type, *both: Alternative) -> None:
        first, second = (f"{_shown(one)} ({one.status})" for one in both)
        self.annotation.refuse(
            f"a {cls.__name__} could be {first} or {second}, and nothing tells which: make a class "
            "for each, return one of Starlette's responses, or raise an HTTPProblem in place of one"
        )


def _shown(one: Alternative) -> str:
    """Name an alternative, with its media type if that isn't a matter of the client."""
    name = type_name(one.type)
    media = "" if one.is_structured else ", ".join(one.writers)
    return f"{name} as {media}" if media else name


def _joined(made: Sequence[Alternative]) -> Iterator[Alternative]:
    """Make one alternative of those that are written in the same way and have the same status."""
    for one in made:
        same = [other for other in made if other.status == one.status and _is_alike(one, other)]
        if len(same) < 2:
            yield one
        elif same[0] is one:
            type_: Any = Union[tuple(other.type for other in same)]  # noqa: UP007
            classes = dict.fromkeys(cls for other in same for cls in other.classes)
            writers = writers_of(Declared(type_)) if one.is_structured else one.writers
            yield evolve(one, type=type_, writers=writers, classes=tuple(classes))


def _is_alike(one: Alternative, other: Alternative) -> bool:
    """Say whether two are written in the same way, so that nobody has to tell them apart."""
    if one.is_structured:
        return other.is_structured
    return one is other or bool(one.writers and one.writers == other.writers)


def _is_exception(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, BaseException)


def _is_response(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, Response)


def _is_nothing(member: Declared) -> bool:
    return member.type is NoneType and not member.is_null and not member.is_json


def _is_unknown(member: Declared) -> bool:
    unknown = member.type in _UNKNOWN or isinstance(unnamed(member.type), TypeVar)
    return unknown and member.media is None and not member.is_json
