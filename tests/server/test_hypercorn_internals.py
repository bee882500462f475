"""The internals of Hypercorn that our server uses. A new release may not change them unnoticed."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypercorn.config import Config
from hypercorn.logging import AccessLogAtoms, Logger
from hypercorn.utils import parse_socket_addr, repr_socket_addr, valid_server_name

SIGNATURES = {
    Config._create_sockets: ["self", "binds", "type_"],
    Config.create_ssl_context: ["self"],
    Config.response_headers: ["self", "protocol"],
    AccessLogAtoms.__init__: ["self", "request", "response", "request_time"],
    Logger.access: ["self", "request", "response", "request_time"],
    Logger.atoms: ["self", "request", "response", "request_time"],
    parse_socket_addr: ["family", "address"],
    repr_socket_addr: ["family", "address"],
    valid_server_name: ["config", "request"],
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda one: one.__qualname__)
def test_a_signature_is_the_one_that_we_call(function: Any) -> None:
    assert list(inspect.signature(function).parameters) == SIGNATURES[function]


def test_a_configuration_keeps_its_logger_where_we_replace_it() -> None:
    config = Config()
    log = config.log
    assert config._log is log
