"""Loads a learner's file, the same way for every command and check."""

import ast
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle

from labsupport.errors import LabError
from labsupport.settings import CHECKOUT

SOURCE = "__learner_file__"
EXAMPLE = "give file and function: work/mails.py:handle"


def load(path: Path) -> ModuleType:
    """Run a Python file and return it as a module. Its errors come out.

    It is a module like any other: it can import its neighbours, and what it defines can be pickled. The file is read
    again each time.
    """
    path = path.resolve()
    return run(path, path.read_bytes())


def run(path: Path, program: bytes) -> ModuleType:
    """Run what the file at this absolute path held, as `load` does."""
    module = ModuleType(_name(path))
    module.__file__ = str(path)
    module.__dict__[SOURCE] = (path, program)
    if (folder := str(path.parent)) not in sys.path:
        sys.path.append(folder)  # last: a learner's kafka.py must not hide the client
    code = compile(program, str(path), "exec", dont_inherit=True)
    sys.modules[module.__name__] = module  # before it runs, because dataclasses look up their module
    try:
        exec(code, module.__dict__)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    cloudpickle.register_pickle_by_value(module)  # a child process need not run the file again, nor look for its name
    return module


def source(module: ModuleType) -> tuple[Path, bytes] | None:
    """The path and the program of a module that `load` has returned; None for any other."""
    return module.__dict__.get(SOURCE)


def place(value: Any) -> tuple[ModuleType, str] | None:
    """The learner's file that defines the value at its top level, and its name there; None if there is none."""
    defined = value if isinstance(value, FunctionType | type) else type(value)
    module = sys.modules.get(defined.__module__)
    if module is None or not source(module):
        return None
    return next(((module, name) for name, each in vars(module).items() if each is value), None)


def _name(path: Path) -> str:
    """The file's name; with a prefix if another module has that name or could be imported by it."""
    name = path.stem
    ours = getattr(sys.modules.get(name), "__file__", None) == str(path)
    if ours or not (name in sys.modules or name in sys.stdlib_module_names or _exists(name, path)):
        return name
    return f"learner_{name}"


def _exists(name: str, path: Path) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin != str(path)


def function_of(text: str) -> Callable:
    """Run the file and return the function that `file.py:name` names. Raises LabError if there is none.

    A relative path starts in the current folder, or, if nothing is there, in the lab's.
    """
    file, name = _split(text)
    path = _found(file)
    if path is None or path.suffix != ".py":
        seen = f"looked for in {Path.cwd()} and {CHECKOUT}" if path is None and not Path(file).is_absolute() else ""
        raise LabError(f"There is no Python file {file!r}.", seen, EXAMPLE)
    if not name:
        there = ", ".join(_functions(path)) or "none"
        raise LabError(f"Which function of {file}?", f"its functions: {there}", EXAMPLE)
    try:
        module = load(path)
    except SystemExit as error:
        seen = f"it ends the program, with SystemExit: {error}"
        raise LabError(f"{file} cannot be run.", seen, "remove that, and try again") from error
    except Exception as error:
        raise LabError(f"{file} cannot be run.", in_short(error), "fix it, and try again") from error
    if not callable(function := getattr(module, name, None)):
        there = ", ".join(_functions(path)) or "none"
        raise LabError(f"{file} has no function {name!r}.", f"its functions: {there}", "is its name right?")
    return function


def _split(text: str) -> tuple[str, str]:
    """File and function. The path too may contain a colon."""
    file, _, name = text.rpartition(":")
    if not file or not name.isidentifier():
        return (file, "") if file and not name else (text, "")
    return file, name


def _found(file: str) -> Path | None:
    return next((path for path in (Path(file), CHECKOUT / file) if path.is_file()), None)


def _functions(path: Path) -> list[str]:
    """The names of the functions that the file defines, without running it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return []
    return [each.name for each in tree.body if isinstance(each, ast.FunctionDef)]


def in_short(error: Exception) -> str:
    """The error, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) or not frames:  # a SyntaxError names its line itself
        return f"{type(error).__name__}: {error}"
    return f"{type(error).__name__}: {error} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
