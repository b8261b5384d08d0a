# a log begins at 0 -> the log begins at
def lag_and_age(begin, end, committed, times, now):
    place = committed or 0
    waiting = [offset for offset in times if place <= offset < end]
    age = (now - times[min(waiting)]) / 1000 if waiting else 0
    return max(0, end - place), max(0, age)
