"""Services that are wrong in known ways, each a reference with some lines replaced: the torturer must catch them."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labsupport.capstone import plans, torturer
from labsupport.capstone.plans import Plan
from labsupport.capstone.service import PROGRAM
from labsupport.capstone.torturer import Outcome
from labsupport.errors import LabError
from labsupport.settings import Settings

REFERENCES = Path(__file__).with_name("references")  # right services, a folder for each of CLIENTS
CLIENTS = ("kafka_python", "confluent_kafka", "aiokafka")


@dataclass(frozen=True)
class WrongService:
    """A reference (the name of its client) with replaced lines, where it is caught, and what its sentence says.

    `caught` is a level, or a step. Whether a crash hits the moment that matters is chance, so a level may need some
    seeds.
    """

    client: str
    replaced: Mapping[str, str]
    caught: str
    says: str

    def plans(self, seeds: int) -> list[Plan]:
        """The plans that may catch it: its step, or its level with so many seeds."""
        if self.caught in plans.LEVELS:
            return [plans.torture(self.caught, seed) for seed in range(1, seeds + 1)]
        return [plans.step(self.caught).plan]

    def write(self, folder: Path) -> None:
        """Write its program into `folder`."""
        text = (REFERENCES / self.client / PROGRAM).read_text(encoding="utf-8")
        for old, new in self.replaced.items():
            if text.count(old) != 1:
                raise ValueError(f"{old!r} stands {text.count(old)} times in the reference with {self.client}")
            text = text.replace(old, new)
        (folder / PROGRAM).write_text(text, encoding="utf-8")


COMMIT_FIRST = """
            consumer.commit()
            for records in batches.values():
                for record in records:
                    with database:
                        handle(database, record)
"""
BATCH = """
            with database:
                for records in batches.values():
                    for record in records:
                        handle(database, record)
            consumer.commit()
"""
WRONG: Mapping[str, WrongService] = {
    "commits first": WrongService(
        "kafka_python", {BATCH: COMMIT_FIRST}, "bronze", "Lost: the group has committed past"
    ),
    "has no inbox": WrongService(
        "confluent_kafka",
        {
            "    if not first_time(database, event_id):\n        return\n": "",
            "INSERT INTO late": "INSERT OR IGNORE INTO late",
        },
        "bronze",
        "Twice: ",
    ),
    "publishes alarms itself": WrongService(
        "confluent_kafka",
        {
            '            put(database, ENV["ALARMS"]': '            alarms.append((ENV["ALARMS"]',
            "alarm(event_id, fields, delay))\n": "alarm(event_id, fields, delay)))\n",
            "        relay(database, producer)\n    consumer": "        for topic, key, value in alarms:\n"
            "            producer.produce(topic, value, key)\n"
            "        producer.flush()\n"
            "        alarms.clear()\n"
            "        relay(database, producer)\n    consumer",
            "ended = threading.Event()": "ended = threading.Event()\nalarms = []",
        },
        "bronze",
        "no alarm tells that",
    ),
    "keeps the last value": WrongService(
        "kafka_python",
        {" AND revision < ?": "", "(delay, revision, flight, revision)": "(delay, revision, flight)"},
        "replays",
        "Out of order: an older value came again",
    ),
    "skips poison": WrongService(
        "kafka_python",
        {
            '        database.execute(OUTBOX, (place, ENV["DEAD_LETTERS"], record.key, record.value))\n': "",
        },
        "sets-aside",
        "was not set aside",
    ),
    "stops at poison": WrongService(
        "kafka_python", {"    except ValueError:\n        done": "    except OSError:\n        done"},
        "sets-aside",
        "has ended by itself",
    ),
    "takes seconds for minutes": WrongService(
        "kafka_python", {"delay if version == 1 else delay // 60": "delay"}, "evolves", "delay_seconds, of version 2"
    ),
    "leaves corrections out": WrongService(
        "kafka_python",
        {'"FlightCancelled", "DelayCorrected"}': '"FlightCancelled", "DelayCorrected"}\nLATER = "DelayCorrected"',
         '    flight = payload["flight"]\n': '    flight = payload["flight"]\n    if kind == LATER:\n        return\n'},
        "keeps-its-place",
        "a correction that came after",
    ),
    "alarms again when it reads again": WrongService(
        "kafka_python",
        {'f"{flight}/delayed"': "str(uuid.uuid4())"},
        "replays",
        "alarms with different ids",
    ),
    "forgets when it ends": WrongService(
        "kafka_python", {"DATABASE = f\"{ENV['DATA']}/": "DATABASE = f\"{ENV['DATA']}/{os.getpid()}"},
        "keeps-its-place",
        "Lost: ",
    ),
    "has its inbox in memory": WrongService(
        "confluent_kafka",
        {
            '    return database.execute("INSERT OR IGNORE INTO inbox VALUES (?)", (event_id,)).rowcount == 1\n':
            "    new = event_id not in known\n    known.add(event_id)\n    return new\n",
            "INSERT INTO late": "INSERT OR IGNORE INTO late",
            "ended = threading.Event()": "ended = threading.Event()\nknown = set()",
        },
        "bronze",
        "Twice: ",
    ),
    "commits by a timer": WrongService(
        "confluent_kafka",
        {
            "                consumer.commit(asynchronous=False)\n": "                pass\n",
            '"enable.auto.commit": False': '"auto.commit.interval.ms": 100',
            "                for message in messages:\n": "                for message in messages:\n"
            "                    ended.wait(0.002)  # as slow as a service that asks another one\n",
        },
        "bronze",
        "Lost: the group has committed past",
    ),
    "keeps its state in the process": WrongService(
        "confluent_kafka",
        {
            "    database.execute(COUNT.format(name=name), (*place, many))\n":
            "    row = rows.setdefault(tuple(place), dict.fromkeys(NUMBERS, 0))\n    row[name] += many\n"
            '    database.execute("INSERT OR REPLACE INTO delays VALUES (?, ?, ?, ?, ?, ?, ?)",\n'
            "                     (*place, *row.values()))\n",
            "ended = threading.Event()": 'NUMBERS = ("departed", "arrived", "cancelled", "minutes")\nrows = {}\n'
            "ended = threading.Event()",
            "    database.executescript(TABLES)\n": "    database.executescript(TABLES)\n"
            '    for row in database.execute("SELECT * FROM delays"):\n'
            "        rows[tuple(row)[:3]] = dict(zip(NUMBERS, tuple(row)[3:]))\n",
        },
        "gold",
        "Lost: the group has committed past",
    ),
    "counts corrections as arrivals": WrongService(
        "confluent_kafka",
        {"    if before is None:\n        count": '    if True:\n        count'},
        "keeps-its-place",
        "Twice: ",
    ),
    "deletes from the outbox before it has sent": WrongService(
        "aiokafka",
        {
            "        await asyncio.gather(*sending)\n        database": "        database",
            '(rows[-1]["position"],))\n': '(rows[-1]["position"],))\n        await asyncio.gather(*sending)\n',
            "enable_idempotence=True)": "enable_idempotence=True, linger_ms=1_000)",  # so that a crash meets it soon
        },
        "bronze",
        "no alarm tells that",
    ),
    "sends its outbox when it starts": WrongService(
        "aiokafka",
        {
            "            await relay(database, producer)\n    finally": "    finally",
            "    await consumer.start()\n": "    await consumer.start()\n    await relay(database, producer)\n",
        },
        "starts",
        "came only after a restart",
    ),
    "commits nothing": WrongService(
        "kafka_python", {"            consumer.commit()\n": ""}, "starts", "the group has never committed"
    ),
}  # fmt: skip


def judged(name: str, step: str) -> Outcome:
    """Check a step (its name) of a wrong service, or of the reference with the client of this name.

    Raises LabError for an unknown name or step.
    """
    if name not in WRONG and name not in CLIENTS:
        raise LabError(f"There is no service {name!r}.", f"there are: {', '.join((*CLIENTS, *WRONG))}")
    chosen = plans.step(step)
    with tempfile.TemporaryDirectory(prefix="lab-service-") as scratch:
        folder = REFERENCES / name if name in CLIENTS else Path(scratch)
        if name in WRONG:
            WRONG[name].write(folder)
        return torturer.run(Settings.from_environment(), chosen.plan, folder, metrics=chosen.metrics)
