"""`python3 lab.py capstone`: the flights of 2013 as events, and a torturer for the service that a learner builds."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import click

from labsupport.capstone import certificate, failing_story, flights, plans, telling, torturer
from labsupport.capstone import service as services
from labsupport.capstone.contract import ALARMS, DEAD_LETTERS, FLIGHTS, PARTITIONS, environment
from labsupport.capstone.plans import LEVELS, STEPS
from labsupport.capstone.publisher import Publisher
from labsupport.capstone.telling import Trouble
from labsupport.capstone.torturer import Outcome
from labsupport.commands.terminal import connected, console, example, kafka_meanwhile, save
from labsupport.console import counted
from labsupport.errors import LabError
from labsupport.files import storing
from labsupport.ports import free_port
from labsupport.settings import Settings

SKELETON = Path(services.__file__).with_name("skeleton")
HERE = click.argument(
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=lambda: Settings.from_environment().work / "capstone",
)
PICTURE = "failing-story.png"


@click.group(**example("python3 lab.py capstone start", "python3 lab.py capstone torture --level bronze"))
def capstone() -> None:
    """Build a service on real flights, step by step, and have it tortured. FOLDER is work/capstone unless given."""


@capstone.command()
@HERE
def start(folder: Path) -> None:
    """Make FOLDER with a README, which is the contract, and a service that does nothing yet."""
    if folder.exists() and any(folder.iterdir()):
        raise LabError(f"{folder} is not empty.", "nothing was changed", "give another folder, or empty this one")
    with storing(folder.parent, "FOLDER"):
        shutil.copytree(SKELETON, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    console.print(f"{folder} is ready. Begin with its README.md, then:", soft_wrap=True)
    console.print("  python3 lab.py capstone check starts")


@capstone.command()
@click.option("--first", default="2013-01-01", show_default=True, help="The first day.")
@click.option("--last", default="2013-01-07", show_default=True, help="The last day.")
@click.option("--speed", type=click.FloatRange(0), default=0, help="1 is as it was; default: as quickly as possible.")
@click.option("--seed", type=int, default=1, show_default=True, help="What is corrected, repeated and spoiled.")
@click.option("--calm", is_flag=True, help="Without corrections, repetitions, poison and version 2.")
def publish(first: str, last: str, speed: float, seed: int, calm: bool) -> None:
    """Publish flights as events on your lab's Kafka, into new topics."""
    settings = Settings.from_environment()
    days = flights.read(flights.fetch(settings), first, last)
    with connected() as kafka:
        for name, partitions in ((FLIGHTS, PARTITIONS), (ALARMS, 1), (DEAD_LETTERS, 1)):
            kafka.create_topic(kafka.prefix + name, partitions)
        with Publisher(kafka.connection, kafka.prefix + FLIGHTS) as publisher:
            begun = time.monotonic()
            publisher.send(telling.tell(days, seed, telling.CALM if calm else Trouble()), speed)
            seconds = time.monotonic() - begun
    rate = publisher.acknowledged / seconds
    console.print(f"{publisher.acknowledged:,} records of {len(days):,} flights in {seconds:.1f} s ({rate:,.0f}/s)")


@capstone.command()
@HERE
@click.option("--port", type=click.IntRange(1, 65535), help="Where it answers (default: a free port).")
def run(folder: Path, port: int | None) -> None:
    """Run the service in FOLDER on your lab's Kafka, until Ctrl-C; its data is kept in FOLDER/data."""
    settings = Settings.from_environment()
    words = services.words(settings, folder)  # before any broker starts
    port = port or free_port()
    data = folder.absolute() / "data"
    with kafka_meanwhile(settings) as kafka:
        with storing(folder, "FOLDER"):
            data.mkdir(exist_ok=True)
        told = environment(kafka.bootstrap, port, str(data), kafka.prefix, settings.access_file(kafka.bootstrap))
        console.print(f"http://127.0.0.1:{port}/late    (Ctrl-C ends it)")
        try:
            # Of its own session: Ctrl-C is for this command, which ends the service as an operator does.
            process = subprocess.Popen(words, cwd=folder, env={**os.environ, **told}, start_new_session=True)
        except OSError as error:
            correct = f"correct the command in {folder / services.SETTINGS}"
            raise LabError("Could not start the service.", f"{words[0]}: {error}", correct) from error
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(services.GRACE)
            console.print("Ended.")
            return
        finally:
            process.kill()
            process.wait()
    if code:
        raise LabError("The service has ended by itself.", f"exit code {code}", "see above what it printed")


@capstone.command()
@click.argument("step")
@HERE
def check(step: str, folder: Path) -> None:
    """Check STEP of the service in FOLDER: one of the names in its README, a number, or all."""
    settings = Settings.from_environment()
    steps = [plans.step(name) for name in (STEPS if step == "all" else [step])]
    services.command(folder)  # before any broker starts
    with torturer.brokers(settings) as kafka:
        for chosen in steps:
            console.print(f"[bold]{chosen.plan.name}[/]: the service {chosen.words}", soft_wrap=True)
            outcome = torturer.run(
                settings, chosen.plan, folder.absolute(), tell=_tell, metrics=chosen.metrics, kafka=kafka
            )
            _show(outcome, settings)
            if not outcome.passed:
                sys.exit(1)


@capstone.command()
@HERE
@click.option("--level", type=click.Choice(list(LEVELS)), default="bronze", show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="The first story; then come the next seeds.")
@click.option("--stories", type=click.IntRange(1), help="How many; default: as many as begin within --minutes.")
@click.option("--minutes", type=click.FloatRange(0), default=2, show_default=True, help="Begin stories for so long.")
@click.option("--hours", type=click.FloatRange(0), help="The same in hours.")
@click.option("--acts", metavar="NUMBERS", help="Play these acts of a story alone, such as 1,3; 0 is none.")
@click.option("--smaller", type=click.IntRange(0), default=6, show_default=True, help="Stories that shrink a failure.")
def torture(
    folder: Path,
    level: str,
    seed: int,
    stories: int | None,
    minutes: float,
    hours: float | None,
    acts: str | None,
    smaller: int,
) -> None:
    """Torture the service in FOLDER, and draw up the balance sheet of each story against the data itself.

    A story ends when the service has done everything, or has evidently stopped. The first that fails ends the command:
    it is played again with fewer acts, to find the smallest that still fails.
    """
    settings, begun = Settings.from_environment(), time.monotonic()
    services.command(folder)  # before any broker starts
    seconds = 3600 * hours if hours is not None else 60 * minutes
    number = 0
    while number < stories if stories else number == 0 or time.monotonic() - begun < seconds:
        whole = plans.torture(level, seed + number)
        plan = plans.only(whole, acts) if acts else whole
        console.print(
            f"[bold]{level}, seed {plan.seed}[/]: {LEVELS[level].words}; flights of {plan.begin} to {plan.last}",
            soft_wrap=True,
        )
        outcome = torturer.run(settings, plan, folder.absolute(), tell=_tell)
        page = certificate.keep(settings, folder.absolute(), outcome)
        _show(outcome, settings)
        if not outcome.passed:
            if smaller and plan.acts:
                play = partial(torturer.run, settings, folder=folder.absolute())
                found = failing_story.shrunk(outcome, play, smaller, _tell)
                if found is not outcome:
                    outcome = found
                    console.print(f"Of {len(plan.acts)} acts, {len(outcome.plan.acts)} are enough:")
                    _show(outcome, settings)
            numbers = [str(number) for number, act in enumerate(whole.acts, 1) if act in outcome.plan.acts]
            chosen = "" if outcome.plan.acts == whole.acts else f" --acts {','.join(numbers) or 0}"
            again = f"python3 lab.py capstone torture --level {level} --seed {plan.seed} --stories 1{chosen}"
            console.print(f"Again: {again}", soft_wrap=True)
            sys.exit(1)
        number += 1
    console.print(f"{counted(number, 'story', 'stories')} held. The certificate: {page.as_uri()}", soft_wrap=True)


def _tell(words: str) -> None:
    console.print(f"  {words}", style="dim", soft_wrap=True)


def _show(outcome: Outcome, settings: Settings) -> None:
    """Print the balance sheet; of what fails, the sentences and the smallest story, which is also drawn."""
    sheet = outcome.sheet
    differs = ", ".join(f"{name} {sheet.count(name)}" for name in sheet.table.index)
    console.print(f"  {counted(sheet.events, 'event')}, {sheet.poison} poison. {differs}.", soft_wrap=True)
    if outcome.passed:
        console.print("  [bold green]It held.[/] " if outcome.happenings else "  [bold green]Passed.[/] ")
        return
    for sentence in [*([outcome.problem] if outcome.problem else []), *sheet.sentences]:
        console.print(f"  {sentence}", markup=False, soft_wrap=True)
    if story := failing_story.smallest(outcome):
        console.print("  The smallest story:")
        for line in story.lines:
            console.print(f"    {line}", markup=False, soft_wrap=True)
        save(failing_story.draw(story), settings.home / PICTURE, dpi=100)
        console.print(f"  Drawn: {settings.home / PICTURE}", markup=False, soft_wrap=True)
