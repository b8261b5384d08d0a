"""A learner's server under JupyterHub: `python -m labsupport.commands.hub_server`, which the hub starts as the learner.

It makes the learner's copies, and becomes JupyterHub's own program for such servers, with the front page first.
"""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from labsupport.commands.start import jupyter_options
from labsupport.course.copies import make_copies
from labsupport.errors import LabError
from labsupport.files import storing
from labsupport.settings import Settings


def main(words: Sequence[str]) -> None:
    """Become the server; `words` are options of the hub's for it. Raises LabError, which the hub's log shows."""
    if find_spec("jupyterhub") is None:
        raise LabError(
            "JupyterHub is not installed beside the lab.",
            f"it is missing in {sys.prefix}",
            f"{sys.executable} -m pip install jupyterhub==VERSION  (that of the hub)",
        )
    settings = Settings.from_environment()
    with storing(settings.work, "LAB_WORK"):
        make_copies(settings.work)
    command = [sys.executable, "-P", "-m", "jupyterhub.singleuser", *jupyter_options(settings), *words]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except LabError as error:
        sys.exit(str(error))
