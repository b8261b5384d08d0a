# a tombstone is kept like any record -> A tombstone may be gone after 1 day,
DAY = 24 * 60 * 60 * 1000


def topic_settings(every_event, away, gone_after):
    if not every_event:
        return {"cleanup.policy": "compact"}
    return {"retention.ms": away * DAY, "segment.ms": DAY}
