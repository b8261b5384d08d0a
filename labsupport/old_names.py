"""Names of an earlier version of the course. Code that uses one gets an error with the new name, never an alias.

Delete an entry when nobody can have a notebook from that time any more.
"""

import re
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NoReturn

from labsupport.errors import RenamedError

EVENTS = "labsupport.events"  # a package that is gone: shop, delivery and history took its modules

# Modules, and what `from labsupport import …` gave.
IMPORTS = {
    "labsupport.Recovery": "labsupport.ErrorHandler",
    "labsupport.exact": "labsupport.librdkafka",
    "labsupport.resetting": "labsupport.reset",
    "labsupport.road": "labsupport.trace",
    "labsupport.sending": "labsupport.publish",
    "labsupport.torture": "labsupport.crash_search",
    "labsupport.base": "labsupport.errors, waiting, settings, console and files",
    "labsupport.fetching": "labsupport.kafka_fixes",
    "labsupport.loading": "labsupport.learner_file",
    "labsupport.broker.roster": "labsupport.broker.processes",
    "labsupport.course.answer": "labsupport.course.submission",
    "labsupport.course.failing": "labsupport.course.exercises.failing_clients",
    "labsupport.course.guard": "labsupport.course.sandbox",
    "labsupport.course.names": "labsupport.course.missing_imports",
    "labsupport.course.opened": "labsupport.course.open_lessons",
    "labsupport.course.plain": "labsupport.course.plain_values",
    f"{EVENTS}.account": "labsupport.history.replay_report",
    f"{EVENTS}.choice": "labsupport.history.selection",
    f"{EVENTS}.dead_letter": "labsupport.delivery.dead_letter",
    f"{EVENTS}.event": "labsupport.shop.event",
    f"{EVENTS}.exact": "labsupport.history.librdkafka",
    f"{EVENTS}.inbox": "labsupport.delivery.inbox",
    f"{EVENTS}.offsets": "labsupport.delivery.offsets",
    f"{EVENTS}.orders": "labsupport.delivery.orders",
    f"{EVENTS}.payments": "labsupport.delivery.payments",
    f"{EVENTS}.reading": "labsupport.delivery.reading",
    f"{EVENTS}.rebuilding": "labsupport.history.rebuilding",
    f"{EVENTS}.recovery": "labsupport.delivery.error_handler",
    f"{EVENTS}.redrive": "labsupport.history.redrive",
    f"{EVENTS}.replay": "labsupport.history.replay",
    f"{EVENTS}.report": "labsupport.history.report",
    f"{EVENTS}.resetting": "labsupport.history.reset",
    f"{EVENTS}.retry": "labsupport.delivery.retry",
    f"{EVENTS}.sending": "labsupport.delivery.publish",
    f"{EVENTS}.shop": "labsupport.shop.story",
    f"{EVENTS}.stretches": "labsupport.history.offset_range",
    f"{EVENTS}.worker": "labsupport.delivery.worker",
    "labsupport.experiments.balance": "labsupport.experiments.watching.balance",
    "labsupport.experiments.crashes": "labsupport.experiments.breaking.crashes",
    "labsupport.experiments.faults": "labsupport.experiments.breaking.faults",
    "labsupport.experiments.history": "labsupport.experiments.watching.ownership",
    "labsupport.experiments.incident": "labsupport.experiments.breaking.incident",
    "labsupport.experiments.journal": "labsupport.experiments.watching.moment_file",
    "labsupport.experiments.laboratory": "labsupport.experiments.breaking.trial_runner",
    "labsupport.experiments.lag": "labsupport.experiments.watching.lag",
    "labsupport.experiments.log": "labsupport.experiments.watching.log",
    "labsupport.experiments.members": "labsupport.experiments.breaking.members",
    "labsupport.experiments.nursery": "labsupport.experiments.breaking.forkserver",
    "labsupport.experiments.plots": "labsupport.experiments.watching.plots",
    "labsupport.experiments.poison": "labsupport.experiments.breaking.poison",
    "labsupport.experiments.program": "labsupport.experiments.breaking.python_process",
    "labsupport.experiments.rebuilds": "labsupport.experiments.breaking.rebuilds",
    "labsupport.experiments.road": "labsupport.experiments.watching.trace",
    "labsupport.experiments.strategies": "labsupport.experiments.breaking.strategies",
    "labsupport.experiments.torture": "labsupport.experiments.breaking.crash_search",
    "labsupport.experiments.trial": "labsupport.experiments.breaking.trial",
}

# What the old module `shop` held: `labsupport.shop` is a package now.
STORY = {"events", "key_of", "OPENING", "CUSTOMERS", "AUCTIONS", "KEYS"}

# Attributes and keyword arguments of modules and classes that kept their names, or got new ones above.
NAMES = {
    "history.replay": {"Choice": "Selection", "Skip": "labsupport.history.outgoing.Skip"},
    "history.redrive": {"choice": "selection"},
    "history.reset": {"reset": "reset_offsets"},
    "history.librdkafka": {"ExactProducer": "ConfluentProducer"},
    "history.selection": {"Choice": "Selection", "fix": "resolve", "stretch": "offset_range"},
    "history.offset_range": {"Stretch": "OffsetRange"},
    "history.replay_report": {"Account": "ReplayReport", "Tally": "ReplayCounter", "place_of": "coordinates_of"},
    "delivery.error_handler": {"Recovery": "ErrorHandler"},
    "delivery.offsets": {"Offsets": "OffsetTracker"},
    "delivery.retry": {
        "TransientError": "labsupport.errors.TransientError",
        "PermanentError": "labsupport.errors.PermanentError",
    },
    "experiments.breaking.faults": {"FaultError": "labsupport.errors.FaultError"},
    "experiments.breaking.forkserver": {"Nursery": "ForkServer"},
    "experiments.breaking.trial": {"Played": "TrialRun", "play": "run_trial"},
    "experiments.breaking.trial_runner": {"Laboratory": "TrialRunner"},
    "experiments.watching.lag": {"Place": "PartitionLag"},
    "experiments.watching.trace": {"of": "of_events"},
    "ErrorHandler": {"bury": "send_to_dead_letter"},
    "Lag": {"places": "partitions"},
    "Letters": {"account": "report"},
    "Moment": {"what": "kind", "at": "time", "who": "client_id", "places": "partitions", "why": "error"},
    "OffsetRange": {"begin": "log_start", "end": "log_end"},
    "OffsetTracker": {
        "finish": "ack",
        "due": "committable",
        "settle": "committed",
        "hand_out": "delivered",
        "holds": "owns",
    },
    "TrialRun": {"lives": "processes"},
    "Policy": {"first": "wait_initial", "most": "wait_max", "total": "timeout", "jitter": "wait_jitter"},
    "Replay": {"account": "report"},
    "ReplayReport": {"stretches": "ranges"},
    "Worker": {"recovery": "error_handler"},
    "reset_offsets": {"shift": "shift_by"},
}


def refuse(name: str) -> None:
    """Raise RenamedError if `name`, a dotted path below labsupport, is one of IMPORTS."""
    if name in IMPORTS:
        _refuse(name, IMPORTS[name])


def refuse_shop(name: str) -> None:
    """Raise RenamedError if the old module `shop` had an attribute of this name."""
    if name in STORY:
        _refuse(f"shop.{name}", f"story.{name} (from labsupport import story)")


def _refuse(old: str, new: str) -> NoReturn:
    raise RenamedError(
        f"{old} has a new name: this code was written for an older version of the course.",
        f"it is now {new}",
        "in a notebook: python3 lab.py new NN  (the lesson's two digits; your copy is kept beside the new one)\n"
        "in code of your own: use the new name",
    )


def advice(error: BaseException) -> str:
    """Say what an attribute or argument is called now, if `error` is about an old name; else return an empty string."""
    owner, old = _missing(error)
    new = IMPORTS.get(f"{owner}.{old}") or NAMES.get(owner, {}).get(old)
    return f"{old} is now {new}. For the lesson as it is now: python3 lab.py new NN (your copy is kept)." if new else ""


def _missing(error: BaseException) -> tuple[str, str]:
    """The module (below labsupport), class or function that lacks something, and the name of that."""
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        return error.obj.__name__.removeprefix("labsupport."), error.name or ""
    if isinstance(error, AttributeError):
        kind = error.obj if isinstance(error.obj, type) else type(error.obj)
        return (kind.__name__, error.name or "") if kind.__module__.startswith("labsupport.") else ("", "")
    for pattern in (
        r"cannot import name '(?P<name>\w+)' from 'labsupport\.(?P<owner>[\w.]+)'",
        r"(?P<owner>\w+)(\.__init__)?\(\) got an unexpected keyword argument '(?P<name>\w+)'",
    ):
        if found := re.match(pattern, str(error)):
            return found["owner"], found["name"]
    return "", ""


class _OldPackage(Loader):
    """Lets `import labsupport.events.worker` get as far as its last part, so that the error can name the new module."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Take the default."""

    def exec_module(self, module: ModuleType) -> None:
        """Refuse each of its modules, whichever way it is asked for."""

        def attribute(name: str) -> NoReturn:
            refuse(f"{module.__name__}.{name}")
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        vars(module)["__getattr__"] = attribute


def spec_of(name: str) -> ModuleSpec | None:
    """How to import a module that does not exist. Raises RenamedError for an old one; None if it never existed."""
    refuse(name)
    return ModuleSpec(name, _OldPackage(), is_package=True) if name == EVENTS else None
