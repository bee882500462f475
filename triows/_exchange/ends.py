"""Which errors only mean that an exchange ends, and what the log says about a cancelled handler."""

from __future__ import annotations

from triows._errors import add_note, is_a, leaves
from triows._reasons import Reason
from triows.exceptions import Disconnected, HandlerCancelled

__all__ = ["explain_cancellations", "is_end", "is_own_cancellation", "source_of", "why_cancelled"]

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
        own: What the exceptions of this exchange have as their source. Those of another exchange
            are errors here.
    """
    if is_a(error, Disconnected):
        return source_of(error) in (None, own)
    return is_own_cancellation(error, own)


def is_own_cancellation(error: BaseException, own: object) -> bool:
    """
    Say whether it is what resources get when the handler of this exchange was cancelled.

    If an exit hands on that the handler of another exchange was cancelled, or makes such an
    exception itself, something has failed.
    """
    source = source_of(error) if is_a(error, HandlerCancelled) else None
    return source is not None and source is own


def source_of(error: BaseException) -> object:
    """Return what a disconnect, or a cancellation, is about. This runs no code of a subclass."""
    return object.__getattribute__(error, "__dict__").get("source")


def explain_cancellations(error: BaseException, own: object) -> None:
    """Add a note to each exception in *error* that says that another handler was cancelled."""
    for leaf in leaves(error):
        if is_a(leaf, HandlerCancelled) and not is_own_cancellation(leaf, own):
            add_note(
                leaf,
                "this was raised for another handler, or by your own code: to hand on what went "
                "wrong elsewhere, raise an exception of your own",
            )


def why_cancelled(reason: Reason | None, who: str) -> str:
    """Return what the log says about a handler, called *who*, that was cancelled for a reason."""
    return "" if reason is None else _WHY.get(reason, "").format(who)
