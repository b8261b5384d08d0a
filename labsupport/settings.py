"""The settings: environment variables that begin with LAB_."""

import getpass
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from labsupport.connection import Connection, parse_addresses
from labsupport.errors import LabError

OWN_ACCESS = "client.properties"  # in the folder of brokers that want a password
CHECKOUT = Path(__file__).resolve().parent.parent


def place(checkout: Path) -> Path:
    """Return the folder for what is made here (`.lab`, `work`): the checkout, if there is one and it is writable.

    An installed package has none, and on a server it may belong to somebody else: then the user's data folder.
    """
    if (checkout / "lab.py").is_file() and os.access(checkout, os.W_OK):
        return checkout
    import platformdirs

    return Path(platformdirs.user_data_dir("kafka-lab", appauthor=False)).resolve()


PLACE = place(CHECKOUT)


def default_learner() -> str:
    """Return `user_machine` in lower case: two people or containers on one broker must not share names."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "learner"
    return "_".join(re.sub(r"[^a-z0-9]", "", part.lower())[:24] or "x" for part in (user, platform.node()))


def _cache(given: str) -> Path:
    """Return the folder that all checkouts of this user share; raises LabError if Java cannot use it."""
    import platformdirs

    folder = Path(given or platformdirs.user_cache_dir("kafka-lab", appauthor=False)).resolve()
    if os.pathsep in str(folder):
        raise LabError(
            f"The lab's cache cannot be in {folder}.",
            f"Java reads {os.pathsep!r} as the end of a path",
            "set LAB_CACHE to a folder without that character",
        )
    return folder


def _registry(url: str) -> str:
    """Return the URL. Raises LabError if it is none; its text is not shown, because it may hold a password."""
    from urllib.parse import urlsplit

    try:
        split = urlsplit(url)
        good = not url or (split.scheme in ("http", "https") and split.hostname and split.port != 0)
    except ValueError:  # a port that is no number
        good = False
    if not good:
        raise LabError(
            "LAB_REGISTRY is no URL of a schema registry.",
            "it begins with http:// or https://, and has a host, perhaps with user:password@ before it, and a port",
            "set LAB_REGISTRY=http://localhost:8081, or unset it: the lab has a registry of its own",
        )
    return url


def _work(given: str) -> Path:
    """Return the folder of the learner's notebooks and files; raises LabError if it cannot be that."""
    folder = Path(given).expanduser().resolve() if given else PLACE / "work"
    why = ""
    if folder.exists() and not folder.is_dir():
        why = "it is a file"
    elif any(folder.is_relative_to(CHECKOUT / each) for each in ("notebooks", "labsupport")):
        why = "that folder is the lab's own, and an update overwrites what is in it"
    if why:
        raise LabError(f"LAB_WORK is {given!r}.", why, "name a folder of yours, such as ~/kafka-lab/work")
    return folder


def _password(environ: Mapping[str, str]) -> bool | None:
    """Return what LAB_PASSWORD says; without it, a learner's server under JupyterHub has one."""
    match environ.get("LAB_PASSWORD", "").strip().lower():
        case "on" | "off" as said:
            return said == "on"
        case "":
            return True if environ.get("JUPYTERHUB_USER") else None
        case _:  # which may be a password: it is not shown
            raise LabError("LAB_PASSWORD is neither on nor off.", "the lab makes the password itself", "set it to on")


def _file(name: str, path: str) -> str:
    if path and not Path(path).is_file():
        raise LabError(f"{name} is {path!r}.", "there is no such file", "give a file with certificates (PEM)")
    return path


@dataclass(frozen=True)
class Settings:
    """The settings, read once at the edge and passed on as a value.

    `kafka` is "embedded" or "host:port[,host:port]"; `secured` says how to connect there if it takes more than that
    (LAB_KAFKA_CONFIG). `home` has the broker of this checkout, or of this user if there is none; `work` the learner's
    notebooks and files. `cache` is shared by all checkouts of this user, or by all users. `offline` is a folder with
    wheels and jars, `maven` the address of a mirror. `seed` decides which events the lessons' shop has. `password` says
    whether the lab's own brokers want one; None, whether several people use this machine decides.
    """

    home: Path
    cache: Path
    kafka: str = "embedded"
    learner: str = ""
    offline: Path | None = None
    maven: str | None = None
    seed: int = 2026
    registry: str = field(default="", repr=False)  # may hold a password
    registry_ca: str = ""
    secured: Connection | None = None
    work: Path = PLACE / "work"
    password: bool | None = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read the variables (the README lists them); raises LabError if one is invalid."""
        kafka = environ.get("LAB_KAFKA", "").strip() or "embedded"
        if kafka != "embedded":
            parse_addresses(kafka)
        secured = None
        if config := environ.get("LAB_KAFKA_CONFIG", "").strip():
            from labsupport import client_properties

            secured = client_properties.read(Path(config).resolve(), "" if kafka == "embedded" else kafka)
            kafka = secured.bootstrap
        of_class = secured.learner if secured else ""
        learner = environ.get("LAB_LEARNER", "").strip() or of_class or default_learner()
        if not re.fullmatch(r"[a-z0-9_]{1,50}", learner):
            raise LabError(
                f"LAB_LEARNER is {learner!r}.",
                "it becomes part of topic names",
                "use 1 to 50 of the characters a-z, 0-9 and _",
            )
        offline = environ.get("LAB_OFFLINE", "").strip()
        if offline and not Path(offline).is_dir():
            raise LabError(
                f"LAB_OFFLINE is {offline!r}.", "there is no such folder", "give the folder with the wheels and jars"
            )
        seed = environ.get("LAB_SEED", "").strip() or "2026"
        if not re.fullmatch(r"-?[0-9]{1,18}", seed):
            raise LabError(f"LAB_SEED is {seed!r}.", "it is not a whole number", "set LAB_SEED=2026, or unset it")
        return cls(
            home=Path(environ.get("LAB_HOME") or PLACE / ".lab").resolve(),
            cache=_cache(environ.get("LAB_CACHE", "")),
            kafka=kafka,
            learner=learner,
            offline=Path(offline).resolve() if offline else None,
            maven=environ.get("LAB_MAVEN", "").strip() or None,
            seed=int(seed),
            registry=_registry(environ.get("LAB_REGISTRY", "").strip()),
            registry_ca=_file("LAB_REGISTRY_CA", environ.get("LAB_REGISTRY_CA", "").strip()),
            secured=secured,
            work=_work(environ.get("LAB_WORK", "").strip()),
            password=_password(environ),
        )

    def on_own_broker(self) -> "Settings":
        """Return these settings with the lab's own broker, on this computer."""
        return replace(self, kafka="embedded", secured=None)

    @property
    def root(self) -> Path:
        """The folder that JupyterLab shows: that of `.lab` and `work`, or the one around `work` if that was moved."""
        return PLACE if self.work.is_relative_to(PLACE) else self.work.parent

    @property
    def embedded(self) -> bool:
        """Whether the lab runs its own broker."""
        return self.kafka == "embedded"

    @property
    def prefix(self) -> str:
        """The prefix of topic and group names: empty on the lab's own broker, with the learner's name elsewhere."""
        return "" if self.embedded else f"lab-{self.learner}-"

    @property
    def kafka_source(self) -> str:
        """The variable that names the Kafka, if it is not the lab's own."""
        return "LAB_KAFKA_CONFIG" if self.secured else "LAB_KAFKA"

    @property
    def connection(self) -> Connection:
        """How to connect to the Kafka that LAB_KAFKA_CONFIG or LAB_KAFKA names; not for the lab's own."""
        return self.secured or Connection(self.kafka)

    def connection_to(self, addresses: str) -> Connection:
        """Return the connection to these addresses, so that a program of its own needs no more than them.

        As LAB_KAFKA_CONFIG says if they are its own; with the password of the lab's own brokers if they are those of
        this home; else in plain text. So nobody is given another one's password.
        """
        file = self.access_file(addresses)
        if file is None:
            return Connection(addresses)
        if self.secured and file == self.secured.source:
            return self.secured.at(addresses)
        return replace(_read(file).at(addresses), source=None)

    def access_file(self, addresses: str) -> Path | None:
        """Return the client.properties with which to connect to these addresses; None if plain text will do."""
        wanted = set(parse_addresses(addresses))
        if self.secured and wanted <= set(self.secured.addresses):
            return self.secured.source
        if not self.embedded and wanted <= set(parse_addresses(self.kafka)):
            return None  # at an address that a broker of ours may have had before
        own = (self.home / "broker" / OWN_ACCESS, *self.home.glob(f"private/*/{OWN_ACCESS}"))
        return next((each for each in own if each.is_file() and wanted <= set(_read(each).addresses)), None)


def _read(file: Path) -> Connection:
    from labsupport import client_properties

    return client_properties.read(file)
