"""The phrases of statuses are those of RFC 9110, whatever the version of Python."""

from __future__ import annotations

from triows._phrases import PHRASES


def test_phrases_are_those_of_rfc_9110():
    assert [PHRASES[status] for status in (200, 404, 413, 414, 416, 422)] == [
        *("OK", "Not Found", "Content Too Large", "URI Too Long"),
        *("Range Not Satisfiable", "Unprocessable Content"),
    ]
