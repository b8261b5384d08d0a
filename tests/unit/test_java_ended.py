"""Why Java ended: the lines that say so, and a next step that fits."""

import pytest

from labsupport.broker.java_ended import cause

MEMORY = """#
# There is insufficient memory for the Java Runtime Environment to continue.
# Native memory allocation (mmap) failed to map 33554432 bytes. Error detail: committing reserved memory.
# An error report file with more information is saved as:
# /somewhere/hs_err_pid1.log
#
# Can't open file to dump replay data. Error: Cannot write
"""


@pytest.mark.parametrize(
    ("written", "seen", "next_step"),
    [
        (MEMORY, "insufficient memory", "close programs"),
        ("Error occurred during initialization of VM\nCould not reserve enough space", "reserve", "close programs"),
        ("Error: Could not find or load main class kafka.Kafka\nCaused by: ClassNotFound", "main class", "LAB_CACHE"),
        ("Error occurred during initialization of VM\nMultiple garbage collectors selected", "Multiple", "doctor"),
        ("Unrecognized option: -Xfoo\nError: Could not create the Java Virtual Machine.", "-Xfoo", "doctor"),
        ("java.io.IOException: No space left on device", "No space left", "free some space"),
    ],
)
def test_each_cause_has_its_line_and_its_next_step(written, seen, next_step):
    """Starting over with an empty broker fixes none of them."""
    lines, step = cause(written + "\nlater\n")
    assert seen in lines
    assert next_step in step
    assert "wipe" not in step


def test_what_the_lab_does_not_know_is_left_to_the_end_of_the_log():
    """Then its last lines are shown, as before."""
    assert cause("[2026-01-01] ERROR something of Kafka's") == ("", "")
