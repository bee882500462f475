"""The event loop that everything here needs: Trio's."""

from __future__ import annotations

import trio

__all__ = ["NO_TRIO", "check_trio"]

NO_TRIO = (
    "triows runs on Trio, and this server does not: start the application by "
    "`triows run module:app`, or by `hypercorn -k trio module:app`. In a test, use "
    "triows.testing.TestClient, which has the interface of Starlette's, or triows.testing.open_app"
)


def check_trio(what: str) -> None:
    """
    Refuse to run where no Trio loop runs, for example under asyncio.

    Args:
        what: The function that was called.

    Raises:
        RuntimeError: No Trio loop runs. The message says what to write instead.
    """
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(
            f"{what} needs Trio, and no Trio loop runs here: write trio.run({what}, app, config)"
        )
