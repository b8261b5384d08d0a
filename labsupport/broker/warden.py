"""The warden of a home ends what has outlived its owner. `python -m labsupport.broker.warden HOME`, one per home.

Four times a second it looks whether the owners live, by pid and start time: so it does not matter how one ended, nor
when, nor on which system; and one that is frozen lives. It hears no Ctrl-C, having a session of its own. It ends when
nobody is left to watch; who becomes an owner after that starts another.

What needs a library is imported where it is used, when somebody has died: it would be most of the warden's memory.
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
# A process that is being started when its owner dies has no marks yet: so long it is looked for.
GRACE = 1.5
# So long the broker is kept for a kernel that is being restarted, or the next of two commands.
LINGER = 1.5


class Warden:
    """What it knows of its home. It remembers the owners, should somebody delete the home under them."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.monotonic):
        self.clock = clock  # seconds
        self.home, self.temporary = home, (home / owners.TEMPORARY).exists()
        self.known: dict[str, Owner] = {}
        self.seen: dict[str, float] = {}  # of an owner that has gone, by identity: when something of it was seen last
        self.in_use = clock()  # when the broker was last in use, or seen
        self.settled = False  # nobody has used it since, and it does not run

    def look(self) -> bool:
        """Look once, and end what has to end; returns whether there is anything left to watch."""
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
            self.in_use, self.settled = now, owners.keep_mark(self.home).exists()
        elif not self.settled and now - self.in_use > LINGER:
            if self._end_shared():
                self.in_use = now  # and look again: it may have been starting something
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
        """Stop the broker that nobody uses, unless somebody is just starting it; whether it ran."""
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
        """Go, if really nobody is left: from now on, whoever becomes an owner starts another warden."""
        from labsupport.broker import processes
        from labsupport.broker.process import Process

        # Homes inside this one have wardens of their own, which write there until they go.
        if self.temporary and any(map(Process.recorded, self.home.glob("*/**/warden.json"))):
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
    with contextlib.suppress(LabError):  # one that cannot be killed must not keep us from the others
        Process("an owner", int(pid), began, Path("warden.log")).kill()


def main(home: Path) -> None:
    """Watch until nobody is left."""
    warden = Warden(home)
    while True:
        try:
            if not warden.look() and warden.leave():
                return
        except Exception:  # a full disk, a process that cannot be killed: the others must still be looked after
            traceback.print_exc()
        time.sleep(EVERY)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
