"""`@pytest.mark.proven_by("lab.py", "labsupport/setup/*.py")`: a test that takes long and depends on few files.

It is skipped if it passed with just these files, on this Python and this system; its own file counts too. What it
passed with is in `.pytest_cache`. Where the variable CI is set, it always runs.
"""

import functools
import os
import platform
import sys
from pathlib import Path

import pytest

from labsupport.files import digest


def pytest_configure(config):
    """Declare the marker."""
    config.addinivalue_line("markers", "proven_by(*patterns): skip it if it passed, and none of these files changed")


@functools.cache
def state(patterns: tuple[str, ...], root: Path) -> str:
    """A digest of these files, this Python and this system. Raises ValueError for a pattern without a file."""
    parts = [sys.version, platform.platform(), sys.prefix]
    for pattern in patterns:
        files = sorted(each for each in root.glob(pattern) if each.is_file())
        if not files:
            raise ValueError(f"there is no {pattern}")
        for file in files:
            parts += [file.relative_to(root).as_posix(), file.read_bytes().hex()]
    return digest(*parts)


def of(item) -> tuple[Path, str, str] | None:
    """Where it is noted that the test passed, with which state, and which files these are; None without a marker."""
    marker = item.get_closest_marker("proven_by")
    if marker is None:
        return None
    root = item.config.rootpath
    patterns = (item.path.relative_to(root).as_posix(), "conftest.py", "tests/conftest.py", *marker.args)
    return item.config.cache.mkdir("proven") / digest(item.nodeid), state(patterns, root), ", ".join(marker.args)


def pytest_runtest_setup(item):
    """Skip what has passed unchanged."""
    found = of(item)
    if found and "CI" not in os.environ:
        note, now, files = found
        if note.exists() and note.read_text() == now:
            pytest.skip(f"it passed with the same {files}; with CI=1 it runs again")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Note what has passed, and forget what has failed."""
    report = yield
    if (found := of(item)) and not report.skipped:
        note, now, _ = found
        if report.failed:
            note.unlink(missing_ok=True)
        elif call.when == "call":
            note.write_text(now)
    return report
