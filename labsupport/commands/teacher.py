"""`python3 lab.py teacher 05`: a teacher's guide, made from the lesson and its exercises."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from rich.markdown import Markdown

from labsupport.capstone import plans
from labsupport.capstone.wrong_services import CLIENTS, REFERENCES, WRONG
from labsupport.commands.terminal import console, example
from labsupport.course import copies, exercises
from labsupport.course.exercise import Exercise
from labsupport.settings import CHECKOUT

CAPSTONE = "19"  # its exercise is a service


@click.command(**example("python3 lab.py teacher 05", "python3 lab.py teacher all > guide.md"))
@click.argument("lessons", nargs=-1, required=True)
def teacher(lessons: tuple[str, ...]) -> None:
    """For teachers: a guide to LESSONS (two digits each, or: all). Written to a file, it is Markdown.

    It has outcomes, minutes and predictions, and for each exercise what to ask, what to point at, and what people
    get wrong.
    """
    for notebook in copies.lessons_named(lessons):
        text = guide(notebook)
        console.print(Markdown(text)) if console.is_terminal else click.echo(text)


def guide(notebook: Path) -> str:
    """The guide to that lesson, in Markdown."""
    stored = json.loads(notebook.read_text(encoding="utf-8"))
    cells = {cell["id"]: "".join(cell["source"]) for cell in stored["cells"]}
    lesson = stored["metadata"]["lab"]
    return "\n".join(_guide(lesson["lesson"], cells, lesson["minutes"], exercises.of_lesson(lesson["lesson"])))


def _guide(lesson: str, cells: dict[str, str], minutes: int, given: Sequence[Exercise]) -> Iterator[str]:
    episodes = {cell: _title(text) for cell, text in cells.items() if re.fullmatch(r"ep-\d+", cell)}
    yield f"# {_title(cells['title'])}\n"
    yield f"{minutes} minutes. After this lesson they can\n"
    yield from _points(cells["title"])
    yield "\n## Episodes\n"
    for number, (cell, title) in enumerate(episodes.items(), start=1):
        yield f"{number}. **{title}** They predict: {_prediction(cells[cell])}"
    for exercise in given:
        yield f"\n## Exercise {exercise.id}: {exercise.title}\n"
        yield f"{exercise.difficulty}, {exercise.minutes} minutes: `{exercise.call}`\n"
        yield f"- **Ask first:** {exercise.hints[0]}"
        if cells_to_see := exercise.points_at or _before(f"task-{exercise.id}", list(cells), episodes):
            yield f"- **Point at:** {'; '.join(_named(cell, cells[cell]) for cell in cells_to_see)}"
        yield f"- **What makes an answer right:** {exercise.explanation}"
        yield "\nWhat people think, and what the feedback then says:\n"
        yield from (f'- {wrong.misconception}: "… {wrong.phrase} …"' for wrong in exercise.wrong)
    if lesson == CAPSTONE:
        yield from _service()
    yield "\n## To end with\n"
    yield from _points(cells["key-points"])
    answers = ' Answers: `lab.solution("…")`.' if given else ""
    yield f"\nTheir progress: ask for the line of `python3 lab.py progress --code`.{answers}"


def _service() -> Iterator[str]:
    """What to know of a service of their own: the steps, the levels, and what people get wrong."""
    yield "\n## A service of their own\n"
    yield "About a day: `python3 lab.py capstone start`, then `check` with each step, then `torture` with each level.\n"
    yield from (f"- **{name}**: it {step.words}" for name, step in plans.STEPS.items())
    yield from (f"- **{name}**: {level.words}" for name, level in plans.LEVELS.items())
    right = ", ".join(f"`{REFERENCES.relative_to(CHECKOUT) / client}`" for client in CLIENTS)
    yield f"\nRight answers: {right}. What people build, where it is caught, and what the sheet then says:\n"
    yield from (f'- {name} ({wrong.caught}): "… {wrong.says} …"' for name, wrong in WRONG.items())


def _title(text: str) -> str:
    return text.partition("\n")[0].lstrip("# ")


def _points(text: str) -> list[str]:
    """The list in a cell, a line for each point."""
    return [" ".join(point.split()) for point in re.findall(r"^- .+(?:\n  .+)*", text, re.MULTILINE)]


def _prediction(text: str) -> str:
    return " ".join(text.partition("**Predict:**")[2].partition("\n\n")[0].split())


def _before(task: str, order: Sequence[str], episodes: dict[str, str]) -> list[str]:
    """The last episode before that exercise, in a list; none if there is none."""
    return [cell for cell in order[: order.index(task)] if cell in episodes][-1:] if task in order else []


def _named(cell: str, text: str) -> str:
    """An episode with its number, another cell by its title alone."""
    number = re.fullmatch(r"ep-(\d+)", cell)
    return f"episode {number[1]}, *{_title(text)}*" if number else f"*{_title(text)}*"
