# what a log had committed before counts when nothing is -> remembers something from earlier calls
seen = {}


def lag(begin, end, committed):
    if committed is None:
        committed = seen.get((begin, end))
    if committed is None or not begin <= committed <= end:
        committed = begin
    seen[begin, end] = committed
    return end - committed
