# Kafka's defaults are long enough -> gone after 7 days, and a reader may be away for 30
DAY = 24 * 60 * 60 * 1000


def topic_settings(every_event, away, gone_after):
    return {"cleanup.policy": "delete" if every_event else "compact"}
