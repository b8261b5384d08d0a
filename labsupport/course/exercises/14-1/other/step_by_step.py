def lag_and_age(begin, end, committed, times, now):
    if committed is None or committed < begin:
        committed = begin
    if committed >= end:
        return [0, 0.0]
    for offset in range(committed, end):
        if offset in times:
            return [end - committed, max(0.0, (now - times[offset]) / 1000)]
    return [end - committed, 0.0]
