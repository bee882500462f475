import enum
import json
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, NoReturn

import msgspec
import pydantic
import pytest
from starlette.datastructures import Headers

from triows import (
    HTTPException,
    HTTPProblem,
    Param,
    Triows,
    WebSocket,
    WebSocketRoute,
    status,
    use,
)
from triows._exchange.refusals import invalid_request
from triows._param_error import ParamError
from triows._reply import (
    Reply,
    allowed_methods,
    from_exception,
    not_acceptable,
    problem,
    try_later,
    upgrade_required,
)
from triows._where import where
from triows.testing import WebSocketDenialResponse, open_app


def test_a_problem_is_what_rfc_9457_says():
    refusal = problem(404, "no such room", {"X-A": "1"}, room="kitchen")
    assert json.loads(refusal.body) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no such room",
        "room": "kitchen",
    }
    assert refusal.headers == [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(refusal.body)).encode()),
        (b"x-a", b"1"),
    ]


def test_a_problem_without_detail_has_none():
    assert set(json.loads(problem(404).body)) == {"type", "title", "status"}


@pytest.mark.parametrize("status", [400, 499, 520, 599])
def test_every_status_has_a_title(status):
    assert json.loads(problem(status).body)["title"]


def test_the_title_of_422_is_the_same_on_every_python():
    assert json.loads(problem(422).body)["title"] == "Unprocessable Content"


@pytest.mark.parametrize("status", [0, 100, 101, 200, 304, 600])
def test_what_is_no_refusal_does_not_refuse(status):
    with pytest.raises(ValueError, match=f"from 300 to 599, not {status}"):
        problem(status)


def test_a_redirection_refuses():
    assert problem(302, headers={"location": "/login"}).status == 302


def test_text_of_the_peer_stays_inside_the_json():
    body = problem(400, 'a"\r\n\0<script>').body
    assert json.loads(body)["detail"] == 'a"\r\n\0<script>'
    assert not {0, 10, 13} & set(body)


def test_bad_parameters_are_all_listed():
    errors = [
        ParamError("query", "times", "Expected `int`, got `str`"),
        ParamError("header", "x-token", "Missing"),
    ]
    refusal = invalid_request(errors)
    found = json.loads(refusal.body)
    assert refusal.status == 422
    assert found["detail"] == "2 mistakes in the request"
    assert found["errors"] == [
        {"location": "query", "name": "times", "message": "Expected `int`, got `str`"},
        {"location": "header", "name": "x-token", "message": "Missing"},
    ]


def test_one_bad_parameter_is_one():
    refusal = invalid_request([ParamError("query", "a", "Missing")])
    assert json.loads(refusal.body)["detail"] == "1 mistake in the request"


def test_who_should_come_again_is_told_when():
    refusal = try_later("the server is shutting down")
    assert refusal.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert (b"retry-after", b"5") in refusal.headers


def test_plain_http_is_told_to_upgrade():
    refusal = upgrade_required()
    assert refusal.status == HTTPStatus.UPGRADE_REQUIRED
    assert {(b"upgrade", b"websocket"), (b"connection", b"Upgrade")} <= set(refusal.headers)


def test_a_406_says_what_is_offered():
    refusal = not_acceptable(["application/json", "text/html"])
    assert refusal.status == 406
    assert json.loads(refusal.body)["offered"] == ["application/json", "text/html"]


def test_an_http_exception_keeps_status_detail_and_headers():
    refusal = from_exception(HTTPException(401, "who?", {"WWW-Authenticate": "Basic"}))
    assert refusal.status == 401
    assert json.loads(refusal.body)["detail"] == "who?"
    assert (b"www-authenticate", b"Basic") in refusal.headers


class Text(str):
    __slots__ = ()


class Word(enum.StrEnum):
    NO = "no"


@pytest.mark.parametrize(
    "detail", [{"code": 1}, [1, "a"], 7, 0, 1.5, True, False, {}, [], "text", Text("text"), Word.NO]
)
def test_a_detail_is_whatever_json_can_express(detail):
    assert json.loads(from_exception(HTTPException(400, detail)).body)["detail"] == detail


@pytest.mark.parametrize("detail", [None, "", Text("")])
def test_a_detail_that_says_nothing_is_left_out(detail):
    error = HTTPException(400)
    error.detail = detail
    assert "detail" not in json.loads(from_exception(error).body)


@pytest.mark.parametrize("detail", [object(), {1, object()}, {object(): 1}, 1j])
def test_a_detail_that_json_can_not_express_does_not_refuse(detail):
    with pytest.raises(TypeError):
        from_exception(HTTPException(400, detail))


def test_a_status_may_be_an_enum_and_is_never_a_text():
    assert from_exception(HTTPException(HTTPStatus.UNAUTHORIZED)).status == 401
    error = HTTPException(401)
    error.status_code = "401"  # some versions of Starlette refuse it as an argument
    with pytest.raises(TypeError, match="an HTTP status is an int, not str"):
        from_exception(error)


@pytest.mark.parametrize("headers", [None, {}, {"x-a": "1"}, Headers({"x-a": "1"})])
def test_headers_may_be_any_mapping(headers):
    got = from_exception(HTTPException(400, headers=headers)).headers
    assert ((b"x-a", b"1") in got) == bool(headers)


async def _reject(ws: WebSocket) -> None:
    await ws.reject(401, "members only")


async def _reject_for_a_value(ws: WebSocket) -> int:
    await ws.close(4401, "members only")
    return 1


def _late() -> str:
    raise AssertionError("called after the refusal")


@pytest.mark.parametrize("refusing", [_reject, _reject_for_a_value])
async def test_nothing_runs_after_a_factory_that_has_refused(refusing, caplog, autojump_clock):
    caplog.set_level("INFO", "triows")
    ran: list[object] = []
    route = WebSocketRoute("club", deps=[] if refusing is _reject_for_a_value else [refusing])
    first = use(refusing) if refusing is _reject_for_a_value else use(lambda: 1)

    @route.endpoint
    async def handler(ws: WebSocket, a: Annotated[int, first], b: Annotated[str, use(_late)]):
        ran.append(ws)

    async with open_app(Triows(route)) as client:
        with pytest.raises(WebSocketDenialResponse) as refused:
            async with client.websocket_connect("/club"):
                pass
    assert refused.value.status_code in (401, 403)
    assert ran == []
    assert caplog.messages[-1].endswith(f"refused {refused.value.status_code} (members only)")


@pytest.mark.parametrize(
    ("url", "headers", "ending"),
    [
        ("/never", {}, "refused 403 (the handler ended without accept())"),
        (
            "/never",
            {"origin": "http://elsewhere"},
            "refused 403 (this origin may not connect: the page is at 'http://elsewhere', and the "
            "Host header is 'testserver')",
        ),
        ("/json?n=x", {}, "refused 422 (1 mistake in the request: query 'n')"),
    ],
)
async def test_the_log_says_why_a_handshake_was_refused(
    url, headers, ending, caplog, autojump_clock
):
    caplog.set_level("INFO", "triows")
    never, json = WebSocketRoute("never"), WebSocketRoute("json")

    @never.endpoint
    @json.endpoint
    async def handler(ws: WebSocket, n: int = 1): ...

    async with open_app(Triows(never, json)) as client:
        with pytest.raises(WebSocketDenialResponse):
            async with client.websocket_connect(url, headers=headers):
                pass
    assert caplog.messages[-1].endswith(ending)


def look(ws: WebSocket) -> int:
    return 1


def let_in(ws: WebSocket) -> None: ...


async def greet(name: str) -> None: ...


async def refuse() -> NoReturn:
    raise HTTPException(410)


async def count(one: Annotated[int, use(look)]) -> None: ...


@pytest.mark.parametrize(
    ("handler", "deps", "is_blind"),
    [(greet, [], True), (greet, [let_in], False), (count, [], False), (refuse, [], False)],
)
def test_a_handler_that_can_not_accept_is_warned_of_at_registration(
    handler, deps, is_blind, caplog
):
    route = WebSocketRoute("greetings", deps=deps)
    route.endpoint(handler)
    Triows(route)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * is_blind
    if is_blind:
        (message,) = caplog.messages
        assert message.startswith(f"/greetings: {where(handler)} can't accept a connection, ")
        assert "add a parameter `ws: WebSocket`, and call `await ws.accept()`" in message
        assert "annotate it `-> NoReturn`" in message


def test_a_handler_whose_factory_is_overridden_is_not_warned_of(caplog):
    route = WebSocketRoute("count")
    route.endpoint(count)
    app = Triows(route)
    other = WebSocketRoute("other")
    other.endpoint(count)
    with app.override(look, lambda: 2):
        app.include_routes(other)
    assert caplog.messages == []


async def test_the_log_says_that_nothing_could_accept(caplog, autojump_clock):
    caplog.set_level("INFO", "triows")
    blind, seeing = WebSocketRoute("blind"), WebSocketRoute("seeing")

    def look(ws: WebSocket) -> int:
        return 1

    @blind.endpoint
    async def greet() -> None: ...

    @seeing.endpoint
    async def count(one: Annotated[int, use(look)]) -> None: ...

    async with open_app(Triows(blind, seeing)) as client:
        for url in ("/blind", "/seeing"):
            with pytest.raises(WebSocketDenialResponse):
                async with client.websocket_connect(url):
                    pass
    assert caplog.messages[-2].endswith(
        "refused 403 (the handler ended without accept(), and neither it nor its factories take "
        "the WebSocket: add a parameter `ws: WebSocket`, and call `await ws.accept()`)"
    )
    assert caplog.messages[-1].endswith("refused 403 (the handler ended without accept())")


async def test_the_log_says_what_was_wrong_with_a_message(caplog, autojump_clock):
    caplog.set_level("INFO", "triows")
    route = WebSocketRoute("json")

    @route.endpoint
    async def handler(ws: WebSocket):
        await ws.accept()
        await ws.receive_json(int)

    async with open_app(Triows(route)) as client, client.websocket_connect("/json") as ws:
        await ws.send_text('"x"')
        await ws.expect_close(1007, "invalid message")
    assert (
        " closed 1007 'invalid message' (Expected `int`, got `str`) after " in caplog.messages[-1]
    )


# Code of the application's that runs while the parameters are read


@dataclass
class Checked:
    n: int

    def __post_init__(self) -> None:
        raise LookupError("not in the table")


class Struct(msgspec.Struct):
    n: int

    def __post_init__(self) -> None:
        raise LookupError("not in the table")


def refuse_all(text: str) -> int:
    raise HTTPException(401, "sign in first")


def look_up(text: str) -> int:
    raise LookupError(text)


async def later(text: str) -> int:
    return 1


@pytest.mark.parametrize(
    ("annotation", "status"),
    [
        (Annotated[int, Param("query", decoder=look_up)], 500),
        (Annotated[int, Param("query", decoder=lambda text: text.nothing)], 500),
        (Annotated[int, Param("query", decoder=lambda text: later(text))], 500),  # noqa: PLW0108
        (Annotated[int, Param("query", decoder=refuse_all)], 401),
        (Annotated[Checked, Param("query")], 500),
        (Annotated[Struct, Param("query")], 500),
    ],
)
async def test_an_error_while_parameters_are_read_is_answered_and_told_once(
    annotation, status, autojump_clock, caplog
):
    caplog.set_level(logging.INFO, "triows")
    route = WebSocketRoute("room")

    async def handler(ws: WebSocket, n: annotation) -> None: ...

    route.endpoint(handler)
    with pytest.raises(WebSocketDenialResponse) as caught:
        async with (
            open_app(Triows(route), raise_app_exceptions=False) as client,
            client.websocket_connect("/room?n=7"),
        ):
            pass
    assert caught.value.status_code == status
    assert b"table" not in caught.value.content
    lines = [one.getMessage() for one in caplog.records if "refused" in one.getMessage()]
    assert len(lines) == 1
    errors = [one for one in caplog.records if one.exc_info]
    assert len(errors) == (status == 500)


def test_the_answer_to_options_has_the_methods_and_no_body():
    assert allowed_methods(["GET", "HEAD"]) == Reply(204, [(b"allow", b"GET, HEAD")], b"")


# Problems with a type of their own


class OutOfCredit(HTTPProblem[str]):
    """
    You do not have enough credit.

    Only the first line is the title.
    """

    __status__ = status.FORBIDDEN


class HTTPBodyTooLong2(HTTPProblem[Any]):
    __status__ = HTTPStatus.GONE


class Credit(OutOfCredit):
    __problem_type__ = "https://example.org/problems/credit"
    __problem_title__ = "No credit"


class Balance(msgspec.Struct):
    balance: int


class Model(pydantic.BaseModel):
    balance: int


def body_of(problem_: HTTPException, instance: str | None = None) -> dict[str, Any]:
    return json.loads(from_exception(problem_, instance).body)


def test_a_problem_has_the_type_of_its_class():
    exc = OutOfCredit("it costs 50", members={"balance": 30, "accounts": ["/account/1"]})
    assert body_of(exc, "/account/1/msgs") == {
        "type": "out-of-credit",
        "title": "You do not have enough credit.",
        "status": 403,
        "detail": "it costs 50",
        "instance": "/account/1/msgs",
        "balance": 30,
        "accounts": ["/account/1"],
    }
    assert from_exception(exc).status == 403
    assert str(exc) == "403 out-of-credit: it costs 50"


def test_a_class_without_a_docstring_has_its_name_as_the_title():
    assert body_of(HTTPBodyTooLong2()) == {
        "type": "http-body-too-long2",
        "title": "Http body too long2",
        "status": 410,
    }
    assert str(HTTPBodyTooLong2()) == "410 http-body-too-long2"


def test_type_and_title_may_be_said():
    assert body_of(Credit())["type"] == "https://example.org/problems/credit"
    assert body_of(Credit())["title"] == "No credit"
    exc = OutOfCredit(status=402, problem_type="/other", problem_title="Other")
    assert body_of(exc) == {"type": "/other", "title": "Other", "status": 402}


def test_a_problem_is_described_by_its_class():
    found = [(one.__status__, one.__problem_type__) for one in (OutOfCredit, Credit)]
    assert found == [(403, "out-of-credit"), (403, "https://example.org/problems/credit")]


def test_a_problem_without_a_class_of_its_own_is_a_plain_one():
    assert body_of(HTTPProblem("no", status=409)) == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "no",
    }
    assert body_of(HTTPProblem("no"))["status"] == 422


@pytest.mark.parametrize("detail", [Balance(3), Model(balance=3), {"balance": 3}])
def test_the_detail_of_a_problem_has_a_type(detail):
    assert body_of(HTTPProblem(detail))["detail"] == {"balance": 3}


def test_a_problem_keeps_its_headers():
    reply = from_exception(OutOfCredit(headers={"X-A": "1"}))
    assert (b"x-a", b"1") in reply.headers


def test_a_standard_member_is_not_replaced():
    with pytest.raises(ValueError, match="'status' is a standard member"):
        OutOfCredit(members={"status": 200})


@pytest.mark.parametrize("one", [200, 304, 600, status.OK, "403"])
def test_a_problem_has_a_status_that_refuses(one):
    with pytest.raises(ValueError, match=r"from 300 to 599|isn't a status"):
        OutOfCredit(status=one)
    with pytest.raises(ValueError, match=r"from 300 to 599|isn't a status"):
        type("Wrong", (HTTPProblem,), {"__status__": one})


async def test_a_problem_refuses_a_websocket(autojump_clock):
    route = WebSocketRoute("room")

    @route.endpoint
    async def handler(ws: WebSocket) -> None:
        raise OutOfCredit("it costs 50")

    async with open_app(Triows(route)) as client:
        with pytest.raises(WebSocketDenialResponse) as refused:
            async with client.websocket_connect("/room"):
                pass
    assert refused.value.status_code == 403
    assert json.loads(refused.value.content)["type"] == "out-of-credit"
