"""The page on which JupyterLab opens: what is solved and what is next, the lessons, the state of Kafka.

It is Markdown, which JupyterLab shows in its own colours, with links that open in its tabs; `contents.py` serves it.
"""

import html
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from labsupport.broker import background, processes
from labsupport.broker.jars import kafka_version
from labsupport.broker.metadata import reach
from labsupport.console import counted
from labsupport.course import exercises, progress
from labsupport.course.copies import NOTEBOOKS
from labsupport.errors import LabError
from labsupport.settings import CHECKOUT, Settings

PATIENCE = 2.0  # seconds for Kafka to answer; the page waits for it


@dataclass(frozen=True)
class Lesson:
    """A lesson of the ladder: its file, the question it answers, and how many of its exercises are solved."""

    file: str
    question: str
    minutes: int
    solved: int
    exercises: int

    @property
    def link(self) -> str:
        """Its number and question, as a link to the copy beside the page."""
        return f"[{self.file[:2]} · {self.question}]({self.file})"


def page(lessons: Sequence[Lesson], kafka: str, lab: str = "python3 lab.py") -> str:
    """The page, with the sentence `kafka` about the broker; `lab` is how a command begins."""
    left = [each for each in lessons if each.solved < each.exercises]
    solved, there_are = sum(each.solved for each in lessons), sum(each.exercises for each in lessons)
    if not left:
        now = f"**You have solved all {there_are} exercises.**"
    else:
        says = f"Next: {left[0].link}" if solved else f"Begin here: {left[0].link}"
        now = f"**{says}** ({left[0].minutes} minutes)"
    readme = "- [README](../README.md): the lab's commands, and which lessons fit into half a day or a day\n"
    rows = [
        f"| {'**next**' if each in left[:1] else '✓' if each not in left else ''} | {each.link} "
        f"| {each.minutes} | {each.solved} of {each.exercises} |"
        for each in lessons
    ]
    return f"""# Event-driven systems, on a real Apache Kafka

{now}

{kafka}

## Lessons

You have solved {solved} of {counted(there_are, "exercise")}. A link opens your own copy of the lesson. Run it from top
to bottom: Shift+Enter runs a cell and goes on to the next one.

| | lesson | minutes | exercises solved |
|---|---|---|---|
{chr(10).join(rows)}

This page is made when it is loaded. Reload it in your browser to bring it up to date.

## A fresh copy of a lesson

To begin a lesson again, open a terminal (menu *File*, *New*, *Terminal*) and type, with the lesson's two digits:

    {lab} new {(left or lessons)[0].file[:2]}

Then close the lesson's tab and open the lesson again. Nothing is lost: your earlier copy stays beside the new one, with
its date in its name, and a solved exercise stays solved.

## To look something up

- [Glossary](../notebooks/glossary.md): every term in one line, with the lesson that introduces it
- [Claims](../notebooks/claims.md): the statements of an article that the lab tests, and what it found
{readme if (CHECKOUT / "README.md").exists() else ""}"""


def kafka_line(settings: Settings) -> str:
    """One sentence: where Kafka runs and since when, or what is wrong and how it starts."""
    address = background.address(settings) if settings.embedded else settings.kafka
    try:
        if address:
            address = reach(settings.connection_to(address), PATIENCE).bootstrap
    except LabError as error:
        if not settings.embedded:
            seen, next_step = html.escape(" ".join(error.seen.split())), html.escape(error.next_step)
            return f"**Kafka at `{address}` does not answer:** {seen}. What to do: {next_step}."
        address = ""
    if not address:
        return (
            "**Kafka is not running.** The first code cell of each lesson starts it. "
            "In a terminal, `python3 lab.py up` does so, too."
        )
    if not settings.embedded:
        named = f"which `{settings.kafka_source}` names"
        return f"Kafka answers at `{address}`, {named}. Your topics there begin with `{settings.prefix}`."
    seconds = max((each.process.seconds for each in processes.running(settings, ["background"])), default=0.0)
    since = datetime.now().astimezone() - timedelta(seconds=seconds)
    return f"Apache Kafka {kafka_version()} is running on this computer at `{address}`, since {since:%Y-%m-%d %H:%M}."


def ladder(settings: Settings, notebooks: Path = NOTEBOOKS) -> list[Lesson]:
    """The lessons in `notebooks`, with what is solved of each."""
    done = progress.read(settings).exercises
    lessons = []
    for path in sorted(notebooks.glob("[0-9][0-9]_*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        title = "".join(notebook["cells"][0]["source"]).partition("\n")[0]
        ids = [each.id for each in exercises.of_lesson(path.name[:2])]
        lessons.append(
            Lesson(
                path.name,
                re.sub(r"^# [0-9]+ · ", "", title),
                notebook["metadata"]["lab"]["minutes"],
                sum(done.get(each) == "solved" for each in ids),
                len(ids),
            )
        )
    return lessons


def front_page(settings: Settings) -> str:
    """The page as it is now."""
    lab = "python3 lab.py"
    if settings.root != CHECKOUT:
        with_setup = CHECKOUT / "lab.py"
        lab = f"python3 {with_setup}" if with_setup.is_file() else f"{sys.executable} -m labsupport"
    return page(ladder(settings), kafka_line(settings), lab)
