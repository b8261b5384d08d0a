# the age is the oldest record's in the log -> that record is processed
def lag_and_age(begin, end, committed, times, now):
    place = begin if committed is None else max(begin, committed)
    age = (now - times[min(times)]) / 1000 if place < end and times else 0
    return max(0, end - place), max(0, age)
