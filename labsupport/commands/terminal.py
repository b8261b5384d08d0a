"""What the commands share: the console, their help, options, and the Kafka that they work on.

The Kafka client is imported where it is used, so that `lab.py --help` does not wait for it.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from labsupport.errors import LabError
from labsupport.files import storing
from labsupport.settings import CHECKOUT, PLACE, Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from labsupport.broker.cluster import Cluster

console = Console(highlight=False)


def example(*lines: str) -> dict[str, Any]:
    """Return the end of a command's help: what to type."""
    return {"epilog": "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)}


class Moment(click.ParamType):
    """A time with its zone, in ISO 8601."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Refuse a time without a zone, which would depend on the machine."""
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-04-16T10:30:00Z", param, ctx)
        if moment.utcoffset() is None:
            self.fail(f"{value!r} names no time zone: end it in Z for UTC, or in +02:00", param, ctx)
        return moment


MOMENT = Moment()


def drawing(what: str) -> Callable[[Callable], Callable]:
    """Add the option `--picture FILE` to a command that can draw `what`; `save` writes it."""
    return click.option(
        "--picture",
        type=click.Path(dir_okay=False, writable=True, path_type=Path),
        help=f"Also draw {what}, into this file (.png, .svg or .pdf).",
    )


def save(axes: "Axes", file: Path, dpi: int) -> None:
    """Write the figure of these axes into the file of `--picture`. Raises LabError if that fails."""
    with storing(file.resolve().parent, "--picture"):
        if figure := axes.get_figure(root=True):
            figure.savefig(file, dpi=dpi)


def connected() -> "Cluster":
    """Return the Kafka that the environment names, up and answering; the caller closes it."""
    from labsupport.broker.cluster import connect

    return connect(Settings.from_environment())


def take_along(settings: Settings) -> None:
    """Keep in the cache what later lessons fetch and LAB_OFFLINE has: the stick may be gone by then."""
    if settings.offline:
        from labsupport.capstone import flights
        from labsupport.observability import jmx_agent

        for fetch in (jmx_agent.jar, flights.fetch):
            with contextlib.suppress(LabError):  # a folder need not have it; its lesson says what is missing
                fetch(settings)


@contextlib.contextmanager
def kafka_meanwhile(settings: Settings) -> Iterator["Cluster"]:
    """Run the cluster for the body of a `with`; stop it afterwards, unless others use it or `up` keeps it."""
    from labsupport.broker import background
    from labsupport.broker.cluster import connect

    try:
        with connect(settings) as cluster:
            yield cluster
    finally:
        if settings.embedded:
            background.release(settings)


@contextlib.contextmanager
def telling(tried: str) -> Iterator[None]:
    """If the body of a `with` fails, print how far it got: the report is a note of the error."""
    from labsupport.broker.advice import speaking

    with speaking(tried):
        try:
            yield
        except BaseException as error:
            if notes := getattr(error, "__notes__", None):
                click.echo("\n".join(["Not finished.", *notes]), err=True)
            raise


YES = click.option("--yes", is_flag=True, help="Do not ask.")


def require_yes(yes: bool, question: str, nothing: str) -> None:
    """Ask, unless `yes` was given; if the answer is no, print `nothing` and end the command.

    Without input (no terminal), the answer is no.
    """
    if yes:
        return
    try:
        if click.confirm(question):
            return
    except click.Abort:
        if _interrupted():
            raise
        nothing = f"{nothing} There was nobody to answer: use --yes."
    console.print(nothing)
    sys.exit(1)


def _interrupted() -> bool:
    """Return whether click's Abort was Ctrl-C, and not the end of the input."""
    return isinstance(getattr(sys.exc_info()[1], "__context__", None), KeyboardInterrupt)


def require_checkout(what: str) -> None:
    """Raise LabError if the package was installed without its checkout, which has what authors and teachers need."""
    if not (CHECKOUT / "lab.py").is_file():
        raise LabError(
            f"Could not {what}.",
            f"{CHECKOUT} is no checkout of the lab; the installed package has the lessons only",
            "clone the lab's repository, and type it there: python3 lab.py ...",
        )


def require_ours(kafka: "Cluster", verb: str, name: str) -> None:
    """Raise LabError for a topic or group that is not the lab's: on a shared Kafka it may be somebody's."""
    if not kafka.is_ours(name):
        raise LabError(
            f"The lab does not {verb} {name!r}.",
            f"its own names have the form {kafka.prefix}NN-name: a lesson's two digits, then letters, digits, . _ -",
            "choose such a name; in Python, the functions of labsupport.history take any",
        )


def where_to_write(file: object) -> str:
    """Return what to do about a file that the system refused."""
    path = Path(os.fsdecode(file)).absolute() if isinstance(file, str | bytes | os.PathLike) else PLACE
    settings = Settings.from_environment()
    work = settings.work if settings.root == PLACE else settings.root
    for folder, variable in ((settings.home, "LAB_HOME"), (settings.cache, "LAB_CACHE"), (work, "LAB_WORK")):
        if path.is_relative_to(folder):
            return f"is the disk full, or does the folder belong to another user? {variable} moves it"
    return "is the disk full, or does the folder belong to another user? Copy the lab to a place that you may write to"
