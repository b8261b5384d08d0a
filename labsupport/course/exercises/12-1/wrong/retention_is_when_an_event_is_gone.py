# retention is when an event is gone -> An event can stay for 37 days
DAY = 24 * 60 * 60 * 1000


def topic_settings(every_event, away, gone_after):
    if not every_event:
        return {"cleanup.policy": "compact", "delete.retention.ms": away * DAY}
    return {"retention.ms": (gone_after or away) * DAY}
