"""What parameters are read from, made from the scope of a request."""

from __future__ import annotations

from typing import Any

from triows import Limits
from triows._exchange.asked import PathParams, data_of


def scope(**parts: Any) -> dict[str, Any]:
    return {"headers": [], **parts}


def test_converted_values_of_the_path_are_for_others_and_its_texts_for_handlers():
    params = PathParams({"number": 7}, {"number": "007"})
    assert params == {"number": 7}
    assert data_of(scope(path_params=params), Limits()).path_params == {"number": "007"}


def test_values_with_which_a_middleware_has_replaced_the_path_are_read_as_texts():
    data = data_of(scope(path_params={"number": 8, "name": "ada"}), Limits())
    assert data.path_params == {"number": "8", "name": "ada"}


def test_a_scope_without_a_query_and_a_path_has_no_parameters():
    data = data_of(scope(query_string=None, path_params=None), Limits())
    assert (data.path_params, data.query.values) == ({}, {})


def test_the_query_has_the_limit_of_the_route():
    query = scope(query_string=b"a=1&b=2")
    assert not data_of(query, Limits(query_parameters=2)).query.refused
    assert data_of(query, Limits(query_parameters=1)).query.refused


def test_headers_are_there_by_name_in_lower_case():
    data = data_of(scope(headers=[(b"X-One", b"1"), (b"x-one", b"2")]), Limits())
    assert data.headers == {"x-one": ["1", "2"]}
