"""Opens a lesson: `lab = lesson("00")`, the first cell of every notebook."""

import atexit
import logging
import logging.handlers
import os
import re
from pathlib import Path
from traceback import extract_tb
from typing import Any

from kafka.errors import KafkaError

from labsupport import old_names
from labsupport.broker import background, processes
from labsupport.broker.advice import advice
from labsupport.broker.cluster import Cluster, connect
from labsupport.broker.jars import kafka_version
from labsupport.broker.session_limit import for_short_sessions
from labsupport.console import note
from labsupport.course import board, check, copies, open_lessons, progress
from labsupport.course.exercise import Note
from labsupport.course.lab import Lab
from labsupport.course.submission import in_words
from labsupport.course.verdict import Verdict
from labsupport.errors import LabError
from labsupport.experiments.breaking import forkserver
from labsupport.settings import Settings

SHORT_SESSIONS = ("05", "06", "08", "14")  # lessons with `lab.members()`, which have sessions of 1 to 3 s
FOR_OPERATORS = ("17",)  # lessons that list and end transactions, also those of others
AGAIN = "run the first code cell of this lesson here again"
_TAKEN = "this lesson was opened in another kernel (process {pid}), which emptied its topics"


class Lesson(Lab):
    """A lab with exercises: what `lesson()` opens in a notebook."""

    def __init__(self, number: str, cluster: Cluster, settings: Settings):
        super().__init__(number, cluster, settings)
        self._hints: dict[str, int] = {}  # how many of each exercise's hints were shown
        self._board = board.Board(settings) if board.is_on(settings) and not self.embedded else None

    @property
    def is_open(self) -> bool:
        """Whether clients can still be made: not after another lesson is opened here, or this one in another kernel."""
        return self._open and not self._taken

    @property
    def _taken(self) -> int | None:
        """The pid of the kernel that has opened this lesson since, if any."""
        return open_lessons.taken(self.settings, self.number) if self in _open else None

    def _connect(self, kind: str, *topics: str, **settings: Any) -> Any:
        if pid := self._taken:
            raise LabError(f"Could not make a {kind}.", _TAKEN.format(pid=pid), "go on there, or " + AGAIN)
        return super()._connect(kind, *topics, **settings)

    def predict(self, number: str, value: Any = ...) -> None:
        """Store your prediction, such as `lab.predict("02a", 3)`; `measured` shows it beside the result."""
        progress.require_prediction(number)
        if value is ...:
            earlier = progress.read(self.settings).predictions.get(number)
            said = "none (that is fine; or put one in place of the three dots)"
            print(f"Prediction {number}: {said if earlier is None else f'{earlier}, as you said before'}")
        else:
            progress.predict(self.settings, number, in_words(value))
            print(f"Prediction {number}: {in_words(value)}")

    def measured(self, number: str, value: Any) -> None:
        """Print the result of an experiment beside your prediction."""
        progress.require_prediction(number)
        predicted = progress.read(self.settings).predictions.get(number, "–")
        print(f"{number} · predicted: {predicted} · measured: {in_words(value)}")

    def check(self, number: str, answer: Any) -> Verdict:
        """The verdict on your answer to exercise `number`. Never raises; stops your code if it does not end."""
        verdict = check.check(number, answer, self)
        try:
            progress.remember(self.settings, verdict)
        except LabError as error:
            print(f"`lab.progress()` will not show this: {error}")
        if self._board:
            self._board.tell(verdict)
        return verdict

    def close(self) -> None:
        """Close every client made here; no more can be made."""
        if self._board:
            self._board.close()
        super().close()

    def file(self, number: str) -> Path:
        """The file for your answer to exercise `number`; creates it with the exercise's stub if it does not exist."""
        exercise = check.find(number)
        path, made = copies.answer_file(exercise, self.settings.home)
        new = f"is new: {'write your code there' if exercise.is_code else 'fill it in'}"
        print(f"{path.name} {new if made else 'exists, as you left it: continue there'}, then check.")
        return path

    def solved(self, number: str) -> Path | None:
        """Your file for exercise `number` if you solved it, else None. Raises LabError if its answer is not a file."""
        path = copies.answer_path(check.find(number), self.settings.home)
        solved = progress.read(self.settings).exercises.get(number) == "solved"
        return path if solved and path.is_file() else None

    def hint(self, number: str) -> Note:
        """The next hint for exercise `number`; each call returns one more."""
        exercise = check.find(number)
        self._hints[exercise.id] = self._hints.get(exercise.id, 0) + 1
        return exercise.hint(self._hints[exercise.id])

    def solution(self, number: str) -> Note:
        """An answer to exercise `number`, explained. Others may be as good."""
        return check.find(number).solution()

    def progress(self) -> None:
        """Print which exercises of this lesson are solved; `python3 lab.py progress` shows all lessons."""
        print("\n".join(progress.read(self.settings).lines(self.number)))

    def warnings(self, about: str = "") -> None:
        """Print the Kafka client's warnings since the kernel started; it does not print them into cells.

        With `about` only those that contain it, without how often each came.
        """
        lines = [
            line if about or times == 1 else f"{line}  ({times} times)"
            for line, times in _warnings.seen.items()
            if about in line
        ]
        print("\n".join(lines) or f"The Kafka client has not issued any {'such ' if about else ''}warnings.")


class _Warnings(logging.Handler):
    """Keeps the warnings of the client and the lab, from any thread, without printing them.

    Repeated warnings are counted: a missing topic alone causes ten a second. Warnings that the client's own thread was
    slow are left out, because they concern only this machine.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: dict[str, int] = {}
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        if record.name == "kafka.net.selector" and " ran for " in said:
            return
        if "password in the clear" in said and not os.environ.get("LAB_KAFKA_CONFIG"):  # it stays on this machine
            return
        line = self.format(record)
        self.seen[line] = self.seen.get(line, 0) + 1
        if len(self.seen) > 100:
            del self.seen[next(iter(self.seen))]

    def attach(self) -> None:
        """Listen to the loggers of the clients and of the lab, and keep their output out of cells."""
        for name in ("kafka", "aiokafka", "labsupport"):
            logger = logging.getLogger(name)
            logger.propagate = False
            if self not in logger.handlers:
                logger.addHandler(self)


EXPLAINED = (NameError, KafkaError, TypeError, ValueError, RuntimeError, AttributeError, ImportError)


def _explain_errors() -> None:
    """In a notebook, add to the client's errors what they mean and what to do.

    And say for a check of an undefined function that its cell must run first.
    """
    from IPython import get_ipython

    def explain(shell: Any, kind: type, error: Exception, traceback: Any, tb_offset: int | None = None) -> None:
        if _open and (pid := _open[0]._taken):
            error.add_note(f"What it means: {_TAKEN.format(pid=pid)}. Go on there, or {AGAIN}.")
        elif isinstance(error, NameError):
            if re.search(rf"lab\.check\(.*\b{error.name}\b", extract_tb(traceback)[-1].line or ""):
                note = f"{error.name} does not exist yet: run the exercise's cell above this one, then this one again."
                vars(error)["_render_traceback_"] = lambda: [note]  # what IPython shows instead of the stack
        elif meaning := advice(error) or old_names.advice(error):
            error.add_note(f"What it means: {meaning}")
        shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)

    if shell := get_ipython():
        shell.set_custom_exc(EXPLAINED, explain)


_warnings = _Warnings()
_open: list[Lesson] = []  # this kernel's lesson; at most one


def lesson(number: str) -> Lesson:
    """Open a lesson: start Kafka, delete the lesson's topics and groups, and close this kernel's earlier clients.

    `number` is the notebook's two digits, such as "05". Starts the lab's broker if it is not running (`LAB_KAFKA`
    names another Kafka, where your earlier lessons are cleared, too), and removes what a killed kernel left behind.
    Raises LabError with the next step.
    """
    if not re.fullmatch("[0-9]{2}", str(number)):
        raise LabError(f"There is no lesson {number!r}.", "", 'give its two digits, such as lesson("00")')
    _warnings.attach()
    _explain_errors()
    again = any(each.number == number for each in _open)
    close()
    settings = Settings.from_environment()
    processes.sweep(settings)
    if number in SHORT_SESSIONS:
        settings = for_short_sessions(settings)
    if number in FOR_OPERATORS and not settings.embedded:
        note("This lesson does what operators may: it runs on a broker of the lab's own, on this computer.")
        settings = settings.on_own_broker()
    mine = Lesson(number, connect(settings), settings)
    try:
        mine.clear()
        if not mine.embedded:
            mine.clear_others(open_lessons.elsewhere(settings))
    except BaseException:
        mine.close()
        raise
    if other := open_lessons.take(settings, number):
        print(f"Lesson {number} was open in another kernel (process {other}), and its topics are gone there, too.")
    _open.append(mine)
    mine.start_spare()
    where = f"Apache Kafka {kafka_version()} is running on this computer"
    kafka = where if mine.embedded else f"Kafka is running at {mine.bootstrap}"
    go_on = "Run your episode again from its first cell." if again else "Go on with the next cell."
    print(f"Lesson {number} is ready: {kafka}, and this lesson's topics are empty. {go_on}")
    if mine._board:
        print(board.TOLD)
    return mine


@atexit.register
def close() -> None:
    """Close the clients of this kernel's open lesson, if any, and end its fork server and its spare broker."""
    forkserver.close_shared()
    background.end_spare()
    while _open:
        mine = _open.pop()
        open_lessons.release(mine.settings, mine.number)
        mine.close()
