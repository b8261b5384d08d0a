# what is committed is always in the log -> nobody can read them any more
def lag(begin, end, committed):
    return end - (begin if committed is None else committed)
