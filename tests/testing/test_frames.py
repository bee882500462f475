"""The frames of a client, valid or not. ``test_raw`` checks what a library reads of them."""

from __future__ import annotations

import pytest

from triows.testing import frame


def test_a_frame_is_masked_and_whole_by_default():
    made = frame(1, b"hi")
    assert made[:2] == b"\x81\x82"
    mask, payload = made[2:6], made[6:]
    assert bytes(a ^ b for a, b in zip(payload, mask, strict=False)) == b"hi"


def test_a_frame_may_have_no_mask_or_another():
    assert frame(1, b"hi", mask=None) == b"\x81\x02hi"
    assert frame(1, b"hi", mask=b"\0\0\0\1") == b"\x81\x82\0\0\0\1hi"


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x82\x00"),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65_535, b"\x82\x7e\xff\xff"),
        (65_536, b"\x82\x7f\0\0\0\0\0\1\0\0"),
    ],
)
def test_the_length_takes_as_few_bytes_as_possible(size, head):
    assert frame(2, bytes(size), mask=None) == head + bytes(size)


@pytest.mark.parametrize(
    ("width", "head"), [(1, b"\x82\x01"), (2, b"\x82\x7e\0\1"), (8, b"\x82\x7f\0\0\0\0\0\0\0\1")]
)
def test_the_length_may_take_more(width, head):
    assert frame(2, b"a", mask=None, width=width) == head + b"a"


def test_the_length_may_be_a_lie():
    assert frame(2, b"a", mask=None, length=5) == b"\x82\x05a"
    assert frame(2, b"", mask=None, length=2**63) == b"\x82\x7f\x80" + bytes(7)


@pytest.mark.parametrize(("reserved", "first"), [(0, 0x02), (1, 0x12), (4, 0x42), (7, 0x72)])
def test_the_first_byte_has_the_reserved_bits_and_the_opcode(reserved, first):
    assert frame(2, fin=False, reserved=reserved)[0] == first
    assert frame(2, reserved=reserved)[0] == first | 0x80
    assert frame(15, reserved=reserved)[0] == first | 0x8F
