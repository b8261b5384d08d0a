DAY = 24 * 60 * 60 * 1000


def topic_settings(every_event, away, gone_after):
    if not every_event:
        return {"cleanup.policy": "compact", "min.compaction.lag.ms": away * DAY}
    return {"retention.ms": away * DAY, "segment.ms": DAY}
