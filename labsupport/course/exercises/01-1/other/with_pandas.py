import pandas


def happenings(events):
    return pandas.Series([e.event_id for e in events], dtype=object).nunique()
