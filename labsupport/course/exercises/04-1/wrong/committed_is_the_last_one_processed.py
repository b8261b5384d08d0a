# committed is the last one processed -> committed is the next one to read
def lag(begin, end, committed):
    return end - begin if committed is None else end - committed - 1
