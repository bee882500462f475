"""Signatures, with every annotation evaluated, however a function is wrapped."""

import functools
import json
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ForwardRef,
    Generic,
    Literal,
    Protocol,
    Self,
    TypeVar,
)

import pytest

from triows._injection.signatures import (
    Unresolved,
    is_protocol,
    library_remedy,
    parameters_of,
    resolved,
    signature_of,
    type_variables,
    unresolved_in,
)
from triows._where import where
from triows.exceptions import HandlerSignatureError

if TYPE_CHECKING:
    from somewhere import Elsewhere

T = TypeVar("T")
K = TypeVar("K")


class User: ...


class Repo(Generic[T]):
    def __init__(self, first: T) -> None: ...


class Users(Repo[User]): ...


class Speaks(Protocol):
    def speak(self) -> str: ...


class Dog(Speaks):
    def speak(self) -> str: ...


def annotations(call, types=None):
    return {one.name: one.annotation for one in signature_of(call, types).parameters.values()}


# Signatures


def test_text_is_evaluated_where_it_was_written():
    def handler(user: "User", users: "list[User]") -> "User": ...

    assert annotations(handler) == {"user": User, "users": list[User]}
    assert signature_of(handler).return_annotation is User


def test_what_a_partial_has_bound_is_not_in_the_signature():
    def handler(a: int, b: str, c: bool): ...

    bound = functools.partial(functools.partial(handler, 1), c=True)
    assert annotations(bound) == {"b": str}


def test_a_wrapper_has_the_signature_of_what_it_wraps():
    def handler(user: "User"): ...

    @functools.wraps(handler)
    def wrapper(*args: Any, **kwargs: Any): ...

    assert annotations(wrapper) == {"user": User}


def test_a_class_has_the_signature_of_its_init_with_its_own_types():
    assert annotations(Repo[int]) == {"first": int}
    assert annotations(Users) == {"first": User}


def test_an_object_has_the_signature_of_its_call():
    class Guard:
        def __call__(self, user: "User") -> None: ...

    assert annotations(Guard()) == {"user": User}


def test_a_protocols_subclass_takes_nothing_unless_it_has_an_init():
    class Named(Speaks):
        def __init__(self, name: str) -> None: ...

    assert annotations(Dog) == {}
    assert annotations(Named) == {"name": str}


def test_the_type_variables_of_a_generic_function_are_replaced():
    def factory(cls: type[T], other: "list[T]") -> T: ...

    assert annotations(factory, {T: int}) == {"cls": type[int], "other": list[int]}
    assert signature_of(factory, {T: int}).return_annotation is int


def test_a_parameter_whose_type_is_for_type_checkers_only_is_refused():
    def handler(one: "Elsewhere"): ...

    with pytest.raises(HandlerSignatureError, match="'Elsewhere' can't be resolved") as caught:
        signature_of(handler)
    assert caught.value.where == where(handler)


def test_a_return_type_for_type_checkers_only_is_kept_as_unresolved():
    def factory() -> "Elsewhere": ...

    returned = signature_of(factory).return_annotation
    assert returned == Unresolved("Elsewhere")
    assert unresolved_in(returned) == "Elsewhere"


def test_an_annotation_that_raises_is_refused_with_its_error():
    def handler(one: "1 / 0"): ...

    with pytest.raises(HandlerSignatureError, match=r"isn't a type \(ZeroDivisionError"):
        signature_of(handler)


def test_what_has_no_signature_is_refused_with_the_way_out():
    with pytest.raises(HandlerSignatureError, match="write a factory of your own"):
        signature_of(type)


def test_a_function_of_a_library_is_to_be_called_and_not_mended():
    remedy = library_remedy(json.loads)
    assert remedy is not None
    assert "belongs to a library, so write a factory of your own" in remedy
    assert library_remedy(test_what_has_no_signature_is_refused_with_the_way_out) is None


# Types


@pytest.mark.parametrize(
    ("annotation", "types", "expected"),
    [
        ("User | None", {}, User | None),
        (list["User"], {}, list[User]),
        (dict[K, list[T]], {K: str, T: int}, dict[str, list[int]]),
        (Annotated[T, "words"], {T: int}, Annotated[int, "words"]),
        (Self, {Self: User}, User),
        (tuple[T, ...], {T: int}, tuple[int, ...]),
        (Literal["User"], {}, Literal["User"]),
    ],
)
def test_a_type_is_resolved_at_every_depth(annotation, types, expected):
    assert resolved(annotation, globals(), types) == expected


def test_what_does_not_change_stays_the_same_object():
    annotation = dict[str, list[User]]
    assert resolved(annotation, globals()) is annotation


def test_text_inside_a_type_that_can_not_be_evaluated_stays_there():
    annotation = list[ForwardRef("Elsewhere")]
    assert resolved(annotation) is annotation
    assert unresolved_in(annotation) == "Elsewhere"


def test_only_types_are_searched_for_what_is_unresolved():
    assert unresolved_in(Literal["Elsewhere"]) is None
    assert unresolved_in(Annotated[int, ForwardRef("Elsewhere")]) is None
    assert unresolved_in(dict[str, int]) is None


def test_a_generic_class_and_its_subclasses_know_their_types():
    assert type_variables(Repo[int]) == {T: int}
    assert type_variables(Users) == {T: User}
    assert type_variables(Repo) == {}
    assert type_variables(7) == {}


def test_a_generic_class_has_parameters():
    assert parameters_of(Repo) == (T,)
    assert parameters_of(Users) == ()
    assert parameters_of(7) == ()


def test_a_class_that_implements_a_protocol_is_none_itself():
    assert is_protocol(Speaks)
    assert not is_protocol(Dog)
    assert not is_protocol(Repo)
    assert not is_protocol(list[int])


def test_python_marks_protocols_as_we_expect():
    # This name of typing is private. Without it, no class would be a protocol.
    assert Speaks.__dict__["_is_protocol"] is True
