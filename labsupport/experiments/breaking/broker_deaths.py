"""The producer's matrix: acks × min.insync.replicas × who dies × unclean election, on real brokers that are killed.

Each trial is a controller and three brokers of its own, and a topic for each setting, so one death serves all. Each
record is sent once (`retries=0`), so that its outcome is the broker's answer. Lesson 18 shows what a retry makes of it.
"""

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kafka import KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import (
    BrokerResponseError,
    KafkaError,
    KafkaStorageError,
    NotEnoughReplicasAfterAppendError,
    RequestTimedOutError,
    UnknownError,
)
from kafka.future import Future

from labsupport.broker.cluster import Cluster, private
from labsupport.broker.server_properties import STEADY
from labsupport.console import progress
from labsupport.delivery.reading import to_the_end
from labsupport.errors import DisturbedError, LabError
from labsupport.experiments.breaking import results_file
from labsupport.experiments.watching import replicas
from labsupport.experiments.watching.replicas import State
from labsupport.settings import Settings
from labsupport.waiting import until

if TYPE_CHECKING:
    import pandas

RECORDS = 5  # of each topic
LEADER, FOLLOWERS = 1, (2, 3)
PATIENCE = 120  # seconds for what a busy machine does in ten
REQUEST = 15  # seconds until a leader that waits for followers answers that it does not know

# A frozen follower stays in sync for its session, long enough to send. Its last fetch waits at the leader for at most
# FETCH_WAIT seconds; until that has been answered, the follower would find new records in its socket when it wakes.
FETCH_WAIT = 0.1
BROKERS = STEADY | {
    "broker_session_timeout_ms": "6000",
    "replica_fetch_wait_max_ms": f"{FETCH_WAIT * 1000:.0f}",
}


@dataclass(frozen=True)
class Setting:
    """Of a producer, `acks`; of its topic, min.insync.replicas and unclean.leader.election.enable."""

    acks: str
    min_insync: int
    unclean: bool

    @property
    def topic(self) -> str:
        """The topic that has it."""
        return f"97-acks-{self.acks}-min-{self.min_insync}-{'un' if self.unclean else ''}clean"


SETTINGS = tuple(itertools.starmap(Setting, itertools.product(("0", "1", "all"), (1, 2), (False, True))))


@dataclass(frozen=True)
class Result:
    """What became of RECORDS records, when all brokers were back; their numbers add up.

    `kept` and `lost` were acknowledged, `refused` and `refused_there` answered with an error that says "not stored".
    For the others there is no answer, or none that says so: `unknown_there` and `unknown_gone`. `there` means in the
    topic. `twice`: how many are there more than once.
    """

    death: str
    acks: str
    min_insync: int
    unclean: bool
    seed: int
    kept: int = 0
    lost: int = 0
    refused: int = 0
    refused_there: int = 0
    unknown_there: int = 0
    unknown_gone: int = 0
    twice: int = 0


# Outcomes, the worst first, and how a table names them.
WORDS = {
    "lost": "lost", "twice": "twice", "unknown_there": "unknown, there", "unknown_gone": "unknown, not there",
    "refused_there": "refused, there", "refused": "refused", "kept": "kept",
}  # fmt: skip
OUTCOMES = tuple(WORDS)


def outcome(error: BaseException | None) -> str:
    """How a record's future ended: acknowledged, refused, or unknown (pure)."""
    if error is None:
        return "acknowledged"
    unsure = (RequestTimedOutError, NotEnoughReplicasAfterAppendError, KafkaStorageError, UnknownError)
    return "refused" if isinstance(error, BrokerResponseError) and not isinstance(error, unsure) else "unknown"


def counted(outcomes: Sequence[str], values: Sequence[bytes]) -> dict[str, int]:
    """Count the records 0, 1 …, which ended so, by what the topic holds (pure). The names are those of `Result`."""
    names = {
        ("acknowledged", True): "kept", ("acknowledged", False): "lost",
        ("refused", True): "refused_there", ("refused", False): "refused",
        ("unknown", True): "unknown_there", ("unknown", False): "unknown_gone",
    }  # fmt: skip
    times = Counter(values)
    sent = [b"%d" % number for number in range(len(outcomes))]
    found = Counter(names[ended, times[value] > 0] for ended, value in zip(outcomes, sent, strict=True))
    return dict(found) | {"twice": sum(times[value] > 1 for value in sent)}


class Stage:
    """Topics of every setting on three brokers, broker 1 leading them all, and a producer for each."""

    def __init__(self, kafka: Cluster):
        self.kafka = kafka
        self.topics = [setting.topic for setting in SETTINGS]
        wanted = [
            NewTopic(
                setting.topic,
                replica_assignments={0: [LEADER, *FOLLOWERS]},
                topic_configs={
                    "min.insync.replicas": str(setting.min_insync),
                    "unclean.leader.election.enable": str(setting.unclean).lower(),
                },
            )
            for setting in SETTINGS
        ]
        kafka.admin().create_topics(wanted)
        self.until("all replicas to be in sync", lambda state: state.whole)
        self.producers = {setting: self._producer(setting) for setting in SETTINGS}
        self.futures: dict[Setting, list[Future]] = {}

    def _producer(self, setting: Setting) -> KafkaProducer:
        """A producer that sends once, and only when it is told to flush: so that all its records are one batch."""
        return self.kafka.producer(
            name=setting.topic,
            acks=setting.acks if setting.acks == "all" else int(setting.acks),
            enable_idempotence=False,
            retries=0,
            linger_ms=1_000_000,
            request_timeout_ms=REQUEST * 1000,
            delivery_timeout_ms=1_000_000 + REQUEST * 1000,
        )

    @contextlib.contextmanager
    def sent(self, values: Sequence[bytes]) -> Iterator[None]:
        """Send the values to each topic; in the body of the `with`, the leader has them or has refused them.

        At the end the outcome of each is known.
        """
        self.futures = {
            setting: [producer.send(setting.topic, value, partition=0) for value in values]
            for setting, producer in self.producers.items()
        }
        for producer in self.producers.values():
            threading.Thread(target=_flush, args=[producer], daemon=True).start()
        until(lambda: all(self._arrived(each, values) for each in SETTINGS), PATIENCE, "the leader to have it all")
        yield
        until(lambda: all(each.is_done for each in self._all), PATIENCE, "the answer to each record")

    @property
    def _all(self) -> list[Future]:
        return [future for futures in self.futures.values() for future in futures]

    def _arrived(self, setting: Setting, values: Sequence[bytes]) -> bool:
        there = self.on_disk(LEADER, setting)
        return there[-len(values) :] == list(values) or all(
            each.is_done and each.exception for each in self.futures[setting]
        )

    def on_disk(self, broker: int, setting: Setting) -> list[bytes]:
        """What this broker has of the topic."""
        return replicas.on_disk(self.kafka.broker(broker), setting.topic)

    def until_copied(self) -> None:
        """Wait until each follower has a record of each topic."""
        pairs = list(itertools.product(FOLLOWERS, SETTINGS))
        until(lambda: all(self.on_disk(*each) for each in pairs), PATIENCE, "the followers to have their copies")

    def until(self, what: str, condition: Callable[[State], object], topics: Iterable[str] = ()) -> None:
        """Wait until all running brokers say so of each topic."""
        chosen = list(topics) or self.topics

        def met() -> bool:
            states = [state for topic in chosen for state in replicas.agreed(self.kafka, topic)]
            return len(states) == len(chosen) and all(map(condition, states))

        until(met, PATIENCE, what, every=0.1)

    def freeze_followers(self) -> None:
        """Freeze them while nothing is on its way to them."""
        for number in FOLLOWERS:
            self.kafka.broker(number).pause()
        time.sleep(8 * FETCH_WAIT)

    def require_in_sync(self) -> None:
        """Raise DisturbedError if the frozen followers were taken for dead already."""
        states = [state for topic in self.topics for state in replicas.agreed(self.kafka, topic)]
        if len(states) < len(self.topics) or not all(state.whole for state in states):
            raise DisturbedError

    def require_patience(self) -> None:
        """Raise DisturbedError if a leader has ceased to wait already, before it knew who is in sync."""
        if any(isinstance(future.exception, RequestTimedOutError) for future in self._all if future.is_done):
            raise DisturbedError

    def kill(self, *numbers: int) -> None:
        """Kill these brokers."""
        for number in numbers:
            self.kafka.broker(number).kill()

    def until_isr(self, *numbers: int) -> None:
        """Wait until each topic's ISR is these brokers."""
        self.until(f"an ISR of {numbers}", lambda state: state.isr == numbers)

    def results(self, death: str, seed: int) -> list[Result]:
        """Wait until all brokers are back and in sync; then count."""
        self.kafka.embedded.start()  # type: ignore[union-attr]
        self.until("all replicas to be in sync", lambda state: state.whole)
        consumer = self.kafka.consumer(name="reader")
        consumer.assign([TopicPartition(topic, 0) for topic in self.topics])
        consumer.seek_to_beginning()
        values: dict[str, list[bytes]] = {topic: [] for topic in self.topics}
        for record in to_the_end(consumer, patience=PATIENCE):
            values[record.topic].append(record.value)
        found = []
        for setting in SETTINGS:
            became = counted(self._outcomes(setting), values[setting.topic])
            found.append(Result(death, setting.acks, setting.min_insync, setting.unclean, seed, **became))
        return found

    def _outcomes(self, setting: Setting) -> list[str]:
        return [outcome(future.exception) for future in self.futures[setting]]


def _flush(producer: KafkaProducer) -> None:
    with contextlib.suppress(KafkaError):  # of a record that is not answered in time: its future knows it, too
        producer.flush(timeout=PATIENCE)


VALUES = [b"%d" % number for number in range(RECORDS)]


def leader_dies(stage: Stage) -> None:
    """The leader is killed before its followers, frozen until then, have fetched the records."""
    stage.freeze_followers()
    with stage.sent(VALUES):
        stage.require_in_sync()
        stage.kill(LEADER)
        for number in FOLLOWERS:
            stage.kafka.broker(number).resume()
    stage.until("a new leader", lambda state: state.leader in FOLLOWERS)


def followers_die(stage: Stage) -> None:
    """Both followers are killed before they have fetched the records; the leader learns it when their session ends."""
    stage.freeze_followers()
    with stage.sent(VALUES):
        stage.require_in_sync()
        stage.kill(*FOLLOWERS)
        stage.until_isr(LEADER)
        stage.require_patience()


def all_die(stage: Stage) -> None:
    """The followers are killed, then the records are sent, then the leader is killed; a follower is the first back."""
    first, second = FOLLOWERS
    stage.kill(first)
    stage.until_isr(LEADER, second)
    stage.kill(second)
    stage.until_isr(LEADER)
    with stage.sent(VALUES):
        pass
    stage.kill(LEADER)
    stage.kafka.broker(first).start()
    unclean = [setting.topic for setting in SETTINGS if setting.unclean]
    stage.until("an unclean election", lambda state: state.leader == first, unclean)


ALL = "followers, then leader"
DEATHS: dict[str, Callable[[Stage], None]] = {"leader": leader_dies, "followers": followers_die, ALL: all_die}


@dataclass(frozen=True)
class Matrix:
    """The results of many trials."""

    results: tuple[Result, ...]

    def sums(self) -> dict[str, dict[str, Counter[str]]]:
        """By acks and min.insync.replicas ("min ISR", a row), and by death (a column): the sum of each outcome.

        A column names the unclean election only if somebody out of sync could be elected: if all died.
        """
        found: dict[str, dict[str, Counter[str]]] = {}
        for each in self.results:
            columns = found.setdefault(f"acks={each.acks}, min ISR {each.min_insync}", {})
            column = each.death + (f", {'un' if each.unclean else ''}clean election" if each.death == ALL else "")
            columns.setdefault(column, Counter()).update({name: getattr(each, name) for name in OUTCOMES})
        return found

    @property
    def table(self) -> "pandas.DataFrame":
        """The sums in words, such as `5 lost`."""
        import pandas  # imported here, because it is slower to import than the rest of a lesson

        rows = {row: {column: in_words(cell) for column, cell in cells.items()} for row, cells in self.sums().items()}
        return pandas.DataFrame.from_dict(rows, "index")


def in_words(cell: Mapping[str, int]) -> str:
    """A cell in words, the worst outcome first, such as `5 lost`."""
    return ", ".join(f"{cell[name]} {words}" for name, words in WORDS.items() if cell.get(name))


def run(
    settings: Settings, seeds: int = 1, *, deaths: Iterable[str] = tuple(DEATHS), file: Path | None = None
) -> Matrix:
    """Play each death (names in DEATHS) `seeds` times, each on brokers of its own, with a progress bar.

    With `file`, results are appended there as lines of JSON, and trials whose results are there are not played again.
    Raises LabError if a death is unknown, or if the machine is too busy for one.
    """
    deaths = list(deaths)
    if unknown := [death for death in deaths if death not in DEATHS]:
        raise LabError(f"There is no death {unknown[0]!r}.", f"there are: {', '.join(DEATHS)}")
    known = [each for each in (read(file) if file else ()) if each.death in deaths and each.seed <= seeds]
    done = Counter((each.death, each.seed) for each in known)
    wanted = [(death, seed) for seed in range(1, seeds + 1) for death in deaths]
    missing = [each for each in wanted if done[each] < len(SETTINGS)]
    found = [each for each in known if (each.death, each.seed) not in missing]
    for death, seed in progress("Deaths of brokers", len(missing), "trial", over=missing):
        results = play(settings, death, seed)
        found += results
        if file:
            results_file.append(file, results)
    order = {each: number for number, each in enumerate(wanted)}
    return Matrix(tuple(sorted(found, key=lambda each: order[each.death, each.seed])))


def play(settings: Settings, death: str, seed: int) -> list[Result]:
    """Play one death; again, on new brokers, if the machine stood still for too long meanwhile."""
    for _ in range(5):
        with private(3, settings, controller=True, **BROKERS) as kafka:
            try:
                stage = Stage(kafka)
                with stage.sent([b"before"]):
                    pass
                stage.until_copied()
                DEATHS[death](stage)
                return stage.results(death, seed)
            except DisturbedError:
                continue
            except BaseException:  # Ctrl-C: what is on its way fails at once, so that no client waits for it
                kafka.embedded.kill()  # type: ignore[union-attr]
                raise
    raise LabError(
        f"Could not play the death of {death}.",
        "five times the machine stood still for seconds, and frozen followers were taken for dead",
        "close other programs, then try again",
    )


def read(file: Path) -> tuple[Result, ...]:
    """The results in the file; none if there is no such file. Raises LabError if it holds anything else."""
    return results_file.read(file, Result)
