"""What breaks things: faults, processes that can be killed, and trials that judge how code survives them.

Read faults, python_process and members; then strategies, trial, trial_runner, crashes and crash_search; poison,
rebuilds and incident use them. `services` has what lessons 07 to 09 do not write by hand. Reading the broker or drawing
does not belong here: see `watching/`.
"""
