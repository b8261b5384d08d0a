# each offset has a record -> KeyError
def lag_and_age(begin, end, committed, times, now):
    place = begin if committed is None else max(begin, committed)
    age = (now - times[place]) / 1000 if place < end else 0
    return max(0, end - place), max(0, age)
