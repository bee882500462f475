"""The plot of the docs."""

from __future__ import annotations

from pathlib import Path

from .results import Run

__all__ = ["draw"]


def draw(run: Run, path: Path) -> None:
    """Draw *run* into a PNG."""
