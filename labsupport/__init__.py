"""What the lab's notebooks, commands and tests share.

    from labsupport import lesson
    lab = lesson("00")

Rooms, with arrows in one direction: broker, shop <- delivery <- history <- experiments <- course <- commands.
They stand on the modules beside this one. DESIGN.md has the map.
"""

# No package (lab.py imports this file before any is installed), and nothing slow: every command waits for it.
import sys

TYPE_CHECKING = False  # as `typing` has it, whose import takes ten times as long as all of this file
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from typing import Any

# What a notebook imports from here, by the module or package that holds it.
_EXPORTS = {
    "broker.advice": ["advice"],
    "course.session": ["lesson"],
    "delivery": ["dead_letter", "inbox", "orders", "outbox", "publish", "reading", "retry"],
    "delivery.error_handler": ["ErrorHandler"],
    "delivery.worker": ["Worker"],
    "errors": ["EventError", "LabError"],
    "experiments.breaking": [
        "crash_search",
        "crashes",
        "faults",
        "incident",
        "mornings",
        "outbox_crashes",
        "poison",
        "services",
        "strategies",
        "traced_road",
        "transform",
    ],
    "experiments.watching": ["balance", "plots", "trace"],
    "observability": ["alerts", "metrics_page", "time_lapse", "tracing"],
    "observability.group_lag": ["Observer"],
    "observability.worker_metrics": ["WorkerMetrics"],
    "history": ["librdkafka", "rebuilding", "redrive", "replay", "report", "reset"],
    "registry": ["avro_data", "avro_serde", "event_formats", "wire_format"],
    "shop": ["schemas", "story"],
    "shop.event": ["Event"],
    "waiting": ["until"],
}
_HOMES = {name: f"{__name__}.{home}" for home, names in _EXPORTS.items() for name in names}

__all__ = sorted(_HOMES)


class _Unknown:
    """The last finder, so asked only for what does not exist: `from labsupport import …` may say an old name."""

    @staticmethod
    def find_spec(name: str, _path: "Sequence[str] | None", _target: object = None) -> "ModuleSpec | None":
        if not name.startswith(f"{__name__}."):
            return None
        from labsupport.old_names import spec_of

        return spec_of(name)


sys.meta_path.append(_Unknown)


def __getattr__(name: str) -> "Any":
    """Import a name when it is used (PEP 562), so that the command line does not wait for the Kafka client."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from labsupport.setup import obstacles

    if name == "lesson":
        obstacles.refuse_hidden()
    with obstacles.explained("then restart the kernel (menu Kernel), and run this cell again"):
        home = import_module(_HOMES[name])
        return getattr(home, name, None) or import_module(f"{_HOMES[name]}.{name}")


def __dir__() -> list[str]:
    """List the names that are not imported yet, too: editors and notebooks complete them."""
    return sorted({*globals(), *__all__})
