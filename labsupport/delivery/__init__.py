"""Lessons 03 to 09: how a service publishes, consumes, retries, sets aside, and processes each event once.

Read publish → reading → moments → worker → offsets → orders → inbox → retry → error_handler → dead_letter → catch_up →
payments.
What brings records back (redrive, replay, reset) lives in history, what breaks or draws a service in experiments.
"""
