"""What a lifetime needs of the peer. Each kind of exchange has its own line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    import trio

    from triows._reasons import Reason

__all__ = ["Conclusion", "Line", "Straggler", "Timed", "Timer"]


class Timed(Protocol):
    """Something whose time may be over."""

    def on_due(self) -> None:
        """Called when its time is over."""


class Straggler(Protocol):
    """Something that may still run when the handler is over, and may use its arguments."""

    @property
    def name(self) -> str:
        """What messages call it."""

    async def wait_over(self, until: float, /) -> bool:
        """
        Wait until it is over, or until that time on Trio's clock, and return whether it is over.

        A cancellation has no effect on this.
        """


class Timer(Protocol):
    """Calls what is added when its time is over. That takes less time than a scope's deadline."""

    def add(self, timed: Timed, seconds: float, /) -> None:
        """Call it after so many seconds. This replaces an earlier time."""

    def discard(self, timed: Timed, /) -> None:
        """Do not call it."""


class Conclusion(Struct, frozen=True):
    """How an exchange ends, as its line has decided."""

    #: What the log says in addition to what the peer was told.
    why: str = ""
    #: Whether the errors have to be reported. If not, the end is a normal one.
    failed: bool = False
    #: Whether this told the peer of the end. If not, the exchange had ended before.
    told: bool = False


class Line(Protocol):
    """
    The way to the peer of one exchange.

    A lifetime calls :meth:`start`, then :meth:`conclude` when the handler is over. When the
    resources have exited, it calls :meth:`wait_delivered` and :meth:`aclose`.
    """

    @property
    def noun(self) -> str:
        """What messages call the exchange: "connection" or "request"."""

    @property
    def tells_last(self) -> bool:
        """
        Whether the peer is told the outcome when the resources have exited, and not before.

        Then an exit that fails is a part of the outcome.
        """

    @property
    def who(self) -> str:
        """The words that messages use for what runs, for example "the handler"."""

    @property
    def own(self) -> object:
        """What the exceptions have as their source that are about this exchange."""

    @property
    def delivered(self) -> bool:
        """Whether nothing is left to deliver, or there is nobody to deliver it to."""

    @property
    def is_complete(self) -> bool:
        """Whether the peer has got all that it wants. If all went well, nothing else is done."""

    @property
    def ended(self) -> bool:
        """Whether the peer has been told of the end, or has left."""

    @property
    def needs_nursery(self) -> bool:
        """Whether tasks of the exchange read and write."""

    def start(self, tasks: trio.Nursery | None) -> None:
        """
        Begin.

        Args:
            tasks: Where tasks run that read and write. They are shielded until :meth:`aclose`. It
                is ``None`` if the exchange has no nursery, because nobody needs one.
        """

    def is_end(self, error: BaseException) -> bool:
        """Say whether *error*, which isn't a group, only means that the exchange is over."""

    def explain(self, error: BaseException) -> None:
        """Add a note to each exception in *error* that was to end the exchange, but couldn't."""

    async def conclude(self, errors: list[BaseException], reason: Reason | None) -> Conclusion:
        """
        Tell the peer the outcome. This must not wait for a peer that doesn't read.

        A cancellation has no effect on it. If it has to wait, it does so in a shield with a
        deadline.

        Args:
            errors: What was raised. If something goes wrong meanwhile, it is added.
            reason: Why the handler was cancelled, if it was.

        Raises:
            Exception: The peer could not be told.
        """

    async def shut_down(self) -> bool:
        """
        Tell the peer that the server shuts down, as soon as that is possible.

        The handler goes on meanwhile.

        Returns:
            Whether the peer is still there, so that the handler has its whole grace.
        """

    def note_over(self) -> None:
        """Note that nothing more will be told. :meth:`shut_down` must not wait any longer."""

    async def wait_delivered(self) -> None:
        """
        Wait until the peer has got everything. A shutdown, or cancelling this, cuts it short.

        Raises:
            Exception: What the application does after that has failed. It is reported.
        """

    async def aclose(self, *, cancelled: bool, from_outside: bool) -> None:
        """
        Let go of the peer, within ``Timeouts.close``.

        A cancellation has no effect on it. If it has to wait, it does so in a shield with a
        deadline.

        Args:
            cancelled: Whether :meth:`wait_delivered` was cancelled.
            from_outside: Whether the handler was cancelled by something around the exchange. Then
                the server may have been cancelled, too, and read no more.
        """
