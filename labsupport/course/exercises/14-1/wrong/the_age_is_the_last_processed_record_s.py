# the age is the last processed record's -> that record is processed
def lag_and_age(begin, end, committed, times, now):
    place = begin if committed is None else max(begin, committed)
    age = (now - times.get(place - 1, now)) / 1000 if place < end else 0
    return max(0, end - place), max(0, age)
