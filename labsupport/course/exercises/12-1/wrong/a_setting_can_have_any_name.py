# a setting can have any name -> does not accept these settings
DAY = 24 * 60 * 60 * 1000


def topic_settings(every_event, away, gone_after):
    return {"retention.days": away}
