"""Apache Kafka's jars: pinned, fetched once per user, verified before every start.

`jars.lock` has the size and SHA-256 of each jar. No other jar is ever run.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from labsupport.console import progress
from labsupport.errors import LabError
from labsupport.files import digest, storing
from labsupport.settings import Settings
from labsupport.waiting import only_one

LOCK = Path(__file__).with_name("jars.lock")
AT_ONCE = 8  # downloads at the same time: 4 s for all jars instead of 12 s
ATTEMPTS = 2


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Jar:
    """One line of the lock: Maven coordinates, size in bytes, SHA-256 in hex.

    Programs come as other files too, with a classifier and a packaging of their own.
    """

    group: str
    artifact: str
    version: str
    size: int
    sha256: str
    classifier: str = ""
    packaging: str = "jar"

    @property
    def file_name(self) -> str:
        """Maven's name of the file."""
        return f"{'-'.join(filter(None, (self.artifact, self.version, self.classifier)))}.{self.packaging}"

    def matches(self, path: Path) -> bool:
        """Return whether `path` is exactly this jar."""
        try:
            if path.stat().st_size != self.size:
                return False
            return sha256(path) == self.sha256
        except (FileNotFoundError, NotADirectoryError):
            return False


def pinned(lock: Path = LOCK) -> list[Jar]:
    """Return the jars of the lock file, in its order, which is that of the class path."""
    jars = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            coordinates, size, sha256 = line.split("\t")
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group, artifact, version, int(size), sha256))
    return jars


def kafka_version() -> str:
    """Return the version of Apache Kafka that the lock pins, such as 4.3.1."""
    return next(jar.version for jar in pinned() if jar.artifact == "kafka_2.13")


def lock_digest() -> str:
    """Return a digest that changes with the lock."""
    return digest(LOCK.read_text(encoding="utf-8"))


def ensure(settings: Settings) -> list[Path]:
    """Return Kafka's verified jars in the user's cache; fetch those that are missing or altered.

    Verifying takes about 30 ms. Raises LabError if a jar is neither in the cache nor in `settings.offline` nor on the
    network.
    """
    return provide("Kafka", pinned(), folder_of(settings), settings)


def provide(what: str, jars: list[Jar], folder: Path, settings: Settings) -> list[Path]:
    """Return the verified jars of `what` in this folder of the cache, as `ensure` does for Kafka's."""
    if missing(jars, folder):
        _fetch(what, jars, folder, settings)
    return [folder / jar.file_name for jar in jars]


def folder_of(settings: Settings) -> Path:
    """Return the folder of the jars in the user's cache."""
    return settings.cache / f"jars-{lock_digest()}"


def missing(jars: list[Jar], folder: Path) -> list[Jar]:
    """Return those of `jars` that are missing from `folder`, or altered there."""
    with ThreadPoolExecutor(4) as pool:
        good = pool.map(lambda jar: jar.matches(folder / jar.file_name), jars)
        return [jar for jar, is_good in zip(jars, good, strict=True) if not is_good]


def _fetch(what: str, jars: list[Jar], folder: Path, settings: Settings) -> None:
    with storing(settings.cache, "LAB_CACHE"), only_one(folder.with_suffix(".lock"), f"fetching {what}"):
        folder.mkdir(parents=True, exist_ok=True)
        wanted = missing(jars, folder)  # another set-up may have fetched them while we waited
        for left_over in folder.glob(".fetch-*"):  # of a set-up that was killed
            shutil.rmtree(left_over, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-", ignore_cleanup_errors=True) as scratch:
            from_folder = settings.offline and _from_folder(what, jars, settings.offline, Path(scratch))
            _fetch_each(what, wanted, folder, from_folder or _from_maven(what, jars, settings, Path(scratch)))


def _fetch_each(what: str, missing: list[Jar], folder: Path, get: Callable[[Jar, Callable[[int], None]], Path]) -> None:
    """Get each jar with `get(jar, count_bytes)`, verify it, and only then give it its final name."""
    interrupted = threading.Event()
    with (
        progress(f"Fetching {what}", sum(jar.size for jar in missing), "B", scale=True) as bar,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):

        def count(size: int) -> None:
            if interrupted.is_set():
                raise LabError("The download was interrupted.", "", "run the same command again")
            bar.update(size)

        def one(jar: Jar) -> None:
            path = get(jar, count)
            if not jar.matches(path):
                raise LabError(
                    f"{jar.file_name} is not the file that the lab expects.",
                    "its size or SHA-256 differs from what the lab has pinned; it was not used",
                    "python3 lab.py  (tries again); if it comes back, ask whoever runs the mirror or made the folder",
                )
            os.utime(path, (0, 0))  # the start-up cache records the time: a jar fetched again must look the same
            path.replace(folder / jar.file_name)

        tasks = [pool.submit(one, jar) for jar in missing]
        try:
            for task in tasks:
                task.result()
        except BaseException:
            interrupted.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _from_folder(
    what: str, jars: list[Jar], offline: Path, scratch: Path
) -> Callable[[Jar, Callable[[int], None]], Path]:
    """Take jars from the folder LAB_OFFLINE, at any depth."""
    wanted = {jar.file_name for jar in jars}
    there = {path.name: path for path in offline.rglob("*") if path.name in wanted}

    def get(jar: Jar, count: Callable[[int], None]) -> Path:
        if jar.file_name not in there:
            raise LabError(
                f"{jar.file_name}, {_part(what, jars)}, is missing.",
                f"LAB_OFFLINE={offline} does not have it",
                f"put {'it' if len(jars) == 1 else f'all {len(jars)}'} into that folder, or unset LAB_OFFLINE",
            )
        path = Path(shutil.copy(there[jar.file_name], scratch))
        count(jar.size)
        return path

    return get


def _from_maven(
    what: str, jars: list[Jar], settings: Settings, scratch: Path
) -> Callable[[Jar, Callable[[int], None]], Path]:
    """Take jars from Maven Central, or from the mirror LAB_MAVEN."""
    import requests  # these two take half a second to import, and are needed once per user
    from jgo.maven import MavenContext, PythonResolver

    current: dict[str, Callable[[int], None]] = {}

    @contextlib.contextmanager
    def report(file_name: str, _size: int):
        yield current[file_name]

    context = MavenContext(
        resolver=PythonResolver(progress_callback=report),
        repo_cache=scratch,
        remote_repos={"mirror": settings.maven.rstrip("/")} if settings.maven else None,
    )

    def get(jar: Jar, count: Callable[[int], None]) -> Path:
        current[jar.file_name] = count
        artifact = (
            context.project(jar.group, jar.artifact).at_version(jar.version).artifact(jar.classifier, jar.packaging)
        )
        for _ in range(ATTEMPTS):
            try:
                return artifact.resolve()
            except (requests.RequestException, RuntimeError) as error:
                if artifact.cached_path:
                    artifact.cached_path.unlink(missing_ok=True)  # half a file would count as the whole one
                failure = error
        raise LabError(
            f"Could not fetch {jar.file_name}, {_part(what, jars)}.",
            f"{type(failure).__name__}: {str(failure)[:200]}",
            "check the network (proxy: HTTPS_PROXY; a mirror of Maven Central: LAB_MAVEN=address), or give a folder\n"
            "that holds the jars and wheels: LAB_OFFLINE=/path/to/folder python3 lab.py",
        ) from failure

    return get


def _part(what: str, jars: list[Jar]) -> str:
    return what if len(jars) == 1 else f"one of the {len(jars)} jars of {what}"
