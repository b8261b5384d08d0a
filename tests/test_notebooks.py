"""The form of the lessons, and the proof that their verification verifies; nbval itself runs them."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client import KernelManager
from nbclient import NotebookClient
from nbval.plugin import get_sanitize_patterns

from labsupport.commands.notebooks import CELL_TIMEOUT, SANITIZE, client_of, comparable, differing, execute, merge
from labsupport.course import exercises, minutes
from labsupport.course.verdict import MIME
from labsupport.settings import CHECKOUT

LESSONS = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))
PATTERNS = get_sanitize_patterns(SANITIZE.read_text(encoding="utf-8"))
IGNORED = {"nbval-ignore-output", "nbval-skip", "NBVAL_IGNORE_OUTPUT", "NBVAL_SKIP"}

# The task in the open, its outcome folded.
VARY = r"\n\*\*Vary it:\*\* (.+\n)+\n<details><summary>Outcome</summary>\n\n(.+\n)+\n</details>$"

lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    """The notebook, checked against the format's schema."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_cells(notebook) -> list:
    """Its code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text(notebook) -> str:
    """All its prose."""
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@lesson
def test_a_lesson_is_committed_executed_from_top_to_bottom(path):
    """Counts 1 to N: a cell without a count passes strict nbval whatever it prints."""
    notebook = read(path)
    assert [cell.execution_count for cell in code_cells(notebook)] == [*range(1, len(code_cells(notebook)) + 1)]
    for cell in code_cells(notebook):
        counts = {output.execution_count for output in cell.outputs if "execution_count" in output}
        assert counts <= {cell.execution_count}, cell.id
    assert all(cell.source.strip() for cell in notebook.cells)


@lesson
def test_a_lesson_has_format_4_5_and_readable_ids(path):
    """Ids are words, unique, and not what a program made up."""
    notebook = read(path)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    for each in ids:
        assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", each)
        assert not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4})?.*", each)


@lesson
def test_a_lesson_has_no_stray_metadata(path):
    """Only the kernel's name, the language, and what the lab itself says of the lesson."""
    notebook = read(path)
    assert set(notebook.metadata) == {"kernelspec", "language_info", "lab"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info == {"name": "python"}
    assert notebook.metadata.lab.lesson == path.name[:2]
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags", "vary"}


@lesson
def test_an_error_output_stands_only_where_it_is_meant(path):
    """A cell tagged raises-exception has its error stored, and no other cell has one."""
    for cell in code_cells(read(path)):
        has_error = any(output.output_type == "error" for output in cell.outputs)
        assert has_error == ("raises-exception" in cell.metadata.get("tags", []))
        assert not any(output.get("name") == "stderr" for output in cell.outputs)


@lesson
def test_no_cell_ends_in_a_semicolon(path):
    """It silences a value in JupyterLab and not under nbval."""
    for cell in code_cells(read(path)):
        assert not cell.source.rstrip().endswith(";")


@lesson
def test_few_cells_are_exempt_from_comparison_and_each_says_why(path):
    """At most 5 %, with the reason as a comment in the cell."""
    cells = code_cells(read(path))
    exempt = [
        cell for cell in cells if IGNORED & {*cell.metadata.get("tags", []), *re.findall(r"# (NBVAL_\w+)", cell.source)}
    ]
    assert len(exempt) <= 0.05 * len(cells)
    for cell in exempt:
        assert re.search(r"# (output )?not compared: \w+", cell.source)


@lesson
def test_the_header_has_outcomes_minutes_statements_and_links(path):
    """Title with its number, outcomes, minutes as in the metadata, statements as in the metadata, where next."""
    notebook = read(path)
    header = notebook.cells[0].source
    assert re.match(rf"# {path.name[:2]} · .+\?\n", header)
    assert re.search(r"After this lesson you can\n\n(- .+[,.]\n(  .+\n)*){3}\n", header)
    assert "(../notebooks/glossary.md)" in header
    assert re.search(rf"{notebook.metadata.lab.minutes} minutes · previous: .+ · \[contents\]\(.+\) · next: ", header)
    said = re.findall(r"\((A\d+)\)", header)
    assert said == notebook.metadata.lab.statements


@lesson
def test_the_setup_cell_is_the_same_in_each_lesson(path):
    """At most four lines, and nothing in it differs but the number."""
    setup = code_cells(read(path))[0]
    assert setup.id == "setup"
    assert setup.source == f'from labsupport import lesson\n\nlab = lesson("{path.name[:2]}")'
    assert setup.outputs[0].text.startswith(f"Lesson {path.name[:2]} is ready: Apache Kafka ")


@lesson
def test_each_episode_has_its_parts_in_order(path):
    """A prediction, code, what happened (folded), one thing to vary; and it makes the topics that it uses."""
    cells = read(path).cells
    begins = [number for number, cell in enumerate(cells) if re.fullmatch(r"ep-\d+", cell.id)]
    assert begins
    for begin in begins:
        prefix = cells[begin].id + "-"
        episode = [cell for cell in cells[begin + 1 :] if cell.id.startswith(prefix)]
        assert "**Predict:**" in cells[begin].source
        assert episode[-1].id == prefix + "what"
        assert "<details><summary><b>What happened</b></summary>" in episode[-1].source
        assert re.search(VARY, episode[-1].source)
        code = "\n".join(cell.source for cell in episode if cell.cell_type == "code")
        assert code
        used = set(re.findall(r"\borders\b", code))
        assert not used or re.search(r"orders = (lab|kafka)\.topic\(", code)


@lesson
def test_a_lesson_states_the_minutes_that_it_takes(path):
    """As computed, and no more than an hour; at most five experiments."""
    notebook = read(path)
    effort = minutes.of_lesson(notebook.cells, {each.id: each.minutes for each in exercises.of_lesson(path.name[:2])})
    assert notebook.metadata.lab.minutes == effort.stated <= 60, effort
    assert effort.experiments <= 5


@lesson
def test_each_episode_can_be_run_after_the_setup_cell_alone(path, tmp_path):
    """No name in it comes from another episode, nor in the extras; exercises have what their answers need."""
    cells = code_cells(read(path))
    parts = {re.match(r"ep-\d+|extra|[a-z]+", cell.id)[0] for cell in cells} - {"setup"}
    undefined = [sys.executable, "-m", "ruff", "check", "--isolated", "--select=F821", "--output-format=concise", "-"]
    for part in parts - {"check"}:  # a check's function is in the cell above it
        code = [cell.source for cell in cells if cell.id == "setup" or re.match(rf"{part}(-|$)", cell.id)]
        lines = [line for line in "\n".join(code).splitlines() if not line.startswith("!")]
        run = subprocess.run(undefined, input="\n".join(lines), capture_output=True, text=True)
        assert run.returncode == 0, f"{part}: {run.stdout}"


@lesson
def test_a_prediction_comes_before_its_measurement(path):
    """02a, 02b …, one in an episode at most, unanswered, and shown again beside what was measured there."""
    predicted = []
    for cell in code_cells(read(path)):
        predicted += re.findall(r'^lab\.predict\("(\w+)", \.\.\.\)', cell.source, re.MULTILINE)
        for number in re.findall(r'lab\.measured\("(\w+)", ', cell.source):
            assert number == predicted[-1]
    everything = "\n".join(cell.source for cell in code_cells(read(path)))
    assert predicted == [f"{path.name[:2]}{letter}" for letter in "abcdefgh"[: len(predicted)]]
    assert everything.count("lab.predict(") == everything.count("lab.measured(") == len(predicted)


@lesson
def test_an_exercise_is_task_answer_check_hint(path):
    """In this order, the stub as the exercise has it, unsolved; every exercise of the lesson stands in it."""
    cells = read(path).cells
    number = path.name[:2]
    listed = exercises.of_lesson(number)
    # The exercise of the capstone is the service.
    assert len(listed) in {"00": (1,), "19": (0,)}.get(number, (2, 3))
    assert [cell.id for cell in cells if cell.id.startswith("ex-")] == [f"ex-{exercise.id}" for exercise in listed]
    for exercise in listed:
        at = next(position for position, cell in enumerate(cells) if cell.id == f"task-{exercise.id}")
        task, answer, check, hint = cells[at : at + 4]
        assert task.source.startswith(f"### Exercise {exercise.id}: {exercise.title}\n\n*{exercise.difficulty}, ")
        assert f"{exercise.minutes} minutes*" in task.source
        assert exercise.function in task.source
        name = Path(exercise.file).stem if exercise.file else exercise.function
        made = f'{name} = lab.file("{exercise.id}")' if exercise.file else exercise.stub
        assert (answer.id, answer.source) == (f"ex-{exercise.id}", made)
        assert (check.id, check.source) == (f"check-{exercise.id}", f'lab.check("{exercise.id}", {name})')
        assert check.outputs[0].data[MIME].outcome == "NOT ATTEMPTED"
        assert (hint.id, hint.source) == (
            f"hint-{exercise.id}", f'# lab.hint("{exercise.id}")\n# lab.solution("{exercise.id}")',
        )  # fmt: skip


@lesson
def test_a_lesson_ends_with_its_key_points_and_progress(path):
    """Five points, the words learned, and what is different in production; then which exercises are solved."""
    assert (read(path).cells[-1].id, read(path).cells[-1].source) == ("progress", "lab.progress()")
    (points,) = [cell.source for cell in read(path).cells if cell.id == "key-points"]
    (words,) = [cell.source for cell in read(path).cells if cell.id == "words"]
    assert len(re.findall(r"^- ", points, re.MULTILINE)) == 5
    assert "**Words learned:**" in words
    assert "**Lab words:**" in words
    assert "**In production**" in words


@lesson
def test_cells_are_short(path):
    """Code: median at most 5 lines, none over 12, 88 columns; prose: none over 130 words but the table of troubles."""
    notebook = read(path)
    lengths = sorted(len([line for line in cell.source.splitlines() if line.strip()]) for cell in code_cells(notebook))
    assert lengths[len(lengths) // 2] <= 5
    assert lengths[-1] <= 12
    assert max(len(line) for cell in code_cells(notebook) for line in cell.source.splitlines()) <= 88
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.id != "trouble":
            assert len(cell.source.split()) <= 130, cell.id


@lesson
def test_no_prose_names_a_cell_by_its_id(path):
    """JupyterLab does not show ids."""
    ids = {cell.id for cell in read(path).cells if "-" in cell.id}
    assert ids.isdisjoint(re.findall(r"`([^`]+)`", text(read(path))))


@lesson
def test_printed_source_fits_the_page(path):
    """In a window of 1280 pixels a line of an output has 99 characters in JupyterLab, beside the list of lessons."""
    for cell in code_cells(read(path)):
        if "inspect.getsource" in cell.source:
            printed = "".join(output.text for output in cell.outputs if output.output_type == "stream")
            assert max(map(len, printed.splitlines())) <= 99, cell.id


@lesson
def test_every_link_resolves(path):
    """Files exist, from `notebooks/` and from the copies in `work/`, and so does the heading that a link names."""
    for target in re.findall(r"\]\(([^)]+)\)", text(read(path))):
        if not re.match(r"https?://", target):
            name, _, heading = target.partition("#")
            file = (path.parent / name).resolve()
            assert file.exists(), target
            if file not in LESSONS:  # a lesson's neighbours are copied with it
                assert (CHECKOUT / "work" / name).resolve() == file, f"{target} does not resolve from work/"
            if heading:
                headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
                assert heading in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@lesson
def test_nothing_of_this_machine_is_in_the_outputs(path):
    """No port, no path, no pid that would be another one elsewhere."""
    outputs = json.dumps([cell.outputs for cell in code_cells(read(path))])
    for pattern in (r"127\.0\.0\.1", r"localhost:\d", r"/home/", r"/tmp/", r"/root", r"\bpid\b"):
        assert not re.search(pattern, outputs)


# The glossary and the claims

GLOSSARY = (CHECKOUT / "notebooks" / "glossary.md").read_text(encoding="utf-8")
TERMS = re.findall(r"^- (\d\d) \*\*([^*]+)\*\*: .+$", GLOSSARY, re.MULTILINE)
CLAIMS = (CHECKOUT / "notebooks" / "claims.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in CLAIMS.splitlines() if line.startswith("| A")]
LANDED = {path.name[:2]: path for path in LESSONS}


def prose(path: Path) -> str:
    """What a lesson says, in its text and in its exercises, without code and without link targets."""
    said = [text(read(path))]
    for exercise in exercises.of_lesson(path.name[:2]):
        said += [exercise.title, exercise.explanation, *exercise.hints]
    return re.sub(r"`[^`]*`|\]\([^)]*\)|\bcommand lines?\b|\*\*Words learned:\*\*[^*]*", " ", "\n".join(said))


def test_the_glossary_is_a_list_of_terms():
    """One line each, sorted by lesson and then by name, none twice."""
    assert len(TERMS) == len(re.findall("^- ", GLOSSARY, re.MULTILINE))
    assert sorted(set(TERMS)) == TERMS
    assert len({term for _, term in TERMS}) == len(TERMS)


@lesson
def test_the_words_a_lesson_teaches_are_in_the_glossary(path):
    """And those of the glossary in the lesson that it names."""
    (words,) = [cell.source for cell in read(path).cells if cell.id == "words"]
    learned = re.search(r"\*\*Words learned:\*\* ([^.]+)\.", words)[1]
    assert sorted(learned.replace("\n", " ").split(", ")) == [
        term for number, term in TERMS if number == path.name[:2]
    ]  # fmt: skip


@lesson
def test_no_word_is_used_before_the_lesson_that_introduces_it(path):
    """In plural neither."""
    said = prose(path)
    for number, term in TERMS:
        if number > path.name[:2]:
            assert not re.search(rf"\b{re.escape(term)}s?\b", said, re.IGNORECASE), (
                f"{term} is a word of lesson {number}"
            )


def test_the_claims_are_all_there():
    """A1 to A33, each with the lessons that test it, and in its lessons' headers."""
    assert [row[0] for row in ROWS] == [f"A{number}" for number in range(1, 34)]
    for number, _, lessons, *_ in ROWS:
        assert re.fullmatch(r"\d\d(, \d\d)*", lessons)
        for each in lessons.split(", "):
            if each in LANDED:
                assert number in read(LANDED[each]).metadata.lab.statements, f"{number} belongs to lesson {each}"
    listed = {row[0]: row[2].split(", ") for row in ROWS}
    for number, path in LANDED.items():
        assert all(number in listed[statement] for statement in read(path).metadata.lab.statements)


def test_every_verdict_points_to_a_cell_that_shows_it():
    """Each statement holds, holds if, or does not; with code cells of each of its lessons, which have an output."""
    for number, _, lessons, verdict, seen in ROWS:
        assert re.match(r"(holds|holds: .+|holds if .+|does not hold.*)$", verdict), number
        cited = re.findall(r"(\d\d) `([\w-]+)`", seen)
        assert {where for where, _ in cited} == {*lessons.split(", ")}, number
        for where, cell_id in cited:
            (cell,) = [cell for cell in code_cells(read(LANDED[where])) if cell.id == cell_id]
            assert cell.outputs, f"{where} {cell_id} shows nothing"


def test_the_article_s_table_names_the_episodes_that_showed_it():
    """In lesson 15, by their headings: a reader does not see the ids of cells."""
    notebook = read(CHECKOUT / "notebooks" / "15_requests_and_events.ipynb")
    (picture,) = [printed(cell) for cell in code_cells(notebook) if cell.id == "table-picture"]
    headings = {each.lower() for each in re.findall(r"^## (?:Extra: )?(.+)$", text(notebook), re.MULTILINE)}
    places = re.findall(r"\(([^)]+)\)", picture)
    assert len(places) == 8
    assert {place.lower() for place in places} <= headings


def test_no_verdict_is_left_for_later():
    """Nothing promises a lesson that is not there; "later" alone is the article's own word."""
    assert not re.search(r"\b(to come|in preparation|not yet|still open|more (in|about)|Part III)\b", CLAIMS)
    assert {*re.findall(r"\blessons? (\d\d)\b", CLAIMS)} <= LANDED.keys()


# A lesson, solved and varied

# `%reset` would collect garbage several times: a fifth of all that the kernel does.
FRESH = """\
[globals().pop(name) for name in {{*globals()}} - {{*get_ipython().user_ns_hidden}}];
%cd -q {folder}
from labsupport.course import session
from labsupport.settings import Settings
session.close()
session._warnings.seen.clear()
(Settings.from_environment().home / "progress.json").unlink(missing_ok=True)
"""


def run_in(kernel: KernelManager, notebook: nbformat.NotebookNode, folder: Path, allow_errors: bool = False) -> None:
    """Run the notebook in a kernel that knows nothing of the lessons before it, and leaves no lesson open.

    A new kernel for each would cost two seconds of a processor, and a broker more.
    """
    fresh = nbformat.v4.new_code_cell(FRESH.format(folder=folder))
    framed = nbformat.from_dict(notebook)
    framed.cells = [fresh, *notebook.cells, copy.deepcopy(fresh)]
    execute(NotebookClient(framed, km=kernel, timeout=CELL_TIMEOUT, allow_errors=allow_errors, record_timing=False))
    for cell in (framed.cells[0], framed.cells[-1]):
        assert not cell.outputs, cell.outputs


@pytest.fixture(scope="session")
def kernel_of_answers(home_of_answers, tmp_path_factory):
    """One kernel for all lessons that this worker solves or varies; each begins with FRESH, and ends with it."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(
        env={**os.environ, "LAB_HOME": str(home_of_answers.home)},
        cwd=str(tmp_path_factory.mktemp("solved")),
        stderr=subprocess.DEVNULL,
    )
    yield manager
    manager.shutdown_kernel(now=True)


def variations() -> list:
    """Of each lesson and each *Vary it*: the lesson, and what the metadata says of the change."""
    found = []
    for path in LESSONS:
        varied = [cell.metadata.vary for cell in nbformat.read(path, as_version=4).cells if "vary" in cell.metadata]
        found += [pytest.param(path, vary, id=f"{path.stem}-{vary.cell}") for vary in varied]
    return found


@pytest.mark.parametrize(("path", "vary"), variations())
def test_a_variation_has_the_outcome_that_it_states(path, vary, kernel_of_answers):
    """Run the episode with the change of one cell that the metadata names, then unchanged: that prints as stored."""
    tried = read(path)
    cells = {cell.id: cell for cell in code_cells(tried)}
    episode = [cell for name, cell in cells.items() if name.startswith(re.match(r"ep-\d+-|extra-", vary.cell)[0])]
    changed = {cell.id: copy.deepcopy(cell) for cell in episode}
    assert changed[vary.cell].source.count(vary.replace) == 1
    changed[vary.cell].source = changed[vary.cell].source.replace(vary.replace, vary["with"])
    assert not re.search(vary.shows, printed(cells[vary["in"]])), f"{vary.shows!r} is also there without the change"
    unchanged = copy.deepcopy(episode)
    tried.cells = [copy.deepcopy(cells["setup"]), *changed.values(), *unchanged]
    run_in(kernel_of_answers, tried, path.parent, allow_errors=True)
    shown = printed(changed[vary["in"]])
    assert re.search(vary.shows, shown), shown
    assert not differing(episode, unchanged)


def printed(cell) -> str:
    """What a cell shows as text: streams, results, errors."""
    shown = []
    for each in cell.outputs:
        shown += [each.get("text", ""), each.get("data", {}).get("text/plain", ""), each.get("evalue", "")]
    return "\n".join(shown)


@lesson
def test_with_the_reference_answers_every_check_passes(path, kernel_of_answers, tmp_path):
    """With what `lab.solution` shows in the exercises' cells; they need no cell but the first before them.

    The others are run by nbval, in the lesson as it stands.
    """
    solved = read(path)
    last = code_cells(solved)[-1]
    solved.cells = [cell for cell in solved.cells if re.match("setup$|ex-|check-", cell.id) or cell is last]
    for exercise in exercises.of_lesson(path.name[:2]):
        (cell,) = [cell for cell in solved.cells if cell.id == f"ex-{exercise.id}"]
        cell.source = f"{cell.source}\n_ = {Path(exercise.file).stem}.write_text({exercise.reference!r})"
        if not exercise.file:
            cell.source = exercise.reference
    run_in(kernel_of_answers, solved, tmp_path)
    checks = [cell for cell in code_cells(solved) if cell.id.startswith("check-")]
    assert len(checks) == len(exercises.of_lesson(path.name[:2]))
    for cell in checks:
        (verdict,) = [output.data[MIME] for output in cell.outputs if MIME in output.get("data", {})]
        assert verdict["outcome"] == "PASS", cell.outputs
        assert verdict["says"]
    everything = "\n".join(output.get("text", "") for output in code_cells(solved)[-1].outputs)
    said = f"{len(checks)} of {len(checks)} exercise" if checks else "This lesson has no exercises."
    assert said in everything


# The sanitise file

SAMPLES = [
    (
        "ready: Apache Kafka 4.3.1 is running on this computer, and",
        "ready: KAFKA is running, and",
        "Apache Kafka is running",
    ),
    ("topic lab-anna_pc-00-orders", "topic LAB-00-orders", "2026-11-23 and ORD-123"),
    ("one\r\ntwo", "one\ntwo", "one\rtwo"),
]


def test_every_rule_of_the_sanitise_file_is_read():
    """A blank line between the two halves of a rule, or a lost space, would drop it silently."""
    lines = SANITIZE.read_text(encoding="utf-8").splitlines()
    assert len(PATTERNS) == sum(line.startswith("regex: ") for line in lines) == len(SAMPLES) <= 10
    assert sum(line.startswith("replace: ") for line in lines) == len(PATTERNS)
    assert not any(".*" in regex for regex, _ in PATTERNS)


@pytest.mark.parametrize(("rule", "sample"), list(zip(PATTERNS, SAMPLES, strict=True)))
def test_each_rule_changes_what_it_should_and_nothing_else(rule, sample):
    """One sample that must change, one that must not."""
    regex, replacement = rule
    before, after, untouched = sample
    assert re.sub(regex, replacement, before) == after
    assert re.sub(regex, replacement, untouched) == untouched


def test_an_external_kafka_prints_the_same_after_sanitising():
    """The committed outputs hold for LAB_KAFKA=host:port too."""
    here = "ready: Apache Kafka 4.3.1 is running on this computer, and\ntopic 00-orders"
    there = "ready: Kafka is running at kafka.school:9092,b:2, and\ntopic lab-anna-00-orders"
    for regex, replacement in PATTERNS:
        here, there = re.sub(regex, replacement, here), re.sub(regex, replacement, there)
    assert here == there


# The verification is verified


def run_nbval(path: Path) -> subprocess.CompletedProcess:
    """Strict nbval on one notebook, with the options of the suite."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={CHECKOUT}", "--color=no"]
    return subprocess.run(
        [*command, "-n0", "-c", str(CHECKOUT / "pyproject.toml"), "--confcutdir", str(CHECKOUT), str(path)],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def one_cell(source: str, outputs: list, path: Path) -> Path:
    """A notebook with one executed code cell."""
    cell = nbformat.v4.new_code_cell(source, id="one", execution_count=1, outputs=outputs)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    return path


def test_one_altered_output_is_caught(tmp_path):
    """A stored output changed in one letter, in a copy of the first lesson: the run fails, and says so."""
    altered = Path(shutil.copy(LESSONS[0], tmp_path / "altered.ipynb"))
    notebook = read(altered)
    cell = next(cell for cell in code_cells(notebook) if "offset" in str(cell.outputs))
    cell.outputs[0].text = cell.outputs[0].text.replace("offset 0", "offset 1")
    nbformat.write(notebook, altered)
    run = run_nbval(altered)
    assert run.returncode == 1
    assert "Cell outputs differ" in run.stdout
    assert re.search(r"1 failed, \d+ passed", run.stdout)


def test_what_a_cell_waits_for_is_not_shown_as_an_error(monkeypatch, tmp_path):
    """JupyterLab shows stderr on red: a note of the lab, and a progress bar, come as what is printed does.

    One inside the other stay in one line, and nothing of them is left in it.
    """
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    source = (
        "import time\nfrom labsupport.console import progress\nfrom labsupport.waiting import until\n"
        "begin = time.monotonic()\n"
        "until(lambda: time.monotonic() - begin > 2.5, 10, 'a moment')\n"
        "for _ in progress('Counting', over=range(5)):\n    time.sleep(0.5)\n"
        "outer, inner = progress('Outer', 4), progress('Inner', 4)\ntime.sleep(2)\n"
        "outer.update()\ninner.update()\nouter.close()\ninner.close()"
    )
    notebook = read(one_cell(source, [], tmp_path / "waits.ipynb"))
    execute(client_of(notebook, tmp_path))
    outputs = code_cells(notebook)[0].outputs
    assert {output.name for output in outputs} == {"stdout"}
    printed = "".join(output.text for output in outputs)
    assert "waiting for a moment" in printed
    assert "Counting" in printed
    assert "Outer" in printed
    assert "Inner" in printed
    assert "\n" not in printed
    assert "\x1b" not in printed
    assert printed.split("\r")[-1].strip() == printed.split("\r")[-2].strip() == ""


def test_a_cell_after_a_time_out_counts_as_failed(tmp_path):
    """Nbval calls it an expected failure; the suite does not."""
    (tmp_path / "conftest.py").write_text(
        "import importlib.util\n"
        f"spec = importlib.util.spec_from_file_location('hooks', {str(CHECKOUT / 'conftest.py')!r})\n"
        "hooks = importlib.util.module_from_spec(spec); spec.loader.exec_module(hooks)\n"
        "pytest_runtest_makereport = hooks.pytest_runtest_makereport\n"
    )
    cells = [
        nbformat.v4.new_code_cell("import time; time.sleep(60)", id="slow", execution_count=1),
        nbformat.v4.new_code_cell("1 + 1", id="next", execution_count=2),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "slow.ipynb")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--color=no", "--nbval", "--nbval-current-env",
         "--nbval-cell-timeout=1", "slow.ipynb"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert "2 failed" in run.stdout
    assert "xfailed" not in run.stdout


def test_a_single_notebook_is_verified_in_a_home_of_its_own_too():
    """`test notebooks/00…` loads the same hooks: without them it would empty the topics of a learner's running lab."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "--trace-config", str(LESSONS[0])],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert str(CHECKOUT / "conftest.py") in run.stdout


def test_the_suite_and_the_writer_use_the_same_deadline():
    """A lesson that can be written can be verified."""
    assert f"--nbval-cell-timeout={CELL_TIMEOUT}" in (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")


def test_writing_keeps_what_has_not_changed():
    """An output with the same comparable text stays as stored, bitmap and all; a changed one is replaced."""
    stored = read(LESSONS[0])
    fresh = copy.deepcopy(stored)
    first, second = code_cells(fresh)[:2]
    first.outputs[0].text = first.outputs[0].text.replace("Apache Kafka ", "Apache Kafka 9")
    second.outputs[0].text = "something else\n"
    merged = merge(stored, fresh)
    assert code_cells(merged)[0].outputs == code_cells(stored)[0].outputs
    assert code_cells(merged)[1].outputs[0].text == "something else\n"


def test_bitmaps_are_not_compared_and_the_numbers_beside_them_are():
    """As nbval does it: a picture may differ by a pixel, the table behind it may not."""
    shown = nbformat.v4.new_output("display_data", data={"image/png": "aaaa", "text/plain": "3 records"})
    other_pixels = nbformat.v4.new_output("display_data", data={"image/png": "bbbb", "text/plain": "3 records"})
    other_number = nbformat.v4.new_output("display_data", data={"image/png": "aaaa", "text/plain": "4 records"})
    assert comparable([shown], {}) == comparable([other_pixels], {})
    assert comparable([shown], {}) != comparable([other_number], {})
