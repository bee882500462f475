"""A run in a page: ratios first, then what they are made of."""

from __future__ import annotations

from .results import Run

__all__ = ["summary"]


def summary(run: Run) -> str:
    """Everything about *run*, as Markdown."""
    return ""
