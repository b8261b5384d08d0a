"""The files to hand out: one for each learner, with the password inside, readable for its owner only."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from labsupport import client_properties
from labsupport.broker.cluster import Cluster
from labsupport.broker.process import write_atomically
from labsupport.classroom import users
from labsupport.connection import Connection, Secret
from labsupport.errors import LabError
from labsupport.files import storing


class Added(NamedTuple):
    """Who got a user now, who had one, and who has one but no file in the folder, so nobody knows the password."""

    new: list[str]
    kept: list[str]
    without_file: list[str]


def add(kafka: Cluster, learners: Connection, names: Sequence[str], folder: Path, *, renew: bool = False) -> Added:
    """Make a user, rights and quotas for each of `names`, and a file in `folder`; `learners` is how they connect.

    Again, nobody gets a new password, but with `renew` those whose file is not in `folder`. The file is written before
    the user is made, so an interrupted call can be repeated.
    """
    there = {*users.existing(kafka)}
    passwords: dict[str, str] = {}
    without_file = []
    with storing(folder, "--to"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            file = folder / f"{name}.properties"
            if name in there and file.exists():
                continue
            if name in there and not renew:
                without_file.append(name)
                continue
            passwords[name] = _password_in(file, name) or secrets.token_urlsafe(18)
            own = replace(learners, user=name, password=Secret(passwords[name]), learner=name)
            write_atomically(file, client_properties.written(own), 0o600)
    users.grant(kafka, passwords, names)
    new = [name for name in names if name in passwords]
    return Added(new, [name for name in names if name not in passwords and name not in without_file], without_file)


def _password_in(file: Path, name: str) -> str:
    """The password in a file that an interrupted call has left, if it is this learner's."""
    if not file.exists():
        return ""
    try:
        found = client_properties.read(file)
    except LabError:
        return ""
    return str(found.password) if found.learner == name else ""
