"""Server-sent events, read again by a parser that follows the standard's words."""

import json
from typing import Annotated, Any

import pydantic
import pytest
from hypothesis import given, strategies as st

from triows import Param, Route, Triows
from triows._request.events import KEEPALIVE, ServerSentEvent, encode_event
from triows.testing import open_app


class Received:
    """A client's side of a stream, from section 9.2.6 of the standard."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.last_id = self.id_buffer = self.data = self.type = ""
        self.retry: int | None = None

    def read(self, stream: bytes) -> "Received":
        text = stream.decode().removeprefix("\ufeff")
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert lines.pop() == "", "what follows the last end of a line is discarded"
        for line in lines:
            if not line:
                self.dispatch()
            elif not line.startswith(":"):
                name, _, value = line.partition(":")
                self.process(name, value.removeprefix(" "))
        return self

    def process(self, name: str, value: str) -> None:
        if name == "event":
            self.type = value
        elif name == "data":
            self.data += value + "\n"
        elif name == "id":
            if "\0" not in value:
                self.id_buffer = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)

    def dispatch(self) -> None:
        self.last_id = self.id_buffer
        if self.data:
            self.events.append((self.type or "message", self.data.removesuffix("\n"), self.last_id))
        self.data = self.type = ""


def received(*events: ServerSentEvent) -> Received:
    return Received().read(b"".join(map(encode_event, events)))


texts = st.text(st.characters(exclude_categories=["Cs"]))
tricky = st.text("\r\n\u2028\u2029\x85\x0b\x0c\0 :\ufeffdata")
one_line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))
events = st.builds(
    ServerSentEvent,
    texts | tricky,
    st.none() | one_line,
    st.none() | one_line,
    st.none() | st.integers(0, 10**12),
)


@given(st.lists(events))
def test_what_is_sent_is_received(sent):
    got = received(*sent)
    last_id, expected = "", []
    for event in sent:
        last_id = last_id if event.id is None else event.id
        data = event.data.replace("\r\n", "\n").replace("\r", "\n")
        expected.append((event.event or "message", data, last_id))
    assert got.events == expected
    assert got.retry == next((one.retry for one in sent[::-1] if one.retry is not None), None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
).filter(lambda value: not isinstance(value, str))


@given(json_values)
def test_data_that_is_no_text_is_json(value):
    ((_, data, _),) = received(ServerSentEvent(value)).events
    assert json.loads(data) == value


class Model(pydantic.BaseModel):
    text: str = pydantic.Field(alias="theText")


def test_data_may_be_a_model():
    assert encode_event(ServerSentEvent(Model(theText="a"))) == b'data: {"theText":"a"}\n\n'


def test_all_fields_are_written():
    event = ServerSentEvent({"n": 1}, event="tick", id="1", retry=3000)
    assert encode_event(event) == b'event: tick\nid: 1\nretry: 3000\ndata: {"n":1}\n\n'


def test_an_event_without_data_is_dispatched():
    assert received(ServerSentEvent(event="ping")).events == [("ping", "", "")]


def test_an_empty_id_makes_the_client_forget_the_last_one():
    got = received(ServerSentEvent("a", id="1"), ServerSentEvent("b", id=""))
    assert [last_id for _, _, last_id in got.events] == ["1", ""]


def test_a_keepalive_is_no_event():
    stream = encode_event(ServerSentEvent("a")) + KEEPALIVE + encode_event(ServerSentEvent("b"))
    assert [data for _, data, _ in Received().read(stream).events] == ["a", "b"]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("name", ["event", "id"])
def test_a_line_break_can_not_bring_in_further_fields(name, end):
    with pytest.raises(ValueError, match=f"{name} can't have a line break"):
        ServerSentEvent("a", **{name: f"x{end}data: y"})


def test_an_id_with_nul_would_be_ignored_and_is_refused():
    with pytest.raises(ValueError, match="can't have a NUL"):
        ServerSentEvent("a", id="1\0")


def test_the_time_to_wait_is_not_negative():
    with pytest.raises(ValueError, match="can't be -1"):
        ServerSentEvent("a", retry=-1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("data", b"a"), ("event", 1), ("id", 1), ("id", b"1"), ("retry", 1.5), ("retry", True)],
)
def test_fields_have_their_types(field: str, value: Any):
    with pytest.raises(TypeError, match=f"{field} is "):
        ServerSentEvent(**{field: value})


def test_an_event_does_not_change():
    with pytest.raises(AttributeError):
        ServerSentEvent("a").data = "b"  # type: ignore[misc]


async def last_id(
    last: Annotated[str, Param("header", alias="Last-Event-ID")] = "",
) -> dict[str, str]:
    return {"last": last}


@pytest.mark.parametrize(
    "id_", ["1", "\N{LATIN SMALL LETTER A WITH DIAERESIS}", "\N{SNOWMAN} 1, 2", "\N{PILE OF POO}"]
)
async def test_an_id_comes_back_as_it_was_sent(id_):
    route = Route("")
    route.get(last_id)
    sent = received(ServerSentEvent("x", id=id_)).last_id.encode()
    async with open_app(Triows(route)) as client:
        response = await client.get("/", headers={"last-event-id": sent})
        assert response.json() == {"last": id_}
        refused = await client.get("/", headers={"last-event-id": b"\xff"})
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {"location": "header", "name": "last-event-id", "message": "Not valid UTF-8"}
    ]
