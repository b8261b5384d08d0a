"""What breaks things: faults, processes that can be killed, and trials that judge how code survives them.

Read faults, python_process and members; then strategies, trial, trial_runner, crashes and crash_search; poison,
rebuilds and incident use them. Reading the broker or drawing does not belong here: see `watching/`.
"""
