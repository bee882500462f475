"""
Requests made from the public description of an application, and what it says of the answers.

Nothing here knows the handlers: :attr:`triows.Triows.routes` is the only source. So a mistake in
the description is found as well as one in what is served.
"""

from __future__ import annotations

import string
from datetime import date, datetime, time
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin
from urllib.parse import quote, quote_plus, urlencode

import h11
import msgspec
import pydantic
from attrs import evolve, field, frozen
from hypothesis import strategies as st
from msgspec import inspect as types

from triows import BodyInfo, Parameter, RouteInfo, Triows, UploadFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Asked", "Got", "bodies", "is_declared", "read", "scalar", "spoiled", "valid"]

_BOUNDARY = "limit"
_FORM_DATA = "multipart/form-data"
_MEDIA = ("application/json", "application/msgpack")


@frozen
class Asked:
    """A request as it was made from a description."""

    route: RouteInfo = field(repr=False)
    path: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[tuple[str, str], ...] = ()
    form: tuple[tuple[str, str | bytes], ...] = ()
    content_type: str | None = None
    content: bytes = b""
    #: The parameters that are in it, by the field they are in.
    given: tuple[tuple[str, Parameter], ...] = field(default=(), repr=False)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(f"the request {self.encode()!r}")

    @property
    def target(self) -> str:
        path = self.route.path
        for name, text in self.path:
            path = path.replace(f"{{{name}:path}}", quote(text)).replace(
                f"{{{name}}}", quote(text, safe="")
            )
        return f"{path}?{urlencode(self.query)}" if self.query else path

    def encode(self, *lines: str, method: str | None = None) -> bytes:
        """Write it. The server closes the connection behind its answer."""
        content = self.content
        head = [f"{method or self.route.method} {self.target} HTTP/1.1", "Host: testserver"]
        head += [f"{name}: {value}" for name, value in self.headers]
        if self.cookies:
            head.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies))
        if self.content_type is not None:
            head.append(f"Content-Type: {self.content_type}")
        if content or self.route.method not in ("GET", "DELETE"):
            head.append(f"Content-Length: {len(content)}")
        head += [*lines, "Connection: close", "", ""]
        return "\r\n".join(head).encode("latin-1") + content


@frozen
class Got:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def media_type(self) -> str | None:
        return self.headers.get("content-type")

    @property
    def is_problem(self) -> bool:
        """Whether it is a problem document (:rfc:`9457`) that says its own status."""
        if self.media_type != "application/problem+json":
            return False
        document = msgspec.json.decode(self.body, type=dict[str, Any])
        return bool(document["status"] == self.status and document["title"])


def read(data: bytes, method: str) -> Got | None:
    """Read all that came on a connection. ``None`` if nothing came."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("host", "testserver")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    client.receive_data(b"")
    head, body = None, b""
    while True:
        event = client.next_event()
        if isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
            break
    if head is None:
        return None
    assert client.trailing_data[0] == b"", "there is something behind the response"
    return Got(head.status_code, {n.decode(): v.decode() for n, v in head.headers}, body)


# Values by type. They are what JSON has, so that they can be written in every format.

_NAMES = st.text(string.ascii_letters, min_size=1, max_size=8)
_TEXT = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x85")


_LARGE = (2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**30)


def _texts(known: types.StrType) -> st.SearchStrategy[str]:
    assert known.pattern is None
    return st.text(_TEXT, min_size=known.min_length or 0, max_size=known.max_length or 12)


def _integers(known: types.IntType) -> st.SearchStrategy[int]:
    least = known.ge if known.gt is None else known.gt + 1
    most = known.le if known.lt is None else known.lt - 1
    made = st.integers(-(2**62) if least is None else least, 2**62 if most is None else most)
    # JSON has integers of any size. MessagePack has 64 bits.
    return made | st.sampled_from(_LARGE) if least is most is None else made


def _floats(known: types.FloatType) -> st.SearchStrategy[float]:
    return st.floats(
        min_value=known.ge if known.gt is None else known.gt,
        max_value=known.le if known.lt is None else known.lt,
        exclude_min=known.gt is not None,
        exclude_max=known.lt is not None,
        allow_nan=False,
        allow_infinity=False,
    )


def _seconds(_: types.Type) -> st.SearchStrategy[str]:
    return st.integers(0, 10**6).map("PT{}S".format)


def _members(known: types.EnumType) -> st.SearchStrategy[Any]:
    return st.sampled_from([one.value for one in known.cls])


def _literals(known: types.LiteralType) -> st.SearchStrategy[Any]:
    return st.sampled_from(known.values)


def _any_of(known: types.UnionType) -> st.SearchStrategy[Any]:
    return st.one_of([_made(one) for one in known.types])


def _lists(known: Any) -> st.SearchStrategy[list[Any]]:
    most = 3 if known.max_length is None else min(known.max_length, 3)
    return st.lists(_made(known.item_type), min_size=known.min_length or 0, max_size=most)


def _dicts(known: types.DictType) -> st.SearchStrategy[dict[Any, Any]]:
    return st.dictionaries(_made(known.key_type), _made(known.value_type), max_size=3)


def _objects(known: Any) -> st.SearchStrategy[dict[str, Any]]:
    tag = {}
    if getattr(known, "tag_field", None) is not None:
        tag = {known.tag_field: known.tag}
    needed = {one.encode_name: _made(one.type) for one in known.fields if one.required}
    others = {
        one.encode_name: st.deferred(lambda one=one: _made(one.type))
        for one in known.fields
        if not one.required
    }
    made = st.fixed_dictionaries(needed, optional=others)
    return made.map(lambda fields: {**tag, **fields}) if tag else made


def _anything(_: types.AnyType) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(_TEXT),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
        max_leaves=5,
    )


def _naive(value: datetime | time | date) -> str:
    return value.isoformat()


_STRATEGIES: dict[type, Callable[[Any], st.SearchStrategy[Any]]] = {
    types.StrType: _texts,
    types.IntType: _integers,
    types.FloatType: _floats,
    types.BoolType: lambda _: st.booleans(),
    types.NoneType: lambda _: st.none(),
    types.DateType: lambda _: st.dates().map(_naive),
    types.DateTimeType: lambda _: st.datetimes().map(_naive),
    types.TimeDeltaType: _seconds,
    types.DecimalType: lambda _: st.decimals(allow_nan=False, allow_infinity=False).map(str),
    types.UUIDType: lambda _: st.uuids().map(str),
    types.EnumType: _members,
    types.LiteralType: _literals,
    types.UnionType: _any_of,
    types.ListType: _lists,
    types.DictType: _dicts,
    types.StructType: _objects,
    types.TypedDictType: _objects,
    types.DataclassType: _objects,
    types.AnyType: _anything,
}


def _made(known: types.Type) -> st.SearchStrategy[Any]:
    return _STRATEGIES[type(known)](known)


def _pydantics(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Make values by the schema that pydantic itself gives."""
    if "anyOf" in schema:
        return st.one_of([_pydantics(one) for one in schema["anyOf"]])
    match schema["type"]:
        case "object" if "properties" in schema:
            of = {name: _pydantics(one) for name, one in schema["properties"].items()}
            needed = {name: of.pop(name) for name in schema["required"]}
            return st.fixed_dictionaries(needed, optional=of)
        case "object":
            return st.dictionaries(_NAMES, _pydantics(schema["additionalProperties"]), max_size=3)
        case "integer":
            return st.integers(schema.get("minimum", -(2**70)), schema.get("maximum", 2**70))
        case "string" if schema.get("format") == "date":
            return st.dates().map(_naive)
        case "string":
            # The application's own validator asks for an @, and no schema can say that.
            return st.text(string.ascii_letters, min_size=1, max_size=20).map("{}@b".format)
        case "null":
            return st.none()
    raise AssertionError(schema)


def _is_pydantic(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, pydantic.BaseModel)


@cache
def bodies(body: BodyInfo) -> st.SearchStrategy[Any]:
    """Make what JSON has for the type of a body."""
    if _is_pydantic(body.type):
        return _pydantics(body.type.model_json_schema())
    return _made(types.type_info(body.type))


# Parameters.


@cache
def _known(annotation: Any) -> types.Type:
    """Describe the type of a parameter. No text means ``None``, so it is left out."""
    inner, *marks = get_args(annotation) if get_origin(annotation) is Annotated else [annotation]
    if get_origin(inner) in (Union, UnionType):
        (inner,) = [one for one in get_args(inner) if one is not NoneType]
    return types.type_info(Annotated[(inner, *marks)] if marks else inner)


def scalar(parameter: Parameter) -> types.Type:
    """Return the type of one text of a parameter."""
    known = _known(parameter.type)
    return known.item_type if isinstance(known, types.ListType) else known


def _is_list(parameter: Parameter) -> bool:
    return isinstance(_known(parameter.type), types.ListType)


def _is_file(parameter: Parameter) -> bool:
    type_ = parameter.type
    while get_origin(type_) in (Annotated, list):
        type_ = get_args(type_)[0]
    return type_ is UploadFile


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_TOKENS = string.ascii_letters + string.digits + "-._~!"


def _text_of(parameter: Parameter) -> st.SearchStrategy[str]:
    known = scalar(parameter)
    if not isinstance(known, types.StrType):
        return _made(known).map(_as_text)
    least, most = known.min_length or 0, known.max_length or 12
    if parameter.source in ("header", "cookie"):
        # What can be sent there at all.
        return st.text(_TOKENS, min_size=least, max_size=most)
    if parameter.source == "path":
        return st.text(_TEXT, min_size=max(least, 1), max_size=most).filter(
            lambda text: text.strip("./") == text  # otherwise it is another path
        )
    return _texts(known)


@st.composite
def _given(draw: Any, parameter: Parameter) -> list[tuple[Parameter, str | bytes]]:
    if parameter.fields:
        return [pair for one in parameter.fields for pair in draw(_given(one))]
    if not parameter.required and draw(st.booleans()):
        return []
    if _is_file(parameter):
        many, made = get_origin(parameter.type) is list, st.binary(max_size=50)
    else:
        many, made = _is_list(parameter), _text_of(parameter)
    least, most = (0, 3) if many else (1, 1)
    return [(parameter, one) for one in draw(st.lists(made, min_size=least, max_size=most))]


_FIELDS = {"path": "path", "query": "query", "header": "headers", "cookie": "cookies"}


def _by_field(given: Sequence[tuple[Parameter, Any]]) -> dict[str, tuple[tuple[str, Any], ...]]:
    found: dict[str, tuple[tuple[str, Any], ...]] = {}
    for parameter, text in given:
        name = _FIELDS.get(parameter.source, "form")
        found[name] = (*found.get(name, ()), (parameter.alias, text))
    return found


@cache
def _handlers(app: Triows) -> list[RouteInfo]:
    return [route for route in app.routes if route.method is not None]


@st.composite
def valid(draw: Any, app: Triows) -> Asked:
    """Make requests that an application has to serve."""
    handlers = _handlers(app)
    # Whole descriptions would fill pages of a failure, so their numbers are drawn.
    route = handlers[draw(st.integers(0, len(handlers) - 1))]
    given = [pair for one in route.parameters for pair in draw(_given(one))]
    named = {one.source + one.alias: (_FIELDS.get(one.source, "form"), one) for one, _ in given}
    asked = evolve(Asked(route), **_by_field(given), given=tuple(named.values()))
    if route.body is not None:
        return _with_body(draw, asked, route.body)
    if any(one.source == "form" for one in route.parameters):
        has_files = any(map(_is_file, route.parameters))
        return with_form(asked, is_multipart=has_files or draw(st.booleans()))
    return asked


def _with_body(draw: Any, asked: Asked, body: BodyInfo) -> Asked:
    if body.media_types == (_FORM_DATA,):
        names = draw(st.lists(_NAMES, max_size=3))
        files = tuple((name, draw(st.binary(max_size=50))) for name in names)
        return with_form(evolve(asked, form=files), is_multipart=True)
    if body.media_types == ("*/*",):
        text = draw(st.text(_TEXT, max_size=50)).encode()
        return evolve(asked, content_type="text/plain; charset=utf-8", content=text)
    if not body.required and draw(st.booleans()):
        return asked
    assert body.media_types == _MEDIA
    media, value = draw(st.sampled_from(_MEDIA)), draw(bodies(body))
    if media != _MEDIA[0]:
        try:
            packed = msgspec.msgpack.encode(value)
            return evolve(asked, content_type=media, content=packed)
        except OverflowError:
            pass  # only JSON can say that
    return evolve(asked, content_type=_MEDIA[0], content=msgspec.json.encode(value))


def with_form(asked: Asked, *, is_multipart: bool) -> Asked:
    """Write the body of a form."""
    if not is_multipart:
        content = "&".join(f"{quote_plus(name)}={quote_plus(text)}" for name, text in asked.form)
        media = "application/x-www-form-urlencoded"
        return evolve(asked, content_type=media, content=content.encode())
    parts = b"".join(map(_part, asked.form))
    content = parts + f"--{_BOUNDARY}--\r\n".encode() if parts else b""
    media = f"{_FORM_DATA}; boundary={_BOUNDARY}"
    return evolve(asked, content_type=media, content=content)


def _part(field: tuple[str, str | bytes]) -> bytes:
    name, content = field
    more = '; filename="a.bin"' if isinstance(content, bytes) else ""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + (content if isinstance(content, bytes) else content.encode()) + b"\r\n"


# Requests that an application has to refuse, each with the statuses that fit.


def _replaced(pairs: tuple[Any, ...], name: str, *texts: str) -> tuple[Any, ...]:
    kept = [pair for pair in pairs if pair[0] != name]
    return (*kept, *((name, text) for text in texts))


def _wrong_texts(known: types.Type) -> Iterator[str]:
    """Give texts that a parameter can't have."""
    if not isinstance(known, types.StrType):
        yield from ("zzz", "", "-", "nan", "9" * 5000, "0x10", "1_000", "null")
    for name, step in {"ge": -1, "le": 1, "gt": 0, "lt": 0}.items():
        if (bound := getattr(known, name, None)) is not None:
            yield str(bound + step)
    if getattr(known, "min_length", None):
        yield "x" * (known.min_length - 1)
    if getattr(known, "max_length", None) is not None:
        yield "x" * (known.max_length + 1)


def _is_single(place: str, parameter: Parameter) -> bool:
    """Say whether a parameter can't be given twice."""
    if place == "headers":
        # Two lines of a header are one text with a comma between (RFC 9110 section 5.2).
        return not isinstance(scalar(parameter), types.StrType)
    # Of two cookies with one name, the last one counts, as it does in most servers.
    return place not in ("path", "cookies") and not _is_list(parameter)


def _wrongs(asked: Asked) -> Iterator[tuple[str, Asked, set[int]]]:
    for place, parameter in asked.given:
        pairs, name = getattr(asked, place), parameter.alias
        if parameter.required and place != "path":
            yield f"no {name}", evolve(asked, **{place: _replaced(pairs, name)}), {422}
        if _is_file(parameter):
            yield f"text for {name}", evolve(asked, form=_replaced(pairs, name, "text")), {422}
            continue
        for text in _wrong_texts(scalar(parameter)):
            # An empty path parameter makes another path.
            if text or place != "path":
                wrong = evolve(asked, **{place: _replaced(pairs, name, text)})
                yield f"{name}={text[:20]}", wrong, {422} if place != "path" else {404, 422}
        if _is_single(place, parameter):
            text = next(text for key, text in pairs if key == name)
            twice = evolve(asked, **{place: (*pairs, (name, text))})
            yield f"two {name}", twice, {422}
    body = asked.route.body
    if body is not None and body.media_types == _MEDIA:
        yield from _wrong_bodies(asked)


def _wrong_bodies(asked: Asked) -> Iterator[tuple[str, Asked, set[int]]]:
    if asked.content:
        for media in ("text/plain", "application/x-www-form-urlencoded", "a;b", _FORM_DATA):
            yield media, evolve(asked, content_type=media), {415}
        yield "trailing", evolve(asked, content=asked.content + b"]"), {422}
        # A number without its last digit, and nothing at all, may be fine.
        if len(asked.content) > 1 and not asked.content[-1:].isdigit():
            yield "truncated", evolve(asked, content=asked.content[:-1]), {422}
        yield "no type", evolve(asked, content_type=None), {415}
    elif asked.route.body is not None and asked.route.body.required:
        yield "nothing", asked, {422}
    for bad in (b"\xff\xfe", b"[" * 5000, b"{" * 5000, b'{"a":' * 5000, b"\x81" * 5000, b"nan"):
        yield repr(bad[:9]), evolve(asked, content_type="application/json", content=bad), {422}
    yield "bad pack", evolve(asked, content_type=_MEDIA[1], content=b"\x91" * 5000), {422}


@st.composite
def spoiled(draw: Any, app: Triows) -> tuple[str, Asked, set[int]]:
    """Make requests that an application has to refuse: what is wrong, and the statuses that fit."""
    asked = draw(valid(app))
    wrongs = list(_wrongs(asked))
    if not wrongs:
        return "fine", asked, set()
    what, wrong, statuses = draw(st.sampled_from(wrongs))
    if wrong.form != asked.form:
        wrong = with_form(wrong, is_multipart="multipart" in (asked.content_type or ""))
    return what, wrong, statuses


# What a description says of an answer.


def _value_of(media: str, body: bytes, type_: Any) -> Any:
    essence = media.partition(";")[0]
    if essence.startswith("text/") or essence == "application/octet-stream":
        return body.decode() if type_ is str else body
    if essence == "application/jsonl":
        return [_decoded(msgspec.json.decode(line), type_) for line in body.splitlines()]
    is_json = essence == "application/json"
    return _decoded((msgspec.json if is_json else msgspec.msgpack).decode(body), type_)


def _decoded(value: Any, type_: Any) -> Any:
    if _is_pydantic(type_):
        return type_.model_validate(value)
    return msgspec.convert(value, type_)


def is_declared(asked: Asked, got: Got, accept: str | None) -> bool:
    """Say whether an answer is one of those that the description has, and its body fits."""
    route = asked.route
    if any(error.status == got.status for error in route.errors):
        return got.is_problem
    for result in route.results:
        if result.status is None:
            return True  # Starlette's response says everything
        if result.status != got.status:
            continue
        if result.type is None:
            return got.body == b"" and got.media_type is None
        assert got.media_type in result.media_types
        # If MessagePack has no number as large as one in the result, that is JSON.
        assert got.media_type in (accept or got.media_type, _MEDIA[0])
        _value_of(got.media_type, got.body, result.type)
        return True
    return False
