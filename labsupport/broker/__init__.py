"""Brokers, the processes behind them, and clients. What an event is does not belong here.

Processes: identity → process → owners → processes → watchdog → homes.
Brokers: jars → java_ended → runtime → training → properties → metadata → embedded → background.
Clients: advice → clients → cluster.
"""
