"""Who may use the lab's own brokers: everybody on this machine, or who can read a file in the home.

A port of the loopback address is open to every user of the machine. So where several people use it, the brokers want a
password, at the port for clients and at the one for controllers. It is new each time that a cluster starts, and stands
in the cluster's folder in a file that only this user may read, in the form that Kafka's own tools take.
"""

import contextlib
import secrets
import sys
from pathlib import Path

from labsupport import client_properties
from labsupport.broker.process import write_atomically
from labsupport.broker.server_properties import Access
from labsupport.connection import Connection, Secret
from labsupport.errors import LabError
from labsupport.settings import OWN_ACCESS, Settings

USER = "lab"
FIRST_PERSON = 500 if sys.platform == "darwin" else 1000  # users below are the system's
LAST_PERSON = 59_999  # above are the system's again


def new(settings: Settings) -> Access | None:
    """Return a new password for the brokers of this home, or None if everybody on this machine may use them."""
    return Access(USER, Secret(secrets.token_urlsafe(24))) if wanted(settings) else None


def wanted(settings: Settings) -> bool:
    """Whether the brokers want a password: as the settings say, else if more than one person has an account here."""
    return people() > 1 if settings.password is None else settings.password


def people() -> int:
    """Count the accounts of people: they have a login shell, and no number that is the system's.

    Accounts of a directory service (LDAP) may not be listed.
    """
    if sys.platform == "win32":
        return 1
    import pwd

    def person(each: pwd.struct_passwd) -> bool:
        logs_in = not each.pw_shell.endswith(("/nologin", "/false"))
        return FIRST_PERSON <= each.pw_uid <= LAST_PERSON and logs_in

    return len({each.pw_uid for each in pwd.getpwall() if person(each)})


def record(folder: Path, connection: Connection) -> None:
    """Write down how to connect to the cluster in this folder, for other programs of this user."""
    file = folder / OWN_ACCESS
    if connection.secured:
        folder.chmod(0o700)  # it holds the records, too
        write_atomically(file, client_properties.written(connection), 0o600)
    else:
        file.unlink(missing_ok=True)


def recorded(folder: Path) -> Access | None:
    """Return the access to the cluster in this folder, as its starter wrote it down; None if everybody has it."""
    with contextlib.suppress(LabError, OSError):
        found = client_properties.read(folder / OWN_ACCESS)
        return Access(found.user, found.password)
    return None
