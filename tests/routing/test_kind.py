import pytest

from triows._routing.kind import HTTP, WEBSOCKET
from triows.exceptions import RouteSetupError


def test_the_handler_of_a_websocket_is_a_coroutine_function() -> None:
    async def handler() -> None: ...

    WEBSOCKET.check_handler(handler, "here")
    with pytest.raises(RouteSetupError, match="not supported for websocket") as caught:
        WEBSOCKET.check_handler(lambda: None, "here")
    assert caught.value.where == "here"


def test_the_handler_of_a_request_may_be_a_plain_function() -> None:
    def handler() -> None: ...

    HTTP.check_handler(handler, "here")
    with pytest.raises(RouteSetupError, match="isn't a handler"):
        HTTP.check_handler(5, "here")


def test_a_kind_has_the_name_of_its_scopes() -> None:
    assert (WEBSOCKET.name, HTTP.name) == ("websocket", "http")
