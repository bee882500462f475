"""Of which classes the parts of a value must be: each kind of class, in each kind of container."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Protocol,
    TypedDict,
    TypeVar,
)

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given, strategies as st
from typing_extensions import ReadOnly, TypeAliasType

from triows._shapes import Misfit, classes_of, shape_of

T = TypeVar("T")


class Struct(msgspec.Struct):
    id: int = 1


class MoreStruct(Struct):
    password: str = "p"


class SameStruct(Struct):
    pass


@dataclasses.dataclass
class Data:
    id: int = 1


@dataclasses.dataclass
class MoreData(Data):
    password: str = "p"


class SameData(Data):
    pass


@attrs.define
class Attrs:
    id: int = 1


@attrs.define
class MoreAttrs(Attrs):
    password: str = "p"


@attrs.define
class SameAttrs(Attrs):
    pass


class Model(pydantic.BaseModel):
    id: int = 1


class MoreModel(Model):
    password: str = "p"


class ComputingModel(Model):
    @pydantic.computed_field
    def password(self) -> str:
        return "p"


class SameModel(Model):
    pass


@pydantic.dataclasses.dataclass
class ModelData:
    id: int = 1


@pydantic.dataclasses.dataclass
class MoreModelData(ModelData):
    password: str = "p"


class Named(NamedTuple):
    id: int = 1


class SameNamed(Named):
    pass


class Typed(TypedDict):
    id: int


class Unrelated(msgspec.Struct):
    id: int = 1
    password: str = "p"


ADDED = "is an instance of {}, with the field 'password' that {} doesn't have"

# A type, values that fit, and one that has more.
KINDS: list[Any] = [
    (Struct, [Struct(), SameStruct()], MoreStruct(), ADDED),
    (Data, [Data(), SameData()], MoreData(), ADDED),
    (Attrs, [Attrs(), SameAttrs()], MoreAttrs(), ADDED),
    (Model, [Model(), SameModel()], MoreModel(), ADDED),
    (Model, [Model()], ComputingModel(), ADDED),
    (ModelData, [ModelData()], MoreModelData(), ADDED),
    (Named, [Named(), SameNamed()], (1, "p"), "is an instance of tuple, but Named"),
    (Typed, [{"id": 1}], {"id": 1, "password": "p"}, "has the key 'password' that Typed doesn't"),
]


class Field(msgspec.Struct, Generic[T], rename="camel"):
    the_item: T


class Fields(Field[list[T]], Generic[T]):
    pass


@dataclasses.dataclass
class DataField(Generic[T]):
    item: T


@attrs.define
class AttrsField(Generic[T]):
    item: T


class TypedField(TypedDict, Generic[T]):
    item: NotRequired[ReadOnly[T]]


class NamedField(NamedTuple, Generic[T]):
    number: int
    item: T


class Tree(msgspec.Struct, Generic[T]):
    item: T
    below: list[Tree[T]] = []


def alias(type_: Any) -> Any:
    return TypeAliasType("Alias", list[type_])


# What contains a type, what contains a value, and where the value is in it.
CONTAINERS: list[Any] = [
    (lambda t: t, lambda v: v, "it"),
    (lambda t: Annotated[t, "a doc"], lambda v: v, "it"),
    (lambda t: NewType("New", t), lambda v: v, "it"),
    (lambda t: t | None, lambda v: v, "it"),
    (lambda t: t | int | str, lambda v: v, "it"),
    (lambda t: list[t], lambda v: [v], "[0]"),
    (alias, lambda v: [v], "[0]"),
    (lambda t: list[t | None], lambda v: [None, v], "[1]"),
    (lambda t: Sequence[t], lambda v: [v], "[0]"),
    (lambda t: Collection[t], lambda v: (v,), "[0]"),
    (lambda t: Iterable[t], lambda v: [v], "[0]"),
    (lambda t: collections.deque[t], lambda v: collections.deque([v]), "[0]"),
    (lambda t: tuple[t, ...], lambda v: (v,), "[0]"),
    (lambda t: tuple[int, t], lambda v: (1, v), "[1]"),
    (lambda t: dict[str, t], lambda v: {"a": v}, "['a']"),
    (lambda t: Mapping[int, t], lambda v: {1: v}, "[1]"),
    (lambda t: dict[str, list[t]], lambda v: {"a": [], "b": [v]}, "['b'][0]"),
    (lambda t: dict[str, t] | list[t], lambda v: [v], "[0]"),
    (lambda t: Field[t], Field, "the_item"),
    (lambda t: Fields[t], lambda v: Fields([v]), "the_item[0]"),
    (lambda t: DataField[t], DataField, "item"),
    (lambda t: AttrsField[t | None], AttrsField, "item"),
    (lambda t: TypedField[t], lambda v: {"item": v}, "['item']"),
    (lambda t: NamedField[t], lambda v: NamedField(1, v), "item"),
    (lambda t: Tree[t], Tree, "item"),
]


def told(type_: Any, value: Any, **options: Any) -> str | None:
    """What is wrong with a value."""
    shape = shape_of(type_, **options)
    assert shape is not None
    quickly = shape.fit([value, value])
    try:
        shape.check(value)
    except Misfit as exc:
        assert not quickly
        assert type(value) is not shape.exact
        return exc.told("return")
    return None


@pytest.mark.parametrize("kind", range(len(KINDS)))
@pytest.mark.parametrize("container", range(len(CONTAINERS)))
def test_only_what_is_annotated_fits(container: int, kind: int):
    type_, fitting, more, problem = KINDS[kind]
    contain, hold, path = CONTAINERS[container]
    annotation = contain(type_)
    for value in fitting:
        assert told(annotation, hold(value)) is None
    for value, says in [
        (more, problem.format(type(more).__name__, type_.__name__)),
        (Unrelated(), "is an instance of Unrelated, but "),
        (Unrelated, "is an instance of StructMeta, but "),
    ]:
        found = told(annotation, hold(value))
        assert found is not None
        assert f"{path} {says}" in found


# If the value is written by its type


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 5, 7])
@pytest.mark.parametrize("container", [0, 5, 12, 13, 14, 16])
def test_what_is_cut_may_have_more(container: int, kind: int):
    type_, fitting, more, _ = KINDS[kind]
    contain, hold, path = CONTAINERS[container]
    annotation = contain(type_)
    for value in (*fitting, more):
        assert told(annotation, hold(value), is_cut=True) is None
    found = told(annotation, hold(Unrelated()), is_cut=True)
    assert found is not None
    assert found.startswith(f"{path} is an instance of Unrelated") is (type_ is not Unrelated)


# Types without a place for an object with fields


@pytest.mark.parametrize(
    "type_",
    [
        Any,
        object,
        int,
        None,
        T,
        list,
        dict,
        list[int],
        dict[str, Any],
        dict[str, list[int | None]],
        tuple[int, str],
        tuple[()],
        int | str | None,
        list[Struct | Any],
        Struct | object,
        Literal[1, "a"],
        Annotated[int, "a doc"],
        set[bytes],
    ],
)
def test_plain_parts_are_not_checked(type_):
    assert shape_of(type_) is None


def test_the_plain_fields_of_an_object_are_not_checked_either():
    assert told(Struct, Struct("x")) is None  # type: ignore[arg-type]
    assert told(Field[Any], Field(MoreStruct())) is None
    assert told(Field, Field(MoreStruct())) is None


# Unions


class Cat(msgspec.Struct, tag=True):
    owner: Struct


class Dog(msgspec.Struct, tag=True):
    size: int


class Kitten(Cat, tag="kitten"):
    pass


Pets = list[Cat | Dog]


def test_a_value_may_be_as_any_member_says():
    assert told(Pets, [Cat(Struct()), Dog(1), Kitten(SameStruct())]) is None
    assert told(Struct | MoreStruct, MoreStruct()) is None
    assert told(list[Struct] | list[Dog], [Dog(1)]) is None
    assert told(Typed | dict[str, Struct], {"a": Struct()}) is None
    assert told(float | Struct, 1) is None


@pytest.mark.parametrize(
    ("type_", "value", "problem"),
    [
        (Pets, [Cat(MoreStruct())], "[0].owner is an instance of MoreStruct, with the field"),
        (Pets, [Dog(1), Struct()], "[1] is an instance of Struct, but Cat | Dog is annotated"),
        (Pets, [Dog(1), None], "[1] is None, but Cat | Dog is annotated"),
        (Struct | Dog, MoreStruct(), "it is an instance of MoreStruct, with the field"),
        (list[Struct] | list[Dog], [MoreStruct()], "[0] is an instance of MoreStruct, but Dog"),
        (int | Struct, 1.5, "it is an instance of float, but int | Struct is annotated"),
    ],
)
def test_what_no_member_says_is_told(type_, value, problem):
    found = told(type_, value)
    assert found is not None
    assert found.startswith(problem)


# What is told


class Two(MoreStruct):
    mail: str = ""


class Partial(TypedDict, total=False):
    id: int
    size: NotRequired[int]


class Fixed(msgspec.Struct):
    item: Final[Struct]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        (
            Struct,
            MoreStruct(),
            "it is an instance of MoreStruct, with the field 'password' that Struct doesn't have: "
            "return Struct(...), or annotate MoreStruct",
        ),
        (
            list[Struct],
            [Two()],
            "[0] is an instance of Two, with the fields 'mail', 'password' that Struct doesn't "
            "have: put Struct(...) there, or annotate Two",
        ),
        (
            list[Struct],
            [{"id": 1}],
            "[0] is an instance of dict, but Struct is annotated: put Struct(...) there",
        ),
        (Tree[Struct], Tree(None), "item is None, but Struct is annotated: put Struct(...) there"),
        (dict[str, Struct], [], "it is an instance of list, but dict[str, Struct] is annotated"),
        (
            tuple[int, Struct],
            (1, Struct(), 3),
            "it has 3 items, but tuple[int, Struct] is",
        ),
        (tuple[int, Struct], [1, Struct()], "it is an instance of list, but tuple[int, Struct] is"),
        (Iterable[Struct], iter([Struct()]), "it is an instance of list_iterator, but Iterable"),
        (Typed, {}, "it doesn't have the key 'id' of Typed"),
        (Typed, {"password": 1}, "it has the key 'password' that Typed doesn't have"),
        (list[Typed], [{"id": 1}, {"a": 1}], "[1] has the key 'a' that Typed doesn't have"),
        (Typed, {"id": 1, "b": 1, "a": 1}, "it has the keys 'a', 'b' that Typed doesn't have"),
        (Fixed, Fixed(MoreStruct()), "item is an instance of MoreStruct"),
        (dict[str, Struct], {"x" * 999: 1}, "['xxxxxxxxxxxx...xxxxxxxxxxxxx'] is an instance of"),
    ],
)
def test_the_place_the_problem_and_the_remedy_are_told(type_, value, text):
    found = told(type_, value)
    assert found is not None
    assert found.startswith(text)


def test_keys_that_are_not_required_may_be_left_out():
    assert told(Partial, {}) is None
    assert told(TypedField[Struct], {}) is None


def test_a_field_without_a_value_is_left_to_the_encoder():
    @dataclasses.dataclass
    class Late:
        item: Struct = dataclasses.field(init=False)

    vars()["Struct"] = Struct
    assert told(Late, Late()) is None


@attrs.define(slots=False)
class Open:
    id: int = 1


class ModelOfModel(pydantic.BaseModel):
    item: Model


def test_pydantic_looks_into_its_models_itself():
    one = ModelOfModel(item=MoreModel())
    assert type(one.item) is MoreModel
    assert told(list[Field[ModelOfModel]], [Field(one)]) is None


class OpenField(msgspec.Struct):
    item: Open


@pytest.mark.parametrize(("type_", "hold"), [(Open, lambda v: v), (OpenField, OpenField)])
def test_what_is_set_on_an_object_of_attrs_is_told(type_, hold):
    one: Any = Open()
    assert told(type_, hold(one)) is None
    one.password = "p"
    found = told(type_, hold(one))
    assert found is not None
    assert "has the attribute 'password', and Open has no such field" in found


# Types that contain themselves


def test_a_tree_is_checked_to_its_leaves():
    assert told(Tree[int], Tree(1, [Tree(2, [Tree(3)])])) is None
    found = told(Tree[Struct], Tree(Struct(), [Tree(Struct(), [Tree(MoreStruct())])]))
    assert found is not None
    assert found.startswith("below[0].below[0].item is an instance of MoreStruct")


def test_a_value_that_contains_itself_is_an_error():
    ring = Tree(1)
    ring.below.append(ring)
    with pytest.raises(RecursionError):
        told(Tree[int], ring)


def test_a_class_whose_annotations_can_not_be_evaluated_is_refused():
    class Broken(msgspec.Struct):
        item: Nowhere  # noqa: F821 - that is the point

    with pytest.raises(TypeError, match="its annotations can't be evaluated: name 'Now"):
        shape_of(list[Broken])


# Speed


@pytest.mark.parametrize("type_", [Struct, Data, Model, Struct | None])
def test_an_instance_of_the_very_class_needs_no_check(type_):
    shape = shape_of(type_)
    assert shape is not None
    assert shape.exact in (Struct, Data, Model)


@pytest.mark.parametrize("type_", [Open, Field[Struct], Typed, list[Struct]])
def test_others_are_looked_into(type_):
    shape = shape_of(type_)
    assert shape is not None
    assert shape.exact is None


# Whatever the values, an unexpected class is found


@given(st.lists(st.sampled_from([Struct(), SameStruct(), MoreStruct(), None, Unrelated()])))
def test_a_list_fits_if_all_items_do(items):
    fits = all(isinstance(one, Struct) and not isinstance(one, MoreStruct) for one in items)
    assert (told(list[Struct], items) is None) is fits
    assert (told(dict[int, Struct], dict(enumerate(items))) is None) is fits


# The classes of a whole value


class Closable(Protocol):
    def close(self) -> None: ...


class Number(IntEnum):
    A = 1


@pytest.mark.parametrize(
    ("type_", "classes"),
    [
        (int, (int,)),
        (bytes, (bytes, bytearray, memoryview)),
        (float, (float, int)),
        (list[int], (list,)),
        (Sequence[int], (Sequence,)),
        (Typed, (dict,)),
        (Literal[1, "a", 2], (int, str)),
        (Literal[Number.A], (Number,)),
        (int | str | None, (int, str, type(None))),
        (Annotated[int, "doc"] | int, (int,)),
        (Any, (object,)),
        (T, (object,)),
        (Closable, (object,)),
    ],
)
def test_a_value_has_one_of_these_classes(type_, classes):
    assert classes_of(type_) == classes
