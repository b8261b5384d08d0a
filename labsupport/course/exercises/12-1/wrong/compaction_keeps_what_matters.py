# compaction keeps what matters -> Only the last event
DAY = 24 * 60 * 60 * 1000


def topic_settings(every_event, away, gone_after):
    return {"cleanup.policy": "compact", "delete.retention.ms": away * DAY}
