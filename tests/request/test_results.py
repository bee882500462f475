"""What a return annotation declares, and what is sent."""

import dataclasses
import inspect
import json
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from functools import reduce
from http import HTTPStatus
from operator import or_
from typing import Annotated, Any, Literal, NewType, NoReturn, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import assume, given, strategies as st
from starlette.responses import RedirectResponse, Response

from triows import HandlerSignatureError, HTTPException, ServerSentEvent, status
from triows._injection.signatures import Unresolved, signature_of
from triows._request.results import KEPT, KEPT_SIZE, plan_result
from triows._shapes import classes_of
from triows.types import HTML, JSON, Media

WHERE = "app.py:1 (handler)"
T = TypeVar("T")
Name = NewType("Name", str)


class User(msgspec.Struct):
    id: int


class Admin(User):
    pass


class Boss(Admin):
    pass


class Missing(msgspec.Struct):
    what: str


@dataclasses.dataclass
class Data:
    id: int


@attrs.frozen
class Attrs:
    id: int


class Model(pydantic.BaseModel):
    id: int


class Typed(TypedDict):
    id: int


class Colour(StrEnum):
    RED = "red"


class Gone(HTTPException):
    __status__ = 410


RING: list[Any] = []
RING.append(RING)


def plan(annotation, **options):
    return plan_result(annotation, where=WHERE, **options)


def sent(annotation, value, accept=None, **options):
    encode = plan(annotation, **options).encoder_for(accept)
    code, headers, body = encode(value)
    headers = dict(headers)
    if headers.get(b"content-length") is not None:
        assert int(headers[b"content-length"]) == len(body)
    media = headers.get(b"content-type")
    return code, media and media.decode(), body


# Plain annotations


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        (User, User(1), '{"id":1}'),
        (Data, Data(1), '{"id":1}'),
        (Attrs, Attrs(1), '{"id":1}'),
        (Model, Model(id=1), '{"id":1}'),
        (Typed, {"id": 1}, '{"id":1}'),
        (dict[str, int], {"id": 1}, '{"id":1}'),
        (list[User], [User(1)], '[{"id":1}]'),
        (list[Model], [Model(id=1)], '[{"id":1}]'),
        (Sequence[int], [1], "[1]"),
        (int, 1, "1"),
        (float, 1, "1"),
        (bool, True, "true"),
        (Colour, Colour.RED, '"red"'),
        (Literal[1, "a"], "a", '"a"'),
        (User | None, None, "null"),
        (User | None, User(1), '{"id":1}'),
        (JSON[str], "a", '"a"'),
        (JSON[str | None], None, "null"),
        (JSON[None], None, "null"),
        (Annotated[int, msgspec.Meta(gt=0)], 1, "1"),
    ],
)
def test_structured_values_are_json(annotation, value, text):
    assert sent(annotation, value) == (200, "application/json", text.encode())


@pytest.mark.parametrize("annotation", [str, Name, Literal["ä"], Annotated[str, "a doc"]])
def test_text_is_plain_text(annotation):
    assert sent(annotation, "ä") == (200, "text/plain; charset=utf-8", "ä".encode())


def test_html_is_text_that_is_html():
    assert sent(HTML, "<p>") == (200, "text/html; charset=utf-8", b"<p>")
    assert sent(Annotated[HTML, 404], "<p>") == (404, "text/html; charset=utf-8", b"<p>")


@pytest.mark.parametrize("value", [b"a", bytearray(b"a"), memoryview(b"a")])
def test_bytes_are_sent_as_they_are(value):
    assert sent(bytes, value) == (200, "application/octet-stream", b"a")
    assert type(sent(bytes, value)[2]) is bytes


@pytest.mark.parametrize(
    ("annotation", "value", "media"),
    [
        (Annotated[bytes, Media("image/png")], b"a", "image/png"),
        (Annotated[str, Media("text/csv")], "a", "text/csv; charset=utf-8"),
        (Annotated[str, Media("image/svg+xml")], "a", "image/svg+xml"),
        (Annotated[str, Media("text/x; charset=utf-8")], "a", "text/x; charset=utf-8"),
        (Annotated[User, Media("application/vnd.api+json")], User(1), "application/vnd.api+json"),
    ],
)
def test_a_media_type_may_be_given(annotation, value, media):
    assert sent(annotation, value)[:2] == (200, media)


@pytest.mark.parametrize("media", ["application/msgpack", "application/vnd.x+msgpack"])
def test_a_structured_value_may_be_messagepack_only(media):
    assert sent(Annotated[User, Media(media)], User(1)) == (
        200,
        media,
        msgspec.msgpack.encode(User(1)),
    )


@pytest.mark.parametrize("annotation", [None, type(None)])
def test_none_is_a_204_without_body_type_and_length(annotation):
    assert plan(annotation).encoder_for(b"image/png")(None) == (204, (), b"")


@pytest.mark.parametrize(
    ("annotation", "given", "code"),
    [(None, 201, 201), (Annotated[None, status.RESET_CONTENT], None, 205), (None, 204, 204)],
)
def test_none_with_another_status_has_a_length(annotation, given, code):
    headers = () if code == 204 else ((b"content-length", b"0"),)
    assert plan(annotation, status=given).encoder_for(None)(None) == (code, headers, b"")


@pytest.mark.parametrize("annotation", [inspect.Signature.empty, Any, object, T])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, (204, None, b"")),
        ("a", (200, "text/plain; charset=utf-8", b"a")),
        (b"a", (200, "application/octet-stream", b"a")),
        (User(1), (200, "application/json", b'{"id":1}')),
        (Model(id=1), (200, "application/json", b'{"id":1}')),
        ([1], (200, "application/json", b"[1]")),
    ],
)
def test_without_an_annotation_the_value_decides(annotation, value, expected):
    assert plan(annotation).kind == "dynamic"
    assert sent(annotation, value, b"image/png") == expected


def test_what_the_value_decides_may_have_a_status():
    assert sent(Any, None, status=202) == (202, None, b"")
    assert sent(Annotated[Any, 202], "a") == (202, "text/plain; charset=utf-8", b"a")
    assert sent(inspect.Signature.empty, None, status=204) == (204, None, b"")


def test_a_204_that_the_value_decides_has_no_body():
    with pytest.raises(TypeError, match="returned an instance of str"):
        sent(inspect.Signature.empty, "a", status=204)


def test_a_response_says_everything_itself():
    one = plan(RedirectResponse)
    assert one.kind == "response"
    assert one.encoder_for(b"image/png") is not None
    (alternative,) = one.alternatives
    assert (alternative.status, alternative.media_types) == (None, ())


def test_a_response_beside_other_types_makes_the_plan_dynamic():
    assert plan(User | RedirectResponse).kind == "dynamic"
    assert sent(User | RedirectResponse, User(1), b"text/html")[1] == "application/json"


# Statuses


@pytest.mark.parametrize("one", [201, HTTPStatus.CREATED, status.CREATED])
def test_a_status_may_be_written_in_three_ways(one):
    assert sent(Annotated[User, one], User(1))[0] == 201
    assert sent(User, User(1), status=one)[0] == 201


Answer = Annotated[User, status.CREATED] | Annotated[Missing, status.NOT_FOUND]


@pytest.mark.parametrize(("value", "code"), [(User(1), 201), (Missing("x"), 404), (Admin(1), 201)])
def test_the_class_of_the_value_chooses_the_status(value, code):
    assert sent(Answer, value)[0] == code


def test_the_nearest_class_chooses():
    annotation = Annotated[User, 200] | Annotated[Admin, 201]
    assert [sent(annotation, one)[0] for one in (User(1), Admin(1), Boss(1))] == [200, 201, 201]


def test_an_abstract_class_chooses_too():
    annotation = Annotated[Sequence[int], 201] | Annotated[User, 202]
    assert [sent(annotation, one)[0] for one in ([1], User(1))] == [201, 202]


def test_the_status_of_the_decorator_is_for_those_without_their_own():
    annotation = User | Annotated[Missing, 404]
    assert sent(annotation, User(1), status=201)[0] == 201
    assert sent(annotation, Missing("x"), status=201)[0] == 404
    assert sent(annotation, User(1))[0] == 200


def test_members_of_a_union_may_differ_in_how_they_are_written():
    annotation = str | Annotated[bytes, Media("image/png")] | Annotated[User, 201]
    assert sent(annotation, "a")[:2] == (200, "text/plain; charset=utf-8")
    assert sent(annotation, b"a")[:2] == (200, "image/png")
    assert sent(annotation, User(1))[:2] == (201, "application/json")


def test_none_in_a_union_is_null_unless_it_has_a_status_of_its_own():
    assert sent(Annotated[User, 201] | None, None) == (200, "application/json", b"null")
    assert sent(Annotated[User | None, 201], None) == (201, "application/json", b"null")
    assert sent(User | Annotated[None, 204], None) == (204, None, b"")
    assert sent(str | Annotated[None, 204], None) == (204, None, b"")


def test_alternatives_are_data_for_descriptions():
    found = plan(Annotated[User, 201] | Annotated[Missing, 404] | Annotated[None, 204] | Admin)
    assert [(one.status, one.type) for one in found.alternatives] == [
        (201, User),
        (404, Missing),
        (204, None),
        (200, Admin),
    ]
    assert found.alternatives[0].media_types[:2] == ("application/json", "application/msgpack")
    assert found.alternatives[2].media_types == ()


@pytest.mark.parametrize("annotation", [bytes | bytearray, str | Name, str | Annotated[str, 200]])
def test_what_is_written_in_the_same_way_is_one_alternative(annotation):
    (alternative,) = plan(annotation).alternatives
    assert alternative.status == 200


def test_what_has_the_same_status_is_one_alternative():
    (one,) = plan(User | Missing | None).alternatives
    assert one.type == User | Missing | None


def test_an_exception_in_the_annotation_is_a_declared_problem():
    found = plan(User | Gone)
    assert found.problems == (Gone,)
    assert [one.type for one in found.alternatives] == [User]
    assert plan(Annotated[Gone, 410] | User).problems == (Gone,)


def test_an_annotation_is_read_as_signatures_are():
    async def handler() -> "Annotated[User, status.CREATED, 'a doc'] | Annotated[Missing, 404]": ...

    annotation = signature_of(handler).return_annotation
    assert [one.status for one in plan(annotation).alternatives] == [201, 404]


# What is refused at registration


@pytest.mark.parametrize(
    ("annotation", "given", "message"),
    [
        (Annotated[User, 204], None, "User: a 204 has no body"),
        (Annotated[str, 205], None, "str: a 205 has no body"),
        (User, 204, "User: a 204 has no body"),
        (Annotated[User, 304], None, "304 says that there is no body"),
        (Annotated[None, 103], None, "103 comes before the response"),
        (Annotated[User, 600], None, "600 isn't a status"),
        (Annotated[User, 7], None, "7 isn't a status"),
        (User, "201", "status='201': '201' isn't a status"),
        (User, 100, "status=100: 100 comes before the response"),
        (Annotated[User, 200, 201], None, r"Annotated\[User, ...\] has two statuses: leave one"),
        (Annotated[bytes, Media("a/b"), Media("a/c")], None, "has two media types"),
        (Annotated[bytes, "image/png"], None, r"write Media\('image/png'\)"),
        (Annotated[bytes, Media], None, r'write Media\("image/png"\)'),
        (Annotated[User, Media("image/png")], None, "image/png is neither"),
        (Annotated[Response, Media("image/png")], None, "Response says its media type"),
        (Annotated[None, Media("image/png")], None, "None has no body, so it has no media type"),
        (Annotated[list[int], 201] | list[str], None, r"a list could be list\[int\] \(201\)"),
        (Annotated[User, 201] | Annotated[User, 200], None, "a User could be"),
        (Annotated[Typed, 201] | dict[str, int], None, "a dict could be"),
        (str | HTML, None, r"str as text/plain; charset=utf-8 \(200\) or str as text/html"),
        (Annotated[float, 201] | int, None, "a int could be"),
        (str | None, None, r"`str \| Annotated\[None, status.NO_CONTENT\]`, or `JSON\[str \| None"),
        (bytes | None, None, "bytes isn't JSON"),
        (Response | None, None, "Response isn't JSON"),
        (Annotated[str, 201] | None, None, "str isn't JSON"),
        (
            Annotated[Response, 201],
            None,
            r"return Response\(..., status_code=201",
        ),
        (Annotated[User | RedirectResponse, 201], None, "RedirectResponse says its status"),
        (JSON[Response], None, r"write `Response` without JSON\[...\]"),
        (JSON[Gone], None, "Gone is always application/problem"),
        (Annotated[Gone, Media("a/b")], None, "Gone is always application/problem"),
        (Annotated[NoReturn, 404], None, "NoReturn has a status or a media type"),
        (ServerSentEvent, None, "annotate `-> EventStream`, and `yield` each ServerSentEvent"),
        (list[ServerSentEvent] | None, None, "annotate `-> EventStream`"),
        (JSON[ServerSentEvent], None, "annotate `-> EventStream`"),
        (201, None, r"201 is a status without a type: write `Annotated\[TYPE, 201\]`"),
        (list[5], None, "5 isn't a type"),
        (JSON[list[5]], None, "5 isn't a type"),
        (tuple[User, 201], None, r"write `-> Annotated\[User, 201\]`, and return the User alone"),
        (Annotated[User, "created"], None, "'created', which says no status: write status.CREATED"),
        (dict[tuple[int, int], int], None, "keys of a JSON object must be str or numbers"),
        (Response, 201, r"status=201: Response\(status_code=...\) says it"),
        (Annotated[User, 201], 202, "status=202: the annotation has a status for everything"),
        (complex, None, "JSON can't express complex"),
        (list[Response], None, "JSON can't express Response"),
        (Exception, None, "Exception is an exception that no client understands"),
        (Annotated[Gone, 404], None, "Gone has the status 410 of its own"),
        (Unresolved("Later"), None, "'Later' can't be resolved"),
        (list["Later"], None, "'Later' is a string, not a type"),  # noqa: F821
    ],
)
def test_what_can_not_be_sent_is_refused_with_the_place(annotation, given, message):
    with pytest.raises(HandlerSignatureError, match=message) as caught:
        plan(annotation, status=given)
    assert caught.value.where == WHERE


# Values that the annotation does not allow


async def later():
    return User(1)


async def items():
    yield 1


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (None, User(1), "an instance of User, but is annotated `-> None`.*annotate `-> User`"),
        (User, None, r"returned None, but is annotated `-> User`.*annotate `-> User \| None`"),
        (User, "a", "an instance of str"),
        (User, {"id": 1}, "an instance of dict"),
        (str, b"a", "an instance of bytes"),
        (str, None, "returned None"),
        (bytes, "a", "an instance of str"),
        (list[int], {1}, "an instance of set"),
        (int, "1", "an instance of str"),
        (Answer, Data(1), r"but is annotated `-> User \| Missing`"),
        (User, Response(), r"add `\| Response`"),
        (RedirectResponse, None, "returned None, but is annotated `-> RedirectResponse`"),
        (User, (User(1), 201), r"for a status, annotate `-> Annotated\[User, status.CREATED\]`"),
        (User, (User(1), "x"), "an instance of tuple"),
        (User, Gone(410), "returned a Gone: `raise` it"),
        (NoReturn, None, "returned None, but is annotated `-> NoReturn`"),
        (dict[str, Any], {"a": object()}, "can't be sent: JSON can't express an instance"),
        (str, "\ud800", "can't be sent: .*surrogates not allowed"),
        (JSON[str], "\ud800", "can't be sent: .*surrogates"),
        (list[Any], RING, "can't be sent: it is nested too deeply, or contains itself"),
        (Any, 1j, "can't be sent: JSON can't express an instance of complex"),
    ],
)
def test_what_is_not_as_annotated_is_an_error_with_the_place(annotation, value, message):
    with pytest.raises(TypeError, match=message) as caught:
        sent(annotation, value)
    assert str(caught.value).endswith(f"\n  at {WHERE}")


class WithPassword(User):
    password: str = "secret"


class ModelWithPassword(Model):
    password: str = "secret"


@dataclasses.dataclass
class Owned:
    owner: User | None
    typed: list[Typed] = dataclasses.field(default_factory=list)


LONG = {"id": 1, "password": "secret"}


@pytest.mark.parametrize("accept", [b"application/json", b"application/msgpack"])
@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (User, WithPassword(1), "it is an .*'password' that User doesn't have: return User"),
        (list[User], [User(1), WithPassword(1)], r"\[1\] is an .*: put User\(...\) there"),
        (list[User], [Admin(1), Data(1)], r"\[1\] is an instance of Data, but User is"),
        (list[User], [{"id": 1}], r"\[0\] is an instance of dict, but User is"),
        (list[Model], [Data(1)], r"\[0\] is an instance of Data, but Model is"),
        (dict[str, Owned], {"a": Owned(WithPassword(1))}, r"\['a'\].owner is an instance of With"),
        (Owned, Owned(None, [LONG]), r"typed\[0\] has the key 'password' that Typed doesn't"),
        (Typed, LONG, "it has the key 'password' that Typed doesn't have"),
        (Answer, WithPassword(1), "it is an instance of WithPassword"),
        (User | Missing | None, WithPassword(1), "it is an instance of WithPassword"),
        (Annotated[User, Media("application/vnd.a+json")], WithPassword(1), "it is an instance"),
        (Annotated[User, Media("a/msgpack")], WithPassword(1), "it is an instance"),
    ],
)
def test_what_has_more_than_is_annotated_is_an_error(annotation, value, message, accept):
    accept = None if "Media" in str(annotation) else accept
    with pytest.raises(TypeError, match=f"the handler returned can't be sent: {message}") as caught:
        sent(annotation, value, accept)
    assert str(caught.value).endswith(f"\n  at {WHERE}")


def test_pydantic_sends_only_what_is_annotated():
    private = ModelWithPassword(id=1)
    for annotation in (Model, Model | None, Annotated[Model, 201] | Annotated[Missing, 404]):
        assert sent(annotation, private)[2] == b'{"id":1}'
    assert sent(list[Model] | dict[str, Model], {"a": private})[2] == b'{"a":{"id":1}}'


@pytest.mark.parametrize("annotation", [Any, list[Any], dict[str, object]])
def test_what_may_be_anything_is_sent_as_it_is(annotation):
    value = {Any: WithPassword(1), list[Any]: [WithPassword(1)]}.get(annotation)
    body = sent(annotation, {"a": WithPassword(1)} if value is None else value)[2]
    assert b"secret" in body


@pytest.mark.parametrize("annotation", [None, User, str, Answer, Any])
def test_a_coroutine_is_not_a_result(annotation):
    with pytest.raises(TypeError, match=r"the coroutine of later\(\): `await` that first"):
        sent(annotation, later())


@pytest.mark.parametrize("annotation", [None, User, Any])
@pytest.mark.parametrize("make", [items, lambda: (one for one in ())])
def test_a_generator_is_not_a_result(annotation, make):
    with pytest.raises(TypeError, match=r"returned the generator of .*an async generator itself"):
        sent(annotation, make())


# Accept


@pytest.mark.parametrize("accept", [None, b"", b"*/*", b"application/*", b"broken", b"text/*, */*"])
def test_json_is_sent_if_nothing_else_is_preferred(accept):
    assert sent(User, User(1), accept)[1] == "application/json"


@pytest.mark.parametrize(
    "media", ["application/msgpack", "application/vnd.msgpack", "application/x-msgpack"]
)
def test_messagepack_has_the_name_that_the_client_gives_it(media):
    packed = msgspec.msgpack.encode(User(1))
    assert sent(User, User(1), media.encode()) == (200, media, packed)


@pytest.mark.parametrize("value", [Model(id=1), [Model(id=1)], Data(1)])
def test_messagepack_and_json_say_the_same(value):
    _, _, packed = sent(Any, value, b"application/msgpack")
    _, _, text = sent(Any, value)
    assert msgspec.msgpack.decode(packed) == json.loads(text)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 2**70])
def test_a_number_above_64_bits_is_json_even_if_the_client_asks_for_messagepack(number):
    json_sent = (200, "application/json", str(number).encode())
    assert sent(int, number) == json_sent
    assert sent(int, number, b"application/msgpack") == json_sent
    assert sent(dict[str, int], {"a": number}, b"application/msgpack")[1] == "application/json"


def test_a_number_above_64_bits_is_refused_if_the_handler_only_has_messagepack():
    with pytest.raises(TypeError, match="what the handler returned can't be sent"):
        sent(Annotated[int, Media("application/msgpack")], 2**70)


def test_caches_are_told_that_accept_chooses_only_if_it_does():
    def vary(annotation, value):
        return dict(plan(annotation).encoder_for(None)(value)[1]).get(b"vary")

    assert (vary(User, User(1)), vary(str, "a"), vary(None, None)) == (b"accept", None, None)


@pytest.mark.parametrize(
    ("annotation", "accept"),
    [
        (User, b"text/html"),
        (User, b"application/json;q=0, application/msgpack;q=0, image/*"),
        (str, b"application/json"),
        (HTML, b"text/plain"),
        (Answer, b"text/html"),
        (str | Annotated[None, 204], b"image/png"),
    ],
)
def test_if_nothing_is_acceptable_there_is_no_encoder(annotation, accept):
    one = plan(annotation)
    assert one.encoder_for(accept) is None
    assert one.encoder_for(accept) is None


def test_a_406_says_what_there_is():
    reply = plan(str | Annotated[bytes, Media("image/png")]).not_acceptable()
    assert reply.status == 406
    assert json.loads(reply.body)["offered"] == ["text/plain; charset=utf-8", "image/png"]


def test_if_one_alternative_is_acceptable_all_are_sent():
    annotation = str | Annotated[User, 404]
    assert sent(annotation, User(1), b"text/plain")[:2] == (404, "application/json")


def test_a_plan_remembers_few_headers_and_no_long_ones():
    one = plan(User)
    for number in range(3 * KEPT):
        one.encoder_for(b"text/x-%d, */*" % number)
        one.encoder_for(b"text/%s, */*" % (b"x" * (KEPT_SIZE + number)))
    assert len(one._kept) <= KEPT
    assert max(len(key) for key in one._kept) <= KEPT_SIZE
    first = one.encoder_for(b"application/json")
    assert one.encoder_for(b"application/json") is first


# Streams


def test_a_stream_is_planned():
    one = plan(AsyncIterator[bytes], is_generator=True)
    assert one.kind == "parts"
    assert one.stream.alternative in one.alternatives
    assert one.accepts_stream(b"*/*")
    assert not one.accepts_stream(b"text/html")


# Whatever is declared, that is sent

# Annotations with a value, the media type and the body that they mean. No two have the same class.
MEMBERS = [
    (User, User(1), "application/json", b'{"id":1}'),
    (Data, Data(1), "application/json", b'{"id":1}'),
    (Model, Model(id=1), "application/json", b'{"id":1}'),
    (dict[str, int], {"a": 1}, "application/json", b'{"a":1}'),
    (list[User], [User(1)], "application/json", b'[{"id":1}]'),
    (bool, True, "application/json", b"true"),
    (Colour, Colour.RED, "application/json", b'"red"'),
    (str, "a", "text/plain; charset=utf-8", b"a"),
    (Annotated[bytes, Media("image/png")], b"a", "image/png", b"a"),
]
STATUSES = st.sampled_from([None, 200, 201, 202, 203, 300, 400, 404, 500, 599])


@given(
    st.lists(
        st.tuples(st.sampled_from(MEMBERS), STATUSES),
        min_size=1,
        unique_by=lambda one: MEMBERS.index(one[0]),
    ),
    STATUSES,
    st.data(),
)
def test_what_is_declared_is_what_is_sent(declared, given_, data):
    assume(given_ is None or any(code is None for _, code in declared))
    annotation = reduce(
        or_,
        [one[0] if code is None else Annotated[one[0], code] for one, code in declared],
    )
    (_, value, media, body), code = data.draw(st.sampled_from(declared))
    found = plan(annotation, status=given_)
    assert sent(annotation, value, status=given_) == (code or given_ or 200, media, body)
    assert any(
        one.status == (code or given_ or 200)
        and media in one.media_types
        and isinstance(value, one.classes)
        for one in found.alternatives
    )


@given(st.sampled_from(MEMBERS), st.sampled_from(MEMBERS))
def test_nothing_else_is_sent(one, other):
    assume(not issubclass(type(other[1]), classes_of(one[0])))
    with pytest.raises(TypeError, match="the handler returned an instance of"):
        sent(one[0], other[1])


def test_html_is_called_html():
    with pytest.raises(TypeError, match="returned None, but is annotated `-> HTML`"):
        sent(HTML, None)


def test_an_exception_that_says_no_status_is_to_be_raised():
    with pytest.raises(HandlerSignatureError, match="HTTPException says no status: raise it"):
        plan_result(HTTPException | int, where=WHERE)
