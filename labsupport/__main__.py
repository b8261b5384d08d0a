"""`python -m labsupport`, to which `lab.py` hands over."""

from labsupport.commands.main import run

run()
