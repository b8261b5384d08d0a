"""Opening a lesson: `lab = lesson("00")`. The first cell of every notebook."""

import atexit
import contextlib
import logging
import logging.handlers
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from traceback import extract_tb
from typing import Any

from kafka import KafkaConsumer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from labsupport import renamed
from labsupport.broker import processes
from labsupport.broker.advice import advice
from labsupport.broker.cluster import Cluster, connect, private
from labsupport.broker.jars import kafka_version
from labsupport.course import check, copies, open_lessons, progress
from labsupport.course.exercise import Note
from labsupport.course.submission import in_words
from labsupport.course.verdict import Verdict
from labsupport.delivery import dead_letter, orders
from labsupport.errors import LabError
from labsupport.experiments.breaking import members, python_process
from labsupport.experiments.watching import balance, lag, log
from labsupport.settings import Settings

AGAIN = "run the first code cell of this lesson here again"
_TAKEN = "this lesson was opened in another kernel (process {pid}), which emptied its topics"


class Lesson(Cluster):
    """The cluster as one lesson sees it: its topics and groups carry the lesson's number."""

    def __init__(self, number: str, cluster: Cluster, settings: Settings):
        super().__init__(
            cluster.bootstrap,
            prefix=cluster.prefix,
            embedded=cluster.embedded,
            deletes_topics=cluster.deletes_topics,
        )
        self.number, self.settings = number, settings
        self.made: set[str] = set()  # topics that `topic` has made since a check began
        self._hints: dict[str, int] = {}  # how many of each exercise's hints were shown

    @property
    def is_open(self) -> bool:
        """Whether clients can still be made: until another lesson is opened here, or this one in another kernel."""
        return self._open and not self._taken

    @property
    def _taken(self) -> int | None:
        """The pid of the kernel that has opened this lesson since; a check's own process takes nothing."""
        return open_lessons.taken(self.settings, self.number) if self in _open else None

    def _connect(self, kind: str, *topics: str, **settings: Any) -> Any:
        if pid := self._taken:
            raise LabError(f"Could not make a {kind}.", _TAKEN.format(pid=pid), "go on there, or " + AGAIN)
        return super()._connect(kind, *topics, **settings)

    @property
    def namespace(self) -> str:
        """What the names of this lesson's topics and groups begin with, such as `05-`."""
        return f"{self.prefix}{self.number}-"

    def topic(self, name: str, partitions: int = 1, **config: Any) -> str:
        """An empty topic of this lesson, made anew; returns its whole name. `config` as in `create_topic`."""
        self.made.add(self.namespace + name)
        return self.create_topic(self.namespace + name, partitions, **config)

    def dead_letters(self, topic: str) -> str:
        """An empty topic for the dead letters of `topic`, made anew; returns its name.

        It has as many partitions, takes much larger records, and keeps them for ever.
        """
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        _, ends = log.edges(self, topic)
        found = self.ask(
            f"the settings of {topic}", lambda admin: admin.describe_configs([resource], config_filter="all")
        )
        largest = int(found["topic"][topic]["max.message.bytes"]["value"])
        return self.create_topic(dead_letter.topic_of(topic), len(ends), **dead_letter.topic_settings(largest))

    def group(self, name: str) -> str:
        """The whole name of a consumer group of this lesson; Kafka makes the group when the first member joins."""
        return self.namespace + name

    def clear(self) -> None:
        """Delete this lesson's topics and groups."""
        self.delete_groups(self.groups(self.namespace))
        self.delete_topics(self.topics(self.namespace))

    def log(self, topic: str, group: str | None = None) -> log.Log:
        """All of `topic` as the broker holds it now, for tables and pictures; `group` adds what it has committed."""
        return log.read(self, topic, group)

    def lag(self, topic: str, group: str, consumer: KafkaConsumer | None = None) -> lag.Lag:
        """How far `group` has come in `topic`, and how much is left; `consumer` adds its positions."""
        begins, ends = log.edges(self, topic)
        positions = {}
        for place in consumer.assignment() if consumer else ():
            if place.topic == topic:
                positions[place.partition] = consumer.position(place, timeout_ms=5_000)
        return lag.of(topic, begins, ends, log.committed(self, topic, group), positions)

    @contextlib.contextmanager
    def private(self, size: int = 1, **overrides: str) -> Iterator["Lesson"]:
        """The lesson on `size` brokers of its own for the body of a `with`, whatever LAB_KAFKA says.

        For experiments that freeze, stop or kill a broker, or look at its files; destroyed afterwards. `overrides` are
        broker settings with `_` for `.`, such as `log_cleaner_backoff_ms="200"`.
        """
        with private(size, self.settings, **overrides) as own, Lesson(self.number, own, self.settings) as mine:
            yield mine

    def owners(self, group: str) -> dict[str, list[int]]:
        """By consumer (its name), the partitions that the broker holds it for; empty while the group rebalances."""
        return members.owners(self, group)

    def members(
        self, topic: str, group: str, handle: Callable = members.nothing, **settings: Any
    ) -> contextlib.AbstractContextManager[members.Members]:
        """Members of `group` as processes, for the body of a `with`: `members.start("A")`, `kill`, `freeze` ….

        `handle(record)` is what they do with each record, `settings` their consumers' own. With `policy=retry.Policy()`
        what fails is tried again, and then becomes a dead letter.
        """
        return members.of(self, topic, group, handle, **settings)

    def python(self, *words: object) -> contextlib.AbstractContextManager[python_process.Running]:
        """`python` with these words, such as `"-m", "my.module"`, as a terminal starts it, for the body of a `with`.

        Its `process` can be killed, its `printed` read; it is killed at the end, if it runs.
        """
        return python_process.python(*words)

    def database(self, name: str) -> Path:
        """An empty database (SQLite; tables `effects` and `inbox`), made anew; returns its file."""
        return orders.create(self.settings.home / "databases" / f"{self.number}-{name}.db")

    def balance(self, topic: str, group: str, database: Path, **more: Any) -> balance.Sheet:
        """What became of each event of `topic` for `group`, from the broker and the database; as `balance.read`."""
        return balance.read(self, topic, group, database, **more)

    # Predictions and exercises

    def predict(self, number: str, value: Any = ...) -> None:
        """Note what you expect, such as `lab.predict("02a", 3)`; it is shown beside what is measured."""
        progress.require_prediction(number)
        if value is ...:
            earlier = progress.read(self.settings).predictions.get(number)
            said = "none (that is fine; or put one in place of the three dots)"
            print(f"Prediction {number}: {said if earlier is None else f'{earlier}, as you said before'}")
        else:
            progress.predict(self.settings, number, in_words(value))
            print(f"Prediction {number}: {in_words(value)}")

    def measured(self, number: str, value: Any) -> None:
        """Show what an experiment measured beside what was predicted."""
        progress.require_prediction(number)
        predicted = progress.read(self.settings).predictions.get(number, "–")
        print(f"{number} · predicted: {predicted} · measured: {in_words(value)}")

    def check(self, number: str, answer: Any) -> Verdict:
        """The verdict on your answer to exercise `number`. Never raises; cuts your code off if it does not end."""
        verdict = check.check(number, answer, self)
        try:
            progress.remember(self.settings, verdict)
        except LabError as error:
            print(f"This could not be kept for `lab.progress()`. {error}")
        return verdict

    def file(self, number: str) -> Path:
        """The file for your answer to exercise `number`, made with the exercise's beginning if it is not there yet."""
        path, made = copies.answer_file(check.find(number), self.settings.home)
        print(f"{path.name} {'is new: write' if made else 'is there, as you left it: go on'} there, then check.")
        return path

    def solved(self, number: str) -> Path | None:
        """Your file for exercise `number`, if it was solved; else None. Raises LabError if its answer is no file."""
        path = copies.answer_path(check.find(number), self.settings.home)
        solved = progress.read(self.settings).exercises.get(number) == "solved"
        return path if solved and path.is_file() else None

    def hint(self, number: str) -> Note:
        """The next hint for exercise `number`; each call shows one more."""
        exercise = check.find(number)
        self._hints[exercise.id] = self._hints.get(exercise.id, 0) + 1
        return exercise.hint(self._hints[exercise.id])

    def solution(self, number: str) -> Note:
        """An answer to exercise `number`, explained. Others are as good."""
        return check.find(number).solution()

    def progress(self) -> None:
        """Print which of this lesson's exercises are solved; `python3 lab.py progress` shows all lessons."""
        print("\n".join(progress.read(self.settings).lines(self.number)))

    def warnings(self) -> None:
        """Print what the Kafka client has warned of since the kernel started; it writes nothing into cells itself."""
        lines = [line if times == 1 else f"{line}  ({times} times)" for line, times in _warnings.seen.items()]
        print("\n".join(lines) or "The Kafka client has not warned of anything.")


class _Warnings(logging.Handler):
    """Keeps what the client's and the lab's loggers warn of, from whatever thread, without printing it.

    A warning that comes again is counted: a missing topic alone makes ten a second. That the client's own thread was
    slow for a moment is left out: it says something about this machine only.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: dict[str, int] = {}
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "kafka.net.selector" and " ran for " in record.getMessage():
            return
        line = self.format(record)
        self.seen[line] = self.seen.get(line, 0) + 1
        if len(self.seen) > 100:
            del self.seen[next(iter(self.seen))]

    def attach(self) -> None:
        """Listen to the loggers `kafka` and `labsupport`; nothing of theirs reaches a cell."""
        for name in ("kafka", "labsupport"):
            logger = logging.getLogger(name)
            logger.propagate = False
            if self not in logger.handlers:
                logger.addHandler(self)


EXPLAINED = (NameError, KafkaError, TypeError, ValueError, RuntimeError, AttributeError, ImportError)


def _explain_errors() -> None:
    """In a notebook: below the client's errors stands what they mean and what to do.

    And a check whose function does not exist yet says that the cells above it come first.
    """
    from IPython import get_ipython

    def explain(shell: Any, kind: type, error: Exception, traceback: Any, tb_offset: int | None = None) -> None:
        if _open and (pid := _open[0]._taken):
            error.add_note(f"What it means: {_TAKEN.format(pid=pid)}. Go on there, or {AGAIN}.")
        elif isinstance(error, NameError):
            if re.search(rf"lab\.check\(.*\b{error.name}\b", extract_tb(traceback)[-1].line or ""):
                note = f"{error.name} does not exist yet: run the exercise's cell above this one, then this one again."
                error._render_traceback_ = lambda: [note]  # what IPython shows instead of the stack
        elif meaning := advice(error) or renamed.advice(error):
            error.add_note(f"What it means: {meaning}")
        shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)

    if shell := get_ipython():
        shell.set_custom_exc(EXPLAINED, explain)


_warnings = _Warnings()
_open: list[Lesson] = []  # the lesson of this kernel; at most one


def lesson(number: str) -> Lesson:
    """Open a lesson: Kafka up, this lesson's topics and groups gone, earlier clients of this kernel closed.

    `number` is the notebook's two digits, such as "05". Starts the lab's broker if it is not running (`LAB_KAFKA`
    names another Kafka) and removes what a killed kernel left behind. Raises LabError with the next step.
    """
    if not re.fullmatch("[0-9]{2}", str(number)):
        raise LabError(f"There is no lesson {number!r}.", "", 'give its two digits, such as lesson("00")')
    _warnings.attach()
    _explain_errors()
    close()
    settings = Settings.from_environment()
    processes.sweep(settings)
    mine = Lesson(number, connect(settings), settings)
    try:
        mine.clear()
    except BaseException:
        mine.close()
        raise
    if other := open_lessons.take(settings, number):
        print(f"Lesson {number} was open in another kernel (process {other}), and its topics are gone there, too.")
    _open.append(mine)
    kafka = f"Apache Kafka {kafka_version()}" if mine.embedded else f"Kafka at {mine.bootstrap}"
    print(f"Lesson {number}: {kafka} is up, topics emptied. Run your episode from its first cell.")
    return mine


@atexit.register
def close() -> None:
    """Close the clients of the lesson that is open in this kernel, if any."""
    while _open:
        mine = _open.pop()
        open_lessons.release(mine.settings, mine.number)
        mine.close()
