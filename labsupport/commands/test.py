"""`python3 lab.py test`: choose tests, and hand over to pytest."""

import os
import re
import subprocess
import sys
from itertools import takewhile

import click

from labsupport.commands.terminal import console, example, require_checkout
from labsupport.course.copies import lessons_named
from labsupport.settings import CHECKOUT, Settings


@click.command(
    context_settings={"ignore_unknown_options": True},
    **example(
        "python3 lab.py test", "python3 lab.py test 05", "python3 lab.py test --changed",
        "python3 lab.py test -k 'jars or process' -x",
    ),
)  # fmt: skip
@click.option("--changed", is_flag=True, help="Only what the difference to the branch main can touch; says why.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[LESSON]... [PYTEST_ARGUMENTS]...")
def test(changed: bool, words: tuple[str, ...]) -> None:
    """Run every test and every notebook, on brokers of their own.

    LESSON (such as 05) runs that lesson only: its notebook, its form, its exercises, and the lesson solved. Several
    workers share the tests, which often wait. Other arguments go to pytest; with them alone there is one worker.
    """
    require_checkout("run the tests")
    lessons = list(takewhile(re.compile(r"\d+").fullmatch, words))
    others = list(words[len(lessons) :])
    chosen: list[str] = []
    if changed or lessons:
        chosen = _choose(changed, lessons)
    if not others or changed or lessons:
        chosen = ["-n", str(workers(os.cpu_count() or 1)), *chosen]
    _hand_over([*chosen, *others])


def workers(cores: int) -> int:
    """Return how many workers share the tests: twice as many as cores, since half of the time a test waits."""
    return max(2, min(2 * cores, 8))


def _choose(changed: bool, lessons: list[str]) -> list[str]:
    """Return the tests as pytest is told them. Raises LabError for an unknown lesson."""
    from labsupport.commands import selection

    notebooks = {path.name[:2]: path for path in lessons_named(["all"])}
    named = selection.of_lessons(path.name[:2] for path in lessons_named(lessons))
    if not changed:
        return named.arguments(notebooks)
    files = selection.changed_files()
    if not files and not lessons:
        console.print("No file differs from the branch main: there is nothing to test.")
        sys.exit(0)
    chosen = selection.touched(files)
    chosen.lessons |= named.lessons
    console.print("\n".join(chosen.lines()), markup=False, soft_wrap=True)
    return chosen.arguments(notebooks)


def keep_byte_code() -> None:
    """Keep what Python compiles in the cache of pytest, if the user wants none of it beside the sources.

    Otherwise each of some hundred processes compiles the Kafka client, and each kernel IPython: uv compiles nothing.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        folder = os.environ.setdefault("PYTHONPYCACHEPREFIX", str(CHECKOUT / ".pytest_cache" / "byte-code"))
        sys.dont_write_bytecode, sys.pycache_prefix = False, folder


def _hand_over(arguments: list[str]) -> None:
    os.chdir(CHECKOUT)
    keep_byte_code()  # for pytest's own modules, too
    command = [sys.executable, "-m", "pytest", *arguments]
    if os.name == "nt":
        from labsupport.broker.processes import python_marks

        marks = python_marks(Settings.from_environment(), "program")
        sys.exit(subprocess.call([sys.executable, *marks, *command[1:]]))
    os.execv(sys.executable, command)  # so that Ctrl-C and other signals reach pytest alone
