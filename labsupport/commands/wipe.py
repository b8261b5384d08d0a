"""`python3 lab.py wipe`: delete all topics of the lab's own Kafka."""

import sys

import click

from labsupport.broker import background
from labsupport.commands.terminal import YES, console, example
from labsupport.settings import Settings


@click.command(**example("python3 lab.py wipe", "python3 lab.py wipe --yes"))
@YES
def wipe(yes: bool) -> None:
    """Delete every topic of the lab's own Kafka, to start over. Your notebooks stay."""
    settings = Settings.from_environment()
    folders = background.data_folders(settings)
    size = sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
    question = f"Stop the lab's Kafka and delete its data ({size / 1e6:.0f} MB in {settings.home})?"
    if not yes and not click.confirm(question):
        console.print("Nothing was changed.")
        sys.exit(1)
    background.wipe(settings)
    console.print("Wiped. The next lesson starts with an empty Kafka.")
