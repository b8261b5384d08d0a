"""08-2: each event takes effect once, wherever the process crashes."""

import tempfile
from contextlib import closing
from pathlib import Path

from labsupport.course.exercise import Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Failed, Submission, TryAgain
from labsupport.delivery import orders
from labsupport.experiments.breaking import crash_search
from labsupport.shop import story
from labsupport.shop.event import Event


def _survives(answer: Submission, lab: Lab, events: int = crash_search.EVENTS) -> str:
    """First in this process, where errors have line numbers; then in consumers of `events` events that crash."""
    orders_created = [each for each in story.events(30, seed=2) if each.event_type == "OrderCreated"]
    with tempfile.TemporaryDirectory(dir=lab.settings.home) as folder:
        _at_ease(answer, orders_created[:3], Path(folder, "shop.db"))
        _locked(answer, orders_created[3], Path(folder, "shop.db"))
    judged = crash_search.search(lab, handle=answer.value, events=events)
    if found := judged.counterexample:
        raise TryAgain(
            timed=found.timed_out,
            says=found.summary,
            story=crash_search.narrate(found),
            rule=RULE.get(found.violation, ""),
            printed=found.printed[-600:].strip(),
            look_at=LOOK_AT.get(found.violation, "what did it print?"),
            moments=found.moments,
        )
    return f"{judged.tried} trials: each event took effect once, wherever the process died, froze, or left its group."


RULE = {
    "lost": "an event that is marked or committed without its effect never takes effect",
    "twice": "a redelivered event takes effect again unless the handler remembers it",
    "orphans": "a row in effects has the id of its event",
}

LOOK_AT = {
    "lost": "what is committed in the database at that moment: the mark, the effect, or both?",
    "twice": "what is committed in the database at that moment, and does the handler look before the effect?",
    "orphans": "which id do you insert?",
    "no end": "what does your code do when an event is delivered a second time?",
}


def _at_ease(answer: Submission, events: list[Event], database: Path) -> None:
    """Without a crash: another connection must see what the handler wrote."""
    with closing(orders.database(database)) as connection:
        for number, event in enumerate(events, 1):
            answer(event, connection, returns=object)
            effects = orders.effects(database)
            if orphans := effects.keys() - {each.event_id for each in events}:
                raise TryAgain(
                    says=f"There is an effect of {orphans.pop()!r}, which is the id of no event.",
                    given=answer.called(event, connection),
                    rule=RULE["orphans"],
                    look_at=LOOK_AT["orphans"],
                )
            if sum(effects.values()) < number:
                raise TryAgain(
                    says=f"After handle(event {number}) another connection sees {sum(effects.values())} effects.",
                    given=answer.called(event, connection),
                    rule="a process that dies loses what it has not committed in the database",
                    look_at="do you insert a row into effects, and in a `with database:`?",
                )


def _locked(answer: Submission, event: Event, database: Path) -> None:
    """While the database is locked, the handler may raise or wait, but not return."""
    with closing(orders.database(database)) as other, closing(orders.database(database, patience=0.1)) as connection:
        other.execute("BEGIN IMMEDIATE")
        try:
            answer(event, connection, returns=object)
        except Failed:
            return
    raise TryAgain(
        says="The database was locked, nothing could be written, and yet handle returned.",
        given=answer.called(event, connection),
        rule="its consumer then commits the event, which never takes effect: it is lost",
        look_at="which errors does it catch? Let the error out, and the event will be delivered again",
    )


EXERCISE = Exercise(
    id="08-2",
    title="A handler that survives",
    difficulty="hard",
    minutes=15,
    call="handle(event, database)",
    file="handler.py",
    hints=(
        "If the process dies between two of your statements, what is in the database?",
        "Write mark and effect in one `with database:`, and the effect only if the mark was not there.",
        "`database.execute('INSERT OR IGNORE INTO inbox VALUES (?, 0)', (event.event_id,)).rowcount` is 1 if it "
        "is new. Then `INSERT INTO effects VALUES (?, ?, ?)`, in the same `with`.",
    ),
    explanation="Inserting the mark also tells whether it was new. Looking and remembering are one step, so no "
    "other process comes between them. The effect is in the same transaction, so both exist or neither.",
    judge=_survives,
    seconds=3.0,
)
