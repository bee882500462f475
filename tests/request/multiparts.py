"""Bodies of multipart forms for tests, made by hand."""

from __future__ import annotations

__all__ = ["BOUNDARY", "FORM", "TYPE", "form", "part"]

BOUNDARY = b"XyZ"
TYPE = b"multipart/form-data; boundary=XyZ"


def part(disposition: bytes, content: bytes, *headers: bytes) -> bytes:
    """Make a part. The disposition is what comes after ``form-data``."""
    lines = [b"Content-Disposition: form-data" + disposition, *headers]
    return b"\r\n".join([*lines, b"", content])


def form(*parts: bytes) -> bytes:
    """Make a body of parts."""
    delimited = [b"--XyZ\r\n" + one + b"\r\n" for one in parts]
    return b"".join([*delimited, b"--XyZ--\r\n"])


FORM = form(
    part(b'; name="title"', b"a\r\n-- XyZ"),
    part(b'; name="photo"; filename="a.png"', b"\r\n--Xy\xff" * 3, b"Content-Type: image/png"),
    part(b'; name="title"', b""),
)
