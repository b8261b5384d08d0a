def wake(samples):
    minute, lag, age = samples[-1]
    if age < 8:
        return False
    earlier = {m: waiting for m, waiting, _ in samples}
    return not lag < earlier.get(minute - 5, 0)
