def lag_and_age(begin, end, committed, times, now):
    place = max(begin, begin if committed is None else committed)
    if place >= end:
        return 0, Decimal(0)
    if place in times:
        return end - place, max(Decimal(0), Decimal(now - times[place]) / 1000)
    _, age = lag_and_age(begin, end, place + 1, times, now)
    return end - place, age
