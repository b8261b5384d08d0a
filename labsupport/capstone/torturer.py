"""Carry out a plan: publish, kill, freeze, and then draw up the balance sheet.

It waits for conditions, never for a time: for the group to commit, for an instance to own partitions. The end is marked
by the topic's end offsets. The sheet is drawn when the group has committed them and all alarms and dead letters are
there, or when the service has evidently stopped: it answers, and nothing changes.
"""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from labsupport.broker.cluster import Cluster, private
from labsupport.broker.embedded import EmbeddedBroker
from labsupport.broker.server_properties import STEADY
from labsupport.capstone import flights, plans, sheet, telling, truth
from labsupport.capstone.contract import ALARMS, DEAD_LETTERS, DEPARTED, FLIGHTS, GROUP, PARTITIONS
from labsupport.capstone.plans import Act, Plan
from labsupport.capstone.publisher import Publisher
from labsupport.capstone.service import Service, end_all
from labsupport.capstone.sheet import Given, Placed, Sheet
from labsupport.capstone.telling import Record
from labsupport.capstone.truth import Truth
from labsupport.delivery.reading import READS, to_the_end
from labsupport.errors import LabError
from labsupport.experiments.breaking.python_process import scratch_folder
from labsupport.experiments.watching import log
from labsupport.settings import Settings
from labsupport.waiting import until

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")

QUIET = 100  # answers in a row during which nothing changes: then the service has evidently stopped
PATIENT = 600  # the same, where a broker was away: clients wait up to 36 s between two attempts to reach it
POISONED = 42  # records in a burst of poison
EVERY = 0.1  # seconds between two of them
SAME = 6  # answers in a row, all the same: the service rests
SILENT = 10  # requests in a row, of ANSWER seconds each, without an answer
CRASHES = 5  # ends by itself without a commit in between
RESTARTS = 3  # of a service that has evidently stopped: a client may wait for ever in its group
HANGS = 1800.0  # seconds: ends only what would never end


@dataclass(frozen=True)
class Happening:
    """An act as it happened: how many records were published, and what the group had committed before and after."""

    act: Act
    published: int
    before: Mapping[int, int]
    after: Mapping[int, int]


@dataclass(frozen=True)
class Outcome:
    """How a plan ended: the sheet, what happened, the topic's records, and figures in seconds.

    `problem` says why there is no service to judge any more, with its last words; empty if there was one.
    """

    plan: Plan
    sheet: Sheet
    happenings: tuple[Happening, ...]
    records: tuple[Placed, ...]
    given: Given
    truth: Truth
    problem: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the sheet balances and the service still runs."""
        return self.sheet.balanced and not self.problem


def run(
    settings: Settings,
    plan: Plan,
    folder: Path,
    *,
    tell: Callable[[str], object] = lambda _: None,
    metrics: bool = False,
    kafka: Cluster | None = None,
) -> Outcome:
    """Carry out the plan on the service in `folder`. `tell` hears what happens.

    With `metrics`, the counters of /metrics are compared, too. The story has brokers of its own, or those of `kafka`: a
    private cluster as large as the plan wants it, for one story after the other.

    Raises LabError if the service does not start, or its folder has none.
    """
    path = flights.fetch(settings)
    days = flights.read(path, plan.begin, plan.last)
    with (
        scratch_folder() as scratch,
        contextlib.nullcontext(kafka) if kafka else brokers(settings, plan.brokers) as own,
        _Stage(settings, plan, folder, scratch, own, days, tell, metrics) as stage,
    ):
        return stage.play()


def brokers(settings: Settings, size: int = 1) -> contextlib.AbstractContextManager[Cluster]:
    """Run as many brokers for the body of a `with`, as stories want them."""
    overrides: dict[str, Any] = {**STEADY, "min_insync_replicas": "2"} if size > 1 else {}
    return private(size, settings, **overrides)


class _Stage:
    """The brokers, the service and the publisher of one story."""

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        folder: Path,
        scratch: Path,
        kafka: Cluster,
        days: "pandas.DataFrame",
        tell: Callable[[str], object],
        metrics: bool,
    ):
        self.plan, self.kafka, self.tell, self.metrics = plan, kafka, tell, metrics
        self.now = datetime.fromisoformat(f"{plan.last}T{plan.hour:02}:00:00Z").timestamp()
        self.flood, self.records = (
            list(telling.tell(some, plan.seed, plan.trouble, self.now))
            for some in (days[days.day < plan.first], days[days.day >= plan.first])
        )
        self.days = sorted(set(days.day))
        self.truth = truth.at(days, self.now)
        self.chance = random.Random(f"{plan.name} {plan.seed} acts")
        data = scratch / "data"
        data.mkdir()
        self.services = [Service(settings, folder, data, kafka.bootstrap, name) for name in "AB"]
        self.wanted: set[str] = set()  # the names of the instances that should run
        self.published, self.crashes, self.problem = 0, 0, ""
        self.inserted = 0  # how many of the published records came in bursts, beside the story
        self.patience = QUIET
        self.overdue: set[str] = set()  # flights without an alarm when the service did nothing any more
        self.overdue_dead: set[bytes] = set()  # and poison that was not set aside
        self.happenings: list[Happening] = []
        self.struck: Mapping[int, int] | None = None  # what was committed when the act struck
        self.alarms: list[tuple[str, str]] = []
        self.dead: list[bytes] = []
        self.reader: KafkaConsumer | None = None
        self.read = dict.fromkeys((ALARMS, DEAD_LETTERS), 0)  # where the reader continues
        self.last_committed: Mapping[int, int] = {}

    def __enter__(self) -> "_Stage":
        self.kafka.delete_groups([GROUP])  # of the story before
        self.kafka.create_topic(FLIGHTS, PARTITIONS)
        self.kafka.create_topic(ALARMS, 1)
        self.kafka.create_topic(DEAD_LETTERS, 1)
        self.publisher = Publisher(self.kafka.connection, FLIGHTS)
        return self

    def __exit__(self, *_: object) -> None:
        end_all(self.services)
        self.publisher.__exit__(None)
        self.kafka.close_client("capstone-reader")

    # The story

    def play(self) -> Outcome:
        begun = time.monotonic()
        self._start(self.services[0])
        for act in self.plan.acts:
            self._publish(act.at)
            self.struck = None
            self.tell(f"{self.published:>6,} records: {plans.WORDS[act.kind]}")
            self._acts[act.kind](self, act)
            after = self._committed()
            self.happenings.append(Happening(act, self.published, self.struck or after, after))
        self._publish(1.0)
        self.tell(f"{self.published:>6,} records: all are published")
        published = time.monotonic()
        self._settle()
        settled = time.monotonic()
        given = self._given()
        end_all(self.services)
        records = tuple(self._placed())
        drawn = sheet.draw_up(self.truth, given, records)
        seconds = {
            "story": published - begun,
            "catching up": settled - published,
            "sheet": time.monotonic() - settled,
        }
        return Outcome(self.plan, drawn, tuple(self.happenings), records, given, self.truth, self.problem, seconds)

    def _publish(self, part: float) -> None:
        """Publish until this part of the story's records is published."""
        upto = self.inserted + round(part * (len(self.records) - self.inserted))
        upto = max(self.published, min(len(self.records), upto))
        self.publisher.send(self.records[self.published : upto])
        self.published = upto

    def _publish_more(self, part: float = 1.0) -> None:
        """Publish this part of what an act publishes."""
        told = (self.published - self.inserted) / (len(self.records) - self.inserted)
        self._publish(told + part * self.plan.part)

    def _publish_beside(self, burst: Sequence[Record]) -> None:
        """Publish these at once, which the story itself does not tell."""
        self.records[self.published : self.published] = burst
        self.inserted += len(burst)
        self.publisher.send(burst)
        self.published += len(burst)

    # Acts

    def _stop(self, _: Act) -> None:
        self._until_at_work()
        self.services[0].stop()
        self._start(self.services[0])

    def _kill(self, _: Act) -> None:
        self._until_at_work()
        self.services[0].kill()
        self._start_after_kill(self.services[0])

    def _kill_in_outage(self, _: Act) -> None:
        """With all brokers frozen nothing can be committed or published; what the service has fetched, it handles.

        One broker is killed then: awake, it would carry out the requests of a dead service that lie in its sockets.
        """
        self._until_at_work()
        self._clients_wait("B" in self.wanted)
        for broker in self._brokers:
            broker.pause()
        self._until_answers_rest()
        self.services[0].kill()
        for broker in self._brokers:
            if len(self._brokers) == 1:
                broker.kill()
            broker.start()
        self._wait_for_brokers()
        self._start_after_kill(self.services[0])

    def _kill_thrown_out(self, _: Act) -> None:
        self._until_at_work()
        self._evict()
        self._random_moment(0.1, 0.6)
        self.services[0].kill()
        self._start_after_kill(self.services[0])

    def _freeze(self, _: Act) -> None:
        self._until_at_work()
        self.services[0].freeze()
        self._evict()
        self.struck = self._committed()
        self._publish_more()
        if "B" in self.wanted:
            until(lambda: self._owned_by_one() or not self.services[1].alive, HANGS, "B to own all partitions")
        self.services[0].thaw()

    def _join(self, _: Act) -> None:
        self._start(self.services[1])
        self._publish_more()
        self._until_quiet(lambda: len(self._owners()) == 2)

    def _leave(self, _: Act) -> None:
        self._until_at_work()
        self.services[1].kill()
        self.wanted.discard("B")
        self._evict()

    def _freeze_broker(self, _: Act) -> None:
        broker = self.chance.choice(self._brokers)
        self._clients_wait()
        broker.pause()
        self._random_moment(0.1, 3.0)
        broker.resume()
        self._wait_for_brokers()

    def _stop_broker(self, _: Act) -> None:
        self._broker_away(EmbeddedBroker.stop)

    def _kill_broker(self, _: Act) -> None:
        self._broker_away(EmbeddedBroker.kill)

    def _broker_away(self, end: Callable[[EmbeddedBroker], None]) -> None:
        broker = self.chance.choice(self._brokers)
        self._clients_wait()
        end(broker)
        if len(self._brokers) > 1:
            self._publish_more()
        broker.start()
        self._wait_for_brokers()

    def _clients_wait(self, of_service: bool = True) -> None:
        """A broker goes away: our clients must be new afterwards; those of a service wait up to half a minute."""
        self._renew_clients()
        if of_service:
            self.patience = PATIENT

    def _rebalance(self, _: Act) -> None:
        self._until_at_work()
        self._join(_)
        self._until_at_work()
        self.services[1].stop()
        self.wanted.discard("B")

    def _flood(self, _: Act) -> None:
        self._publish_beside(self.flood)

    def _poison(self, _: Act) -> None:
        self._publish_beside(telling.burst(self.records[self.published :] or self.records, POISONED))

    def _new_version(self, _: Act) -> None:
        """What comes again keeps the version in which it came."""
        before = {each.event_id for each in self.records[: self.published]}
        for number in range(self.published, len(self.records)):
            if self.records[number].event_id not in before:
                self.records[number] = telling.newer(self.records[number])

    def _replay(self, _: Act) -> None:
        """Set the group back, as an operator does who mistrusts the answers."""
        self._settle()
        for service in self.services:
            service.stop()
        self._evict()
        beginning = {TopicPartition(FLIGHTS, each): OffsetAndMetadata(0, "", -1) for each in range(PARTITIONS)}
        self.kafka.ask("the beginning", lambda admin: admin.alter_group_offsets(GROUP, beginning))
        self._start(self.services[0])

    _acts: Mapping[str, Callable[["_Stage", Act], None]] = {
        plans.KILL_THROWN_OUT: _kill_thrown_out,
        plans.STOP: _stop, plans.KILL: _kill, plans.KILL_IN_OUTAGE: _kill_in_outage, plans.FREEZE: _freeze,
        plans.FLOOD: _flood, plans.POISON: _poison, plans.NEW_VERSION: _new_version, plans.REBALANCE: _rebalance,
        plans.JOIN: _join, plans.LEAVE: _leave, plans.BROKER_FREEZE: _freeze_broker, plans.BROKER_STOP: _stop_broker,
        plans.BROKER_KILL: _kill_broker, plans.REPLAY: _replay, plans.PAUSE: lambda stage, _: stage._settle(),
    }  # fmt: skip

    def _random_moment(self, least: float, most: float) -> None:
        """No synchronisation: a random moment is what is wanted."""
        time.sleep(self.chance.uniform(least, most))

    # The service

    def _start(self, service: Service) -> None:
        self.wanted.add(service.name)
        service.start()

    def _start_after_kill(self, service: Service) -> None:
        self._evict()  # or its partitions would wait until its session ends
        self.struck = self._committed()
        self._start(service)

    def _until_at_work(self) -> None:
        """Publish more and wait until the group commits some of it; then trickle on, so that it stays at work.

        The last record is one that needs an alarm, if there is one: there is most to lose.
        """
        before, published = self._committed(), self.published
        self._publish_more(1 / 2)
        if self.published > published:
            self._until_quiet(lambda: self._committed() != before)
        many = round(self.plan.part / 2 * (len(self.records) - self.inserted))
        some = self.records[self.published : self.published + many]
        while some and not self._alarming(some[-1]) and any(map(self._alarming, some)):
            some.pop()
        self.publisher.trickle(some)
        self.published += len(some)

    def _until_answers_rest(self) -> None:
        """Wait until the service has handled what it has in hand: its answers no longer change."""
        seen: list[object] = []

        def rests() -> bool:
            seen.append([self.services[0].ask(f"/delays?day={day}") for day in self.days])
            return len(seen) >= SAME and all(each == seen[-1] for each in seen[-SAME:])

        until(rests, HANGS, "the service to handle what it has in hand", every=EVERY)

    def _alarming(self, record: Record) -> bool:
        flight, _, kind = record.event_id.rpartition("/")
        return kind == DEPARTED and flight in self.truth.alarms

    def _supervise(self) -> bool:
        """Start what has ended by itself, as a supervisor does. False if it ends again and again."""
        for service in self.services:
            if service.name in self.wanted and not service.alive:
                self.crashes += 1
                if self.crashes > CRASHES:
                    self.problem = str(service.ended())
                    return False
                self._evict()
                with contextlib.suppress(LabError):
                    service.start()
        return True

    def _until_quiet(self, condition: Callable[[], bool], patience: int = QUIET) -> bool:
        """Wait for the condition; return False if the service has evidently stopped before.

        It has when it has answered `patience` times in a row, and nothing has changed.
        """
        seen: object = None
        unchanged = silent = 0
        counted = time.monotonic()

        def met_or_quiet() -> bool:
            nonlocal seen, unchanged, silent, counted
            if condition() or not self._supervise():
                return True
            now = (self._committed(), len(self.alarms), len(self.dead), self._group())
            if now != seen:
                seen, unchanged, silent = now, 0, 0
            elif time.monotonic() - counted > EVERY:
                counted = time.monotonic()
                answers = any(each.ask("/health") is not None for each in self.services if each.name in self.wanted)
                unchanged, silent = (unchanged + 1, 0) if answers else (unchanged, silent + 1)
            return unchanged >= patience or silent >= SILENT

        until(met_or_quiet, HANGS, "the service to work")
        return condition()

    def _settle(self) -> None:
        """Wait until all is done that is published, or the service has evidently stopped, also after a restart.

        What comes only after a restart, though everything was committed before, is overdue.
        """
        due, poison = self._alarms_due(), {each.value for each in self.records[: self.published] if not each.event_id}

        def missing() -> tuple[set[str], set[bytes]]:
            return due - {flight for flight, _ in self.alarms}, poison - set(self.dead)

        def done() -> bool:
            return self._read() and not self._lag() and not any(missing())

        for _ in range(RESTARTS):
            if self._until_quiet(done, self.patience) or self.problem:
                return
            behind = self._lag()
            if not behind:
                flights_missing, dead_missing = missing()
                self.overdue |= flights_missing
                self.overdue_dead |= dead_missing
            for service in self.services:
                if service.name in self.wanted:
                    service.stop()
            self._evict()
            if not behind or not self.last_committed:  # an outbox is sent now, or nothing was ever read
                break
        self._until_quiet(done)

    def _alarms_due(self) -> set[str]:
        departed = {
            each.event_id.rpartition("/")[0]
            for each in self.records[: self.published]
            if each.event_id.endswith("/FlightDeparted")
        }
        return set(self.truth.alarms) & departed

    # Kafka

    @property
    def _brokers(self) -> list[EmbeddedBroker]:
        assert self.kafka.embedded is not None
        return self.kafka.embedded.brokers

    def _wait_for_brokers(self) -> None:
        assert self.kafka.embedded is not None
        self.kafka.embedded.wait_until_ready(self._brokers)
        self._ends()

    def _asked(self, question: Callable[[], T]) -> T | None:
        """The answer to an admin's question, or None: brokers die here, and their clients get errors."""
        try:
            return question()
        except (LabError, KafkaError):
            self._renew_clients()
            return None

    def _renew_clients(self) -> None:
        """Let the next question and the next reading have a new client.

        kafka-python 3.0.12's go on asking a broker that has died, also when it has come back.
        """
        self.reader = None
        with contextlib.suppress(LabError, KafkaError):
            self.kafka.admin().close()

    def _committed(self) -> Mapping[int, int]:
        found = self._asked(lambda: log.committed(self.kafka, FLIGHTS, GROUP))
        if isinstance(found, dict):
            if found != self.last_committed:
                self.crashes = 0
            self.last_committed = found
        return self.last_committed

    def _ends(self) -> Mapping[int, int]:
        found: dict[int, int] = {}

        def answered() -> bool:
            found.update(self._asked(lambda: log.bounds(self.kafka, FLIGHTS)[1]) or {})
            return bool(found)

        until(answered, HANGS, "the end of the topic")
        return found

    def _lag(self) -> int:
        committed = self._committed()
        return self.published - sum(committed.values())

    def _group(self) -> object:
        """What changes while members join: the state, and who owns what."""
        found = self._asked(lambda: self.kafka.describe(GROUP))
        return found and (found.state, [(each.id, each.partitions) for each in found.members])

    def _owners(self) -> Mapping[str, list[int]]:
        found = self._asked(lambda: self.kafka.describe(GROUP))
        if found is None:
            return {}
        return {each.id: numbers for each in found.members if (numbers := each.partitions.get(FLIGHTS))}

    def _owned_by_one(self) -> bool:
        owners = self._owners()
        return len(owners) == 1 and len(next(iter(owners.values()))) == PARTITIONS

    def _evict(self) -> None:
        def gone() -> bool:
            self.kafka.evict(GROUP)
            return True

        until(lambda: self._asked(gone), HANGS, f"the members of {GROUP} to be gone")

    def _read(self) -> bool:
        """Read on in the topics of alarms and dead letters; return whether they are read to the end."""
        try:
            if self.reader is None:
                self.reader = self.kafka.consumer(name="capstone-reader", **READS)
                self.reader.assign([TopicPartition(topic, 0) for topic in self.read])
                for topic, offset in self.read.items():
                    self.reader.seek(TopicPartition(topic, 0), offset)
            for record in to_the_end(self.reader):
                self.read[record.topic] = record.offset + 1
                if record.topic == ALARMS:
                    self.alarms.append(sheet.read_alarm(record.value))
                else:
                    self.dead.append(record.value or b"")
        except (LabError, KafkaError):
            self.reader = None
        return self.reader is not None

    def _given(self) -> Given:
        """Ask the service for its answers, then end it, and read what it has published to the end.

        Raises LabError if an answer cannot be read.
        """
        cells, late = {}, frozenset[str]()
        service, counters = self.services[0], None
        if not self.problem:
            for day in self.days:
                cells.update(sheet.read_cells(day, service.answer(f"/delays?day={day}")))
            late = frozenset(map(str, service.answer("/late")))
            counters = sheet.read_counters(service.ask("/metrics") or b"") if self.metrics else None
        for each in self.services:
            each.stop()
        until(self._read, HANGS, "the alarms and dead letters")
        alarms, dead = tuple(self.alarms), tuple(self.dead)
        overdue, overdue_dead = frozenset(self.overdue), frozenset(self.overdue_dead)
        return Given(cells, late, alarms, dead, self._committed(), self._ends(), counters, overdue, overdue_dead)

    def _placed(self) -> Iterator[Placed]:
        events = {each.value: each.event_id for each in self.records}
        for record in log.read(self.kafka, FLIGHTS).records:
            event = sheet.event_of(record.value) if events[record.value] else None
            yield Placed(record.partition, record.offset, record.key, record.value, event)
