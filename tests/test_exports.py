"""The public names: what can be imported, how it names itself, and what is documented."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
import traceback

import pytest

import triows
import triows.inspect
import triows.testing

PUBLIC = {"triows": triows, "triows.inspect": triows.inspect, "triows.testing": triows.testing}

# Names that aren't ours. Their `__module__` says where they are from.
ELSEWHERE = {
    "HTTPException": "starlette.exceptions",
    "WebSocketException": "starlette.exceptions",
    "WebSocketState": "starlette.websockets",
    "AsyncResource": "collections.abc",
}
# Ours, but neither a class nor a function. Its `__module__` depends on the version of Python.
ALIASES = {"EventStream", "HTML", "Ignore", "JSON"}
# Modules that can be used without an import of their own.
MODULES = {"status"}


def exports(module):
    return [(name, getattr(module, name)) for name in module.__all__]


EXPORTS = [
    pytest.param(module_name, name, value, id=f"{module_name}.{name}")
    for module_name, module in PUBLIC.items()
    for name, value in exports(module)
    if name not in ALIASES | MODULES
]


def submodules():
    """All modules that a user may see, and the private ones behind them."""
    names = [info.name for info in pkgutil.walk_packages(triows.__path__, "triows.")]
    return [name for name in names if name != "triows.__main__"]


@pytest.mark.parametrize("module", PUBLIC.values(), ids=PUBLIC)
def test_all_is_what_can_be_imported(module):
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert public == set(module.__all__) - MODULES


def test_the_statuses_need_no_import_of_their_own():
    assert triows.status.code(triows.status.CREATED) == 201
    assert "status" in triows.__all__


@pytest.mark.parametrize("name", submodules())
def test_a_module_exports_only_what_it_has(name):
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert [name for name in exported if not hasattr(module, name)] == []
    assert len(exported) == len(set(exported))


def test_every_exception_can_be_imported_from_the_front():
    assert [name for name in triows.exceptions.__all__ if not hasattr(triows, name)] == []


@pytest.mark.parametrize(("module", "name", "value"), EXPORTS)
def test_an_export_says_where_it_can_be_found(module, name, value):
    said = getattr(value, "__module__", None)
    assert said == ELSEWHERE.get(name, module)
    if said == module:
        assert getattr(importlib.import_module(said), value.__name__) is value


def test_a_traceback_names_an_exception_as_it_is_caught():
    text = traceback.format_exception_only(triows.WebSocketDisconnect(4000, "enough"))
    assert text == ["triows.WebSocketDisconnect: 4000 enough\n"]


def members(cls):
    """The public methods and properties that a class defines itself."""
    for name, value in vars(cls).items():
        if name.startswith("_"):
            continue
        if isinstance(value, staticmethod | classmethod):
            yield name, value.__func__
        elif isinstance(value, property) or inspect.isfunction(value):
            yield name, value


OURS = [
    pytest.param(value, id=f"{module_name}.{name}")
    for module_name, module in PUBLIC.items()
    for name, value in exports(module)
    if name not in ELSEWHERE.keys() | ALIASES
]


@pytest.mark.parametrize("value", OURS)
def test_an_export_is_documented_with_all_its_methods(value):
    assert value.__doc__
    if isinstance(value, type):
        # For a method without a docstring, attrs writes one that begins with "Method generated".
        assert not value.__doc__.startswith(f"{value.__name__}(")
        undocumented = [name for name, member in members(value) if not member.__doc__]
        assert undocumented == []


@pytest.mark.parametrize("value", OURS)
def test_an_export_has_types(value):
    functions = [member for _, member in members(value)] if isinstance(value, type) else [value]
    for function in functions:
        if not inspect.isfunction(function):
            continue
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty, function
        untyped = [
            parameter.name
            for parameter in signature.parameters.values()
            if parameter.annotation is inspect.Parameter.empty and parameter.name != "self"
        ]
        assert untyped == [], function


def test_importing_the_front_imports_no_tools_for_tests_or_for_looking():
    """A server should not use memory for them."""
    code = (
        "import sys, triows; "
        "print([m for m in ('pytest', 'rich', 'triows.testing') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
