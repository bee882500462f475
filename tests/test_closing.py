from __future__ import annotations

import pytest

from triows import WebSocketClose
from triows._closing import check_close

LONGEST = "\N{LATIN SMALL LETTER E WITH ACUTE}" * 61 + "x"  # 123 bytes


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4999])
def test_codes_for_close_frames_may_be_sent(code):
    check_close(code, "")


@pytest.mark.parametrize(
    "code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65536]
)
def test_codes_that_are_reserved_or_out_of_range_may_not(code):
    with pytest.raises(ValueError, match=f"close code {code} can't be sent: use 1000-1003"):
        check_close(code, "")


@pytest.mark.parametrize("code", [True, "1000", 1000.0, None])
def test_a_code_is_an_int(code):
    with pytest.raises(TypeError, match="a close code is an int"):
        check_close(code, "")


def test_a_reason_of_123_bytes_may_be_sent():
    check_close(1000, LONGEST)


def test_a_longer_reason_may_not():
    with pytest.raises(ValueError, match="has 124 bytes of UTF-8; a close frame holds 123"):
        check_close(1000, LONGEST + "x")


def test_a_reason_that_is_no_text_may_not():
    with pytest.raises(ValueError, match="isn't valid text"):
        check_close(1000, "\ud800")


@pytest.mark.parametrize("reason", [None, b"bye", 1])
def test_a_reason_is_a_str(reason):
    with pytest.raises(TypeError, match="a close reason is a str"):
        check_close(1000, reason)


def test_an_exception_that_closes_is_checked_where_it_is_made():
    with pytest.raises(ValueError, match="1006"):
        WebSocketClose(1006)


def test_an_exception_that_closes_says_code_and_reason():
    assert str(WebSocketClose(4001, "no such room")) == "4001 no such room"
    assert str(WebSocketClose(4001)) == "4001"
