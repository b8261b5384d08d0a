"""`python3 lab.py tour`: the course in some lines, on the real broker. Each is printed when it has happened.

Every statement is read from the broker, the database, or the members' files of moments. The story is that of lessons 05
to 18: a group, a crash, redelivered events, events that cannot be processed, a replay, a schema, a trace, and the death
of a broker.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
from kafka.consumer.fetcher import ConsumerRecord
from rich.markup import escape

from labsupport.broker import processes
from labsupport.broker.advice import speaking
from labsupport.broker.cluster import private
from labsupport.broker.session_limit import for_short_sessions
from labsupport.commands.terminal import console, drawing, example, kafka_meanwhile, save
from labsupport.course.session import Lesson
from labsupport.delivery import inbox, orders, publish
from labsupport.delivery.moments import Kind, Moment
from labsupport.delivery.retry import Policy
from labsupport.errors import LabError
from labsupport.experiments.breaking import python_process
from labsupport.experiments.breaking.members import Members
from labsupport.experiments.watching import log, replicas, trace
from labsupport.experiments.watching.balance import OUTCOMES, Sheet
from labsupport.experiments.watching.ownership import GroupHistory
from labsupport.history import redrive, report
from labsupport.history.librdkafka import ConfluentProducer
from labsupport.settings import Settings
from labsupport.shop import story
from labsupport.shop.event import Event
from labsupport.waiting import only_one

LESSON = "99"  # that of no notebook
EVENTS, PARTITIONS, CRASH = 200, 4, 5
AGAIN = "run it again; if it fails again, that is a bug of the lab: please report these lines"
POLICY = Policy(attempts=2, wait_initial=0.1)
DYING: dict[str, Any] = {
    "broker_session_timeout_ms": "3000",
    "broker_heartbeat_interval_ms": "1000",
}  # a dead leader is replaced soon

Say = Callable[[str, str], None]  # the subject of a line, and what happened
Service = Callable[[str, bool, ConsumerRecord], object]


@click.command(**example("python3 lab.py tour", "python3 lab.py tour --picture road.png"))
@drawing("the path of two of its events")
def tour(picture: Path | None) -> None:
    """See a group, crashes, dead letters, a replay, a schema and a trace on the real Kafka, in less than half a minute.

    Exit code 1 if a sum is wrong.
    """
    show(Settings.from_environment(), picture)


def service(path: str, knows_reports: bool, record: ConsumerRecord) -> None:
    """Handle a record for the group: once per event, an effect and a line of the report in one transaction."""
    event = Event.decode(record.value)
    if event.event_type == "ReportGenerated" and not knows_reports:
        raise KeyError(event.event_type)  # the bug
    with closing(report.database(path)) as database:

        def effect() -> None:
            orders.effect(database, event)
            report.add(database, event)

        inbox.once(database, event.event_id, effect)


@dataclass(frozen=True)
class Told:
    """The result of a tour: its last sheet, and the moments of the events whose path is drawn."""

    sheet: Sheet
    path: tuple[Moment, ...]


def show(settings: Settings, picture: Path | None) -> None:
    """Print it line by line; draw the path into the file `picture`. A broker that was started for it ends with it."""
    begin = time.monotonic()

    def say(about: str, what: str) -> None:
        console.print(f"[bold]{about:<12}[/] {escape(what)}", soft_wrap=True)

    settings = for_short_sessions(settings)
    with kafka_meanwhile(settings) as kafka, Lesson(LESSON, kafka, settings) as lab:
        say("Kafka", f"{kafka!r:.90}".strip("<>") + "; the figures below are read from it and from a database")
        told = play(lab, say)
    seconds = f"{time.monotonic() - begin:.0f} s"
    say("all is well", f"nothing lost, nothing processed twice; {seconds}. Lessons 03 to 18 show why: python3 lab.py")
    if picture:
        from labsupport.experiments.watching import plots  # here, because it takes longer to import than all the rest

        save(plots.spacetime(told.path), picture, dpi=150)
        say("picture", f"the path of two events is in {picture}")


def play(lab: Lesson, say: Say, handle: Service = service) -> Told:
    """Play it on `lab`, with topics and groups that are deleted afterwards; `handle` is the service.

    Raises LabError if a sheet does not balance or the rebuilt report differs.
    """
    with (
        only_one(lab.settings.home / "tour.lock", "its tour", timeout=60),
        _own_names(lab),
        python_process.scratch_folder() as folder,
        speaking("The tour did not finish."),
    ):
        path = orders.create(folder / "shop.db")
        topic, group = lab.topic("tour-orders", partitions=PARTITIONS), lab.group("tour-service")
        dead = lab.dead_letters(topic)

        def sheet(produced: int, dead_lettered: int = 0) -> Sheet:
            found = lab.balance(topic, group, path, dead_letters=dead)
            say("sheet", str(found))
            return require(found, produced, dead_lettered)

        events = story.events(EVENTS)
        early = [event for event in events[: EVENTS * 4 // 5] if event.event_type != "ReportGenerated"]
        late = [event for event in events if event not in early]
        reports = sum(event.event_type == "ReportGenerated" for event in late)
        with lab.members(topic, group, partial(handle, str(path), False), policy=POLICY) as team:
            _share_and_crash(lab, team, early, say)
            sheet(len(early))
            _poison(lab, team, late, dead, say)
            sheet(len(events) + 1, dead_lettered=reports + 1)
            team.stop("A")
            _redrive(lab, team, partial(handle, str(path), True), dead, say)
            last = sheet(len(events) + 1, dead_lettered=1)
            history = team.history
        _rebuild(lab, topic, path, folder / "report.db", say)
        with _dying_broker(lab.settings, say):
            _schema(lab, say)
            _trace(lab, say)
        ids = [_came_again(history)[0], next(each.event_id for each in history.of_kind(Kind.RETRYING) if each.event_id)]
        return Told(last, _path(lab, topic, history, ids))


def require(sheet: Sheet, produced: int, dead_lettered: int = 0) -> Sheet:
    """Return the sheet; raise LabError unless nothing is lost, open or processed twice, and all was produced."""
    wanted = {"produced": produced, "processed": produced - dead_lettered, "dead-lettered": dead_lettered, "twice": 0}
    wrong = {name: sheet.count(name) for name in (*OUTCOMES, *wanted) if sheet.count(name) != wanted.get(name, 0)}
    if wrong or sheet.orphans:
        seen = ", ".join(f"{count} {name} instead of {wanted.get(name, 0)}" for name, count in wrong.items())
        raise LabError("The sheet does not balance.", seen or str(sheet), AGAIN)
    return sheet


def _share_and_crash(lab: Lesson, team: Members, events: Sequence[Event], say: Say) -> None:
    team.start("A", settle=False)
    team.start("B", freeze_at=Kind.HANDLED, nth=CRASH)  # so that the kill meets it between effect and commit
    owners = team.owners
    say("group", "two processes share a topic: " + ", ".join(f"{who} has {_listed(owners[who])}" for who in owners))
    count = publish.publish(lab.producer(name="tour-shop"), team.topic, events)
    say("produce", f"{count} events of a shop, all acknowledged")
    team.wait(lambda history: history.is_frozen("B"), f"B to process {CRASH} events")
    team.kill("B")
    done, kept = len(team.history.of_kind(Kind.HANDLED, "B")), log.committed(lab, team.topic, team.group)
    committed = sum(kept.get(number, 0) for number in owners["B"])
    say("crash", f"B is killed (kill -9): {done} events processed, {committed} committed")
    team.settle()
    _read_to_the_end(lab, team)
    (killed,) = team.history.of_kind(Kind.KILLED)
    gap = team.history.longest_gap(killed)
    say("takeover", f"A has {_listed(team.owners['A'])}; nobody had B's for {gap:.1f} s, until its session ended")
    say("redelivery", f"{len(_came_again(team.history))} events were redelivered, and the inbox recognised them")


def _poison(lab: Lesson, team: Members, events: Sequence[Event], dead: str, say: Say) -> None:
    producer = lab.producer(name="tour-shop")
    producer.send(team.topic, b"\xffno event", b"ORD-123").get(timeout=60)
    count = publish.publish(producer, team.topic, events)
    say("produce", f"{count} more events, some of them reports, and a record that is not an event")
    _read_to_the_end(lab, team)
    errors = redrive.letters(lab.consumer(name="tour-redrive"), redrive.selection(dead)).by_error
    found = ", ".join(f"{number} {error.rpartition('.')[2]}" for error, number in errors.items())
    say("dead letters", f"{found}: set aside with their reasons; no later event had to wait")


def _redrive(lab: Lesson, team: Members, mended: Callable, dead: str, say: Say) -> None:
    with closing(ConfluentProducer(lab.connection)) as producer:
        consumer = lab.consumer(name="tour-redrive")
        sent = redrive.redrive(consumer, producer, redrive.selection(dead, error="KeyError"), addressed=True)
    team.handle = mended
    team.start("C")
    _read_to_the_end(lab, team)
    say("redrive", f"the service is fixed; {sent.done} dead letters went back, and C processed them")


def _rebuild(lab: Lesson, topic: str, path: Path, anew: Path, say: Say) -> None:
    consumer = lab.consumer(name="tour-rebuild", group_id=lab.group("tour-report"), enable_auto_commit=False)
    with closing(report.database(path)) as live, closing(report.database(anew)) as rebuilt:
        replayed = report.rebuild(consumer, topic, rebuilt)
        wanted, found, lines = report.digest(live), report.digest(rebuilt), len(report.lines(rebuilt))
    same = "the same" if found == wanted else f"not that of the live one, {wanted}"
    say("replay", f"all {replayed.read} records replayed into a new report: {lines} lines, hash {found}, {same}")
    if found != wanted:
        raise LabError("The rebuilt report differs from the live one.", f"hash {found} instead of {wanted}", AGAIN)


def _schema(lab: Lesson, say: Say) -> None:
    from confluent_kafka.schema_registry.error import SchemaRegistryError

    from labsupport.registry import avro_serde, registry  # here, because they take long to import
    from labsupport.shop import schemas

    topic, producer = lab.topic("tour-schema"), lab.producer(name="tour-shop")
    with closing(
        registry.start(lab.settings, lab.bootstrap, lab.topic("tour-schemas", cleanup_policy="compact"))
    ) as own:
        client = own.client()
        client.set_compatibility(f"{topic}-value", "BACKWARD")

        def send(schema: dict) -> None:
            encode = avro_serde.serializer(client, topic, schema)
            for _ in range(3):
                producer.send(topic, encode(schemas.example(schema))).get(timeout=60)

        send(schemas.ORDER)
        try:
            send(schemas.evolve(schemas.ORDER, currency={"type": "string"}))
        except SchemaRegistryError:
            pass
        else:
            raise LabError("The registry did not refuse a schema that cannot read older events.", "", AGAIN)
        newer = schemas.evolve(schemas.ORDER, currency={"type": "string", "default": "EUR"})
        send(newer)
        decode = avro_serde.deserializer(client, topic, newer)
        read = [decode(record.value) for record in lab.log(topic).records]
    say(
        "schema",
        f"a registry refuses a new field without a default; with one, {len(read)} orders of both versions are read",
    )


def _trace(lab: Lesson, say: Say) -> None:
    from labsupport.experiments.breaking import traced_road  # here, because OpenTelemetry takes long to import

    topic = lab.topic("tour-trace")
    lab.dead_letters(topic)
    road = traced_road.travel(lab, topic, lab.group("tour-trace"))
    attempts = [span for span in road if span.name.startswith("process")]
    ended = sum(span.ended for span in attempts)
    say(
        "trace",
        f"one event was attempted {len(attempts)} times; a tracing system shows {ended}, not the killed one",
    )


@contextlib.contextmanager
def _dying_broker(settings: Settings, say: Say) -> Iterator[None]:
    """Three brokers, of which the leader dies before the body of the `with`; what has become of all afterwards.

    Where there is too little memory for them, it says so.
    """
    with contextlib.ExitStack() as stack:
        try:
            kafka = stack.enter_context(private(3, settings, **DYING))
        except LabError as error:
            say("brokers", f"left out: {error.seen or error}")
            yield
            return
        topic = kafka.create_topic(f"{LESSON}-tour-brokers", replicas=[1, 2, 3], min_insync_replicas="2")
        producer = kafka.producer(name="tour-shop", acks="all")

        def send() -> int:
            sent = [producer.send(topic, str(number).encode()) for number in range(50)]
            return len([each.get(timeout=300) for each in sent])

        acknowledged, leader = send(), replicas.read(kafka, topic)[0].leader or 1
        kafka.broker(leader).kill()
        say(
            "brokers",
            f"3 brokers have {acknowledged} events, a copy each; broker {leader} leads, and is killed (kill -9)",
        )
        yield
        acknowledged += send()
        found, new = len(log.read(kafka, topic).records), replicas.read(kafka, topic)[0].leader
        say("election", f"broker {new} leads now; {acknowledged} events acknowledged, {found} in the topic")
        if found != acknowledged:
            raise LabError("An acknowledged event is missing, or there twice.", f"{found} of {acknowledged}", AGAIN)


def _read_to_the_end(lab: Lesson, team: Members) -> None:
    """Wait until the group has committed the whole topic."""
    team.wait(lambda _: not lab.lag(team.topic, team.group).total, f"{team.group} to commit everything")


def _came_again(history: GroupHistory) -> list[str]:
    """Return the ids of the events that were handled more than once."""
    handled = [moment.event_id for moment in history.of_kind(Kind.HANDLED)]
    return [each for each in dict.fromkeys(handled) if handled.count(each) > 1]


def _path(lab: Lesson, topic: str, history: GroupHistory, ids: Sequence[str]) -> tuple[Moment, ...]:
    """What happened to these events; the kill as a crash, and what the inbox answered as a statement."""
    moments: list[Moment] = []
    known: set[str] = set()
    for moment in history.moments:
        if moment.kind is Kind.HANDLED:
            statement = f"INSERT: {'known' if moment.event_id in known else 'new'}"
            moments.append(replace(moment, kind=Kind.STATEMENT, name=statement))
            known.add(moment.event_id)
        if moment.kind is not Kind.FROZEN:
            moments.append(replace(moment, kind=Kind.CRASHED) if moment.kind is Kind.KILLED else moment)
    records = sorted(lab.log(topic).valid, key=lambda record: record.timestamp)
    return trace.of_events(records, moments, *ids)


@contextlib.contextmanager
def _own_names(lab: Lesson) -> Iterator[None]:
    """Delete what a killed tour has left before, and this one's topics and groups afterwards, whatever happens."""

    def clear() -> None:
        mine = f"{lab.namespace}tour-"
        lab.delete_groups(lab.groups(mine))
        lab.delete_topics(lab.topics(mine))

    processes.sweep(lab.settings)
    clear()
    try:
        yield
    finally:
        clear()


def _listed(numbers: Sequence[int]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last
