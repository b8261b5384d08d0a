"""Code of an older version of the course: every old name gets a sentence with the new one."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

import pytest

from labsupport import old_names
from labsupport.errors import RenamedError

OLD_CODE = {
    "from labsupport import sending": "labsupport.publish",
    "from labsupport import plots, road": "labsupport.trace",
    "from labsupport import Recovery, Worker": "labsupport.ErrorHandler",
    "from labsupport import shop; shop.events(3)": "story.events (from labsupport import story)",
    "from labsupport.shop import key_of": "story.key_of",
    "from labsupport.events.worker import Moment": "labsupport.delivery.worker",
    "import labsupport.events.exact as exact": "labsupport.history.librdkafka",
    "from labsupport.events import stretches": "labsupport.history.offset_range",
    "from labsupport.base import until": "labsupport.errors, waiting, settings, console and files",
    "import labsupport.base": "labsupport.errors, waiting, settings, console and files",
    "from labsupport.experiments.faults import At": "labsupport.experiments.breaking.faults",
    "from labsupport.experiments import journal": "labsupport.experiments.watching.moment_file",
    "import labsupport.course.answer": "labsupport.course.submission",
}


@pytest.mark.parametrize(("code", "new"), OLD_CODE.items())
def test_an_import_of_an_old_name_says_the_new_one_and_how_to_get_the_lesson(code, new):
    """In every form of import, and when it is tried again."""
    for _ in range(2):
        with pytest.raises(RenamedError) as error:
            exec(code, {})
        assert isinstance(error.value, ImportError)
        assert f"it is now {new}" in str(error.value)
        assert "python3 lab.py new NN" in str(error.value)
        assert "Traceback" not in "".join(error.value._render_traceback_())


@pytest.mark.parametrize(("old", "new"), old_names.IMPORTS.items())
def test_no_old_module_exists_and_every_new_one_does(old, new):
    """The table is about this version of the course."""
    with pytest.raises(RenamedError):
        import_module(old)
    first, *others = re.split(r", | and ", new)
    for path in [first, *(f"labsupport.{each}" for each in others)]:
        package, _, name = path.rpartition(".")
        assert hasattr(import_module(package), name) or import_module(path)


def words_of(thing: type | Callable) -> set[str]:
    """The attributes, fields and arguments that a class or function has."""
    return {*dir(thing), *getattr(thing, "__annotations__", {}), *inspect.signature(thing).parameters}


@pytest.mark.parametrize("owner", [name for name in old_names.NAMES if "." not in name])
def test_every_new_field_exists_and_no_old_one(owner):
    """Of the classes, by whichever module has them."""
    packages = ["delivery", "history", "experiments.breaking", "experiments.watching"]
    paths = [(name, import_module(f"labsupport.{name}").__path__) for name in packages]
    modules = [import_module(f"labsupport.{name}.{each.name}") for name, path in paths for each in iter_modules(path)]
    found = {vars(each)[owner] for each in modules if owner in vars(each)}
    assert len(found) == 1
    words = words_of(found.pop())
    for old, new in old_names.NAMES[owner].items():
        assert new in words
        assert old not in words


def test_every_new_name_of_a_module_exists_and_no_old_one():
    """Classes and functions."""
    for module, names in old_names.NAMES.items():
        if "." in module:
            there = vars(import_module(f"labsupport.{module}"))
            for old, new in names.items():
                home, _, name = new.rpartition(".")
                assert name in (vars(import_module(home)) if home else there), f"{module}.{new}"
                assert old not in there or there[old] is vars(import_module(home))[name], f"{module}.{old}"


def provoked(code: str) -> Exception:
    """The error that this code raises."""
    try:
        exec(code, {})
    except Exception as error:
        return error
    raise AssertionError(f"{code} raises nothing")


@pytest.mark.parametrize(
    ("code", "new"),
    [
        ("import labsupport; labsupport.torture", "torture is now labsupport.crash_search"),
        ("from labsupport import replay; replay.Choice", "Choice is now Selection"),
        ("from labsupport.history.replay import Choice", "Choice is now Selection"),
        ("from labsupport import retry; retry.Policy(first=1)", "first is now wait_initial"),
        ("from labsupport import retry; retry.Policy().most", "most is now wait_max"),
        ("from labsupport import Worker; Worker(None, None, recovery=None)", "recovery is now error_handler"),
        ("from labsupport.delivery.worker import Moment; Moment.what", ""),
    ],
)
def test_an_old_attribute_or_argument_is_explained_below_the_error(code, new):
    """As a notebook shows it; what is not an old name is left alone."""
    if new:
        assert old_names.advice(provoked(code)).startswith(new)


@pytest.mark.parametrize("code", ["import labsupport.nothing", "from labsupport import nothing", "[].what", "int(x=1)"])
def test_other_errors_stay_as_they_are(code):
    """Nothing is said about names that the lab never had, nor about objects of other packages."""
    error = provoked(code)
    assert not isinstance(error, RenamedError)
    assert old_names.advice(error) == ""


def test_editors_see_the_names_that_are_not_imported_yet():
    """For completion, in a fresh Python, where the client is not loaded by it."""
    code = "import sys, labsupport; print({'lesson', 'story'} <= set(dir(labsupport)), 'kafka' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert shown.split() == ["True", "False"]


def test_the_table_is_loaded_only_for_a_name_that_does_not_exist():
    """Every command and kernel imports labsupport first, and hardly any has an old name."""
    code = """import sys, labsupport
from labsupport import Event, settings
print("labsupport.old_names" in sys.modules)
try:
    import labsupport.base
except ImportError as error:
    print(type(error).__name__, "labsupport.old_names" in sys.modules)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert shown.split() == ["False", "RenamedError", "True"]
