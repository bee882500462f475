"""
Two network namespaces with a cable between them, which can be cut.

On one machine, nothing else makes packets vanish silently, as when a phone goes into a tunnel. The
addresses are those for documentation (RFC 5737), and exist only in the two namespaces.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CLIENT", "SERVER", "Link", "link", "missing"]

SERVER, CLIENT = "192.0.2.1", "192.0.2.2"

T = TypeVar("T")

CLONE_NEWNET = 0x40000000


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def missing() -> str | None:
    """Return why this machine can't have a link, or ``None``."""
    if os.name != "posix" or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "network namespaces are for root"
    if shutil.which("ip") is None:
        return "no ip here: apt-get install iproute2"
    try:
        with link() as tried:
            # A container may allow us to make a namespace, but not to enter it.
            _run(*tried.at_server, "true")
    except OSError as exc:
        return f"no network namespaces here: {exc}"
    return None


@frozen
class Link:
    """The two ends. Each is the name of a namespace."""

    server: str
    client: str

    @property
    def at_server(self) -> list[str]:
        """The beginning of a command that runs at the server's end."""
        return ["ip", "netns", "exec", self.server]

    def at_client(self, make: Callable[[], T]) -> T:
        """
        Make something that has a socket, at the client's end. The socket stays there.

        Raises:
            OSError: It can't be made.
        """
        made: list[T | OSError] = []

        def enter_and_make() -> None:
            try:
                with Path("/var/run/netns", self.client).open() as namespace:
                    libc = ctypes.CDLL(None, use_errno=True)
                    if libc.setns(namespace.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                made.append(make())
            except OSError as exc:
                made.append(exc)

        thread = threading.Thread(target=enter_and_make)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Silently drop all packets while the block runs."""
        # Packets go to a neighbour that doesn't exist. The kernel would notice "ip link set down"
        # at once, but it doesn't notice a tunnel.
        ends = [(self.server, CLIENT), (self.client, SERVER)]
        for namespace, other in ends:
            _run("ip", "-n", namespace, "neighbour", "replace", other, "dev", "cable",
                 "lladdr", "02:00:00:00:00:99", "nud", "permanent")  # fmt: skip
        try:
            yield
        finally:
            for namespace, other in ends:
                _run("ip", "-n", namespace, "neighbour", "delete", other, "dev", "cable")


@contextmanager
def link() -> Iterator[Link]:
    """
    Make a cable, and remove it at the end.

    Raises:
        OSError: This machine doesn't allow it.
    """
    names = [f"triows-{os.getpid()}-{end}" for end in ("server", "client")]
    made = []
    try:
        for name in names:
            _run("ip", "netns", "add", name)
            made.append(name)
        _run("ip", "-n", names[0], "link", "add", "cable", "type", "veth",
             "peer", "name", "cable", "netns", names[1])  # fmt: skip
        for name, address in zip(names, (SERVER, CLIENT), strict=True):
            _run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "cable")
            _run("ip", "-n", name, "link", "set", "cable", "up")
        yield Link(*names)
    finally:
        for name in made:
            _run("ip", "netns", "delete", name)
