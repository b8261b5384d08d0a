"""Writing files, and digests."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from labsupport.errors import LabError


@contextlib.contextmanager
def storing(folder: Path, variable: str) -> Iterator[None]:
    """Turn an OSError in the body of a `with` into a LabError: a full disk, or a folder without write permission.

    `variable` is the environment variable that moves the folder.
    """
    try:
        yield
    except OSError as error:
        raise LabError(
            f"Could not write in {folder}.",
            str(error),
            f"free some space (the lab needs 300 MB there), or set {variable} to a folder that you may write to",
        ) from error


def digest(*parts: str) -> str:
    """Return twelve hex digits that identify this combination of `parts`."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
