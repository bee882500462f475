"""Finding the application that a command names."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
from typing import TYPE_CHECKING

from triows._app import Triows

from .mistakes import app_mistake

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["ImportFailed", "UnusableTarget", "load", "look_in"]


class UnusableTarget(Exception):
    """The target can't be used. The message is one line that says what to write."""


class ImportFailed(Exception):
    """
    Importing the application raised something.

    Args:
        target: The application that should be imported.
        error: The exception that was raised.
        what: What happened to it, as the end of a sentence.
    """

    def __init__(self, target: str, error: BaseException, what: str = "can't be imported") -> None:
        self.error = error
        super().__init__(f"{target!r} {what}")


def load(target: str, *, folder: str | None = None, factory: bool = False) -> Triows:
    """
    Import the application that ``module:app`` names. ``app`` may have dots.

    Args:
        target: The name.
        folder: Where to look for the module first. It is also looked for in the current folder.
        factory: Whether the name is that of a function that returns the application.

    Raises:
        UnusableTarget: The module or the name doesn't exist, or it isn't an application.
        ImportFailed: Importing the module raised something.
    """
    module_name, _, path = target.partition(":")
    look_in(folder)
    if not module_name or not path or module_name.startswith(".") or "/" in module_name:
        raise UnusableTarget(f"{target!r}: write {_meant(module_name, path)}")
    module = _imported(target, module_name, path)
    found: object = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise UnusableTarget(
                f"{target!r}: {module_name!r} has no {path!r}{_instead(module, path)}"
            ) from None
        except Exception as exc:  # of a module's __getattr__
            raise ImportFailed(target, exc) from exc
    if factory:
        found = _called(target, found)
    if not isinstance(found, Triows):
        others = _applications_in(module)
        hint = f". If you mean the application there, write {others}" if others else ""
        raise UnusableTarget(f"{target!r} is {app_mistake(found)}{hint}")
    return found


def _called(target: str, function: object) -> object:
    """Call the function that makes the application."""
    if isinstance(function, Triows):
        raise UnusableTarget(f"{target!r} is an application and no function: leave --factory out")
    if not callable(function):
        kind = type(function).__name__
        raise UnusableTarget(f"{target!r} is an object of type {kind}: --factory needs a function")
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError) as exc:
        raise UnusableTarget(f"{target!r} can't be called without arguments: {exc}") from None
    try:
        return function()
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as exc:
        raise ImportFailed(target, exc, "failed") from exc


def look_in(folder: str | None) -> None:
    """
    Let modules be found in *folder* and in the current one.

    The current folder isn't on a console script's path, but it is on that of ``python -m``, by
    which workers are started.
    """
    try:
        here = os.getcwd()
    except OSError as exc:
        raise UnusableTarget(f"the current folder can't be found: {exc.strerror}") from None
    if folder is not None and not os.path.isdir(folder):
        raise UnusableTarget(f"--app-dir: there is no folder {folder!r}")
    if here not in sys.path:
        sys.path.insert(0, here)
    if folder is not None:
        sys.path.insert(0, os.path.abspath(folder))


def _imported(target: str, name: str, path: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
            raise ImportFailed(target, exc) from exc  # a module that the application imports
        if name.endswith(".py"):
            hint = f": a module is written without .py, so write {_meant(name, path)}"
        elif near := difflib.get_close_matches(name, _modules_here(), 1):
            hint = f": did you mean '{near[0]}:{path}'?"
        else:
            hint = f". The current folder is {os.getcwd()}"
        raise UnusableTarget(
            f"{target!r}: there is no module {exc.name!r} here or installed{hint}"
        ) from None
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as exc:
        raise ImportFailed(target, exc) from exc


def _modules_here() -> list[str]:
    return [module.name for module in pkgutil.iter_modules([os.getcwd()])]


def _meant(module: str, path: str) -> str:
    """Say what to write for a path of a file, or a name without what belongs to it."""
    name = module.removeprefix("./").removesuffix(".py").replace("/", ".").strip(".")
    outer, _, last = name.rpartition(".")
    if name and _exists(name):
        return f"module:app, as in '{name}:{path or 'app'}'"
    if outer and _exists(outer) and last.isidentifier() and not path:
        return f"module:app, with a colon, as in '{outer}:{last}'"
    return "module:app, as in 'chat:app' or 'examples.chat:app'"


def _exists(module: str) -> bool:
    """Say whether there is such a module, without running it."""
    try:
        return importlib.util.find_spec(module) is not None
    except Exception:  # noqa: BLE001 - a package around it can't be imported, or it isn't a name
        return False


def _instead(module: ModuleType, path: str) -> str:
    """Say what there is in a module that lacks a name."""
    if names := _applications_in(module):
        return f": write {names}"
    name = path.partition("(")[0]
    if path.endswith(")") and callable(getattr(module, name, None)):
        return f": write '{module.__name__}:{name}' with --factory"
    return ", nor any other application of triows: write `app = Triows(route)` there"


def _applications_in(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, Triows)]
    return " or ".join(repr(f"{module.__name__}:{name}") for name in names)
