"""Which tests a change can touch: for `python3 lab.py test --changed` and for `test NN`.

Modules touch what imports them; a test or lesson names the modules that it uses in imports, in code that it runs as
text, and as commands. In doubt, everything is chosen.
"""

import ast
import functools
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labsupport import _HOMES as EXPORTS
from labsupport.commands.main import COMMANDS
from labsupport.errors import LabError
from labsupport.settings import CHECKOUT

SHAPE = "tests/test_structure.py"  # style, types, arrows, links: of any file
FORM = "tests/test_notebooks.py"
EXERCISES = "tests/exercises/test_exercises.py"
LESSON = "labsupport.course.lab"  # has what few lessons need, and imports it only when it is called
# What runs these modules by their names.
BY_NAME = {"labsupport.commands.": "tests/kafka/test_commands.py", "labsupport.setup.": "tests/test_bootstrap.py"}
# What reads these files, where no import says so.
READERS = {
    r"measured/.*": ["tests/test_readme.py"],
    r"(README|DESIGN|CONTRIBUTING|CHANGELOG)\.md|LICENSE": ["tests/test_readme.py"],
    r"notebooks/.*\.md": [FORM],
    r"docker-compose\.yml": ["tests/kafka/test_compose.py", "tests/test_roads.py"],
    r"book/.*": ["tests/test_book.py"],
    r"(binder|\.devcontainer|\.vscode)/.*|Dockerfile|\.dockerignore|build_backend\.py": ["tests/test_roads.py"],
    r"\.github/workflows/book\.yml": ["tests/test_book.py"],
    r"\.github/.*|\.pre-commit-config\.yaml|\.ci/.*|\.gitignore": [],
}


@dataclass
class Chosen:
    """Test files and lessons (two digits), each with the reason. `everything`: why all is chosen, or empty."""

    files: dict[str, str] = field(default_factory=dict)
    lessons: dict[str, str] = field(default_factory=dict)
    everything: str = ""

    def arguments(self, lessons: Mapping[str, Path]) -> list[str]:
        """What pytest is told; `lessons` are the notebooks by number. Empty for everything."""
        if self.everything:
            return []
        notebooks = {number: lessons[number].relative_to(CHECKOUT).as_posix() for number in sorted(self.lessons)}
        files = [file for file in self.files if file not in notebooks.values()]
        if not notebooks:
            return files
        words = [Path(file).name for file in files]
        for number, notebook in notebooks.items():
            words += [Path(notebook).stem, f"[{number}-"]
        shared = [file for file in (FORM, EXERCISES) if file not in files]
        return [*files, *notebooks.values(), *shared, "-k", " or ".join(words)]

    def lines(self) -> list[str]:
        """What is chosen and why, for the terminal."""
        if self.everything:
            return [f"Everything: {self.everything}"]
        chosen = {f"lesson {number}": why for number, why in sorted(self.lessons.items())} | self.files
        return [f"  {name:<38} {why}" for name, why in chosen.items()]


def of_lessons(numbers: Iterable[str]) -> Chosen:
    """These lessons: the notebook, its form, its exercises, and the lesson solved."""
    return Chosen(lessons=dict.fromkeys(numbers, "named"))


def changed_files(checkout: Path = CHECKOUT, main: str = "main") -> list[str]:
    """Every file that differs from where this branch left `main`, and every new one, by its path in the checkout.

    Raises LabError if git cannot say.
    """

    def git(*words: str) -> str:
        try:
            run = subprocess.run(["git", *words], cwd=checkout, capture_output=True, text=True, encoding="utf-8")
        except OSError as error:
            raise LabError("Could not ask git what has changed.", str(error), EVERYTHING) from error
        if run.returncode:
            raise LabError("Could not ask git what has changed.", run.stderr.strip(), EVERYTHING)
        return run.stdout

    known = git("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes").split()
    before = next((name for name in (main, f"origin/{main}") if name in known), None)
    if before is None:
        raise LabError(f"Could not compare with the branch {main!r}.", "this clone has no such branch", EVERYTHING)
    base = git("merge-base", before, "HEAD").strip()
    differing = git("diff", "--name-only", "--no-renames", "-z", "--relative", base)
    new = git("ls-files", "--others", "--exclude-standard", "-z")
    return sorted({*filter(None, (differing + new).split("\0"))})


EVERYTHING = "run everything: python3 lab.py test"


def touched(changed: Iterable[str], checkout: Path = CHECKOUT) -> Chosen:
    """What these changed files can touch."""
    users = _users(checkout)
    chosen = Chosen()
    for path in changed:
        if path.startswith(("tests/plugins/", "tests/kafka/", "tests/unit/", "tests/exercises/", "tests/test_")):
            if not path.startswith("tests/plugins/") and (checkout / path).exists():
                chosen.files.setdefault(path, "changed")
        elif lesson := re.fullmatch(r"(?:notebooks|labsupport/course/exercises)/(\d\d)[_-].*", path):
            if (checkout / f"notebooks/{Path(path).name}").exists() or path.startswith("labsupport/"):
                chosen.lessons.setdefault(lesson[1], f"{path} changed")
            for file in users.of_lesson(lesson[1]):
                chosen.files.setdefault(file, f"uses {path}")
        elif module := users.module(path):
            files, lessons = users.of(module)
            for file in files:
                chosen.files.setdefault(file, f"uses {module}")
            for number in lessons:
                chosen.lessons.setdefault(number, f"uses {module}")
        elif (readers := _readers(path)) is not None:
            chosen.files |= {file: f"reads {path}" for file in readers if file not in chosen.files}
        else:
            return Chosen(everything=f"{path} changed, which anything may depend on")
    chosen.files.setdefault(SHAPE, "looks at every file")
    return chosen


def _readers(path: str) -> list[str] | None:
    return next((files for pattern, files in READERS.items() if re.fullmatch(pattern, path)), None)


@functools.cache
def _users(checkout: Path) -> "_Users":
    return _Users(checkout)


class _Users:
    """Who uses a module of the lab, directly or through others."""

    def __init__(self, checkout: Path):
        import grimp

        self.checkout = checkout
        self.graph = grimp.build_graph("labsupport", exclude_type_checking_imports=True, cache_dir=None)
        self.on_demand: dict[str, set[str]] = {}
        self.on_demand = self._imports_on_demand(LESSON)
        for imported in set().union(*self.on_demand.values()):
            self.graph.remove_import(importer=LESSON, imported=imported)
        for module in sorted(self.graph.modules - {LESSON}):
            for imported in self._on_demand(self._text(module)):
                self.graph.add_import(importer=module, imported=imported)
        for module in sorted(self.graph.modules):  # what a module runs as a program
            for program in re.findall(r'"-m",\s+"(labsupport\.[\w.]+)"', self._text(module)):
                main = f"{program}.__main__" if f"{program}.__main__" in self.graph.modules else program
                self.graph.add_import(importer=module, imported=main)
        judges = sorted((checkout / "labsupport" / "course" / "exercises").glob("[0-9]*/*.py"))
        self.files = {path.relative_to(checkout).as_posix(): self._uses(path) for path in self._tests()}
        self.lessons: dict[str, set[str]] = {}
        for path in [*sorted((checkout / "notebooks").glob("*.ipynb")), *judges]:
            number = (path.name if path.suffix == ".ipynb" else path.parent.name)[:2]
            self.lessons.setdefault(number, set()).update(self._uses(path))

    def _imports_on_demand(self, module: str) -> dict[str, set[str]]:
        """By function of this module, what is imported only when it is called."""
        tree = ast.parse(self._text(module))
        imports = {
            each.name: {
                name
                for line in ast.walk(each)
                if isinstance(line, ast.ImportFrom) and line.module
                for alias in line.names
                for name in (line.module, f"{line.module}.{alias.name}")
            }
            for each in ast.walk(tree)
            if isinstance(each, ast.FunctionDef)
        }
        known = self.graph.find_modules_directly_imported_by(module)
        always = self._named("\n".join(ast.unparse(each) for each in tree.body if isinstance(each, ast.ImportFrom)))
        return {name: (found & known) - always for name, found in imports.items() if (found & known) - always}

    def _on_demand(self, text: str) -> set[str]:
        """What the methods of a lesson import that this text calls."""
        return {each for name, found in self.on_demand.items() if re.search(rf"\.{name}\(", text) for each in found}

    def _text(self, module: str) -> str:
        path = self.checkout / module.replace(".", "/")
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        return file.read_text(encoding="utf-8")

    def module(self, path: str) -> str | None:
        """The module in this file; None for another file, and for those that every module loads."""
        name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        loaded_by_all = ("labsupport", "labsupport.__main__")
        return name if path.endswith(".py") and name in self.graph.modules and name not in loaded_by_all else None

    def of(self, module: str) -> tuple[list[str], list[str]]:
        """The test files and the lessons that use it."""
        affected = {module, *self.graph.find_downstream_modules(module)}
        by_name = {file for prefix, file in BY_NAME.items() if module.startswith(prefix)}
        return (
            [file for file, uses in self.files.items() if uses & affected or file in by_name],
            [number for number, uses in self.lessons.items() if uses & affected],
        )

    def of_lesson(self, number: str) -> list[str]:
        """The test files that read notebooks or exercises, but for those that `Chosen.arguments` narrows."""
        files = [path.relative_to(self.checkout).as_posix() for path in self._tests()]
        own = re.compile(rf'"{number}(-\d)?"|{number}_\w+|\.ipynb|course\.exercises|course import exercises')
        narrowed = (FORM, EXERCISES, SHAPE, "tests/test_bootstrap.py")
        return [
            file for file in files if file not in narrowed and own.search((self.checkout / file).read_text("utf-8"))
        ]

    def _tests(self) -> list[Path]:
        return sorted((self.checkout / "tests").rglob("test_*.py"))

    def _uses(self, path: Path) -> set[str]:
        """The modules that a test, notebook or judge names; for fixtures, those that tests/conftest.py names."""
        text = path.read_text(encoding="utf-8")
        found = self._named(text)
        if path.is_relative_to(self.checkout / "tests"):
            conftest = (self.checkout / "tests" / "conftest.py").read_text(encoding="utf-8")
            fixtures = set(re.findall(r"@pytest\.fixture.*\ndef (\w+)", conftest))
            if fixtures & set(re.findall(r"\w+", " ".join(re.findall(r"def \w+\((.*?)\)", text, re.DOTALL)))):
                found |= self._named(conftest)
            if re.search(r'"labsupport"|\b(lab|typed|start)\(', text):
                typed = {*re.findall(r'"([a-z-]+)"', text)} & set(COMMANDS) | {"start"}
                found |= {
                    f"labsupport.commands.{COMMANDS[name].module if name in COMMANDS else name}" for name in typed
                }
        return found & self.graph.modules

    def _named(self, text: str) -> set[str]:
        """All that stands behind `from labsupport… import …`, `import labsupport…` and "labsupport…" in it."""
        found = set(re.findall(r"\blabsupport(?:\.\w+)+", text)) | self._on_demand(text)
        for package, many, line in re.findall(r"from (labsupport[\w.]*) import (?:\(([^)]*)\)|([\w, ]+))", text):
            for name in re.findall(r"\w+", many or line):
                if package == "labsupport" and name in EXPORTS:
                    found |= {EXPORTS[name], f"{EXPORTS[name]}.{name}"}
                found |= {package, f"{package}.{name}"} - {"labsupport"}
        return found
