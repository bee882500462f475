from __future__ import annotations

import inspect
from typing import Any

import pytest
import trio
from starlette.middleware import Middleware

from triows import RouteSetupError, Triows
from triows._asgi import check_mountable, described, wrapped
from triows._where import where


async def app(scope: Any, receive: Any, send: Any) -> None:
    scope.append("app")


class Saying:
    """A middleware that says a word."""

    def __init__(self, app: Any, word: str = "class") -> None:
        self.app, self.word = app, word

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope.append(self.word)
        await self.app(scope, receive, send)


def function(app: Any) -> Any:
    return Saying(app, "function")


async def heard(*middlewares: Any) -> list[str]:
    words: list[str] = []
    await wrapped(app, middlewares)(words, None, None)
    return words


# Around one another


async def test_the_first_middleware_is_the_outermost():
    outer, inner = Middleware(Saying, "outer"), Middleware(Saying, word="inner")
    assert await heard(outer, Saying, function, inner) == [
        *("outer", "class", "function", "inner", "app")
    ]


def test_without_middlewares_an_application_stays_as_it_is():
    assert wrapped(app, []) is app


@pytest.mark.parametrize(
    ("middlewares", "text"),
    [
        ([], "the application"),
        ([Saying], f"the middleware {where(Saying)}"),
        ([Middleware(Saying, "a")], f"the middleware {where(Saying)}"),
        (
            [Saying, function],
            f"one of the middlewares {where(Saying)}, {where(function)}",
        ),
    ],
)
def test_messages_name_those_that_may_have_done_something(middlewares, text):
    assert described(middlewares) == text


async def dispatch(request: Any, call_next: Any) -> None: ...


async def async_maker(app: Any) -> Any: ...


def makes_nothing(app: Any) -> None: ...


def makes_a_class(app: Any) -> type:
    return dict


class WithoutCall:
    def __init__(self, app: Any) -> None: ...


def greedy(app: Any, word: str) -> Any: ...


@pytest.mark.parametrize(
    ("middleware", "remedy"),
    [
        ("gzip", "takes classes, functions and Middleware"),
        (Middleware, "takes classes, functions and Middleware"),
        (app, "write `def middleware\\(app\\): ...`"),
        (Saying(app), r"give the class, `Middleware\(Saying, ...\)`"),
        (dispatch, r"Middleware\(BaseHTTPMiddleware, dispatch=dispatch\)"),
        (greedy, r"write `Middleware\(greedy, ...\)` with all that it needs"),
        (Middleware(Saying, loud=True), "can't be called with the application and the arguments"),
        (async_maker, "made a coroutine, which isn't an ASGI application: write `def` there"),
        (makes_nothing, "made None, .* return an `async def`"),
        (WithoutCall, "give its instances an `async def __call__"),
    ],
)
def test_what_makes_no_application_around_another_is_refused(middleware, remedy):
    with pytest.raises(RouteSetupError, match=remedy):
        wrapped(app, [middleware])


async def test_an_instance_may_have_got_its_call_when_it_was_made():
    class Slotted:
        """As Sentry's middleware is."""

        __slots__ = ("__call__", "app")

        def __init__(self, app: Any) -> None:
            self.app = app
            self.__call__ = self.run

        async def run(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    assert await heard(Slotted, Saying) == ["class", "app"]


async def test_an_application_is_a_coroutine_function_for_the_middleware_around_it():
    # By this, Sentry's middleware tells the third version of ASGI from the second.
    seen: list[Any] = []

    def looking(app: Any) -> Any:
        seen.append(app)
        return app

    wrapped(Saying(app).__call__, [looking])
    wrapped(Triows(), [looking])
    assert [inspect.iscoroutinefunction(one) for one in seen] == [True, True]


# Mounting


@pytest.mark.parametrize("mountable", [app, Saying(app), Triows(), print, max])
def test_what_can_be_called_with_a_scope_and_two_functions_can_be_mounted(mountable):
    check_mountable(mountable)


@pytest.mark.parametrize(
    ("other", "remedy"),
    [
        (Saying, r"not its class: write Saying\(\)"),
        ("static", "for a folder of files, call static"),
        (dispatch, "dispatch isn't an ASGI application"),
    ],
)
def test_what_can_not_is_refused_with_what_to_give_instead(other, remedy):
    with pytest.raises(RouteSetupError, match=remedy):
        check_mountable(other)


async def test_nothing_happens_in_an_application_before_a_middleware_awaits_its_call():
    happened: list[str] = []

    async def rest() -> None:
        await trio.lowlevel.checkpoint()

    def app(scope: object, receive: object, send: object) -> object:
        happened.append("application")
        return rest()

    def middleware(inner: Any) -> Any:
        async def call(scope: Any, receive: Any, send: Any) -> None:
            called = inner(scope, receive, send)
            happened.append("called")
            await called

        return call

    await wrapped(app, [middleware])({}, None, None)
    assert happened == ["called", "application"]
