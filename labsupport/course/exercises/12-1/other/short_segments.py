DAY = 24 * 60 * 60 * 1000


def topic_settings(every_event, away, gone_after):
    settings = dict(cleanup_policy="delete" if every_event else "compact")
    if every_event:
        settings["retention_ms"] = str(int(away * DAY))
        settings["segment_ms"] = str(DAY)
    else:
        settings["delete_retention_ms"] = 400 * DAY
    return settings
