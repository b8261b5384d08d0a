def lag(begin, end, committed):
    return len(range(committed if committed in range(begin, end + 1) else begin, end))
