"""Hypercorn's configuration, for when the user gives none."""

from __future__ import annotations

from hypercorn.config import Config as Config

__all__ = ["Config", "free_port"]


def free_port() -> Config:
    """Listen on a free port of 127.0.0.1. Everything else is Hypercorn's default."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    return config
