"""How much is tried by tests that could try more: generated cases, and many connections."""

from __future__ import annotations

import os

__all__ = ["SCALE"]

#: How many times as much as in a usual run. ``make thorough`` says ten.
SCALE = int(os.environ.get("TRIOWS_TEST_SCALE", "1"))
