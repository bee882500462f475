"""
Test clients that connect to the server itself, over connections in memory.

Use :func:`open_app` if you can: it runs in the test's own Trio loop, without threads and without
sockets, and works with pytest-trio's ``autojump_clock``. :func:`open_server` is the same on real
sockets of your machine. :class:`TestClient` is for synchronous tests.
"""

from __future__ import annotations

from ._blocked import LoopBlocked as LoopBlocked
from ._cancelling import Interruption as Interruption, explore_cancellation as explore_cancellation
from ._client import AppClient as AppClient, open_app as open_app, open_server as open_server
from ._conversation import ReceiveTimeout as ReceiveTimeout, SendTimeout as SendTimeout
from ._frames import frame as frame
from ._http_peer import HTTPDisconnect as HTTPDisconnect
from ._http_session import HTTPSession as HTTPSession
from ._leaks import LeakError as LeakError, StartTimeout as StartTimeout
from ._network import Network as Network
from ._session import (
    WebSocketDenialResponse as WebSocketDenialResponse,
    WebSocketSession as WebSocketSession,
)
from ._sync import TestClient as TestClient
from ._sync_session import WebSocketTestSession as WebSocketTestSession

__all__ = [
    # In the same loop
    "open_app",
    "open_server",
    "AppClient",
    "WebSocketSession",
    "HTTPSession",
    "frame",
    "Network",
    # From a thread of its own
    "TestClient",
    "WebSocketTestSession",
    # At each step
    "explore_cancellation",
    "Interruption",
    # What tests see
    "WebSocketDenialResponse",
    "HTTPDisconnect",
    "ReceiveTimeout",
    "SendTimeout",
    "StartTimeout",
    "LeakError",
    "LoopBlocked",
]

# As in triows itself.
for _name in __all__:
    globals()[_name].__module__ = "triows.testing"
del _name
