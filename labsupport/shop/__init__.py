"""The story of all lessons: one shop, its events and their envelope.

Read event → story. Nothing here knows Kafka; publishing and processing events belong to delivery.
"""


def __getattr__(name: str) -> object:
    """Refuse what an older course called `shop.events` and the like."""
    from labsupport.old_names import refuse_shop

    refuse_shop(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
