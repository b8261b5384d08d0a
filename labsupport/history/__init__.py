"""Lessons 10 to 12: records that come back: redrive of dead letters, replay, rebuilt states, and reset offsets.

Read selection → offset_range → scan → outgoing → redrive → replay → rebuilding → report → reset.
Processing a record for the first time belongs to delivery; pictures and balance sheets to experiments.
"""
