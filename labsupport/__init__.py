"""The helper package of the lab: what its notebooks and its tests share.

    from labsupport import lesson
    lab = lesson("00")

Rooms with arrows in one direction: base <- broker, events <- experiments <- course <- commands. DESIGN.md has the map.
"""

from typing import Any

__all__ = [
    "ErrorHandler",
    "Event",
    "EventError",
    "LabError",
    "Worker",
    "advice",
    "balance",
    "crash_search",
    "crashes",
    "dead_letter",
    "faults",
    "inbox",
    "incident",
    "lesson",
    "librdkafka",
    "orders",
    "plots",
    "poison",
    "publish",
    "reading",
    "rebuilding",
    "redrive",
    "replay",
    "report",
    "reset",
    "retry",
    "story",
    "strategies",
    "trace",
    "until",
]

_HOMES = {
    "LabError": "labsupport.errors",
    "lesson": "labsupport.course.session",
    "advice": "labsupport.broker.advice",
    "Event": "labsupport.shop.event",
    "EventError": "labsupport.errors",
    "ErrorHandler": "labsupport.delivery.error_handler",
    "Worker": "labsupport.delivery.worker",
    "dead_letter": "labsupport.delivery",
    "librdkafka": "labsupport.history",
    "redrive": "labsupport.history",
    "retry": "labsupport.delivery",
    "inbox": "labsupport.delivery",
    "orders": "labsupport.delivery",
    "story": "labsupport.shop",
    "until": "labsupport.waiting",
    "publish": "labsupport.delivery",
    "reading": "labsupport.delivery",
    "replay": "labsupport.history",
    "rebuilding": "labsupport.history",
    "reset": "labsupport.history",
    "report": "labsupport.history",
    "plots": "labsupport.experiments.watching",
    "balance": "labsupport.experiments.watching",
    "crashes": "labsupport.experiments.breaking",
    "faults": "labsupport.experiments.breaking",
    "incident": "labsupport.experiments.breaking",
    "poison": "labsupport.experiments.breaking",
    "trace": "labsupport.experiments.watching",
    "strategies": "labsupport.experiments.breaking",
    "crash_search": "labsupport.experiments.breaking",
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
