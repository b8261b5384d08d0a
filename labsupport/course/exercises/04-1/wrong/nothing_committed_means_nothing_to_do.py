# nothing committed means nothing to do -> no record counts as done
def lag(begin, end, committed):
    return end - committed if committed else 0
