"""Files that are sent as bodies, without holding up the loop while the disk works."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import trio
from attrs import frozen

from triows._transports.wire import CHUNK

if TYPE_CHECKING:
    from typing import Self

__all__ = ["SHORTER", "OpenFile"]

#: Why a file can't be sent to its end, though its length was announced.
SHORTER = "the file has become shorter while it was sent"


@frozen(eq=False)
class OpenFile:
    """A file that is being sent."""

    descriptor: int
    #: How many bytes it had when it was opened. If it grows, the rest isn't sent.
    size: int
    #: The whole content of a small file.
    content: bytes | None

    @classmethod
    async def open(cls, path: str) -> Self:
        """
        Open a file, and read it if it is small.

        Raises:
            OSError: It can't be read, or isn't a regular file.
        """
        return await trio.to_thread.run_sync(cls._open, path)

    @classmethod
    def _open(cls, path: str) -> Self:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(f"{path!r} isn't a regular file")
            size = status.st_size
            content = os.pread(descriptor, size, 0) if size <= CHUNK else None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, size if content is None else len(content), content)

    async def read(self, offset: int, size: int) -> bytes:
        """
        Read a part of it.

        Args:
            offset: Where the part begins.
            size: How many bytes it has at most. More than a chunk is never read.

        Raises:
            OSError: It can't be read, or it is shorter than it was.
        """
        size = min(CHUNK, size)
        data = await trio.to_thread.run_sync(os.pread, self.descriptor, size, offset)
        if len(data) < size:
            raise OSError(SHORTER)
        return data

    def close(self) -> None:
        """Close it."""
        os.close(self.descriptor)
