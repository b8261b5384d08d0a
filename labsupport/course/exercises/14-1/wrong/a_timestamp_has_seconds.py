# a timestamp has seconds -> that is in milliseconds
def lag_and_age(begin, end, committed, times, now):
    place = begin if committed is None else max(begin, committed)
    waiting = [offset for offset in times if place <= offset < end]
    age = (now - times[min(waiting)]) if waiting else 0
    return max(0, end - place), max(0, age)
