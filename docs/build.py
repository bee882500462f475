"""
Writes the parts of the documentation that are made from the code: ``make docs``.

* the reference, ``docs/reference/triows*.md``, from signatures and docstrings;
* what the programs of ``docs/reference/exceptions.md`` print;
* the line numbers in what the tests of ``docs/how-to`` print.

A test compares the pages in the repository with what this module makes.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import inspect
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs
import griffe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs/reference"
MODULES = ("triows", "triows.testing", "triows.inspect")

#: Pages with ``text`` blocks that show what the ``python`` blocks before them print.
PRINTED = (ROOT / "docs/reference/exceptions.md",)

#: A line number in a text: the file's ending shows that it is one.
LINE = r"(?<=\.(?:md|py):)\d+"

#: Methods of public classes that only other parts of triows call.
INTERNAL = {"walk", "describe", "own_deps", "freeze", "watched"}

NOTE = "<!-- Made by `make docs` from the docstrings. Change those, not this page. -->"


#: Pages with ``text`` blocks that show what their tests print.
TESTED = tuple(ROOT / f"docs/how-to/{name}.md" for name in ("inspect", "test-failures"))


def pages() -> dict[Path, str]:
    """Make every page that needs no tests: its path, and its text."""
    made = {REFERENCE / f"{name}.md": reference(name) for name in MODULES}
    return made | {path: with_outputs(path) for path in PRINTED}


def tested_pages() -> dict[Path, str]:
    """Make the pages that show what their tests print. This takes some seconds."""
    return {path: with_lines(path, printed_by_tests(path)) for path in TESTED}


# The reference.


@functools.cache
def load() -> dict[str, griffe.Module]:
    """Read the code, without running it."""
    loader = griffe.GriffeLoader(search_paths=[str(ROOT)])
    loader.load("triows")
    loader.resolve_aliases(external=False)
    return {name: loader.modules_collection[name] for name in MODULES}


def reference(name: str) -> str:
    module = load()[name]
    names = Names()
    lines = [f"# `{name}`", NOTE]
    if module.docstring and name != "triows":
        lines.append(names.markdown(module.docstring.value))
    for title, exported in sections(module):
        lines.append(f"## {title}")
        for one in exported:
            lines.extend(entry(module, one, names))
    if name == "triows":
        lines.extend(statuses(names))
    return "\n\n".join(line for line in lines if line) + "\n"


def sections(module: griffe.Module) -> Iterator[tuple[str, list[str]]]:
    """Read ``__all__`` with its comments, which are the titles."""
    assert isinstance(module.filepath, Path)
    source = module.filepath.read_text("utf-8")
    body = re.search(r"^__all__ = \[\n(.*?)^\]", source, re.MULTILINE | re.DOTALL)
    assert body is not None
    title, names = "Contents", []
    for line in map(str.strip, body[1].splitlines()):
        if line.startswith("#"):
            if names:
                yield title, names
            title, names = line.removeprefix("# "), []
        else:
            names.append(ast.literal_eval(line.rstrip(",")))
    yield title, names


def entry(module: griffe.Module, name: str, names: Names) -> Iterator[str]:
    yield f"### `{name}`"
    names.scope = name
    value = getattr(importlib.import_module(module.path), name)
    if isinstance(value, ModuleType):
        yield names.markdown(inspect.cleandoc(value.__doc__ or ""))
        yield f"**Names:** {', '.join(f'`{one}`' for one in value.__all__)}"
        return
    found = resolved(module.members.get(name))
    if found is None:
        yield f"`{value.__module__}.{value.__qualname__}`, which triows exports as well."
    elif isinstance(found, griffe.Class):
        yield from class_entry(found, value, names)
    elif isinstance(found, griffe.Function):
        yield from function_entry(found, name, names)
    elif text := comment(found):
        yield code(quoted(f"{name} = {found.value}"))
        yield names.markdown(text)
    else:
        raise ValueError(f"{found.path} is public and has no `#:` comment")


def statuses(names: Names) -> Iterator[str]:
    """Describe the module that has only names for numbers."""
    module = resolved(load()["triows"].members["status"])
    names.scope = "status"
    names.add("triows", "status.code", "statuscode")
    yield "## `triows.status`"
    yield names.markdown(module.docstring.value)
    values = vars(importlib.import_module("triows.status"))
    listed = (f"`{one}` ({values[one].__args__[0]})" for one in module.exports if one.isupper())
    yield f"**Names:** {', '.join(listed)}"
    yield "### `status.code`"
    yield from function_entry(module.members["code"], "code", names)


def resolved(found: Any) -> Any:
    """Follow exports to where something is defined; ``None`` if that is in another package."""
    try:
        return found.final_target if isinstance(found, griffe.Alias) else found
    except griffe.AliasResolutionError:
        return None


def class_entry(found: griffe.Class, value: type, names: Names) -> Iterator[str]:
    yield code(class_signature(found, value))
    yield from sections_as_markdown(parse(found), names)
    yield from inherited_from_starlette(value)
    fields = {one.name: one for one in attrs.fields(value)} if attrs.has(value) else {}
    plain = []
    for member in members(found):
        body = list(member_entry(member, found, fields.get(member.name), names))
        if body:
            yield f"#### `{found.name}.{member.name}`"
            yield from body
        else:
            plain.append(f"`{member.name}`")
    if plain:
        yield f"**Attributes:** {', '.join(plain)}"


def class_signature(found: griffe.Class, value: type) -> str:
    """Write how a user calls the class, or only its bases if triows makes the objects itself."""
    head = f"class {found.name}"
    init = found.members.get("__init__")
    kinds = {section.kind for section in parse(found)}
    if griffe.DocstringSectionKind.parameters in kinds:
        if isinstance(init, griffe.Function):
            return signature(init, head, skip=1)
        if attrs.has(value):
            return signature(made_by_attrs(value), head)
    private = {one.__name__ for one in value.__mro__ if "._" in one.__module__}
    bases = [str(base).rsplit(".", 1)[-1] for base in found.bases]
    bases = [base for base in bases if base.partition("[")[0] not in private]
    return f"{head}({', '.join(bases)})" if bases else head


def made_by_attrs(value: type) -> griffe.Function:
    """Read the ``__init__`` that attrs has made for a class, as if it were in the source."""
    parameters = [
        griffe.Parameter(
            one.name,
            annotation=str(one.annotation),
            kind=griffe.ParameterKind(one.kind.description),
            default=None if one.default is one.empty else repr(one.default),
        )
        for one in inspect.signature(value).parameters.values()
    ]
    return griffe.Function("__init__", parameters=griffe.Parameters(*parameters))


def member_entry(
    member: Any, owner: griffe.Class, field: attrs.Attribute[Any] | None, names: Names
) -> Iterator[str]:
    """Describe a method or attribute. Return nothing if only its name is known."""
    if isinstance(member, griffe.Function):
        yield from function_entry(member, member.name, names)
    elif field is not None:
        if is_argument(member, owner):
            return
        given = "" if field.default is attrs.NOTHING else f" = {field.default!r}"
        yield code(quoted(f"{member.name}: {member.annotation}{given}"))
        yield names.markdown(member.docstring.value if member.docstring else comment(member))
    elif "property" in member.labels:
        yield code(quoted(f"{member.name}: {member.annotation}"))
        yield from sections_as_markdown(parse(member), names)
    elif str(member.value) in owner.functions:
        yield f"The same as [`{member.value}`]({names.links[f'{owner.name}.{member.value}']})."
    elif text := member.docstring.value if member.docstring else comment(member):
        yield names.markdown(text)


def members(found: griffe.Class) -> Iterator[Any]:
    """Yield the public members, with those of private bases, in the order of the source."""
    public = {name for module in load().values() for name in module.members}
    inherited = [
        one
        for name, one in found.inherited_members.items()
        if name not in found.members
        and one.target_path.startswith("triows.")
        and one.final_target.parent.name not in public
    ]
    for member in (*found.members.values(), *inherited):
        if not member.name.startswith("_") and not member.is_class and member.name not in INTERNAL:
            yield member.final_target if isinstance(member, griffe.Alias) else member


def function_entry(found: griffe.Function, name: str, names: Names) -> Iterator[str]:
    overloads = [function_signature(one, name) for one in found.overloads or ()]
    yield code("\n".join(overloads or [function_signature(found, name)]))
    yield from sections_as_markdown(parse(found), names)


def function_signature(found: griffe.Function, name: str) -> str:
    own = list(found.parameters)[:1]
    skip = 1 if own and own[0].name in {"self", "cls"} else 0
    decorators = [
        f"@{one.value}\n"
        for one in found.decorators
        if str(one.value).endswith(("contextmanager", "staticmethod", "classmethod"))
    ]
    word = "async def" if "async" in found.labels else "def"
    return "".join(decorators) + signature(found, f"{word} {name}", skip=skip)


def signature(found: griffe.Function, head: str, *, skip: int = 0) -> str:
    """Write a signature, on several lines if it is long."""
    parameters: list[str] = []
    kinds = griffe.ParameterKind
    given = list(found.parameters)[skip:]
    starred = False
    for index, one in enumerate(given):
        if one.kind is kinds.keyword_only and not starred:
            parameters.append("*")
        starred |= one.kind in {kinds.keyword_only, kinds.var_positional}
        prefix = {kinds.var_positional: "*", kinds.var_keyword: "**"}.get(one.kind, "")
        text = f"{prefix}{one.name}"
        if one.annotation is not None:
            text += f": {quoted(str(one.annotation))}"
        if one.default is not None and not prefix:
            equals = "=" if one.annotation is None else " = "
            text += equals + quoted(str(one.default))
        parameters.append(text)
        is_last = index + 1 == len(given) or given[index + 1].kind is not kinds.positional_only
        if one.kind is kinds.positional_only and is_last:
            parameters.append("/")
    returns = f" -> {quoted(str(found.returns))}" if found.returns is not None else ""
    if head.startswith("class"):
        returns = ""
    line = f"{head}({', '.join(parameters)}){returns}"
    if len(line) <= 88:
        return line
    body = "".join(f"    {one},\n" for one in parameters)
    return f"{head}(\n{body}){returns}"


def inherited_from_starlette(value: type) -> Iterator[str]:
    for base in value.__mro__[1:]:
        if base.__module__.startswith("starlette."):
            own = {
                name for one in value.__mro__ if one.__module__ == "triows" for name in vars(one)
            }
            names = [
                f"`{name}`" for name in vars(base) if not name.startswith("_") and name not in own
            ]
            if names:
                yield f"From Starlette's `{base.__name__}`: {', '.join(sorted(names))}."


# Docstrings.


def parse(found: griffe.Object) -> list[griffe.DocstringSection]:
    return found.docstring.parse("google", warnings=False) if found.docstring else []


def comment(found: Any) -> str:
    """Return the ``#:`` comment above or after an attribute."""
    if found.lineno is None or not isinstance(found.filepath, Path):
        return ""
    lines = found.filepath.read_text("utf-8").splitlines()
    above: list[str] = []
    for line in reversed(lines[: found.lineno - 1]):
        if not line.strip().startswith("#:"):
            break
        above.insert(0, line.strip().removeprefix("#:").strip())
    return " ".join(above)


def sections_as_markdown(parsed: Iterable[griffe.DocstringSection], names: Names) -> Iterator[str]:
    kinds = griffe.DocstringSectionKind
    titles = {kinds.parameters: "Arguments", kinds.attributes: "Attributes", kinds.raises: "Raises"}
    for section in parsed:
        if section.kind is kinds.text:
            yield names.markdown(section.value)
        elif section.kind is kinds.returns:
            text = "\n".join(one.description for one in section.value)
            yield f"**Returns:** {names.inline(text)}"
        elif section.kind in titles:
            items = [
                f"- {names.linked(str(getattr(one, 'name', None) or one.annotation))}: "
                f"{names.inline(one.description)}"
                for one in section.value
            ]
            yield f"**{titles[section.kind]}:**\n\n" + "\n".join(items)
        else:
            raise ValueError(f"nothing here writes a section {section.kind.value!r}")


def code(text: str) -> str:
    # This isn't `python`, because the tests run the blocks with that name.
    return f"```py\n{text}\n```"


def quoted(text: str) -> str:
    """Write strings with the quotes that the project uses."""
    return re.sub(r"'([^'\"]*)'", r'"\1"', text)


def has_heading(member: Any, owner: griffe.Class) -> bool:
    """Whether a member has a heading of its own, and not only its name in a list."""
    return bool(
        member.is_function
        or member.docstring
        or ("class-attribute" in member.labels and not is_argument(member, owner))
        or comment(member)
        or str(member.value) in owner.functions
    )


def is_argument(member: Any, owner: griffe.Class) -> bool:
    """Whether the docstring of a class describes a member as an argument."""
    kind = griffe.DocstringSectionKind.parameters
    described = [one for section in parse(owner) if section.kind is kind for one in section.value]
    return member.name in {one.name for one in described}


class Names:
    """Knows where each public name is described, and turns reStructuredText into Markdown."""

    def __init__(self) -> None:
        self.links: dict[str, str] = {}
        #: The class whose docstrings are being written. They use its members without its name.
        self.scope = ""
        for path, module in load().items():
            for name in module.exports or ():
                self.add(path, str(name), str(name))
                target = resolved(module.members.get(str(name)))
                if isinstance(target, griffe.Class):
                    for member in target.members.values():
                        if has_heading(member, target):
                            self.add(path, f"{name}.{member.name}", f"{name}{member.name}")

    def add(self, page: str, name: str, heading: str) -> None:
        link = f"{page}.md#{heading.lower()}"
        self.links[name] = self.links[f"{page}.{name}"] = link

    def markdown(self, text: str) -> str:
        """Paragraphs, lists and indented programs."""
        paragraphs = re.split(r"\n{2,}", inspect.cleandoc(text))
        written = "\n\n".join(self._paragraph(one) for one in paragraphs)
        return written.replace("\n```\n\n```py\n", "\n\n")  # join a program with empty lines

    def _paragraph(self, text: str) -> str:
        if text.startswith("    "):
            return code(re.sub(r"^ {4}", "", text, flags=re.MULTILINE))
        if re.match(r"[*-] ", text):
            return self._roles(text)
        return self.inline(text)

    def inline(self, text: str) -> str:
        return self._roles(" ".join(text.split()))

    def linked(self, name: str) -> str:
        return f"[`{name}`]({self.links[name]})" if name in self.links else f"`{name}`"

    def _roles(self, text: str) -> str:
        text = re.sub(r":rfc:`(\d+)(?:#section-([\d.]+))?`", _rfc, text)
        text = re.sub(r":[a-z]+:`([^`]+)`", lambda match: self._role(match[1]), text)
        return text.replace("``", "`")

    def _role(self, target: str) -> str:
        full = target.removeprefix("~").removeprefix("!")
        known = full.removeprefix(".")
        shown = full.rsplit(".", 1)[-1] if target.startswith(("~", ".")) else full
        for name in (f"{self.scope}.{known}", known, known.removeprefix("triows.")):
            if name in self.links:
                return f"[`{shown}`]({self.links[name]})"
        return f"`{shown}`"


def _rfc(match: re.Match[str]) -> str:
    number, section = match[1], match[2]
    title = f"RFC {number}" + (f", section {section}" if section else "")
    return f"[{title}](https://www.rfc-editor.org/rfc/rfc{number}" + (
        f"#section-{section})" if section else ")"
    )


# What programs print.


def with_outputs(path: Path) -> str:
    """
    Run a page's programs, and put what each prints into the next ``text`` block.

    A ``text`` block without a program of its own stays as it is.
    """
    module = ModuleType(f"_page_{path.stem}")
    sys.modules[module.__name__] = module
    printed: str | None = None
    pieces = re.split(r"(^```\w+\n.*?^```$)", path.read_text("utf-8"), flags=re.M | re.S)
    line = 1
    for index, piece in enumerate(pieces):
        if piece.startswith("```python\n"):
            source = "\n" * line + piece.removeprefix("```python\n").removesuffix("```")
            output = io.StringIO()
            # The messages show the file's name as if the page ran from the root folder.
            program = compile(source, os.fspath(path), "exec", dont_inherit=True)
            with contextlib.redirect_stdout(output):
                exec(program, vars(module))
            printed = output.getvalue().replace(f"{ROOT}{os.sep}", "")
        elif piece.startswith("```text\n") and printed is not None:
            pieces[index] = f"```text\n{printed}```"
            printed = None
        line += piece.count("\n")
    del sys.modules[module.__name__]
    return "".join(pieces)


# What tests print.


def printed_by_tests(path: Path) -> str:
    """Run the tests of a page, and return all that they print."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", path],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout


def with_lines(path: Path, printed: str) -> str:
    """
    Put the line numbers that were printed into the ``text`` blocks that show the same text.

    The numbers of processes and times stay as they are, because they change with each run.
    """

    def renewed(block: re.Match[str]) -> str:
        words = (re.sub(r"\d+", r"\\d+", re.escape(word)) for word in block[0].split())
        found = re.search(r"\s+".join(words), printed)
        if not found:
            raise ValueError(f"no test of {path.name} prints this:\n{block[0]}\nbut:\n{printed}")
        lines = iter(re.findall(LINE, found[0]))
        return re.sub(LINE, lambda _: next(lines), block[0])

    text = path.read_text("utf-8")
    return re.sub(r"(?<=^```text\n).*?(?=^```$)", renewed, text, flags=re.MULTILINE | re.DOTALL)


def main() -> None:
    sys.path.insert(0, str(ROOT))  # import this checkout, and not another triows
    for path, text in (pages() | tested_pages()).items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"renewed {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
