"""What goes into another process, and the name of what does not."""

import functools
import pickle
import sqlite3
import sys
import threading

import cloudpickle
import pytest

from labsupport import learner_file
from labsupport.broker.cluster import Cluster
from labsupport.errors import UnpicklableError
from labsupport.experiments.breaking import pickling

FILE = """
import threading
lock, counted = threading.Lock(), (each for each in range(9))

def first():
    return next(counted)

def second():
    with lock:
        return next(counted)

class Counts:
    def __call__(self):
        return next(counted)

counts = Counts()
"""
lock, condition = threading.Lock(), threading.Condition()
database = sqlite3.connect(":memory:", check_same_thread=False)


@pytest.fixture(autouse=True)
def as_a_cell():
    """What this module defines is pickled by value, as what a notebook's cell defines."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_a_lock_is_a_new_one():
    """Whatever holds it here; and two names of one lock stay one."""
    also = lock

    def free():
        with also, condition:
            return lock.locked()

    with lock:
        packed = pickling.dumps(free, "free")
    assert pickle.loads(packed)() is True


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A learner's file, loaded; forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "counts.py"
    path.write_text(FILE)
    yield learner_file.load(path)
    sys.modules.pop("counts", None)


def test_a_file_runs_again_where_its_objects_cannot_go(module):
    """Once for a call: its functions, and the instances of its classes, share what it makes there."""
    assert module.first() == 0
    packed = pickling.dumps((module.first, module.second, module.counts), "three")
    first, second, counts = pickle.loads(packed)
    assert [first(), second(), counts()] == [0, 1, 2]
    assert module.first() == 1


def test_a_file_runs_again_as_it_was_loaded(module, tmp_path):
    """Not as it was changed meanwhile."""
    (tmp_path / "counts.py").write_text("def first():\n    return 7\n")
    assert pickle.loads(pickling.dumps(module.first, "first"))() == 0


def test_a_file_that_opens_a_lesson_does_not_run_again(module):
    """That would empty the lesson's topics."""
    module.lab = object.__new__(Cluster)
    with pytest.raises(UnpicklableError, match="`counted`, a generator"):
        pickling.dumps(module.first, "first")


def in_a_closure(made):
    """A function that uses `made` by that name."""
    return lambda: made


def as_a_default(made=database):
    """A function with a default argument."""
    return made


def calls_another():
    """A function that uses it through another one, in a lambda."""
    return sorted("a", key=lambda _: as_a_global())


def as_a_global():
    """A function that uses a name outside."""
    return database.execute("SELECT 1")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (as_a_global, "`database`, a Connection"),
        (calls_another, "`database`, a Connection"),
        (as_a_default, "`made`, a Connection"),
        (in_a_closure(database), "`made`, a Connection"),
        (in_a_closure({"a": [iter(())], "b": (each for each in "ab")}), "`made`, a generator"),
        (functools.partial(print, database), "a Connection"),
        ((print, (1, database)), "a Connection"),
    ],
    ids=["global", "in another function", "default", "closure", "in a dict", "partial", "argument"],
)
def test_what_does_not_go_is_named(value, named):
    """As the learner's code calls it; an argument has no name there."""
    with pytest.raises(UnpicklableError) as caught:
        pickling.dumps(value, "consume")
    assert caught.value.tried == "consume cannot be taken into another process."
    assert f"it uses {named}, which only this process has" in caught.value.seen
    assert "inside the function" in caught.value.next_step


def test_what_fails_in_its_own_way_is_named_too():
    """Whatever a learner's class raises when it is pickled."""

    class Odd:
        def __reduce__(self):
            raise ValueError("odd")

    with pytest.raises(UnpicklableError, match="`made`, an Odd, which only this process has"):
        pickling.dumps(in_a_closure(Odd()), "consume")
