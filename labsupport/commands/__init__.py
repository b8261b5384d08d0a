"""The command line, `python3 lab.py …`: a module for each command, and what they share.

Read in this order: main (the list) → boundary (errors become sentences) → terminal (shared) → the command. What a
notebook needs too belongs in a room below.
"""
