"""Experiments with Kafka, in two rooms: `breaking/` causes failures, `watching/` shows what they did.

Begin with `breaking/faults.py` and `watching/balance.py`. Both rooms stand on delivery and history; lessons, exercises
and commands use them. Code that a service would run in production does not belong here.
"""
