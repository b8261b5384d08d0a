"""17-1: the id survives a restart anywhere, and no two instances share one; proved by real producers."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from kafka import KafkaProducer
from kafka.errors import ProducerFencedError

from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.exercises.groups import fresh_group
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.delivery import publish
from labsupport.experiments.breaking import pickling, python_process, transform
from labsupport.shop import story

from . import elsewhere

Program = Mapping[str, Any]
STAYS = "only the same id at its next start ends the transaction that a killed program has left open"
DIFFERS = "whoever begins with an id fences every producer that has it"

# Names that run together, or look alike: "copier" 11 and "copier1" 1, "2nd" 1 and "nd" 12.
SERVICES = (
    "billing",
    "copier",
    "copier1",
    "copier-1",
    "copier_1",
    "copier 1",
    "copier01",
    "copier-",
    "Copier",
    "2nd",
    "nd",
    "returns",
    "turners",
    "billing ",
    # alike in the first letters, and in the last ones
    "shipping-of-the-north",
    "shipping-of-the-south",
    "northern-shipping-to-the-islands",
    "southern-shipping-to-the-islands",
    "krakow",
    "kraków",
    "krakûw",
    "krakw",
    # with one checksum: zlib.crc32, zlib.adler32
    "plumless",
    "buckeroo",
    "aca",
    "bab",
)
INSTANCES = (*range(40), 101, 111, 1_000, 1_001, 100_000)
RESTARTED = (0, 1, 2, 11)
STARTS = (
    ("2026-04-16T10:30:00Z", "node-1", 4711),
    ("2026-04-16T10:31:10Z", "node-1", 4712),
    ("2026-04-17T08:00:00Z", "node-2", 1),
    ("2027-01-01T00:00:00Z", "green.example.org", 4194304),
)
LONGEST = 30_000  # bytes; Kafka's protocol has 32,767 for a text, and `_ours` adds some


def _named(answer: Submission, lab: Lab) -> str:
    """The examples first, then names that run together; then two programs on the broker, of which one is killed."""
    given: dict[str, Program] = {}
    for service, instance in _programs():
        name = _ask(answer, _program(service, instance, STARTS[0]))
        for start in STARTS[1:] if instance in RESTARTED else ():
            program = _program(service, instance, start)
            if (again := _ask(answer, program)) != name:
                raise TryAgain(
                    says="The same instance has another transactional_id at its next start.",
                    given=f"{shown(dict(_program(service, instance, STARTS[0])))}\nand later {shown(dict(program))}",
                    came_back=f"{name!r}, and later {again!r}",
                    rule=STAYS,
                    look_at="which of the five tells instances apart, and is the same at each start?",
                )
        if name in given:
            raise TryAgain(
                says="Two programs that run at the same time have the same transactional_id.",
                given=f"{shown(dict(given[name]))}\nand {shown(dict(_program(service, instance, STARTS[0])))}",
                came_back=f"{name!r} for both",
                rule=DIFFERS,
                look_at="is everything in it that tells two instances apart, and can the parts run together?",
            )
        given[name] = _program(service, instance, STARTS[0])
    _require_the_same_elsewhere(answer, _program("billing", 2, STARTS[0]))
    _at_once(answer, lab)
    _restarted(answer, lab)
    return "On the broker: two instances commit side by side, and a killed one's transaction ends at its next start."


def _programs() -> Iterator[tuple[str, int]]:
    yield "billing", 1
    yield "billing", 2
    yield "shipping", 1
    yield from ((service, instance) for service, instance in itertools.product(SERVICES, INSTANCES)
                if (service, instance) not in (("billing", 1), ("billing", 2)))  # fmt: skip


def _program(service: str, instance: int, start: tuple[str, str, int]) -> Program:
    return {"service": service, "instance": instance, **dict(zip(("started", "host", "pid"), start, strict=True))}


def _ask(answer: Submission, program: Program) -> str:
    name = answer(dict(program), returns=str, asks="a text")
    if not name.strip():
        raise TryAgain(
            says="The transactional_id is empty.",
            given=answer.called(dict(program)),
            came_back=shown(name),
            look_at="an empty one means a producer without transactions",
        )
    if len(name.encode(errors="replace")) > LONGEST or name != name.encode(errors="replace").decode():
        raise TryAgain(
            says="Kafka cannot take this transactional_id.",
            given=answer.called(dict(program)),
            came_back=shown(name),
            rule=f"it travels as UTF-8, in at most {LONGEST:,} bytes",
            look_at="is there half of a character in it, or far more than names the program?",
        )
    return str(name)


def _require_the_same_elsewhere(answer: Submission, program: Program) -> None:
    """In another process, later, on another machine."""
    here, packed = _ask(answer, program), pickling.dumps(answer.value, "your function")
    there = python_process.run(elsewhere.call, packed, dict(program), name="your function").returned
    if isinstance(there, str) and there != here:
        raise TryAgain(
            says="In another process, later and on another machine, your function returns something else.",
            given=f"{answer.called(dict(program))}, both times",
            came_back=f"{here!r}, and {there!r} there",
            rule=STAYS,
            look_at="what does it use besides `program`: hash() or id(), a clock, this process, this machine?",
        )


def _ours(lab: Lab, name: str) -> str:
    """Among the ids of others on the same broker."""
    return f"{lab.group(CHECKED)}-{name}"


def _at_once(answer: Submission, lab: Lab) -> None:
    """Two instances, each in a transaction: both commit."""
    topic = lab.topic(CHECKED)
    producers: list[KafkaProducer] = []
    names = [_ask(answer, _program("billing", instance, STARTS[0])) for instance in (1, 2)]
    for name in names:
        producer = lab.producer(name=f"check-{len(producers)}", transactional_id=_ours(lab, name))
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic, name.encode()).get(timeout=60)
        producers.append(producer)
    try:
        for producer in producers:
            producer.commit_transaction()
    except ProducerFencedError:
        raise TryAgain(
            says="Instance 2 has fenced instance 1.", came_back=" and ".join(map(repr, names)), rule=DIFFERS,
            look_at="is the instance in it?",
        ) from None  # fmt: skip


def _restarted(answer: Submission, lab: Lab) -> None:
    """An instance is killed in a transaction, and started again elsewhere."""
    source, target = lab.topic(f"{CHECKED}-source"), lab.topic(CHECKED)
    publish.publish(lab.producer(name="check"), source, story.events(6, seed=17))
    ids = [_ours(lab, _ask(answer, _program("copier", 1, start))) for start in (STARTS[0], STARTS[2])]
    where = (source, target, fresh_group(lab, "copier"), lab.database(CHECKED))
    found = transform.run(lab, *where, ids, kill_at=transform.SENT, nth=1)
    if len(found.committed) < 6:
        raise TryAgain(
            says="Killed and started again, it has published nothing that a read_committed consumer gets.",
            came_back=" and ".join(map(repr, ids)), rule=STAYS, look_at="is the id the same at each start?",
        )  # fmt: skip


EXERCISE = Exercise(
    id="17-1",
    title="An id for each instance",
    difficulty="easy",
    minutes=4,
    call="transactional_id(program)",
    hints=(
        "What must be the same when a killed instance is started on another machine, and what must differ from its "
        "neighbour?",
        "Service and instance, and nothing that is new at a start. Put something between the two.",
    ),
    explanation="The id names a role, not a process: service and instance stay, whatever machine, process and time a "
    "start has. So the next start ends what the last one left open and fences it, and nobody else.",
    judge=_named,
    seconds=3.0,
    points_at=("ep-2", "ep-3"),
)
