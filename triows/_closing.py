"""Checks which close codes and reasons a close frame may have."""

from __future__ import annotations

from websockets.frames import EXTERNAL_CLOSE_CODES, CloseCode

__all__ = ["MAX_REASON", "NORMAL_CODES", "CloseCode", "check_close", "may_close"]

# RFC 6455 section 5.5: a control frame carries at most 125 bytes, two of them the code.
MAX_REASON = 123

#: The codes of a normal end (RFC 6455 section 7.4.1): done, and going away.
NORMAL_CODES = (1000, 1001)


def may_close(code: int) -> bool:
    """Say whether a close frame may have this code (:rfc:`6455#section-7.4`)."""
    return code in EXTERNAL_CLOSE_CODES or 3000 <= code < 5000


def check_close(code: int, reason: str) -> None:
    """
    Refuse what can't be sent in a close frame.

    Raises:
        ValueError: The code is reserved or out of range (:rfc:`6455#section-7.4`), or
            the reason isn't valid text, or is too long.
        TypeError: The code isn't an int, or the reason isn't a str.
    """
    if isinstance(code, bool) or not isinstance(code, int):
        raise TypeError(f"a close code is an int, not {type(code).__name__}")
    if not may_close(code):
        raise ValueError(
            f"close code {code} can't be sent: use 1000-1003, 1007-1014, or 3000-4999 "
            "(4000-4999 are for applications)"
        )
    if not isinstance(reason, str):
        raise TypeError(f"a close reason is a str, not {type(reason).__name__}")
    try:
        length = len(reason.encode())
    except UnicodeEncodeError as exc:
        raise ValueError(f"the close reason isn't valid text: {exc.reason}") from None
    if length > MAX_REASON:
        raise ValueError(
            f"the close reason has {length} bytes of UTF-8; a close frame holds {MAX_REASON}"
        )
