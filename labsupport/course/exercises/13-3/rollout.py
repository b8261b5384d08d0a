"""Producers and consumers of a topic, upgraded one step after the other while they run.

A producer has two instances, which are upgraded one after the other; each sends an order after each step, and between
them. After each of these orders every consumer reads the topic from its beginning, so it meets all that a consumer can
meet that is behind, or replays. "wait" deletes what is in the topic, as retention does.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryError
from kafka import KafkaConsumer, TopicPartition

from labsupport.course.exercise import CHECKED
from labsupport.course.exercises.groups import fresh_group
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.delivery import reading
from labsupport.registry import avro_serde, registry
from labsupport.registry.registry import Registry
from labsupport.shop.schemas import record

OLD, BOTH, EITHER, NEW, WAIT = "old", "both", "either", "new", "wait"
EMPTY = {"type": "string", "default": ""}
WRITTEN = {
    OLD: record(order_id="string", user_id="string"),
    BOTH: record(order_id="string", user_id="string", customer_id=EMPTY),
    NEW: record(order_id="string", customer_id=EMPTY),
}
READ = {
    OLD: WRITTEN[OLD],
    EITHER: record(order_id="string", user_id=EMPTY, customer_id=EMPTY),
    NEW: WRITTEN[NEW],
}
CUSTOMER: dict[str, Callable[[dict[str, Any]], str]] = {
    OLD: lambda order: order["user_id"],
    EITHER: lambda order: order["customer_id"] or order["user_id"],
    NEW: lambda order: order["customer_id"],
}
SERVICES = ((("orders",), ("payments",)), (("shop", "app"), ("reports", "mails", "audit")))
MOST = 30  # steps that a check carries out
ASKS = 'a list of steps: pairs such as ("orders", "both"), and "wait"'


@dataclass
class Rollout:
    """The services, and what they have sent and read so far."""

    lab: Lab
    own: Registry
    releases: dict[str, list[str]]  # by producer, of its two instances; by consumer, its one
    producers: Sequence[str]
    consumers: Sequence[str]
    topic: str
    done: list[str] = field(default_factory=list)
    sent: dict[int, tuple[str, str, str]] = field(default_factory=dict)  # by offset: customer, producer, release

    def begin(self) -> None:
        """All have release "old", and each consumer its group; some orders are there."""
        self.client = self.own.client()
        self.client.set_compatibility(f"{self.topic}-value", "BACKWARD")
        self.producer = self.lab.producer(name="producers", max_block_ms=3_000)
        self.partition = TopicPartition(self.topic, 0)
        self.readers = {each: self._consumer(each) for each in self.consumers}
        self._coders: dict[tuple[str, str], Callable] = {}
        self._write()

    def step(self, step: Any) -> None:
        """Carry out one step, while everything runs on."""
        end = self._end
        self.done.append(step if step == WAIT else f"{step[0]}: {step[1]}")
        if step == WAIT:
            self.lab.admin().delete_records({self.partition: end})
            self._write()
            return
        name, release = step
        if name in self.producers:
            self._require_accepted(name, release)
        for instance in range(len(self.releases[name])):
            self.releases[name][instance] = release
            self._write()
            self._read(self._end)

    def end(self) -> None:
        """Nothing is left to upgrade."""
        for name, releases in self.releases.items():
            if releases[0] != NEW:
                unfinished = "still reads both names" if releases[0] == EITHER else f"has release {releases[0]!r}"
                raise self._wrong(
                    f"The rename is not finished: {name} {unfinished}.",
                    "at the end nobody knows the name user_id",
                    'which service has no step (…, "new")?',
                )

    @property
    def _end(self) -> int:
        return self.readers[self.consumers[0]].end_offsets([self.partition])[self.partition]

    def _consumer(self, name: str) -> KafkaConsumer:
        consumer = self.lab.consumer(name=name, group_id=fresh_group(self.lab, name), **reading.READS)
        consumer.assign([self.partition])
        return consumer

    def _write(self) -> None:
        """Each instance of each producer sends an order."""
        for name in self.producers:
            for release in self.releases[name]:
                number = len(self.sent)
                customer = f"USR-{456 + number}"
                order = {"order_id": f"ORD-{123 + number}", "user_id": customer, "customer_id": customer}
                known = {each["name"] for each in WRITTEN[release]["fields"]}
                encode = self._coder("write", release)
                value = encode({field: order[field] for field in known})
                sent = self.producer.send(self.topic, value, partition=0).get(timeout=60)
                self.sent[sent.offset] = customer, name, release

    def _coder(self, way: str, release: str) -> Callable:
        if (way, release) not in self._coders:
            make, schemas = (avro_serde.serializer, WRITTEN) if way == "write" else (avro_serde.deserializer, READ)
            self._coders[way, release] = make(self.client, self.topic, schemas[release])
        return self._coders[way, release]

    def _require_accepted(self, name: str, release: str) -> None:
        """Register the schema of a producer's release, as its first instance does."""
        try:
            self.client.register_schema(f"{self.topic}-value", Schema(json.dumps(WRITTEN[release]), "AVRO"))
        except SchemaRegistryError as error:
            raise self._wrong(
                f"The registry refuses the schema of {name}'s release {release!r}.",
                f"BACKWARD: the next version must read what the latest one wrote: {shown(error.error_message, 160)}",
                "a producer goes from old to new, and never back",
            ) from None

    def _read(self, end: int) -> None:
        """Each consumer reads the topic from its beginning to `end`."""
        for name, consumer in self.readers.items():
            (release,) = self.releases[name]
            consumer.seek_to_beginning()
            while consumer.position(self.partition) < end:
                for taken in consumer.poll(timeout_ms=200).get(self.partition, []):
                    self._require_read(name, release, taken)

    def _require_read(self, name: str, release: str, taken: Any) -> None:
        customer, producer, wrote = self.sent[taken.offset]
        order = f"an order of {producer}'s release {wrote!r}"
        before = "" if wrote in self.releases[producer] else ", which was in the topic before that release was replaced"
        try:
            found = CUSTOMER[release](self._coder("read", release)(taken.value))
        except Exception as error:
            raise self._wrong(
                f"{name} has not been upgraded (release {release!r}), and stops at {order}: {error}.",
                "a reader without a default needs the field in every order that it can meet",
                "who writes without user_id while somebody still needs it?",
            ) from None
        if found != customer:
            raise self._wrong(
                f"{name} (release {release!r}) books {order} without its customer{before}.",
                "no error tells it: customer_id has a default, and that is what it reads",
                'what is still in the topic when its release "new" starts?',
            )

    def _wrong(self, says: str, rule: str, look_at: str) -> TryAgain:
        told = [f"{number}. {step}" for number, step in enumerate(self.done, 1)]
        services = f"producers {list(self.producers)}, consumers {list(self.consumers)}"
        return TryAgain(says=says, given="\n".join([services, *told]), rule=rule, look_at=look_at)


def require_plan(answer: Submission, lab: Lab) -> str:
    """One producer and one consumer, then two and three."""
    plans = []
    for producers, consumers in SERVICES:
        plan = answer(list(producers), list(consumers), returns=(list, tuple), asks=ASKS)
        if len(plan) > MOST:
            raise TryAgain(
                says=f"Your plan has {len(plan)} steps.",
                given=answer.called(list(producers), list(consumers)),
                rule="each service needs one or two steps, and a wait costs as many days as retention lasts",
                look_at="which of them changes who can read what?",
            )
        plans.append((producers, consumers, [_step(each, producers, consumers) for each in plan]))
    own = registry.start(lab.settings, lab.bootstrap, lab.topic(f"{CHECKED}-schemas", cleanup_policy="compact"))
    try:
        for number, (producers, consumers, steps) in enumerate(plans):
            releases = {name: [OLD, OLD] for name in producers} | {name: [OLD] for name in consumers}
            rollout = Rollout(lab, own, releases, producers, consumers, lab.topic(f"{CHECKED}-{number}"))
            rollout.begin()
            for step in steps:
                rollout.step(step)
            rollout.end()
    finally:
        own.close()
    return f"{len(steps)} steps, {len(rollout.sent)} orders: each was read with its customer, by every service."


def _step(step: Any, producers: Sequence[str], consumers: Sequence[str]) -> Any:
    """The step, if it is one. Raises TryAgain."""
    if step == WAIT:
        return step
    if isinstance(step, list | tuple) and len(step) == 2:
        name, release = step
        if (name in producers and release in list(WRITTEN)) or (name in consumers and release in list(READ)):
            return name, release
    raise TryAgain(
        says=f"{shown(step)} is no step.",
        given=f"producers {list(producers)}, consumers {list(consumers)}",
        rule='producers have the releases "both" and "new", consumers "either" and "new"; "wait" stands alone',
        look_at="a pair of a name and a release, and names from the arguments",
    )
