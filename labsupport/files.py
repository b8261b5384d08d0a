"""Files of the lab and of the learner."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
from labsupport.errors import LabError


@contextlib.contextmanager
def storing(folder: Path, variable: str) -> Iterator[None]:
    """Turn an OSError in the body of a `with` into a LabError: a full disk, or a folder that may not be written to.

    `variable` is the environment variable that would move the folder elsewhere.
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
    """Twelve hex digits that name this combination of `parts`."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
