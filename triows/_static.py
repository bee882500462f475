"""Folders of files, which Starlette's ``StaticFiles`` serves."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.staticfiles import StaticFiles

from ._reply import allowed_methods, respond
from ._where import where_called
from .exceptions import HTTPException, RouteSetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["static_files"]


def static_files(
    directory: str | os.PathLike[str] | None,
    packages: Sequence[str | tuple[str, str]] | None,
    *,
    html: bool,
    follow_symlink: bool,
) -> ASGIApp:
    """
    Make the application that serves files.

    Args:
        directory: A folder. It is found from the current folder now, and not from the one at a
            request.
        packages: Packages with such folders.
        html: As in Starlette's class, like the next.
        follow_symlink: Whether links may lead out of the folder.

    Raises:
        RouteSetupError: There is no such folder. The error has the file and line of the call.
    """
    if directory is None and not packages:
        raise RouteSetupError("static() takes a folder: write directory=...", where_called())
    try:
        return _Files(
            directory=None if directory is None else _folder(directory),
            packages=None if packages is None else _listed(packages),
            html=html,
            follow_symlink=follow_symlink,
        )
    except (AssertionError, ImportError, ValueError) as exc:
        raise RouteSetupError(f"packages={packages!r}: {exc}", where_called()) from None


def _folder(directory: str | os.PathLike[str]) -> str:
    """Return the whole path of a folder, if it is one."""
    if not isinstance(directory, str | os.PathLike):
        raise RouteSetupError(
            f"directory takes the path of one folder, a str or a Path, not {directory!r}",
            where_called(),
        )
    if not os.fspath(directory):
        raise RouteSetupError(
            "directory is empty, as if a variable isn't set, and would be the folder in which the "
            'server runs: give the folder, or write directory="." if you mean that one',
            where_called(),
        )
    folder = os.path.abspath(directory)
    if not os.path.isdir(folder):
        what = "is a file" if os.path.exists(folder) else "doesn't exist"
        raise RouteSetupError(f"the folder '{folder}' {what}", where_called())
    return folder


def _listed(packages: Sequence[str | tuple[str, str]]) -> list[str | tuple[str, str]]:
    """Copy a list of packages, if it is one."""
    if isinstance(packages, str) or not isinstance(packages, Iterable):
        raise RouteSetupError(
            f"packages takes a list: write packages=[{packages!r}]", where_called()
        )
    found: list[Any] = list(packages)
    for one in found:
        names = one if isinstance(one, tuple) and len(one) == 2 else (one,)
        # Without the name of a folder, all files of the package would be served.
        if not all(isinstance(name, str) and name for name in names):
            raise RouteSetupError(
                "packages takes the names of packages, or pairs of a package and the name of its "
                f"folder, not {one!r}",
                where_called(),
            )
    return found


class _Files(StaticFiles):
    """Refuses requests with a problem, as everything else does, and answers OPTIONS."""

    # What an application lists as its mount is what its users know.
    __module__, __qualname__ = StaticFiles.__module__, StaticFiles.__qualname__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if scope["method"] == "OPTIONS":
                await respond(send, allowed_methods(_METHODS))
                return
            if scope["method"] not in _METHODS:
                raise HTTPException(405, headers={"Allow": ", ".join(_METHODS)})
            send = partial(_send_unless_refused, send)
        await super().__call__(scope, receive, send)


_METHODS = ("GET", "HEAD", "OPTIONS")

# What Starlette answers if it can't read the header `Range`, or if a file has no such part. Each
# comes as a whole response, whose body would be plain text.
_REFUSED = {
    400: "the header `Range` can't be read",
    416: "the file has no such part as `Range` asks for",
}


async def _send_unless_refused(send: Send, message: Message) -> None:
    """
    Pass an event on, unless it begins a refusal.

    Raises:
        HTTPException: It does.
    """
    if message["type"] == "http.response.start" and message["status"] in _REFUSED:
        status = message["status"]
        kept = [pair for pair in message["headers"] if pair[0] == b"content-range"]
        headers = {name.decode(): value.decode() for name, value in kept}
        raise HTTPException(status, _REFUSED[status], headers=headers)
    await send(message)
