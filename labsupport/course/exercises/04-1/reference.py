def lag(begin, end, committed):
    """How many records of the log the group has not committed."""
    if committed is None or not begin <= committed <= end:
        committed = begin
    return end - committed
