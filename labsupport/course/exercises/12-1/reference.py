DAY = 24 * 60 * 60 * 1000


def topic_settings(every_event, away, gone_after):
    """The topic's settings, such as {"retention.ms": 3_600_000}."""
    if not every_event:
        return {"cleanup.policy": "compact", "delete.retention.ms": away * DAY}
    settings = {"cleanup.policy": "delete", "retention.ms": away * DAY}
    if gone_after is not None:
        settings["segment.ms"] = (gone_after - away) * DAY
    return settings
