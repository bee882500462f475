"""An application whose start-up fails."""

from collections.abc import AsyncIterator
from typing import Any

from triows import Triows


async def lifespan(app: Any) -> AsyncIterator[None]:
    raise RuntimeError("there is no database")
    yield


app = Triows(lifespan=lifespan)
