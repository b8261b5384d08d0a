"""The command line: `python3 lab.py …`. main.py lists the commands; a larger one has a module of its own."""
