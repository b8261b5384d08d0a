# the oldest timestamp is read next -> whatever its time
def lag_and_age(begin, end, committed, times, now):
    place = begin if committed is None else max(begin, committed)
    waiting = [time for offset, time in times.items() if place <= offset < end]
    age = (now - min(waiting)) / 1000 if waiting else 0
    return max(0, end - place), max(0, age)
