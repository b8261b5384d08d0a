"""Turns errors into sentences and exit codes; no other module does.

Exit codes: 0 success · 1 failure, with the next step · 2 wrong usage · 130 stopped with Ctrl-C or by a signal (but 0
for `lab.py` alone, which ends that way).
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
from rich.console import Console

from labsupport.commands.terminal import where_to_write
from labsupport.errors import LabError
from labsupport.interrupts import INTERRUPTS


def interrupt_once(_number: int, _frame: object) -> None:
    """End the command, as Ctrl-C does, on any of these signals; ignore further ones while it cleans up."""
    for each in INTERRUPTS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def run(command: Callable[..., Any]) -> None:
    """Run the command with the words that were typed; print its errors, and exit."""
    for each in INTERRUPTS:
        signal.signal(each, interrupt_once)
    if starter := os.environ.pop("LAB_STARTED_BY", ""):  # on Windows lab.py is another process
        from labsupport.broker import processes

        processes.end_with(int(starter))
    sys.exit(outcome(command, sys.argv[1:]))


def outcome(command: Callable[..., Any], words: Sequence[str]) -> int:
    """Run the command with these words; print its errors, and return the exit code."""
    errors = Console(stderr=True, highlight=False)
    try:
        return command(args=list(words), prog_name="lab.py", standalone_mode=False) or 0
    except (click.Abort, KeyboardInterrupt):
        errors.print("\nStopped.")
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except LabError as error:
        errors.print(str(error), markup=False, soft_wrap=True)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        errors.print(f"The system refused:{where}: {error.strerror or error}", markup=False, soft_wrap=True)
        errors.print(f"  next: {where_to_write(error.filename)}", soft_wrap=True)
    except SystemExit as end:  # a command that failed and has said so
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 1
