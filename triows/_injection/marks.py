"""
What is inside ``Annotated``: our marks, those of other libraries, and mistakes.

A factory in ``Annotated`` without ``use`` around it would do nothing. The parameter would be read
from the request instead, so any client could choose it, for example the name of its user. So
triows refuses everything there that can be called. It also refuses the marks of other frameworks,
because triows wouldn't do what they say. Lists, tuples, sets and dicts are searched, too. There may
be one mark of ours at most, because a second one would silently replace the first.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import PurePath
from types import EllipsisType, UnionType
from typing import Annotated, Any, NewType, NoReturn, TypeVar, Union, get_args, get_origin

from attrs import frozen

from triows._annotations import type_name, unnamed
from triows._where import code_for, name_of
from triows.exceptions import HandlerSignatureError, HTTPException
from triows.types import Ignore, IgnoreMark, Param, ParamMark, UseMark, use

from .packs import is_pack, pack_fields, unwrapped
from .signatures import is_protocol, resolved
from .sources import SOURCES

__all__ = ["Site", "mark_of", "unmarked", "without_metadata"]

M = TypeVar("M")

_MARKS = (UseMark, ParamMark, IgnoreMark)
_CONTAINERS = (list, tuple, set, frozenset, dict)

# We export the classes of this module of Starlette, so they are ours, too.
_EXPORTED = HTTPException.__module__


def unmarked(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Separate an annotation from our marks. Other marks, such as msgspec's, are kept."""
    if get_origin(annotation) is not Annotated:
        return annotation, ()
    inner, *extras = get_args(annotation)
    rest = [extra for extra in extras if not isinstance(extra, _MARKS)]
    marks = tuple(extra for extra in extras if isinstance(extra, _MARKS))
    return (Annotated[(inner, *rest)] if rest else inner), marks


def without_metadata(annotation: Any) -> Any:
    """Return only the type."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def mark_of(kind: type[M], marks: Iterable[Any]) -> M | None:
    """Return the mark of a kind, if there is one. :class:`Site` refuses a second one."""
    return next((mark for mark in marks if isinstance(mark, kind)), None)


@frozen
class Site:
    """
    Where an annotation was written, for the messages about it.

    Args:
        label: What messages call the annotation.
        where: ``file:line (name)`` of the function.
        name: What messages write before the remedy. For a parameter, it is like ``"user: "``.
    """

    label: str
    where: str
    name: str = ""

    def refuse(self, problem: str) -> NoReturn:
        raise HandlerSignatureError(f"{self.label} {problem}", self.where)

    def check_parameter(self, annotation: Any) -> None:
        """
        Refuse mistakes in the annotation of a parameter.

        Raises:
            HandlerSignatureError: A mark means nothing there, or a factory is there without
                ``use``.
        """
        self._check_all(annotation)

    def _check_all(self, annotation: Any, *, words: bool = True) -> None:
        # The remedies have the whole type, even if the mistake is somewhere inside.
        whole = type_name(annotation)
        self._check_metadata(annotation, whole, words=words)
        self._check_inside(without_metadata(annotation), _MARKS, whole, words=words)

    def check_default(self, default: Any, annotation: Any) -> None:
        """
        Refuse a default that was meant to say what makes the value.

        Raises:
            HandlerSignatureError: It is a mark, ours or another framework's, or a callable.
        """
        self._check_required(default)
        type_ = "TYPE" if annotation is inspect.Parameter.empty else type_name(annotation)
        for part in _parts(default) if isinstance(default, _CONTAINERS) else ():
            self._check_default(part, annotation, type_)
        self._check_default(default, annotation, type_)

    def _check_default(self, default: Any, annotation: Any, type_: str) -> None:
        if isinstance(default, UseMark | ParamMark):
            self.refuse(
                f"has {_word(default)}() as its default: write "
                f"`{self.name}Annotated[{type_}, {_written(default)}]`"
            )
        if (remedy := _foreign_remedy(default)) is not None:
            self._refuse_foreign(type_, default, remedy)
        if _is_called_to_make(default, annotation):
            self.refuse(
                f"has {_shown(default)} as its default, which is not "
                f"called: write `{self.name}Annotated[{type_}, use(...)]` if that makes it"
            )

    def _check_required(self, default: Any) -> None:
        if isinstance(default, EllipsisType):
            self.refuse("has `...` as its default: leave the default out, and it is required")

    def check_return(self, annotation: Any) -> None:
        """Refuse such mistakes in a return annotation. Only ``Ignore`` is allowed there."""
        self._check_inside(annotation, (UseMark, ParamMark), type_name(annotation))

    def check_fields(self, annotation: Any, seen: tuple[Any, ...] = ()) -> None:
        """Refuse such mistakes in the fields of a pack, and in packs inside them."""
        pack = unwrapped(annotation)
        if not is_pack(pack) or pack in seen:
            return
        for field in pack_fields(pack):
            site = Site(f"{self.label}, field `{field.name}`,", self.where, f"{field.name}: ")
            type_ = resolved(field.type)
            site.check_field(type_, field.default)
            site.check_fields(type_, (*seen, pack))

    def check_field(self, annotation: Any, default: Any) -> None:
        """Refuse such mistakes in one field. Only ``Param`` is allowed there."""
        self._check_required(default)
        if _is_called_to_make(default, annotation):
            self.refuse(
                f"has {_shown(default)} as its default, which is not called, and fields are read "
                "from the request: ask for what it makes in a parameter of its own"
            )
        _, marks = unmarked(annotation)
        if mark_of(UseMark, marks) is not None:
            self.refuse(
                "has use() in its Annotated, and fields are read from the request: ask for it in "
                "a parameter of its own"
            )
        # All fields come from the same source, so no word there says which. It may be a title.
        self._check_all(annotation, words=False)

    def _check_inside(
        self, annotation: Any, marks: tuple[type, ...], whole: str, *, words: bool = True
    ) -> None:
        """
        Look at everything inside the annotation.

        Args:
            annotation: The annotation, or a part of it.
            marks: Marks that are not allowed there.
            whole: The name of the whole type, for the remedy.
            words: Whether to refuse words that name a source.
        """
        self._check_type(annotation)
        if isinstance(annotation, NewType):
            self._check_named(annotation, marks, whole, words=words)
        if get_origin(annotation) is Annotated:
            self._check_metadata(annotation, whole, words=words)
            for extra in get_args(annotation)[1:]:
                if isinstance(extra, marks):
                    self._refuse_mark(extra, whole)
        for argument in get_args(annotation):
            if get_origin(annotation) is not Annotated or argument is get_args(annotation)[0]:
                self._check_inside(argument, marks, whole, words=words)

    def _check_named(
        self, named: NewType, marks: tuple[type, ...], whole: str, *, words: bool
    ) -> None:
        """Look at the type behind a ``NewType``. A mark in it would do nothing."""
        inner, found = unmarked(resolved(named.__supertype__))
        for mark in found:
            if isinstance(mark, marks):
                self._refuse_mark(mark, whole, "Take it out of the NewType, and write")
        self._check_inside(inner, marks, whole, words=words)

    def _check_type(self, annotation: Any) -> None:
        if isinstance(annotation, UseMark | ParamMark):
            self.refuse(
                f"has {_word(annotation)}() as its annotation: write "
                f"`{self.name}Annotated[TYPE, {_written(annotation)}]`"
            )
        # Some classes of the standard library, such as threading.Lock, are built-in functions.
        if inspect.isfunction(annotation) or inspect.ismethod(annotation):
            self.refuse(
                f"has the function {name_of(annotation)} as its annotation: write "
                f"`{self.name}Annotated[TYPE, use({code_for(annotation)})]`"
            )

    def _refuse_mark(
        self, mark: Any, whole: str, advice: str = "Put it around the whole type:"
    ) -> NoReturn:
        """Refuse a mark inside a type. The remedy is *advice*, and the *whole* type with it."""
        word = _word(mark)
        if self.label.startswith("the return"):
            self.refuse(f"has {word}(), which is for parameters: take it out")
        self.refuse(
            f"has {_written(mark)} inside its type, where it does nothing. {advice} "
            f"`{self.name}{_around(whole, mark)}`"
        )

    def _check_metadata(self, annotation: Any, whole: str, *, words: bool) -> None:
        if get_origin(annotation) is Annotated:
            extras = get_args(annotation)[1:]
            others = [extra for extra in extras if not isinstance(extra, _MARKS)]
            if len(extras) - len(others) > 1:
                self._refuse_several(whole, [one for one in extras if isinstance(one, _MARKS)])
            for extra in others:
                for part in _parts(extra):
                    self._check_extra(whole, part)
                    if words and len(others) == len(extras) and not isinstance(extra, dict):
                        self._check_word(whole, part)

    def _refuse_several(self, whole: str, marks: list[Any]) -> NoReturn:
        several = " and ".join(_written(mark) for mark in marks)
        each = " or ".join(f"`{self.name}{_around(whole, mark)}`" for mark in marks)
        self.refuse(
            f"has {several} in its Annotated, and only one mark can count: write {each}. If a name "
            "for a type brings one of them, write the type itself instead of that name"
        )

    def _check_extra(self, type_: str, extra: Any) -> None:
        if isinstance(extra, _MARKS):
            self.refuse(
                f"has {_written(extra)} inside other metadata, where it does nothing: write "
                f"`{self.name}{_around(type_, extra)}`"
            )
        if extra is use or extra is UseMark:
            self.refuse(
                "has `use` in its Annotated without a call: write "
                f"`{self.name}Annotated[{type_}, use(factory)]`"
            )
        if extra is Param or extra is ParamMark:
            self.refuse(
                "has `Param` in its Annotated without a call: write "
                f'`{self.name}Annotated[{type_}, Param("header")]`'
            )
        if extra is Ignore or extra is IgnoreMark:
            self.refuse(f"has `Ignore` in its Annotated: write `{self.name}Ignore[{type_}]`")
        if (remedy := _foreign_remedy(extra)) is not None:
            self._refuse_foreign(type_, extra, remedy)
        if not isinstance(extra, str) and (source := _source_named_by(extra)) is not None:
            self._refuse_source(type_, f"{_kind(extra)} {name_of(extra)}", source)
        if _is_ours(extra):
            self.refuse(
                f"has triows's {_named(extra)} in its Annotated, which does nothing there: take it "
                "out. Of triows, only use(...), Param(...) and Ignore[...] say where a value comes "
                "from"
            )
        if _was_called(extra):
            name = getattr(extra, "__name__", None) or "factory"
            self.refuse(
                f"has what a call returned in its Annotated ({extra!r}): give the function "
                f"itself, `{self.name}Annotated[{type_}, use({name})]`"
            )
        if callable(extra) and not _means_something(extra):
            self.refuse(
                f"has {_kind(extra)} {name_of(extra)} in its Annotated, which does nothing there: "
                f"write `{self.name}Annotated[{type_}, use({code_for(extra)})]`{_object_in(extra)}"
            )

    def _check_word(self, type_: str, extra: Any) -> None:
        """Refuse a word that names a source, if no mark of triows says what is meant."""
        if type(extra) is str and (source := _source_named_by(extra)) is not None:
            self._refuse_source(type_, repr(extra), source)

    def _refuse_source(self, type_: str, shown: str, source: str) -> NoReturn:
        self.refuse(
            f"has {shown} in its Annotated, which does nothing there: write "
            f'`{self.name}Annotated[{type_}, Param("{source}")]`'
        )

    def _refuse_foreign(self, type_: str, mark: Any, remedy: Callable[[str], str]) -> NoReturn:
        whose, what = (
            (_home(mark), mark.__name__)
            if _is_uncalled(mark)
            else (_package(mark), f"{type(mark).__name__}(...)")
        )
        self.refuse(
            f"has {whose}'s {what}, which means nothing to triows: "
            f"write `{self.name}{remedy(type_)}`"
        )


def _around(whole: str, mark: Any) -> str:
    """Write a type with a mark."""
    written = _written(mark)
    return f"Ignore[{whole}]" if written == "Ignore" else f"Annotated[{whole}, {written}]"


def _parts(metadata: Any, outer: tuple[Any, ...] = ()) -> Iterator[Any]:
    """
    Yield what is in a list, tuple, set or dict, however deep. Yield other things as they are.

    Descriptors can't be called, so their functions are yielded instead.
    """
    if isinstance(metadata, _CONTAINERS):
        if any(metadata is one for one in outer):
            return  # it contains itself
        keys_too = [*metadata, *metadata.values()] if isinstance(metadata, dict) else metadata
        for part in keys_too:
            yield from _parts(part, (*outer, metadata))
    elif isinstance(metadata, classmethod):
        yield metadata.__func__
    elif isinstance(metadata, property | functools.cached_property):
        yield metadata.fget if isinstance(metadata, property) else metadata.func
    else:
        yield metadata


def _is_ours(thing: Any) -> bool:
    """Say whether it is one of triows's classes or functions, or an instance of such a class."""
    # A subclass of the user's may be meant as a factory, so only its instances count.
    bases = () if isinstance(thing, type) else type(thing).__mro__
    homes = {_home(thing), *map(_home, bases)}
    return "triows" in homes or any(base.__module__ == _EXPORTED for base in bases)


def _named(thing: Any) -> str:
    return name_of(thing) if _is_uncalled(thing) else f"{type(thing).__name__}(...)"


def _object_in(factory: Any) -> str:
    """Explain ``OBJECT``, if the code for a factory has this word in it."""
    if "OBJECT" not in code_for(factory):
        return ""
    return ", with the object that you have there now in place of OBJECT"


def _word(mark: Any) -> str:
    if isinstance(mark, IgnoreMark):
        return "Ignore"
    return "use" if isinstance(mark, UseMark) else "Param"


def _written(mark: Any) -> str:
    """Write a mark as it is written in code. What doesn't matter for a remedy is left out."""
    if isinstance(mark, UseMark):
        return f"use({'...' if mark.factory is None else code_for(mark.factory)})"
    if isinstance(mark, ParamMark):
        return f"Param({'...' if mark.source is None else repr(mark.source)})".replace("'", '"')
    return "Ignore"


def _source_named_by(extra: Any) -> str | None:
    """Say which place of a request a bare word means, or a class or function of that name."""
    # Of other strings nothing is known: other libraries have them there, for example as titles.
    word = extra if isinstance(extra, str) else getattr(extra, "__name__", None)
    if not isinstance(word, str) or (word is not extra and not _may_mean_a_source(extra)):
        return None
    singular = word.strip().lower().removesuffix("s")
    return singular if singular in SOURCES else None


def _may_mean_a_source(extra: Any) -> bool:
    if isinstance(extra, type) and issubclass(extra, PurePath):
        return False
    return callable(extra) and not _means_something(extra)


def _kind(extra: Any) -> str:
    if isinstance(extra, type):
        return "the class"
    return "the function" if inspect.isroutine(extra) else "the callable"


def _was_called(extra: Any) -> bool:
    """Say whether a factory was called by mistake, instead of named."""
    return (
        isinstance(extra, Awaitable) or inspect.isgenerator(extra) or inspect.isasyncgen(extra)
    ) and not isinstance(extra, type)


def _means_something(extra: Any) -> bool:
    """Say whether it is a callable that other libraries use in ``Annotated``."""
    # Pydantic takes classes that say how to validate, and a mark for deprecated fields.
    # annotated_types has constraints that can be called.
    return (
        hasattr(extra, "__get_pydantic_core_schema__")
        or type(extra).__name__ == "deprecated"
        or _package(extra) == "annotated_types"
    )


def _shown(default: Any) -> str:
    return repr(getattr(default, "__name__", None) or type(default).__name__)


def _is_called_to_make(default: Any, annotation: Any) -> bool:
    """Say whether somebody meant the default to be called, or called it by mistake."""
    if default is inspect.Parameter.empty:
        return False
    return _was_called(default) or (callable(default) and not _is_value_of(annotation, default))


def _is_value_of(annotation: Any, value: Any) -> bool:
    """Say whether a callable is an instance of the annotated class, and so a proper value."""
    if isinstance(value, type | functools.partial) or inspect.isroutine(value):
        return False
    annotation = unnamed(without_metadata(unnamed(annotation)))
    if get_origin(annotation) in (Union, UnionType):
        return any(_is_value_of(member, value) for member in get_args(annotation))
    cls = get_origin(annotation) or annotation
    return isinstance(cls, type) and not is_protocol(cls) and isinstance(value, cls)


def _package(thing: Any) -> str:
    return type(thing).__module__.partition(".")[0]


def _is_uncalled(extra: Any) -> bool:
    return isinstance(extra, type) or inspect.isfunction(extra)


def _home(thing: Any) -> str:
    return str(getattr(thing, "__module__", "")).partition(".")[0]


_FRAMEWORKS = ("fastapi", "ididi", "lihil", "litestar")


def _file(type_: str) -> str:
    """Write the type of a file. Other frameworks also give its bytes alone."""
    written = re.sub(r"\bbytes\b", "UploadFile", type_)
    return written if "UploadFile" in written else "UploadFile"


# The marks of other frameworks, and what to write here instead, for a type.
_FOREIGN: dict[str, Callable[[str], str]] = {
    "Depends": "Annotated[{}, use(factory)]".format,
    "Security": "Annotated[{}, use(factory)]".format,
    **{name.capitalize(): f'Annotated[{{}}, Param("{name}")]'.format for name in SOURCES},
    "Body": 'Annotated[{}, Param("body")]'.format,
    "BodyMeta": 'Annotated[{}, Param("body")]'.format,
    "FormMeta": 'Annotated[{}, Param("form")]'.format,
    "File": _file,
}
_ANY_FOREIGN = "Annotated[{}, use(factory) or Param(...)]".format


def _foreign_remedy(extra: Any) -> Callable[[str], str] | None:
    """Say what to write instead of another framework's mark, or of what makes it."""
    if _is_uncalled(extra):
        # What else they have may be meant as a factory.
        return _FOREIGN.get(extra.__name__) if _home(extra) in _FRAMEWORKS else None
    if _package(extra) not in _FRAMEWORKS:
        return None
    return _FOREIGN.get(type(extra).__name__, _ANY_FOREIGN)
