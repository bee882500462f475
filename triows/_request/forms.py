"""stub"""

from __future__ import annotations

from typing import Any


async def read_form(body: Any, limits: Any) -> Any:
    raise NotImplementedError
