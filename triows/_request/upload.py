"""Uploads: the parts of a form one after the other as they come, or files that are there."""

from __future__ import annotations

import enum
from io import BytesIO
from typing import TYPE_CHECKING, Final

import starlette.datastructures
import trio

from triows._checkpoints import checkpointed
from triows._counted import counted

from .body import BodyTooLarge
from .media import parse_media_type
from .multipart import MultipartReader, PartHead, boundary_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.datastructures import Headers

    from triows._settings import Limits

    from .body import RequestBody

__all__ = ["Part", "Upload", "UploadFile"]


class UploadFile(starlette.datastructures.UploadFile):
    r"""
    A file in a form, whose content is in memory.

    The form was read before the handler was called, within :attr:`.Limits.body`. For files that
    are larger than what you want to hold in memory, ask for an :class:`Upload` instead.

    The name and the type of the file are what the client says. A name may be a path, such as
    ``..\..\x``, so don't open a file by it.
    """

    def __init__(self, content: bytes, filename: str, headers: Headers) -> None:
        self._content = BytesIO(content)
        super().__init__(self._content, size=len(content), filename=filename, headers=headers)

    # Starlette's methods take the file for one on a disk, and call threads.

    async def read(self, size: int = -1) -> bytes:
        """Return the next *size* bytes, or all that are left."""
        await trio.lowlevel.checkpoint()
        return self.file.read(size)

    async def write(self, data: bytes) -> None:
        """Write at the current place."""
        await trio.lowlevel.checkpoint()
        self.file.write(data)
        self.size = self._content.getbuffer().nbytes

    async def seek(self, offset: int) -> None:
        """Go to a place in the file, to read or write there."""
        await trio.lowlevel.checkpoint()
        self.file.seek(offset)

    async def close(self) -> None:
        """Free the memory. The file can't be read any more."""
        await trio.lowlevel.checkpoint()
        self.file.close()


class _End(enum.Enum):
    FORM = "FORM"


_FORM_END: Final = _End.FORM


class Upload:
    """
    A form whose parts come one after the other, as the client sends them.

        async for part in upload:
            if part.filename is None:
                title = await part.read(1000)
            else:
                async for chunk in part:
                    ...

    Nothing is stored: there is one chunk in memory at a time. If you leave a part before its end,
    the rest of it is skipped. The whole body may have as many bytes as :attr:`.Limits.body` says,
    and as many parts as :attr:`.Limits.parts` says. If it has more, the iteration raises an
    :exc:`~triows.HTTPException` for a 413. For a body that is malformed, that is a 422.

    Cancelling a wait loses nothing of the upload.

    Args:
        body: The body of the request.
        limits: How much there may be.

    Raises:
        HTTPException: The body isn't ``multipart/form-data``: 415.
        InvalidRequest: Its boundary is missing, or isn't one: 422.
    """

    # How the body is read, for messages.
    _way = "by an Upload"

    def __init__(self, body: RequestBody, limits: Limits) -> None:
        body.refuse_coded()
        boundary = boundary_of(parse_media_type(body.content_type or b""))
        self._body = body
        self._reader = MultipartReader(boundary, limits.parts)
        self._events: Iterator[PartHead | bytes | None] = iter(())
        self._part: Part | None = None
        self._is_over = False

    def __aiter__(self) -> Upload:
        if self._is_over:
            self._body.begin_iteration()
        return self

    async def __anext__(self) -> Part:
        """
        Wait for the next part. The one before it can't be used any more.

        Raises:
            StopAsyncIteration: There is no other part.
            BadBody: The form is malformed.
            BodyTooLarge: The body or the head of a part is too large, or there are too many parts.
            ClientDisconnect: The client has left before the end of the body.
            RuntimeError: The body was read in another way.
            trio.BusyResourceError: Another task reads.
        """
        if self._part is not None:
            self._part._kept.clear()
            self._part = None
        while not isinstance(event := await self._next(), PartHead):
            if event is _FORM_END:
                raise StopAsyncIteration
        self._part = Part(self, event)
        return self._part

    async def _next(self) -> PartHead | bytes | _End | None:
        """Return the next head of a part, piece of its content, or end (``None``)."""
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            while not self._is_over:
                for event in self._events:
                    return event
                self._events = await self._receive()
            return _FORM_END
        finally:
            # What has come is never lost, so this isn't cancelled.
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def _receive(self) -> Iterator[PartHead | bytes | None]:
        """Wait for more of the body."""
        try:
            return self._reader.feed(await self._body.take(self._way))
        except StopAsyncIteration:
            self._reader.end()
            self._is_over = True
            return iter(())


class Part:
    r"""
    A part of an :class:`Upload`. It can be used until the next part is asked for.

    Iterate over it to get its content in chunks, or :meth:`read` it. The texts are the client's: a
    filename may be a path, such as ``..\..\x``.
    """

    def __init__(self, upload: Upload, head: PartHead) -> None:
        #: The name of the field.
        self.name: str = head.name
        #: The name of the file, as the client has sent it, or ``None`` if this isn't a file. It is
        #: empty if a form has an input for a file, and nobody has chosen one.
        self.filename: str | None = head.filename
        #: The type of the content, if the client has sent one.
        self.content_type: str | None = head.content_type
        #: All headers of the part.
        self.headers: Headers = head.headers
        self._upload = upload
        self._is_over = False
        # What was read by a task that was cancelled, or that found it to be too long.
        self._kept = bytearray()

    def __aiter__(self) -> Part:
        return self

    async def __anext__(self) -> bytes:
        """
        Wait for the next chunk of the content. It is never empty.

        Raises:
            StopAsyncIteration: That was all.
            RuntimeError: The next part was asked for already.
            Exception: What an iteration over the :class:`Upload` raises.
        """
        if self._kept:
            await trio.lowlevel.checkpoint()
        chunk = self._take_kept() or await self._next()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    @checkpointed
    async def read(self, limit: int) -> bytes:
        """
        Wait for the rest of the content. It is held in memory.

        If this is cancelled, what has come is kept, and another call continues.

        Args:
            limit: How many bytes there may be.

        Raises:
            HTTPException: There are more: 413.
            RuntimeError: The next part was asked for already.
            Exception: What an iteration over the :class:`Upload` raises.
        """
        while len(self._kept) <= limit and (chunk := await self._next()):
            self._kept += chunk
        if len(self._kept) > limit:
            raise BodyTooLarge(f"the part {self.name!r} has more than {counted(limit, 'byte')}")
        return self._take_kept()

    def _take_kept(self) -> bytes:
        kept = bytes(self._kept)
        self._kept.clear()
        return kept

    async def _next(self) -> bytes:
        """Return the next chunk. It is empty only at the end."""
        upload = self._upload
        if upload._part is not self:
            await trio.lowlevel.checkpoint()
            raise RuntimeError(
                "the next part was asked for, so nothing is left of this one: read it before that"
            )
        if self._is_over:
            await trio.lowlevel.checkpoint()
            return b""
        event = await upload._next()
        if isinstance(event, bytes):
            return event
        self._is_over = True
        return b""
