"""TODO."""

from labsupport import renamed


def __getattr__(name: str) -> object:
    """Refuse what an older course called `shop.events` and the like."""
    renamed.refuse_shop(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
