"""The commands for learners, teachers and authors, about the lessons; the others are about Kafka."""

from pathlib import Path

import click

from labsupport.commands.terminal import console, example
from labsupport.settings import Settings


@click.command(
    short_help="Make a fresh copy of a lesson.",
    **example("python3 lab.py new 01", "python3 lab.py new all"),
)
@click.argument("lessons", nargs=-1, required=True)
def new(lessons: tuple[str, ...]) -> None:
    """Make fresh copies of LESSONS (two digits each, or: all) in work/. What you changed is kept beside them."""
    from labsupport.course import copies

    for notebook in copies.lessons_named(lessons):
        kept = copies.renew(notebook)
        beside = f"; yours is now work/{kept.name}" if kept else ""
        console.print(f"work/{notebook.name} is fresh{beside}", soft_wrap=True)
    console.print("If JupyterLab shows one of them, close its tab and open it again.")


@click.command(
    short_help="Show which exercises you have solved.",
    **example(
        "python3 lab.py progress", "python3 lab.py progress --code", 'python3 lab.py progress --read "lab: 00s …"'
    ),
)
@click.option("--code", is_flag=True, help="One line to paste into a chat; nothing is sent.")
@click.option("--read", "text", metavar="TEXT", help="For teachers: what a line that somebody pasted says.")
def progress(code: bool, text: str | None) -> None:
    """Show which exercises you have solved. It is remembered in .lab/ and nowhere else.

    The checksum in the line of --code shows a typing error. It is no proof: anybody can make such a line.
    """
    from labsupport.course import progress as remembered

    if code and text is not None:
        raise click.UsageError("Either --code or --read.")
    told = remembered.read(Settings.from_environment()) if text is None else remembered.decoded(text)
    console.print(told.code() if code else "\n".join(told.lines()), markup=False, soft_wrap=True)


@click.command(
    short_help="For teachers: what one needs beside a class.",
    **example("python3 lab.py teacher 05", "python3 lab.py teacher all > guide.md"),
)
@click.argument("lessons", nargs=-1, required=True)
def teacher(lessons: tuple[str, ...]) -> None:
    """For teachers: what one needs beside a class in LESSONS (two digits each, or: all); in a file it is Markdown.

    Outcomes, minutes and predictions; for each exercise what to ask, what to point at, and what people get wrong.
    """
    from rich.markdown import Markdown

    from labsupport.commands.teacher import guide
    from labsupport.course import copies

    for notebook in copies.lessons_named(lessons):
        text = guide(notebook)
        console.print(Markdown(text)) if console.is_terminal else click.echo(text)


@click.command(
    short_help="For teachers: all that a set-up needs, on a stick.",
    **example(
        "python3 lab.py bundle /media/stick/lab-bundle",
        "python3 lab.py bundle lab-bundle --platform windows-x86_64 --platform macos-arm64 --python 3.12 --python 3.13",
    ),
)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--platform", "platforms", multiple=True, help="For which machines (default: such as this one).")
@click.option("--python", "pythons", multiple=True, help="For which Pythons, such as 3.12 (default: this one).")
def bundle(folder: Path, platforms: tuple[str, ...], pythons: tuple[str, ...]) -> None:
    """Put the lab and all that it needs into DIR: packages, Java, Kafka. There: python3 lab.py --from DIR.

    --platform and --python may be repeated. Interrupted, it goes on from there when it is run again.
    """
    from labsupport.commands import bundle as packing

    platforms, pythons = packing.known(platforms, pythons)
    size = packing.make(Settings.from_environment(), folder, platforms, pythons)
    console.print(
        f"{folder} is complete: {size / 1e6:,.0f} MB, for {', '.join(platforms)} and Python {', '.join(pythons)}"
    )
    console.print("README.txt in it says what to type.")


@click.command(
    short_help="For authors: run the lessons and store their outputs.",
    **example("python3 lab.py notebooks --write", "python3 lab.py notebooks --write 00"),
)
@click.option(
    "--write", is_flag=True, required=True, expose_value=False, help="Run the notebooks and store their outputs."
)
@click.argument("lessons", nargs=-1)
def notebooks(lessons: tuple[str, ...]) -> None:
    """For authors: run the lessons in notebooks/ and store what they print. Without LESSONS: all of them."""
    from labsupport.commands import notebooks as writer

    writer.write(lessons, console)
