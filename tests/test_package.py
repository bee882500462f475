"""The installed package: what the wheel contains, and what it exports."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import triows

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the sdist as a release is, with the tools installed here."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def files(wheel):
    """The contents of the wheel's files by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def info(files):
    """The wheel's files of metadata, by their names inside its dist-info."""
    return {
        name.partition(".dist-info/")[2]: content
        for name, content in files.items()
        if ".dist-info/" in name
    }


def test_the_wheel_holds_every_module_and_the_marker_of_types(files):
    modules = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("triows/**/*.py")}
    packed = {name for name in files if name.startswith("triows/")}
    assert packed == modules | {"triows/py.typed"}


def test_the_wheel_holds_nothing_but_the_package_and_the_pytest_plugin(files):
    folders = {name.split("/")[0] for name in files}
    info = f"triows-{PROJECT['version']}.dist-info"
    assert folders == {"triows", "pytest_triows.py", "_triows_schedules", info}


def test_the_wheel_is_imported_with_nothing_around_it(wheel):
    program = "import sys; sys.path.insert(0, sys.argv[1]); import triows; print(triows.__file__)"
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", program, wheel],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(str(wheel))


def test_the_wheel_carries_the_license(info):
    assert info["licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()


def test_the_wheel_has_the_version_that_the_changelog_begins_with(info):
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## \[(\d.*?)\]", changelog, re.MULTILINE)
    assert newest is not None
    assert message_from_bytes(info["METADATA"])["Version"] == newest[1]


def test_the_command_is_a_function_of_the_package():
    name, target = PROJECT["scripts"].popitem()
    entry = importlib.metadata.EntryPoint(name, target, "console_scripts")
    assert (name, callable(entry.load())) == ("triows", True)


def test_what_is_exported_is_what_is_public():
    public = {
        name
        for name, value in vars(triows).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    public.add("status")  # a module, which needs no import of its own
    public.discard("annotations")  # from `from __future__ import annotations`
    assert public == {name for name in triows.__all__ if not name.startswith("_")}


def test_no_name_is_exported_twice():
    assert len(triows.__all__) == len(set(triows.__all__))


def test_an_export_says_that_it_is_from_triows():
    exported = [getattr(triows, name) for name in triows.__all__]
    placed = [value for value in exported if isinstance(value, type | FunctionType)]
    assert [value for value in placed if value.__module__.startswith("triows.")] == []
