"""Addresses, paths, times without seconds, and types that have a name of their own."""

import subprocess
import sys
from datetime import UTC, datetime, time, timedelta, timezone
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from pathlib import Path, PurePath, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import pytest
from typing_extensions import TypeAliasType

from tests.injection.kinds import WEBSOCKETS
from triows import Param
from triows._injection.parameter import MISSING
from triows._injection.params import is_readable, param_spec
from triows._injection.query import RequestData
from triows._injection.readers import read_params
from triows.exceptions import HandlerSignatureError


def spec(annotation: Any, mark: Any = None) -> Any:
    return param_spec(
        "value", annotation, MISSING, mark=mark, path_keys={}, kind=WEBSOCKETS, where="chat.py:12"
    )


def read(annotation: Any, *texts: str, mark: Any = None) -> Any:
    query = "&".join("value=" + text.replace("+", "%2B") for text in texts)
    data = RequestData(query.encode(), [], {}, max_query_parameters=100)
    (value,), errors = read_params([spec(annotation, mark)], data)
    return [error.message for error in errors] or value


@pytest.mark.parametrize(
    ("type_", "text", "value", "bad", "message"),
    [
        (IPv4Address, "192.0.2.1", ip_address("192.0.2.1"), "192.0.2", "Invalid IPv4 address"),
        (IPv6Address, "::1", ip_address("::1"), "192.0.2.1", "Invalid IPv6 address"),
        (IPv4Network, "10.0.0.0/8", ip_network("10.0.0.0/8"), "10.0.0.1/8", "Invalid IPv4 network"),
        (IPv6Network, "2001:db8::/32", ip_network("2001:db8::/32"), "x", "Invalid IPv6 network"),
        (IPv4Interface, "10.0.0.1/8", ip_interface("10.0.0.1/8"), "1", "Invalid IPv4 interface"),
        (IPv6Interface, "::1/64", ip_interface("::1/64"), "", "Invalid IPv6 interface"),
        (Path, "a/b.txt", Path("a/b.txt"), "", "Invalid path"),
        (Path | None, "a", Path("a"), "a%00b", "Invalid path"),
        (PurePath, "a", PurePath("a"), "", "Invalid path"),
        (PurePosixPath, "a", PurePosixPath("a"), "", "Invalid path"),
    ],
)
def test_an_address_or_a_path_is_read(type_: Any, text: str, value: Any, bad: str, message: str):
    assert is_readable(type_)
    found = read(type_, text)
    assert (found, type(found)) == (value, type(value))
    assert read(type_, bad) == [message]


def test_an_address_of_either_version_is_read():
    either = IPv4Address | IPv6Address
    assert read(either, "::1") == ip_address("::1")
    assert read(either | None, "192.0.2.1") == ip_address("192.0.2.1")
    assert read(list[either], "::1", "192.0.2.1") == [ip_address("::1"), ip_address("192.0.2.1")]
    assert read(either, "x") == ["Invalid IPv4 address or IPv6 address"]


def test_addresses_may_be_several():
    assert read(set[IPv4Address], "192.0.2.1", "192.0.2.1") == {ip_address("192.0.2.1")}
    assert read(list[IPv4Address], "192.0.2.1", "x") == ["Item 2: Invalid IPv4 address"]


def test_a_text_that_could_be_an_address_or_something_else_is_refused():
    with pytest.raises(HandlerSignatureError, match=r"when a text is a Path and when it is a str"):
        spec(Path | str)


@pytest.mark.parametrize(
    ("type_", "texts", "value"),
    [
        (time, ["10:30"], time(10, 30)),
        (time, ["10:30Z"], time(10, 30, tzinfo=UTC)),
        (time, ["10:30-05:00"], time(10, 30, tzinfo=timezone(timedelta(hours=-5)))),
        (time | None, ["10:30"], time(10, 30)),
        (datetime, ["2026-01-01T10:30"], datetime(2026, 1, 1, 10, 30)),
        (datetime, ["2026-01-01 10:30"], datetime(2026, 1, 1, 10, 30)),
        (datetime, ["2026-01-01T10:30Z"], datetime(2026, 1, 1, 10, 30, tzinfo=UTC)),
        (list[time], ["10:30", "11:30:15"], [time(10, 30), time(11, 30, 15)]),
        (tuple[time, ...], ["10:30"], (time(10, 30),)),
        (tuple[str, time], ["10:30", "10:30"], ("10:30", time(10, 30))),
        (Annotated[time, msgspec.Meta(tz=False)], ["10:30"], time(10, 30)),
    ],
)
def test_a_time_may_be_without_seconds(type_: Any, texts: list[str], value: Any):
    assert read(type_, *texts) == value


@pytest.mark.parametrize("text", ["10", "1:30", "25:30", "10:61", "10:30:", "10:3", "10:30x"])
def test_a_time_needs_hours_and_minutes(text: str):
    assert read(time, text) == ["Invalid RFC3339 encoded time"]


def test_a_time_without_seconds_meets_its_constraints():
    aware = Annotated[datetime, msgspec.Meta(tz=True)]
    assert read(aware, "2026-01-01T10:30") == ["Expected `datetime` with a timezone component"]


# Names for types. The class is from Python 3.12. For 3.11, typing_extensions has it.

T = TypeVar("T")
U = TypeVar("U")
Limit = TypeAliasType("Limit", Annotated[int, msgspec.Meta(le=5)])
Many = TypeAliasType("Many", list[T], type_params=(T,))
Swapped = TypeAliasType("Swapped", tuple[U, T], type_params=(T, U))
Same = TypeAliasType("Same", T, type_params=(T,))
Word = TypeAliasType("Word", Literal["a", "b"])


@pytest.mark.parametrize(
    ("type_", "texts", "value"),
    [
        (Limit, ["5"], 5),
        (Limit, ["6"], ["Expected `int` <= 5"]),
        (Limit | None, ["4"], 4),
        (list[Limit], ["4", "6"], ["Item 2: Expected `int` <= 5"]),
        (Many[int], ["1", "2"], [1, 2]),
        (Many[Limit], ["6"], ["Item 1: Expected `int` <= 5"]),
        (Swapped[int, str], ["1", "2"], ("1", 2)),
        (Same[int], ["1"], 1),
        (Word, ["a"], "a"),
    ],
)
def test_an_alias_is_what_it_stands_for(type_: Any, texts: list[str], value: Any):
    assert read(type_, *texts) == value


def test_an_alias_in_a_pack_may_have_a_param():
    class Page(msgspec.Struct):
        size: TypeAliasType("Size", Annotated[int, Param(alias="n", le=5)])

    page = spec(Page, Param("query"))
    assert [part.alias for part in page.known.fields] == ["n"]


def test_an_alias_that_contains_itself_is_refused():
    # As `type Tree = list[Tree]` makes it.
    tree = type("TypeAliasType", (), {"__value__": property(lambda self: list[self])})()
    assert is_readable(tree)  # param_spec() refuses it with a better message
    with pytest.raises(HandlerSignatureError, match="its type contains itself"):
        spec(tree)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="`type` came with Python 3.12")
def test_a_type_statement_makes_such_names():
    program = """
from typing import Annotated
from triows import Param, Triows
from triows._websocket.kind import websocket_kind
from triows._injection.parameter import MISSING
from triows._injection.params import param_spec
from triows._injection.query import RequestData
from triows._injection.readers import read_params
kind = websocket_kind(Triows)
type Pair[T] = tuple[T, T]
type Tree = list[Tree]
type Size = Annotated[int, Param(le=5)]
def read(type_, query):
    spec = param_spec("v", type_, MISSING, mark=None, path_keys={}, kind=kind, where="x")
    return read_params([spec], RequestData(query, [], {}, max_query_parameters=9))
assert read(Pair[int], b"v=1&v=2") == ([(1, 2)], [])
try:
    read(Tree, b"v=1")
except Exception as exc:
    assert "contains itself" in str(exc), exc
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], check=True)
