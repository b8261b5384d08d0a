"""Brokers, the processes behind them, and clients. What an event is does not belong here.

Processes: identity → process → owners → processes → watchdog → temporary_homes.
Brokers: jars → java_ended → java_runtime → startup_cache → server_properties → metadata → embedded →
background.
Clients: advice → clients → cluster.
"""
