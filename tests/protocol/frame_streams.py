"""Streams of frames as peers may send them, valid or not, for property tests."""

from __future__ import annotations

from attrs import frozen
from hypothesis import strategies as st

from tests.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, deflated, frame

__all__ = ["cuts", "streams"]

sizes = st.one_of(
    st.integers(0, 40), st.sampled_from([124, 125, 126, 127, 128, 200, 65535, 65536, 65537])
)
masks = st.binary(min_size=4, max_size=4)
texts = st.one_of(
    st.text(max_size=40).map(str.encode),
    sizes.map(lambda size: b"x" * size),
    sizes.map(lambda size: ("\N{SNOWMAN}" * (size // 3)).encode()),
)
no_texts = st.sampled_from(
    [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"abc\x80", b"\xf4\x90\x80\x80", b"\xe2\x98"]
)
payloads = st.one_of(texts, sizes.map(bytes), st.binary(max_size=40))


@st.composite
def whole(draw: st.DrawFn) -> bytes:
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    return frame(opcode, draw(texts if opcode == TEXT else payloads), mask=draw(masks))


@st.composite
def fragmented(draw: st.DrawFn) -> bytes:
    """A message in fragments, with control frames between them."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    payload = draw(texts if opcode == TEXT else payloads)
    at = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=5)))
    pieces = [payload[a:b] for a, b in zip([0, *at], [*at, len(payload)], strict=True)]
    made = b""
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        made += frame(opcode if number == 0 else CONTINUATION, piece, fin=last, mask=draw(masks))
        if not last and draw(st.booleans()):
            made += draw(control())
    return made


@st.composite
def control(draw: st.DrawFn) -> bytes:
    opcode = draw(st.sampled_from([PING, PONG]))
    return frame(opcode, draw(st.binary(max_size=125)), mask=draw(masks))


@st.composite
def close(draw: st.DrawFn) -> bytes:
    code = draw(st.sampled_from([None, 1000, 1001, 1005, 1015, 2999, 3000, 4001, 5000]))
    if code is None:
        return frame(CLOSE, draw(st.sampled_from([b"", b"\x03"])))
    reason = draw(st.one_of(st.text(max_size=20).map(str.encode), no_texts))
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


# In how many bytes a length is written, and what it claims.
FORGED = [(2, None), (8, None), (None, 0), (None, 126), (2, 7), (8, 2**40), (8, 2**63)]


@st.composite
def odd(draw: st.DrawFn) -> bytes:
    """Any frame. Most of them break a rule."""
    width, length = draw(st.sampled_from([(None, None), (None, None), *FORGED]))
    payload = draw(st.one_of(payloads, no_texts))
    if width == 2:
        payload = payload[: 2**16 - 1]
    return frame(
        draw(st.integers(0, 15)),
        payload,
        fin=draw(st.booleans()),
        reserved=draw(st.sampled_from([0, 0, 0, 1, 4, 7])),
        mask=draw(st.one_of(masks, st.none())),
        width=width,
        length=length,
    )


@st.composite
def compressed(draw: st.DrawFn) -> bytes:
    """A compressed message. It breaks a rule if compression was not negotiated."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    payload = draw(st.one_of(texts, sizes.map(lambda size: bytes(size * 50))))
    data = draw(st.sampled_from([deflated(payload, window=12), payload]))
    return frame(opcode, data, reserved=4, mask=draw(masks))


@frozen
class Stream:
    """What a peer sends, and the pieces in which it arrives."""

    data: bytes
    cuts: list[int]

    @property
    def chunks(self) -> list[bytes]:
        return [
            self.data[a:b]
            for a, b in zip([0, *self.cuts], [*self.cuts, len(self.data)], strict=True)
        ]


def cuts(draw: st.DrawFn, size: int) -> list[int]:
    """Where to cut a stream: nowhere, in some places, or after every byte of a part."""
    how = draw(st.sampled_from(["whole", "some", "fine"]))
    if how == "whole":
        return []
    if how == "some":
        return sorted(draw(st.lists(st.integers(0, size), max_size=12)))
    start = draw(st.integers(0, size))
    return list(range(start, min(size, start + 40)))


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Mostly valid frames, and sometimes one that breaks a rule, or garbage."""
    kinds = [whole(), whole(), whole(), fragmented(), control(), compressed(), close(), odd()]
    frames = draw(st.lists(st.sampled_from(kinds).flatmap(lambda kind: kind), max_size=12))
    data = b"".join(frames) + draw(st.one_of(st.just(b""), st.binary(max_size=30)))
    return Stream(data, cuts(draw, len(data)))
