"""The doctor: healthy, each line broken by itself, three at once, and a Kafka elsewhere."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from labsupport.broker import processes
from labsupport.broker.cluster import Cluster, connect, private
from labsupport.broker.java_runtime import startup_cache_path
from labsupport.commands import doctor, doctor_checks
from labsupport.connection import Connection
from labsupport.experiments.breaking import faults
from labsupport.settings import CHECKOUT, Settings
from labsupport.setup import installed, obstacles


def test_a_healthy_lab_is_said_to_be_well_and_stays_as_it_is(elsewhere, lab, typed):
    """Every line ok, exit code 0; no topic, group or process more than before."""
    with connect(elsewhere) as kafka:
        kafka.create_topic("98-mine")
        before = (kafka.topics(), kafka.groups(), processes.running(elsewhere, ["background"]))
        run = typed("doctor")
        assert run.returncode == 0, run.stdout
        assert "wrong" not in run.stdout
        assert len(re.findall(r"^ {2}ok ", run.stdout, re.MULTILINE)) == 20
        assert "one event out and back" in run.stdout
        told = json.loads(lab("doctor", "--json").stdout)
        assert [line for line in told if not line["ok"]] == []
        after = (sorted({*kafka.topics()} - {"__consumer_offsets"}), kafka.groups())
        assert after == (sorted({*before[0]} - {"__consumer_offsets"}), before[1])
        assert processes.running(elsewhere, ["background"]) == before[2]


def test_a_kafka_that_does_not_run_is_one_line_and_not_started(elsewhere, lab):
    """What needs it is not asked; what to type is said."""
    run = lab("doctor")
    assert run.returncode == 1
    assert re.findall(r"wrong +(.*)\n +→ (.*)", run.stdout) == [("Kafka: it is not running", "python3 lab.py up")]
    assert processes.running(elsewhere) == []


def test_a_kafka_elsewhere_is_examined_too(elsewhere, lab, broker_elsewhere):
    """The same lines; unreachable, its own sentence."""
    run = lab("doctor", LAB_KAFKA=broker_elsewhere.bootstrap, LAB_LEARNER="anna")
    assert run.returncode == 0, run.stdout
    assert f"Kafka: {broker_elsewhere.bootstrap}" in run.stdout
    with Cluster(broker_elsewhere.bootstrap) as there:
        assert [name for name in there.topics() + there.groups() if "anna" in name] == []
    run = lab("doctor", LAB_KAFKA="127.0.0.1:1")
    assert run.returncode == 1
    assert "nothing listens at 127.0.0.1:1" in run.stdout


def test_a_broker_that_sends_its_clients_astray_is_named_with_the_right_address(settings):
    """The classic listener mistake: the address answers, and what it advertises does not."""
    with private(settings=settings, advertised_listeners="PLAINTEXT://127.0.0.1:1") as kafka:
        port = kafka.embedded.ports[1][0]
        line = doctor.advertised(Connection(f"127.0.0.1:{port}"))
        assert not line.ok
        assert "sends clients to 127.0.0.1:1, which does not answer" in line.seen
        assert line.next_step.endswith(f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}")


def test_each_thing_that_is_wrong_on_the_machine_has_its_line(settings, runtime, tmp_path):
    """Python, packages, disk, memory, Java: broken one at a time, each with something to type."""
    (tmp_path / "requirements.txt").write_text("click==0.1\nno-such-package==1\n-e .\n")
    (tmp_path / "java").write_text("#!/bin/sh\necho broken >&2; exit 3\n")
    (tmp_path / "java").chmod(0o755)
    broken = [
        (doctor_checks.python((3, 10, 4)), "3.10.4"),
        (doctor_checks.packages(tmp_path / "requirements.txt"), "no-such-package is missing"),
        (doctor_checks.disk([tmp_path], needed=10**18), "GB free at"),
        (doctor_checks.memory(100_000_000), "0.1 GB available"),
        (doctor.java(tmp_path / "nowhere"), "No such file"),
        (doctor.java(tmp_path / "java"), "broken"),
    ]
    for line, seen in broken:
        assert not line.ok
        assert seen in line.seen
        assert line.next_step
    well = [
        doctor_checks.python(),
        doctor_checks.packages(),
        doctor_checks.disk([tmp_path], 1),
        doctor_checks.memory(10**10),
        doctor.java(),
    ]
    assert all(line.ok for line in well)


def test_altered_jars_and_a_start_up_cache_that_could_not_be_made(settings, runtime, tmp_path):
    """Looked at and not repaired."""
    own = replace(settings, cache=tmp_path)
    assert "46 missing or altered" in doctor.kafka_jars(own).seen
    folder = runtime.class_path[0].parent
    shutil.copytree(folder, tmp_path / folder.name)
    assert doctor.kafka_jars(own).ok
    (tmp_path / folder.name / runtime.class_path[3].name).write_bytes(b"")
    line = doctor.kafka_jars(own)
    assert not line.ok
    assert runtime.class_path[3].name in line.seen
    assert doctor.startup_cache(own).ok
    startup_cache_path(own).with_suffix(".failed").write_text("Broker 1 did not start.\nmore")
    line = doctor.startup_cache(own)
    assert not line.ok
    assert "Broker 1 did not start." in line.seen
    run = subprocess.run(line.next_step.split("&&")[0], shell=True)  # what it suggests can be pasted
    assert run.returncode == 0
    assert doctor.startup_cache(own).ok


def test_a_kernel_that_is_not_the_labs_python(monkeypatch, tmp_path):
    """A kernel of the user's under the same name is kept out; one that somebody put into .venv is named."""
    assert doctor.jupyter().ok
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(
        json.dumps(
            {"argv": ["/usr/bin/another-python", "-m", "ipykernel_launcher"], "display_name": "x", "language": "python"}
        )
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    assert doctor.jupyter().ok
    line = doctor.jupyter(kernels=[str(tmp_path / "kernels")])
    assert not line.ok
    assert "/usr/bin/another-python" in line.seen


def test_a_copy_of_a_lesson_that_cannot_be_read(tmp_path):
    """Cut off by a full disk, for example."""
    (tmp_path / "00_start_here.ipynb").write_text('{"cells": [')
    line = doctor_checks.lessons(CHECKOUT / "notebooks", tmp_path)
    assert not line.ok
    assert "00_start_here.ipynb" in line.seen
    assert subprocess.run(line.next_step.split("&&")[0], shell=True).returncode == 0
    assert doctor_checks.lessons(CHECKOUT / "notebooks", tmp_path).ok


def test_brokers_and_topics_that_were_left_over(elsewhere, python):
    """Of a program killed together with its watchdog, which would have tidied up, and of an interrupted check."""
    python(
        "import os\nfrom labsupport.broker.cluster import private\nfrom labsupport.broker.process import Process\n"
        "from labsupport.broker.processes import watchdog_record\nfrom labsupport.settings import Settings\n"
        "brokers = private()\nbrokers.__enter__()\n"
        "Process.recorded(watchdog_record(Settings.from_environment().home)).kill()\nos._exit(9)"
    )
    line = doctor.left_over(elsewhere)
    assert not line.ok
    assert line.next_step.endswith("lab.py down")
    with connect(elsewhere) as kafka:
        assert doctor.groups(kafka).ok
        kafka.create_topic("00-proof-1234")
        assert not doctor.groups(kafka).ok


def test_a_taken_port_is_a_remark(elsewhere):
    """Not a fault: the lab's broker takes another one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = doctor.port(elsewhere, taken.getsockname()[1])
    assert line.ok
    assert "taken by another program" in line.seen


@pytest.mark.parametrize(("here", "ok"), [(1000.0, True), (1030.0, True), (1090.0, False), (900.0, False)])
def test_clocks_that_differ_by_more_than_a_minute(here, ok):
    """Ahead or behind; the sentence says which."""
    line = doctor.clock(1000.0, here)
    assert line.ok == ok
    assert ok or ("ahead" if here > 1000 else "behind") in line.seen


def test_an_old_broker_is_said_to_be_one():
    """Removing the members of a killed kernel needs Kafka 2.3."""
    assert doctor.kafka((4, 3)).ok
    assert not doctor.kafka((1, 0)).ok


def test_an_event_that_does_not_come_back(elsewhere, monkeypatch):
    """The broker is frozen between the check of its address and the event: a line and not a stack."""
    with connect(elsewhere) as kafka, faults.paused(kafka.broker(1)):
        line = doctor_checks.careful("one event out and back", lambda: doctor.event(kafka))
    assert not line.ok
    assert "no answer from" in line.seen


def test_three_things_at_once(elsewhere, lab, runtime, tmp_path):
    """No Kafka, no jars, a broken copy: three lines, each with its remedy, in one run."""
    checkout = Path(shutil.copytree(CHECKOUT / "labsupport", tmp_path / "lab" / "labsupport")).parent
    for name in ("lab.py", "notebooks", "requirements.txt", "pyproject.toml", "tests"):
        (checkout / name).symlink_to(CHECKOUT / name)
    (checkout / "work").mkdir()
    (checkout / "work" / "00_start_here.ipynb").write_text("{")
    environment = {**os.environ, "LAB_CACHE": str(tmp_path / "empty"), "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "labsupport", "doctor"]
    run = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 1
    wrong = re.findall(r"wrong +([^:]+):.*\n +→ (.+)", run.stdout)
    assert [what for what, _ in wrong] == ["Kafka's jars", "lessons", "Kafka"]
    assert all(remedy for _, remedy in wrong)


def test_a_check_that_falls_over_is_a_line():
    """The doctor itself does not."""
    line = doctor_checks.careful("x", lambda: 1 / 0)
    assert not line.ok
    assert "ZeroDivisionError" in line.seen


def test_the_settings_are_checked_first(lab):
    """A malformed LAB_KAFKA is a sentence here as everywhere."""
    run = lab("doctor", LAB_KAFKA="localhost")
    assert run.returncode == 1
    assert "is not host:port" in run.stderr
    assert Settings.from_environment().embedded


def test_files_with_the_names_of_modules_spoil_no_command_and_are_named(tmp_path):
    """A learner's kafka.py, random.py, a folder labsupport: in the current folder, and in PYTHONPATH."""
    for name in ("kafka.py", "click.py", "random.py", "queue.py", "mine.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')\n")
    (tmp_path / "labsupport").mkdir()
    (tmp_path / "labsupport" / "__init__.py").write_text("raise SystemExit('the wrong module')\n")
    line = doctor_checks.own_files([tmp_path])
    assert not line.ok
    assert "kafka.py hides the module kafka" in line.seen
    assert "mine.py" not in line.seen + line.next_step
    environment = {**os.environ, "PYTHONPATH": ""}
    command = [sys.executable, str(CHECKOUT / "lab.py"), "--help"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert "doctor" in run.stdout, run.stderr
    assert subprocess.run(line.next_step, shell=True).returncode == 0  # what it suggests can be pasted
    assert (tmp_path / "my_kafka.py").exists()


def test_a_folder_that_is_on_the_path_twice_hides_nothing(tmp_path, monkeypatch):
    """By its name or as the current one; a module of the lab's packages is hidden as before."""
    (tmp_path / "mine.py").touch()
    monkeypatch.chdir(tmp_path)
    assert obstacles.hiding(["", str(tmp_path), *sys.path, str(tmp_path)]) == []
    (tmp_path / "kafka.py").touch()
    assert obstacles.hiding([str(tmp_path), *sys.path, ""]) == [tmp_path / "kafka.py"]


def test_two_folders_of_the_user_hide_nothing_from_each_other(tmp_path):
    """Two answers in files of the same name, each in its own folder, both on the path; kafka.py hides as before."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "handler.py").touch()
    folders = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert obstacles.hiding([*folders, *sys.path]) == obstacles.hiding([*sys.path, *folders]) == []
    (tmp_path / "two" / "kafka.py").touch()
    assert obstacles.hiding([*folders, *sys.path]) == [tmp_path / "two" / "kafka.py"]


def test_a_file_beside_a_notebook_that_hides_a_module_is_named_by_the_first_cell(kernel, tmp_path, monkeypatch):
    """Which file to rename, and what then; a module of Python's own is not hidden in a kernel."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "random.py").write_text("x = 1\n")
    (tmp_path / "pandas.py").write_text("x = 1\n")
    told = kernel().run("from labsupport import lesson")
    assert f"{tmp_path}/pandas.py hides the module pandas" in told
    assert "rename them, for example to my_pandas.py; then restart the kernel" in told
    assert "random.py" not in told
    (tmp_path / "pandas.py").unlink()
    assert kernel().run("from labsupport import lesson") == ""


def test_packages_that_are_missing_changed_or_written_over(tmp_path):
    """A version, a file, another package with the same files: each is named, and one command mends them all."""
    site = tmp_path / "site"
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from labsupport.setup.installed import wrong; print(wrong())"
    )

    def told(version: str, owners: dict[str, str]) -> str:
        shutil.rmtree(site, ignore_errors=True)
        (site / "kafka").mkdir(parents=True)
        (site / "kafka" / "__init__.py").write_text("x = 1\n")
        for name, size in owners.items():
            info = site / f"{name.replace('-', '_')}-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            (info / "RECORD").write_text(f"kafka/__init__.py,sha256=x,{size}\nkafka/data.pem,sha256=x,1\n")
        run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path)
        return run.stdout + run.stderr

    pinned = installed.pins()["kafka-python"]
    assert told(pinned, {"kafka-python": "6"}).strip() == "[]"
    assert "kafka-python is 2.0.2, pinned" in told("2.0.2", {"kafka-python": "6"})
    assert "was changed or deleted" in told(pinned, {"kafka-python": "7"})
    assert f"by the package kafka {pinned}" in told(pinned, {"kafka-python": "7", "kafka": "6"})
    line = doctor_checks.packages()
    assert line.ok
    assert line.next_step.endswith("lab.py setup")


def test_java_options_of_other_programs_reach_no_java(monkeypatch):
    """Options, a class path and the launcher's own switches."""
    for name in ("_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"):
        monkeypatch.setenv(name, "-XX:+UseG1GC -Xms9000g")
    monkeypatch.setenv("_JAVA_LAUNCHER_DEBUG", "1")
    line = doctor.java()
    assert line.ok, line.seen
    assert line.seen.startswith("openjdk version")


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_temporary_folder_without_programs_is_named(tmp_path):
    """Mounted with noexec, as hardened machines have it."""
    assert doctor_checks.runs_programs(tmp_path).ok
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,noexec", "tmpfs", tmp_path]).returncode:
        pytest.skip("this machine does not let us mount a file system")
    try:
        line = doctor_checks.runs_programs(tmp_path)
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)
    assert not line.ok
    assert "noexec" in line.seen
