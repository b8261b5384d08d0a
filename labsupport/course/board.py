"""What a learner of a class tells the teacher's board: which exercise was checked, how that ended, and when; no code.

It goes to the compacted topic `lab-<name>-progress`, where only this learner can write. `LAB_BOARD=off` stops it.
"""

import json
import os
from collections.abc import Mapping

from kafka import KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from labsupport.broker.clients import Clients
from labsupport.course.verdict import Outcome, Verdict
from labsupport.errors import LabError
from labsupport.settings import Settings

TOPIC = "progress"
# The broker's clock, because the teacher compares learners; compacted, so that it stays as small as the course.
FORM = {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}
SENT = (Outcome.PASS, Outcome.TRY_AGAIN, Outcome.ERROR)
TOLD = (
    "Your teacher's board shows which exercises you check, how each check ends, and when; not your code. "
    "To stop that, set LAB_BOARD=off and restart the kernel."
)


def is_on(settings: Settings, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a board: on a class's Kafka, unless the learner has switched it off."""
    of_class = settings.secured is not None and settings.secured.learner == settings.learner
    return of_class and environ.get("LAB_BOARD", "").strip().lower() not in ("off", "no", "0")


def topic_of(learner: str) -> str:
    """Return the topic of a learner's outcomes."""
    return f"lab-{learner}-{TOPIC}"


class Board:
    """Sends outcomes. What goes wrong is never a matter of the exercise, so nothing is raised."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self._clients: Clients | None = None
        self._producer: KafkaProducer | None = None

    def tell(self, verdict: Verdict) -> None:
        """Send how a check ended, if it was a matter of the answer."""
        if verdict.outcome not in SENT:
            return
        try:
            value = json.dumps({"outcome": verdict.outcome.value}).encode()
            sending = self._connected().send(topic_of(self.settings.learner), value, verdict.exercise.encode())
            sending.get(timeout=5)
        except (LabError, KafkaError):
            self.close()

    def _connected(self) -> KafkaProducer:
        if self._producer is None:
            self._clients = Clients(self.settings.connection)
            self._make_topic(self._clients)
            self._producer = self._clients.producer(name="lab-board")
        return self._producer

    def _make_topic(self, clients: Clients) -> None:
        name = topic_of(self.settings.learner)
        try:
            clients.admin().create_topics([NewTopic(name, 1, -1, topic_configs=FORM)])
        except TopicAlreadyExistsError:
            return
        clients.admin().wait_for_topics([name])

    def close(self) -> None:
        """Close its clients; the next outcome makes others."""
        if self._clients is not None:
            self._clients.close()
        self._clients = self._producer = None
