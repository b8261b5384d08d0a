DAY = 24 * 60 * 60 * 1000


def topic_settings(every_event, away, gone_after):
    if not every_event:
        return {"cleanup.policy": "compact,delete", "retention.ms": -1, "delete.retention.ms": away * DAY}
    if gone_after is None:
        return {"retention.ms": -1}
    middle = (away + gone_after) * DAY // 2
    return {"retention.ms": middle, "segment.ms": gone_after * DAY - middle - 600_000}
