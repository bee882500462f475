"""What is raised at a resource's yield, and what is left to report when it has exited."""

import pytest

from triows import HandlerCancelled, ResourceExpired, TeardownTimeout
from triows._injection.factories import Factory
from triows._injection.resource import Resource


def factory():
    yield


class Exited(Resource):
    """A resource that ends as the test says."""

    def end(self, *, error: BaseException | None = None, is_late: bool = False) -> None:
        self.error = error
        self._end(is_late=is_late)


@pytest.fixture
def resource() -> Exited:
    return Exited(Factory.of(factory), "the handler")


def test_the_error_that_was_raised_at_the_yield_is_not_reported_again(resource: Exited):
    error = ValueError()
    resource.let_raise(error, None)
    resource.end(error=error)
    assert resource.error is None


def test_a_cancelled_handler_is_told_by_an_error_with_the_reason(resource: Exited):
    resource.let_raise(ValueError(), "because")
    assert type(resource._thrown) is HandlerCancelled
    assert "because" in str(resource._thrown)


def test_that_error_knows_whose_handler_was_cancelled(resource: Exited):
    own = object()
    resource.let_raise(None, "because", own)
    assert isinstance(resource._thrown, HandlerCancelled)
    assert resource._thrown.source is own


def test_an_exit_that_was_cut_is_reported_with_its_factory(resource: Exited):
    resource.end(is_late=True)
    assert type(resource.error) is TeardownTimeout
    assert "factory" in str(resource.error)


def test_an_error_of_an_exit_that_was_cut_is_reported_itself(resource: Exited):
    error = ValueError()
    resource.end(error=error, is_late=True)
    assert resource.error is error


def test_a_resource_that_ended_while_it_was_used_is_reported(resource: Exited):
    resource.expired = True
    resource.end()
    assert type(resource.error) is ResourceExpired


def test_a_resource_that_is_over_holds_nothing_of_its_end(resource: Exited):
    resource.let_raise(ValueError(), None)
    resource.manager = object()
    resource.end()
    assert resource.done
    assert (resource.task, resource.manager, resource._thrown) == (None, None, None)
