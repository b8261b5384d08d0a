"""Opening a lesson: `lab = lesson("00")`. The first cell of every notebook."""

import atexit
import logging
import logging.handlers
import re
from typing import Any

from labsupport.base import LabError, Settings
from labsupport.broker import background
from labsupport.broker.cluster import Cluster, connect
from labsupport.broker.jars import kafka_version


class Lesson(Cluster):
    """The cluster as one lesson sees it: its topics and groups carry the lesson's number."""

    def __init__(self, number: str, cluster: Cluster):
        super().__init__(
            cluster.bootstrap,
            prefix=cluster.prefix,
            embedded=cluster.embedded,
            deletes_topics=cluster.deletes_topics,
        )
        self.number = number

    @property
    def namespace(self) -> str:
        """What the names of this lesson's topics and groups begin with, such as `05-`."""
        return f"{self.prefix}{self.number}-"

    def topic(self, name: str, partitions: int = 1, **config: Any) -> str:
        """An empty topic of this lesson, made anew; returns its whole name. `config` as in `create_topic`."""
        return self.create_topic(self.namespace + name, partitions, **config)

    def group(self, name: str) -> str:
        """The whole name of a consumer group of this lesson; Kafka makes the group when the first member joins."""
        return self.namespace + name

    def clear(self) -> None:
        """Delete this lesson's topics and groups."""
        self.delete_groups(self.groups(self.namespace))
        self.delete_topics(self.topics(self.namespace))

    def warnings(self) -> None:
        """Print what the Kafka client has warned of since the kernel started; it writes nothing into cells itself."""
        lines = [line if times == 1 else f"{line}  ({times} times)" for line, times in _warnings.seen.items()]
        print("\n".join(lines) or "The Kafka client has not warned of anything.")


class _Warnings(logging.Handler):
    """Keeps what the client's and the lab's loggers warn of, from whatever thread, without printing it.

    A warning that comes again is counted: a missing topic alone makes ten a second.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: dict[str, int] = {}
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
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
    close()
    settings = Settings.from_environment()
    background.sweep(settings)
    opened = Lesson(number, connect(settings))
    try:
        opened.clear()
    except BaseException:
        opened.close()
        raise
    _open.append(opened)
    kafka = f"Apache Kafka {kafka_version()}" if opened.embedded else f"Kafka at {opened.bootstrap}"
    print(f"Lesson {number}: {kafka} is up, topics emptied. Run your episode from its first cell.")
    return opened


@atexit.register
def close() -> None:
    """Close the clients of the lesson that is open in this kernel, if any."""
    while _open:
        _open.pop().close()
