"""The helper package of the lab: what its notebooks and its tests share.

    from labsupport import lesson
    lab = lesson("00")

Rooms with arrows in one direction: base <- broker, events <- experiments <- course <- commands. DESIGN.md has the map.
"""

from typing import Any

__all__ = [
    "Event",
    "EventError",
    "LabError",
    "Recovery",
    "Worker",
    "advice",
    "balance",
    "crashes",
    "dead_letter",
    "exact",
    "faults",
    "inbox",
    "incident",
    "lesson",
    "orders",
    "plots",
    "poison",
    "reading",
    "rebuilding",
    "redrive",
    "replay",
    "report",
    "resetting",
    "retry",
    "road",
    "sending",
    "shop",
    "strategies",
    "torture",
    "until",
]

_HOMES = {
    "LabError": "labsupport.base",
    "lesson": "labsupport.course.session",
    "advice": "labsupport.broker.advice",
    "Event": "labsupport.events.event",
    "EventError": "labsupport.events.event",
    "Recovery": "labsupport.events.recovery",
    "Worker": "labsupport.events.worker",
    "dead_letter": "labsupport.events",
    "exact": "labsupport.events",
    "redrive": "labsupport.events",
    "retry": "labsupport.events",
    "inbox": "labsupport.events",
    "orders": "labsupport.events",
    "shop": "labsupport.events",
    "until": "labsupport.base",
    "sending": "labsupport.events",
    "reading": "labsupport.events",
    "replay": "labsupport.events",
    "rebuilding": "labsupport.events",
    "resetting": "labsupport.events",
    "report": "labsupport.events",
    "plots": "labsupport.experiments",
    "balance": "labsupport.experiments",
    "crashes": "labsupport.experiments",
    "faults": "labsupport.experiments",
    "incident": "labsupport.experiments",
    "poison": "labsupport.experiments",
    "road": "labsupport.experiments",
    "strategies": "labsupport.experiments",
    "torture": "labsupport.experiments",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: the command line shall not wait for the Kafka client (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    from labsupport.setup import obstacles

    if name == "lesson":
        obstacles.refuse_hidden()
    with obstacles.explained("then restart the kernel (menu Kernel), and run this cell again"):
        home = importlib.import_module(_HOMES[name])
        return getattr(home, name, None) or importlib.import_module(f"{_HOMES[name]}.{name}")
