from __future__ import annotations

from hypercorn.config import Config as HypercornsConfig

from triows._server.config import Config, free_port


def test_it_is_hypercorns_configuration():
    assert Config is HypercornsConfig


def test_by_default_it_listens_on_a_free_port_of_this_machine():
    assert free_port().bind == ["127.0.0.1:0"]


def test_each_call_makes_another_one():
    first = free_port()
    first.bind = ["127.0.0.1:8000"]
    assert free_port().bind == ["127.0.0.1:0"]
