"""
Two network namespaces with a cable between them, which can be cut.

On one machine nothing else makes packets vanish without a word, as a phone does that goes
into a tunnel. The addresses are those that documentation uses (RFC 5737), and exist in the
two namespaces only.
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
    """Why there can be no link here, or ``None``."""
    if os.name != "posix" or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "network namespaces are for root"
    if shutil.which("ip") is None:
        return "no ip here: apt-get install iproute2"
    try:
        with link() as tried:
            _run(*tried.at_server, "true")  # a container may allow to make, and not to enter
    except OSError as exc:
        return f"no network namespaces here: {exc}"
    return None


@frozen
class Link:
    """The two ends, each the name of a namespace."""

    server: str
    client: str

    @property
    def at_server(self) -> list[str]:
        """What makes a command run at the server's end."""
        return ["ip", "netns", "exec", self.server]

    def at_client(self, make: Callable[[], T]) -> T:
        """
        Make something that has a socket, at the client's end, where the socket stays.

        Raises:
            OSError: it can't be made.
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
        """Let no packet through while the block runs, and tell nobody."""
        # By sending them to a neighbour that there is not. "ip link set down" would be noticed
        # by the kernel at once, as a tunnel is not.
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
    Lay a cable, and take it away.

    Raises:
        OSError: this machine does not allow it.
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
