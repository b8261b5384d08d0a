"""`python -m labsupport`, to which `lab.py` hands over."""

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # the current folder: its random.py or click.py must not be imported

from labsupport.errors import LabError
from labsupport.settings import Settings
from labsupport.setup import obstacles

try:
    with obstacles.explained():
        from labsupport.commands.error_boundary import run
        from labsupport.commands.main import lab

        run(lab)
except LabError as error:  # the modules that print errors could not be imported
    if sys.argv[1:2] == ["doctor"]:
        from labsupport.commands import doctor_checks

        checks = doctor_checks.begin(Settings.from_environment().work)
        print("\n".join(doctor_checks.shown(doctor_checks.careful(*each)) for each in checks))
    else:
        print(error, file=sys.stderr)
    sys.exit(1)
