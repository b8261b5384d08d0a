"""`python3 lab.py progress`: which exercises are solved."""

import click

from labsupport.commands.terminal import console, example
from labsupport.course import progress as solved
from labsupport.settings import Settings


@click.command(
    **example(
        "python3 lab.py progress",
        "python3 lab.py progress --code",
        'python3 lab.py progress --add "lab: 00s …"',
        'python3 lab.py progress --read "lab: 00s …"',
    ),
)
@click.option("--code", is_flag=True, help="Print one line to paste into a chat; nothing is sent.")
@click.option("--add", "elsewhere", metavar="TEXT", help="Add what such a line from another machine says.")
@click.option("--read", "text", metavar="TEXT", help="For teachers: decode a line that somebody pasted.")
def progress(code: bool, elsewhere: str | None, text: str | None) -> None:
    """Show which exercises you have solved. This is stored in .lab/ and nowhere else.

    The line of --code has a checksum against typing errors. It proves nothing: anybody can make such a line.
    """
    if code + (text is not None) + (elsewhere is not None) > 1:
        raise click.UsageError("Give one of --code, --add and --read.")
    settings = Settings.from_environment()
    if elsewhere is not None:
        solved.add(settings, solved.decoded(elsewhere))
    found = solved.read(settings) if text is None else solved.decoded(text)
    console.print(found.code() if code else "\n".join(found.lines()), markup=False, soft_wrap=True)
