# an hour is short enough for every segment -> 9,600 segments
DAY = 24 * 60 * 60 * 1000


def topic_settings(every_event, away, gone_after):
    if not every_event:
        return {"cleanup.policy": "compact", "delete.retention.ms": away * DAY}
    return {"retention.ms": away * DAY, "segment.ms": 3_600_000}
