"""The one place where an error becomes a sentence and an exit code.

Exit codes: 0 all is well · 1 something did not work, with the next step · 2 the command was typed wrongly ·
130 stopped with Ctrl-C, or by a signal (but 0 for `lab.py` alone, where that is the way to end it).
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console

from labsupport.commands.terminal import where_to_write
from labsupport.errors import LabError
from labsupport.waiting import INTERRUPTS


def interrupt_once(_number: int, _frame: object) -> None:
    """A closed terminal or a `kill` ends a command as Ctrl-C does; while it cleans up, nothing interrupts it again."""
    for each in INTERRUPTS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def run(command: Callable[..., Any]) -> None:
    """Run the command; errors are printed once, here."""
    errors = Console(stderr=True, highlight=False)
    for each in INTERRUPTS:
        signal.signal(each, interrupt_once)
    if starter := os.environ.pop("LAB_STARTED_BY", ""):  # where lab.py is another process than this one
        from labsupport.broker import processes

        processes.end_with(int(starter))
    try:
        sys.exit(command(prog_name="lab.py", standalone_mode=False) or 0)
    except (click.Abort, KeyboardInterrupt):
        errors.print("\nStopped.")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except LabError as error:
        errors.print(str(error), markup=False, soft_wrap=True)
        sys.exit(1)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        errors.print(f"The system refused:{where}: {error.strerror or error}", markup=False, soft_wrap=True)
        errors.print(f"  next: {where_to_write(error.filename)}", soft_wrap=True)
        sys.exit(1)
