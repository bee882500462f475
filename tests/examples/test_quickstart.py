from __future__ import annotations

import pytest

from examples.quickstart import app
from triows.testing import TestClient, WebSocketDenialResponse


def test_the_handler_gets_its_parameters_and_answers():
    client = TestClient(app)
    with client:  # noqa: SIM117
        with client.websocket_connect("/web_socket/session123?max_users=5") as websocket:
            data = websocket.receive_text()
            assert data == "Hello, world!"


@pytest.mark.parametrize("query", ["", "?max_users=five"])
def test_a_parameter_that_is_missing_or_does_not_fit_is_refused(query):
    connection = TestClient(app).websocket_connect(f"/web_socket/session123{query}")
    with pytest.raises(WebSocketDenialResponse) as refused, connection:
        pass
    assert refused.value.status_code == 422
    assert [error["name"] for error in refused.value.json()["errors"]] == ["max_users"]


def test_what_the_handler_raises_reaches_the_test():
    connection = TestClient(app).websocket_connect("/web_socket/another?max_users=5")
    with pytest.raises(AssertionError), connection:
        pass
