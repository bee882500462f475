"""The phrases of HTTP statuses."""

from __future__ import annotations

from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PHRASES"]

#: The phrases that :rfc:`9110#section-15` gives. Python has those of older RFCs before 3.13.
_CURRENT = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}

#: The phrase of each registered status, by its number.
PHRASES: Mapping[int, str] = MappingProxyType(
    {status.value: status.phrase for status in HTTPStatus} | _CURRENT
)
