"""`python3 lab.py soak`: run everything for an hour, and kill its processes."""

import contextlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from rich.table import Table

from labsupport.broker import processes
from labsupport.broker.cluster import private
from labsupport.broker.processes import python_marks
from labsupport.capstone import plans, torturer
from labsupport.capstone.wrong_services import CLIENTS, REFERENCES, WRONG
from labsupport.commands import soak_kills, soak_verdicts
from labsupport.commands.notebooks import CELL_TIMEOUT, client_of, differing, execute, own_home
from labsupport.commands.terminal import console, example
from labsupport.console import progress
from labsupport.course.copies import lessons_named
from labsupport.course.verdict import Outcome
from labsupport.errors import LabError
from labsupport.experiments.breaking import broker_deaths, crashes, outbox_crashes, poison, rebuilds
from labsupport.experiments.breaking.strategies import STRATEGIES
from labsupport.settings import CHECKOUT, Settings
from labsupport.waiting import until

PARTS = ("lessons", "episodes", "seeds", "brokers", "kills", "owners", "lid", "verdicts", "capstone")
LID = 60.0  # seconds for which a closed lid suspends everything
NOT_ENDED = "a cell had not ended"
SERVICE = "a service"
# With which a lesson starts one.
STARTS = ("faults.run(", "lab.members(", "lab.http_services(", "lab.event_services(", "judged(")
VICTIMS = ("the broker", "JupyterLab", "the kernel", SERVICE)  # in turn, so that each is killed


@dataclass
class Row:
    """A row of the table: what was done, how often, and what went wrong."""

    what: str
    times: int = 0
    problems: list[str] = field(default_factory=list)

    def note(self, *problems: str) -> None:
        """Count one more, with its problems."""
        self.times += 1
        self.problems += problems


@click.command(**example("python3 lab.py soak", "python3 lab.py soak --only kills --kills 3"))
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Run this part only; may be repeated.")
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True, help="Runs of each lesson.")
@click.option("--seeds", type=click.IntRange(1), default=200, show_default=True, help="Trials with poison and crashes.")
@click.option("--kills", type=click.IntRange(1), default=20, show_default=True, help="Processes to kill.")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides what is killed, and when.")
@click.option("--json", "as_json", is_flag=True, help="Print each row as JSON when it is done, for programs.")
def soak(only: tuple[str, ...], rounds: int, seeds: int, kills: int, seed: int, as_json: bool) -> None:
    """Run all lessons, episodes, crashes and poison many times, kill what runs, and print what went wrong.

    It uses brokers of its own; your lab is not touched. Ctrl-C ends it with the table so far.
    """
    rows = []
    try:
        for row in play(Settings.from_environment(), only or PARTS, rounds, seeds, kills, seed):
            rows.append(row)
            if as_json:
                click.echo(json.dumps(vars(row)))
    finally:
        if not as_json:
            show(rows)
    if any(row.problems for row in rows):
        sys.exit(1)


def play(settings: Settings, parts: Sequence[str], rounds: int, seeds: int, kills: int, seed: int) -> Iterator[Row]:
    """Yield the rows of the table as they are done. `seed` decides what is killed, and when."""
    chance = random.Random(seed)
    play_part: dict[str, Callable[[], Iterator[Row]]] = {
        "lessons": lambda: _lessons(rounds),
        "episodes": _episodes,
        "seeds": lambda: _seeds(settings, seeds),
        "brokers": lambda: _brokers(settings, seeds),
        "kills": lambda: _kills(kills, chance),
        "owners": lambda: _owners(settings, kills, chance),
        "lid": lambda: _lid(chance),
        "verdicts": _verdicts,
        "capstone": lambda: _capstone(settings, seeds),
    }
    for part in parts:
        yield from play_part[part]()


def show(rows: Sequence[Row]) -> None:
    """Print the table, and below it what went wrong."""
    table = Table("what", box=None, header_style="dim")
    for name in ("times", "went wrong"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row.what, f"{row.times:,}", f"{len(row.problems):,}")
    console.print(table)
    for row in rows:
        for problem in row.problems:
            console.print(f"{row.what}: {problem}", markup=False, soft_wrap=True)


def _lessons(rounds: int) -> Iterator[Row]:
    """Run each lesson from top to bottom, two at a time, and compare it as the tests do."""
    row = Row("a lesson from top to bottom, every output compared")
    lessons = lessons_named(["all"])
    marks = python_marks(Settings.from_environment(), "program")
    command = [sys.executable, *marks, "-m", "pytest", "-q", "-rfE", "-n", "2"]
    for _ in progress("Rounds", unit="round", over=range(rounds)):
        ended = subprocess.run(
            [*command, *map(str, lessons)], cwd=CHECKOUT, capture_output=True, text=True, check=False
        )
        failed = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        row.times += len(lessons)
        row.problems += failed or ["pytest: " + (ended.stdout + ended.stderr)[-500:]] * (ended.returncode != 0)
    yield row


def _episodes() -> Iterator[Row]:
    """Run each episode after the setup cell alone, like a learner who comes back the next day."""
    row = Row("an episode after the setup cell alone, every output compared")
    with own_home():
        for path in progress("Episodes", unit="lesson", over=lessons_named(["all"])):
            notebook = nbformat.read(path, as_version=4)
            for episode in [cell.id for cell in notebook.cells if re.fullmatch(r"ep-\d+", cell.id)]:
                wanted = [cell for cell in notebook.cells if cell.id == "setup" or cell.id.startswith(f"{episode}-")]
                alone = nbformat.from_dict(notebook | {"cells": wanted})
                error = _run(client_of(alone, path.parent))
                different = [] if error else differing(wanted, alone.cells)
                row.note(*[f"{path.stem} {episode}: {what}" for what in [error, *different] if what])
    yield row


def _seeds(settings: Settings, seeds: int) -> Iterator[Row]:
    """Run crashes, poison and killed rebuilds, one for each seed."""
    with private(1, settings) as kafka:
        inbox = crashes.run(kafka, STRATEGIES[-1:], seeds=seeds).table.iloc[0]
        broken = [f"{inbox[what]} {what}" for what in ("lost", "twice") if inbox[what]]
        yield Row(
            "a crash of a worker with an inbox: nothing lost, nothing processed twice", int(inbox["trials"]), broken
        )
        outbox = outbox_crashes.run(kafka, outbox_crashes.WAYS[-1:], seeds=max(1, seeds // 10)).table.iloc[0]
        broken = [f"{outbox[what]} {what}" for what in ("lost", "twice") if outbox[what]]
        yield Row(
            "a crash around an outbox, read with an inbox: nothing lost, nothing twice", int(outbox["trials"]), broken
        )
        row = Row("poison at random offsets: dead-lettered unchanged, the rest in order")
        for trial in poison.run(kafka, range(seeds)):
            row.note(*[f"seed {trial.seed}: {problem}" for problem in trial.problems])
        yield row
        row = Row("a rebuild killed half-way and run again: same hash as the live report")
        for number in progress("Rebuilds", unit="trial", over=range(max(1, seeds // 10))):
            row.note(*[f"seed {number}: another hash"] * (not rebuilds.run_trial(kafka, number).equal))
        yield row


def _brokers(settings: Settings, seeds: int) -> Iterator[Row]:
    """Kill brokers under a producer that asks for all replicas, of which two must be in sync."""
    row = Row("brokers die: nothing is lost that two replicas in sync acknowledged")
    for each in broker_deaths.run(settings, max(1, seeds // 20)).results:
        if each.acks == "all" and each.min_insync > 1:
            row.note(*[f"{each.death}, seed {each.seed}: {each.lost} lost"] * (each.lost > 0))
    yield row


def _kills(kills: int, chance: random.Random) -> Iterator[Row]:
    """Kill a process of the lab at a random moment of a lesson; the lesson must then run, and leave nothing."""
    rows: dict[str, Row] = {}
    lessons = lessons_named(["all"])[1:]
    for number in progress("Kills", unit="kill", over=range(kills)):
        wanted = VICTIMS[number % len(VICTIMS)]
        path = chance.choice([each for each in lessons if wanted != SERVICE or _starts_services(each)])
        with _Afternoon(path) as afternoon:
            afternoon.wait(chance.uniform(1, 15))
            killed = afternoon.strike(wanted, chance)
            row = rows.setdefault(killed, Row(f"kill -9 of {killed} during a lesson: the next run works"))
            row.note(*[f"{path.stem}: {problem}" for problem in afternoon.problems()])
    yield from rows.values()


def _owners(settings: Settings, kills: int, chance: random.Random) -> Iterator[Row]:
    """Kill an owner at a random moment; ten seconds later nothing of it may be left."""
    rows: dict[str, Row] = {}
    try:
        for killed, problems in soak_kills.kill(settings, kills, chance):
            what = f"kill -9 of {killed}: nothing runs 10 s later, no file is left"
            rows.setdefault(killed, Row(what)).note(*problems)
    finally:  # after Ctrl-C too
        yield from rows.values()


def _verdicts() -> Iterator[Row]:
    """Judge every right answer three times, beside three busy loops for each processor."""
    judged = Row("a right answer on a busy machine: `PASS` or `LAB BUSY`")
    passed = Row("of these, `PASS`")
    for style, verdict in soak_verdicts.play():
        problem = [f"{style}: {verdict}"]
        judged.note(*problem * soak_verdicts.wrong(verdict))
        passed.note(*problem * (verdict.outcome is Outcome.LAB_BUSY))
    yield from (judged, passed)


def _capstone(settings: Settings, seeds: int) -> Iterator[Row]:
    """Torture each reference at each level, half of the seeds at bronze and fewer above; then the wrong services."""
    for level in plans.LEVELS:
        row = Row(f"a right service tortured at {level}: the balance sheet balances")
        stories = max(1, seeds // (2 if level == "bronze" else 20))
        try:
            for seed in progress(f"Stories at {level}", unit="story", over=range(1, stories + 1)):
                client = CLIENTS[seed % len(CLIENTS)]
                outcome = torturer.run(settings, plans.torture(level, seed), REFERENCES / client)
                problems = [outcome.problem, *outcome.sheet.sentences]
                row.note(*[f"{client}, {level}, seed {seed}: {problem}" for problem in problems if problem])
        finally:  # after Ctrl-C too
            yield row
    row = Row("a wrong service: caught within ten stories, with its sentence")
    for name, wrong in progress("Wrong services", unit="service", over=list(WRONG.items())):
        with tempfile.TemporaryDirectory(prefix="lab-wrong-") as folder:
            wrong.write(Path(folder))
            played = (torturer.run(settings, plan, Path(folder)) for plan in wrong.plans(10))
            failed = next((each for each in played if not each.passed), None)
            said = [failed.problem, *failed.sheet.sentences] if failed else ["it held ten times"]
            row.note(*[f"{name}: {said[0] or said[1]}"] * (not any(wrong.says in each for each in said)))
    yield row


def _starts_services(lesson: Path) -> bool:
    source = lesson.read_text(encoding="utf-8")
    return any(word in source for word in STARTS)


def _lid(chance: random.Random) -> Iterator[Row]:
    """Suspend everything for a minute, and resume it."""
    row = Row(f"everything suspended for {LID:g} s: the next run works")
    path = chance.choice(lessons_named(["all"])[3:])
    with _Afternoon(path) as afternoon:
        afternoon.wait(chance.uniform(5, 15))
        asleep = [psutil.Process(pid) for _, pid in afternoon.processes()]
        for process in asleep:
            process.suspend()
        time.sleep(LID)
        for process in asleep:
            process.resume()
        row.note(*[f"{path.stem}: {problem}" for problem in afternoon.problems()])
    yield row


class _Afternoon:
    """Run `lab.py`, and a lesson in a kernel beside it, in a home of their own, for the body of a `with`."""

    def __init__(self, path: Path):
        self.path, self._stack = path, contextlib.ExitStack()

    def __enter__(self) -> "_Afternoon":
        with contextlib.ExitStack() as stack:
            stack.enter_context(own_home())
            self.settings = Settings.from_environment()
            self._start_lab()
            stack.callback(lambda: self.lab.kill())
            self.client = self._client()
            self.said = ""
            self.thread = threading.Thread(target=self._lesson, daemon=True)
            self.thread.start()
            stack.callback(self.thread.join, 120)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wait(self, seconds: float) -> None:
        """Wait this long from the kernel's start, or until the lesson is over."""
        until(lambda: self._kernel() or not self.thread.is_alive(), 60, "the kernel to start")
        self.thread.join(seconds)

    def processes(self) -> list[tuple[str, int]]:
        """Return what runs, in the words of the table, with its pid."""
        words = {"background": "the broker", "private": "a private broker", "jupyter": "JupyterLab", "program": SERVICE}
        running = [each for each in processes.running(self.settings, words) if each.process.pid != self.lab.pid]
        found = [(words[each.role], each.process.pid) for each in running]
        return found + ([("the kernel", kernel)] if (kernel := self._kernel()) else [])

    def strike(self, wanted: str, chance: random.Random) -> str:
        """Kill `wanted` as soon as it runs; if the lesson ends first, kill another process. Returns its name."""

        def struck() -> str:
            over = not self.thread.is_alive()
            if found := [each for each in self.processes() if over or each[0] == wanted]:
                killed, pid = chance.choice(found)
                with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
                    psutil.Process(pid).kill()
                    return killed
            return ""

        return until(struck, 300, f"{wanted} to run", every=0.1)  # each look at all processes slows the lesson down

    def problems(self) -> Iterator[str]:
        """Yield what is wrong afterwards: a lesson or lab.py does not end or run again, or something is left."""
        self.thread.join(240)
        if self.thread.is_alive():
            yield "the lesson that was struck does not end"
        if self.said == NOT_ENDED:
            yield "a cell of the lesson that was struck did not end, and said nothing"
        self.lab.terminate()
        self.lab.wait(60)
        self._start_lab()
        again = self._client()
        if error := _run(again):
            yield f"does not run again: {error}"
        self.lab.terminate()
        self.lab.wait(60)
        subprocess.run([sys.executable, "-m", "labsupport", "down"], cwd=CHECKOUT, capture_output=True, check=False)
        if left := processes.running(self.settings):
            yield f"still running after `down`: {', '.join(each.role for each in left)}"

    def _start_lab(self) -> None:
        log = self.settings.home / "lab.log"
        with log.open("w") as output:
            command = [sys.executable, *python_marks(self.settings, "program"), "-m", "labsupport", "--no-browser"]
            self.lab = subprocess.Popen(command, cwd=CHECKOUT, stdout=output, stderr=output, env=dict(os.environ))
        until(lambda: "token=" in log.read_text() or self.lab.poll() is not None, 120, "lab.py to print its address")
        if self.lab.poll() is not None:
            raise LabError("lab.py did not start.", log.read_text()[-800:], "")

    def _client(self) -> NotebookClient:
        client = client_of(nbformat.read(self.path, as_version=4), self.path.parent)
        client.timeout = int(CELL_TIMEOUT + LID)  # its clock runs while everything is suspended
        return client

    def _kernel(self) -> int | None:
        manager = self.client.km
        return getattr(manager.provisioner, "pid", None) if manager is not None and manager.has_kernel else None

    def _lesson(self) -> None:
        self.said = _run(self.client)


def _run(client: NotebookClient) -> str:
    """Run it; return the last line of the error, or an empty string."""
    try:
        execute(client)
    except CellTimeoutError:
        return NOT_ENDED
    except CellExecutionError as error:
        return str(error).strip().splitlines()[-1]
    except (DeadKernelError, RuntimeError) as error:
        return f"the kernel died: {error}"
    return ""
