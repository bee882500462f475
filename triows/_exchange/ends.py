"""Which errors only mean that an exchange ends, and what the log says about a cancelled handler."""

from __future__ import annotations

from triows._errors import is_a
from triows._reasons import Reason
from triows.exceptions import Disconnected, HandlerCancelled

__all__ = ["is_end", "source_of", "why_cancelled"]

# What the log says. It needs no words for the other reasons, because an error says more.
_WHY = {
    Reason.CANCELLED: "{} was cancelled from outside",
    Reason.APPLICATION_FAILED: "a resource of the application failed, and {} was cancelled",
    Reason.SHUTDOWN: (
        "{} did not end in the time that it has at a shutdown, and was cancelled"
    ),
    Reason.PEER_GONE: "{} did not end within its disconnect_grace, and was cancelled",
    Reason.RESOURCE_FAILED: "a resource failed, and {} was cancelled",
}  # fmt: skip


def is_end(error: BaseException, own: object) -> bool:
    """
    Say whether *error* only means that an exchange ends. Several tasks may notice that.

    Args:
        error: The error, which isn't a group.
        own: What the disconnects of this exchange have as their source. A disconnect of another
            exchange is an error here.
    """
    if is_a(error, Disconnected):
        return source_of(error) in (None, own)
    return is_a(error, HandlerCancelled)


def source_of(error: BaseException) -> object:
    """Return what a disconnect is about. This runs no code of a subclass."""
    return object.__getattribute__(error, "__dict__").get("source")


def why_cancelled(reason: Reason | None, who: str) -> str:
    """Return what the log says about a handler, called *who*, that was cancelled for a reason."""
    return "" if reason is None else _WHY.get(reason, "").format(who)
