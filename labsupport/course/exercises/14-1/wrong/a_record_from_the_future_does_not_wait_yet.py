# a record from the future does not wait yet -> gets offset 2 next
def lag_and_age(begin, end, committed, times, now):
    place = begin if committed is None else max(begin, committed)
    waiting = [offset for offset, time in times.items() if place <= offset < end and time <= now]
    age = (now - times[min(waiting)]) / 1000 if waiting else 0
    return max(0, end - place), age
