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
