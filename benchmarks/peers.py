"""The table of servers: their names, how to start them, and what they answer."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import attrs

__all__ = ["PEERS", "Peer", "before", "choose"]

ROOT = Path(__file__).parents[1]


@attrs.frozen
class Peer:
    """
    A server that is compared.

    Args:
        name: Its name on the command line and in results.
        title: Its name in tables and plots.
        command: The command that starts it. ``{port}`` is replaced by the port.
        distributions: The distributions whose versions are stored with the results.
        echo: The path and query of its echo. ``None`` if it has none.
        fan_out: The path of its fan-out. ``None`` if it has none.
        plain: The plain requests that it answers: names in :data:`.requests.ASKED`.
        asked_for: Whether it takes part only if somebody names it.
        folder: The folder in which it is started, and from which it is imported.
    """

    name: str
    title: str
    command: tuple[str, ...]
    distributions: tuple[str, ...]
    echo: str | None = "/echo"
    fan_out: str | None = "/fanout"
    plain: frozenset[str] = frozenset()
    asked_for: bool = False
    folder: Path = ROOT


#: The plain requests that ``servers/bare_http.py`` answers, and those of frameworks.
_BARE = frozenset({"requests", "typed", "uploads", "downloads", "files"})
_FRAMEWORK = frozenset({"requests", "typed", "typed_bodies"})


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"benchmarks.servers.{name}", "{port}")


def _triows(name: str) -> tuple[str, ...]:
    return (
        *(sys.executable, "-m", "triows", "run", f"benchmarks.servers.{name}:app"),
        *("--bind", "127.0.0.1:{port}", "--log-level", "warning"),
    )


def _hypercorn(name: str) -> tuple[str, ...]:
    # Without workers, the started process itself serves.
    return (
        *(sys.executable, "-m", "hypercorn", "-k", "trio", "-w", "0"),
        *("--bind", "127.0.0.1:{port}", f"benchmarks.servers.{name}:app"),
    )


def _uvicorn(name: str) -> tuple[str, ...]:
    return (
        *(sys.executable, "-m", "uvicorn", "--loop", "uvloop", "--http", "httptools"),
        *("--ws-per-message-deflate", "false", "--log-level", "warning", "--no-access-log"),
        *("--host", "127.0.0.1", "--port", "{port}", f"benchmarks.servers.{name}:app"),
    )


def _granian(name: str) -> tuple[str, ...]:
    return (
        *(sys.executable, "-m", "granian", "--interface", "asgi", "--loop", "uvloop"),
        *("--log-level", "warning", "--no-ws", "--http", "1"),
        *("--host", "127.0.0.1", "--port", "{port}", f"benchmarks.servers.{name}:app"),
    )


_ALL = (
    Peer(
        "engine",
        "triows, engine only",
        _triows("triows_engine"),
        ("triows", "trio", "websockets"),
        fan_out=None,
        plain=_BARE,
    ),
    Peer(
        "triows",
        "triows",
        _triows("triows_app"),
        ("triows", "trio", "websockets"),
        plain=_BARE | _FRAMEWORK,
    ),
    Peer(
        "triows-typed",
        "triows, typed + resource",
        _triows("triows_typed"),
        ("triows", "trio", "websockets"),
        echo="/echo/lobby?limit=10000000",
        fan_out=None,
    ),
    Peer(
        "hypercorn",
        "Hypercorn on Trio, bare ASGI",
        _hypercorn("hypercorn_bare"),
        ("hypercorn", "trio", "wsproto"),
        plain=_BARE,
    ),
    Peer(
        "quart-trio",
        "Quart-Trio on Hypercorn",
        _hypercorn("quart_app"),
        ("quart-trio", "quart", "hypercorn", "trio", "wsproto"),
    ),
    Peer(
        "trio-websocket",
        "trio-websocket",
        _module("trio_websocket_server"),
        ("trio-websocket", "trio", "wsproto"),
    ),
    Peer(
        "websockets-trio",
        "websockets on Trio",
        _module("websockets_trio"),
        ("websockets", "trio"),
    ),
    Peer(
        "websockets-uvloop",
        "websockets on uvloop",
        _module("websockets_uvloop"),
        ("websockets", "uvloop"),
    ),
    Peer(
        "lihil",
        "lihil on uvicorn, uvloop",
        _uvicorn("lihil_app"),
        ("lihil", "uvicorn", "httptools", "uvloop", "websockets"),
        plain=_FRAMEWORK,
    ),
    Peer(
        "fastapi",
        "FastAPI on uvicorn, uvloop",
        _uvicorn("fastapi_app"),
        ("fastapi", "starlette", "uvicorn", "httptools", "uvloop", "websockets"),
        plain=_FRAMEWORK,
    ),
    Peer(
        "bare-loop",
        "a bare loop over sockets",
        _module("bare_loop"),
        (),
    ),
    Peer(
        "picows",
        "picows on uvloop, callbacks",
        _module("picows_server"),
        ("picows", "uvloop"),
    ),
    Peer(
        "uvicorn",
        "uvicorn on uvloop, bare ASGI",
        _uvicorn("bare_http"),
        ("uvicorn", "httptools", "uvloop"),
        echo=None,
        fan_out=None,
        plain=_BARE,
    ),
    Peer(
        "granian",
        "Granian (Rust) on uvloop, bare ASGI",
        _granian("bare_http"),
        ("granian", "uvloop"),
        echo=None,
        fan_out=None,
        plain=_BARE,
        asked_for=True,
    ),
)

#: All servers by name, ours first.
PEERS: Mapping[str, Peer] = MappingProxyType({peer.name: peer for peer in _ALL})


def choose(names: Iterable[str]) -> list[Peer]:
    """
    Look servers up.

    Raises:
        ValueError: A name isn't in :data:`PEERS`.
    """
    names = list(names)
    if unknown := [name for name in names if name not in PEERS]:
        raise ValueError(f"no such server: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    return [PEERS[name] for name in names]


def before(folder: Path) -> Peer:
    """Take triows from another checkout, to see what a change does to its speed."""
    return attrs.evolve(
        PEERS["triows"], name="before", title="triows, before", folder=folder.resolve()
    )
