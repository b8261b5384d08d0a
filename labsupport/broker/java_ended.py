"""Find out why Java ended from its last output: the lines that say so, and what to do (pure)."""

import re

DOCTOR = "check everything that the lab needs: python3 lab.py doctor"
# (pattern, what to do); the first pattern that matches a line counts, with all lines that match it.
CAUSES = (
    (
        r"insufficient memory|Cannot allocate memory|Not enough space|OutOfMemoryError|unable to create native thread"
        r"|Could not (allocate|reserve)|[Ff]ailed to (reserve|map|allocate|commit)|errno=12|Cannot create.*thread",
        "free memory: close programs, or raise a limit (ulimit -v, a container's); the lab needs 600 MB",
    ),
    (r"No space left on device|Disk quota exceeded", "free some space: the lab needs 300 MB"),
    (
        r"Could not find or load main class|ClassNotFoundException|NoClassDefFoundError",
        "Kafka's jars are not where Java looks: python3 lab.py doctor says which; LAB_CACHE moves them",
    ),
    (r"Too many open files", "raise the limit of open files: ulimit -n 4096"),
    (
        r"Multiple garbage collectors|Unrecognized|Invalid (maximum|initial)|Could not create the Java Virtual Machine"
        r"|Picked up .*OPTIONS|Conflicting|Error occurred during initialization of VM",
        "Java was started with options that the lab did not give. " + DOCTOR,
    ),
    (r"GLIBC|error while loading shared libraries|cannot open shared object", DOCTOR),
    (r"AccessDeniedException|Permission denied|Read-only file system", "may this user write there? LAB_HOME moves it"),
)


def cause(written: str) -> tuple[str, str]:
    """Return the lines of Java's output that name a known cause, four at most, and the next step; else empty texts."""
    lines = [line for line in written.splitlines() if line.strip(" #\t")]
    for words, next_step in CAUSES:
        if found := [line.strip(" #\t") for line in lines if re.search(words, line)]:
            return "\n".join(found[:4]), next_step
    return "", ""
