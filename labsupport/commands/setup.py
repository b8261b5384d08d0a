"""`python3 lab.py setup`: report what is installed; `lab.py` itself has made `.venv` before it gets here."""

import sys

import click

from labsupport.commands.terminal import console, example
from labsupport.errors import LabError
from labsupport.setup import installed


@click.command(**example("python3 lab.py setup", "python3.13 lab.py setup"))
def setup() -> None:
    """Make .venv again, with the Python that you type. Needs a network, or `--from DIR` before it.

    The old .venv stays until the new one works. Your notebooks, topics and progress are kept; packages that you
    added to .venv are removed.
    """
    if wrong := installed.wrong():
        raise LabError("The lab is not set up as it should be.", "\n".join(wrong), "python3 lab.py setup")
    version = ".".join(map(str, sys.version_info[:3]))
    console.print(f"The lab is set up: Python {version}, {len(installed.pins())} packages as pinned.")
