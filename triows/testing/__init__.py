"""
Test clients for WebSocket applications, on the public API and the memory transport.

:func:`connect` is the native way: same Trio loop, no threads, works with pytest-trio's
``autojump_clock``. :class:`TestClient` is for synchronous tests.
"""

from __future__ import annotations

from ._native import (
    ReceiveTimeout as ReceiveTimeout,
)
from ._native import (
    WebSocketDenialResponse as WebSocketDenialResponse,
)
from ._native import (
    WebSocketSession as WebSocketSession,
)
from ._native import (
    connect as connect,
)
from ._sync import TestClient as TestClient
from ._sync import WebSocketTestSession as WebSocketTestSession

__all__ = [
    # In the same loop
    "connect",
    "WebSocketSession",
    # From a thread of its own
    "TestClient",
    "WebSocketTestSession",
    # What tests see
    "WebSocketDenialResponse",
    "ReceiveTimeout",
]

# As in triows itself.
for _name in __all__:
    globals()[_name].__module__ = "triows.testing"
del _name
