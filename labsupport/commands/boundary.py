"""Turns errors into sentences and exit codes; no other module does.

Exit codes: 0 success · 1 failure, with the next step · 2 wrong usage · 130 stopped with Ctrl-C or by a signal (but 0
for `lab.py` alone, which ends that way).
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
    """End the command, as Ctrl-C does, on any of these signals; ignore further ones while it cleans up."""
    for each in INTERRUPTS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def run(command: Callable[..., Any]) -> None:
    """Run the command; print its errors, and exit."""
    errors = Console(stderr=True, highlight=False)
    for each in INTERRUPTS:
        signal.signal(each, interrupt_once)
    if starter := os.environ.pop("LAB_STARTED_BY", ""):  # on Windows lab.py is another process
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
