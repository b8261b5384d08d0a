"""The machine room: processes, files and sockets. It has never heard of an event.

Read it in this order: process → jars → runtime → properties → embedded → background → cluster.
"""
