"""`python3 lab.py down`: end everything that this checkout runs."""

import click

from labsupport.broker import background
from labsupport.commands.status import describe
from labsupport.commands.terminal import console, example
from labsupport.settings import Settings


@click.command(**example("python3 lab.py down"))
def down() -> None:
    """Stop everything that this lab runs: Kafka, JupyterLab, and what a killed notebook left behind. Topics stay."""
    processes = background.stop_all(Settings.from_environment())
    for each in processes:
        console.print(f"Stopped: {describe(each)}")
    if not processes:
        console.print("Nothing of this lab was running.")
