"""Explain why the lab's modules cannot be imported: files that hide them, or packages that were changed."""

import contextlib
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path

from labsupport.errors import LabError
from labsupport.setup import installed

COMMON = {
    "test",
    "tests",
    "doc",
    "docs",
    "examples",
    "scripts",
}  # folders of some packages, and of many users


def hiding(path: Sequence[str] | None = None) -> list[Path]:
    """Return the user's files that hide a module of Python or of the lab's packages; `path` is like sys.path."""
    # A folder that is there twice does not hide itself.
    path = [*dict.fromkeys(str(Path(folder or ".").resolve()) for folder in (sys.path if path is None else path))]
    paths = sysconfig.get_paths()
    not_theirs = {Path(paths[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    not_theirs |= {each / "lib-dynload" for each in not_theirs} | {installed.CHECKOUT}
    found = []
    for number, folder in enumerate(path):
        if (here := Path(folder)).is_dir() and here not in not_theirs:
            # Behind it, only these count: two folders of the user's may have files of the same name.
            behind = [each for each in path[number + 1 :] if Path(each) in not_theirs]
            found += [each for each in sorted(here.iterdir()) if _hides(each, behind, path[:number])]
    return found


def _hides(file: Path, behind: Sequence[str], before: Sequence[str]) -> bool:
    name = file.name.partition(".")[0]
    if not (file / "__init__.py").is_file() and file.suffix not in (".py", ".so", ".pyd"):
        return False
    if (
        name in COMMON
        or not name.isidentifier()
        or any(each.find_spec(name) for each in (BuiltinImporter, FrozenImporter))
    ):
        return False
    first, there = PathFinder.find_spec(name, list(before)), PathFinder.find_spec(name, list(behind))
    # A folder without __init__.py is found too, but a real module later on the path wins.
    return not (first and first.origin) and bool(there and there.origin)


def advice(files: Sequence[Path], then: str) -> LabError:
    """Return an error that says which files hide which modules; `then` is what to do after renaming them."""
    seen = "\n".join(f"{file} hides the module {file.name.partition('.')[0]}" for file in files)
    first = files[0]
    return LabError(
        "Some of your files have the names of modules that the lab needs.", seen,
        f"rename them, for example to my_{first.name}; {then}",
    )  # fmt: skip


def refuse_hidden() -> None:
    """Raise LabError if files hide the lab's modules from this notebook's kernel."""
    if files := hiding():
        raise advice(files, "then restart the kernel (menu Kernel), and run this cell again")


@contextlib.contextmanager
def explained(then: str = "then run it again") -> Iterator[None]:
    """Turn an error in the body of a `with` into a LabError if a module is hidden or changed."""
    try:
        yield
    except LabError:
        raise
    except Exception as error:
        if files := hiding():
            raise advice(files, then) from None
        if wrong := installed.wrong():
            raise LabError(
                "The lab's packages have changed since its set-up.",
                "\n".join([*wrong[:4], f"{type(error).__name__}: {error}"]),
                "python3 lab.py setup  (makes .venv again; your files stay)",
            ) from None
        raise
