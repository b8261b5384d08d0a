"""`python3 lab.py test`: hand over to pytest."""

import os
import subprocess
import sys

import click

from labsupport.commands.terminal import example
from labsupport.settings import CHECKOUT, Settings


@click.command(
    context_settings={"ignore_unknown_options": True},
    **example("python3 lab.py test", "python3 lab.py test -k 'jars or process' -x"),
)
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(pytest_arguments: tuple[str, ...]) -> None:
    """Run every test and every notebook, on brokers of their own. Arguments go to pytest.

    Without arguments several workers share the tests, which mostly wait. With arguments there is one worker.
    """
    os.chdir(CHECKOUT)
    workers = max(2, min(4, os.cpu_count() or 1))
    chosen = pytest_arguments or ("-n", str(workers))
    command = [sys.executable, "-m", "pytest", *chosen]
    if os.name == "nt":
        from labsupport.broker.processes import python_marks

        marks = python_marks(Settings.from_environment(), "program")
        sys.exit(subprocess.call([sys.executable, *marks, *command[1:]]))
    os.execv(sys.executable, command)  # so that Ctrl-C and other signals reach pytest alone
