# nan is a number too -> nothing waits
def lag_and_age(begin, end, committed, times, now):
    place = begin if committed is None else max(begin, committed)
    waiting = [offset for offset in times if place <= offset < end]
    age = max(0, (now - times[min(waiting)]) / 1000) if waiting else float("nan")
    return max(0, end - place), age
