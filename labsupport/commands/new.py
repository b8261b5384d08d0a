"""`python3 lab.py new`: a fresh copy of a lesson in `work/`."""

import click

from labsupport.commands.terminal import console, example
from labsupport.course import copies
from labsupport.settings import CHECKOUT, Settings


@click.command(**example("python3 lab.py new 01", "python3 lab.py new all"))
@click.argument("lessons", nargs=-1, required=True)
def new(lessons: tuple[str, ...]) -> None:
    """Make fresh copies of LESSONS (two digits each, or: all) in work/. Your old copy is kept beside the new one."""
    work = Settings.from_environment().work
    copies.copy_documents(work)
    shown = "work" if work == CHECKOUT / "work" else work
    for notebook in copies.lessons_named(lessons):
        kept = copies.renew(notebook, work)
        beside = f"; yours is now {shown}/{kept.name}" if kept else ""
        console.print(f"{shown}/{notebook.name} is fresh{beside}", soft_wrap=True)
    console.print("If JupyterLab shows one of them, close its tab and open it again.")
