from http import HTTPStatus

import pytest

from triows import status

NAMES = sorted(set(status.__all__) - {"code"})


@pytest.mark.parametrize("name", NAMES)
def test_each_name_has_the_number_that_python_gives_it(name):
    # Python has none for 306, which nobody uses any more (RFC 9110 section 15.4.7).
    expected = 306 if name == "RESERVED" else HTTPStatus[name]
    assert status.code(getattr(status, name)) == expected


def test_no_status_is_missing():
    numbers = [status.code(getattr(status, name)) for name in NAMES]
    assert set(numbers) == {*HTTPStatus, 306}
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("one", [201, HTTPStatus.CREATED, status.CREATED])
def test_all_spellings_of_a_status_are_the_same(one):
    assert status.code(one) == 201
    assert type(status.code(one)) is int


@pytest.mark.parametrize("other", ["201", True, None, 201.0, str, status])
def test_anything_else_is_no_status(other):
    with pytest.raises(ValueError, match=r"isn't a status: write status\.CREATED"):
        status.code(other)
