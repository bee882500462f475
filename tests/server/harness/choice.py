"""
Which server the tests attack.

By default, it is our server in memory (``memory.py``), which is fast. Some tests also run against
our command on sockets. So do tests about what only real systems do. The environment variable
``TRIOWS_TEST_SERVER`` chooses a server process for all of them:

``triows``
    Our command. Everything has to work there as in memory.
``hypercorn``
    ``hypercorn -k trio`` with the same applications.
``bare``
    ``hypercorn -k trio`` with ``attacked_asgi.py``, which has the same routes in plain ASGI.

The last two show that the tests can fail, and why this project has a server of its own. Plain
Hypercorn can't keep these promises on Trio. Some of them fail only with ``bare``, because triows
keeps them on any server. These are the promises, and the tests for them:

================================================= =========================================
one connection can't take the server down         test_deaths, test_http2, test_tls
an application's mistake is contained             test_deaths: ``..._mistake_...``
``send`` is a checkpoint, and fails when the peer test_backpressure: ``a_handler_that_only_
is gone                                           sends_...``
timeouts, cancellation and shutdown bound a       test_backpressure, test_tls: ``a_send_is_
``send``                                          cancelled_...``, ``..._1008_...``;
                                                  test_shutdowns: ``..._no_longer_than_...``
the size limit bounds memory                      test_limits
compression is off unless it is asked for         test_frames
a ping between compressed fragments is fine       test_frames: ``a_ping_between_...``
a busy handler hides nothing                      test_backpressure: ``..._behind_unread_
                                                  messages_...``, ``a_handler_that_returns_...``
close code and reason arrive; the closing         test_closes, test_clients
handshake has a timeout
a violation gets 1002 or 1007                     test_frames; test_closes: ``a_thousand_...``
shutdown tells the clients, and handlers clean up test_shutdowns
a dead peer is found, a quiet one is kept         test_keepalives, test_cut_link
refusals end the connection, and arrive           test_handshakes: ``a_refusal_...``,
                                                  ``a_hundred_refused_...``
handshakes are checked                            test_handshakes: the wrong ones
data right behind the handshake is delivered      test_handshakes: the last part
WebSockets over HTTP/2 are refused                test_http2; test_deaths: ``an_upgrade_to_...``
a failing start-up stops the start                test_shutdowns: ``a_start_up_that_fails_...``
floods, resets and slow peers harm nobody else    the bystander of every test
================================================= =========================================

With ``hypercorn`` or ``bare``, all of them take some minutes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.server.applications import attacked
from tests.server.harness.memory import MemoryServer
from tests.server.harness.process import HYPERCORN, TRIOWS, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["IS_CHOSEN", "PATIENCE", "SERVER", "start", "start_in_memory", "start_with_names"]

#: Whether somebody has chosen a server process.
IS_CHOSEN = "TRIOWS_TEST_SERVER" in os.environ

SERVER = os.environ.get("TRIOWS_TEST_SERVER", "triows")

#: How many seconds anything may take. With other servers some things never come, so it is less.
PATIENCE = 15 if SERVER == "triows" else 2

_COMMANDS = {"triows": TRIOWS, "hypercorn": HYPERCORN, "bare": HYPERCORN}

_OTHERS = {
    "failing": "failing_start:app",
    "plain": "plain:app",
    "endpoints": "endpoints:app",
}


def _application(name: str) -> str:
    if SERVER == "bare":
        return f"attacked_asgi:{name}"
    return _OTHERS.get(name, f"attacked:{name}")


def start(
    name: str = "app", *options: str, below: Sequence[str] = (), host: str = "127.0.0.1"
) -> ServerProcess:
    """
    Start the server that was chosen.

    Args:
        name: The name of an application of ``attacked.py``, or one of the others: ``failing``,
            ``plain``, ``endpoints``.
        options: Further options of the command.
        below: A command that runs other commands.
        host: The host on which to serve.
    """
    command = [*below, *_COMMANDS[SERVER]]
    return ServerProcess(command, _application(name), *options, host=host)


def start_with_names(name: str) -> ServerProcess:
    """Start the same with ``server_names``. No command has an option for it."""
    script = Path(__file__).with_name("serve_with_names.py")
    return ServerProcess([sys.executable, str(script), SERVER], _application(name))


def start_in_memory(name: str) -> MemoryServer:
    """Make our server for an application of ``attacked.py``. ``named`` has ``server_names``."""
    names = ["127.0.0.1"] if name == "named" else []
    return MemoryServer(getattr(attacked, name), server_names=names)
