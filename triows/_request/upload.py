"""stub"""

from __future__ import annotations

from typing import Any

from starlette.datastructures import UploadFile as UploadFile


class Upload:
    def __init__(self, body: Any, limits: Any) -> None: ...
