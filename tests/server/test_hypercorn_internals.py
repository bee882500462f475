"""The internals of Hypercorn that our server uses. A new release may not change them unnoticed."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

SIGNATURES = {
    TCPServer.__init__: ["self", "app", "config", "context", "state", "stream"],
    TCPServer.protocol_send: ["self", "event"],
    TCPServer._read_data: ["self"],
    H11Protocol.__init__: [
        *("self", "app", "config", "context", "task_group", "connection_state"),
        *("ssl", "client", "server", "send"),
    ],
    H11Protocol.handle: ["self", "event"],
    H11Protocol._handle_events: ["self"],
    H11Protocol._check_protocol: ["self", "event"],
    H11Protocol._create_stream: ["self", "request"],
    H11Protocol._send_error_response: ["self", "status_code"],
    HTTPStream.app_send: ["self", "message"],
    TaskGroup.spawn_app: ["self", "app", "config", "scope", "send"],
    WorkerContext.__init__: ["self", "max_requests"],
    WorkerContext.mark_request: ["self"],
    Config._create_sockets: ["self", "binds", "type_"],
    Config.create_ssl_context: ["self"],
    Config.response_headers: ["self", "protocol"],
    Logger.access: ["self", "request", "response", "request_time"],
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda one: one.__qualname__)
def test_a_signature_is_the_one_that_we_call_or_override(function: Any) -> None:
    assert list(inspect.signature(function).parameters) == SIGNATURES[function]


def test_the_loop_of_a_connection_still_asks_us_in_turn() -> None:
    """One method checks a request first, and another one gets it after that."""
    source = inspect.getsource(H11Protocol._handle_events)
    order = ["Updated(idle=False)", "self._check_protocol(event)", "self._create_stream(event)"]
    assert sorted(order, key=source.index) == order


def test_a_configuration_keeps_its_logger_where_we_replace_it() -> None:
    config = Config()
    log = config.log
    assert config._log is log


def test_a_request_has_all_it_needs_of_its_tasks() -> None:
    source = inspect.getsource(HTTPStream.handle)
    assert "self.task_group.spawn_app(" in source
