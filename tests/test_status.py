from http import HTTPStatus

import pytest
import starlette.status

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


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("HTTP_201_CREATED", "status.CREATED"),
        ("HTTP_413_CONTENT_TOO_LARGE", "status.REQUEST_ENTITY_TOO_LARGE"),
        ("HTTP_422_UNPROCESSABLE_ENTITY", "status.UNPROCESSABLE_ENTITY"),
        ("UNPROCESSABLE_CONTENT", "status.UNPROCESSABLE_ENTITY"),
        ("WS_1008_POLICY_VIOLATION", "1008"),
    ],
)
def test_a_name_of_another_library_says_what_to_write(name, meant):
    assert not hasattr(status, name)
    with pytest.raises(AttributeError, match=rf"no attribute '{name}': .*write {meant}$"):
        getattr(status, name)


@pytest.mark.parametrize("name", ["HTTP_999_NOTHING", "HTTP", "WS_", "CREATE", "__path__", ""])
def test_nothing_is_said_of_a_name_that_nobody_has(name):
    with pytest.raises(AttributeError, match=rf"has no attribute '{name}'$"):
        getattr(status, name)


@pytest.mark.parametrize("name", [one for one in vars(starlette.status) if one.startswith("HTTP_")])
def test_each_status_of_starlette_has_a_name_here(name):
    with pytest.raises(AttributeError, match=r"write status\.\w+$") as caught:
        getattr(status, name)
    meant = str(caught.value).rpartition(".")[2]
    assert status.code(getattr(status, meant)) == int(name.split("_")[1])
