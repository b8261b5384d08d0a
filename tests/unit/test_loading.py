"""A learner's file as a module: whatever a Python file may do, and a sentence for each way it can fail."""

import pickle
import sys

import pytest

from labsupport.errors import LabError
from labsupport.learner_file import function_of, load

ANSWER = "def handle(event):\n    return 7\n"
DATED = """from __future__ import annotations
from dataclasses import dataclass, field

@dataclass
class Mail:
    to: str
    lines: list[str] = field(default_factory=list)

def handle(event):
    return Mail(event)
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file into the current folder; what is loaded is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def file(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    yield file
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_dataclass_with_annotations_that_are_not_evaluated(write):
    """Such a class looks up its own module while the file runs; what it makes can be pickled."""
    write("mails.py", DATED)
    mail = function_of("mails.py:handle")("anna")
    assert (mail.to, mail.lines) == ("anna", [])
    assert pickle.loads(pickle.dumps(mail)) == mail


def test_what_lies_beside_it_can_be_imported_now_and_later(write):
    """At the top of the file, and inside the function."""
    write("prices.py", "VAT = 19\n")
    write("texts.py", "HELLO = 'hello'\n")
    write("work/mails.py", "import prices_here\ndef handle(event):\n    import texts_here\n    return texts_here.A\n")
    write("work/prices_here.py", "A = 1\n")
    write("work/texts_here.py", "A = 2\n")
    assert function_of("work/mails.py:handle")(None) == 2


@pytest.mark.parametrize("name", ["kafka", "random", "queue", "json", "statistics", "antigravity"])
def test_a_file_named_like_a_module_does_not_replace_it(write, name):
    """Such as kafka.py: the client stays the client."""
    write(f"{name}.py", ANSWER)
    before = sys.modules.get(name)
    assert function_of(f"{name}.py:handle")(None) == 7
    assert sys.modules.get(name) is before


def test_the_file_is_read_anew_each_time(write):
    """Even right after a change that keeps its size."""
    for number in (7, 8, 9):
        write("mails.py", ANSWER.replace("7", str(number)))
        assert function_of("mails.py:handle")(None) == number


def test_main_does_not_run_and_the_file_knows_where_it_is(write):
    """As when it is imported."""
    path = write("mails.py", "if __name__ == '__main__':\n    raise SystemExit(3)\nHERE = __file__\n")
    assert str(path.resolve()) == load(path).HERE


@pytest.mark.parametrize("folder", ["a folder", "C:", "a:b"])
def test_a_colon_or_a_blank_in_the_path(write, folder):
    """The function's name comes behind the last one."""
    path = write(f"{folder}/mails.py", ANSWER)
    assert function_of(f"{path}:handle")(None) == 7
    with pytest.raises(LabError, match="Which function") as caught:
        function_of(str(path))
    assert caught.value.seen == "its functions: handle"


def test_from_another_folder_the_labs_own_is_looked_into(write, monkeypatch, tmp_path):
    """Which is where the paths of the lessons begin; the current one comes first."""
    write("checkout/work/mails.py", ANSWER)
    monkeypatch.setattr("labsupport.learner_file.CHECKOUT", tmp_path / "checkout")
    assert function_of("work/mails.py:handle")(None) == 7
    write("work/mails.py", ANSWER.replace("7", "8"))
    assert function_of("work/mails.py:handle")(None) == 8


@pytest.mark.parametrize(
    ("text", "name", "tried", "seen"),
    [
        (ANSWER, "mails.py", "Which function of mails.py?", "its functions: handle"),
        (ANSWER, "mails.py:", "Which function of mails.py?", "its functions: handle"),
        (ANSWER, "mails.py:handel", "mails.py has no function 'handel'", "its functions: handle"),
        (ANSWER, "nowhere.py:handle", "no Python file 'nowhere.py'", "looked for in"),
        (ANSWER, "handle", "no Python file 'handle'", "looked for in"),
        (ANSWER, "", "no Python file ''", "looked for in"),
        ("HANDLE = 7\n", "mails.py:HANDLE", "has no function 'HANDLE'", "none"),
        ("raise SystemExit(3)", "mails.py:handle", "cannot be run", "SystemExit: 3"),
        ("import sys\nsys.exit('bye')", "mails.py:handle", "cannot be run", "SystemExit: bye"),
        ("x = 1\nraise ValueError('no')", "mails.py:handle", "cannot be run", "ValueError: no (mails.py, line 2)"),
        ("def handle(:\n", "mails.py:handle", "cannot be run", "mails.py, line 1"),
        ("import nothing_like_it", "mails.py:handle", "cannot be run", "No module named 'nothing_like_it'"),
        ("\x00", "mails.py:handle", "cannot be run", "null bytes"),
    ],
)
def test_what_cannot_be_is_a_sentence(write, text, name, tried, seen):
    """What was looked for, what is there, what to type."""
    write("mails.py", text)
    with pytest.raises(LabError) as caught:
        function_of(name)
    assert tried in caught.value.tried
    assert seen in caught.value.seen
    assert "mails" not in sys.modules or text.startswith(("def handle(e", "HANDLE"))


def test_a_file_that_failed_can_be_mended_and_loaded(write):
    """Nothing of the first attempt is left."""
    write("mails.py", "import nothing_like_it\n")
    with pytest.raises(LabError):
        function_of("mails.py:handle")
    write("mails.py", ANSWER)
    assert function_of("mails.py:handle")(None) == 7
