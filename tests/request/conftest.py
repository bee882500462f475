"""A request that comes through ASGI's functions."""

from __future__ import annotations

import pytest

from tests.request.asgi import Server
from triows._request.foreign import ForeignRequest
from triows._request.line import RequestLine


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def transport(server) -> ForeignRequest:
    return ForeignRequest(server.receive, server.send, "GET")


@pytest.fixture
def line(transport) -> RequestLine:
    return RequestLine(transport, patience=5)
