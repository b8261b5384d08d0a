# what one topic needs holds for the next -> from call to call
DAY = 24 * 60 * 60 * 1000


def topic_settings(every_event, away, gone_after, settings={}):
    settings["cleanup.policy"] = "delete" if every_event else "compact"
    settings["retention.ms" if every_event else "delete.retention.ms"] = away * DAY
    if gone_after:
        settings["segment.ms"] = (gone_after - away) * DAY
    return settings
