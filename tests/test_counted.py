from __future__ import annotations

import pytest

from triows._counted import counted


@pytest.mark.parametrize(("number", "text"), [(0, "0 tasks"), (1, "1 task"), (2, "2 tasks")])
def test_a_noun_has_an_s_unless_there_is_one(number, text):
    assert counted(number, "task") == text
