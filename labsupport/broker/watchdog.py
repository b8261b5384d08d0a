"""The watchdog of a home ends what has outlived its owner. `python -m labsupport.broker.watchdog HOME`, one per home.

Four times a second it checks by pid and start time whether the owners live. So it does not matter how or when one
ended, or on which system; a frozen owner lives. It has a session of its own, so Ctrl-C does not reach it. It ends when
no owner is left; the next owner starts another.

Libraries are imported only when an owner has died: they would be most of the watchdog's memory.
"""

import contextlib
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labsupport.broker import owners
from labsupport.broker.identity import lives
from labsupport.broker.owners import Owner

EVERY = 0.25  # seconds
# A process that was being started when its owner died has no marks yet: look for it this long.
GRACE = 1.5
# Keep the broker this long for a kernel that restarts, or the next of two commands.
LINGER = 1.5


class Watchdog:
    """What it knows of its home. It remembers the owners, in case the home is deleted while they run."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.monotonic):
        self.clock = clock  # seconds
        self.home, self.temporary = home, (home / owners.TEMPORARY).exists()
        self.known: dict[str, Owner] = {}
        self.seen: dict[str, float] = {}  # by identity of a dead owner: when a process of it was last seen
        self.in_use = clock()  # when the broker was last in use, or seen
        self.settled = False  # not used since, and not running

    def look(self) -> bool:
        """Check once, and end what has to end; returns whether anything is left to watch."""
        if (self.home / "owners").is_dir():
            self.known = {owner.identity: owner for owner in owners.read(self.home)}
        elif self.temporary:  # its owner has deleted it
            self.known = {}
        now = self.clock()
        for owner in list(self.known.values()):
            if not lives(owner.identity):
                self._clear(owner, now)
            elif not owner.lives:
                _kill(owner)
        if owners.used(self.home) or any(owner.uses and owner.lives for owner in self.known.values()):
            self.in_use, self.settled = now, owners.kept_until(self.home) == ""
        elif not self.settled and now - self.in_use > LINGER:
            if self._end_shared():
                self.in_use = now  # and check again: it may have been starting something
            else:
                self.settled = now - self.in_use > LINGER + GRACE
        return bool(self.known) or not self.settled

    def _clear(self, owner: Owner, now: float) -> None:
        """End what has outlived its owner; forget the owner when nothing of it has been seen for a while."""
        from labsupport.broker import processes

        if processes.sweep(self._settings()) or owner.identity not in self.seen:
            self.seen[owner.identity] = now
        elif now - self.seen[owner.identity] > GRACE:
            owners.file_of(self.home, owner.identity).unlink(missing_ok=True)
            del self.known[owner.identity], self.seen[owner.identity]

    def _end_shared(self) -> bool:
        """Stop the unused broker, unless a program is just starting it; return whether it ran."""
        from labsupport.broker import processes
        from labsupport.waiting import only_one

        settings = self._settings()
        if those := processes.running(settings, processes.SHARED):
            with contextlib.ExitStack() as stack:
                if self.home.exists():
                    stack.enter_context(only_one(processes.broker_lock(settings), "starting the broker", timeout=1))
                for each in those if not owners.used(self.home) else ():
                    if each.role == "training":  # what it leaves, the next one deletes; its broker is an orphan then
                        each.process.kill()
                    else:
                        each.process.stop(3)
        return bool(those)

    def leave(self) -> bool:
        """Leave if no owner is left; return whether it left. The next owner starts another watchdog."""
        from labsupport.broker import processes
        from labsupport.broker.process import Process

        # Homes inside this one have watchdogs of their own, which write there until they go.
        if self.temporary and any(map(Process.recorded, self.home.glob("*/**/watchdog.json"))):
            return False
        if self.home.exists() and not processes.leave(self._settings()):
            return False
        if self.temporary:
            _delete(self.home)
        return True

    def _settings(self) -> Any:
        from labsupport.settings import Settings

        return Settings(home=self.home, cache=self.home)


def _delete(folder: Path) -> None:
    """Delete the folder, though a process that is just dying may still write in it."""
    for _ in range(40):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(EVERY)


def _kill(owner: Owner) -> None:
    from labsupport.broker.process import Process
    from labsupport.errors import LabError

    pid, _, began = owner.identity.partition(":")
    with contextlib.suppress(LabError):  # one that cannot be killed must not protect the others
        Process("an owner", int(pid), began, Path("watchdog.log")).kill()


def main(home: Path) -> None:
    """Watch until no owner is left."""
    watchdog = Watchdog(home)
    while True:
        try:
            if not watchdog.look() and watchdog.leave():
                return
        except Exception:  # a full disk, or a process that cannot be killed: keep watching the others
            traceback.print_exc()
        time.sleep(EVERY)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
