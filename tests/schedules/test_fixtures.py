"""The order in which pytest-trio starts fixtures."""

import sys
from types import SimpleNamespace

import pytest

from _triows_schedules.fixtures import in_order

pytest_plugins = ["pytester"]

ORDERS = """
import pytest
from trio.lowlevel import checkpoint

log = []

def recorder(name):
    async def record():
        log[-1].append(name)
        await checkpoint()
        yield
        log[-1].append(name)
    return pytest.fixture(record, name=name)

a, b, c = map(recorder, "abc")

@pytest.fixture(params=range(20))
def new(request):
    log.append([])

async def test_it(new, a, b, c):
    log[-1].append("test")

def test_orders():
    assert {tuple(one) for one in log} == {tuple("abc") + ("test",) + tuple("abc")}
"""


def test_fixtures_start_and_end_in_the_order_in_which_a_test_names_them(suite):
    suite("--triows-schedule=1@0", test_order=ORDERS).assert_outcomes(passed=21)


class Changed:
    """A fixture of a pytest-trio that has other names."""

    def __init__(self, used=()):
        self.used = used

    def register_and_collect_dependencies(self):
        return {self, *self.used}


@pytest.fixture
def noted(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytest_trio.plugin", SimpleNamespace(TrioFixture=Changed))
    noted = []
    with in_order(noted.append):
        yield noted


def test_if_pytest_trio_has_changed_the_order_is_said_to_be_undecided(noted):
    one = Changed()
    other = Changed([one])
    assert other.register_and_collect_dependencies() == {one, other}
    assert noted == ["addresses, by which pytest-trio orders fixtures"]


def test_a_test_without_fixtures_needs_no_order(noted):
    one = Changed()
    assert list(one.register_and_collect_dependencies()) == [one]
    assert noted == []
