"""`lab.check` where things go wrong that are not the answer's content: the broker, the kernel, the id."""

import contextlib
import dataclasses
import threading
from pathlib import Path

import pytest
from kafka.errors import KafkaTimeoutError

from labsupport import lesson
from labsupport.broker import processes
from labsupport.course import exercises, progress, session
from labsupport.course import judging as course_judging
from labsupport.course.stall import Busy, Machine
from labsupport.course.submission import Failed, TryAgain
from labsupport.course.verdict import MIME, Outcome
from labsupport.errors import LabError
from labsupport.experiments.breaking import faults

ALL = list(exercises.by_id().values())


@pytest.fixture
def opened(own_home):
    """A lesson of no notebook."""
    yield lesson("98")
    session.close()


@pytest.fixture
def breakable(elsewhere):
    """A lesson with a broker of its own, which the test may stop."""
    yield lesson("98")
    session.close()


def reference(number):
    """The reference answer of an exercise, as a function, or as a text."""
    exercise = exercises.by_id()[number]
    if not exercise.is_code:
        return exercise.reference
    names = {}
    exec("import json\nfrom decimal import Decimal\n" + exercise.reference, names)
    return names[exercise.function]


def test_a_killed_broker_is_not_the_learners_fault(breakable, elsewhere):
    """Every check says LAB DOWN and what to run; the first cell then brings it back, and the check passes."""
    (broker,) = processes.running(elsewhere)[:1]
    broker.process.kill()
    for exercise in ALL:
        verdict = breakable.check(exercise.id, reference(exercise.id))
        assert verdict.outcome is Outcome.LAB_DOWN
        assert "Not your fault" in verdict.says
        assert "run the first code cell of this lesson again" in verdict.look_at
    assert progress.read(elsewhere).exercises == {}
    again = lesson("98")
    assert again.check("00-1", reference("00-1")).passed
    assert progress.read(elsewhere).exercises == {"00-1": "solved"}


def test_a_frozen_broker_is_not_the_learners_fault(breakable):
    """It listens and does not answer."""
    with faults.paused(breakable.broker()):
        assert breakable.check("00-1", reference("00-1")).outcome is Outcome.LAB_DOWN
    assert breakable.check("00-1", reference("00-1")).passed


def test_a_broker_that_dies_while_the_answer_runs(breakable, elsewhere):
    """The learner's function is running when the broker goes."""

    def key_of(event):
        for each in processes.running(elsewhere):
            each.process.kill()
        return b"ORD-123"

    assert breakable.check("02-2", key_of).outcome is Outcome.LAB_DOWN


def test_a_closed_lesson_says_which_cell_to_run(opened):
    """Two notebooks on one kernel."""
    opened.close()
    verdict = opened.check("00-1", reference("00-1"))
    assert verdict.outcome is Outcome.LAB_DOWN
    assert "opening another one" in verdict.seen


def test_an_answer_that_deletes_the_topic_is_told_so(opened):
    """The check works on a topic of its own, and it is gone."""

    def key_of(event):
        opened.delete_topics(opened.topics(opened.namespace))
        return event.event_id.encode()

    verdict = opened.check("02-2", key_of)
    assert verdict.outcome is Outcome.TRY_AGAIN
    assert "The topic of the check is gone" in verdict.says


# A machine that stands still


@pytest.fixture
def seen(monkeypatch):
    """`seen(first, second)` are the stalls (s) that the witness sees while an answer is judged once, and once more."""

    def see(*stalls):
        left = [*stalls]

        @contextlib.contextmanager
        def witness(machine=None):
            watching = machine or Machine()  # an answer's clock has one of its own
            yield watching
            watching.watched += 10.0
            if machine is None:
                watching.worst = left.pop(0)

        monkeypatch.setattr(course_judging.stall, "witness", witness)
        return left

    return see


def judging(*outcomes):
    """An exercise whose judge raises these in turn, or returns them."""
    left = [*outcomes]

    def judge(answer, lab):
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return dataclasses.replace(exercises.by_id()["00-1"], judge=judge), left


SLOW = LabError("Waited 15 s for B to be let in.", "it did not happen")


@pytest.mark.parametrize(
    ("outcomes", "stalls", "outcome", "says"),
    [
        ([TryAgain(says="Too late.", timed=True)], [0.0], Outcome.TRY_AGAIN, "Too late."),
        ([TryAgain(says="Too late.", timed=True)] * 2, [1.8, 1.8], Outcome.LAB_BUSY, "stood still for 1.8 s while"),
        ([TryAgain(says="Too late.", timed=True)] * 2, [1.8, 0.0], Outcome.TRY_AGAIN, "Too late."),
        ([TryAgain(says="Too late.", timed=True), "Right."], [1.8, 0.0], Outcome.PASS, "Right."),
        ([TryAgain(says="Too late.", timed=20.0)], [1.8], Outcome.TRY_AGAIN, "Too late."),
        ([TryAgain(says="Too late.", timed=2.0)] * 2, [1.8, 1.8], Outcome.LAB_BUSY, "stood still"),
        ([TryAgain(says="Wrong order.")], [9.0], Outcome.TRY_AGAIN, "Wrong order."),
        ([Failed(says="It raised KafkaTimeoutError", timed=True)] * 2, [9.0] * 2, Outcome.LAB_BUSY, "stood still"),
        ([SLOW], [0.0], Outcome.LAB_DOWN, "did not answer in time"),
        ([SLOW] * 2, [1.8, 1.9], Outcome.LAB_BUSY, "stood still for 1.9 s while offset_of was judged, twice"),
        ([SLOW, "Right."], [1.8, 0.0], Outcome.PASS, "Right."),
        ([KafkaTimeoutError()] * 2, [1.8, 1.8], Outcome.LAB_BUSY, "stood still"),
        ([ZeroDivisionError()], [9.0], Outcome.ERROR, "bug of the lab"),
        ([Busy(while_="B was starting", seconds=2.34)], [9.0], Outcome.LAB_BUSY, "2.3 s while B was starting"),
    ],
)
def test_a_machine_that_stands_still_is_no_wrong_answer(opened, seen, outcomes, stalls, outcome, says):
    """A time-dependent verdict is judged once more, and then withheld; every other verdict stands."""
    exercise, left = judging(*outcomes)
    not_seen = seen(*stalls)
    verdict = course_judging.judged(exercise, reference("00-1"), opened)
    assert (verdict.outcome, left, not_seen) == (outcome, [], [])
    assert says in repr(verdict)
    assert "Too late" not in repr(verdict) or outcome is Outcome.TRY_AGAIN


def test_an_exercise_without_a_topic_accuses_nobody_of_deleting_it(opened):
    """Though the topic is not there, and Kafka did not answer in time."""
    exercise, _ = judging(SLOW)
    opened.check("02-1", ...)  # an earlier check had one
    verdict = course_judging.judged(exercise, reference("00-1"), opened)
    assert "is gone" not in verdict.says


class EvilRepr:
    def __repr__(self):
        raise ValueError


@pytest.mark.parametrize(
    "number", [EvilRepr(), "2-1", "021", "ex-02-1", " 02-1", "", None, 2.1, lambda: None, object()]
)
def test_an_unknown_id_names_the_near_ones(opened, number):
    """`check` does not raise; `hint` and `solution` do, with the same words."""
    verdict = opened.check(number, reference("00-1"))
    assert verdict.outcome is Outcome.ERROR
    assert "There is no exercise" in verdict.says
    assert "0" in verdict.seen
    assert 'lab.check("0' in verdict.look_at
    for command in (opened.hint, opened.solution):
        with pytest.raises(LabError, match="There is no exercise"):
            command(number)


def test_id_and_function_in_the_wrong_order(opened):
    """A common slip."""
    verdict = opened.check(reference("00-1"), "00-1")
    assert verdict.outcome is Outcome.ERROR
    assert "the id comes first, then your function" in verdict.look_at


def test_where_nothing_can_be_cut_off_a_pass_says_so(opened):
    """In a thread there is no alarm."""
    found = []
    thread = threading.Thread(target=lambda: found.append(opened.check("00-1", reference("00-1"))))
    thread.start()
    thread.join(300)
    assert found[0].passed
    assert "There is no alarm here" in found[0].says


def test_progress_that_cannot_be_kept_does_not_stop_a_check(breakable, elsewhere, capsys):
    """The verdict comes all the same, with a sentence about the file."""
    (elsewhere.home / "progress.json").mkdir()
    (elsewhere.home / "progress.damaged.json").mkdir()
    (elsewhere.home / "progress.damaged.json" / "full").touch()
    assert breakable.check("00-1", reference("00-1")).passed
    assert "`lab.progress()` will not show this" in capsys.readouterr().out


def test_predictions_stand_beside_what_is_measured(opened, capsys):
    """Unanswered, answered, answered again, and in a lesson opened later."""
    opened.predict("02a", ...)
    opened.measured("02a", 3)
    opened.predict("02a", "about 4")
    opened.measured("02a", 3)
    lesson("98").predict("02a", ...)
    lines = capsys.readouterr().out.splitlines()
    assert "Prediction 02a: none (that is fine; or put one in place of the three dots)" in lines
    assert "02a · predicted: – · measured: 3" in lines
    assert "02a · predicted: about 4 · measured: 3" in lines
    assert "Prediction 02a: about 4, as you said before" in lines
    with pytest.raises(LabError, match="There is no prediction '2a'"):
        opened.predict("2a", 3)
    with pytest.raises(LabError, match="There is no prediction 2"):
        opened.measured(2, 3)


SETUP = 'from labsupport import lesson; lab = lesson("98")'


def test_in_a_kernel_an_answer_that_calls_exit_does_not_end_it(own_home, kernel):
    """`exit()` and `quit()` of IPython, and sys.exit; afterwards `exit` is what it was."""
    notebook = kernel()
    notebook.run(SETUP)
    for call in ("exit()", "quit()", "import sys; sys.exit()"):
        printed = notebook.run(f"def f(nth):\n    {call}\nprint(lab.check('00-1', f))")
        assert "Your code called exit()" in printed
    assert notebook.run("print(6 * 7, 'ask_exit' in get_ipython().__dict__)") == "42 False\n"


def test_in_a_kernel_an_endless_answer_is_cut_off_and_the_kernel_lives(own_home, kernel):
    """With the line of its cell, counted within the cell."""
    notebook = kernel()
    notebook.run(SETUP)
    printed = notebook.run("def f(nth):\n    while True:\n        nth += 1\nprint(lab.check('00-1', f))")
    assert "Your code had not ended" in printed
    assert "line 2: while True:" in printed or "line 3: nth += 1" in printed
    assert notebook.run("print(6 * 7)") == "42\n"


def test_a_check_before_its_cells_says_which_to_run(own_home, kernel):
    """Instead of a bare NameError; other NameErrors stay as they are."""
    notebook = kernel()
    notebook.run(SETUP)
    assert "offset_of does not exist yet: run the exercise's cell" in notebook.run('lab.check("00-1", offset_of)')
    assert "NameError" in notebook.run("offset_of(1)")
    assert "does not exist yet" not in notebook.run("offset_of(1)")


def test_a_notebook_gets_all_three_forms(own_home, kernel):
    """Text, HTML and the one for programs in one output."""
    notebook = kernel()
    notebook.run(SETUP)
    outputs = []
    notebook.client.execute_interactive(
        'lab.check("00-1", lambda nth: nth - 1)',
        timeout=300,
        output_hook=lambda message: outputs.append(message["content"].get("data")),
    )
    data = next(each for each in outputs if each and MIME in each)
    assert data[MIME]["outcome"] == "PASS"
    assert data["text/plain"].startswith("PASS 00-1 · ")
    assert "var(--jp-success-color1" in data["text/html"]


# Answers that are files


@pytest.fixture
def sender(tmp_path):
    """`sender(code)` writes the learner's file and gives its path."""

    def write(code: str | bytes) -> Path:
        path = tmp_path / "sender.py"
        path.write_bytes(code if isinstance(code, bytes) else code.encode())
        return path

    return write


def test_a_file_is_made_once_and_stays(opened, tmp_path, monkeypatch, capsys):
    """Beside the notebook; what the learner wrote is never overwritten. Only for exercises whose answer is a file."""
    monkeypatch.chdir(tmp_path)
    path = opened.file("03-2")
    assert path == tmp_path / "sender.py"
    assert "sender.py is new" in capsys.readouterr().out
    verdict = opened.check("03-2", path)
    assert verdict.outcome is Outcome.NOT_ATTEMPTED
    assert verdict.says == "Write your code in sender.py, save it, then run this cell."
    path.write_text(exercises.by_id()["03-2"].reference)
    assert opened.file("03-2") == path
    assert "as you left it" in capsys.readouterr().out
    assert opened.check("03-2", str(path)).passed
    with pytest.raises(LabError, match="is not a file"):
        opened.file("03-1")


def test_a_solved_file_can_be_used_in_later_lessons(opened, tmp_path, monkeypatch):
    """Its path, as soon as it has passed and as long as it is there."""
    monkeypatch.chdir(tmp_path)
    assert opened.solved("03-2") is None
    path = opened.file("03-2")
    path.write_text(exercises.by_id()["03-2"].reference)
    assert opened.check("03-2", path).passed
    assert opened.solved("03-2") == path
    path.unlink()
    assert opened.solved("03-2") is None
    with pytest.raises(LabError, match="is not a file"):
        opened.solved("03-1")


@pytest.mark.parametrize(
    ("code", "outcome", "phrase"),
    [
        ("def send_all(producer, topic, values, limit) return", Outcome.ERROR, "SyntaxError"),
        (b"\xff\xfe", Outcome.ERROR, "SyntaxError"),
        ("import no_such_module", Outcome.ERROR, "no_such_module"),
        ("def sendall(producer, topic, values, limit):\n    return []", Outcome.TRY_AGAIN, "has no function send_all"),
        ("", Outcome.TRY_AGAIN, "has no function send_all"),
        ("import sys\nsys.exit(3)", Outcome.ERROR, "exit()"),
        ("import os\nos._exit(3)", Outcome.ERROR, "exit code 3"),
        ("def send_all(p, t, v, l):\n    import os\n    os._exit(0)", Outcome.ERROR, "exit code 0"),
        ("while True:\n    pass", Outcome.ERROR, "had not ended"),
        ("print('x' * 1_000_000)", Outcome.TRY_AGAIN, "has no function"),
        ("send_all = 3", Outcome.TRY_AGAIN, "not a function"),
    ],
)
def test_a_file_that_is_no_answer_gets_a_sentence(opened, sender, code, outcome, phrase):
    """Whatever is in it, and whatever it does to its process: the kernel lives, nothing is left running."""
    verdict = opened.check("03-2", sender(code))
    assert verdict.outcome is outcome, verdict
    assert phrase in repr(verdict)
    assert len(repr(verdict)) < 3_000


@pytest.mark.parametrize("value", ["no/such/file.py", "/", 3, None, print])
def test_what_is_no_path_is_told_what_is(opened, value):
    """It says how the file is made."""
    verdict = opened.check("03-2", value)
    assert verdict.outcome is Outcome.TRY_AGAIN
    assert 'lab.file("03-2")' in verdict.look_at
    assert opened.check("03-2", ...).outcome is Outcome.NOT_ATTEMPTED


def test_a_file_knows_nothing_of_the_notebook(opened, sender):
    """The line and the file in which it raised are named; names of the kernel are not there."""
    verdict = opened.check("03-2", sender("def send_all(producer, topic, values, limit):\n    return Outcome.PASS\n"))
    assert "NameError: name 'Outcome' is not defined" in verdict.says
    assert verdict.where == "line 2: return Outcome.PASS"


def test_a_file_while_kafka_is_away(breakable, sender, elsewhere):
    """Not the learner's fault."""
    processes.stop(processes.running(elsewhere))
    assert breakable.check("03-2", sender("")).outcome is Outcome.LAB_DOWN
