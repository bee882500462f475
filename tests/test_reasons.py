from __future__ import annotations

import pytest

from triows._reasons import Reason


def test_a_reason_is_its_text():
    assert Reason.PEER_GONE == "peer gone"
    assert str(Reason.PEER_GONE) == "peer gone"
    assert f"{Reason.RESOURCE_FAILED}" == "resource failed"


@pytest.mark.parametrize("reason", Reason)
def test_what_has_failed_is_neither_the_peer_nor_the_time(reason):
    assert reason.is_failure == (reason in {"task failed", "resource failed", "application failed"})


@pytest.mark.parametrize("reason", Reason)
def test_the_server_may_end_only_for_what_comes_from_outside(reason):
    assert reason.from_outside == (reason in {"cancelled", "application failed"})
