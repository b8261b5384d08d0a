# seconds -> may be gone after
DAY = 24 * 60 * 60 * 1000


def topic_settings(every_event, away, gone_after):
    if not every_event:
        return {"cleanup.policy": "compact", "delete.retention.ms": away * 86400}
    return {"retention.ms": away * 86400}
