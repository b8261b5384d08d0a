#!/usr/bin/env python3
"""Sets the lab up, then hands over to it.

    python3 lab.py           set up, check that the lab works, open JupyterLab   (on Windows: py lab.py)
    python3 lab.py test      set up, run every test and every notebook
    python3 lab.py setup     set up again, for example with another Python; the old set-up stays until the new one works
    python3 lab.py --help    all commands

Needs Python 3.11 or newer and nothing else. It installs into .venv.

    python3 lab.py --from DIR   set up without a network, from a folder made by `lab.py bundle DIR`

LAB_OFFLINE=folder does the same for any folder with wheels and jars.
"""
# This file must parse under any Python, so that an old one gets a clear message: no f-strings, no annotations.

import os
import sys

OLDEST = (3, 11)
HERE = os.path.dirname(os.path.realpath(__file__))


def main():
    if sys.version_info < OLDEST:
        text = "The lab needs Python %d.%d or newer; this is Python %s." % (OLDEST + (sys.version.split()[0],))
        sys.stderr.write(text + "\n  next: install a newer Python and start the lab with it: python3.13 lab.py\n")
        sys.exit(1)
    # The user's files must not shadow Python's own modules: neither those beside this file or in the current folder,
    # such as random.py, nor those that PYTHONPATH names.
    theirs = [HERE, os.getcwd()] + os.environ.get("PYTHONPATH", "").split(os.pathsep)
    theirs = [os.path.realpath(each) for each in theirs]
    sys.path[:] = [each for each in sys.path if os.path.realpath(each) not in theirs] + [HERE]
    from labsupport.setup import bootstrap

    bootstrap.main(sys.argv[1:])


if __name__ == "__main__":
    main()
