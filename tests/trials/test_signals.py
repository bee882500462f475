from __future__ import annotations

import signal

import pytest

from trials.signals import exit_on_sigterm


def test_sigterm_raises_what_runs_the_cleanup():
    before = signal.getsignal(signal.SIGTERM)
    try:
        exit_on_sigterm()
        with pytest.raises(SystemExit) as caught:
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value.code == 143
