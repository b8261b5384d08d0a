# nothing committed means that nothing waits -> Nothing is committed
def lag_and_age(begin, end, committed, times, now):
    if committed is None:
        return 0, 0
    place = max(begin, committed)
    waiting = [offset for offset in times if place <= offset < end]
    age = (now - times[min(waiting)]) / 1000 if waiting else 0
    return max(0, end - place), max(0, age)
