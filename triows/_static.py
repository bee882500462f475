"""Folders of files, which Starlette's ``StaticFiles`` serves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from starlette.staticfiles import StaticFiles

from ._where import where_called
from .exceptions import RouteSetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .types import ASGIApp

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
    if isinstance(packages, str):
        raise RouteSetupError(
            f"packages takes a list: write packages=[{packages!r}]", where_called()
        )
    if directory is not None:
        directory = os.path.abspath(directory)
        if not os.path.isdir(directory):
            what = "is a file" if os.path.exists(directory) else "doesn't exist"
            raise RouteSetupError(f"the folder '{directory}' {what}", where_called())
    try:
        return StaticFiles(
            directory=directory,
            packages=None if packages is None else list(packages),
            html=html,
            follow_symlink=follow_symlink,
        )
    except (AssertionError, ImportError, ValueError) as exc:
        raise RouteSetupError(f"packages={packages!r}: {exc}", where_called()) from None
