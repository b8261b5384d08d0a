import numpy


def lag_and_age(begin, end, committed, times, now):
    start = max(begin, committed or 0)
    oldest = next((times[at] for at in sorted(times) if at >= start), now)
    return numpy.int64(max(end - start, 0)), numpy.clip((now - oldest) / 1_000, 0, None)
