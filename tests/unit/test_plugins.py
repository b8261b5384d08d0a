"""What the suite says of itself: the order of a run, where its time went, and what it skips because it passed."""

import os
import re
import subprocess
import sys

import longest_first
import pytest
import time_spent

from labsupport.settings import CHECKOUT


def test_long_scopes_come_first_and_short_ones_keep_their_order():
    """A notebook or a set-up of which nothing is known counts as long; what is one file stays together."""
    owners = "tests/kafka/test_owners.py::"
    seconds = {owners + "slow": 60.0, owners + "slower": 70.0, "notebooks/05.ipynb": 65.0, "tests/a.py": 4.0}
    items = [
        "tests/a.py::quick", owners + "slow", "notebooks/05.ipynb::Cell 0", "notebooks/05.ipynb::Cell 1",
        "tests/b.py::new", owners + "slower", "notebooks/06.ipynb::Cell 0", "tests/test_bootstrap.py::new",
    ]  # fmt: skip
    assert sorted(items, key=lambda each: longest_first.rank(seconds, each)) == [
        "tests/test_bootstrap.py::new", owners + "slower", "notebooks/05.ipynb::Cell 0", "notebooks/05.ipynb::Cell 1",
        owners + "slow", "notebooks/06.ipynb::Cell 0", "tests/a.py::quick", "tests/b.py::new",
    ]  # fmt: skip


def test_each_guess_is_about_a_scope_that_there_is():
    """A pattern that is found nowhere has lost its file or its test, which then comes last and runs alone."""
    scopes = {path.name: path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "notebooks").glob("*.ipynb")}
    for path in (CHECKOUT / "tests").rglob("test_*.py"):
        for test in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            nodeid = f"{path.relative_to(CHECKOUT).as_posix()}::{test}[each]"
            scopes[nodeid] = longest_first.scope(nodeid)
    for pattern in longest_first.UNKNOWN:
        assert any(re.search(pattern, each) for each in scopes.values()), pattern


def test_one_worker_runs_what_shares_something_dear():
    """A file's lesson, broker or bundle; each registry is started once, and the two by two workers."""
    assert longest_first.scope("tests/kafka/test_members.py::a") == longest_first.scope(
        "tests/kafka/test_members.py::b"
    )
    assert longest_first.scope("tests/kafka/test_owners.py::a") != longest_first.scope("tests/kafka/test_owners.py::b")
    assert all(list((CHECKOUT / "tests").rglob(name)) for name in longest_first.SPLIT)
    module = "tests/kafka/test_registry.py"
    assert longest_first.scope(f"{module}::test_levels[lab]") == longest_first.scope(f"{module}::test_avro[lab-a-b]")
    assert longest_first.scope(f"{module}::test_levels[lab]") != longest_first.scope(f"{module}::test_levels[apicurio]")


def test_every_test_file_is_of_a_kind_and_every_kind_has_tests():
    """A pattern that matches nothing has lost its file."""
    files = [path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "tests").rglob("test_*.py")]
    files += [path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "notebooks").glob("*.ipynb")]
    files.append("tests/test_notebooks.py::test_with_the_reference_answers_every_check_passes[00_start_here]")
    assert {time_spent.kind(file) for file in files} == set(time_spent.KINDS)


def test_the_account_is_ten_lines_at_most_below_its_head():
    """The most expensive first; what workers and processors did not do."""
    spent = {name: time_spent.Spent(2, 10.0 * number, 5.0) for number, name in enumerate(time_spent.KINDS, start=1)}
    lines = time_spent.table(spent, elapsed=1000, workers=1, idle=0.02)
    assert len(lines) == 12
    assert lines[1].split()[-3:] == ["2", "100", "5"]
    assert "1 worker idle 45%" in lines[-1]
    assert lines[-1].endswith("processors 2%")


FILE = """
import os, pytest
@pytest.mark.proven_by("needed/*.txt")
def test_long(): assert "FAILS" not in os.environ
"""


@pytest.fixture
def suite(tmp_path):
    """`suite(…)` runs a suite of one test with the plugin, and returns how it ended."""
    for name, text in {
        "test_it.py": FILE, "conftest.py": "", "tests/conftest.py": "", "needed/a.txt": "a", "pytest.ini": "[pytest]",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def run(**environment: str) -> str:
        kept = {name: value for name, value in os.environ.items() if name != "CI"}
        alone = {"PYTHONPATH": str(CHECKOUT / "tests" / "plugins"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "unchanged", "test_it.py"],
            cwd=tmp_path,
            env={**kept, **alone, **environment},
            capture_output=True,
            text=True,
        ).stdout

    return run


def test_what_passed_is_skipped_until_what_it_depends_on_changes(suite, tmp_path):
    """And says why. In CI it runs; what has failed is never skipped."""
    assert "1 passed" in suite()
    skipped = suite()
    assert "1 skipped" in skipped
    assert "it passed with the same needed/*.txt" in skipped
    assert "1 passed" in suite(CI="true")
    assert "1 failed" in suite(CI="true", FAILS="1")
    assert "1 passed" in suite()
    (tmp_path / "needed" / "b.txt").write_text("b")
    assert "1 failed" in suite(FAILS="1")
    assert "1 passed" in suite()
