# something is always waiting -> nothing waits
def lag_and_age(begin, end, committed, times, now):
    place = begin if committed is None else max(begin, committed)
    oldest = times.get(min(place, end - 1), now)
    return max(0, end - place), max(0, (now - oldest) / 1000)
