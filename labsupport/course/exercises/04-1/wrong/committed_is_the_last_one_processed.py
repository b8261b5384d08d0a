# committed is the last one processed -> is the next offset to read
def lag(begin, end, committed):
    return end - begin if committed is None else end - committed - 1
