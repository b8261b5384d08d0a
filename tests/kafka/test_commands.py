"""The command line, as a person types it."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from click.testing import CliRunner

from labsupport.broker import processes
from labsupport.broker.cluster import connect
from labsupport.commands import main
from labsupport.course import copies
from labsupport.course import progress as remembered
from labsupport.course.verdict import Outcome, Verdict
from labsupport.registry import apicurio
from labsupport.registry.registry import Registry
from labsupport.settings import CHECKOUT
from labsupport.waiting import until


def test_up_status_down(elsewhere, typed):
    """Up says the address, status too (for people and for programs), down stops it, and twice is harmless."""
    up = typed("up")
    address = re.search(r"127\.0\.0\.1:\d+", up.stdout)[0]
    assert address in typed("up").stdout
    shown = typed("status")
    assert shown.returncode == 0
    assert f"-b {address} topics list" in shown.stdout
    told = json.loads(typed("status", "--json").stdout)
    assert told["kafka"] == address
    assert told["answers"] is True
    assert "background" in [each["role"] for each in told["processes"]]
    assert "Stopped: Kafka" in typed("down").stdout
    assert "Nothing of this lab was running" in typed("down").stdout
    assert processes.running(elsewhere) == []
    down = typed("status", "--json")
    assert down.returncode == 1
    assert json.loads(down.stdout)["answers"] is False


def test_the_address_that_status_prints_works_in_a_terminal(elsewhere, lab):
    """The line for other tools can be pasted as it is."""
    with connect(elsewhere) as kafka:
        kafka.create_topic("96-seen")
        line = re.search(r"For other tools, for example:\n +(.*)", lab("status").stdout)[1]
        assert "96-seen" in subprocess.run(line, shell=True, capture_output=True, text=True).stdout


def test_status_sees_a_broker_that_does_not_answer(elsewhere, lab):
    """Its process runs, frozen: that is not the same as up, and the remedy is named."""
    with connect(elsewhere) as kafka:
        kafka.broker(1).pause()
        shown = lab("status")
        assert shown.returncode == 1
        assert "Its process runs" in shown.stdout
        assert "python3 lab.py down" in shown.stdout
        assert lab("down").returncode == 0
    assert processes.running(elsewhere) == []


def test_status_and_up_know_an_external_kafka(lab, broker_elsewhere):
    """The address is checked, nothing is started, and an unreachable one is an error."""
    there = {"LAB_KAFKA": broker_elsewhere.bootstrap}
    assert broker_elsewhere.bootstrap in lab("status", **there).stdout
    assert "starts none of its own" in lab("up", **there).stdout
    wrong = lab("up", LAB_KAFKA="127.0.0.1:1")
    assert wrong.returncode == 1
    assert "nothing listens at 127.0.0.1:1" in wrong.stderr
    assert lab("status", LAB_KAFKA="127.0.0.1:1").returncode == 1


def test_wipe_asks_and_then_deletes_the_topics_only(elsewhere, lab, typed):
    """No is no; yes stops Kafka and removes its data; what else lies in the lab's folder stays."""
    with connect(elsewhere) as kafka:
        kafka.create_topic("96-doomed")
    (elsewhere.home / "progress.json").write_text("{}")
    refused = lab("wipe", stdin="n\n")
    assert refused.returncode == 1
    assert "Nothing was changed" in refused.stdout
    assert (elsewhere.home / "broker").exists()
    assert typed("wipe", stdin="y\n").returncode == 0
    assert processes.running(elsewhere) == []
    assert (elsewhere.home / "progress.json").exists()
    with connect(elsewhere) as kafka:
        assert kafka.topics() == []


@pytest.mark.parametrize("name", [None, *sorted(main.COMMANDS)])
def test_every_help_has_an_example(name):
    """The example begins with what a user types."""
    shown = CliRunner().invoke(main.lab, [name, "--help"] if name else ["--help"])
    assert shown.exit_code == 0
    assert re.search(rf"Example:\n +python3 lab\.py{f' {name}' if name else ''}\b", shown.output)


def test_the_list_of_commands_is_not_cut_off():
    """Each short description fits its line."""
    listed = CliRunner().invoke(main.lab, ["--help"]).output.split("Commands:")[1]
    assert "..." not in listed


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["stauts"], "No such command 'stauts'"),
        (["--port", "0"], "not in the range 1<=x<=65535"),
        (["--no-browser", "up"], "go with no command"),
        (["notebooks"], "Missing option '--write'"),
    ],
)
def test_a_command_typed_wrongly_is_exit_code_2(words, says, lab):
    """With a sentence on stderr."""
    run = lab(*words)
    assert run.returncode == 2
    assert says in run.stderr


def test_a_home_that_cannot_be_written_is_a_sentence(typed, tmp_path):
    """A file where the folder should be, for every command that needs it."""
    (tmp_path / "file").write_text("in the way")
    for words in (["up"], ["--no-browser"], ["wipe", "--yes"]):
        run = typed(*words, LAB_HOME=str(tmp_path / "file"))
        if words[0] != "wipe":
            assert run.returncode == 1
            assert "LAB_HOME" in run.stderr
        assert "Traceback" not in run.stderr


def test_new_says_what_it_made_and_what_it_kept(tmp_path, monkeypatch):
    """A fresh copy each; the learner's own beside it."""
    renew = copies.renew
    monkeypatch.setattr(copies, "renew", lambda notebook, _: renew(notebook, tmp_path))
    (tmp_path / "00_start_here.ipynb").write_text("mine", encoding="utf-8")
    run = CliRunner().invoke(main.lab, ["new", "00", "01"])
    assert run.exit_code == 0, run.output
    assert re.search(r"work/00_start_here.ipynb is fresh; yours is now work/00_start_here\.[\d-]+\.ipynb", run.output)
    assert re.search(r"work/01_events\.ipynb is fresh$", run.output, re.MULTILINE)
    assert "mine" in [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()]


def test_progress_shows_all_lessons(lab, typed, elsewhere):
    """Exercises solved in any kernel of this checkout; none at first."""
    assert typed("progress").stdout.startswith("0 of ")
    remembered.remember(elsewhere, Verdict("01-2", Outcome.PASS))
    shown = lab("progress").stdout
    assert shown.startswith("1 of ")
    assert "01-2  solved   Add up the money" in shown
    assert "02-1  not yet " in shown
    code = lab("progress", "--code").stdout
    assert code.startswith("lab: 01ns 1 of ")
    assert lab("progress", "--read", f"Anna says: {code}", LAB_HOME=str(elsewhere.home / "other")).stdout == shown
    assert lab("progress", "--read", code.replace("1 of", "9 of")).returncode == 1


def test_an_unknown_lesson_is_refused_with_the_known_ones(typed):
    """Before anything is run."""
    for words in (["notebooks", "--write", "77"], ["teacher", "77"], ["new", "5"]):
        run = typed(*words)
        assert run.returncode == 1
        assert "00_start_here" in run.stderr


def test_lab_py_opens_jupyterlab_and_ends_what_it_started(start, elsewhere):
    """Kafka proven, JupyterLab behind its token; SIGTERM ends both, as Ctrl-C does in the next tests."""
    started = start()
    address, token = started.address().groups()
    assert "One event out and back" in started.text
    api = f"{address}/api/contents/work/00_start_here.ipynb"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(api, timeout=300)
    with urllib.request.urlopen(f"{api}?token={token}", timeout=300) as answer:
        assert "Is my lab alive?" in json.load(answer)["content"]["cells"][0]["source"]
    assert {"background", "jupyter"} <= {each.role for each in processes.running(elsewhere)}
    started.program.send_signal(signal.SIGTERM)
    assert started.program.wait(300) == 0
    assert processes.running(elsewhere) == []


def test_a_broker_that_was_up_before_stays_up(start, elsewhere):
    """Ctrl-C ends what `lab.py` started, and no more; a second `lab.py` shows the JupyterLab that runs."""
    with connect(elsewhere):
        started = start()
        token = started.address()[2]
        again = start()
        assert again.program.wait(300) == 0
        assert "already running" in again.text
        assert token in again.text
        started.program.send_signal(signal.SIGINT)
        assert started.program.wait(300) == 0
        assert {each.role for each in processes.running(elsewhere)} - {"training"} == {"background"}


def test_a_broker_that_somebody_asked_to_keep_stays(start, elsewhere, typed):
    """`up` promises a Kafka until `down`, also if a `lab.py` had started it; Ctrl-C there does not break that."""
    started = start()
    started.address()
    assert "until you type" in typed("up").stdout
    started.program.send_signal(signal.SIGINT)
    assert started.program.wait(300) == 0
    assert typed("status").returncode == 0
    assert "Stopped: Kafka" in typed("down").stdout


def test_two_lab_py_at_the_same_moment_open_one_jupyterlab(start, elsewhere):
    """The second waits for the first one's address and shows it."""
    first, second = start(), start()
    assert first.address()[2] == second.address()[2]
    assert len(processes.running(elsewhere, ["jupyter"])) == 1
    for each in (first, second):
        each.program.send_signal(signal.SIGINT)
        each.program.wait(300)
    assert processes.running(elsewhere) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("how", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_to_up_leaves_no_half_started_broker(how, elsewhere):
    """Twice in quick succession: the second does not interrupt the tidying up."""
    program = subprocess.Popen([sys.executable, "-m", "labsupport", "up"], stdout=-3, stderr=-3, cwd=CHECKOUT)
    until(lambda: processes.running(elsewhere, ["background"]), 300, "the broker's process")
    program.send_signal(getattr(signal, how))
    program.send_signal(getattr(signal, how))
    assert program.wait(300) == 130
    assert processes.running(elsewhere) == []


def test_a_killed_lab_py_leaves_nothing(start, elsewhere, lab):
    """SIGKILL cannot be answered; the next `lab.py` does not show a JupyterLab that is about to end."""
    started = start()
    token = started.address()[2]
    started.program.kill()
    started.program.wait()
    again = start()
    assert again.address()[2] != token
    again.program.kill()
    again.program.wait()
    until(lambda: not processes.running(elsewhere), 300, "everything to end", every=0.1)


def test_a_taken_port_is_said_with_a_free_one_to_try(start):
    """`--port` means that port; JupyterLab's own words are shown."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        started = start("--port", str(taken.getsockname()[1]))
        assert started.program.wait(300) == 1
        assert "JupyterLab did not start" in started.text
        assert "--port 8899" in started.text


def test_lab_py_works_on_an_external_kafka(start, broker_elsewhere, elsewhere):
    """The event goes out and back there, and no broker is started."""
    started = start(LAB_KAFKA=broker_elsewhere.bootstrap)
    started.address()
    assert f"Kafka is up at {broker_elsewhere.bootstrap}" in started.text
    assert [each.role for each in processes.running(elsewhere)] == ["jupyter"]
    started.program.send_signal(signal.SIGINT)
    assert started.program.wait(300) == 0


def test_soak_counts_what_went_wrong_part_by_part(typed):
    """The part with seeds, once: crashes, also around an outbox, poison, a rebuild that is killed."""
    run = typed("soak", "--only", "seeds", "--seeds", "1", timeout=240)
    assert run.returncode == 0, run.stdout + run.stderr
    counted = re.findall(r"(\d+) +0 *$", run.stdout, re.MULTILINE)
    assert [int(times) > 0 for times in counted] == [True] * 4


def test_the_users_settings_of_jupyter_java_and_python_are_kept_out(start, settings, tmp_path):
    """Of another server's, of another Java's, of another Python's; and a home that cannot be written."""
    config = tmp_path / "jupyter"
    config.mkdir()
    (config / "jupyter_server_config.py").write_text(
        "c.ServerApp.preferred_dir = '/nowhere'\nc.ServerApp.certfile = '/gone.pem'\nc.ServerApp.ip = '0.0.0.0'\n"
        "c.ServerApp.base_url = '/other/'\n"
    )
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text("c.InteractiveShellApp.exec_lines = ['raise SystemExit(1)']")
    running = start(
        HOME="/dev/null/none", LAB_CACHE=str(settings.cache), _JAVA_OPTIONS="-XX:+UseG1GC", JAVA_TOOL_OPTIONS="-Xms9g",
        CLASSPATH="/nowhere", IPYTHONDIR=str(tmp_path / "ipython"), JUPYTER_CONFIG_PATH=str(config),
        JUPYTER_CONFIG_DIR=str(config), JUPYTER_PREFER_ENV_PATH="0", JUPYTER_TOKEN="theirs", JUPYTER_PORT="1",
    )  # fmt: skip
    found = running.address()
    assert found[1].startswith("http://localhost:")
    assert not found[1].endswith("other")
    assert found[2] != "theirs"
    with urllib.request.urlopen(f"{found[1]}/api/status?token={found[2]}", timeout=300) as answer:
        assert "started" in json.load(answer)


def test_apicurio_runs_until_ctrl_c(elsewhere, tmp_path):
    """The URL works for the lab's own registry client; Ctrl-C ends it, and nothing of it stays."""
    if not apicurio.fetched(elsewhere):
        pytest.skip("Apicurio Registry is not in the cache: python3 lab.py registry --apicurio fetches it (159 MB)")
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "labsupport", "registry", "--apicurio"]
        running = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        said = re.compile(r"LAB_REGISTRY=(http://[\d.]+:\d+\S*)")
        until(lambda: said.search((tmp_path / "log").read_text()) or running.poll() is not None, 300, "Apicurio")
        url = said.search((tmp_path / "log").read_text())[1]
        assert Registry(url).ask("GET", "/config") == {"compatibilityLevel": "BACKWARD"}
        assert [each.role for each in processes.running(elsewhere)] == ["private-registry"]
        running.send_signal(signal.SIGINT)
        assert running.wait(300) == 0
    finally:
        running.kill()
    assert processes.running(elsewhere) == []
    assert not list((elsewhere.home / "private").iterdir())
    assert "Ended." in (tmp_path / "log").read_text()


def test_registry_needs_to_know_which(typed):
    """The lab's own is started by `up --registry`, and the help says so."""
    assert typed("registry").returncode == 2
    assert "up --registry" in typed("registry", "--help").stdout
